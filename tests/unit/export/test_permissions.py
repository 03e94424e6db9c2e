"""The umask decides who may read what an export writes, staged or final; and a disk may be full or closed to it."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_honeyhive.exceptions import DestinationAccessError, DestinationError, HoneyHiveServerError
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.sandbox import Fault
from airflow_provider_honeyhive.storage.local import LocalStore

from .test_exporter import DAY, DEMO, GENERATED

if TYPE_CHECKING:
    from collections.abc import Iterator

#: An export by somebody who is not root, whom no permission stops.
AS_NOBODY = """
import os, sys
from pathlib import Path
from airflow_provider_honeyhive.exceptions import DestinationError
from airflow_provider_honeyhive.storage.local import LocalStore

if not os.geteuid():
    os.setgid(65534)
    os.setuid(65534)
os.umask(0o777)
place = Path(sys.argv[1])
for step in (lambda store: store.put("file", b"secret"), lambda store: store.get("file")):
    try:
        step(LocalStore(place))
        print("done")
    except DestinationError as error:
        print(error)
os.mkdir(place / "closed")
for step in (lambda: LocalStore(place / "closed" / "out"), lambda: LocalStore(place).files("closed")):
    try:
        step()
    except DestinationError as error:
        print(error)
os.chmod(place / "file", 0o600)
os.rmdir(place / "closed")
"""


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def refuse(*_: Any, **__: Any) -> int:
    raise PermissionError(13, "Permission denied")


def modes(folder: Path) -> set[tuple[bool, int]]:
    """Return whether each is a folder, and its permissions."""
    facts = [os.lstat(path) for path in (folder, *folder.rglob("*"))]
    return {(stat.S_ISDIR(one.st_mode), stat.S_IMODE(one.st_mode)) for one in facts}


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o027, 0o077])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"file_format": "parquet"},
        {"file_format": "csv", "compression": "none", "partition_by": ("event_date", "event_type")},
    ],
    ids=["jsonl", "parquet", "partitioned"],
)
def test_files_and_folders_are_made_with_the_umask_staged_and_final(
    sandbox_with, client_of, tmp_path, monkeypatch, mask, options
):
    sandbox = sandbox_with(count=600, **GENERATED)
    sandbox.fault_at[12] = Fault.answer(503)
    exported = ExportOptions(page_size=50, max_file_size=60_000, **options)
    if mask == 0o027:
        # As on a file system without hard links, where files are copied.
        monkeypatch.setattr(os, "link", refuse)
    with umask(mask):
        with pytest.raises(HoneyHiveServerError):
            export_events(client_of(sandbox, max_retries=0), DEMO, tmp_path / "out", exported)
        assert list((tmp_path / "out").glob("_staging-*/*"))
        assert modes(tmp_path / "out") == {(True, 0o777 & ~mask), (False, 0o666 & ~mask)}
        export_events(client_of(sandbox), DEMO, tmp_path / "out", exported).verify()
    assert not list((tmp_path / "out").glob("_staging-*"))
    assert modes(tmp_path / "out") == {(True, 0o777 & ~mask), (False, 0o666 & ~mask)}


def test_files_that_nobody_may_read_are_told(tmp_path):
    """With a umask of 777 files are readable to nobody, which the export itself finds out, and says."""
    place = Path(tempfile.mkdtemp())  # pytest's own folders are closed to others
    denied = "access denied: let the user that runs this read, write and delete there"
    try:
        place.chmod(0o777)
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, str(place)],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parents[3],
        )
        assert done.stdout.splitlines() == [
            "done",
            denied,
            f"cannot read {place}/file: PermissionError: Permission denied",
            denied,
            f"cannot open {place}/closed/out: PermissionError: Permission denied",
            denied,
            f"cannot list {place}/closed: PermissionError: Permission denied",
        ]
        assert (place / "file").read_bytes() == b"secret"
    finally:
        shutil.rmtree(place)


def test_what_is_taken_away_in_the_middle_is_told_and_the_next_try_is_whole(
    sandbox_with, client_of, tmp_path, monkeypatch
):
    sandbox = sandbox_with(count=2_000, **GENERATED)
    options = ExportOptions(page_size=200, max_file_size=50_000)
    put, left = LocalStore.put, [3]

    def denied(store: LocalStore, name: str, data: bytes) -> None:
        left[0] -= 1
        if left[0] < 0:
            with monkeypatch.context() as patch:
                patch.setattr(os, "open", refuse)
                put(store, name, data)
        put(store, name, data)

    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "put", denied)
        with pytest.raises(DestinationAccessError, match=r"cannot create .*_staging-.*: PermissionError: Permission"):
            export_events(client_of(sandbox), DEMO, tmp_path / "out", options)
    assert not (tmp_path / "out" / "_manifest.json").exists()
    manifest = export_events(client_of(sandbox), DEMO, tmp_path / "out", options)
    Manifest.read(tmp_path / "out").verify()
    assert manifest.event_count == len(sandbox.event_ids(DAY.start, DAY.end))
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.name.startswith("_")) == ["_manifest.json"]


@pytest.mark.parametrize("layout", ["folder", "object", "parquet", "partitioned", "json"])
def test_a_disk_that_is_full_at_any_write_is_told_and_leaves_what_was_there(sandbox, client_of, tmp_path, layout):
    path = tmp_path / ("out.csv.gz" if layout == "object" else "out")
    options = {
        "parquet": ExportOptions(file_format="parquet"),
        "json": ExportOptions(file_format="json"),
        "partitioned": ExportOptions(partition_by=("event_date", "event_type")),
    }.get(layout, ExportOptions())
    export_events(client_of(sandbox), DEMO, path, options)
    before = Manifest.read(path).to_json()
    failed, room, fdopen = 0, 0, os.fdopen

    class Full:
        """A file on a disk with room for some more writes."""

        def __init__(self, file: object) -> None:
            self._file = file

        def __getattr__(self, name: str) -> object:
            return getattr(self._file, name)

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None:
            self._file.close()

        def write(self, data: bytes) -> int:
            left[0] -= 1
            if left[0] < 0:
                raise OSError(28, "No space left on device")
            return self._file.write(data)

    def opened(descriptor: int, mode: str = "r", *more: Any) -> Any:
        file = fdopen(descriptor, mode, *more)
        return Full(file) if "w" in mode else file

    def export() -> str | None:
        try:
            export_events(client_of(sandbox), DEMO, path, options)
        except DestinationError as error:
            return str(error)
        return None

    while True:
        left = [room]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "fdopen", opened)
            error = export()
        if error is None:
            break
        assert "No space left on device" in error
        assert str(path.parent) in error
        failed += 1
        room += 1
        Manifest.read(path).verify()
        assert Manifest.read(path).to_json() == before
    assert failed > 3
    Manifest.read(path).verify()
    assert not list(tmp_path.rglob("_staging-*"))
    assert not list(tmp_path.rglob("_new-*"))
