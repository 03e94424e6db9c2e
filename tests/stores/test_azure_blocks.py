"""Blocks of Azure that wait for being committed, and what becomes of those of a writer that died."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_provider_honeyhive.exceptions import DestinationAccessError, DestinationError
from airflow_provider_honeyhive.storage.base import StoredPiece
from airflow_provider_honeyhive.storage.paths import open_store

from .places import make_bucket
from .test_join import MIB, RANDOM, Held, made, store_piece
from .test_join_requests import OVERHEAD, Traffic

if TYPE_CHECKING:
    from airflow_provider_honeyhive.storage.base import Store


def commit_another(store: Store, name: str) -> None:
    """Write a file of that name, which throws away what was staged on it."""
    with store.create(name) as sink:
        sink.write(RANDOM[: 8 * MIB])


@pytest.fixture
def bucket(server_of):
    return make_bucket(server_of("azure"), "azure")


@pytest.fixture
def store(bucket):
    return open_store(bucket.path("out"))


def test_blocks_that_are_gone_are_told_and_their_pieces_go(store, bucket):
    pieces, _ = made(store, "S6 S1")
    (other,) = [store_piece(store, "other", RANDOM[:10], "elsewhere")]
    commit_another(store, "file")
    with pytest.raises(DestinationError, match=r"^try again, which reads .*\nblocks of .*/out/file are gone") as caught:
        store.join("file", [*pieces, other])
    assert caught.value.retryable
    assert store.files() == {"file": 8 * MIB, "other": 10, "elsewhere": 10}
    assert store.files("pieces") == {}


@pytest.mark.parametrize("there", [True, False])
def test_blocks_that_are_gone_from_another_blob_are_told_and_their_pieces_go(store, bucket, there):
    pieces, _ = made(store, "S6")
    other = store_piece(store, "other", RANDOM[:10], "elsewhere")
    commit_another(store, "elsewhere")
    if not there:
        store.delete("elsewhere")
    with pytest.raises(DestinationError, match=r"^try again, .*\nblocks of abfs://.*/out/elsewhere are gone"):
        store.join("file", [*pieces, other])
    assert store.files("pieces") == {"0": 6 * MIB}
    assert "other" not in store.files()
    assert store.get("file") is None


def test_what_another_writer_staged_travels_once(store, bucket):
    mine, content = made(store, "S6 S1")
    theirs = [store_piece(store, f"{number}", RANDOM[number : 9 * MIB], "dead/file") for number in range(3)]
    pieces = [theirs[0], mine[0], Held(b"between"), theirs[1], theirs[2], mine[1]]
    traffic = Traffic(bucket.gate)
    store.below("").join("file", pieces)
    assert 27 * MIB - 3 <= traffic.downloaded < 27 * MIB + OVERHEAD * len(traffic.requests)
    assert 27 * MIB <= traffic.uploaded < 27 * MIB + OVERHEAD * len(traffic.requests)
    expected = RANDOM[: 9 * MIB], content[: 6 * MIB], b"between", RANDOM[1 : 9 * MIB], RANDOM[2 : 9 * MIB]
    assert b"".join(store.chunks("file")) == b"".join(expected) + content[6 * MIB :]


def test_a_join_that_failed_after_it_made_anothers_blob_readable_can_be_repeated(store, bucket):
    theirs = store_piece(store, "piece", RANDOM[: 9 * MIB], "dead/file")
    bucket.gate.deny = lambda method, target, _: 403 if method == "PUT" and "/out/file?" in target else None
    with pytest.raises(DestinationAccessError):
        store.join("file", [theirs])
    bucket.gate.let_all_through()
    store.join("file", [theirs])
    assert b"".join(store.chunks("file")) == RANDOM[: 9 * MIB]
    assert bucket.names() == {"out/file", "out/piece", "out/dead/file"}


def test_what_another_writer_staged_can_be_joined_again_by_a_third_one(store, bucket):
    pieces = [store_piece(store, "piece", RANDOM[: 9 * MIB], "dead/file"), Held(b"more")]
    for target in ("never published", "file"):
        store.join(target, pieces)
        assert b"".join(store.chunks(target)) == RANDOM[: 9 * MIB] + b"more"


def test_what_is_no_receipt_is_told(store):
    pieces, _ = made(store, "S6")
    store.put("odd", b"[]")
    with pytest.raises(DestinationError, match="^remove a file that is no piece .*\nabfs://.*/out/odd does not say"):
        store.join("file", [*pieces, StoredPiece("odd", 2)])
    assert store.get("file") is None
