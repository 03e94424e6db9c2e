"""Every data file is checked before its events count, and gives the same rows in every format."""

from __future__ import annotations

import errno
import os
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_honeyhive.builds import parquet_files
from airflow_provider_honeyhive.builds.database import open_events
from airflow_provider_honeyhive.builds.sources import export_sources, folder_sources
from airflow_provider_honeyhive.exceptions import DestinationError
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.export.result import summarize
from airflow_provider_honeyhive.formats.columns import COLUMN_NAMES
from airflow_provider_honeyhive.formats.datafile import HashedPiece, PartFile, hash_of_pieces
from airflow_provider_honeyhive.formats.parquet import ParquetFile
from airflow_provider_honeyhive.models.layout import FORMATS, MANIFEST_NAME
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.models.request import ExportRequest
from airflow_provider_honeyhive.models.window import Window
from tests.unit.odd_events import ODD_EVENTS, TIMES, usual_events

from .made import DAY, ONE_DAY, compressed, event, ids_of, make_export, rows_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_honeyhive.api.client import HoneyHiveClient
    from airflow_provider_honeyhive.manifest import Manifest

#: An id for each, so that none is another version of another one.
TIMED = [f'{{"event_id":"t{number}","start_time":{time}}}'.encode() for number, time in enumerate(TIMES)]
#: Lines of JSON cannot hold raw line ends, so that exports have none.
EVENTS = [raw for raw in ODD_EVENTS.values() if b'"e"' not in raw] + TIMED + usual_events(60)
TWINS = [raw for raw in ODD_EVENTS.values() if b'"e"' in raw]


@pytest.mark.parametrize("events", [EVENTS, *([one] for one in TWINS)])
def test_every_format_gives_the_rows_of_parquet(tmp_path: Path, events: list[bytes]) -> None:
    wanted = rows_of(export_sources(make_export(tmp_path / "wanted", events)))
    assert len(wanted) == len(events)
    for kind, compression in compressed(FORMATS) if len(events) > 1 else [(kind, None) for kind in FORMATS]:
        export = make_export(tmp_path / f"{kind}-{compression}", events, kind=kind, compression=compression)
        assert rows_of(export_sources(export)) == wanted


@pytest.mark.parametrize("kind", FORMATS)
def test_many_files_and_batches_keep_the_order_of_the_exports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    for name, value in (("BATCH_EVENTS", 7), ("BATCH_BYTES", 2_000), ("GROUP_BYTES", 5_000)):
        monkeypatch.setattr(parquet_files, name, value)
    events = [event(f"{number:03}", inputs={"text": 'x\r\n",' * (number % 50)}) for number in range(200)]
    sources = export_sources(make_export(tmp_path, events, kind=kind, files=7))
    assert ids_of(sources) == [f"{number:03}" for number in range(200)]
    places = [place for (place,) in rows_of(sources, "place")]
    assert places[:2] == [0, 1]
    assert places[-1] == (6 << 32) + 200 - 6 * 29 - 1
    assert len(set(places)) == 200


@pytest.mark.parametrize("kind", FORMATS)
def test_an_export_without_events_has_the_columns(tmp_path: Path, kind: str) -> None:
    def columns(manifest: Manifest) -> list[Any]:
        with open_events(export_sources(manifest)) as connection:
            return connection.execute("DESCRIBE exported").fetchall()

    none = make_export(tmp_path / "none", [], kind=kind)
    assert ids_of(export_sources(none)) == []
    assert columns(none) == columns(make_export(tmp_path / "some", usual_events(1)))


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("name", ["one", "folder"])
def test_what_the_exporter_publishes_can_be_read(
    sandbox: Any, client: HoneyHiveClient, tmp_path: Path, kind: str, name: str
) -> None:
    place = tmp_path / (name if name == "folder" else f"{name}.{kind}")
    request = ExportRequest.parse(project="demo", window=Window(DAY, DAY + ONE_DAY))
    partitions = ("event_type",) if name == "folder" else ()
    manifest = export_events(client, request, place, ExportOptions(file_format=kind, partition_by=partitions))
    found = ids_of(export_sources(summarize(manifest)))
    assert len(found) == 300
    assert set(found) == sandbox.event_ids(DAY, DAY + ONE_DAY)


# ---------------------------------------------------------------------------------------------------------- damage


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def add(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def link(path: Path) -> None:
    other = path.with_name("other")
    path.rename(other)
    path.symlink_to(other)


DAMAGES = [flip, cut, add, empty, Path.unlink, link]


@pytest.mark.parametrize(
    ("kind", "compression", "damage"),
    [
        *((kind, next(iter(FORMATS[kind])), damage) for kind in FORMATS for damage in DAMAGES),
        *((kind, compression, cut) for kind, compression in compressed(("jsonl", "csv", "json"))),
    ],
)
def test_a_damaged_file_is_refused_before_anything_is_read(
    tmp_path: Path, kind: str, compression: str, damage: Callable[[Path], None]
) -> None:
    secrets = [event(f"secret-{number}", inputs={"text": f"secret {number}"}) for number in range(50)]
    manifest = make_export(tmp_path / "export", secrets, kind=kind, compression=compression)
    damage(tmp_path / "export" / manifest.files[0].path)
    (tmp_path / "temp").mkdir()
    with (
        pytest.raises(DestinationError) as raised,
        open_events(export_sources(tmp_path / "export"), temp_folder=tmp_path / "temp"),
    ):
        pytest.fail("it was opened")
    text = str(raised.value)
    assert manifest.files[0].path in text
    assert "secret" not in text
    if damage not in (Path.unlink, link):
        assert text.startswith("a data file is not what was exported: run verify on its export")
    assert list((tmp_path / "temp").iterdir()) == []


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(
    ("fact", "value"),
    [("event_count", 3), ("size_bytes", 1), ("sha256", "0" * 64), ("path", "part-00009-0123456789ab")],
)
def test_a_manifest_of_other_facts_is_refused(tmp_path: Path, kind: str, fact: str, value: Any) -> None:
    manifest = make_export(tmp_path, [event("a"), event("b")], kind=kind)
    (part,) = manifest.files
    if fact == "path":
        value += part.path[part.path.index(".") :]
    other = manifest.model_copy(update={"files": [part.model_copy(update={fact: value})]})
    (tmp_path / MANIFEST_NAME).write_bytes(other.to_json())
    with pytest.raises(DestinationError):
        ids_of(export_sources(tmp_path))


def test_a_damaged_correction_is_refused(tmp_path: Path) -> None:
    manifest = make_export(tmp_path / "a", [event("a")], corrections=[event("b", DAY)], kind="jsonl")
    cut(tmp_path / "a" / manifest.corrections[0].path)
    with pytest.raises(DestinationError, match="a data file is not what was exported"):
        ids_of(folder_sources(tmp_path, last=1))


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_file_with_other_columns_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    manifest = make_export(tmp_path, [event("a")], kind=kind)
    monkeypatch.setattr(parquet_files, "COLUMN_NAMES", (*COLUMN_NAMES, "new"))
    with pytest.raises(DestinationError, match="a data file is not what was exported"):
        ids_of(export_sources(manifest))


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_a_file_that_the_store_put_together_has_the_hash_of_its_pieces(tmp_path: Path, kind: str) -> None:
    manifest = make_export(tmp_path, [event(str(number)) for number in range(30)], kind=kind)
    data = (tmp_path / manifest.files[0].path).read_bytes()
    pieces = [HashedPiece(size_bytes=len(one), sha256=sha256(one).hexdigest()) for one in (data[:100], data[100:])]
    facts = {**manifest.files[0].model_dump(), "pieces": pieces, "sha256": hash_of_pieces(pieces)}
    other = manifest.model_copy(update={"files": [PartFile(**facts)], "schema_version": 2})
    (tmp_path / MANIFEST_NAME).write_bytes(other.to_json())
    assert len(ids_of(export_sources(tmp_path))) == 30


# ------------------------------------------------------------------------------------------- replaced meanwhile


def other_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)


@pytest.mark.parametrize("is_other_disk", [False, True])
def test_parquet_on_the_local_disk_is_not_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_other_disk: bool
) -> None:
    if is_other_disk:
        other_disk(monkeypatch)
    manifest = make_export(tmp_path / "out", [event("a")])
    (tmp_path / "temp").mkdir()
    with open_events(export_sources(manifest), temp_folder=tmp_path / "temp") as connection:
        (file,) = (tmp_path / "temp").glob("*/stored/00000000.parquet")
        assert file.samefile(tmp_path / "out" / manifest.files[0].path)
        assert file.is_symlink() == is_other_disk
        assert connection.execute("SELECT event_id FROM exported").fetchall() == [("a",)]


def test_what_another_export_replaces_is_read_to_its_end(tmp_path: Path) -> None:
    manifest = make_export(tmp_path, [event("a")])
    with open_events(export_sources(manifest)) as connection:
        (tmp_path / manifest.files[0].path).unlink()
        make_export(tmp_path, [event("b")])
        assert connection.execute("SELECT event_id FROM exported").fetchall() == [("a",)]


def test_what_is_removed_on_another_disk_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other_disk(monkeypatch)
    manifest = make_export(tmp_path, [event("a")])

    def read() -> None:
        with open_events(export_sources(manifest)) as connection:
            (tmp_path / manifest.files[0].path).unlink()
            connection.execute("SELECT event_id FROM exported").fetchall()

    with pytest.raises(DestinationError, match="try again"):
        read()


@pytest.mark.parametrize("kind", FORMATS)
def test_an_export_that_is_replaced_before_its_files_are_read_is_told(tmp_path: Path, kind: str) -> None:
    manifest = make_export(tmp_path, [event("a")], kind=kind)
    sources = export_sources(manifest)
    (tmp_path / manifest.files[0].path).unlink()
    make_export(tmp_path, [event("b")], kind=kind)
    with pytest.raises(DestinationError, match="an export was replaced while a build read it: try again"):
        ids_of(sources)


@pytest.mark.parametrize("is_other_disk", [False, True])
def test_one_object_that_gets_other_bytes_meanwhile_is_read_to_its_end(
    client: HoneyHiveClient, sandbox: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_other_disk: bool
) -> None:
    request = ExportRequest.parse(project="demo", window=Window(DAY, DAY + ONE_DAY))
    place = tmp_path / "day.parquet"
    export_events(client, request, place)
    if is_other_disk:
        other_disk(monkeypatch)
    with open_events(export_sources(place)) as connection:
        sandbox.add([{"event_id": "new", "project": "demo", "start_time": int(DAY.timestamp() * 1000)}])
        assert export_events(client, request, place).event_count == 301
        assert connection.execute("SELECT count(*) FROM exported").fetchall() == [(300,)]


# ------------------------------------------------------------------------------------------------------- full disk


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_full_disk_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(ParquetFile, "write", full)
    manifest = make_export(tmp_path / "out", [event("a")], kind=kind)
    (tmp_path / "temp").mkdir()
    with (
        pytest.raises(DestinationError, match="cannot use a temporary file: free space there.* No space left"),
        open_events(export_sources(manifest), temp_folder=tmp_path / "temp"),
    ):
        pytest.fail("it was opened")
    assert list((tmp_path / "temp").iterdir()) == []
