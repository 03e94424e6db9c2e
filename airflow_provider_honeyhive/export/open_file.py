"""Files of an export while they are written: their first bytes wait on this machine, so that small ones can be joined.

A file goes to the store once it has as many bytes as one part of an upload. What ends with fewer is a
:class:`HeldFile`: it takes no request until all has been read, and then neighbours become one file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from contextlib import ExitStack, nullcontext
from hashlib import sha256
from itertools import chain
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from airflow_provider_honeyhive.export.spool import Spool
from airflow_provider_honeyhive.export.staging_records import StagedFile
from airflow_provider_honeyhive.formats.encoder import sum_of
from airflow_provider_honeyhive.formats.text import Frame
from airflow_provider_honeyhive.models.layout import INDEX_PARTITION
from airflow_provider_honeyhive.storage.base import UPLOAD_BLOCK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from airflow_provider_honeyhive.export.destination import Destination
    from airflow_provider_honeyhive.formats.encoder import Block
    from airflow_provider_honeyhive.storage.base import Sink

#: Bytes in Arrow's memory at which a row group ends, at most, and as a share of a file.
ROW_GROUP_BYTES = 8 * 1024**2

ROW_GROUPS_IN_A_FILE = 4

#: Bytes of one object that wait at the end of each slice. As many as S3 wants of a part of an upload that is not its
#: last one: together with these, whatever comes behind them is one.
HELD_BACK_BYTES = 5 * 1024**2


class HeldFile(Struct):
    """What has been read and waits on this machine: no try but this one knows of it.

    :param contents: the sum of its blocks.
    :param spool: its bytes, without a head and a tail.
    :param footer: of a Parquet file.
    """

    contents: Block
    spool: Spool
    footer: bytes | None = None

    @property
    def size_bytes(self) -> int:
        """Bytes of the file."""
        return self.spool.size_bytes

    def chunks(self) -> Iterator[bytes]:
        """Yield its bytes."""
        return self.spool.chunks()


def _at_once(job: Callable[[], None]) -> None:
    job()


class FileKind(Struct, frozen=True):
    """How the files of one export are written.

    :param place: where to.
    :param frame: what stands around the blocks of a text file; None: Parquet.
    :param max_file_size: most bytes of a file, unless a single block has more.
    :param compression: of Parquet's columns.
    :param metadata: for the footers of formats that have one.
    :param sending: who sends bytes to the store holds it: memory is bounded where few do.
    :param compress: runs what compresses row groups: memory is bounded where few threads do.
    """

    place: Destination
    frame: Frame | None
    max_file_size: int
    compression: str = "none"
    metadata: Mapping[str, str] = field(default_factory=dict)
    sending: AbstractContextManager[Any] = field(default_factory=nullcontext)
    compress: Callable[[Callable[[], None]], None] = _at_once

    @property
    def piece_of(self) -> str | None:
        """The one object that all files become pieces of; None: each is a data file."""
        return None if self.place.layout.object_name is None else self.place.joined_name(0, 0)

    @property
    def hold_back(self) -> int:
        """Bytes at the end of each slice that wait until it is known what is behind them."""
        is_text_piece = self.piece_of is not None and self.frame is not None
        return HELD_BACK_BYTES if is_text_piece and self.place.store.joins else 0

    def open(self, name: str, partition: str, is_first: bool, number: int) -> OpenFile:
        """Begin a file.

        :param name: in the staging folder.
        :param partition: folders of its partition.
        :param is_first: nothing of the export comes before its slice.
        :param number: of the file in its slice.
        """
        if partition == INDEX_PARTITION:
            return TextFile(self, name, Frame(), b"", has_before=False)
        if self.frame is None:
            return ParquetFile(self, name)
        before = self._before(is_first, number)
        return TextFile(self, name, self.frame, before or b"", has_before=before is not None)

    def _before(self, is_first: bool, number: int) -> bytes | None:
        """Return what is to stand before a file's first block; None where nobody knows as yet."""
        frame = self.frame or Frame()
        if self.piece_of is None or (is_first and not number):
            return frame.head
        return frame.between if number else None

    def store(self, held: HeldFile, name: str, is_first: bool, number: int) -> StagedFile:
        """Put what is held on this machine into the store; see :meth:`open`."""
        before, digest, size = None, sha256(), 0
        around = Frame()
        if self.frame is not None and held.contents.partition != INDEX_PARTITION:
            before = self._before(is_first, number)
            around = Frame(head=before or b"", tail=self.frame.tail if self.piece_of is None else b"")
        with self.sending, self.place.store.create(name, piece_of=self.piece_of) as sink:
            for data in chain([around.head], held.chunks(), [around.tail]):
                digest.update(data)
                size += len(data)
                sink.write(data)
        held.spool.close()
        return StagedFile(
            path=name,
            sha256=digest.hexdigest(),
            contents=held.contents._replace(size_bytes=size),
            has_before=before is not None,
            footer=self.kept(held.footer),
        )

    def fits(self, staged: StagedFile, is_first: bool, number: int) -> bool:
        """Return whether what is said of a staged file can have been said by this kind; see :meth:`open`."""
        is_text = self.frame is not None and staged.contents.partition != INDEX_PARTITION
        if staged.has_before != (is_text and self._before(is_first, number) is not None):
            return False
        if self.frame is not None or self.piece_of is None:
            return staged.footer is None
        from airflow_provider_honeyhive.formats.parquet_footer import row_count  # noqa: PLC0415 - few retries need it

        try:
            return row_count(staged.footer or b"") == staged.contents.event_count
        except ValueError:
            return False

    def kept(self, footer: bytes | None) -> bytes | None:
        """Return what a checkpoint keeps of a Parquet file's footer: all of a piece's, since it has to be joined."""
        return None if self.piece_of is None else footer


class OpenFile(ABC):
    """A file that is being written.

    :param kind: how.
    :param name: that it gets in the staging folder.
    """

    def __init__(self, kind: FileKind, name: str) -> None:
        self._kind = kind
        self._name = name
        self._spool = Spool()
        self._sink: Sink | None = None
        self._stack = ExitStack()
        self._digest = sha256()
        self._sent = 0
        self._blocks: list[Block] = []

    @property
    def is_in_store(self) -> bool:
        """Whether some of its bytes have gone to the store."""
        return self._sink is not None

    @property
    def size_bytes(self) -> int:
        """Bytes so far."""
        return self._sent + self._spool.size_bytes

    #: Bytes of memory that it takes beside its spool.
    memory_bytes = 0

    def free_memory(self) -> None:  # noqa: B027 - there may be none
        """Make less of it."""

    @abstractmethod
    def has_room(self, data: Any) -> bool:
        """Return whether the data of one more block fit in."""

    @abstractmethod
    def add(self, data: Any, block: Block) -> None:
        """Append a block."""

    @abstractmethod
    def hold(self) -> HeldFile:
        """End the file, of which nothing has gone to the store yet, on this machine."""

    @abstractmethod
    def store(self) -> StagedFile:
        """End the file in the store."""

    def discard(self, error: BaseException) -> None:
        """Throw away what has been written."""
        # With the error, so that the store completes nothing.
        self._stack.__exit__(type(error), error, None)
        self._spool.close()

    def _write(self, data: bytes) -> None:
        """Append bytes: to those that wait, or to the store where none do and any number costs the same."""
        if self.is_in_store and not self._spool.size_bytes and self._kind.place.store.reads_cheaply:
            self._send([data])
        else:
            self._spool.write(data)

    def _send(self, pieces: Iterable[bytes]) -> None:
        place = self._kind.place
        with self._kind.sending:
            if self._sink is None:
                self._sink = self._stack.enter_context(place.store.create(self._name, piece_of=self._kind.piece_of))
            for data in pieces:
                self._digest.update(data)
                self._sent += len(data)
                self._sink.write(data)

    def _send_waiting(self) -> None:
        self._send(self._spool.take(self._spool.size_bytes))

    def _stored(self, blocks: Sequence[Block], **facts: Any) -> StagedFile:
        """End what has been sent."""
        with self._kind.sending:
            self._stack.close()
        contents = sum_of(blocks)._replace(size_bytes=self._sent)
        return StagedFile(path=self._name, sha256=self._digest.hexdigest(), contents=contents, **facts)


class TextFile(OpenFile):
    """Blocks one after the other, each compressed by itself.

    A data file has its frame from the beginning. Of the pieces of one object only those have what stands before them
    that have something before them for sure.

    :param frame: what stands around the blocks.
    :param before: what stands before its first block, in the store.
    :param has_before: nothing else has to.
    """

    def __init__(self, kind: FileKind, name: str, frame: Frame, before: bytes, *, has_before: bool) -> None:
        super().__init__(kind, name)
        self._frame = frame
        self._before, self._has_before = before, has_before
        #: Bytes in the spool of each block that waits there, with what stands between it and the one before it.
        self._waiting: deque[int] = deque()

    def has_room(self, data: bytes) -> bool:
        """Return whether the block fits in."""
        size = self.size_bytes + len(self._before) + len(self._frame.between) + len(data) + len(self._frame.tail)
        return not self._blocks or size <= self._kind.max_file_size

    def add(self, data: bytes, block: Block) -> None:
        """Append a block."""
        if self._blocks:
            data = self._frame.between + data
        self._blocks.append(block)
        self._write(data)
        if self._spool.size_bytes:
            self._waiting.append(len(data))
        if self._spool.size_bytes >= UPLOAD_BLOCK + self._kind.hold_back:
            size = 0
            while self._waiting and self._spool.size_bytes - size - self._waiting[0] >= self._kind.hold_back:
                size += self._waiting.popleft()
            if size:  # a single block may have more bytes than are to wait
                self._send(chain(self._before_first(), self._spool.take(size)))

    def _before_first(self) -> Sequence[bytes]:
        return () if self.is_in_store else (self._before,)

    @property
    def waiting_count(self) -> int:
        """Blocks that have not gone to the store."""
        return len(self._waiting)

    def hold(self) -> HeldFile:
        """End the file on this machine."""
        return HeldFile(sum_of(self._blocks), self._spool)

    def split(self) -> tuple[StagedFile, HeldFile]:
        """End what has gone to the store there, and what waits on this machine."""
        count = len(self._blocks) - len(self._waiting)
        for _ in self._spool.take(len(self._frame.between)):
            pass  # What stands between the blocks is put there when the pieces are joined.
        held = HeldFile(sum_of(self._blocks[count:]), self._spool)
        return self._stored(self._blocks[:count], has_before=self._has_before), held

    def store(self) -> StagedFile:
        """End the file in the store."""
        if self._kind.piece_of is None:
            self._spool.write(self._frame.tail)
        if not self.is_in_store or self._spool.size_bytes:
            self._send(chain(self._before_first(), self._spool.take(self._spool.size_bytes)))
        self._spool.close()
        return self._stored(self._blocks, has_before=self._has_before)


class ParquetFile(OpenFile):
    """Row groups, which are made of blocks as soon as there are enough of these."""

    def __init__(self, kind: FileKind, name: str) -> None:
        # Here, because only Parquet needs pyarrow.
        from airflow_provider_honeyhive.formats import parquet  # noqa: PLC0415

        super().__init__(kind, name)
        self._batches: list[Any] = []
        self._row_group_bytes = min(ROW_GROUP_BYTES, kind.max_file_size // ROW_GROUPS_IN_A_FILE)
        self._file = parquet.ParquetFile(self, kind.compression, kind.metadata, kind.max_file_size)

    def has_room(self, data: Any) -> bool:
        """Return whether another row group fits in: how many bytes it takes shows when it is written."""
        return bool(self._batches) or not self._file.is_full

    def add(self, data: Any, block: Block) -> None:
        """Append a block."""
        self._blocks.append(block)
        self._batches.append(data)
        self.memory_bytes += block.size_bytes
        if self.memory_bytes >= self._row_group_bytes:
            self.free_memory()

    def free_memory(self) -> None:
        """Write a row group."""
        if self._batches:
            batches, self._batches, self.memory_bytes = self._batches, [], 0
            self._kind.compress(lambda: self._file.write(batches))
            if self._spool.size_bytes >= UPLOAD_BLOCK:
                self._send_waiting()

    def write(self, data: bytes) -> None:
        """Take bytes of the file, which go to the store by the thread that has asked for the row group."""
        self._spool.write(data)

    def hold(self) -> HeldFile:
        """End the file on this machine."""
        self._end()
        return HeldFile(sum_of(self._blocks), self._spool, self._file.footer)

    def store(self) -> StagedFile:
        """End the file in the store."""
        self._end()
        if not self.is_in_store or self._spool.size_bytes:
            self._send_waiting()
        self._spool.close()
        return self._stored(self._blocks, footer=self._kind.kept(self._file.footer))

    def discard(self, error: BaseException) -> None:
        """Throw away what has been written, and the blocks."""
        super().discard(error)
        self._batches = []
        self._file.discard()

    def _end(self) -> None:
        self.free_memory()
        self._file.close()
