"""Raw events -> Arrow record batches, and back. Needs pyarrow."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from airflow_provider_honeyhive.columns import COLUMN_NAMES, COLUMNS, Kind
from airflow_provider_honeyhive.restoring import restore_event
from airflow_provider_honeyhive.tabular import Misfits, to_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from airflow_provider_honeyhive.pages import RawEvent

#: JSON is a plain string, not Arrow's JSON extension type. Tried with pyarrow 26: it makes Parquet's JSON type, for
#: which Polars 2.1 has no ``.str`` functions, no comparison, no CSV and no concatenation with a file written by a
#: pyarrow (before 19) that does not have it; ``pyarrow.compute`` and pandas' pyarrow strings lack functions, too.
#: DuckDB 2.0 has the same JSON operators for strings.
_TYPES: dict[Kind, pa.DataType] = {
    Kind.STRING: pa.string(),
    Kind.TIME: pa.timestamp("us", tz="UTC"),
    Kind.NUMBER: pa.float64(),
    Kind.STRINGS: pa.list_(pa.string()),
    Kind.JSON: pa.string(),
}

SCHEMA = pa.schema([pa.field(column.name, _TYPES[column.kind]) for column in COLUMNS])


def to_record_batch(raw_events: Sequence[RawEvent]) -> tuple[pa.RecordBatch, Misfits]:
    """Return events as one record batch of :data:`SCHEMA`, and what did not fit its column.

    Quickest with about 1,000 events at a time, whose parts then stay in the processor's caches; also, what holds the
    parts of small events takes several times their size.

    :param raw_events: JSON texts of events, as :mod:`.pages` gives them.
    """
    rows = to_rows(raw_events)
    arrays = [_MAKERS.get(column.kind, pa.array)(rows.values[column.name], _TYPES[column.kind]) for column in COLUMNS]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA), rows.misfits


def to_events(batch: pa.RecordBatch | pa.Table) -> Iterator[bytes]:
    """Yield the events again, as JSON texts that are equal as values to those that the batch was made of.

    :param batch: what :func:`to_record_batch` made, or a table of such read from files.
    """
    # Times as numbers, because Python's datetime is slow to make and pandas' knows fewer years.
    kinds = {Kind.TIME: pa.int64()}
    values = [
        batch.column(column.name).cast(kinds.get(column.kind, _TYPES[column.kind])).to_pylist() for column in COLUMNS
    ]
    for row in zip(*values, strict=True):
        yield restore_event(dict(zip(COLUMN_NAMES, row, strict=True)))


def _texts(texts: Sequence[Any], kind: pa.DataType) -> pa.Array:
    # Without a Python object for each text: their bytes one after the other, and where each one ends.
    nulls = texts.count(None)
    if nulls == len(texts):
        return pa.nulls(len(texts), kind)
    bitmap = None
    if nulls:
        bitmap = pa.array([text is not None for text in texts]).buffers()[1]
        texts = [text or b"" for text in texts]
    data = b"".join(texts)
    ends = pa.array(list(accumulate(map(len, texts), initial=0)), pa.int32()).buffers()[1]
    return pa.Array.from_buffers(kind, len(texts), [bitmap, ends, pa.py_buffer(data)], nulls)


_MAKERS: dict[Kind, Callable[[Sequence[Any], pa.DataType], pa.Array]] = {Kind.JSON: _texts}
