"""The store far away keeps what a client of S3 gives it, and notes what it was asked."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
import requests

from benchmarks.far_store import SMALLEST_PART, FarStore, Line, Stored, byte_range
from benchmarks.object_stores import ObjectStore, s3_options

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FAST = 1e12


@pytest.fixture
def server() -> Iterator[FarStore]:
    with FarStore(latency=0, rate=FAST) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def store(server: FarStore) -> ObjectStore:
    return ObjectStore("s3", "s3", s3_options(server.url, "key", "secret"))


@pytest.fixture
def s3(store: ObjectStore) -> Any:
    fs = store._fs()
    fs.mkdir("bucket")
    return fs


def test_objects_are_written_read_listed_and_removed(s3: Any) -> None:
    s3.pipe_file("bucket/a/one", b"first")
    s3.pipe_file("bucket/a/two", b"second")
    assert s3.find("bucket") == ["bucket/a/one", "bucket/a/two"]
    assert s3.ls("bucket", detail=False) == ["bucket/a"]
    assert s3.cat_file("bucket/a/two", start=1, end=4) == b"eco"
    s3.rm(["bucket/a/one"])
    assert s3.find("bucket", refresh=True) == ["bucket/a/two"]
    with pytest.raises(FileNotFoundError):
        s3.cat_file("bucket/a/one")


def test_parts_and_ranges_of_objects_become_one_object(s3: Any) -> None:
    body = bytes(range(256)) * (SMALLEST_PART // 256)
    s3.pipe_file("bucket/source", body)
    place = {"Bucket": "bucket", "Key": "whole"}
    upload = s3.call_s3("create_multipart_upload", **place)["UploadId"]
    parts = [
        s3.call_s3("upload_part", **place, UploadId=upload, PartNumber=1, Body=body)["ETag"],
        s3.call_s3(
            "upload_part_copy",
            **place,
            UploadId=upload,
            PartNumber=2,
            CopySource="bucket/source",
            CopySourceRange="bytes=10-19",
        )["CopyPartResult"]["ETag"],
    ]
    assert s3.find("bucket") == ["bucket/source"]
    listed = [{"ETag": etag, "PartNumber": number} for number, etag in enumerate(parts, 1)]
    s3.call_s3("complete_multipart_upload", **place, UploadId=upload, MultipartUpload={"Parts": listed})
    assert s3.cat_file("bucket/whole") == body + body[10:20]


def test_an_object_of_small_parts_or_of_parts_that_are_not_there_is_refused(s3: Any) -> None:
    place = {"Bucket": "bucket", "Key": "whole"}
    upload = s3.call_s3("create_multipart_upload", **place)["UploadId"]
    etag = s3.call_s3("upload_part", **place, UploadId=upload, PartNumber=1, Body=b"small")["ETag"]
    s3.call_s3("upload_part", **place, UploadId=upload, PartNumber=2, Body=b"small")
    for numbers, code in (((1, 2), "EntityTooSmall"), ((1, 3), "InvalidPart")):
        listed = {"Parts": [{"ETag": etag, "PartNumber": number} for number in numbers]}
        with pytest.raises(OSError, match=code):
            s3.call_s3("complete_multipart_upload", **place, UploadId=upload, MultipartUpload=listed)
    assert s3.find("bucket") == []


def test_a_write_that_expects_something_else_is_refused(s3: Any, server: FarStore) -> None:
    def put(body: bytes, **headers: str) -> requests.Response:
        names = {"missing": "If-None-Match", "etag": "If-Match"}
        given = {names[name]: value for name, value in headers.items()}
        return requests.put(f"{server.url}/bucket/claim", body, headers=given, timeout=30)

    etag = put(b"mine", missing="*").headers["ETag"]
    assert put(b"another's", missing="*").status_code == 412
    assert put(b"still mine", etag=etag).status_code == 200
    assert put(b"another's", etag=etag).status_code == 412
    assert s3.cat_file("bucket/claim") == b"still mine"


def test_it_counts_bytes_and_notes_the_manifest(s3: Any, server: FarStore) -> None:
    s3.pipe_file("bucket/data", b"12345")
    assert server.stats.manifest_at == 0
    s3.pipe_file("bucket/_manifest.json", b"{}")
    assert (server.stats.uploaded, server.stats.methods["PUT"]) == (7, 3)
    assert server.stats.manifest_at > 0


def test_what_was_exported_can_be_read_back(store: ObjectStore, tmp_path: Path) -> None:
    url = store.make_bucket()
    store._fs().pipe_file(f"{url}/out/part", b"bytes")
    store.read_back(url, tmp_path)
    assert (tmp_path / "out" / "part").read_bytes() == b"bytes"


def test_all_connections_share_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("benchmarks.far_store.time.sleep", waits.append)
    monkeypatch.setattr("benchmarks.far_store.time.monotonic", lambda: 0.0)
    line = Line(rate=100)
    for _ in range(3):
        line.pass_through(50)
    assert waits == [0.5, 1.0, 1.5]


def test_ranges_cut_pieces() -> None:
    stored = Stored((memoryview(b"abc"), memoryview(b"defg")), "etag")
    assert [b"".join(stored.stretch(*byte_range(text, 7))) for text in ("bytes=1-4", "bytes=5-", "bytes=-3")] == [
        b"bcde",
        b"fg",
        b"efg",
    ]
