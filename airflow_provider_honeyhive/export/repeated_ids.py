"""Counts the events whose id another one of the same export has, however far apart the two are."""

from __future__ import annotations

import tempfile
import threading
from array import array
from bisect import bisect_left
from contextlib import ExitStack
from itertools import chain, pairwise
from typing import IO, TYPE_CHECKING, Self

from airflow_provider_honeyhive.formats.temporary import temporary_space

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator

#: Hashes that are looked at in one go: what bounds the memory that counting takes, at about 100 bytes for each.
IN_ONE_GO = 100_000

#: Temporary files that are open at the same time while more than that are counted.
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
        hashes = array("q", map(hash, zip(ids, strict=False)))
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

        :raises DestinationError: there is no room for temporary files.
        """
        total = sum(size for pieces in self._pieces.values() for _, size in pieces)
        shares = min(-(-total // IN_ONE_GO), MOST_SHARES)
        if shares <= 1:
            return sum(map(_repeated, self._hashes(total)))
        bounds = [-(2**63) + number * 2**64 // shares for number in range(1, shares)]
        with temporary_space(), ExitStack() as stack:
            files = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(shares)]
            for hashes in self._hashes(IN_ONE_GO):
                ordered = array("q", sorted(hashes))
                places = [0, *(bisect_left(ordered, bound) for bound in bounds), len(ordered)]
                for file, (begin, end) in zip(files, pairwise(places), strict=True):
                    file.write(ordered[begin:end].tobytes())
            return sum(_repeated(_read(file, 0, file.tell() // _HASH_BYTES)) for file in files)

    def _hashes(self, enough: int) -> Iterator[array[int]]:
        """Yield all hashes, as soon as there are enough."""
        found = array("q")
        with temporary_space():
            for begin, size in chain.from_iterable(self._pieces.values()):
                if self._file is not None:
                    found += _read(self._file, begin, size)
                if len(found) >= enough:
                    yield found
                    found = array("q")
            yield found


def _read(file: IO[bytes], begin: int, size: int) -> array[int]:
    file.seek(begin)
    hashes = array("q")
    hashes.frombytes(file.read(size * _HASH_BYTES))
    return hashes


def _repeated(hashes: array[int]) -> int:
    return len(hashes) - len(set(hashes))
