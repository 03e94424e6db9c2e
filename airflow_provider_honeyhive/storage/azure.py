"""A prefix of an Azure container, past its driver where that falls short.

The driver (adlfs 2026.8) does not wait for copies, takes a folder such as ``scheduled__2026-11-22T00:00:00`` for a
host with a port once the file is written, and lists every neighbour whose name begins alike. What is staged and
never completed Azure removes by itself after a week.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_provider_honeyhive.exceptions import DestinationError
from airflow_provider_honeyhive.storage.azure_blocks import SIZE_MARK, Block, BlockList, Receipt, extents_of
from airflow_provider_honeyhive.storage.base import UPLOAD_BLOCK, GuardedSink, StoredPiece, check_small
from airflow_provider_honeyhive.storage.joining import bytes_of, join_by_writing, side_by_side
from airflow_provider_honeyhive.storage.object_store import ConditionalStore, Entry
from airflow_provider_honeyhive.storage.uploads import BlockFile, Pending

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from airflow_provider_honeyhive.storage.base import Piece, Version
    from airflow_provider_honeyhive.storage.uploads import Body

#: Seconds between two looks at a copy that the store has only begun.
COPY_POLL_S = 0.5
#: Runs of pieces that are staged at a time, each with a block in memory.
_STAGED_AT_ONCE = 3
#: Error codes for a list of blocks of which the store does not have all.
_BLOCKS_GONE = {"InvalidBlockList", "BlobNotFound"}
#: The status for a blob that is not there, and has no blocks either.
_NOT_THERE = 404


class AzureStore(ConditionalStore):
    """A prefix of an Azure container, with or without a hierarchical namespace."""

    joins = True
    _rights = {
        what: f"{right} (Storage Blob Data Contributor)"
        for what, right in (("read", "read and list"), ("list", "list"), ("write", "write"), ("delete", "delete"))
    }

    def _open(self, name: str, piece_of: str | None, block: int) -> BlockFile:
        key = self._key(name)
        if piece_of is None:
            return self._block_file(key, partial(self._commit, key), partial(self._write_body, key), block)
        whole = self._key(piece_of)

        def complete(blocks: list[Block]) -> None:
            receipt = Receipt(whole, blocks)
            self._run(self._upload, key, receipt.dump(), overwrite=True, metadata=receipt.metadata)

        return self._block_file(whole, complete, None, block)

    def _block_file(
        self,
        key: str,
        complete: Callable[[list[Block]], object],
        put_small: Callable[[Body], object] | None,
        block: int,
    ) -> BlockFile:
        return BlockFile(lambda: BlockList(partial(self._stage, key), complete), put_small, block)

    def _stage(self, key: str, block_id: str, body: Body) -> None:
        self._run(self._on_blob, key, "stage_block", block_id, body, length=body.size_bytes)

    def _write_body(self, key: str, body: Body) -> None:
        self._run(self._upload, key, body, length=body.size_bytes, overwrite=True)

    def _commit(self, key: str, blocks: Sequence[Block]) -> None:
        from azure.storage.blob import BlobBlock  # noqa: PLC0415 - only needed here

        self._run(self._on_blob, key, "commit_block_list", [BlobBlock(block.id) for block in blocks])

    async def _on_blob(self, key: str, method: str, *args: Any, **kwargs: Any) -> Any:
        container, blob, _ = self._fs.split_path(key)
        async with self._fs.service_client.get_blob_client(container, blob) as client:
            return await getattr(client, method)(*args, **kwargs)

    def join(self, target: str, pieces: Sequence[Piece]) -> None:
        """Commit the blocks of all pieces, once those of local ones are staged, too.

        What was staged on another blob is committed there, read and staged on this one. That blob stays: should this
        file not be published after all, whoever comes next reads it again.
        """
        pieces = [piece for piece in pieces if piece.size_bytes]
        stored = [piece for piece in pieces if isinstance(piece, StoredPiece)]
        if not stored:
            join_by_writing(self, target, pieces)
            return
        whole = self._key(target)
        receipts = dict(zip(stored, side_by_side(self._receipt, stored), strict=True))
        others = sorted({receipt.blob for receipt in receipts.values()} - {whole})
        there = {blob: self._gathered(blob, receipts) for blob in others}
        pending = Pending()

        def chunks_of(piece: Piece) -> Iterator[bytes]:
            if not isinstance(piece, StoredPiece):
                yield from bytes_of(self, piece)
                return
            blob = receipts[piece].blob
            for offset, size in extents_of(receipts[piece].blocks, there[blob]) or ():
                yield from self._container.chunks(blob.partition("/")[2], offset, size)

        def staged(run: tuple[bool, list[Piece]]) -> list[Block]:
            is_staged, some = run
            if is_staged:
                return [block for piece in some if isinstance(piece, StoredPiece) for block in receipts[piece].blocks]
            blocks: list[Block] = []
            file = self._block_file(whole, blocks.extend, None, UPLOAD_BLOCK)
            sink = GuardedSink(file, self.url(target), self._remedy("write"))
            for piece in some:
                for chunk in chunks_of(piece):
                    self._check_underway(pending, target)
                    sink.write(chunk)
            with self._failing("write", target):
                file.close()
            return blocks

        runs = groupby(pieces, lambda piece: isinstance(piece, StoredPiece) and receipts[piece].blob == whole)
        with self._underway(pending):
            lists = side_by_side(staged, [(is_staged, list(run)) for is_staged, run in runs], _STAGED_AT_ONCE)
            with self._failing("write", target):
                self._check_underway(pending, target)
                try:
                    self._commit(whole, [block for blocks in lists for block in blocks])
                except Exception as error:
                    if getattr(error, "error_code", None) not in _BLOCKS_GONE:
                        raise
                    self._tell_gone(whole, receipts)

    @property
    def _container(self) -> AzureStore:
        container, _, path = self._root.partition("/")
        return AzureStore(self._fs, container, self._url.removesuffix(path))

    def _receipt(self, piece: StoredPiece) -> Receipt:
        with self._failing("read", piece.name):
            data, _ = self._run(self._read, self._key(piece.name))
            return Receipt.load(data, self.url(piece.name))

    def _gathered(self, blob: str, receipts: Mapping[StoredPiece, Receipt]) -> list[Block]:
        """Commit what is staged on a blob, so that it can be read, and return the blocks that it consists of."""
        needed = {block.id for receipt in receipts.values() if receipt.blob == blob for block in receipt.blocks}
        with self._container._failing("write", blob.partition("/")[2]):
            try:
                lists = self._run(self._on_blob, blob, "get_block_list", "all")
            except Exception as error:
                if getattr(error, "status_code", None) != _NOT_THERE:
                    raise
                lists = [], []
            committed, staged = ([Block(block.id, block.size) for block in blocks] for blocks in lists)
            blocks = committed + [block for block in staged if block.id in needed]
            if not needed <= {block.id for block in blocks}:
                self._tell_gone(blob, receipts)
            if len(blocks) > len(committed):
                self._commit(blob, blocks)
        return blocks

    def _tell_gone(self, blob: str, receipts: Mapping[StoredPiece, Receipt]) -> NoReturn:
        self.delete_all(piece.name for piece, receipt in receipts.items() if receipt.blob == blob)
        raise DestinationError(
            "try again, which reads some events again: the store has lost what was uploaded of a file",
            f"blocks of {self._container.url(blob.partition('/')[2])} are gone: Azure keeps them for a week, and no "
            "longer than until somebody writes another file of that name",
        )

    def _write(self, key: str, data: bytes) -> None:
        self._run(self._upload, key, data, overwrite=True)

    async def _upload(self, key: str, data: bytes | Body, *, overwrite: bool, **options: Any) -> None:
        await self._on_blob(key, "upload_blob", data, overwrite=overwrite, **options)

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
        with self._failing("write", target):
            status = self._run(self._begin_copy, self._key(source), self._key(target))
            if status == "pending":
                status = self._run(self._copy_status, self._key(target))
            if status in ("aborted", "failed"):
                self.delete(target)
                raise DestinationError(f"cannot write {self.url(target)}: the copy of {self.url(source)} {status}")

    async def _begin_copy(self, source: str, target: str) -> str | None:
        container, blob, _ = self._fs.split_path(source)
        async with self._fs.service_client.get_blob_client(container, blob) as client:
            url = client.url
        answer = await self._on_blob(target, "start_copy_from_url", url)
        status: str | None = answer["copy_status"]
        return status

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
    return Entry(name, 0 if is_folder else int(marks.get(SIZE_MARK, item["size"])), is_folder)
