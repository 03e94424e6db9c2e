"""Bytes that wait on this machine, in a temporary file without a name: it is gone when the process is."""

from __future__ import annotations

import tempfile
import threading
import weakref
from typing import TYPE_CHECKING

from airflow_provider_honeyhive.storage.temporary import temporary_space

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Bytes of one spool that stay in memory; what is more goes to the disk.
BYTES_IN_MEMORY = 256 * 1024

#: Bytes that are given at once: of larger pieces, each thread's memory would stay with the process.
PIECE_BYTES = 256 * 1024


class Spool:
    """Bytes in their order: some are added at the end, others are taken from the beginning.

    Every method raises DestinationError where there is no room for a temporary file. Threads may read at the same time.
    """

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(BYTES_IN_MEMORY)  # noqa: SIM115 - closed with the spool
        # After a failure nobody else does.
        self.close = weakref.finalize(self, self._file.close)
        self.size_bytes = 0
        self._lock = threading.Lock()

    def write(self, data: bytes) -> None:
        """Add bytes."""
        with temporary_space(), self._lock:
            self._file.seek(self.size_bytes)
            self._file.write(data)
        self.size_bytes += len(data)

    def take(self, count: int) -> Iterator[bytes]:
        """Yield the first bytes in pieces; they are forgotten at the end."""
        yield from self._chunks(0, count)
        position = 0
        for chunk in self._chunks(count, self.size_bytes):
            with temporary_space(), self._lock:
                self._file.seek(position)
                self._file.write(chunk)
            position += len(chunk)
        with temporary_space(), self._lock:
            self._file.truncate(position)
        self.size_bytes = position

    def chunks(self) -> Iterator[bytes]:
        """Yield all bytes in pieces, and forget none."""
        return self._chunks(0, self.size_bytes)

    def _chunks(self, start: int, end: int) -> Iterator[bytes]:
        for at in range(start, end, PIECE_BYTES):
            with temporary_space(), self._lock:
                self._file.seek(at)
                chunk = self._file.read(min(PIECE_BYTES, end - at))
            yield chunk
