"""A prefix of an Azure container, past its driver where that falls short.

The driver (adlfs 2026.8) does not wait for copies, takes a folder such as ``scheduled__2026-11-22T00:00:00`` for a
host with a port once the file is written, and lists every neighbour whose name begins alike. What is staged and
never completed Azure removes by itself after a week.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive.exceptions import DestinationError
from airflow_provider_honeyhive.storage.base import check_small
from airflow_provider_honeyhive.storage.object_store import ConditionalStore, Entry

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_honeyhive.storage.base import Version

#: Seconds between two looks at a copy that the store has only begun.
COPY_POLL_S = 0.5


class AzureStore(ConditionalStore):
    """A prefix of an Azure container, with or without a hierarchical namespace."""

    _rights = {
        what: f"{right} (Storage Blob Data Contributor)"
        for what, right in (("read", "read and list"), ("list", "list"), ("write", "write"), ("delete", "delete"))
    }

    def _write(self, key: str, data: bytes) -> None:
        self._run(self._upload, key, data, overwrite=True)

    async def _upload(self, key: str, data: bytes, *, overwrite: bool, **condition: Any) -> None:
        container, blob, _ = self._fs.split_path(key)
        async with self._fs.service_client.get_blob_client(container, blob) as client:
            await client.upload_blob(data, overwrite=overwrite, **condition)

    async def _read(self, key: str) -> tuple[bytes, Version]:
        container, blob, _ = self._fs.split_path(key)
        async with self._fs.service_client.get_blob_client(container, blob) as client:
            try:
                stream = await client.download_blob()
            except Exception as error:
                if getattr(error, "status_code", None) == 404:
                    raise FileNotFoundError(key) from None
                raise
            check_small(stream.size, key)
            return await stream.readall(), stream.properties.etag

    async def _write_if(self, key: str, data: bytes, version: Version) -> None:
        from azure.core import MatchConditions  # noqa: PLC0415 - only needed here

        if version is None:
            await self._upload(key, data, overwrite=False)
        else:
            same = MatchConditions.IfNotModified
            await self._upload(key, data, overwrite=True, etag=version, match_condition=same)

    def copy(self, source: str, target: str) -> None:
        """Copy the blob, and wait until the store has done it: it may answer before."""
        super().copy(source, target)
        with self._failing("write", target):
            status = self._run(self._copy_status, self._key(target))
            if status in ("aborted", "failed"):
                self.delete(target)
                raise DestinationError(f"cannot write {self.url(target)}: the copy of {self.url(source)} {status}")

    async def _copy_status(self, key: str) -> str | None:
        container, blob, _ = self._fs.split_path(key)
        async with self._fs.service_client.get_blob_client(container, blob) as client:
            while True:
                status: str | None = (await client.get_blob_properties()).copy.status
                if status != "pending":
                    return status
                await asyncio.sleep(COPY_POLL_S)

    def _list(self, folder: str) -> list[Entry]:
        with self._failing("list", folder):
            entries: list[Entry] = self._run(self._walk, self._key(folder))
        return entries

    async def _walk(self, key: str) -> list[Entry]:
        container, folder, _ = self._fs.split_path(key)
        prefix = f"{folder}/" if folder else ""
        async with self._fs.service_client.get_container_client(container) as client:
            found = client.walk_blobs(name_starts_with=prefix, include=["metadata"])
            try:
                return [_entry(item, prefix) async for item in found]
            except Exception as error:
                if getattr(error, "status_code", None) == 404:
                    return []
                raise

    def _modified(self, key: str) -> dict[str, datetime]:
        found: dict[str, datetime] = self._run(self._walk_below, key)
        return found

    async def _walk_below(self, key: str) -> dict[str, datetime]:
        container, folder, _ = self._fs.split_path(key)
        async with self._fs.service_client.get_container_client(container) as client:
            found = client.list_blobs(name_starts_with=f"{folder}/" if folder else "")
            return {f"{container}/{item.name}": item.last_modified async for item in found}

    def remove_folder(self, folder: str = "") -> None:
        """Remove the folder where the account has real ones; the store keeps one that is not empty."""
        if not folder:
            return
        key = self._key(folder)
        with suppress(Exception):
            if self._fs.info(key, refresh=True)["type"] == "directory":
                self._fs.rm_file(key)


def _entry(item: Any, prefix: str) -> Entry:
    name = item.name.removeprefix(prefix).rstrip("/")
    # With a hierarchical namespace, a folder is a blob with a mark.
    marks = {key.lower(): value for key, value in (item.get("metadata") or {}).items()}
    is_folder = not item.has_key("size") or marks.get("hdi_isfolder") == "true"
    return Entry(name, 0 if is_folder else item["size"], is_folder)
