"""From what was read to data files: most are in the store as they are to be, the others are put together here.

What waits on this machine becomes as few files as possible. One object of many pieces is put together by the store,
where it can do that: no byte travels twice.
"""

from __future__ import annotations

from functools import partial
from hashlib import sha256
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from airflow_provider_honeyhive.export.open_file import HeldFile
from airflow_provider_honeyhive.export.staging_records import StagedFile
from airflow_provider_honeyhive.formats.datafile import HashedPiece, PartFile, hash_of_pieces
from airflow_provider_honeyhive.formats.encoder import sum_of
from airflow_provider_honeyhive.formats.text import Frame, empty_file
from airflow_provider_honeyhive.models.layout import INDEX_PARTITION
from airflow_provider_honeyhive.models.window import format_time, from_micros
from airflow_provider_honeyhive.storage.base import StoredPiece

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from concurrent.futures import Executor

    from airflow_provider_honeyhive.export.open_file import FileKind
    from airflow_provider_honeyhive.formats.encoder import Block
    from airflow_provider_honeyhive.storage.base import Piece, Sink

#: What was read of one slice and partition: in the store, or on this machine.
ReadFile: TypeAlias = StagedFile | HeldFile


class AssembledFile(msgspec.Struct, frozen=True):
    """A data file that has no final name yet.

    :param part: its facts, under its present name.
    :param partition: folders of its partition.
    :param misfits: values that did not fit their columns, by column.
    """

    part: PartFile
    partition: str
    misfits: Mapping[str, int]


class Assembly:
    """Makes the data files of what was read.

    :param kind: how they are written, and where to.
    """

    def __init__(self, kind: FileKind) -> None:
        self._kind = kind
        self._place = kind.place
        self._store = kind.place.store
        self._layout = kind.place.layout

    def run(self, read: Sequence[ReadFile], pool: Executor) -> list[AssembledFile]:
        """Return the data files, each under a name in the staging folder.

        :param read: in the order in which the events are to be read.
        :param pool: puts files together side by side.
        """
        # First what was exported for the first time, so that its files are called the same whatever comes beside it.
        in_order = sorted(read, key=_partition_key)
        jobs = [
            job
            for number, (_, files) in enumerate(groupby(in_order, key=_partition_key))
            for job in self._jobs(number, list(files))
        ]
        if not jobs and self._layout.object_name is not None:
            return [self._write_empty()]
        return list(pool.map(lambda job: job(), jobs))

    def _jobs(self, partition: int, files: list[ReadFile]) -> Iterator[Callable[[], AssembledFile]]:
        if files[0].contents.partition == INDEX_PARTITION:
            yield partial(self._join, files, Frame(), self._place.joined_name(partition, 0))
        elif self._layout.object_name is not None:
            yield partial(self._one_object, files)
        else:
            for number, group in enumerate(self._groups(files)):
                if isinstance(group[0], StagedFile):
                    yield partial(_described, group, group[0].path, group[0].sha256, group[0].size_bytes)
                else:
                    name = self._place.joined_name(partition, number)
                    yield partial(self._join, group, self._kind.frame or Frame(), name)

    def _groups(self, files: Sequence[ReadFile]) -> Iterator[list[ReadFile]]:
        """Yield what becomes one data file: a file of the store, or neighbours that are not there yet."""
        around = self._kind.frame or Frame()
        group: list[ReadFile] = []
        size = 0
        for file in files:
            added = file.size_bytes + around.size_bytes(1) + len(around.between)
            if group and (
                isinstance(file, StagedFile)
                or isinstance(group[0], StagedFile)
                or size + added > self._kind.max_file_size
            ):
                yield group
                group, size = [], 0
            group.append(file)
            size += added
        if group:
            yield group

    def _write_empty(self) -> AssembledFile:
        """Write the one object of an export without events; see :class:`.recovery.Commit`, why there always is one."""
        name = self._place.joined_name(0, 0)
        with self._store.create(name) as sink:
            counted = _Hashed(sink)
            if self._kind.frame is None:
                from airflow_provider_honeyhive.formats.parquet import ParquetFile  # noqa: PLC0415

                ParquetFile(counted, self._kind.compression, self._kind.metadata).close()
            else:
                counted.write(empty_file(self._layout))
        part = PartFile(path=name, event_count=0, size_bytes=counted.size, sha256=counted.digest.hexdigest())
        return AssembledFile(part, "", {})

    # ------------------------------------------------------------------------------- putting together

    def _join(self, files: Sequence[ReadFile], around: Frame, name: str) -> AssembledFile:
        """Write a file of others, whose bytes come through this machine."""
        first = files[0]
        if len(files) == 1 and isinstance(first, StagedFile) and around == Frame():
            return _described(files, first.path, first.sha256, first.size_bytes)
        with self._store.create(name) as sink:
            counted = _Hashed(sink)
            for piece in self._pieces(files, around):
                for chunk in piece.chunks() if isinstance(piece, _Bytes | HeldFile) else self._read(piece):
                    counted.write(chunk)
        return _described(files, name, counted.digest.hexdigest(), counted.size)

    def _read(self, piece: StagedFile) -> Iterator[bytes]:
        return self._store.chunks(piece.path, 0, piece.size_bytes)

    def _one_object(self, files: Sequence[ReadFile]) -> AssembledFile:
        around, name = self._kind.frame or Frame(), self._kind.piece_of or ""
        if not self._store.joins or not any(isinstance(file, StagedFile) for file in files):
            return self._join(files, around, name)
        hashed: list[HashedPiece] = []
        to_join: list[Piece] = []
        pieces = list(self._pieces(files, around))
        for piece in pieces:
            if isinstance(piece, StagedFile):
                hashed.append(HashedPiece(size_bytes=piece.size_bytes, sha256=piece.sha256))
                to_join.append(StoredPiece(piece.path, piece.size_bytes))
            else:
                digest = sha256()
                for chunk in piece.chunks():
                    digest.update(chunk)
                hashed.append(HashedPiece(size_bytes=piece.size_bytes, sha256=digest.hexdigest()))
                to_join.append(piece)
        self._store.join(name, to_join)
        size = sum(piece.size_bytes for piece in hashed)
        if len(hashed) == 1:
            return _described(files, name, hashed[0].sha256, size)
        return _described(files, name, hash_of_pieces(hashed), size, hashed)

    def _pieces(self, files: Sequence[ReadFile], around: Frame) -> Iterator[ReadFile | _Bytes]:
        """Yield what stands in a file, in its order."""
        for number, file in enumerate(files):
            before = around.between if number else around.head
            if before and not (isinstance(file, StagedFile) and file.has_before):
                yield _Bytes(before)
            yield file
        if around.tail:
            yield _Bytes(around.tail)
        if len(files) > 1 and files[0].footer is not None:
            yield _Bytes(_footer(files))


def _footer(files: Sequence[ReadFile]) -> bytes:
    from airflow_provider_honeyhive.formats.parquet_footer import joined_footer  # noqa: PLC0415 - it needs no pyarrow

    parts, at = [], 0
    for file in files:
        parts.append((file.footer or b"", at))
        at += file.size_bytes
    return joined_footer(parts)


def _partition_key(file: ReadFile) -> tuple[bool, str]:
    partition = file.contents.partition
    return partition.startswith("_"), partition


class _Bytes(msgspec.Struct, frozen=True):
    """A few bytes as a piece of a file."""

    data: bytes

    @property
    def size_bytes(self) -> int:
        return len(self.data)

    def chunks(self) -> Iterator[bytes]:
        yield self.data


class _Hashed(msgspec.Struct):
    """A sink that hashes and counts what it gets."""

    sink: Sink
    digest: Any = msgspec.field(default_factory=sha256)
    size: int = 0

    def write(self, data: bytes) -> None:
        if data:
            self.digest.update(data)
            self.size += len(data)
            self.sink.write(data)


def _described(
    files: Sequence[ReadFile], path: str, digest: str, size_bytes: int, pieces: Sequence[HashedPiece] = ()
) -> AssembledFile:
    contents: Block = sum_of([file.contents for file in files])
    part = PartFile(
        path=path,
        event_count=contents.event_count,
        size_bytes=size_bytes,
        sha256=digest,
        pieces=list(pieces),
        min_start_time=_text(contents.min_us),
        max_start_time=_text(contents.max_us),
        events_without_time=contents.without_time,
    )
    return AssembledFile(part, contents.partition, contents.misfits)


def _text(micros: int | None) -> str | None:
    return None if micros is None else format_time(from_micros(micros))
