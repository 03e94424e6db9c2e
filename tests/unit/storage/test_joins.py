"""Pieces put together where it needs no Airflow: locally, in memory and on S3; and the parts that S3 takes."""

from __future__ import annotations

from functools import wraps
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from airflow_provider_honeyhive.exceptions import DestinationError
from airflow_provider_honeyhive.storage import s3 as s3_store
from airflow_provider_honeyhive.storage.base import StoredPiece
from airflow_provider_honeyhive.storage.paths import open_store
from airflow_provider_honeyhive.storage.s3_parts import LARGEST_COPY, SMALLEST_PART, parts_of
from tests.stores import test_join
from tests.stores.test_join import MIB, Held, made
from tests.unit.storage.test_stores import bucket, s3  # noqa: F401 - fixtures
from tests.unit.storage.test_swap import folder, memory, quick_leases  # noqa: F401 - fixtures

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.storage.test_stores import Bucket, Folder


class TestJoin(test_join.TestJoin):
    """On the local disk and on S3."""

    @pytest.fixture(params=["folder", "bucket"])
    def place(self, request: pytest.FixtureRequest) -> Folder | Bucket:
        return request.getfixturevalue(request.param)


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Bucket:
    """Give a bucket on S3."""
    return request.getfixturevalue("bucket")


def test_stores_that_cannot_join_write_all_bytes_anew(request):
    store = open_store(request.getfixturevalue("memory").path("out"))
    pieces, content = made(store, "S6 L1 S0 S1 L10")
    store.join("file", pieces)
    assert not store.joins
    assert b"".join(store.chunks("file")) == content
    store.delete_all(["file", "never"])
    assert store.listing() == ({}, ["pieces"])


def pieces_of(plan: str) -> list[Any]:
    """Return pieces without bytes: ``S`` in the store and ``L`` local, each with a size in MiB."""
    sizes = [(word[0], int(float(word[1:]) * MIB)) for word in plan.split()]
    return [
        StoredPiece(f"{number}", size) if kind == "S" else SimpleNamespace(name=f"{number}", size_bytes=size)
        for number, (kind, size) in enumerate(sizes)
    ]


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        ("", ""),
        ("S0 L0", ""),
        ("S1", "copy"),
        ("S5 S5 S1", "copy copy copy"),
        ("L1 S9 S9", "5 copy4-9 copy"),
        ("L1 S10 S9", "5 copy4-10 copy"),
        ("L1 S8.5", "5 copy4-8.5"),
        ("L1 S8.5 S5", "9.5 copy"),
        ("L1 S4.5", "5.5"),
        ("L4 S5", "9"),
        ("L4 S5.5", "5 copy1-5.5"),
        ("S1 S1 S5 S5", "7 copy"),
        ("L20 S5 L0.5", "10 10 copy 0.5"),
        ("L9 L9 L9", "9 9 9"),
        ("S12288 L1", "copy0-4096 copy4096-8192 copy8192-12288 1"),
    ],
)
def test_parts_copy_what_they_can_and_none_is_too_small(plan, expected):
    def shown(part: Any) -> str:
        size = sum(extent.size_bytes for extent in part.extents) / MIB
        if part.source is None:
            return f"{size:g}"
        (extent,) = part.extents
        return "copy" if extent.is_whole else f"copy{extent.start / MIB:g}-{extent.stop / MIB:g}"

    assert " ".join(map(shown, parts_of(pieces_of(plan)))) == expected


def test_parts_of_any_pieces_are_all_their_bytes_in_order():
    sizes = (0, 1, SMALLEST_PART - 1, SMALLEST_PART, SMALLEST_PART + 1, 2 * SMALLEST_PART, LARGEST_COPY + 1)
    for first in sizes:
        for second in sizes:
            for third in sizes:
                for kinds in ("SSS", "LSS", "SLS", "LSL", "SSL"):
                    words = zip(kinds, (first, second, third), strict=True)
                    pieces = pieces_of(" ".join(f"{kind}{size / MIB:.12f}" for kind, size in words))
                    check_parts(pieces)


def check_parts(pieces: list[Any]) -> None:
    parts = parts_of(pieces)
    extents = [extent for part in parts for extent in part.extents]
    seen: dict[str, int] = {}
    for extent in extents:
        assert seen.get(extent.piece.name, 0) == extent.start < extent.stop
        seen[extent.piece.name] = extent.stop
    assert list(seen.items()) == [(piece.name, piece.size_bytes) for piece in pieces if piece.size_bytes]
    for part in parts:
        size = sum(extent.size_bytes for extent in part.extents)
        assert part is parts[-1] or size >= SMALLEST_PART
        if part.source is not None:
            assert size <= LARGEST_COPY
            assert part.extents[0].is_whole or part.source.size_bytes > SMALLEST_PART


def refusing(monkeypatch: pytest.MonkeyPatch, store: Any, refused: str, code: str) -> list[str]:
    """Let a store refuse one kind of request, and return a list of all that it gets from now on."""
    methods: list[str] = []
    call_s3: Callable[..., Any] = store._fs._call_s3

    async def call(method: str, *args: Any, **kwargs: Any) -> Any:
        methods.append(method)
        if method == refused and not (method == "copy_object" and methods.count(method) > 1):
            raise OSError(code) from ClientError({"Error": {"Code": code}}, method)
        return await call_s3(method, *args, **kwargs)

    monkeypatch.setattr(type(store._fs), "_call_s3", lambda _fs, *args, **kwargs: call(*args, **kwargs))
    monkeypatch.setattr(
        type(store._fs), "call_s3", lambda fs, *args, **kwargs: store._run(call, *args, **kwargs), raising=False
    )
    return methods


def test_a_store_that_copies_no_parts_gets_all_bytes_anew(place, monkeypatch):
    store = open_store(place.path("out"))
    pieces, content = made(store, "S6 L1 S6")
    refusing(monkeypatch, store, "upload_part_copy", "NotImplemented")
    store.join("file", pieces)
    assert place.files()["out/file"] == content
    assert place.uploads() == []


def test_a_store_that_deletes_one_object_at_a_time_is_asked_so(place, monkeypatch):
    store = open_store(place.path("out"))
    for name in ("a", "b"):
        store.put(name, b"")
    methods = refusing(monkeypatch, store, "delete_objects", "NotImplemented")
    store.delete_all(["a", "b"])
    assert methods == ["delete_objects", "delete_object", "delete_object"]
    assert place.names() == set()


def test_an_object_too_large_for_one_copy_is_copied_in_parts(place, monkeypatch):
    store = open_store(place.path("out"))
    store.put("source", b"data")
    methods = refusing(monkeypatch, store, "copy_object", "InvalidRequest")
    store.copy("source", "target")
    assert methods == ["copy_object", "head_object", "copy_object"]
    assert store.get("target") == b"data"


def test_where_all_parts_must_have_the_same_size_nothing_is_joined_by_the_store(place):
    path = place.path("out")
    fs = type(path.fs)(**path.fs.storage_options, fixed_upload_size=True)
    store = s3_store.S3Store(fs, path.path, str(path))
    assert open_store(path).joins
    assert not store.joins
    pieces, content = made(store, "S6 L1 S6")
    store.join("file", pieces)
    assert place.files()["out/file"] == content


def test_a_file_of_too_many_parts_is_refused(place, monkeypatch):
    monkeypatch.setattr(s3_store, "MOST_PARTS", 2)
    store = open_store(place.path("out"))
    pieces, _ = made(store, "S6 S6 S6")
    with pytest.raises(
        DestinationError, match="^give a smaller max_file_size: .*/out/file would have more than 2 parts"
    ):
        store.join("file", pieces)
    store.join("file", [*pieces[:2], Held(b"")])
    assert place.uploads() == []


@pytest.mark.parametrize("size", [1000, 9 * MIB])
def test_what_the_driver_sends_once_more_it_reads_from_its_beginning(place, size, monkeypatch):
    store = open_store(place.path("out"))
    begun: list[str] = []

    def busy(call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        async def breaks_off_first(**given: Any) -> Any:
            begun.append(call.__name__)
            if len(begun) == 1:
                given["Body"].read(100)
                raise ClientError({"Error": {"Code": "SlowDown"}}, call.__name__)
            return await call(**given)

        return breaks_off_first

    store.files()  # lets the driver make its client
    client = store._fs._s3
    for method in ("put_object", "upload_part"):
        monkeypatch.setattr(client, method, busy(getattr(client, method)), raising=False)
    content = bytes(range(250)) * (size // 250)
    with store.create("file") as sink:
        sink.write(content)
    assert len(begun) > 1
    assert place.files()["out/file"] == content
