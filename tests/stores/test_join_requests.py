"""What putting files together sends to object stores: no bytes that are there already, and few requests."""

from __future__ import annotations

import pytest

from airflow_provider_honeyhive.exceptions import DestinationAccessError
from airflow_provider_honeyhive.storage.paths import open_store

from .places import make_bucket
from .test_join import MIB, RANDOM, made

#: Of requests and answers themselves, each.
OVERHEAD = 3_000


class Traffic:
    """What goes through a gate from now on."""

    def __init__(self, gate) -> None:
        self._gate = gate
        self._before = len(gate.requests), gate.uploaded, gate.downloaded

    @property
    def requests(self) -> list[tuple[str, str]]:
        return self._gate.requests[self._before[0] :]

    @property
    def uploaded(self) -> int:
        return self._gate.uploaded - self._before[1]

    @property
    def downloaded(self) -> int:
        return self._gate.downloaded - self._before[2]


@pytest.fixture
def store(bucket):
    return open_store(bucket.path("out"))


@pytest.mark.parametrize(
    ("plan", "carried", "read", "requests"),
    [
        # Sizes in MiB that go up, and come down: both only on S3, where a small piece meets a large one; and requests.
        ("S6 S7 S9", (0, 0, 0), 0, (5, 1, 4)),
        ("S6 L1", (1, 1, 1), 0, (4, 3, 3)),
        ("S6 L6 S6 L6", (12, 12, 12), 0, (6, 5, 5)),
        ("L1 S12", (5, 1, 1), 4, (5, 3, 3)),
        ("S1 S12", (5, 0, 0), 5, (6, 1, 3)),
        ("S12", (0, 0, 0), 0, (1, 1, 2)),
        ("L1 L2", (3, 3, 3), 0, (1, 1, 1)),
        ("L9", (9, 9, 9), 0, (4, 3, 3)),
    ],
)
def test_bytes_that_the_store_has_do_not_travel_again(request, store, bucket, plan, carried, read, requests):
    which = ["s3", "gcs", "azure"].index(bucket.conn_id)
    pieces, content = made(store, plan)
    traffic = Traffic(bucket.gate)
    store.join("file", pieces)
    slack = OVERHEAD * (1 + len(traffic.requests))
    assert carried[which] * MIB <= traffic.uploaded <= carried[which] * MIB + slack
    most_read = read * MIB if bucket.conn_id == "s3" else 0
    assert most_read <= traffic.downloaded <= most_read + slack
    # Temporary objects are deleted, a request for each.
    assert len(traffic.requests) <= requests[which], traffic.requests
    assert b"".join(store.chunks("file")) == content


def test_many_pieces_take_about_a_request_each(store, bucket):
    pieces, content = made(store, "S5 " * 10 if bucket.conn_id == "s3" else "S0.1 " * 40)
    traffic = Traffic(bucket.gate)
    store.join("file", pieces)
    # S3: begin, complete, and one for each; Google: of 40 pieces 9 first, which are deleted; Azure: a receipt of each.
    assert len(traffic.requests) <= {"s3": 12, "gcs": 3, "azure": 41}[bucket.conn_id]
    assert traffic.uploaded < OVERHEAD * len(traffic.requests) * 2
    assert b"".join(store.chunks("file")) == content


@pytest.mark.parametrize("size", [0, 10, 8 * MIB - 1])
def test_a_small_file_goes_up_in_one_request(store, bucket, size):
    traffic = Traffic(bucket.gate)
    with store.create("file") as sink:
        sink.write(RANDOM[:size])
    assert len(traffic.requests) == 1
    assert store.files() == {"file": size}


@pytest.mark.parametrize("piece_of", [None, "whole"])
@pytest.mark.parametrize("size", [8 * MIB, 20 * MIB, 24 * MIB + 1])
def test_a_large_file_goes_up_in_a_request_per_8_mib_and_two_more(store, bucket, size, piece_of):
    traffic = Traffic(bucket.gate)
    with store.create("file", piece_of=piece_of) as sink:
        for start in range(0, size, 100_000):
            sink.write(RANDOM[start : min(start + 100_000, size)])
    assert len(traffic.requests) <= 2 - (-size // (8 * MIB))
    assert traffic.uploaded < size + OVERHEAD * len(traffic.requests)
    assert store.files() == {"file": size}


@pytest.mark.parametrize(
    "act",
    [
        lambda store: store.listing(),
        lambda store: store.listing("never"),
        lambda store: store.modified(),
        lambda store: store.modified("never"),
        lambda store: store.get("source"),
        lambda store: list(store.chunks("source", 0, 4)),
        lambda store: store.copy("source", "target"),
        lambda store: store.put("target", b""),
        lambda store: store.delete("source"),
    ],
    ids=["list", "list nothing", "times", "times of nothing", "get", "chunks", "copy", "put", "delete"],
)
def test_nothing_is_asked_that_need_not_be(store, bucket, act):
    store.put("source", b"data")
    traffic = Traffic(bucket.gate)
    act(store)
    assert len(traffic.requests) == 1


def test_a_file_of_unknown_size_is_looked_at_once(store, bucket):
    store.put("source", b"data")
    traffic = Traffic(bucket.gate)
    assert list(store.chunks("source")) == [b"data"]
    assert len(traffic.requests) == 2


def test_s3_deletes_a_thousand_objects_in_a_request(server_of):
    bucket = make_bucket(server_of("s3"), "s3")
    store = open_store(bucket.path("out"))
    store.put("file", b"")
    store.put("other", b"")
    traffic = Traffic(bucket.gate)
    store.delete_all([*(f"never-{number}" for number in range(1_500)), "file", "other"])
    assert [method for method, _ in traffic.requests] == ["POST", "POST"]
    assert store.files() == {}


def test_a_denied_deletion_of_many_is_told(store, bucket):
    for name in ("a", "b"):
        store.put(name, b"")
    bucket.gate.deny = lambda method, target, _: 403 if method == "DELETE" or target.endswith("?delete") else None
    with pytest.raises(DestinationAccessError, match="^access denied: allow (.*delete|s3:Delete)"):
        store.delete_all(["a", "b"])
    bucket.gate.let_all_through()
    assert store.files() == {"a": 0, "b": 0}


def test_a_join_that_is_refused_at_any_step_shows_nothing_and_can_be_repeated(store, bucket):
    store.put("file", b"earlier")
    pieces, content = made(store, "S6 L1 S9 L2 S6")
    before = bucket.names()
    for step in range(1, 20):
        first = bucket.gate.writes
        bucket.gate.refuse(step, step + 1)
        try:
            store.join("file", pieces)
        except DestinationAccessError as error:
            said = str(error)
        else:
            break
        bucket.gate.let_all_through()
        assert f"cannot write {bucket.url}/out/" in said.replace("create", "write")
        assert bucket.server.secret not in said
        assert store.get("file") == b"earlier"
        assert bucket.names() == before
        assert bucket.uploads() == []
    bucket.gate.let_all_through()
    # Of Google, what deletes temporary objects may be refused.
    assert step > (bucket.gate.writes - first) - (2 if bucket.conn_id == "gcs" else 0)
    assert b"".join(store.chunks("file")) == content
