"""Compare-and-swap where it needs no Airflow; and what only the local file system has: locks of the kernel."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_honeyhive.storage.local import LocalStore
from tests.stores import test_swap
from tests.unit.storage.test_stores import Folder

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


@pytest.fixture
def place(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "place")


class TestSwap(test_swap.TestSwap):
    """On the local disk."""


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


def test_what_a_killed_process_left_half_written_is_overwritten(tmp_path):
    store = LocalStore(tmp_path)
    (tmp_path / "_new-file").write_bytes(b"half, and longer")
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
    for name, time in (("a/old", 1_000), ("a/b/new", 2_000_000_000), ("c/other", 2_100_000_000)):
        store.put(name, b"")
        os.utime(tmp_path / name, (time, time))
    assert store.newest("a") == datetime.fromtimestamp(2_000_000_000, UTC)


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOTSUP, errno.EBADF, errno.EINVAL])
def test_a_file_system_without_locks_is_found_out(tmp_path, monkeypatch, code):
    def flock(*_: Any) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", flock)
    assert not LocalStore(tmp_path).can_swap()


def test_a_copy_is_prepared_beside_its_source(tmp_path, monkeypatch):
    store = LocalStore(tmp_path)
    store.put("staging/file", b"data")
    seen = []

    def replace(self: Path, target: Path) -> None:
        seen.append((self.parent, target))
        raise OSError(errno.EIO, "died")

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(Exception, match="died"):
        store.copy("staging/file", "day/file")
    assert seen == [(tmp_path / "staging", tmp_path / "day" / "file")]


def test_a_copy_to_another_file_system_is_prepared_there(tmp_path, monkeypatch):
    store = LocalStore(tmp_path)
    store.put("staging/file", b"data")
    replace = Path.replace

    def within_one(self: Path, target: Path) -> Path:
        if self.parent != target.parent:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", within_one)
    store.copy("staging/file", "day/file")
    assert (tmp_path / "day" / "file").read_bytes() == b"data"
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["file", "file"]
