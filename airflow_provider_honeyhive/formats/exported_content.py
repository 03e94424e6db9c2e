"""What earlier runs have exported, looked up by an event's identity: the records of their indexes."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Self

from airflow_provider_honeyhive.exceptions import DestinationError
from airflow_provider_honeyhive.formats.content_index import IndexFile, read_index, unpacked_records
from airflow_provider_honeyhive.storage.temporary import temporary_space

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class ExportedContent:
    """The newest record of each event that earlier runs have written, as a context manager.

    In a temporary file of SQLite, which goes when it is closed; in memory is only a small part of it. May be shared by
    threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        with temporary_space(sqlite3.Error):
            # The empty name stands for a file that nobody else sees.
            self._db = sqlite3.connect("", check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = OFF")
            self._db.execute("CREATE TABLE exported (identity BLOB, content BLOB)")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def add(self, chunks: Iterable[bytes], index: IndexFile, where: str) -> None:
        """Take the records of one export. Of an event that several have, the last one added counts.

        :param chunks: bytes of its index.
        :param index: what its manifest says of it.
        :param where: the index, for messages.
        :raises DestinationError: they are not what the manifest says, or there is no room for them.
        """
        try:
            with temporary_space(sqlite3.Error):
                self._db.execute("BEGIN")
                self._db.executemany("INSERT INTO exported VALUES (?, ?)", read_index(chunks, index))
                self._db.execute("COMMIT")
        except ValueError:
            raise DestinationError(
                "clear the task that exported a damaged index, or set lookback_windows=0",
                f"{where} is not what its manifest says, so what came late or changed cannot be told",
            ) from None

    def finish(self) -> None:
        """Make it ready to be asked; to be called when all is added."""
        with temporary_space(sqlite3.Error):
            self._db.execute("CREATE INDEX by_identity ON exported (identity)")

    def contents_of(self, records: bytes) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield for each record what it says of the content, and what the newest one of the same event says.

        :param records: of :func:`.records_of`; the second is None for an event that was not exported.
        """
        query = "SELECT content FROM exported WHERE identity = ? ORDER BY rowid DESC LIMIT 1"
        with temporary_space(sqlite3.Error), self._lock, closing(self._db.cursor()) as cursor:
            found = [
                (content, cursor.execute(query, (identity,)).fetchone())
                for identity, content in unpacked_records(records)
            ]
        for content, row in found:
            yield content, None if row is None else row[0]

    def identities_in(self, records: bytes) -> list[bytes]:
        """Return the identities of those records whose events were exported.

        :param records: of :func:`.records_of`.
        """
        query = "SELECT 1 FROM exported WHERE identity = ? LIMIT 1"
        with temporary_space(sqlite3.Error), self._lock, closing(self._db.cursor()) as cursor:
            return [
                identity
                for identity, _ in unpacked_records(records)
                if cursor.execute(query, (identity,)).fetchone() is not None
            ]
