"""From staged blocks to data files: where each file begins and ends, and how it is put together.

Which blocks a file holds depends on their order and sizes alone, so the same events give the same files.
Where a staged file is just what is wanted, it is taken as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

from airflow_provider_honeyhive.manifest import PartFile
from airflow_provider_honeyhive.windows import format_time, from_micros

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Executor

    from airflow_provider_honeyhive.staging import Member, StagedFile
    from airflow_provider_honeyhive.stores import Store


@dataclass(slots=True)
class _Range:
    """Bytes of a staged file."""

    file: StagedFile
    offset: int
    length: int

    @property
    def is_whole_file(self) -> bool:
        return self.length == self.file.size_bytes


@dataclass(slots=True)
class _Part:
    """A data file to be."""

    ranges: list[_Range] = field(default_factory=list)
    members: list[Member] = field(default_factory=list)
    size_bytes: int = 0

    def add(self, file: StagedFile, offset: int, member: Member) -> None:
        last = self.ranges[-1] if self.ranges else None
        if last is not None and last.file is file:
            last.length += member.size_bytes
        else:
            self.ranges.append(_Range(file, offset, member.size_bytes))
        self.members.append(member)
        self.size_bytes += member.size_bytes


def assemble(
    staged: Sequence[StagedFile], max_file_size: int | None, store: Store, folder: str, pool: Executor
) -> list[PartFile]:
    """Return the data files, each under a name in the staging folder.

    :param staged: in the order in which the events are to be read.
    :param max_file_size: most bytes of a data file, unless a single block has more; None: one file.
    :param store: where the staged files are.
    :param folder: the staging folder.
    :param pool: puts files together side by side.
    """
    parts = list(_parts(staged, max_file_size))
    names = [f"{folder}/joined-{number:05d}" for number in range(len(parts))]
    return list(pool.map(lambda part, name: _put_together(part, store, name), parts, names))


def _parts(staged: Sequence[StagedFile], max_file_size: int | None) -> Iterator[_Part]:
    part = _Part()
    for file in staged:
        offset = 0
        for member in file.members:
            if part.members and max_file_size is not None and part.size_bytes + member.size_bytes > max_file_size:
                yield part
                part = _Part()
            part.add(file, offset, member)
            offset += member.size_bytes
    if part.members:
        yield part


def _put_together(part: _Part, store: Store, name: str) -> PartFile:
    first = part.ranges[0]
    if len(part.ranges) == 1 and first.is_whole_file:
        return _described(part, first.file.path, first.file.sha256)
    digest = sha256()
    with store.create(name) as sink:
        for piece in part.ranges:
            for chunk in store.chunks(piece.file.path, piece.offset, piece.length):
                digest.update(chunk)
                sink.write(chunk)
    return _described(part, name, digest.hexdigest())


def _described(part: _Part, path: str, digest: str) -> PartFile:
    earliest = min((member.min_us for member in part.members if member.min_us is not None), default=None)
    latest = max((member.max_us for member in part.members if member.max_us is not None), default=None)
    return PartFile(
        path=path,
        event_count=sum(member.event_count for member in part.members),
        size_bytes=part.size_bytes,
        sha256=digest,
        min_start_time=None if earliest is None else format_time(from_micros(earliest)),
        max_start_time=None if latest is None else format_time(from_micros(latest)),
        events_without_time=sum(member.without_time for member in part.members),
    )
