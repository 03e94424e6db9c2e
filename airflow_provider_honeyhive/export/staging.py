"""Events in, staged files out: blocks of events, each compressed by itself, and by threads of their own.

A block ends at the lines of the window's grid and at a number of bytes counted from there. So which blocks
there are depends on the events alone, and slices may be cut anywhere on a line without changing any.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, TypeAlias

from airflow_provider_honeyhive.export.checkpoint import StagedFile
from airflow_provider_honeyhive.formats.encoder import Block
from airflow_provider_honeyhive.models.layout import INDEX_PARTITION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from airflow_provider_honeyhive.events.raw import RawEvent
    from airflow_provider_honeyhive.export.destination import Destination
    from airflow_provider_honeyhive.reading.cursor import Batch, Cursor
    from airflow_provider_honeyhive.reading.rows import RowKey
    from airflow_provider_honeyhive.storage.base import Sink


#: Bytes of events at which a block ends, at most, and as a share of a file: files consist of whole blocks.
BLOCK_BYTES = 1024**2

BLOCKS_IN_A_FILE = 10

#: Blocks of one reader that may wait to be compressed and written: what bounds the memory they take.
BLOCKS_UNDER_WAY = 8


@dataclass(slots=True)
class _Origin:
    """Where the first event of a block came from: a batch, and its place in there."""

    position: Cursor
    keys: list[RowKey]
    at: int


@dataclass(slots=True)
class _PendingBlock:
    origin: _Origin
    raw_events: list[RawEvent] = field(default_factory=list)
    times: list[int | None] = field(default_factory=list)
    size_bytes: int = 0

    def let_go(self) -> None:
        """Copy the events out of the answers they came in, so that these need not stay in memory."""
        self.raw_events = [bytes(raw) for raw in self.raw_events]


def _extended(block: _PendingBlock | None, batch: Batch, first: int, end: int, size_bytes: int) -> _PendingBlock:
    """Return the block, or a new one, with the events of a batch from one place to before another.

    :param size_bytes: of the block then, a line break after each event included.
    """
    if block is None:
        block = _PendingBlock(_Origin(batch.position, batch.keys, first))
    block.raw_events += batch.raw_events[first:end]
    block.times += batch.times[first:end]
    block.size_bytes = size_bytes
    return block


class _OpenFile:
    def __init__(self, path: str, sink: Sink, *, hashed: bool) -> None:
        self._path = path
        self._sink = sink
        self._blocks_written: list[Block] = []
        self._records: list[bytes] = []
        self._digest = sha256() if hashed else None
        self.size_bytes = 0

    def add(self, data: bytes, block: Block) -> None:
        if block.partition == INDEX_PARTITION:
            # They wait for the end, so that the events come in one piece.
            self._records.append(data)
        else:
            self._write(data, block)

    def _write(self, data: bytes, block: Block) -> None:
        if self._digest is not None:
            self._digest.update(data)
        self._sink.write(data)
        self._blocks_written.append(block)
        self.size_bytes += len(data)

    def end(self) -> StagedFile:
        if self._records:
            data = b"".join(self._records)
            self._write(data, Block(len(data), 0, 0, None, None, INDEX_PARTITION))
        digest = None if self._digest is None else self._digest.hexdigest()
        return StagedFile(path=self._path, sha256=digest, blocks=self._blocks_written)


#: Turns the events of a block, and their times, into the bytes of the blocks of a staged file: one a partition.
EncodeBlock: TypeAlias = "Callable[[list[RawEvent], list[int | None]], list[tuple[bytes, Block]]]"


@dataclass(frozen=True, slots=True)
class Staging:
    """Where and how the slices of one export are staged.

    :param destination: the export's folder.
    :param encode_block: makes the bytes of one block.
    :param map_blocks: does so for blocks side by side, as an executor's ``map`` does, or one after the other.
    :param max_file_size: most bytes of a file, unless a single block has more.
    """

    destination: Destination
    encode_block: EncodeBlock
    map_blocks: Callable[..., Iterable[list[tuple[bytes, Block]]]]
    max_file_size: int


class SliceWriter:
    """Stages the events of one slice, as a context manager.

    :param staging: where and how.
    :param number: of the slice.
    :param cell: gives the times, half open, of the grid's cell that holds a time.
    :param files: what an earlier try has staged.
    :param on_file: called after each whole file but the last one of a slice with where to go on from, and with the
        rows that were taken there but are in no whole file.
    """

    def __init__(
        self,
        staging: Staging,
        number: int,
        *,
        cell: Callable[[int], tuple[int, int]],
        files: Sequence[StagedFile] = (),
        on_file: Callable[[Cursor, Sequence[RowKey]], None] = lambda position, pending: None,
    ) -> None:
        self.files = list(files)
        self._staging = staging
        self._store = staging.destination.store
        self._number = number
        self._cell_of = cell
        self._block_bytes = min(BLOCK_BYTES, staging.max_file_size // BLOCKS_IN_A_FILE)
        self._on_file = on_file
        self._cell = (0, 0)  # none yet
        self._block: _PendingBlock | None = None
        self._position: Cursor | None = None
        self._file: _OpenFile | None = None
        self._stack = ExitStack()

    def __enter__(self) -> SliceWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is None:
            with self._stack:
                self._stage([self._block] if self._block else [])
                self._end_file()
        else:
            # With the error, so that the store throws the open file away.
            self._stack.__exit__(kind, error, None)

    def write(self, batch: Batch) -> None:
        """Take the events of one answer; those of a block that is not full yet wait for the next one's."""
        waiting: list[_PendingBlock] = []
        for block in self._blocks(batch):
            waiting.append(block)
            if len(waiting) == BLOCKS_UNDER_WAY:
                self._stage(waiting)
                waiting = []
        self._stage(waiting)
        self._position = batch.position

    def put_down(self) -> None:
        """End the open file where reading breaks off: its blocks are whole, so a retry need not read them again."""
        if self._file is None:
            return
        self._end_file()
        if self._block is not None:
            self._file_ended(self._block)
        elif self._position is not None:
            self._on_file(self._position, ())

    def _file_ended(self, next_block: _PendingBlock) -> None:
        origin = next_block.origin
        self._on_file(origin.position, origin.keys[origin.at :])

    def _blocks(self, batch: Batch) -> Iterator[_PendingBlock]:
        block, self._block = self._block, None
        size = 0 if block is None else block.size_bytes
        first = 0  # of the events that are in no block yet
        low, high = self._cell
        # Nothing is called for an event but what has to be: this is run for each there is.
        for at, (raw, time) in enumerate(zip(batch.raw_events, batch.times, strict=True)):
            if time is not None and not low <= time < high:
                low, high = self._cell_of(time)
                if size:
                    yield _extended(block, batch, first, at, size)
                    block, first, size = None, at, 0
            size += len(raw) + 1
            if size >= self._block_bytes:
                yield _extended(block, batch, first, at + 1, size)
                block, first, size = None, at + 1, 0
        self._cell = low, high
        if size:
            self._block = _extended(block, batch, first, len(batch.keys), size)
            self._block.let_go()

    def _stage(self, blocks: Sequence[_PendingBlock]) -> None:
        events, times = [block.raw_events for block in blocks], [block.times for block in blocks]
        results = self._staging.map_blocks(self._staging.encode_block, events, times)
        for pending, by_partition in zip(blocks, results, strict=True):
            size = sum(len(data) for data, _ in by_partition)
            if self._file is not None and self._file.size_bytes + size > self._staging.max_file_size:
                self._end_file()
                self._file_ended(pending)
            for data, block in by_partition:
                self._append(data, block)

    def _append(self, data: bytes, block: Block) -> None:
        if self._file is None:
            path = self._staging.destination.staged_name(self._number, len(self.files))
            sink = self._stack.enter_context(self._store.create(path))
            self._file = _OpenFile(path, sink, hashed=not self._store.reads_cheaply)
        self._file.add(data, block)

    def _end_file(self) -> None:
        if self._file is not None:
            staged = self._file.end()
            self._stack.close()
            self.files.append(staged)
            self._file = None
