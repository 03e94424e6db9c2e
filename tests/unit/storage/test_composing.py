"""How Google's objects are put together in rounds, and Azure's in blocks, without a server."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_honeyhive.exceptions import DestinationError
from airflow_provider_honeyhive.storage.azure_blocks import Block, BlockList, Receipt, extents_of
from airflow_provider_honeyhive.storage.gcs import MOST_COMPOSED, _groups, _ResumableUpload
from airflow_provider_honeyhive.storage.uploads import BlockFile, Body, SmallFirst


@pytest.mark.parametrize(
    ("count", "rounds"), [(1, 0), (32, 0), (33, 1), (63, 1), (64, 1), (1024, 1), (1025, 2), (5000, 2)]
)
def test_objects_are_grouped_in_order_until_few_enough_are_left(count, rounds):
    names = [f"{number}," for number in range(count)]
    taken = 0
    while len(names) > MOST_COMPOSED:
        groups = list(_groups(names))
        assert all(0 < len(group) <= MOST_COMPOSED for group in groups)
        names = ["".join(group) for group in groups]
        taken += 1
    assert taken == rounds
    assert "".join(names) == "".join(f"{number}," for number in range(count))


def test_no_more_is_composed_than_leaves_few_enough():
    groups = list(_groups([str(number) for number in range(40)]))
    assert [len(group) for group in groups] == [9] + [1] * 31


class Upload:
    """Keeps what is sent, and what it was made of in the end."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.completed: list[int] | None = None
        self.discarded = False

    def send(self, number: int, body: Body) -> int:
        self.sent.append(body.read())
        return number

    def complete(self, sent: list[int]) -> None:
        self.completed = sent

    def discard(self) -> None:
        self.discarded = True


class Google:
    """Takes no more bytes of a request than it is told to, and says how many it has."""

    _location = "http://store"

    def __init__(self, takes: list[int]) -> None:
        self.content = b""
        self.size: int | None = None
        self.requests = 0
        self._takes = takes

    def split_path(self, key: str) -> tuple[str, str, None]:
        return (*key.split("/", 1), None)

    def call(self, method: str, path: str, headers: dict[str, str], data: Any = None, **_: Any) -> Any:
        if path != "upload":
            return {"Location": "upload"}, b""
        self.requests += 1
        if data is not None:
            data.seek(0)  # as the driver does
        body = data.read() if data else b""
        assert headers["Content-Length"] == str(len(body))
        span, _, total = headers["Content-Range"].removeprefix("bytes ").partition("/")
        if body:
            assert span == f"{len(self.content)}-{len(self.content) + len(body) - 1}"
            self.content += body[: self._takes.pop(0) if self._takes else len(body)]
        if total != "*" and len(self.content) == int(total):
            self.size = int(total)
            return {}, b"{}"
        return ({"Range": f"bytes=0-{len(self.content) - 1}"} if self.content else {}), b""


@pytest.mark.parametrize(
    ("size", "takes", "requests"),
    [(10, [], 2), (25, [], 3), (20, [], 3), (25, [4], 4), (25, [10, 3, 4], 5), (25, [10, 10, 2], 4)],
)
def test_google_gets_again_what_it_has_not_taken_of_a_block(size, takes, requests):
    google = Google(takes)
    file = BlockFile(lambda: _ResumableUpload(google, "bucket/file", 10), None, 10)
    content = bytes(range(size))
    file.write(content)
    assert google.size is None
    file.close()
    assert (google.content, google.size, google.requests) == (content, size, requests)


@pytest.mark.parametrize("takes", [[0], [10, 0], [10, 10, 0]])
def test_an_upload_fails_where_google_takes_nothing(takes):
    file = BlockFile(lambda: _ResumableUpload(Google(takes), "bucket/file", 10), None, 10)

    def write() -> None:
        file.write(bytes(25))
        file.close()

    with pytest.raises(ValueError, match="the store has taken nothing of block"):
        write()


@pytest.mark.parametrize("size", [20, 25])
def test_an_upload_that_google_has_lost_before_its_end_is_not_taken_for_whole(size):
    class Forgetful(Google):
        def call(self, method: str, path: str, headers: dict[str, str], data: Any = None, **others: Any) -> Any:
            is_end = "*" not in headers.get("Content-Range", "/*").partition("/")[2]
            # The status 308 without a range: not a single byte is stored.
            return ({}, b"") if is_end else super().call(method, path, headers, data, **others)

    file = BlockFile(lambda: _ResumableUpload(Forgetful([]), "bucket/file", 10), None, 10)
    file.write(bytes(size))
    with pytest.raises(ValueError, match="the store has (taken nothing of block 3|lost blocks of the upload)"):
        file.close()


@pytest.mark.parametrize("takes_small", [True, False])
@pytest.mark.parametrize("sizes", [[], [5], [9], [10], [3, 25, 0, 12, 1], [20], [9, 100]])
def test_a_block_file_sends_whole_blocks_and_little_at_once(sizes, takes_small):
    upload, small = Upload(), list[bytes]()
    file = BlockFile(lambda: upload, (lambda body: small.append(body.read())) if takes_small else None, 10)
    content = [bytes([number]) * size for number, size in enumerate(sizes)]
    for data in content:
        file.write(data)
    file.close()
    assert b"".join(small + upload.sent) == b"".join(content)
    if takes_small and sum(sizes) < 10:
        assert (len(small), upload.completed) == (1, None)
    else:
        assert [len(block) for block in upload.sent[:-1]] == [10] * len(upload.sent[:-1])
        assert (small, upload.completed) == ([], list(range(1, len(upload.sent) + 1)))


def test_a_block_file_that_was_aborted_sends_and_completes_nothing_more():
    upload = Upload()
    file = BlockFile(lambda: upload, None, 10)
    file.write(bytes(15))
    file.discard()
    for attempt in (lambda: file.write(bytes(15)), file.close):
        with pytest.raises(ValueError, match="aborted"):
            attempt()
    assert (len(upload.sent), upload.completed, upload.discarded) == (1, None, True)


def test_a_block_file_that_is_aborted_while_it_sends_its_last_block_is_not_completed():
    class Aborted(Upload):
        def send(self, number: int, body: Body) -> int:
            file.discard()
            return super().send(number, body)

    upload = Aborted()
    file = BlockFile(lambda: upload, None, 10)
    file.write(b"1")
    with pytest.raises(ValueError, match="aborted"):
        file.close()
    assert upload.completed is None


def test_a_body_can_be_read_again_after_a_driver_has_closed_it():
    with Body() as body:
        for data in (b"abc", b"de"):
            body.append(memoryview(data))
        body.seek(0)
        assert body.read(2) == b"ab"
        body.close()
        body.seek(0)
        assert (body.read(), body.tell(), body.size_bytes) == (b"abcde", 5, 5)
        body.drop(4)
        body.append(memoryview(b"f"))
        body.seek(0)
        assert (body.read(), body.size_bytes) == (b"ef", 2)


def test_the_names_of_a_writers_blocks_are_of_one_length_and_its_own():
    names = [
        upload.send(number, Body()).id
        for upload in (BlockList(lambda *_: None, lambda _: None) for _ in range(2))
        for number in (1, 10)
    ]
    assert len(set(names)) == 4
    assert {len(name) for name in names} == {32}


def test_blocks_are_found_where_they_are_and_a_missing_one_is_noticed():
    there = [Block("a", 3), Block("b", 5), Block("c", 2)]
    assert extents_of([there[2], there[0]], there) == [(8, 2), (0, 3)]
    assert extents_of([], there) == []
    assert extents_of([there[0], Block("d", 1)], there) is None


def test_a_receipt_says_what_it_was_told():
    receipt = Receipt("bucket/file", [Block("a", 3), Block("b", 5)])
    assert Receipt.load(receipt.dump(), "where") == receipt
    assert receipt.metadata == {"piece_size": "8"}
    for data in (b"", b"[]", b"{}", b'{"blob": "x", "blocks": [1]}', b"\xff"):
        with pytest.raises(DestinationError, match="^remove a file that is no piece .*\nwhere does not say"):
            Receipt.load(data, "where")


@pytest.mark.parametrize("sizes", [[], [5], [9], [10], [3, 3, 3], [3, 3, 3, 3], [100], [9, 100]])
def test_what_is_less_than_a_block_goes_out_at_once_and_all_else_by_the_driver(sizes):
    small: list[bytes] = []
    large: list[bytes] = []

    class Driver:
        closed = False

        def write(self, data: bytes) -> None:
            large.append(bytes(data))

        def close(self) -> None:
            large.append(b".")

    file = SmallFirst(Driver, small.append, 10)
    content = [bytes([number]) * size for number, size in enumerate(sizes)]
    for data in content:
        file.write(data)
    file.close()
    if sum(sizes) < 10:
        assert (small, large) == ([b"".join(content)], [])
    else:
        assert (small, b"".join(large)) == ([], b"".join(content) + b".")
