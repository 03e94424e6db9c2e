"""A prefix of an S3 bucket, past its driver where that falls short: it knows no condition but "there is none"."""

from __future__ import annotations

import uuid
from contextlib import suppress
from functools import cached_property, partial
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive.display import get_logger
from airflow_provider_honeyhive.exceptions import DestinationAccessError, DestinationError
from airflow_provider_honeyhive.storage.base import LARGEST_SMALL_FILE, StoredPiece
from airflow_provider_honeyhive.storage.joining import check_size, join_by_writing, side_by_side
from airflow_provider_honeyhive.storage.object_store import ConditionalStore, Entry
from airflow_provider_honeyhive.storage.s3_parts import MOST_PARTS, parts_of
from airflow_provider_honeyhive.storage.uploads import BlockFile, Body

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from airflow_provider_honeyhive.storage.base import Piece, Version
    from airflow_provider_honeyhive.storage.s3_parts import Extent, Part

log = get_logger(__name__)

#: Bytes of a small file that are read at once.
_PIECE = 1024**2
#: Error codes by which a store refuses to replace an object that is not there.
_REFUSED = {"PreconditionFailed", "NoSuchKey", "412", "404"}
#: Error codes of stores that do not know a condition, and say so.
_UNKNOWN = {"NotImplemented", "501", "MethodNotAllowed", "405", "InvalidArgument", "InvalidRequest", "400"}
#: Error codes by which a store refuses to copy an object of more than 5 GiB in one request.
_TOO_LARGE = {"InvalidRequest", "EntityTooLarge"}
#: Error codes of stores that do not know a request, and say so.
_NOT_KNOWN = {"NotImplemented", "501", "MethodNotAllowed", "405"}
#: Error codes of a deletion of many objects at once that may well be possible one by one.
_ONE_BY_ONE = {*_NOT_KNOWN, "MalformedXML", "MissingContentMD5", "InvalidRequest"}
#: Objects that one request deletes, at the most.
_MOST_DELETED = 1_000
#: Parts of joined files that wait on this machine at a time.
_CARRIED_AT_ONCE = 2
#: Blocks that one part of an upload consists of: each part is a request, and waits on the disk.
_BLOCKS_IN_A_PART = 2
#: An ETag that no object has.
_NO_ETAG = '"00000000000000000000000000000000"'


class S3Store(ConditionalStore):
    """A prefix of a bucket on S3, or on a server that speaks its language."""

    _rights = {
        # Without the second, S3 denies to say that an object is not there.
        "read": "s3:GetObject and s3:ListBucket",
        "list": "s3:ListBucket",
        "write": "s3:PutObject and s3:GetObject",
        "delete": "s3:DeleteObject",
    }

    def __init__(self, fs: Any, root: str, url: str) -> None:
        super().__init__(fs, root, url)
        # Where all parts must have the same size, only files of whole blocks could be put together.
        self.joins = not getattr(fs, "fixed_upload_size", False)

    def _open(self, name: str, piece_of: str | None, block: int) -> BlockFile:
        key = self._key(name)
        bucket, path, _ = self._fs.split_path(key)

        def put_small(body: Body) -> None:
            _send(self._fs, "put_object", body, Bucket=bucket, Key=path)

        return BlockFile(partial(_MultipartUpload, self._fs, key), put_small, _BLOCKS_IN_A_PART * block)

    def join(self, target: str, pieces: Sequence[Piece]) -> None:
        """Copy and upload the parts of a multipart upload, several at a time."""
        parts = parts_of(pieces) if self.joins else []
        if len(parts) > MOST_PARTS:
            raise DestinationError(
                f"give a smaller max_file_size: {self.url(target)} would have more than {MOST_PARTS:,} parts"
            )
        if len(parts) == 1 and parts[0].source is not None:
            self.copy(parts[0].source.name, target)
        elif any(part.source for part in parts):
            try:
                self._join_parts(target, parts)
            except _NoCopiesError:
                log.warning("The store does not copy parts of %s: their bytes are read and written", self.url(target))
                join_by_writing(self, target, pieces)
        else:
            join_by_writing(self, target, pieces)

    def _join_parts(self, target: str, parts: list[Part]) -> None:
        with self._failing("create", target):
            upload = _MultipartUpload(self._fs, self._key(target))
        carrying = BoundedSemaphore(_CARRIED_AT_ONCE)

        def send(number: int) -> dict[str, Any]:
            part = parts[number - 1]
            self._check_underway(upload, target)
            if part.source is not None:
                with self._failing("write", target):
                    return upload.copy(number, self._key(part.source.name), part.extents[0])
            with carrying, Body() as body:
                for extent in part.extents:
                    for chunk in self._bytes_of(extent):
                        body.append(memoryview(chunk))
                check_size(body.size_bytes, sum(extent.size_bytes for extent in part.extents))
                with self._failing("write", target):
                    return upload.send(number, body)

        with self._underway(upload):
            sent = side_by_side(send, range(1, len(parts) + 1))
            with self._failing("write", target):
                self._check_underway(upload, target)
                upload.complete(sent)

    def _bytes_of(self, extent: Extent) -> Iterator[bytes]:
        piece = extent.piece
        if isinstance(piece, StoredPiece):
            yield from self.chunks(piece.name, extent.start, extent.size_bytes)
            return
        position = 0
        for chunk in piece.chunks():
            yield chunk[max(extent.start - position, 0) : max(extent.stop - position, 0)]
            position += len(chunk)
            if position >= extent.stop:
                return

    def copy(self, source: str, target: str) -> None:
        """Copy the object in one request, which is possible up to 5 GiB; in parts where the store refuses that."""
        with self._failing("write", target):
            try:
                self._run(self._copy_whole, self._key(source), self._key(target))
                return
            except Exception as error:
                if _code(error) not in _TOO_LARGE:
                    raise
        super().copy(source, target)

    async def _copy_whole(self, source: str, target: str) -> None:
        bucket, name, _ = self._fs.split_path(target)
        await self._fs._call_s3("copy_object", Bucket=bucket, Key=name, CopySource=_source(self._fs, source))

    def delete_all(self, names: Iterable[str]) -> None:
        """Remove up to 1,000 objects in a request."""
        waiting = list(names)
        for start in range(0, len(waiting), _MOST_DELETED):
            some = waiting[start : start + _MOST_DELETED]
            with self._failing("delete"):
                failed = self._run(self._delete_many, {self._key(name): name for name in some})
            # What fails once more says why.
            super().delete_all(failed)

    async def _delete_many(self, names: dict[str, str]) -> list[str]:
        """Remove objects by their keys, and return the names of those that are still there."""
        split = {self._fs.split_path(key)[:2]: name for key, name in names.items()}
        objects = {"Objects": [{"Key": name} for _, name in split], "Quiet": True}
        bucket = next(bucket for bucket, _ in split)
        try:
            answer = await self._fs._call_s3("delete_objects", Bucket=bucket, Delete=objects)
        except Exception as error:
            if _code(error) not in _ONE_BY_ONE:
                raise
            return list(names.values())
        return [split[bucket, failure["Key"]] for failure in answer.get("Errors", ())]

    def _list(self, folder: str) -> list[Entry]:
        with self._failing("list", folder):
            objects, prefixes = self._run(self._walk, self._key(folder), Delimiter="/")
        # An object that stands for the folder itself is not in it.
        files = [Entry(name, item["Size"], is_folder=False) for name, item in objects.items() if name]
        return files + [Entry(name, 0, is_folder=True) for name in prefixes if name]

    def _modified(self, key: str) -> dict[str, datetime]:
        objects, _ = self._run(self._walk, key)
        return {f"{key}/{name}": item["LastModified"] for name, item in objects.items()}

    async def _walk(self, key: str, **options: Any) -> tuple[dict[str, dict[str, Any]], list[str]]:
        """Return the objects below a prefix by their names there, and the names of prefixes right below it."""
        bucket, name, _ = self._fs.split_path(key)
        prefix = f"{name}/" if name else ""
        objects: dict[str, dict[str, Any]] = {}
        prefixes: list[str] = []
        while True:
            try:
                page = await self._fs._call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, **options)
            except FileNotFoundError:
                return {}, []
            objects.update({item["Key"].removeprefix(prefix): item for item in page.get("Contents", ())})
            prefixes += [item["Prefix"].removeprefix(prefix).rstrip("/") for item in page.get("CommonPrefixes", ())]
            if not page.get("IsTruncated"):
                return objects, prefixes
            options["ContinuationToken"] = page["NextContinuationToken"]

    def can_swap(self) -> bool:
        """Return whether the server, and the driver, make good on conditions: some ignore them and write."""
        return self._keeps_conditions

    @cached_property
    def _keeps_conditions(self) -> bool:
        probe = f"_new-{uuid.uuid4().hex}"
        with self._failing("write"):
            try:
                self._run(self._write_if, self._key(probe), b"", _NO_ETAG)
            except Exception as error:
                if _code(error) in _REFUSED:
                    return True
                if self._lacks_condition(error):
                    return False
                raise
        # Where it must stay, the command "cleanup" finds it.
        with suppress(DestinationAccessError):
            self.delete(probe)
        return False

    def _lacks_condition(self, error: Exception) -> bool:
        return _code(error) in _UNKNOWN

    async def _read(self, key: str) -> tuple[bytes, Version]:
        bucket, name, _ = self._fs.split_path(key)
        response = await self._fs._call_s3("get_object", Bucket=bucket, Key=name)
        body, data = response["Body"], bytearray()
        # Not "as body": older drivers give another object there, which has no pieces.
        async with body:
            async for piece in body.iter_chunks(_PIECE):
                data += piece
                if len(data) > LARGEST_SMALL_FILE:
                    break
        return bytes(data), response["ETag"]

    async def _write_if(self, key: str, data: bytes, version: Version) -> None:
        bucket, name, _ = self._fs.split_path(key)
        condition = {"IfNoneMatch": "*"} if version is None else {"IfMatch": version}
        await self._fs._call_s3("put_object", Bucket=bucket, Key=name, Body=data, **condition)


class _NoCopiesError(DestinationError):
    """The store does not know how to copy an object into an upload."""


class _MultipartUpload:
    """An upload in parts, which the store keeps until it is completed or aborted.

    :param fs: the file system.
    :param key: of the object.
    """

    def __init__(self, fs: Any, key: str) -> None:
        self.closed = False
        self._fs = fs
        bucket, name, _ = fs.split_path(key)
        self._where = {"Bucket": bucket, "Key": name}
        self._where["UploadId"] = fs.call_s3("create_multipart_upload", **self._where)["UploadId"]

    def copy(self, number: int, key: str, extent: Extent) -> dict[str, Any]:
        """Let the store copy a part, and return what completes the upload.

        :raises _NoCopiesError: it does not know how to.
        """
        limits = {} if extent.is_whole else {"CopySourceRange": f"bytes={extent.start}-{extent.stop - 1}"}
        source = _source(self._fs, key)
        try:
            answer = self._fs.call_s3("upload_part_copy", **self._where, PartNumber=number, CopySource=source, **limits)
        except Exception as error:
            if _code(error) in _NOT_KNOWN:
                raise _NoCopiesError("the store does not know how to copy parts") from None
            raise
        return _part(number, answer["CopyPartResult"])

    def send(self, number: int, body: Body) -> dict[str, Any]:
        """Upload a part, and return what completes the upload."""
        return _part(number, _send(self._fs, "upload_part", body, **self._where, PartNumber=number))

    def complete(self, parts: list[dict[str, Any]]) -> None:
        """Let the object show, made of its parts in order."""
        self._fs.call_s3("complete_multipart_upload", **self._where, MultipartUpload={"Parts": parts})
        self.closed = True

    def discard(self) -> None:
        """Let the store throw the parts away."""
        self.closed = True
        self._fs.call_s3("abort_multipart_upload", **self._where)


def _send(fs: Any, method: str, body: Body, **options: Any) -> dict[str, Any]:
    """Call a method of S3 with a body, and let each attempt of the driver read it from its beginning."""
    from fsspec.asyn import sync  # noqa: PLC0415 - only needed here
    from s3fs.core import _error_wrapper  # noqa: PLC0415 - only needed here

    async def send() -> dict[str, Any]:
        await fs.set_session()
        call = getattr(await fs.get_s3(options["Bucket"]), method)

        async def attempt(**given: Any) -> Any:
            body.seek(0)
            return await call(**given)

        given = fs._get_s3_method_kwargs(call, **options, Body=body)
        answer: dict[str, Any] = await _error_wrapper(attempt, kwargs=given, retries=fs.retries)
        return answer

    result: dict[str, Any] = sync(fs.loop, send)
    return result


def _part(number: int, result: dict[str, Any]) -> dict[str, Any]:
    # The one checksum that the driver hands back, too, where its options ask for it.
    checksum = {"ChecksumSHA256": result["ChecksumSHA256"]} if "ChecksumSHA256" in result else {}
    return {"PartNumber": number, "ETag": result["ETag"], **checksum}


def _source(fs: Any, key: str) -> dict[str, str]:
    bucket, name, _ = fs.split_path(key)
    return {"Bucket": bucket, "Key": name}


def _code(error: Exception) -> str | None:
    response = getattr(error.__cause__ or error, "response", None) or {}
    code: str | None = response.get("Error", {}).get("Code")
    return code
