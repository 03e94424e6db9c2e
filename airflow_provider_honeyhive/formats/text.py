"""File formats as data: how events become the bytes of a block, and what stands around blocks in a file.

The text formats are here; Parquet, which cannot be put together of blocks, is in :mod:`.parquet`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_honeyhive.formats.columns import COLUMN_NAMES, COLUMNS, Kind
from airflow_provider_honeyhive.formats.compression import COMPRESS
from airflow_provider_honeyhive.formats.rows import Misfits, Serialize, Serialized, to_rows
from airflow_provider_honeyhive.formats.values import time_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_provider_honeyhive.events.raw import RawEvent
    from airflow_provider_honeyhive.models.layout import Layout


_LINE_END = b"\r\n"


def csv_header() -> bytes:
    """Return the first line: the columns' names."""
    return b",".join(_quote(name.encode()) for name in COLUMN_NAMES) + _LINE_END


def to_csv(raw_events: Sequence[RawEvent]) -> tuple[bytes, Misfits]:
    """Return a line for each event, and what did not fit its column.

    :param raw_events: JSON texts of events, as :mod:`~airflow_provider_honeyhive.api.pages` gives them.
    """
    rows = to_rows(raw_events)
    columns = [
        [b"" if value is None else _CELLS[column.kind](value) for value in rows.values[column.name]]
        for column in COLUMNS
    ]
    return b"".join(b",".join(cells) + _LINE_END for cells in zip(*columns, strict=True)), rows.misfits


def _quote(text: bytes) -> bytes:
    return b'"' + text.replace(b'"', b'""') + b'"'


_CELLS: dict[Kind, Callable[[Any], bytes]] = {
    Kind.STRING: lambda value: _quote(value.encode()),
    Kind.TIME: lambda value: time_text(value).encode(),
    Kind.NUMBER: lambda value: repr(value).encode(),
    Kind.STRINGS: lambda value: _quote(msgspec.json.encode(value)),
    Kind.JSON: lambda value: _quote(bytes(value)),
}


class Frame(msgspec.Struct, frozen=True):
    """What stands around the blocks of a file, compressed like them."""

    head: bytes = b""
    between: bytes = b""
    tail: bytes = b""

    def size_bytes(self, blocks: int) -> int:
        """Return the bytes that it adds to a file of so many blocks."""
        return len(self.head) + len(self.between) * max(0, blocks - 1) + len(self.tail)


class _TextFormat(msgspec.Struct, frozen=True):
    serialize: Serialize
    frame: Frame = Frame()
    empty: bytes = b""


def _lines(raw_events: Sequence[RawEvent]) -> Serialized:
    return b"\n".join((*raw_events, b"")), {}


def _elements(raw_events: Sequence[RawEvent]) -> Serialized:
    return b",\n".join(raw_events), {}


TEXT_FORMATS: dict[str, _TextFormat] = {
    "jsonl": _TextFormat(_lines),
    "json": _TextFormat(_elements, Frame(b"[\n", b",\n", b"\n]\n"), empty=b"[\n]\n"),
    "csv": _TextFormat(to_csv, Frame(head=csv_header()), empty=csv_header()),
}


def empty_file(layout: Layout) -> bytes:
    """Return a text file that holds no event; compressed, it is not of 0 bytes, which is no valid gzip or zstd file."""
    return COMPRESS[layout.compression](TEXT_FORMATS[layout.file_format].empty)


def frame(layout: Layout) -> Frame:
    """Return what stands around the blocks of a text file."""
    plain, compress = TEXT_FORMATS[layout.file_format].frame, COMPRESS[layout.compression]
    return Frame(*(compress(text) if text else b"" for text in (plain.head, plain.between, plain.tail)))
