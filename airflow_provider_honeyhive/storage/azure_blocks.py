"""Blocks of Azure blobs: what is staged on a blob shows when it is committed, all of it in one step.

A piece of a file is staged on the blob of that file, and a small blob of its own is its receipt: it says which blocks
they are. The blocks travel no more when the file is put together.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive.exceptions import DestinationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: Where the metadata of a receipt have the size of its piece.
SIZE_MARK = "piece_size"
#: What a block's name says of the file it was written for. All blocks of a blob need names of the same length, and
#: this one, with the digits that follow, is what the driver's names have: it may have left some there.
_WRITER_DIGITS = 24
_NUMBER_DIGITS = 8


@dataclass(frozen=True)
class Block:
    """A block of a blob.

    :param id: its name among the blocks of the blob.
    :param size_bytes: of it.
    """

    id: str
    size_bytes: int


class BlockFile:
    """A file that goes out in blocks, and is what they are only in the end.

    :param stage: sends a block.
    :param complete: is given all blocks in the end.
    :param block: bytes of a block.
    """

    def __init__(
        self, stage: Callable[[str, bytes], object], complete: Callable[[list[Block]], object], block: int
    ) -> None:
        self.closed = False
        self._stage = stage
        self._complete = complete
        self._block = block
        self._writer = uuid.uuid4().hex[:_WRITER_DIGITS]
        self._held = bytearray()
        self._blocks: list[Block] = []

    def write(self, data: bytes | memoryview) -> None:
        """Append ``data``."""
        rest = memoryview(data)
        while rest:
            room = self._block - len(self._held)
            self._held += rest[:room]
            rest = rest[room:]
            if len(self._held) == self._block:
                self._send()

    def _send(self) -> None:
        if self.closed:
            raise ValueError("the upload was aborted")
        block = Block(f"{self._writer}{len(self._blocks):0{_NUMBER_DIGITS}}", len(self._held))
        data, self._held = bytes(self._held), bytearray()
        self._stage(block.id, data)
        self._blocks.append(block)

    def close(self) -> None:
        """Complete it."""
        if self._held:
            self._send()
        self._complete(self._blocks)
        self.closed = True

    def discard(self) -> None:
        """Send no more; what was sent the store throws away by itself."""
        self.closed = True


@dataclass(frozen=True)
class Receipt:
    """Which blocks are a piece.

    :param blob: that they were staged on, with its container.
    :param blocks: in order.
    """

    blob: str
    blocks: list[Block]

    @property
    def size_bytes(self) -> int:
        """Bytes of the piece."""
        return sum(block.size_bytes for block in self.blocks)

    @property
    def metadata(self) -> dict[str, str]:
        """What a listing shows of the receipt."""
        return {SIZE_MARK: str(self.size_bytes)}

    def dump(self) -> bytes:
        """Return what the receipt's blob has in it."""
        return json.dumps(
            {"blob": self.blob, "blocks": [[block.id, block.size_bytes] for block in self.blocks]}
        ).encode()

    @classmethod
    def load(cls, data: bytes, where: str) -> Receipt:
        """Return what a blob says.

        :param where: its URL.
        :raises DestinationError: it is no receipt.
        """
        try:
            content: dict[str, Any] = json.loads(data)
            return cls(content["blob"], [Block(str(name), int(size)) for name, size in content["blocks"]])
        except (ValueError, KeyError, TypeError):
            raise DestinationError(
                "remove a file that is no piece of one, though it should be",
                f"{where} does not say what it consists of",
            ) from None


def extents_of(needed: Sequence[Block], there: Sequence[Block]) -> list[tuple[int, int]] | None:
    """Return where blocks are in a blob, as offsets and sizes in the order needed; None where one is missing.

    :param there: the blocks of the blob in order.
    """
    offsets, offset = {}, 0
    for block in there:
        offsets[block.id] = offset
        offset += block.size_bytes
    if not all(block.id in offsets for block in needed):
        return None
    return [(offsets[block.id], block.size_bytes) for block in needed]
