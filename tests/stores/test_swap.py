"""Compare-and-swap, and what goes with it: ``Store.read``, ``swap``, ``can_swap``, ``modified`` and ``newest``."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_provider_honeyhive.storage.paths import open_store

from .test_contract import NAMES

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_honeyhive.storage.base import Store

    from .places import Place

#: Clocks of stores and of this machine may differ; those of the tests run on it.
CLOCK = timedelta(seconds=2)


#: Counts up in a file, 20 times, beside another process that does the same.
COUNT = """
import sys
from airflow.providers.common.compat.sdk import ObjectStoragePath
from airflow_provider_honeyhive.storage.paths import open_store

url, conn_id, me = sys.argv[1:]
store = open_store(ObjectStoragePath(url, conn_id=conn_id))
assert store.can_swap()
print(flush=True)
sys.stdin.readline()
won = 0
while won < 20:
    data, version = store.read("count")
    won += store.swap("count", b"%d %s" % (int((data or b"0").split()[0]) + 1, me.encode()), version)
"""


def overwrite(store: Store) -> None:
    store.put("folder/file", b"theirs")


def delete(store: Store) -> None:
    store.delete("folder/file")


class TestSwap:
    """Of every store; what is tested is what a fixture ``place`` gives."""

    @pytest.fixture
    def store(self, place: Place) -> Store:
        return open_store(place.path("out"))

    def test_a_file_that_is_absent_is_made(self, store, place):
        data, absent = store.read("folder/file")
        assert data is None
        assert store.swap("folder/file", b"mine", absent)
        assert place.files() == {"out/folder/file": b"mine"}

    def test_a_file_that_is_as_it_was_read_is_replaced_again_and_again(self, store, place):
        store.put("file", b"first")
        for data in (b"second", b"", b"fourth"):
            _, version = store.read("file")
            assert store.swap("file", data, version)
            assert store.read("file")[0] == store.get("file") == data
        assert place.files() == {"out/file": b"fourth"}

    def test_an_empty_file_is_not_an_absent_one(self, store, place):
        _, absent = store.read("file")
        store.put("file", b"")
        data, empty = store.read("file")
        assert data == b""
        assert not store.swap("file", b"mine", absent)
        assert store.swap("file", b"mine", empty)
        assert place.files() == {"out/file": b"mine"}

    @pytest.mark.parametrize(
        ("before", "meanwhile", "after"),
        [
            (None, overwrite, {"out/folder/file": b"theirs"}),
            (b"earlier", overwrite, {"out/folder/file": b"theirs"}),
            (b"earlier", delete, {}),
        ],
        ids=["made", "changed", "deleted"],
    )
    def test_what_changed_meanwhile_stays_as_it_is(
        self, store, place, before: bytes | None, meanwhile: Callable[[Store], None], after: dict[str, bytes]
    ):
        if before is not None:
            store.put("folder/file", before)
        _, version = store.read("folder/file")
        meanwhile(open_store(place.path("out")))
        assert not store.swap("folder/file", b"mine", version)
        assert place.files() == after
        assert place.uploads() == []

    def test_who_has_written_it_already_has_won(self, store, place):
        # The store may have done it, and the response was lost.
        _, absent = store.read("file")
        assert store.swap("file", b"mine", absent)
        assert store.swap("file", b"mine", absent)
        assert not store.swap("file", b"other", absent)
        assert place.files() == {"out/file": b"mine"}

    def test_versions_are_equal_for_all_who_read_the_same(self, store, place):
        store.put("file", b"data")
        assert store.read("file") == open_store(place.path("out")).read("file")
        assert len({store.read("file")[1], store.read("missing")[1], store.read("never")[1]}) == 2

    @pytest.mark.parametrize("before", [None, b"earlier"], ids=["absent", "present"])
    def test_of_many_threads_exactly_one_wins(self, place, before: bytes | None):
        stores = [open_store(place.path("out")) for _ in range(8)]
        if before is not None:
            stores[0].put("file", before)
        start = threading.Barrier(len(stores))
        won = []

        def try_it(number: int) -> None:
            _, version = stores[number].read("file")
            start.wait()
            if stores[number].swap("file", f"{number}".encode(), version):
                won.append(number)

        threads = [threading.Thread(target=try_it, args=(number,)) for number in range(len(stores))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        assert place.files() == {"out/file": f"{won[0]}".encode()}

    def test_it_is_known_before_whether_it_is_atomic(self, store, place):
        assert store.can_swap()
        assert place.names() == set()
        store.put("file", b"data")
        assert store.can_swap()
        assert place.names() == {"out/file"}

    def test_modified_is_of_all_files_below_by_their_names(self, store, place):
        assert store.modified() == {}
        before = datetime.now(UTC)
        for name in ("file", "folder/deep/file", "folderly/file"):
            store.put(name, b"")
        open_store(place.path("out-2")).put("other", b"")
        assert set(store.modified()) == {"file", "folder/deep/file", "folderly/file"}
        found = store.modified("folder")
        assert set(found) == {"deep/file"}
        assert before - CLOCK < found["deep/file"] < datetime.now(UTC) + CLOCK
        assert set(open_store(place.path()).modified()) == {
            *(f"out/{name}" for name in store.modified()),
            "out-2/other",
        }

    def test_newest_is_of_all_files_below(self, store):
        assert store.newest() is None
        assert store.newest("folder") is None
        before = datetime.now(UTC)
        for name in ("file", "folder/deep/file", "folderly/file"):
            store.put(name, b"")
        assert before - CLOCK < store.newest() < datetime.now(UTC) + CLOCK
        assert before - CLOCK < store.newest("folder") < datetime.now(UTC) + CLOCK
        store.delete("folder/deep/file")
        assert store.newest("folder") is None

    @pytest.mark.parametrize("name", NAMES)
    def test_names_are_taken_as_they_are(self, place, name):
        store = open_store(place.path(name) if "{" not in name else place.path("out"))
        _, absent = store.read(name)
        assert store.swap(name, b"first", absent)
        data, version = store.read(name)
        assert data == store.get(name) == b"first"
        assert store.swap(name, b"second", version)
        assert not store.swap(name, b"third", version)
        assert store.files() == {name: 6}
        assert len(place.files()) == 1
        assert store.newest() is not None


def test_processes_that_count_together_lose_no_step(place):
    command = [sys.executable, "-c", COUNT, f"{place.url}/out", place.conn_id]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "cwd": Path(__file__).parents[2], "text": True}
    processes = [subprocess.Popen([*command, me], **pipes) for me in "ab"]
    for process in processes:
        # Airflow may print before.
        while process.stdout.readline() not in ("\n", ""):
            pass
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=120)
        assert process.returncode == 0
    (data,) = place.files().values()
    assert int(data.split()[0]) == 40
