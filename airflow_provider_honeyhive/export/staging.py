"""Events in, files out: blocks of events, each compressed by itself, and by threads of their own.

No file has events of two slices, unless they are so few that they wait on this machine until all has been read: so
what is in the store need not come back.

A block ends at the lines of the window's grid and at a number of bytes counted from there. So which blocks there are
depends on the events alone, and slices may be cut anywhere on a line without changing any.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import nullcontext
from itertools import count
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from airflow_provider_honeyhive.export.open_file import ROW_GROUP_BYTES, TextFile
from airflow_provider_honeyhive.export.spool import BYTES_IN_MEMORY
from airflow_provider_honeyhive.models.layout import INDEX_PARTITION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from airflow_provider_honeyhive.events.raw import RawEvent
    from airflow_provider_honeyhive.export.destination import Destination
    from airflow_provider_honeyhive.export.open_file import FileKind, HeldFile, OpenFile
    from airflow_provider_honeyhive.export.staging_records import StagedFile
    from airflow_provider_honeyhive.formats.encoder import Block
    from airflow_provider_honeyhive.reading.cursor import Batch, Cursor
    from airflow_provider_honeyhive.reading.rows import RowKey

#: Bytes of events at which a block ends, at most, and as a share of a file: files consist of whole blocks.
BLOCK_BYTES = 1024**2

BLOCKS_IN_A_FILE = 10

#: Blocks of one reader that may wait to be compressed and written: what bounds the memory they take.
BLOCKS_UNDER_WAY = 2

#: Of blocks of more bytes, which a single event may have, one is under way at a time: libraries end the process where
#: there is no memory for their copies.
LARGE_BLOCK_BYTES = 8 * 1024**2

#: Bytes of all slices that wait on this machine for their neighbours, at most.
MOST_HELD_BYTES = 128 * 1024**2

#: Files of more bytes than stay in memory that wait there, at most: each is open, and processes may open 1,024 or so.
MOST_HELD_FILES = 256

#: Files that all slices write at the same time, and one of them: with more partitions, the one that waits longest
#: ends. Each is open, and so is what goes up of it.
MOST_OPEN_FILES, MOST_OPEN_FILES_OF_A_SLICE, FEWEST_OPEN_FILES_OF_A_SLICE = 128, 32, 2


class _Origin(msgspec.Struct):
    """Where the first event of a block came from: a batch, and its place in there."""

    position: Cursor
    keys: list[RowKey]
    at: int


class _PendingBlock(msgspec.Struct):
    origin: _Origin
    raw_events: list[RawEvent] = msgspec.field(default_factory=list)
    times: list[int | None] = msgspec.field(default_factory=list)
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


def _count_on_disk(sizes: Sequence[int]) -> int:
    return sum(size > BYTES_IN_MEMORY for size in sizes)


#: Turns the events of a block, and their times, into what the files of a slice get of it: one a partition.
EncodeBlock: TypeAlias = "Callable[[list[RawEvent], list[int | None]], list[tuple[Any, Block]]]"


class Staging(msgspec.Struct):
    """Where and how the slices of one export are staged.

    :param kind: how files are written, and where to.
    :param encode_block: makes what files get of one block.
    :param map_blocks: does so for blocks side by side, as an executor's ``map`` does, or one after the other.
    :param readers: slices that are staged at the same time.
    """

    kind: FileKind
    encode_block: EncodeBlock
    map_blocks: Callable[..., Iterable[list[tuple[Any, Block]]]]
    readers: int = 1
    _held_bytes: int = 0
    _held_files: int = 0
    _lock: threading.Lock = msgspec.field(default_factory=threading.Lock)
    #: Who encodes and writes a large block holds it.
    large: threading.Lock = msgspec.field(default_factory=threading.Lock)
    _numbers: count[int] = msgspec.field(default_factory=count)

    @property
    def destination(self) -> Destination:
        """The export's folder."""
        return self.kind.place

    @property
    def most_open_files(self) -> int:
        """Files of one slice that may be written at the same time."""
        return max(FEWEST_OPEN_FILES_OF_A_SLICE, min(MOST_OPEN_FILES_OF_A_SLICE, MOST_OPEN_FILES // self.readers))

    def may_hold(self, sizes: Sequence[int]) -> bool:
        """Return whether there is room for files of these sizes on this machine, and take it."""
        size, files = sum(sizes), _count_on_disk(sizes)
        with self._lock:
            fits = self._held_bytes + size <= MOST_HELD_BYTES and self._held_files + files <= MOST_HELD_FILES
            if fits:
                self._held_bytes, self._held_files = self._held_bytes + size, self._held_files + files
        return fits

    def let_go(self, held: Sequence[HeldFile]) -> None:
        """Throw away files for which :meth:`may_hold` has found room."""
        sizes = [file.size_bytes for file in held]
        with self._lock:
            self._held_bytes -= sum(sizes)
            self._held_files -= _count_on_disk(sizes)
        for file in held:
            file.spool.close()

    def fits(self, files: Sequence[StagedFile], *, is_first: bool) -> bool:
        """Return whether this can have staged the files of a slice.

        :param is_first: nothing of the export comes before the slice.
        """
        return all(self.kind.fits(file, is_first, number) for number, file in enumerate(files))

    def new_name(self, slice_number: int) -> str:
        """Return a name that no file has had: where two processes run, one may go on from what the other throws away.

        :param slice_number: the slice that the file is of.
        """
        return self.destination.staged_name(slice_number, next(self._numbers))

    def store(self, held: HeldFile, slice_number: int, number: int, *, is_first: bool) -> StagedFile:
        """Put what is held on this machine into the store.

        :param slice_number: the slice that it is of.
        :param number: of the file in the slice.
        :param is_first: nothing of the export comes before the slice.
        """
        return self.kind.store(held, self.new_name(slice_number), is_first, number)


class SliceWriter:
    """Stages the events of one slice, as a context manager.

    At its end ``files`` are whole files in the store, and ``held`` what follows them on this machine.

    :param staging: where and how.
    :param number: of the slice.
    :param cell: gives the times, half open, of the grid's cell that holds a time.
    :param files: what an earlier try has staged.
    :param on_file: called where all that was read so far is in whole files, with where to go on from, and with the
        rows that were taken there but are in no whole file.
    :param is_first: nothing of the export comes before this slice.
    """

    def __init__(
        self,
        staging: Staging,
        number: int,
        *,
        cell: Callable[[int], tuple[int, int]],
        files: Sequence[StagedFile] = (),
        on_file: Callable[[Cursor, Sequence[RowKey]], None] = lambda position, pending: None,
        is_first: bool = False,
    ) -> None:
        self.files = list(files)
        self.held: list[HeldFile] = []
        self._staging = staging
        self._number = number
        self._cell_of = cell
        self._block_bytes = min(BLOCK_BYTES, staging.kind.max_file_size // BLOCKS_IN_A_FILE)
        self._on_file = on_file
        self._is_first = is_first
        self._cell = (0, 0)  # none yet
        self._block: _PendingBlock | None = None
        self._position: Cursor | None = None
        #: By partition; the one that got a block last is the last one.
        self._open: dict[str, OpenFile] = {}
        #: Whole files that no checkpoint can name yet, since other partitions have open ones.
        self._ended: list[StagedFile] = []
        self._file_count = len(self.files)
        #: Bytes since the last checkpoint.
        self._size = 0
        #: Where the blocks came from that wait at the end of one object.
        self._origins: deque[_Origin] = deque()

    def __enter__(self) -> SliceWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            if error is None:
                self._stage([self._block] if self._block else [])
                self._end()
        except BaseException as failure:
            self._discard(failure)
            raise
        if error is not None:
            self._discard(error)

    def write(self, batch: Batch) -> None:
        """Take the events of one answer; those of a block that is not full yet wait for the next one's."""
        waiting: list[_PendingBlock] = []
        for block in self._blocks(batch):
            waiting.append(block)
            if len(waiting) == BLOCKS_UNDER_WAY or block.size_bytes > LARGE_BLOCK_BYTES:
                self._stage(waiting)
                waiting = []
        self._stage(waiting)
        self._position = batch.position

    def put_down(self) -> None:
        """End the open files where reading breaks off: their blocks are whole, so a retry need not read them again."""
        if not self._open and not self._ended:
            return
        self._store_all()
        if self._block is not None:
            self._checkpoint(self._block.origin)
        elif self._position is not None:
            self._on_file(self._position, ())

    # ------------------------------------------------------------------------------- blocks

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

    # ------------------------------------------------------------------------------- files

    def _stage(self, blocks: Sequence[_PendingBlock]) -> None:
        is_large = any(block.size_bytes > LARGE_BLOCK_BYTES for block in blocks)
        with self._staging.large if is_large else nullcontext():
            self._encode(blocks)

    def _encode(self, blocks: Sequence[_PendingBlock]) -> None:
        events, times = [block.raw_events for block in blocks], [block.times for block in blocks]
        results = self._staging.map_blocks(self._staging.encode_block, events, times)
        for pending, by_partition in zip(blocks, results, strict=True):
            self._make_room(pending, by_partition)
            for data, block in by_partition:
                self._append(data, block, pending.origin)

    def _make_room(self, pending: _PendingBlock, by_partition: Sequence[tuple[Any, Block]]) -> None:
        """End the files that have no room for what they get of a block."""
        full = [
            block.partition
            for data, block in by_partition
            if block.partition in self._open and not self._open[block.partition].has_room(data)
        ]
        if not full:
            return
        # A checkpoint ends the files of all partitions, so it has to be worth that.
        data_files = len(self._open.keys() - {INDEX_PARTITION})
        if data_files == 1 or self._size >= data_files * self._staging.kind.max_file_size:
            self._store_all()
            self._checkpoint(pending.origin)
            return
        for partition in full:
            self._store(partition)

    def _append(self, data: Any, block: Block, origin: _Origin) -> None:
        file = self._open.pop(block.partition, None)
        if file is None:
            if len(self._open) >= self._staging.most_open_files:
                self._store(next(iter(self._open)))
            number, self._file_count = self._file_count, self._file_count + 1
            name = self._staging.new_name(self._number)
            file = self._staging.kind.open(name, block.partition, self._is_first, number)
        self._open[block.partition] = file
        file.add(data, block)
        self._size += block.size_bytes
        if self._staging.kind.hold_back and isinstance(file, TextFile):
            self._origins.append(origin)
            while len(self._origins) > file.waiting_count:
                self._origins.popleft()
        if sum(one.memory_bytes for one in self._open.values()) > ROW_GROUP_BYTES:
            max(self._open.values(), key=lambda one: one.memory_bytes).free_memory()

    def _end(self) -> None:
        """End the slice: what has not begun to go to the store waits for what comes from other slices."""
        for file in self._open.values():
            file.free_memory()
        is_begun = bool(self._ended) or any(file.is_in_store for file in self._open.values())
        if not is_begun and self._staging.may_hold([file.size_bytes for file in self._open.values()]):
            self.held = [self._open.pop(partition).hold() for partition in sorted(self._open)]
            return
        last = next(iter(self._open.values()), None)
        if self._origins and isinstance(last, TextFile) and last.is_in_store:
            self._split(last)
        else:
            self._store_all()

    def _split(self, file: TextFile) -> None:
        """End the one open file; what waits of it may have to go into one part with what comes behind it."""
        staged, held = file.split()
        self._open.clear()
        self.files.append(staged)
        self.held = [held]
        self._checkpoint(self._origins[0])

    def _store(self, partition: str) -> None:
        # It is open until it has ended: an upload that fails is to be thrown away.
        self._ended.append(self._open[partition].store())
        del self._open[partition]

    def _store_all(self) -> None:
        while self._open:
            self._store(next(iter(self._open)))
        self.files += self._ended
        self._ended = []

    def _checkpoint(self, next_block: _Origin) -> None:
        self._size = 0
        self._on_file(next_block.position, next_block.keys[next_block.at :])

    def _discard(self, error: BaseException) -> None:
        for file in self._open.values():
            file.discard(error)
