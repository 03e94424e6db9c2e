"""Holds the bytes of one answer in memory of their own, which goes back to the system with the answer.

What an export needs in memory is answers. Taken from the allocator of the process, buffers of some megabytes,
again and again and in several threads, leave so many holes that twice the memory is in use (seen with glibc).
"""

from __future__ import annotations

import mmap
from contextlib import suppress

_FIRST_BYTES = 1024 * 1024
#: Linux's "use large pages", which spares most of the page faults of filling new memory; other systems lack it.
_LARGE_PAGES = getattr(mmap, "MADV_HUGEPAGE", None)


class AnswerBody:
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
