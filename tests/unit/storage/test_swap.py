"""Compare-and-swap where it needs no Airflow: locks of the kernel, S3, and the lease of stores that have neither."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from upath import UPath

from airflow_provider_honeyhive.exceptions import DestinationError
from airflow_provider_honeyhive.storage import lease
from airflow_provider_honeyhive.storage.local import LocalStore, is_temporary
from airflow_provider_honeyhive.storage.paths import open_store
from tests.stores import test_swap
from tests.unit.storage.test_stores import Bucket, Folder, bucket, s3  # noqa: F401 - fixtures

HOLD = "import fcntl, os, sys, time; fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX); print(flush=True)"
RACE = """
import sys
from pathlib import Path
from airflow_provider_honeyhive.storage.local import LocalStore

store = LocalStore(Path(sys.argv[1]))
won = 0
print(flush=True)
sys.stdin.readline()
while won < 100:
    data, version = store.read("count")
    won += store.swap("count", b"%d %s" % (int((data or b"0").split()[0]) + 1, sys.argv[2].encode()), version)
"""


NUMBERS = count(1)


@dataclass
class Memory:
    """A folder of the store that lives in this process."""

    root: str

    def path(self, name: str = "") -> UPath:
        return UPath(f"memory://{self.root}/{name}")

    def files(self) -> dict[str, bytes]:
        fs = self.path().fs
        return {path.removeprefix(f"{self.root}/"): fs.cat_file(path) for path in fs.find(self.root)}

    def names(self) -> set[str]:
        return set(self.files())

    def uploads(self) -> list[str]:
        return []


@pytest.fixture
def quick_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let leases settle and be looked at often: requests take no time here."""
    monkeypatch.setattr(lease, "SETTLE_S", 0.02)
    monkeypatch.setattr(lease, "POLL_S", 0.02)


@pytest.fixture
def memory(quick_leases) -> Memory:
    return Memory(f"/place-{next(NUMBERS)}")


@pytest.fixture
def lockless(quick_leases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """Give a folder on a file system that has no locks."""

    def flock(*_: Any) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    return Folder(tmp_path / "place")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "place")


class TestSwap(test_swap.TestSwap):
    """On the local disk and on S3."""

    @pytest.fixture(params=["folder", "bucket"])
    def place(self, request: pytest.FixtureRequest) -> Folder | Bucket:
        return request.getfixturevalue(request.param)


class TestSwapByLease(test_swap.TestSwap):
    """Where there is nothing but reads and writes."""

    @pytest.fixture(params=["memory", "lockless"])
    def place(self, request: pytest.FixtureRequest) -> Memory | Folder:
        return request.getfixturevalue(request.param)

    @pytest.mark.parametrize("before", [None, b"earlier"], ids=["absent", "present"])
    def test_of_many_threads_exactly_one_wins(self, place, before, monkeypatch):
        # Threads may wait for each other between looking and writing.
        monkeypatch.setattr(lease, "SETTLE_S", 0.25)
        super().test_of_many_threads_exactly_one_wins(place, before)

    def test_it_is_known_before_whether_it_is_atomic(self, store, place):
        assert not store.can_swap()
        assert place.names() == set()


def test_the_lease_of_a_writer_that_died_is_taken_over(memory, monkeypatch):
    monkeypatch.setattr(lease, "LEASE_S", 1.0)
    store = open_store(memory.path("out"))
    store.put("_lease-file", b"theirs")
    begun = time.monotonic()
    assert store.swap("file", b"mine", None)
    assert time.monotonic() - begun > 1
    assert memory.files() == {"out/file": b"mine"}


def test_who_lost_its_lease_writes_nothing(memory):
    store = open_store(memory.path("out"))
    read = store.read

    def slowly(name: str) -> Any:
        store.put("_lease-file", b"theirs")
        return read(name)

    store.read = slowly
    with pytest.raises(DestinationError, match="its lease was lost"):
        store.swap("file", b"mine", None)
    assert memory.files() == {"out/_lease-file": b"theirs"}


def test_who_is_too_slow_writes_nothing(memory, monkeypatch):
    store = open_store(memory.path("out"))
    monkeypatch.setattr(lease, "LEASE_S", 0.03)
    with pytest.raises(DestinationError, match="the store is slow"):
        store.swap("file", b"mine", None)
    assert memory.files() == {}


def test_who_never_gets_the_lease_gives_up(memory, monkeypatch):
    monkeypatch.setattr(lease, "PATIENCE_S", 0.3)
    store = open_store(memory.path("out"))
    store.put("_lease-file", b"theirs")
    with pytest.raises(DestinationError, match="cannot get the lease"):
        store.swap("file", b"mine", None)
    assert memory.files() == {"out/_lease-file": b"theirs"}


@pytest.fixture
def without_conditions(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Bucket:  # noqa: F811
    """Give a bucket of a server that ignores conditions."""
    fs = bucket.path().fs
    call = fs._call_s3

    def ignore(method: str, *args: Any, **kwargs: Any) -> Any:
        return call(method, *args, **{key: kwargs[key] for key in kwargs if not key.startswith("If")})

    monkeypatch.setattr(fs, "_call_s3", ignore)
    return bucket


def test_a_server_that_ignores_conditions_is_found_out(without_conditions):
    store = open_store(without_conditions.path("out"))
    store.put("file", b"earlier")
    assert not store.can_swap()
    assert without_conditions.names() == {"out/file"}


def test_with_a_server_that_ignores_conditions_a_lease_takes_their_place(without_conditions, quick_leases):
    store = open_store(without_conditions.path("out"))
    _, absent = store.read("file")
    assert store.swap("file", b"mine", absent)
    assert not store.swap("file", b"other", absent)
    assert without_conditions.files() == {"out/file": b"mine"}


def start(code: str, *args: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, args)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]
    )
    assert process.stdout
    process.stdout.readline()
    return process


def test_processes_that_count_together_lose_no_step(tmp_path):
    processes = [start(RACE, tmp_path, name) for name in "ab"]
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert int((tmp_path / "count").read_bytes().split()[0]) == 200
    assert os.listdir(tmp_path) == ["count"]


def test_a_lock_is_waited_for_and_ends_with_its_process(tmp_path):
    store = LocalStore(tmp_path)
    holder = start(f"{HOLD}; time.sleep(600)", tmp_path)
    won = []
    waiting = threading.Thread(target=lambda: won.append(store.swap("file", b"mine", None)))
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive()
    assert store.can_swap()
    holder.kill()
    holder.communicate()
    waiting.join(10)
    assert won == [True]


def test_what_a_killed_process_left_half_written_is_replaced(tmp_path, monkeypatch):
    store = LocalStore(tmp_path)
    written = []

    def die(*_: Any, **__: Any) -> None:
        written.extend(path.name for path in tmp_path.iterdir())
        raise KeyboardInterrupt

    with monkeypatch.context() as killed:
        killed.setattr(os, "replace", die)
        with pytest.raises(KeyboardInterrupt):
            store.swap("file", b"half, and longer", None)
    assert os.listdir(tmp_path) == written
    assert is_temporary(*written)
    assert store.swap("file", b"mine", None)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"file": b"mine"}


def test_nothing_is_made_where_the_folder_is_gone(tmp_path):
    store = LocalStore(tmp_path / "out")
    store.put("file", b"earlier")
    _, version = store.read("file")
    shutil.rmtree(tmp_path / "out")
    assert not store.swap("file", b"mine", version)
    assert os.listdir(tmp_path) == []


def test_newest_is_when_the_file_was_last_modified(tmp_path):
    store = LocalStore(tmp_path)
    for name, modified in (("a/old", 1_000), ("a/b/new", 2_000_000_000), ("c/other", 2_100_000_000)):
        store.put(name, b"")
        os.utime(tmp_path / name, (modified, modified))
    assert store.newest("a") == datetime.fromtimestamp(2_000_000_000, UTC)


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOTSUP, errno.EBADF, errno.EINVAL])
def test_a_file_system_without_locks_is_found_out(tmp_path, monkeypatch, code):
    def flock(*_: Any) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", flock)
    assert not LocalStore(tmp_path).can_swap()


def path_of(folder: int) -> Path:
    """Return the path of an open folder."""
    return Path(os.readlink(f"/proc/self/fd/{folder}"))


def test_a_copy_is_prepared_beside_its_source(tmp_path, monkeypatch):
    store = LocalStore(tmp_path)
    store.put("staging/file", b"data")
    seen = []

    def replace(old: str, new: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        seen.append((path_of(src_dir_fd), path_of(dst_dir_fd) / new))
        raise OSError(errno.EIO, "died")

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(DestinationError, match="died"):
        store.copy("staging/file", "day/file")
    assert seen == [(tmp_path / "staging", tmp_path / "day" / "file")]


def test_a_copy_to_another_file_system_is_prepared_there(tmp_path, monkeypatch):
    store = LocalStore(tmp_path)
    store.put("staging/file", b"data")
    replace = os.replace

    def within_one(old: str, new: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        if path_of(src_dir_fd) != path_of(dst_dir_fd):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        replace(old, new, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(os, "replace", within_one)
    store.copy("staging/file", "day/file")
    assert (tmp_path / "day" / "file").read_bytes() == b"data"
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["file", "file"]
