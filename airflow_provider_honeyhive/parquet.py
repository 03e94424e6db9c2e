"""Parquet files, streamed: blocks are staged as Arrow streams, and become row groups when all are there.

Needs pyarrow, the extra ``parquet``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_honeyhive.exceptions import InvalidArgumentError

try:
    import pyarrow as pa
    from pyarrow import ipc
    from pyarrow import parquet as pq
except ImportError:
    raise InvalidArgumentError(
        "file_format", "parquet", "it needs pyarrow: install airflow-provider-honeyhive[parquet]"
    ) from None

from airflow_provider_honeyhive.arrow_columns import SCHEMA, to_record_batch
from airflow_provider_honeyhive.columns import COLUMNS, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from airflow_provider_honeyhive.formats import Encode, Encoded
    from airflow_provider_honeyhive.pages import RawEvent

T = TypeVar("T")

#: Bytes in Arrow's memory at which a row group ends, at most, and as a share of a file.
ROW_GROUP_BYTES = 16 * 1024**2
ROW_GROUPS_IN_A_FILE = 4
#: Bytes that the footer has for each column of a row group, about.
FOOTER_BYTES = 150
_COMPARED = (Kind.STRING, Kind.TIME, Kind.NUMBER)


def block_encoder(*, compressed: bool) -> Encode:
    """Return what makes Arrow streams of one record batch.

    :param compressed: by lz4, which costs more than a local disk but less than a network.
    """
    options = ipc.IpcWriteOptions(compression="lz4" if compressed else None)

    def encode(raw_events: Sequence[RawEvent]) -> Encoded:
        batch, misfits = to_record_batch(raw_events)
        sink = pa.BufferOutputStream()
        with ipc.new_stream(sink, batch.schema, options=options) as writer:
            writer.write_batch(batch)
        return sink.getvalue().to_pybytes(), misfits

    return encode


def row_groups(blocks: Iterable[tuple[T, bytes]], max_file_size: int | None) -> Iterator[tuple[list[T], pa.Table]]:
    """Yield the row groups that blocks make, each with what the blocks in it are called.

    :param blocks: what each is called, and its bytes.
    :param max_file_size: bytes that a file should have at most; None: as many as it likes.
    """
    share = ROW_GROUP_BYTES if max_file_size is None else max_file_size // ROW_GROUPS_IN_A_FILE
    most = min(ROW_GROUP_BYTES, share)
    names: list[T] = []
    waiting: list[pa.Table] = []
    size = 0
    for name, block in blocks:
        table = ipc.open_stream(block).read_all()
        names.append(name)
        waiting.append(table)
        size += table.nbytes
        if size >= most:
            yield names, _in_one_piece(waiting)
            names, waiting, size = [], [], 0
    if waiting:
        yield names, _in_one_piece(waiting)


def _in_one_piece(tables: list[pa.Table]) -> pa.Table:
    # So that pages end where they would whatever the blocks were; also quicker to write.
    return pa.concat_tables(tables).combine_chunks()


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
            # JSON texts seldom repeat.
            use_dictionary=[column.name for column in COLUMNS if column.kind is Kind.STRING],
            # Engines other than Arrow's own read no extension of the schema that they do not know.
            store_schema=False,
            # The least and the greatest JSON text help nobody, and each takes its length in the footer twice.
            write_statistics=[column.name for column in COLUMNS if column.kind in _COMPARED],
        )
        self._writer.add_key_value_metadata({key: value for key, value in metadata.items() if value})
        self._last_group_bytes = 0
        self._group_count = 0

    def __enter__(self) -> ParquetFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is None:
            self._writer.close()
        # Else the sink is thrown away, and a footer would be wasted on it.

    @property
    def is_full(self) -> bool:
        """Whether another row group like the last one would be too much."""
        if self._max_file_size is None:
            return False
        footer = FOOTER_BYTES * len(COLUMNS) * (self._group_count + 1)
        return bool(self._group_count) and self._sink.size + self._last_group_bytes + footer > self._max_file_size

    def write(self, row_group: pa.Table) -> None:
        """Append a row group."""
        before = self._sink.size
        self._writer.write_table(row_group, row_group_size=max(1, row_group.num_rows))
        self._last_group_bytes = self._sink.size - before
        self._group_count += 1


class _Counted:
    """A sink as the file that pyarrow wants to write."""

    closed = False

    def __init__(self, sink: Any) -> None:
        self._sink = sink
        self.size = 0

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        self._sink.write(bytes(data))
        self.size += size
        return size

    def tell(self) -> int:
        return self.size

    def flush(self) -> None:
        """Do nothing: the sink does so when it is closed."""

    def close(self) -> None:
        """Leave the sink open: whoever made it closes it."""
