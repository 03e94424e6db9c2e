"""A prefix of a Google Cloud Storage bucket, past its driver, which knows no condition but "there is none"."""

from __future__ import annotations

import json
import mimetypes
import uuid
from contextlib import suppress
from datetime import datetime
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow_provider_honeyhive.exceptions import DestinationError
from airflow_provider_honeyhive.storage.base import LARGEST_SMALL_FILE, StoredPiece
from airflow_provider_honeyhive.storage.joining import join_by_writing, side_by_side
from airflow_provider_honeyhive.storage.local import beside
from airflow_provider_honeyhive.storage.object_store import ConditionalStore, Entry
from airflow_provider_honeyhive.storage.uploads import BlockFile, Pending

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_provider_honeyhive.storage.base import Piece, Version
    from airflow_provider_honeyhive.storage.uploads import Body

#: Objects that the store puts together in one request, at the most.
MOST_COMPOSED = 32

#: The status for a range of an object that has no bytes at all.
_NO_SUCH_RANGE = 416


def _groups(names: list[str]) -> Iterator[list[str]]:
    """Yield names in groups, each to become one object; no more groups of several than leave few enough."""
    position, excess = 0, len(names) - MOST_COMPOSED
    while position < len(names):
        size = min(MOST_COMPOSED, max(excess, 0) + 1)
        yield names[position : position + size]
        position, excess = position + size, excess - size + 1


class GcsStore(ConditionalStore):
    """A prefix of a bucket on Google Cloud Storage; versions are what it calls generations."""

    overwrites_by_deleting = True
    joins = True
    _rights = {
        # Without the second, the store denies to say that an object is not there.
        "read": "storage.objects.get and storage.objects.list",
        "list": "storage.objects.list",
        # The second, to replace an object.
        "write": "storage.objects.create and .delete",
        "delete": "storage.objects.delete",
    }

    def _open(self, name: str, piece_of: str | None, block: int) -> BlockFile:
        key = self._key(name)
        return BlockFile(partial(_ResumableUpload, self._fs, key, block), partial(self._upload_small, key), block)

    def _upload_small(self, key: str, body: Body) -> None:
        bucket, name, _ = self._fs.split_path(key)
        self._fs.call(
            "POST",
            f"{self._fs._location}/upload/storage/v1/b/{quote(bucket)}/o",
            uploadType="media",
            name=name,
            headers={"Content-Type": _content_type(name), "Content-Length": str(body.size_bytes)},
            data=body,
        )

    def join(self, target: str, pieces: Sequence[Piece]) -> None:
        """Compose objects; runs of local pieces become temporary objects beside the target first."""
        pieces = [piece for piece in pieces if piece.size_bytes]
        runs = [
            (of_store, list(run)) for of_store, run in groupby(pieces, lambda piece: isinstance(piece, StoredPiece))
        ]
        if not any(of_store for of_store, _ in runs):
            join_by_writing(self, target, pieces)
        elif isinstance(pieces[0], StoredPiece) and len(pieces) == 1:
            self.copy(pieces[0].name, target)
        else:
            self._join_runs(target, runs)

    def _join_runs(self, target: str, runs: list[tuple[bool, list[Piece]]]) -> None:
        pending, temporaries = Pending(), list[str]()

        def temporary() -> str:
            temporaries.append(beside(target, uuid.uuid4().hex))
            return temporaries[-1]

        def sources_of(run: tuple[bool, list[Piece]]) -> list[str]:
            of_store, pieces = run
            if of_store:
                return [piece.name for piece in pieces if isinstance(piece, StoredPiece)]
            name = temporary()
            join_by_writing(self, name, pieces)
            return [name]

        def compose(sources: list[str], name: str | None = None) -> str:
            if name is None and len(sources) == 1:
                return sources[0]
            name = name or temporary()
            self._check_underway(pending, target)
            with self._failing("write", target):
                self._run(self._compose, [self._key(source) for source in sources], self._key(name))
            return name

        try:
            with self._underway(pending):
                sources = [name for names in side_by_side(sources_of, runs) for name in names]
                while len(sources) > MOST_COMPOSED:
                    sources = side_by_side(compose, _groups(sources))
                compose(sources, target)
        finally:
            with suppress(DestinationError):
                self.delete_all(temporaries)

    async def _compose(self, sources: list[str], target: str) -> None:
        bucket, name, _ = self._fs.split_path(target)
        names = [{"name": self._fs.split_path(source)[1]} for source in sources]
        body = {"sourceObjects": names, "destination": {"contentType": _content_type(name)}}
        await self._fs._call("POST", "b/{}/o/{}/compose", bucket, name, json=body)

    def _size(self, key: str) -> int:
        bucket, name, _ = self._fs.split_path(key)
        return int(self._fs.call("GET", "b/{}/o/{}", bucket, name, fields="size", json_out=True)["size"])

    def _list(self, folder: str) -> list[Entry]:
        with self._failing("list", folder):
            objects, prefixes = self._run(self._walk, self._key(folder), delimiter="/")
        # An object that stands for the folder itself is not in it.
        files = [Entry(name, int(item["size"]), is_folder=False) for name, item in objects.items() if name]
        return files + [Entry(name, 0, is_folder=True) for name in prefixes if name]

    def _modified(self, key: str) -> dict[str, datetime]:
        objects, _ = self._run(self._walk, key)
        return {f"{key}/{name}": datetime.fromisoformat(item["updated"]) for name, item in objects.items()}

    async def _walk(self, key: str, **options: Any) -> tuple[dict[str, dict[str, Any]], list[str]]:
        """Return the objects below a prefix by their names there, and the names of prefixes right below it."""
        bucket, name, _ = self._fs.split_path(key)
        prefix = f"{name}/" if name else ""
        objects: dict[str, dict[str, Any]] = {}
        prefixes: list[str] = []
        options["fields"] = "items(name,size,updated),prefixes,nextPageToken"
        while True:
            try:
                page = await self._fs._call("GET", "b/{}/o", bucket, prefix=prefix, json_out=True, **options)
            except FileNotFoundError:
                return {}, []
            objects.update({item["name"].removeprefix(prefix): item for item in page.get("items", ())})
            prefixes += [item.removeprefix(prefix).rstrip("/") for item in page.get("prefixes", ())]
            if not page.get("nextPageToken"):
                return objects, prefixes
            options["pageToken"] = page["nextPageToken"]

    async def _read(self, key: str) -> tuple[bytes, Version]:
        url = self._fs.url(key)
        try:
            # The last byte of the range is in it, and shows that there are too many.
            headers, data = await self._fs._call("GET", url, headers={"Range": f"bytes=0-{LARGEST_SMALL_FILE}"})
        except Exception as error:
            if getattr(error, "code", None) != _NO_SUCH_RANGE:
                raise
            headers, data = await self._fs._call("GET", url)
        return data, headers["X-Goog-Generation"]

    async def _write_if(self, key: str, data: bytes, version: Version) -> None:
        bucket, name, _ = self._fs.split_path(key)
        boundary = uuid.uuid4().hex
        head = (
            f"--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{json.dumps({'name': name})}\r\n"
            f"--{boundary}\r\nContent-Type: application/octet-stream\r\n\r\n"
        )
        await self._fs._call(
            "POST",
            f"{self._fs._location}/upload/storage/v1/b/{quote(bucket)}/o",
            uploadType="multipart",
            # A generation of 0 means that there is none.
            ifGenerationMatch=version or "0",
            headers={"Content-Type": f"multipart/related; boundary={boundary}"},
            data=head.encode() + data + f"\r\n--{boundary}--".encode(),
        )


class _ResumableUpload:
    """An upload that the store keeps for a week, and that ends with a block of fewer bytes than the others.

    The driver's own holds a copy of each block.

    :param fs: the file system.
    :param key: of the object.
    :param block: bytes of a block.
    """

    def __init__(self, fs: Any, key: str, block: int) -> None:
        self._fs = fs
        self._block = block
        self._offset = 0
        self._is_complete = False
        bucket, name, _ = fs.split_path(key)
        self._content_type = _content_type(name)
        headers, _ = fs.call(
            "POST",
            f"{fs._location}/upload/storage/v1/b/{quote(bucket)}/o",
            uploadType="resumable",
            name=name,
            json={"name": name},
            headers={"X-Upload-Content-Type": self._content_type},
        )
        self._location = headers["Location"]

    def send(self, number: int, body: Body) -> None:
        """Send a block, which may take several requests: the store says how much it has taken."""
        self._is_complete = is_last = body.size_bytes < self._block
        while True:
            end = self._offset + body.size_bytes
            stored = self._put(f"{self._offset}-{end - 1}/{end if is_last else '*'}", body)
            if stored is None and is_last:
                stored = end
            taken = (stored or 0) - self._offset
            self._offset += taken
            if self._offset == end:
                return
            if taken <= 0:
                raise ValueError(f"the store has taken nothing of block {number}")
            body.drop(taken)

    def _put(self, content_range: str, body: Body | None) -> int | None:
        """Return how many bytes of the whole the store has; None where it describes the object, which is whole then.

        Where it does neither, it has stored nothing, or has lost what it had.
        """
        headers, content = self._fs.call(
            "POST",
            self._location,
            headers={
                "Content-Range": f"bytes {content_range}",
                "Content-Type": self._content_type,
                "Content-Length": str(body.size_bytes if body else 0),
            },
            data=body,
        )
        if "Range" in headers:
            return int(headers["Range"].partition("-")[2]) + 1
        return None if content else 0

    def complete(self, _: list[None]) -> None:
        """Say how many bytes there are, where the last block has not."""
        if not self._is_complete:
            stored = self._put(f"*/{self._offset}", None)
            if stored is not None and stored < self._offset:
                raise ValueError("the store has lost blocks of the upload")

    def discard(self) -> None:
        """Let the store throw the blocks away."""
        self._fs.call("DELETE", self._location)


def _content_type(name: str) -> str:
    # As the driver has it.
    return mimetypes.guess_type(name)[0] or "application/octet-stream"
