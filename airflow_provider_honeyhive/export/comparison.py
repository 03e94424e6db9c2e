"""Finds the events of a published export that a new one lacks, and those that it adds.

Events are compared by their ids: those of the published export come from its index or its files, those of the new one
from what is staged for it.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Literal, Self, TypeAlias

from airflow_provider_honeyhive.display import LONGEST_VALUE, get_logger, shown
from airflow_provider_honeyhive.exceptions import DestinationError
from airflow_provider_honeyhive.formats.content_index import IndexFile, identity_of, read_index
from airflow_provider_honeyhive.formats.datafile import PartDigest, event_ids
from airflow_provider_honeyhive.models.layout import INDEX_PARTITION
from airflow_provider_honeyhive.storage.temporary import temporary_space

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from airflow_provider_honeyhive.export.assembly import AssembledFile
    from airflow_provider_honeyhive.export.destination import Destination
    from airflow_provider_honeyhive.formats.datafile import PartFile
    from airflow_provider_honeyhive.manifest import Manifest
    from airflow_provider_honeyhive.storage.base import Store


log = get_logger(__name__)

#: What stands for an event's id, None where it has none; and for what the event says, None where that is not known.
Record: TypeAlias = "tuple[bytes | None, bytes | None]"

#: Returns how many of some records are still in other exports; see :meth:`.Lookback.count_kept`.
CountKept: TypeAlias = "Callable[[Iterable[tuple[bytes, bytes]]], int]"


def compare(
    place: Destination, old: Manifest, files: Sequence[AssembledFile], count_kept: CountKept | None
) -> tuple[int | None, int | None]:
    """Return how many events the new export lacks, and how many it adds.

    :param place: of both.
    :param old: the published export's manifest.
    :param files: the new data files under their present names, its index among them where it has one.
    :param count_kept: tells which of the published events are in other exports as well; None: none are.

    Where files of the old one are damaged, the first is how many of the others' events it lacks, None where it has them
    all, and the second is None.
    """
    store, layout = place.store, place.layout
    index = next((IndexFile.of(file.part) for file in files if file.partition == INDEX_PARTITION), None)
    data = [file.part for file in files if file.partition != INDEX_PARTITION]
    published = [*old.files, *old.corrections]
    if sorted(part.sha256 for part in published) == sorted(part.sha256 for part in data):
        return 0, 0
    # Indexes tell events without an id apart, and files do not: so both sides come from the same kind.
    if old.index is not None and (index is not None or not data):
        with _Records() as comparison:
            if _add_old(comparison, store, old.index.path, _indexed(store, old.index), "its files are compared"):
                if index is not None:
                    _add_new(comparison, _indexed(store, index))
                return comparison.missing(count_kept), comparison.added()
    with _Records() as comparison:
        for part in data:
            _add_new(comparison, _ids_in(store, layout.file_format, layout.compression, part))
        is_whole = [
            _add_old(
                comparison,
                store,
                part.path,
                _ids_in(store, old.file_format, old.compression, part),
                "only the number of its events is compared",
            )
            for part in published
        ]
        missing = comparison.missing(count_kept)
        return (missing, comparison.added()) if all(is_whole) else (missing or None, None)


def _add_new(comparison: _Records, records: Iterable[Record]) -> None:
    try:
        comparison.add("new", records)
    except ValueError as error:
        raise DestinationError(f"what is staged cannot be read back, so nothing was published: {error}") from None


def _add_old(comparison: _Records, store: Store, path: str, records: Iterable[Record], instead: str) -> bool:
    """Return whether the file is whole; otherwise none of its records is taken, and a warning says what is instead."""
    try:
        comparison.add("old", _unless_gone(store, path, records))
    except ValueError as error:
        log.warning(
            "The export that this one replaces is damaged, so %s: %s: %s",
            instead,
            store.url(path),
            shown(error, LONGEST_VALUE),
        )
        return False
    return True


def _indexed(store: Store, index: IndexFile) -> Iterator[Record]:
    yield from read_index(store.chunks(index.path), index)


def _ids_in(store: Store, file_format: str, compression: str, part: PartFile) -> Iterator[Record]:
    """Yield what stands for the events of a data file.

    :raises ValueError: it is not what its manifest says, even if it can be read: it may have been cut between two
        events; some records may have been given before.
    """
    digest = PartDigest(part)

    def hashed() -> Iterator[bytes]:
        for chunk in store.chunks(part.path):
            digest.update(chunk)
            yield chunk

    for event_id in event_ids(file_format, compression, hashed()):
        yield identity_of(event_id), None
    if digest.hexdigest() != part.sha256:
        raise ValueError("it is not what its manifest says")


def _unless_gone(store: Store, path: str, records: Iterable[Record]) -> Iterator[Record]:
    """Yield the records of a file.

    :raises ValueError: there is no such file any more.
    """
    try:
        yield from records
    except DestinationError:
        folder, _, name = path.rpartition("/")
        if name in store.files(folder):
            raise
        raise ValueError("it is missing") from None


def _none_of(records: Iterable[tuple[bytes, bytes]]) -> int:
    """Count the records that are in other exports where there are none."""
    return sum(0 for _ in records)


class _Records:
    """The records of two exports in a temporary file, as a context manager: they may be more than memory holds."""

    def __init__(self) -> None:
        self._without_id = {"old": 0, "new": 0}
        with temporary_space(sqlite3.Error):
            # The empty name stands for a file that nobody else sees.
            self._db = sqlite3.connect("", isolation_level=None)
            self._db.execute("PRAGMA journal_mode = OFF")
            self._db.execute("BEGIN")
            for side in self._without_id:
                self._db.execute(f"CREATE TABLE {side} (identity BLOB, content BLOB)")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def add(self, side: Literal["old", "new"], records: Iterable[Record]) -> None:
        """Take the records of one file.

        :raises ValueError: it is damaged, or gone; then none of its records is taken.
        """
        without_id = 0

        def with_id() -> Iterator[Record]:
            nonlocal without_id
            for record in records:
                if record[0] is None:
                    without_id += 1
                else:
                    yield record

        with temporary_space(sqlite3.Error):
            (last,) = self._db.execute(f"SELECT coalesce(max(rowid), 0) FROM {side}").fetchone()  # noqa: S608 - one of two words
            try:
                self._db.executemany(f"INSERT INTO {side} VALUES (?, ?)", with_id())  # noqa: S608
            except ValueError:
                self._db.execute(f"DELETE FROM {side} WHERE rowid > ?", (last,))  # noqa: S608
                raise
        self._without_id[side] += without_id

    def missing(self, count_kept: CountKept | None) -> int:
        """Return how many of the old events are not among the new ones, nor in other exports."""
        found = max(0, self._without_id["old"] - self._without_id["new"])

        def known(rows: Iterable[tuple[bytes, bytes | None, int]]) -> Iterator[tuple[bytes, bytes]]:
            nonlocal found
            for identity, content, _ in rows:
                found += 1
                if content is not None:
                    yield identity, content

        with closing(self._only_in("old", "new")) as rows, temporary_space(sqlite3.Error):
            kept = (count_kept or _none_of)(known(rows))
        return found - kept

    def added(self) -> int:
        """Return how many of the new events are not among the old ones."""
        found = max(0, self._without_id["new"] - self._without_id["old"])
        with closing(self._only_in("new", "old")) as rows, temporary_space(sqlite3.Error):
            return found + sum(1 for _ in rows)

    def _only_in(self, side: str, other: str) -> sqlite3.Cursor:
        with temporary_space(sqlite3.Error):
            for one in (side, other):
                self._db.execute(f"CREATE INDEX IF NOT EXISTS {one}_by_identity ON {one} (identity)")
            return self._db.execute(_ONLY_IN.format(side, other))


#: Of an event that one side holds several times, as a correction, the last record counts.
_ONLY_IN = (
    "SELECT identity, content, max(rowid) FROM {0} WHERE identity NOT IN (SELECT identity FROM {1}) GROUP BY identity"
)
