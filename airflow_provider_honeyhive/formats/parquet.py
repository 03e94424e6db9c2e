"""Parquet files, streamed: blocks become record batches, and these row groups. Needs pyarrow (extra ``parquet``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow import parquet as pq

from airflow_provider_honeyhive.formats.arrays import TYPES, text_array, to_array
from airflow_provider_honeyhive.formats.columns import COLUMN_NAMES, COLUMNS, FIELD_COLUMNS, Kind
from airflow_provider_honeyhive.formats.parquet_footer import footer_of
from airflow_provider_honeyhive.formats.rows import Misfits, restore_event
from airflow_provider_honeyhive.formats.tokens import split_events

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow_provider_honeyhive.events.raw import RawEvent

SCHEMA = pa.schema([pa.field(column.name, TYPES[column.kind]) for column in COLUMNS])


def to_record_batch(raw_events: Sequence[RawEvent]) -> tuple[pa.RecordBatch, Misfits]:
    """Return events as one record batch of :data:`SCHEMA`, and what did not fit its column.

    Quickest with about 1,000 events at a time, whose parts then stay in the processor's caches; also, what holds the
    parts of small events takes several times their size.

    :param raw_events: JSON texts of events, as :mod:`~airflow_provider_honeyhive.api.pages` gives them.
    """
    try:
        return _to_record_batch(raw_events, is_utf8=True)
    except UnicodeDecodeError:
        return _to_record_batch(raw_events, is_utf8=False)


def _to_record_batch(raw_events: Sequence[RawEvent], *, is_utf8: bool) -> tuple[pa.RecordBatch, Misfits]:
    columns, left = split_events(raw_events, is_utf8=is_utf8)
    arrays = [to_array(column, tokens, left) for column, tokens in zip(FIELD_COLUMNS, columns, strict=True)]
    arrays.append(text_array(left.texts(len(raw_events))))
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA), left.misfits_by_column


def to_events(batch: pa.RecordBatch | pa.Table) -> Iterator[bytes]:
    """Yield the events again, as JSON texts that are equal as values to those that the batch was made of.

    :param batch: what :func:`to_record_batch` made, or a table of such read from files.
    :raises ValueError: its column ``extra`` holds something else than JSON objects.
    """
    # Times as numbers, because Python's datetime is slow to make and pandas' knows fewer years.
    kinds = {Kind.TIME: pa.int64()}
    values = [
        batch.column(column.name).cast(kinds.get(column.kind, TYPES[column.kind])).to_pylist() for column in COLUMNS
    ]
    for row in zip(*values, strict=True):
        yield restore_event(dict(zip(COLUMN_NAMES, row, strict=True)))


#: Bytes that the footer has for each column of a row group, about.
FOOTER_BYTES = 150

_COMPARED = (Kind.STRING, Kind.TIME, Kind.NUMBER)


class ParquetFile:
    """A Parquet file being written, as a context manager.

    :param sink: a binary file; gets the bytes as they come.
    :param compression: of the columns.
    :param metadata: for the footer.
    :param max_file_size: bytes that the file should have at most; None: as many as it likes.
    """

    def __init__(
        self, sink: Any, compression: str, metadata: Mapping[str, str], max_file_size: int | None = None
    ) -> None:
        self._sink = _Counted(sink)
        self._max_file_size = max_file_size
        self._writer = pq.ParquetWriter(
            pa.PythonFile(self._sink, mode="w"),
            SCHEMA,
            compression=compression,
            # Ids of events never repeat, and JSON texts seldom.
            use_dictionary=[c.name for c in COLUMNS if c.kind is Kind.STRING and c.name != "event_id"],
            # Engines other than Arrow's own read no extension of the schema that they do not know.
            store_schema=False,
            # The least and the greatest JSON text help nobody, and each takes its length in the footer twice.
            write_statistics=[column.name for column in COLUMNS if column.kind in _COMPARED],
        )
        self._writer.add_key_value_metadata({key: value for key, value in metadata.items() if value})
        self._last_group_bytes = 0
        self._group_count = 0
        #: What :func:`~.parquet_footer.joined_footer` takes, once the file is closed without an error.
        self.footer = b""

    def __enter__(self) -> ParquetFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def close(self) -> None:
        """Write the footer."""
        self._sink.last = bytearray()
        self._writer.close()
        self.footer = footer_of(self._sink.last)
        self.discard()

    def discard(self) -> None:
        """Let go of the sink: pyarrow holds what it writes to, and Python sees no circle that goes through it."""
        self._sink.let_go()

    @property
    def is_full(self) -> bool:
        """Whether another row group like the last one would be too much."""
        if self._max_file_size is None:
            return False
        footer = FOOTER_BYTES * len(COLUMNS) * (self._group_count + 1)
        return bool(self._group_count) and self._sink.size + self._last_group_bytes + footer > self._max_file_size

    def write(self, batches: Sequence[pa.RecordBatch]) -> None:
        """Append a row group.

        :param batches: of :data:`SCHEMA`.
        """
        before = self._sink.size
        # Not in one piece, which would need the memory twice.
        row_group = pa.Table.from_batches(batches, SCHEMA)
        self._writer.write_table(row_group, row_group_size=max(1, row_group.num_rows))
        self._last_group_bytes = self._sink.size - before
        self._group_count += 1
        # What compressed it needed as much memory as it has, and pyarrow would keep that for the next one.
        pa.default_memory_pool().release_unused()


class _Counted:
    """A sink as the file that pyarrow wants to write.

    :param last: gets what is written from now on, if it is not None.
    """

    closed = False

    def __init__(self, sink: Any) -> None:
        self._sink = sink
        self.size = 0
        self.last: bytearray | None = None

    def let_go(self) -> None:
        self._sink, self.last = None, None

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        # What pyarrow still writes when it is thrown away goes nowhere.
        if self._sink is not None:
            self._sink.write(bytes(data))
        if self.last is not None:
            self.last += data
        self.size += size
        return size

    def tell(self) -> int:
        return self.size

    def flush(self) -> None:
        """Do nothing: the sink does so when it is closed."""

    def close(self) -> None:
        """Leave the sink open: whoever made it closes it."""
