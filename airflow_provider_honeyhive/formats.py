"""File formats as data: how events become the bytes of a block, and what stands around blocks in a file.

The text formats are here; Parquet, which cannot be put together of blocks, is in :mod:`.parquet`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from airflow_provider_honeyhive.compression import COMPRESS
from airflow_provider_honeyhive.csv_rows import csv_header, to_csv

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_provider_honeyhive.layout import Layout
    from airflow_provider_honeyhive.pages import RawEvent

#: Bytes of a block, and how many values did not fit their columns, by column.
Encoded: TypeAlias = "tuple[bytes, Mapping[str, int]]"
#: Makes the bytes of a block of events.
Encode: TypeAlias = "Callable[[Sequence[RawEvent]], Encoded]"


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around the blocks of a file, compressed like them."""

    head: bytes = b""
    between: bytes = b""
    tail: bytes = b""

    def size_bytes(self, blocks: int) -> int:
        """Return the bytes that it adds to a file of so many blocks."""
        return len(self.head) + len(self.between) * max(0, blocks - 1) + len(self.tail)


@dataclass(frozen=True, slots=True)
class _TextFormat:
    rows: Encode
    frame: Frame = Frame()


def _lines(raw_events: Sequence[RawEvent]) -> Encoded:
    return b"\n".join((*raw_events, b"")), {}


def _elements(raw_events: Sequence[RawEvent]) -> Encoded:
    return b",\n".join(raw_events), {}


_TEXT_FORMATS: dict[str, _TextFormat] = {
    "jsonl": _TextFormat(_lines),
    "json": _TextFormat(_elements, Frame(b"[\n", b",\n", b"\n]\n")),
    "csv": _TextFormat(to_csv, Frame(head=csv_header())),
}


def encoder(layout: Layout, *, staged_cheaply: bool) -> Encode:
    """Return what makes the bytes of a block.

    :param staged_cheaply: where blocks are staged, bytes cost little.
    :raises InvalidArgumentError: pyarrow is needed and not installed.
    """
    if layout.file_format == "parquet":
        from airflow_provider_honeyhive.parquet import block_encoder  # noqa: PLC0415

        return block_encoder(compressed=not staged_cheaply)
    rows, compress = _TEXT_FORMATS[layout.file_format].rows, COMPRESS[layout.compression]

    def encode(raw_events: Sequence[RawEvent]) -> Encoded:
        text, misfits = rows(raw_events)
        return compress(text), misfits

    return encode


def is_instant(layout: Layout, *, staged_cheaply: bool) -> bool:
    """Return whether a block is ready sooner than another thread would begin: nothing is read or compressed.

    :param staged_cheaply: where blocks are staged, bytes cost little.
    """
    if layout.file_format == "parquet":
        return staged_cheaply
    return layout.file_format in ("jsonl", "json") and layout.compression == "none"


def frame(layout: Layout) -> Frame:
    """Return what stands around the blocks of a text file."""
    plain, compress = _TEXT_FORMATS[layout.file_format].frame, COMPRESS[layout.compression]
    return Frame(*(compress(text) if text else b"" for text in (plain.head, plain.between, plain.tail)))
