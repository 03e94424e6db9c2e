"""Plays an S3 that is far away: each request takes time, and all share a rate in each direction.

It stands in for a store's server behind a slow network: in Python, no other one takes in 100 MB/s beside a client on
the same two processors. Objects stay in memory, so that what was exported can be read back. It knows what an S3 client
asks to write, copy, list and remove objects, and nothing of users: any key is right.

    python benchmarks/far_store.py [--latency 0.03] [--rate 100000000]
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

#: Bytes that pass at once.
STRETCH = 256 * 1024
MODIFIED = "2026-03-02T00:00:00.000Z"
MODIFIED_HEADER = "Mon, 02 Mar 2026 00:00:00 GMT"
SMALLEST_PART = 5 * 1024**2


class Line:
    """One direction of the network, shared by all connections.

    :param rate: bytes in a second.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._free_at = 0.0
        self._lock = threading.Lock()

    def pass_through(self, size: int) -> None:
        """Wait for as long as this many bytes take behind those before them."""
        with self._lock:
            self._free_at = max(self._free_at, time.monotonic()) + size / self._rate
            until = self._free_at
        time.sleep(max(0.0, until - time.monotonic()))


@dataclass(frozen=True)
class Stored:
    """An object, or a part of one: its bytes in pieces that are shared by copies."""

    pieces: tuple[memoryview, ...]
    etag: str

    @property
    def size(self) -> int:
        """Its bytes."""
        return sum(map(len, self.pieces))

    def stretch(self, begin: int, end: int) -> tuple[memoryview, ...]:
        """Return the bytes from ``begin`` to before ``end``, not copied."""
        found, at = [], 0
        for piece in self.pieces:
            low, high = max(begin - at, 0), min(end - at, len(piece))
            if low < high:
                found.append(piece[low:high])
            at += len(piece)
        return tuple(found)


@dataclass
class Stats:
    """What the store was asked. Times are of the clock that all processes of the machine share, in seconds."""

    uploaded: int = 0
    downloaded: int = 0
    requests: int = 0
    methods: Counter[str] = field(default_factory=Counter)
    #: When the last object of a name that ends in ``manifest.json`` was whole.
    manifest_at: float = 0.0


class S3Error(Exception):
    """The request is refused."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


class FarStore(ThreadingHTTPServer):
    """Serves buckets.

    :param latency: seconds that each request takes beside its bytes.
    :param rate: bytes in a second, in each direction.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, latency: float, rate: float, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.latency, self.up, self.down = latency, Line(rate), Line(rate)
        self.buckets: set[str] = set()
        self.objects: dict[str, Stored] = {}
        self.uploads: dict[str, tuple[str, dict[int, Stored]]] = {}
        self.stats = Stats()
        self.lock = threading.Lock()
        self._numbers = itertools.count(1)

    @property
    def url(self) -> str:
        """Base URL, without a slash at its end."""
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: Any) -> None:
        """Say nothing: clients that are gone hang up."""

    def number(self) -> str:
        """Return what no object and no upload was called before."""
        return f"{next(self._numbers):032x}"

    def count(self, method: str, uploaded: int) -> None:
        """Count a request."""
        with self.lock:
            self.stats.requests += 1
            self.stats.methods[method] += 1
            self.stats.uploaded += uploaded

    # ---------------------------------------------------------------------------------------------- what S3 does

    def put(self, key: str, stored: Stored, headers: Any) -> None:
        """Store an object, if what is there is what the request expects."""
        with self.lock:
            there = self.objects.get(key)
            if headers.get("If-None-Match") == "*" and there is not None:
                raise S3Error(412, "PreconditionFailed")
            expected = headers.get("If-Match")
            if expected is not None and (there is None or there.etag != expected.strip('"')):
                raise S3Error(412 if there else 404, "PreconditionFailed" if there else "NoSuchKey")
            self.objects[key] = stored
            if key.endswith("manifest.json"):
                self.stats.manifest_at = time.monotonic()

    def get(self, key: str) -> Stored:
        """Return an object."""
        if key not in self.objects:
            raise S3Error(404, "NoSuchKey")
        return self.objects[key]

    def source(self, headers: Any) -> Stored | None:
        """Return what a request asks to copy, None where it brings its own bytes."""
        named = headers.get("x-amz-copy-source")
        if named is None:
            return None
        stored = self.get(unquote(named.partition("?")[0]).lstrip("/"))
        if headers.get("x-amz-copy-source-if-match", stored.etag).strip('"') != stored.etag:
            raise S3Error(412, "PreconditionFailed")
        stretch = headers.get("x-amz-copy-source-range")
        begin, end = byte_range(stretch, stored.size) if stretch else (0, stored.size)
        return Stored(stored.stretch(begin, end), self.number())

    def complete(self, key: str, upload: str, body: bytes, headers: Any) -> Stored:
        """Make an object of the parts that a request lists."""
        _, parts = self.uploads.get(upload) or (None, None)
        if parts is None:
            raise S3Error(404, "NoSuchUpload")
        wanted = [int(node.text or 0) for node in ElementTree.fromstring(body).iter() if node.tag.endswith("Number")]  # noqa: S314
        if not parts.keys() >= set(wanted):
            raise S3Error(400, "InvalidPart")
        chosen = [parts[number] for number in wanted]
        if any(part.size < SMALLEST_PART for part in chosen[:-1]):
            raise S3Error(400, "EntityTooSmall")
        stored = Stored(tuple(piece for part in chosen for piece in part.pieces), f"{self.number()}-{len(chosen)}")
        self.put(key, stored, headers)
        del self.uploads[upload]
        return stored

    def listed(self, bucket: str, query: dict[str, str]) -> bytes:
        """Return the XML that lists objects."""
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        folders: set[str] = set()
        contents = []
        with self.lock:
            objects = sorted(self.objects.items())
        for full, stored in objects:
            name = full.removeprefix(f"{bucket}/")
            if name == full or not name.startswith(prefix):
                continue
            rest = name[len(prefix) :]
            if delimiter and delimiter in rest:
                folders.add(prefix + rest.partition(delimiter)[0] + delimiter)
                continue
            contents.append(
                f"<Contents><Key>{escape(name)}</Key><LastModified>{MODIFIED}</LastModified><ETag>&quot;{stored.etag}"
                f"&quot;</ETag><Size>{stored.size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
            )
        # Whoever asks for so many wants to know whether there are any; all others get all in one answer.
        contents = contents[: int(query["max-keys"])] if "max-keys" in query else contents
        common = [f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>" for name in sorted(folders)]
        facts = (
            f"<Name>{bucket}</Name><Prefix>{escape(prefix)}</Prefix><KeyCount>{len(contents) + len(common)}</KeyCount>"
        )
        return _xml("ListBucketResult", f"{facts}<IsTruncated>false</IsTruncated>{''.join(contents + common)}")


def byte_range(text: str, size: int) -> tuple[int, int]:
    """Return the first byte of a range, and the one after its last."""
    first, _, last = text.removeprefix("bytes=").partition("-")
    if not first:
        return max(0, size - int(last)), size
    if int(first) >= size:
        raise S3Error(416, "InvalidRange")
    return int(first), min(size, int(last) + 1) if last else size


def _xml(name: str, inner: str) -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{name}>{inner}</{name}>'.encode()


class _Handler(BaseHTTPRequestHandler):
    server: FarStore
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        bucket, _, name = unquote(parts.path).lstrip("/").partition("/")
        if bucket == "_stats":
            self._send_pieces(200, (json.dumps(vars(self.server.stats)).encode(),), {})
            return
        body = self._body()
        self.server.count(self.command, len(body))
        time.sleep(self.server.latency)
        try:
            status, answer, headers = self._ask(bucket, name, query, body)
        except S3Error as error:
            status, answer, headers = error.status, (_xml("Error", f"<Code>{error.code}</Code>"),), {}
        if isinstance(answer, bytes):
            answer = (answer,)
        self._send_pieces(status, answer, headers)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815

    def _ask(self, bucket: str, name: str, query: dict[str, str], body: memoryview) -> tuple[int, Any, dict[str, str]]:
        server, key = self.server, f"{bucket}/{name}"
        if not name:
            return self._ask_bucket(bucket, query, bytes(body))
        match self.command:
            case "PUT":
                return self._put(key, query, body)
            case "POST" if "uploads" in query:
                upload = server.number()
                server.uploads[upload] = (key, {})
                inner = f"<Bucket>{bucket}</Bucket><Key>{escape(name)}</Key><UploadId>{upload}</UploadId>"
                return 200, _xml("InitiateMultipartUploadResult", inner), {}
            case "POST":
                stored = server.complete(key, query["uploadId"], bytes(body), self.headers)
                return 200, _xml("CompleteMultipartUploadResult", f"<ETag>&quot;{stored.etag}&quot;</ETag>"), {}
            case "DELETE" if "uploadId" in query:
                server.uploads.pop(query["uploadId"], None)
                return 204, b"", {}
            case "DELETE":
                server.objects.pop(key, None)
                return 204, b"", {}
        stored = server.get(key)
        facts = {"ETag": f'"{stored.etag}"', "Last-Modified": MODIFIED_HEADER, "Accept-Ranges": "bytes"}
        if (asked := self.headers.get("Range")) is None:
            return 200, stored.pieces, facts
        begin, end = byte_range(asked, stored.size)
        facts["Content-Range"] = f"bytes {begin}-{end - 1}/{stored.size}"
        return 206, stored.stretch(begin, end), facts

    def _put(self, key: str, query: dict[str, str], body: memoryview) -> tuple[int, Any, dict[str, str]]:
        server = self.server
        copied = server.source(self.headers)
        stored = copied or Stored((body,), server.number())
        if "uploadId" in query:
            if query["uploadId"] not in server.uploads:
                raise S3Error(404, "NoSuchUpload")
            server.uploads[query["uploadId"]][1][int(query["partNumber"])] = stored
        else:
            server.put(key, stored, self.headers)
        if copied is None:
            return 200, b"", {"ETag": f'"{stored.etag}"'}
        kind = "CopyPartResult" if "uploadId" in query else "CopyObjectResult"
        inner = f"<ETag>&quot;{stored.etag}&quot;</ETag><LastModified>{MODIFIED}</LastModified>"
        return 200, _xml(kind, inner), {}

    def _ask_bucket(self, bucket: str, query: dict[str, str], body: bytes) -> tuple[int, bytes, dict[str, str]]:
        server = self.server
        if self.command == "PUT":
            server.buckets.add(bucket)
            return 200, b"", {}
        if bucket not in server.buckets:
            raise S3Error(404, "NoSuchBucket")
        if self.command == "POST" and "delete" in query:
            keys = [node.text or "" for node in ElementTree.fromstring(body).iter() if node.tag.endswith("Key")]  # noqa: S314
            for key in keys:
                server.objects.pop(f"{bucket}/{key}", None)
            return 200, _xml("DeleteResult", ""), {}
        if self.command == "GET" and "uploads" in query:
            inner = "".join(
                f"<Upload><Key>{escape(key.partition('/')[2])}</Key><UploadId>{upload}</UploadId></Upload>"
                for upload, (key, _) in server.uploads.items()
            )
            return 200, _xml("ListMultipartUploadsResult", f"<IsTruncated>false</IsTruncated>{inner}"), {}
        if self.command == "GET":
            return 200, server.listed(bucket, query), {}
        return 200, b"", {}

    def _body(self) -> memoryview:
        body = memoryview(bytearray(int(self.headers.get("Content-Length") or 0)))
        at = 0
        while at < len(body):
            read = self.rfile.readinto(body[at : at + STRETCH])  # type: ignore[attr-defined]
            if not read:
                raise ConnectionError("half a body")
            at += read
            self.server.up.pass_through(read)
        return body

    def _send_pieces(self, status: int, pieces: tuple[Any, ...], headers: dict[str, str]) -> None:
        self.send_response_only(status)
        size = sum(map(len, pieces))
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(size))
        self.end_headers()
        if self.command == "HEAD":
            return
        with self.server.lock:
            self.server.stats.downloaded += size
        for piece in pieces:
            for at in range(0, len(piece), STRETCH):
                self.server.down.pass_through(len(piece[at : at + STRETCH]))
                self.wfile.write(piece[at : at + STRETCH])

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def main() -> None:
    """Serve until stopped; the first line of output is JSON that says where."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latency", type=float, default=0.03, help="seconds that each request takes beside its bytes")
    parser.add_argument("--rate", type=float, default=100e6, help="bytes in a second, in each direction")
    options = parser.parse_args()
    with FarStore(options.latency, options.rate) as server:
        sys.stdout.write(json.dumps({"url": server.url}) + "\n")
        sys.stdout.flush()
        server.serve_forever()


if __name__ == "__main__":
    main()
