"""From staged blocks to data files: where each file begins and ends, and how it is put together.

Which blocks a file holds depends on their order and sizes alone, so the same events give the same files.
Where a staged file is just what is wanted, it is taken as it is.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_honeyhive.formats.datafile import PartFile
from airflow_provider_honeyhive.formats.text import Frame, empty_file, frame
from airflow_provider_honeyhive.models.layout import INDEX_PARTITION
from airflow_provider_honeyhive.models.window import format_time, from_micros

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Executor

    from airflow_provider_honeyhive.export.checkpoint import StagedFile
    from airflow_provider_honeyhive.export.destination import Destination
    from airflow_provider_honeyhive.formats.encoder import Block
    from airflow_provider_honeyhive.storage.base import Sink


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Piece:
    """A block, and where its bytes are."""

    file: StagedFile
    offset: int
    block: Block


@dataclass(frozen=True, slots=True)
class AssembledFile:
    """A data file that has no final name yet.

    :param part: its facts, under its present name.
    :param partition: folders of its partition.
    :param misfits: values that did not fit their columns, by column.
    """

    part: PartFile
    partition: str
    misfits: Mapping[str, int]


class Assembly:
    """Puts data files together in the staging folder.

    :param place: where the staged files are, and the data files are to go.
    :param max_file_size: most bytes of a data file, unless a single block has more.
    :param metadata: for the footers of formats that have one.
    """

    def __init__(self, place: Destination, max_file_size: int, metadata: Mapping[str, str]) -> None:
        self._place = place
        self._store = place.store
        self._layout = place.layout
        self._most = max_file_size if place.layout.object_name is None else None
        self._metadata = metadata

    def run(self, staged: Sequence[StagedFile], pool: Executor) -> list[AssembledFile]:
        """Return the data files, each under a name in the staging folder.

        :param staged: in the order in which the events are to be read.
        :param pool: puts files together side by side.
        """
        jobs = [job for number, pieces in enumerate(_by_partition(staged)) for job in self._jobs(number, pieces)]
        if not jobs and self._layout.object_name is not None:
            return [self._write_empty()]
        return [file for files in pool.map(lambda job: list(job()), jobs) for file in files]

    def _write_empty(self) -> AssembledFile:
        """Write the one object of an export without events; see :class:`.recovery.Commit`, why there always is one."""
        name = self._place.joined_name(0, 0)
        with self._store.create(name) as sink:
            counted = _Hashed(sink)
            if self._layout.file_format == "parquet":
                from airflow_provider_honeyhive.formats.parquet import ParquetFile  # noqa: PLC0415

                with ParquetFile(counted, self._layout.compression, self._metadata):
                    pass
            else:
                counted.write(empty_file(self._layout))
        part = PartFile(path=name, event_count=0, size_bytes=counted.size, sha256=counted.digest.hexdigest())
        return AssembledFile(part, "", {})

    def _jobs(self, partition: int, pieces: Sequence[_Piece]) -> Iterator[Callable[[], Iterable[AssembledFile]]]:
        if pieces[0].block.partition == INDEX_PARTITION:
            return iter([partial(self._join, pieces, Frame(), self._place.joined_name(partition, 0))])
        make = self._parquet_files if self._layout.file_format == "parquet" else self._text_files
        return make(partition, pieces)

    # ------------------------------------------------------------------------------- text formats

    def _text_files(self, partition: int, pieces: Sequence[_Piece]) -> Iterator[Callable[[], Iterable[AssembledFile]]]:
        around = frame(self._layout)
        for number, group in enumerate(_groups(pieces, around, self._most)):
            yield partial(self._join, group, around, self._place.joined_name(partition, number))

    def _join(self, group: Sequence[_Piece], around: Frame, name: str) -> list[AssembledFile]:
        first = group[0].file
        if around == Frame() and [piece.block for piece in group] == first.blocks:
            return [_described(group, first.path, first.sha256 or self._hash(first.path), first.size_bytes)]
        with self._store.create(name) as sink:
            counted = _Hashed(sink)
            counted.write(around.head)
            for file, offset, length in _ranges(group, around):
                if counted.size > len(around.head):
                    counted.write(around.between)
                for chunk in self._store.chunks(file.path, offset, length):
                    counted.write(chunk)
            counted.write(around.tail)
        return [_described(group, name, counted.digest.hexdigest(), counted.size)]

    def _hash(self, path: str) -> str:
        digest = sha256()
        for chunk in self._store.chunks(path):
            digest.update(chunk)
        return digest.hexdigest()

    # ------------------------------------------------------------------------------- Parquet

    def _parquet_files(
        self, partition: int, pieces: Sequence[_Piece]
    ) -> Iterator[Callable[[], Iterable[AssembledFile]]]:
        # How large a file gets shows only when it is written, so one is written after the other.
        yield partial(self._write_parquet, partition, pieces)

    def _write_parquet(self, partition: int, pieces: Sequence[_Piece]) -> Iterator[AssembledFile]:
        from airflow_provider_honeyhive.formats.parquet import ParquetFile, events_of, row_groups  # noqa: PLC0415

        compressed = not self._store.reads_cheaply
        blocks = ((piece, events_of(self._chunks(piece), compressed=compressed)) for piece in pieces)
        coming = _read_ahead(row_groups(blocks, self._most))
        found = next(coming, None)
        number = 0
        while found is not None:
            name, group, misfits = self._place.joined_name(partition, number), [], Counter[str]()
            with self._store.create(name) as sink:
                counted = _Hashed(sink)
                with ParquetFile(counted, self._layout.compression, self._metadata, self._most) as file:
                    while found is not None and not file.is_full:
                        in_it, row_group, left_out = found
                        file.write(row_group)
                        group += in_it
                        misfits += left_out
                        found = next(coming, None)
            number += 1
            yield _described(group, name, counted.digest.hexdigest(), counted.size, misfits)

    def _chunks(self, piece: _Piece) -> Iterator[bytes]:
        return self._store.chunks(piece.file.path, piece.offset, piece.block.size_bytes)


def _read_ahead(items: Iterator[T]) -> Iterator[T]:
    """Yield the items while another thread makes the next one."""
    with ThreadPoolExecutor(1, "honeyhive-ahead") as thread:
        coming = thread.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, items, None)
            yield item


@dataclass(slots=True)
class _Hashed:
    """A sink that hashes and counts what it gets."""

    sink: Sink
    digest: Any = field(default_factory=sha256)
    size: int = 0

    def write(self, data: bytes) -> None:
        if data:
            self.digest.update(data)
            self.size += len(data)
            self.sink.write(data)


def _by_partition(staged: Iterable[StagedFile]) -> Iterator[list[_Piece]]:
    found: dict[str, list[_Piece]] = {}
    for file in staged:
        offset = 0
        for block in file.blocks:
            found.setdefault(block.partition, []).append(_Piece(file, offset, block))
            offset += block.size_bytes
    # First what was exported for the first time, so that its files are called the same whatever comes beside it.
    for partition in sorted(found, key=lambda folders: (folders.startswith("_"), folders)):
        yield found[partition]


def _groups(pieces: Iterable[_Piece], around: Frame, most: int | None) -> Iterator[list[_Piece]]:
    """Yield the pieces of one file after the other."""
    group: list[_Piece] = []
    size = 0
    for piece in pieces:
        length = piece.block.size_bytes
        if group and most is not None and size + length + around.size_bytes(len(group) + 1) > most:
            yield group
            group, size = [], 0
        group.append(piece)
        size += length
    if group:
        yield group


def _ranges(group: Iterable[_Piece], around: Frame) -> Iterator[tuple[StagedFile, int, int]]:
    """Yield the bytes to copy; neighbours at once, where nothing comes between them."""
    file, start, length = None, 0, 0
    for piece in group:
        if piece.file is file and piece.offset == start + length and not around.between:
            length += piece.block.size_bytes
            continue
        if file is not None:
            yield file, start, length
        file, start, length = piece.file, piece.offset, piece.block.size_bytes
    if file is not None:
        yield file, start, length


def _described(
    group: Sequence[_Piece], path: str, digest: str, size_bytes: int, misfits: Mapping[str, int] | None = None
) -> AssembledFile:
    blocks = [piece.block for piece in group]
    earliest = min((block.min_us for block in blocks if block.min_us is not None), default=None)
    latest = max((block.max_us for block in blocks if block.max_us is not None), default=None)
    if misfits is None:
        misfits = sum((Counter(block.misfits) for block in blocks), Counter())
    part = PartFile(
        path=path,
        event_count=sum(block.event_count for block in blocks),
        size_bytes=size_bytes,
        sha256=digest,
        min_start_time=None if earliest is None else format_time(from_micros(earliest)),
        max_start_time=None if latest is None else format_time(from_micros(latest)),
        events_without_time=sum(block.without_time for block in blocks),
    )
    return AssembledFile(part, blocks[0].partition, misfits)
