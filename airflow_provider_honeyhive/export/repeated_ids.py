"""Counts the events whose id another one of the same export has, however far apart the two are."""

from __future__ import annotations

import tempfile
import threading
from array import array
from bisect import bisect_left
from contextlib import ExitStack
from itertools import chain
from typing import IO, TYPE_CHECKING, Self

from airflow_provider_honeyhive.storage.temporary import temporary_space

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

#: Hashes that are looked at in one go: what bounds the memory that counting takes, at about 100 bytes for each.
IN_ONE_GO = 100_000

#: Parts that more than that are looked at in: for each batch of ids it is remembered where the parts begin.
MOST_SHARES = 256

#: A hash of 64 bits.
_HASH_BYTES = 8


class RepeatedIds:
    """Remembers hashes of ids in a temporary file, 8 bytes each, as a context manager. May be shared by threads.

    Two ids of 64 bits that differ have the same hash once in a million exports of five million events.
    """

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._stack = ExitStack()
        self._lock = threading.Lock()
        #: By slice: where in the file its hashes begin, and how many there are.
        self._pieces: dict[int, list[tuple[int, int]]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        self._file = None

    def add(self, slice_number: int, ids: Iterable[Hashable]) -> None:
        """Remember the ids of some events.

        :param slice_number: what they belong to.
        :raises DestinationError: there is no room for them.
        """
        # As tuples, because whole numbers alone have hashes that are not spread.
        # Sorted here, while other threads wait for the server: at the end nothing else goes on.
        hashes = array("q", sorted(map(hash, zip(ids, strict=False))))
        if not hashes:
            return
        with temporary_space(), self._lock:
            if self._file is None:
                self._file = self._stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - closed with the stack
            begin = self._file.seek(0, 2)
            self._file.write(hashes.tobytes())
            self._pieces.setdefault(slice_number, []).append((begin, len(hashes)))

    def forget(self, slice_number: int) -> None:
        """Forget the ids of a slice that is read again."""
        with self._lock:
            self._pieces.pop(slice_number, None)

    def count(self) -> int:
        """Return how many events have an id that one before them had.

        :raises DestinationError: the temporary file cannot be read.
        """
        pieces = list(chain.from_iterable(self._pieces.values()))
        shares = min(-(-sum(size for _, size in pieces) // IN_ONE_GO), MOST_SHARES)
        bounds = [-(2**63) + number * 2**64 // shares for number in range(1, shares)]
        if self._file is None:
            return 0
        with temporary_space():
            places = [_places(self._file, begin, size, bounds) for begin, size in pieces]
            return sum(_repeated(self._share(pieces, places, number)) for number in range(shares))

    def _share(self, pieces: list[tuple[int, int]], places: list[array[int]], number: int) -> array[int]:
        """Return the hashes between two bounds."""
        found = array("q")
        for (begin, _), ends in zip(pieces, places, strict=True):
            first, end = ends[number], ends[number + 1]
            if self._file is not None and first < end:
                found += _read(self._file, begin + first * _HASH_BYTES, end - first)
        return found


def _places(file: IO[bytes], begin: int, size: int, bounds: list[int]) -> array[int]:
    """Return where each share of some hashes, which are sorted, begins, and where the last one ends."""
    hashes = _read(file, begin, size)
    return array("I", (0, *(bisect_left(hashes, bound) for bound in bounds), size))


def _read(file: IO[bytes], begin: int, size: int) -> array[int]:
    file.seek(begin)
    hashes = array("q")
    hashes.frombytes(file.read(size * _HASH_BYTES))
    return hashes


def _repeated(hashes: array[int]) -> int:
    return len(hashes) - len(set(hashes))
