"""Files put together of pieces: ``Store.join``; and what goes with it, ``delete_all`` and ``listing``."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from airflow_provider_honeyhive.exceptions import DestinationError
from airflow_provider_honeyhive.storage.base import StoredPiece
from airflow_provider_honeyhive.storage.paths import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_honeyhive.storage.base import Piece, Store

    from .places import Place

MIB = 1024**2
#: What the smallest part of an upload to S3 has.
PART = 5 * MIB
#: More than any test needs; pieces are cut out of it.
RANDOM = os.urandom(32 * MIB)
#: Of requests and answers themselves, per request.
OVERHEAD = 5_000


@dataclass
class Held:
    """A piece in memory, given out in chunks of no round size."""

    data: bytes

    @property
    def size_bytes(self) -> int:
        return len(self.data)

    def chunks(self) -> Iterator[bytes]:
        for start in range(0, len(self.data), 1_000_003):
            yield self.data[start : start + 1_000_003]


def store_piece(store: Store, name: str, data: bytes, whole: str = "file") -> StoredPiece:
    with store.create(name, piece_of=whole) as sink:
        for start in range(0, len(data), 3 * MIB):
            sink.write(data[start : start + 3 * MIB])
    return StoredPiece(name, len(data))


def made(store: Store, plan: str) -> tuple[list[Piece], bytes]:
    """Make pieces, ``S`` in the store and ``L`` local, each with a size in MiB or in bytes; return also all bytes."""
    pieces: list[Piece] = []
    content = b""
    for number, word in enumerate(plan.split()):
        size = int(word[1:-1]) if word.endswith("b") else int(float(word[1:]) * MIB)
        start = (number * 777_777) % MIB
        data = RANDOM[start : start + size]
        pieces.append(store_piece(store, f"pieces/{number}", data) if word[0] == "S" else Held(data))
        content += data
    return pieces, content


PLANS = {
    "nothing": "",
    "empty ones": "S0b L0b S0b",
    "one local": "L0.1",
    "one stored": "S0.1",
    "one large stored": "S9",
    "local ones": "L0.1 L6 L0b L10b",
    "small stored ones": "S1 S2 S10b",
    "stored ones": "S5 S6 S0b S20",
    "small ones before a large one": "L0.5 S1 S8",
    "small ones before one that is large only just": "S1 S5 S5",
    "small ones after a large one": "S6 L0.5 S1",
    "large and small ones in turn": "L3b S6 L3b S11 L3b S6 S3b",
    "more carried than a part": "S6 L9 L9 S6",
    "around the smallest part": f"S{PART - 1}b S{PART}b S{PART + 1}b S{PART}b L1b S{PART}b",
    "the last one hardly borrowed from": f"L2 S{PART}b",
    "many": " ".join(["S5 L7b"] * 3 + ["S9b L2b"] * 40),
}


class TestJoin:
    """Of every store; what is tested is what a fixture ``place`` gives."""

    @pytest.fixture
    def store(self, place: Place) -> Store:
        return open_store(place.path("out"))

    @pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
    def test_a_joined_file_is_its_pieces_in_order(self, store, place, plan):
        pieces, content = made(store, plan)
        before = place.names() - {"out/file"}
        store.join("file", pieces)
        assert place.files()["out/file"] == content
        assert place.names() == before | {"out/file"}
        assert place.uploads() == []
        assert store.files() == {"file": len(content)}

    def test_what_was_there_is_replaced_as_a_whole(self, store):
        store.put("file", b"earlier")
        pieces, content = made(store, "S6 L1 S6 L1")
        assert store.get("file") == b"earlier"
        store.join("file", pieces)
        assert b"".join(store.chunks("file")) == content
        # Once more, as after an answer that was lost.
        store.join("file", pieces)
        assert b"".join(store.chunks("file")) == content

    def test_pieces_are_listed_with_their_sizes_and_can_be_deleted(self, store, place):
        pieces, content = made(store, "S0b S1 S9")
        assert store.files("pieces") == {"0": 0, "1": MIB, "2": 9 * MIB}
        assert place.names() == {"out/pieces/0", "out/pieces/1", "out/pieces/2"}
        assert store.files() == {}
        store.join("file", pieces)
        assert store.files("pieces") == {"0": 0, "1": MIB, "2": 9 * MIB}
        store.delete_all(piece.name for piece in pieces)
        assert place.names() == {"out/file"}
        assert b"".join(store.chunks("file")) == content

    @pytest.mark.parametrize("size", [0, 10, 9 * MIB])
    def test_an_exception_inside_a_piece_leaves_none(self, store, place, size):
        def fail() -> None:
            with store.create("piece", piece_of="file") as sink:
                sink.write(RANDOM[:size])
                raise KeyError

        with pytest.raises(KeyError):
            fail()
        assert place.names() == set()
        assert place.uploads() == []

    def test_a_piece_that_is_being_written_can_be_aborted_by_others(self, store, place):
        def abort() -> None:
            with store.create("piece", piece_of="file") as sink:
                sink.write(RANDOM[: 9 * MIB])
                store.abort()

        with pytest.raises(DestinationError):
            abort()
        assert place.names() == set()
        assert place.uploads() == []

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
    def test_a_local_piece_that_cannot_be_read_leaves_the_earlier_file(self, store, place, error):
        class Failing(Held):
            def chunks(self) -> Iterator[bytes]:
                yield self.data[:10]
                raise error

        store.put("file", b"earlier")
        pieces, _ = made(store, "S6 L1 S6 S6")
        before = place.names()
        with pytest.raises(error):
            store.join("file", [*pieces[:2], Failing(RANDOM[: 6 * MIB]), *pieces[2:]])
        assert store.get("file") == b"earlier"
        assert place.names() == before
        assert place.uploads() == []

    @pytest.mark.parametrize("plan", ["", "S6"])
    def test_a_local_piece_that_lost_bytes_is_told(self, store, place, plan):
        class Short(Held):
            def chunks(self) -> Iterator[bytes]:
                yield self.data[1:]

        store.put("file", b"earlier")
        pieces, _ = made(store, plan)
        before = place.names()
        with pytest.raises(DestinationError, match=r"^try again, .*\nit has 1,048,575 bytes, not 1,048,576"):
            store.join("file", [*pieces, Short(RANDOM[:MIB])])
        assert store.get("file") == b"earlier"
        assert place.names() == before
        assert place.uploads() == []

    def test_a_join_that_others_abort_leaves_the_earlier_file(self, store, place):
        class Aborting(Held):
            def chunks(self) -> Iterator[bytes]:
                store.abort()
                return super().chunks()

        store.put("file", b"earlier")
        pieces, _ = made(store, "S6 S6")
        before = place.names()
        with pytest.raises(DestinationError):
            store.join("file", [*pieces, Aborting(RANDOM[: 6 * MIB])])
        assert store.get("file") == b"earlier"
        assert place.names() == before
        assert place.uploads() == []

    def test_a_piece_that_is_not_there_leaves_the_earlier_file(self, store, place):
        store.put("file", b"earlier")
        pieces, _ = made(store, "S6 L1 S6 S6")
        before = place.names()
        with pytest.raises(DestinationError, match="cannot (read|write) .*/out/(file|pieces/never)"):
            store.join("file", [*pieces, StoredPiece("pieces/never", 6 * MIB)])
        assert store.get("file") == b"earlier"
        assert place.names() == before
        assert place.uploads() == []

    def test_two_writers_join_their_own_pieces_at_the_same_time(self, store, place):
        contents = {}

        def write(writer: int) -> None:
            mine = open_store(place.path("out"))
            data = RANDOM[writer : 6 * MIB + writer]
            pieces = [store_piece(mine, f"{writer}/{number}", data, f"file-{writer}") for number in range(2)]
            pieces.insert(1, Held(b"%d" % writer))
            mine.join(f"file-{writer}", pieces)
            contents[f"file-{writer}"] = data + b"%d" % writer + data

        threads = [threading.Thread(target=write, args=(writer,)) for writer in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {name: b"".join(store.chunks(name)) for name in store.files()} == contents

    def test_what_a_killed_writer_has_stored_can_be_joined_by_another_one_into_another_file(self, store, place):
        pieces, content = made(store, "S6 S1 S6")
        other = open_store(place.path("out"))
        other.join("other", [*pieces[:2], Held(b"between"), pieces[2]])
        assert b"".join(other.chunks("other")) == content[: 7 * MIB] + b"between" + content[7 * MIB :]
        # Azure reads blocks only of a file that shows.
        assert other.files().keys() - {"file"} == {"other"}

    def test_all_are_deleted_those_that_are_not_there_included(self, store, place):
        for number in range(12):
            store.put(f"{number % 3}/ä & <{number}>", b"x")
        store.put("stays", b"x")
        store.delete_all([*(f"{number % 3}/ä & <{number}>" for number in range(12)), "never", "0/never"])
        assert place.names() == {"out/stays"}
        store.delete_all([])
        with pytest.raises(DestinationError, match="cannot be the name of a file"):
            store.delete_all(["stays", "../stays"])

    def test_a_listing_is_of_files_and_folders(self, store):
        assert store.listing() == ({}, [])
        for name in ("b", "folder/c", "folder/deep/d", "other/e"):
            store.put(name, name.encode())
        files, folders = store.listing()
        assert (files, sorted(folders)) == ({"b": 1}, ["folder", "other"])
        assert store.listing("folder") == ({"c": 8}, ["deep"])
        assert store.listing("never") == ({}, [])
