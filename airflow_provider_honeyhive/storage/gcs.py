"""A prefix of a Google Cloud Storage bucket, past its driver, which knows no condition but "there is none"."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow_provider_honeyhive.storage.base import LARGEST_SMALL_FILE
from airflow_provider_honeyhive.storage.object_store import ConditionalStore

if TYPE_CHECKING:
    from airflow_provider_honeyhive.storage.base import Version

#: The status for a range of an object that has no bytes at all.
_NO_SUCH_RANGE = 416


class GcsStore(ConditionalStore):
    """A prefix of a bucket on Google Cloud Storage; versions are what it calls generations."""

    overwrites_by_deleting = True
    _listing = {"refresh": True}
    _rights = {
        # Without the second, the store denies to say that an object is not there.
        "read": "storage.objects.get and storage.objects.list",
        "list": "storage.objects.list",
        # The second, to replace an object.
        "write": "storage.objects.create and .delete",
        "delete": "storage.objects.delete",
    }

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
