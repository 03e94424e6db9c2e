"""Which parts of an S3 upload put pieces of a file together so that as few of their bytes travel as can be."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_honeyhive.storage.base import UPLOAD_BLOCK, StoredPiece

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_provider_honeyhive.storage.base import Piece

#: Bytes of a part, at least, unless it is the last one. Only of a larger object does the store copy a range.
SMALLEST_PART = 5 * 1024**2
#: Bytes that the store copies in one request, at the most.
LARGEST_COPY = 5 * 1024**3
#: Parts of an upload, at the most.
MOST_PARTS = 10_000


class Extent(NamedTuple):
    """Bytes of a piece, from ``start`` up to before ``stop``."""

    piece: Piece
    start: int
    stop: int

    @property
    def size_bytes(self) -> int:
        """Number of bytes."""
        return self.stop - self.start

    @property
    def is_whole(self) -> bool:
        """Whether it is all of the piece."""
        return self.size_bytes == self.piece.size_bytes


@dataclass(frozen=True)
class Part:
    """A part of an upload.

    :param extents: what it consists of.
    :param source: the piece that the store copies its one extent from; None: it goes up from memory.
    """

    extents: list[Extent]
    source: StoredPiece | None = None


def parts_of(pieces: Sequence[Piece]) -> list[Part]:
    """Return the parts that pieces make, in order; none where there are no bytes."""
    parts: list[Part] = []
    #: What goes up from memory, before what is copied next.
    carried: list[Extent] = []
    waiting = [Extent(piece, 0, piece.size_bytes) for piece in pieces if piece.size_bytes]
    for number, extent in enumerate(waiting, 1):
        is_last = number == len(waiting)
        held = sum(each.size_bytes for each in carried)
        # Where too little is carried for a part, the first bytes of what follows come along.
        borrowed = max(SMALLEST_PART - held, 0) if held else 0
        rest = extent.size_bytes - borrowed
        too_small = rest < (1 if is_last else SMALLEST_PART) or (borrowed and extent.size_bytes <= SMALLEST_PART)
        if too_small or not isinstance(extent.piece, StoredPiece):
            carried.append(extent)
            continue
        if borrowed:
            carried.append(extent._replace(stop=borrowed))
        parts += _carried_parts(carried)
        carried = []
        parts += _copied_parts(extent._replace(start=borrowed), extent.piece)
    return parts + _carried_parts(carried)


def _carried_parts(extents: list[Extent]) -> list[Part]:
    size = sum(extent.size_bytes for extent in extents)
    if not size:
        return []
    # None gets too small for a part.
    return [Part(list(_between(extents, *ends))) for ends in _ends(size, max(size // UPLOAD_BLOCK, 1))]


def _copied_parts(extent: Extent, source: StoredPiece) -> list[Part]:
    ends = _ends(extent.size_bytes, -(-extent.size_bytes // LARGEST_COPY))
    return [Part(list(_between([extent], *each)), source) for each in ends]


def _ends(size: int, count: int) -> Iterator[tuple[int, int]]:
    """Yield where ``count`` parts of nearly the same size begin and end."""
    return pairwise(size * number // count for number in range(count + 1))


def _between(extents: Sequence[Extent], start: int, stop: int) -> Iterator[Extent]:
    """Yield what lies between two places, counted over all extents."""
    offset = 0
    for extent in extents:
        first, last = max(start - offset, 0), min(stop - offset, extent.size_bytes)
        if first < last:
            yield Extent(extent.piece, extent.start + first, extent.start + last)
        offset += extent.size_bytes
