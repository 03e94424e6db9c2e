"""What every store must do, whatever it is; the rules of ``stores.Store``, one by one."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from airflow_provider_honeyhive.exceptions import DestinationError
from airflow_provider_honeyhive.storage import base, gcs, s3
from airflow_provider_honeyhive.storage import local as local_store
from airflow_provider_honeyhive.storage import object_store as fsspec_store
from airflow_provider_honeyhive.storage import s3 as s3_store
from airflow_provider_honeyhive.storage.paths import open_store

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_honeyhive.storage.base import Store

    from .places import Place

#: The smallest part of an upload that S3 takes.
BLOCK = 5 * 1024**2
#: More than three parts, and no whole number of anything.
LARGE = os.urandom(3 * BLOCK + 12_345)

NAMES = [
    "with space",
    "ünïcödé-日本-😀",
    "hash#1",
    "percent%41%2F",
    "question?x=1",
    "amper&sand;semi=colon+plus",
    "[bracket]*",
    "quote'\"",
    "{{ brace }}",
    "at@sign:colon,comma",
    "scheduled__2026-11-22T00:00:00+00:00",
    "~tilde!",
    ".hidden",
]


def fail_after(store: Store, name: str, data: bytes, fail: Callable[[], object]) -> None:
    """Write some bytes of a file, then do something that ends it."""
    with store.create(name) as sink:
        sink.write(data)
        fail()


def raising(error: type[BaseException]) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


class TestContract:
    """Of every store; what is tested is what a fixture ``place`` gives."""

    @pytest.fixture(autouse=True)
    def small_blocks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fsspec_store, "UPLOAD_BLOCK", BLOCK)
        monkeypatch.setattr(s3_store, "_BLOCKS_IN_A_PART", 1)

    @pytest.fixture
    def store(self, place: Place) -> Store:
        return open_store(place.path("out"))

    def test_a_created_file_is_what_was_written(self, store, place):
        with store.create("a/file") as sink:
            for start in range(0, len(LARGE), 100_000):
                sink.write(LARGE[start : start + 100_000])
        with store.create("empty"):
            pass
        assert place.files() == {"out/a/file": LARGE, "out/empty": b""}
        assert store.get("a/file") == LARGE

    def test_one_write_may_be_larger_than_a_block(self, store):
        with store.create("file") as sink:
            sink.write(b"first")
            sink.write(LARGE)
        assert store.get("file") == b"first" + LARGE

    def test_a_file_shows_only_when_it_is_whole(self, store, place):
        store.put("file", b"earlier")
        with store.create("file") as sink:
            sink.write(LARGE)
            assert store.get("file") == b"earlier"
            assert {name: size for name, size in store.files().items() if not name.startswith("_")} == {"file": 7}
            assert place.another_fs().cat_file(place.key("out/file")) == b"earlier"
        assert store.get("file") == LARGE

    @pytest.mark.parametrize("size", [0, 10, len(LARGE)])
    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
    def test_an_exception_inside_leaves_no_file(self, store, place, size, error):
        with pytest.raises(error):
            fail_after(store, "file", LARGE[:size], raising(error))
        assert place.names() == set()
        assert place.uploads() == []
        assert store.files() == {}

    def test_an_exception_inside_leaves_the_earlier_file(self, store, place):
        store.put("file", b"earlier")
        with pytest.raises(KeyError):
            fail_after(store, "file", LARGE, raising(KeyError))
        assert place.files() == {"out/file": b"earlier"}

    def test_what_is_being_written_can_be_aborted_by_others(self, store, place):
        store.put("file", b"earlier")
        with pytest.raises(DestinationError):
            fail_after(store, "file", LARGE, store.abort)
        assert place.files() == {"out/file": b"earlier"}
        assert place.uploads() == []

    @pytest.mark.parametrize("size", [10, len(LARGE)])
    def test_whoever_waited_for_others_begins_no_upload_once_all_are_aborted(self, bucket, size):
        store = open_store(bucket.path("out"))
        store.abort()
        with pytest.raises(DestinationError), store.create("file") as sink:
            sink.write(LARGE[:size])
        assert bucket.names() == set()
        assert bucket.uploads() == []

    def test_several_files_can_be_written_at_once(self, store, place):
        def write(number: int) -> None:
            with store.create(f"file-{number}") as sink:
                sink.write(LARGE[number:])

        threads = [threading.Thread(target=write, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert place.files() == {f"out/file-{number}": LARGE[number:] for number in range(3)}

    def test_put_replaces(self, store, place):
        for data in (b"one", b"", b"three"):
            store.put("file", data)
            assert store.get("file") == data
        assert place.files() == {"out/file": b"three"}

    def test_what_is_not_there_is_none_and_empty(self, store):
        assert store.get("file") is None
        assert store.get("folder/file") is None
        assert store.files() == store.files("folder") == {}
        assert store.folders() == []
        with pytest.raises(DestinationError, match="cannot read .*out/file"):
            list(store.chunks("file"))

    @pytest.mark.parametrize(
        ("offset", "length"), [(0, None), (0, 0), (0, 35), (3, 7), (3, 30), (9, 11), (20, 15), (35, None), (35, 0)]
    )
    def test_any_range_of_a_file_can_be_read_in_small_pieces(self, store, monkeypatch, offset, length):
        for module in (fsspec_store, local_store):
            monkeypatch.setattr(module, "READ_BLOCK", 10)
        data = bytes(range(35))
        store.put("file", data)
        pieces = list(store.chunks("file", offset, length))
        assert b"".join(pieces) == data[offset:][:length]
        assert all(0 < len(piece) <= 10 for piece in pieces)

    def test_an_empty_file_has_no_pieces(self, store):
        store.put("file", b"")
        assert list(store.chunks("file")) == []

    @pytest.mark.parametrize(("offset", "length"), [(0, 36), (30, 6), (35, 1), (50, 1)])
    def test_a_range_beyond_the_end_of_a_file_is_an_error(self, store, offset, length):
        store.put("file", bytes(35))
        with pytest.raises(DestinationError, match="out/file"):
            list(store.chunks("file", offset, length))

    @pytest.mark.parametrize("data", [b"", b"small", LARGE], ids=len)
    def test_a_copy_is_the_same_and_replaces(self, store, place, data):
        with store.create("a/source") as sink:
            sink.write(data)
        store.put("target", b"earlier")
        for target in ("target", "new/target"):
            store.copy("a/source", target)
        assert place.files() == {"out/a/source": data, "out/target": data, "out/new/target": data}

    def test_a_copy_of_nothing_leaves_the_target_as_it_was(self, store, place):
        store.put("target", b"earlier")
        with pytest.raises(DestinationError, match="cannot write .*out/target"):
            store.copy("missing", "target")
        assert place.files() == {"out/target": b"earlier"}

    def test_a_copy_outlives_its_source(self, store):
        store.put("source", b"data")
        store.copy("source", "target")
        store.put("source", b"other")
        store.delete("source")
        assert store.get("target") == b"data"

    def test_delete_can_be_repeated(self, store, place):
        store.put("folder/file", b"")
        for name in ("folder/file", "folder/file", "never/there"):
            store.delete(name)
        assert place.names() == set()

    def test_files_and_folders_are_those_right_in_the_folder(self, store, place):
        for name in ("b", "a", "_a", "folder/c", "folder/deep/d", "other/e"):
            store.put(name, name.encode())
        # Neighbours whose names begin alike, and a file of the folder's own name where a store can have one.
        for name in ("out2/f", "out-3", "ou"):
            open_store(place.path()).put(name, b"")
        assert store.files() == {"b": 1, "a": 1, "_a": 2}
        assert store.files("folder") == {"c": 8}
        assert sorted(store.folders()) == ["folder", "other"]
        assert store.folders("folder") == ["deep"]
        assert store.folders("folder/deep") == store.folders("never") == []
        assert set(open_store(place.path()).files()) == {"out-3", "ou"}
        assert sorted(open_store(place.path()).folders()) == ["out", "out2"]
        assert store.files("fold") == store.files("folder/c") == {}

    def test_many_files_are_listed_to_the_last(self, store):
        for number in range(40):
            store.put(f"{number:03}", b"x")
        assert len(store.files()) == 40

    def test_listings_show_what_others_have_done(self, store, place):
        other, root = place.another_fs(), place.key("out")
        store.put("mine", b"12")
        assert store.files() == {"mine": 2}
        other.pipe_file(f"{root}/theirs", b"123")
        other.makedirs(f"{root}/folder", exist_ok=True)
        other.pipe_file(f"{root}/folder/deep", b"1")
        assert store.files() == {"mine": 2, "theirs": 3}
        assert store.files("folder") == {"deep": 1}
        other.pipe_file(f"{root}/mine", b"1234")
        assert store.files() == {"mine": 4, "theirs": 3}
        assert b"".join(store.chunks("mine")) == store.get("mine") == b"1234"
        other.rm_file(f"{root}/mine")
        other.rm_file(f"{root}/folder/deep")
        assert store.files() == {"theirs": 3}
        assert store.files("folder") == {}
        assert store.get("mine") is None

    def test_what_was_listed_as_missing_can_be_read_and_copied_once_it_is_there(self, store, place):
        other, root = place.another_fs(), place.key("out")
        store.put("mine", b"1")
        assert store.files() == {"mine": 1}
        other.pipe_file(f"{root}/theirs", b"123")
        assert b"".join(store.chunks("theirs")) == b"123"
        assert store.files() == {"mine": 1, "theirs": 3}
        other.pipe_file(f"{root}/third", b"1234")
        store.copy("third", "copy")
        assert store.get("copy") == b"1234"

    @pytest.mark.parametrize("name", NAMES)
    def test_names_are_taken_as_they_are(self, place, name):
        store = open_store(place.path(name) if "{" not in name else place.path("out"))
        with store.create(name) as sink:
            sink.write(b"created")
        store.put(f"{name}-put", b"put")
        assert store.swap(f"{name}-new", b"new", store.read(f"{name}-new")[1])
        store.copy(name, f"{name}-copy")
        store.put(f"folder {name}/{name}", b"deep")
        assert store.files() == {name: 7, f"{name}-put": 3, f"{name}-new": 3, f"{name}-copy": 7}
        assert store.folders() == [f"folder {name}"]
        assert store.files(f"folder {name}") == {name: 4}
        assert store.get(f"{name}-copy") == b"".join(store.chunks(name)) == b"created"
        assert store.url(name).endswith(f"/{name}")
        for file in list(store.files()):
            store.delete(file)
        assert store.files() == {}

    @pytest.mark.parametrize("name", ["..", "a/../../up", "a/..", "./a", "a/.", "/a", "a//b", "a/", "a\0b", "a" * 5000])
    def test_names_that_could_lead_out_of_the_folder_are_refused(self, place, name):
        store = open_store(place.path("deep/out"))
        store.put("file", b"mine")
        open_store(place.path("deep")).put("up", b"theirs")
        before = place.files()
        steps: list[Callable[[], object]] = [
            lambda: store.below(name).put("file", b""),
            lambda: fail_after(store, name, b"", lambda: None),
            lambda: store.put(name, b""),
            lambda: store.get(name),
            lambda: store.read(name),
            lambda: store.swap(name, b"", None),
            lambda: list(store.chunks(name)),
            lambda: store.copy(name, "copy"),
            lambda: store.copy("file", name),
            lambda: store.delete(name),
            lambda: store.files(name),
            lambda: store.folders(name),
            lambda: store.modified(name),
        ]
        for step in steps:
            with pytest.raises(DestinationError, match="cannot be the name of a file in a destination"):
                step()
        with suppress(DestinationError):
            store.remove_folder(name)
        assert place.files() == before

    def test_a_store_below_is_the_same_place_by_shorter_names(self, store, place):
        below = store.below("a/b")
        below.put("c/file", b"data")
        assert place.files() == {"out/a/b/c/file": b"data"}
        assert below.url("c/file") == store.url("a/b/c/file")
        assert below.folders() == ["c"]
        assert below.below("c").get("file") == store.get("a/b/c/file") == b"data"
        assert store.links() == below.links() == []

    def test_small_files_have_a_largest_size(self, store, place, monkeypatch):
        for module in (base, gcs, s3):
            monkeypatch.setattr(module, "LARGEST_SMALL_FILE", 1000)
        for size in (0, 1000):
            store.put("file", bytes(size))
            assert store.get("file") == store.read("file")[0] == bytes(size)
        for size in (1001, 100_000):
            with store.create("large") as sink:
                sink.write(bytes(size))
            for read in (store.get, store.read):
                with pytest.raises(DestinationError, match=r"out/large is too large: .* at most 1000 bytes"):
                    read("large")
            assert len(b"".join(store.chunks("large"))) == size
            with pytest.raises(DestinationError, match="out/file is too large"):
                store.put("file", bytes(size))
            with pytest.raises(DestinationError, match="out/file is too large"):
                store.swap("file", bytes(size), store.read("file")[1])
        assert place.files()["out/file"] == bytes(1000)

    def test_urls_are_as_a_user_writes_them(self, store, place):
        assert store.url() == f"{place.shown_url}/out"
        assert store.url("a/b") == f"{place.shown_url}/out/a/b"

    def test_a_removed_folder_is_gone_and_a_full_one_stays(self, store, place):
        store.put("full/file", b"")
        store.put("empty/file", b"")
        store.delete("empty/file")
        store.remove_folder("full")
        store.remove_folder("empty")
        store.remove_folder("never")
        assert store.folders() == ["full"]
        assert place.names() == {"out/full/file"}
        store.remove_folder()
        assert place.names() == {"out/full/file"}
