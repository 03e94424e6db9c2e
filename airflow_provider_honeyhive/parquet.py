"""Parquet files, streamed: blocks are staged as lists of raw events, and become row groups when all are there.

Taking events apart keeps Python's lock, compressing columns does not: so the one is done while the other is, and
neither of them while answers are received, which needs the lock, too. Needs pyarrow, the extra ``parquet``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import msgpack

from airflow_provider_honeyhive.exceptions import InvalidArgumentError

try:
    import pyarrow as pa
    from pyarrow import parquet as pq
except ImportError:
    raise InvalidArgumentError(
        "file_format", "parquet", "it needs pyarrow: install airflow-provider-honeyhive[parquet]"
    ) from None

from airflow_provider_honeyhive.arrow_columns import SCHEMA, to_record_batch
from airflow_provider_honeyhive.columns import COLUMNS, Kind
from airflow_provider_honeyhive.compression import COMPRESS
from airflow_provider_honeyhive.decompression import DECOMPRESS
from airflow_provider_honeyhive.tabular import Misfits

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

_decode_events = msgpack.Decoder(list[memoryview]).decode


def _staged_compression(*, compressed: bool) -> str:
    return "zstd" if compressed else "none"


def block_encoder(*, compressed: bool) -> Encode:
    """Return what makes blocks to be staged: events as they are, since a line break may be part of one.

    :param compressed: which costs more than a local disk but less than a network.
    """
    compress = COMPRESS[_staged_compression(compressed=compressed)]

    def encode(raw_events: Sequence[RawEvent]) -> Encoded:
        return compress(msgpack.encode(raw_events)), {}

    return encode


def events_of(block: Iterable[bytes], *, compressed: bool) -> Sequence[RawEvent]:
    """Return the events of a staged block.

    :param block: its bytes, in pieces.
    :param compressed: whether it was made so.
    """
    return _decode_events(b"".join(DECOMPRESS[_staged_compression(compressed=compressed)](block)))


def row_groups(
    blocks: Iterable[tuple[T, Sequence[RawEvent]]], max_file_size: int | None
) -> Iterator[tuple[list[T], pa.Table, Misfits]]:
    """Yield the row groups that blocks make, each with what the blocks in it are called, and its misfits.

    :param blocks: what each is called, and its events.
    :param max_file_size: bytes that a file should have at most; None: as many as it likes.
    """
    share = ROW_GROUP_BYTES if max_file_size is None else max_file_size // ROW_GROUPS_IN_A_FILE
    most = min(ROW_GROUP_BYTES, share)
    names: list[T] = []
    waiting: list[pa.RecordBatch] = []
    misfits = Misfits()
    size = 0
    for name, raw_events in blocks:
        batch, found = to_record_batch(raw_events)
        names.append(name)
        waiting.append(batch)
        misfits += found
        size += batch.nbytes
        if size >= most:
            yield names, _in_one_piece(waiting), misfits
            names, waiting, misfits, size = [], [], Misfits(), 0
    if waiting:
        yield names, _in_one_piece(waiting), misfits


def _in_one_piece(batches: list[pa.RecordBatch]) -> pa.Table:
    # So that pages end where they would whatever the blocks were; also quicker to write.
    return pa.Table.from_batches(batches, SCHEMA).combine_chunks()


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
