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

    from airflow_provider_honeyhive.storage.uploads import Body

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


class BlockList:
    """An upload in blocks, whose names no other one has.

    :param stage: sends a block by its name.
    :param complete: is given all blocks in the end.
    """

    def __init__(self, stage: Callable[[str, Body], object], complete: Callable[[list[Block]], object]) -> None:
        self._stage = stage
        self.complete = complete
        self._writer = uuid.uuid4().hex[:_WRITER_DIGITS]

    def send(self, number: int, body: Body) -> Block:
        """Send a block."""
        block = Block(f"{self._writer}{number:0{_NUMBER_DIGITS}}", body.size_bytes)
        self._stage(block.id, body)
        return block

    def discard(self) -> None:
        """Do nothing: what was sent the store throws away by itself."""


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
