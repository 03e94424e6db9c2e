"""A prefix of an S3 bucket, past its driver where that falls short: it knows no condition but "there is none"."""

from __future__ import annotations

import uuid
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING

from airflow_provider_honeyhive.exceptions import DestinationAccessError
from airflow_provider_honeyhive.storage.base import LARGEST_SMALL_FILE
from airflow_provider_honeyhive.storage.object_store import ConditionalStore

if TYPE_CHECKING:
    from airflow_provider_honeyhive.storage.base import Version

#: Bytes of a small file that are read at once.
_PIECE = 1024**2
#: Error codes by which a store refuses to replace an object that is not there.
_REFUSED = {"PreconditionFailed", "NoSuchKey", "412", "404"}
#: Error codes of stores that do not know a condition, and say so.
_UNKNOWN = {"NotImplemented", "501", "MethodNotAllowed", "405", "InvalidArgument", "InvalidRequest", "400"}
#: An ETag that no object has.
_NO_ETAG = '"00000000000000000000000000000000"'


class S3Store(ConditionalStore):
    """A prefix of a bucket on S3, or on a server that speaks its language."""

    _listing = {"refresh": True}
    _rights = {
        # Without the second, S3 denies to say that an object is not there.
        "read": "s3:GetObject and s3:ListBucket",
        "list": "s3:ListBucket",
        "write": "s3:PutObject and s3:GetObject",
        "delete": "s3:DeleteObject",
    }

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


def _code(error: Exception) -> str | None:
    response = getattr(error.__cause__ or error, "response", None) or {}
    code: str | None = response.get("Error", {}).get("Code")
    return code
