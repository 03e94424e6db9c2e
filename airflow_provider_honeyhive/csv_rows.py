"""Raw events -> CSV (RFC 4180) with the columns of :mod:`.columns`. Needs no pyarrow.

Every text is in quotation marks, NULL is nothing: so ``""`` is an empty text, and what lies between two commas without
quotation marks is NULL. JSON and lists are JSON texts, times are ISO 8601 in UTC to the microsecond. Not by Python's
``csv``, which on Python 3.11 writes NULL like an empty text, nor by pyarrow's, which takes no lists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_honeyhive.columns import COLUMN_NAMES, COLUMNS, Kind
from airflow_provider_honeyhive.tabular import Misfits, to_rows
from airflow_provider_honeyhive.windows import from_micros

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_provider_honeyhive.pages import RawEvent

_LINE_END = b"\r\n"


def csv_header() -> bytes:
    """Return the first line: the columns' names."""
    return b",".join(_quote(name.encode()) for name in COLUMN_NAMES) + _LINE_END


def to_csv(raw_events: Sequence[RawEvent]) -> tuple[bytes, Misfits]:
    """Return a line for each event, and what did not fit its column.

    :param raw_events: JSON texts of events, as :mod:`.pages` gives them.
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
    Kind.TIME: lambda value: f"{from_micros(value).replace(tzinfo=None).isoformat('T', 'microseconds')}Z".encode(),
    Kind.NUMBER: lambda value: repr(value).encode(),
    Kind.STRINGS: lambda value: _quote(msgspec.json.encode(value)),
    Kind.JSON: lambda value: _quote(bytes(value)),
}
