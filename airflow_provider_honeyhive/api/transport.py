"""One session: auth, redirects, bodies, requests at once."""

from __future__ import annotations

import mmap
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


_FIRST_BYTES = 1024 * 1024

#: Linux's "use large pages", which spares most of the page faults of filling new memory; other systems lack it.
_LARGE_PAGES = getattr(mmap, "MADV_HUGEPAGE", None)


class BodyBuffer:
    """Bytes that are appended until they are whole.

    :param announced: how many there will be, where that is known; more are fine.
    """

    def __init__(self, announced: int = 0) -> None:
        self._memory = _new_memory(announced or _FIRST_BYTES)
        self.size = 0

    def append(self, chunk: bytes) -> None:
        """Add bytes at the end."""
        end = self.size + len(chunk)
        if end > len(self._memory):
            grown = _new_memory(max(end, 2 * len(self._memory)))
            grown[: self.size] = self._memory[: self.size]
            self._memory.close()
            self._memory = grown
        self._memory[self.size : end] = chunk
        self.size = end

    def view(self) -> memoryview:
        """Return the bytes without a copy; the memory lives as long as any view of it."""
        return memoryview(self._memory)[: self.size].toreadonly()


def _new_memory(size: int) -> mmap.mmap:
    # Private, because shared memory gets no large pages but where the system is told to give it some.
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if _LARGE_PAGES is not None:
        with suppress(OSError):  # a kernel may be built without them
            memory.madvise(_LARGE_PAGES)
    return memory


#: Answers, for each request that may be under way, after which one more may be.
GROW_AFTER = 4

#: Seconds between two looks at whether to go on waiting.
_TICK_S = 0.5


class ConcurrencyLimit:
    """Counts the requests under way, and lets wait who would be one too many.

    :param most: requests at once while the server does not object.
    """

    def __init__(self, most: int) -> None:
        self._changed = threading.Condition()
        self._most = most
        self._busy = 0
        self._answers = 0
        self._slowdowns = 0
        self.allowed = most

    @property
    def most(self) -> int:
        """Requests at once while the server does not object."""
        return self._most

    @most.setter
    def most(self, most: int) -> None:
        with self._changed:
            self._most = self.allowed = most
            self._changed.notify_all()

    @contextmanager
    def one(self, is_stopped: Callable[[], bool]) -> Iterator[Callable[[bool], None]]:
        """Wait for a place among the requests under way, and hold it.

        Gives a function to be called with whether the server had too many requests.

        :param is_stopped: asked while waiting; once true, nobody is made to wait.
        """
        with self._changed:
            while self._busy >= self.allowed and not is_stopped():
                self._changed.wait(_TICK_S)
            self._busy += 1
            began_after = self._slowdowns

        def answered(too_many: bool) -> None:
            with self._changed:
                if too_many:
                    self._slow_down(began_after)
                else:
                    self._grow()

        try:
            yield answered
        finally:
            with self._changed:
                self._busy -= 1
                self._changed.notify()

    def _slow_down(self, began_after: int) -> None:
        # Requests that were under way together are refused together: they count as one refusal.
        if began_after == self._slowdowns:
            self._slowdowns += 1
            self._answers = 0
            self.allowed = max(1, self.allowed // 2)

    def _grow(self) -> None:
        self._answers += 1
        if self.allowed < self._most and self._answers >= GROW_AFTER * self.allowed:
            self._answers = 0
            self.allowed += 1
            self._changed.notify()
