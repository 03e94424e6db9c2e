"""The exports below a folder are found wherever they are, and nothing else is taken for one."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import fsspec
import pytest

from airflow_provider_honeyhive.exceptions import DestinationError
from airflow_provider_honeyhive.export.catalog import find_exports, verify_exports
from airflow_provider_honeyhive.export.lookback import Lookback
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.models.export_facts import RequestFacts
from airflow_provider_honeyhive.models.layout import LONGEST_NAME
from airflow_provider_honeyhive.storage.local import LocalStore
from airflow_provider_honeyhive.storage.paths import as_path, open_store

if TYPE_CHECKING:
    from pathlib import Path


def a_manifest(project: str = "demo", **other: Any) -> bytes:
    facts = {
        "project": project,
        "start_time": "2026-01-01T00:00:00.000Z",
        "end_time": "2026-01-02T00:00:00.000Z",
        "event_count": 0,
        "started_at": "2026-11-22T06:00:00.000Z",
        "finished_at": "2026-11-22T06:00:00.000Z",
        "file_format": "jsonl",
        "compression": "gzip",
        "request": RequestFacts(api_host="h"),
        "files": [],
        **other,
    }
    return Manifest(**facts).to_json()


def put_manifest(folder: Path, project: str = "demo", **other: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "_manifest.json").write_bytes(a_manifest(project, **other))


def found(folder: Path) -> list[str]:
    return sorted(export.folder for export in find_exports(open_store(folder), lambda manifest: True))


def test_exports_are_found_at_any_depth(tmp_path):
    for name in ("2026-01-01", "2026/01/02", "by-run/scheduled__2026-01-03T00:00:00+00:00", "."):
        put_manifest(tmp_path / name)
    assert found(tmp_path) == ["", "2026-01-01", "2026/01/02", "by-run/scheduled__2026-01-03T00:00:00+00:00"]


@pytest.mark.parametrize("name", ["_shards-1/a", ".trash/a", "export/event_date=2026-01-01"])
def test_what_engines_skip_and_what_is_an_exports_own_is_not_looked_into(tmp_path, name):
    put_manifest(tmp_path / "export")
    put_manifest(tmp_path / name)
    assert found(tmp_path) == ["export"]


def test_a_folder_that_is_not_there_holds_none(tmp_path):
    assert found(tmp_path / "nothing") == []


@pytest.mark.parametrize("text", ["", "{}", '{"nodes": {}}', "\xff"])
def test_what_is_no_manifest_is_passed_over_with_a_warning(tmp_path, caplog, text):
    put_manifest(tmp_path / "export")
    (tmp_path / "dbt").mkdir()
    (tmp_path / "dbt" / "_manifest.json").write_text(text)
    assert found(tmp_path) == ["export"]
    assert str(tmp_path / "dbt") in caplog.text


def test_objects_whose_keys_have_empty_segments_hide_no_exports():
    """A slash too many in somebody's script makes them."""
    bucket = uuid4().hex
    store, fs = open_store(as_path(f"memory://{bucket}/exports")), fsspec.filesystem("memory")
    for name in (
        "2026-01-01/_manifest.json",
        "/2026-01-02/_manifest.json",
        "2026//_manifest.json",
        "./a/_manifest.json",
    ):
        fs.pipe_file(f"/{bucket}/exports/{name}", a_manifest())
    assert [export.folder for export in find_exports(store, lambda manifest: True)] == ["2026-01-01"]
    assert set(store.modified()) == {"2026-01-01/_manifest.json"}


def test_folders_deeper_than_names_go_hide_no_exports(tmp_path):
    put_manifest(tmp_path / "2026-01-01")
    folder = os.open(tmp_path, os.O_RDONLY)
    for _ in range(LONGEST_NAME // 200 + 2):
        os.mkdir("x" * 200, dir_fd=folder)
        above, folder = folder, os.open("x" * 200, os.O_RDONLY, dir_fd=folder)
        os.close(above)
    os.close(folder)
    assert found(tmp_path) == ["2026-01-01"]
    assert [verdict.problems for verdict in verify_exports(tmp_path)] == [[]]


def test_exports_of_all_time_are_no_windows(tmp_path):
    put_manifest(tmp_path / "all", start_time=None, end_time=None)
    assert found(tmp_path) == []


def test_only_what_is_wanted_is_given(tmp_path):
    put_manifest(tmp_path / "mine")
    put_manifest(tmp_path / "other", project="other")
    exports = find_exports(open_store(tmp_path), lambda manifest: manifest.project == "demo")
    assert [export.path("part") for export in exports] == ["mine/part"]


def test_exports_behind_a_link_are_not_looked_at_and_the_link_is_named(tmp_path, caplog):
    put_manifest(tmp_path / "elsewhere" / "2026-01-01")
    put_manifest(tmp_path / "exports" / "2026-01-02")
    for name, target in (("old", tmp_path / "elsewhere"), ("itself", tmp_path / "exports"), (".hidden", tmp_path)):
        (tmp_path / "exports" / name).symlink_to(target)
    assert found(tmp_path / "exports") == ["2026-01-02"]
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path}/exports/{name} is a symbolic link: it is not followed, exports behind it do not count"
        for name in ("itself", "old")
    ]


def test_the_folder_itself_may_be_a_link(tmp_path):
    put_manifest(tmp_path / "elsewhere" / "2026-01-01")
    (tmp_path / "exports").symlink_to(tmp_path / "elsewhere")
    assert found(tmp_path / "exports") == ["2026-01-01"]


def test_manifests_of_long_ago_are_not_read(tmp_path):
    read = []

    class Counting(LocalStore):
        def get(self, name: str) -> bytes | None:
            read.append(name)
            return super().get(name)

    since = datetime(2026, 1, 10, tzinfo=UTC)
    for number in range(20):
        put_manifest(tmp_path / f"{number:02}")
        modified = (since + timedelta(days=number - 15)).timestamp()
        os.utime(tmp_path / f"{number:02}" / "_manifest.json", (modified, modified))
    exports = find_exports(Counting(tmp_path), lambda manifest: True, since)
    assert [export.folder for export in exports] == ["15", "16", "17", "18", "19"]
    assert sorted(read) == [f"{number}/_manifest.json" for number in range(15, 20)]


def test_looking_back_reads_the_manifests_of_its_time_alone(tmp_path):
    read = []

    class Counting(LocalStore):
        def get(self, name: str) -> bytes | None:
            read.append(name)
            return super().get(name)

    days = [datetime(2025, 1, 1, tzinfo=UTC) + timedelta(days=number) for number in range(400)]
    for day in days:
        name = f"{day:%Y-%m-%d}"
        end = f"{day + timedelta(days=1):%Y-%m-%d}"
        put_manifest(tmp_path / name, start_time=f"{name}T00:00:00.000Z", end_time=f"{end}T00:00:00.000Z")
        modified = (day + timedelta(days=1)).timestamp()
        os.utime(tmp_path / name / "_manifest.json", (modified, modified))
    wanted = Manifest.from_json((tmp_path / name / "_manifest.json").read_bytes(), "")
    Lookback(Counting(tmp_path), wanted, 5, None)
    # The five before the last day, which is exported anew, and those of two days before that: clocks may differ.
    assert sorted(read) == [f"{day:%Y-%m-%d}/_manifest.json" for day in days[-8:]]


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path, monkeypatch):
    put_manifest(tmp_path / "export")
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if os.readlink(f"/proc/self/fd/{path}").endswith("export"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DestinationError, match=f"cannot list {tmp_path}"):
        found(tmp_path)


def test_what_an_old_export_has_in_its_folders_is_its_own_all_the_same(tmp_path):
    put_manifest(tmp_path / "export")
    put_manifest(tmp_path / "export" / "event_date=2026-01-01")
    os.utime(tmp_path / "export" / "_manifest.json", (0, 0))
    exports = find_exports(LocalStore(tmp_path), lambda manifest: True, datetime(2020, 1, 1, tzinfo=UTC))
    assert list(exports) == []


def test_a_store_that_cannot_be_read_is_an_error(tmp_path):
    class Failing(LocalStore):
        def get(self, name: str) -> bytes | None:
            raise DestinationError("no")

    put_manifest(tmp_path / "export")
    with pytest.raises(DestinationError):
        list(find_exports(Failing(tmp_path), lambda manifest: True))
