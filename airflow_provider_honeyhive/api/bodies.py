"""The body of a response, decompressed: held once, and never more of it than it may have."""

from __future__ import annotations

import errno
import mmap
import threading
from contextlib import suppress
from typing import Any

from airflow_provider_honeyhive.api.connections import BoundedResponse

#: Small enough for a processor's cache, and for what decompression copies again and again of what it has not read yet.
_CHUNK = 128 * 1024

#: What is asked for at once where nothing is copied: few calls, and few enough to look at the clock now and then.
_LARGE_CHUNK = 1024 * 1024

_FIRST_BYTES = 1024 * 1024

#: Memory of so many bytes, at most, is kept for the next body: more than most answers have, see ``TARGET_BYTES``.
_MOST_KEPT = 16_000_000

#: Linux's "use large pages", which spares most of the page faults of filling new memory; other systems lack it.
_LARGE_PAGES = getattr(mmap, "MADV_HUGEPAGE", None)


class SpareMemory(threading.local):
    """The memory of the last body that a thread has read, for its next one: new memory costs more than filling it.

    It ends with the thread.
    """

    _memory: mmap.mmap | None = None

    def keep(self, memory: mmap.mmap) -> None:
        """Keep memory, which may still be looked at, unless it is large."""
        self._memory = memory if len(memory) <= _MOST_KEPT else None

    def take(self) -> mmap.mmap | None:
        """Return what was kept, None where that is nothing, or some view of it is alive."""
        memory, self._memory = self._memory, None
        if memory is None:
            return None
        try:
            memory.resize(len(memory))
        except BufferError:
            return None
        except (SystemError, OSError):
            pass  # Systems that cannot resize look for views first, too.
        return memory


def read_body(raw: Any, most: int, spare: SpareMemory | None = None) -> BodyBuffer:
    """Return a body, whole unless it is larger than it may be.

    :param raw: the response, as urllib3 has it.
    :param most: bytes; where the body has more, a little more than this comes back.
    :param spare: gives memory, and gets it back.
    :raises MemoryError: there is no memory for it.
    """
    body = BodyBuffer(min(raw.length_remaining or 0, most), most, spare)
    try:
        _read_in_place(raw, body)
        while body.size <= most and (chunk := raw.read1(_CHUNK, decode_content=True)):
            body.append(chunk)
    except BaseException:
        # An error may live long, and its traceback keeps what this function knows.
        body.close()
        raise
    return body


def _read_in_place(raw: Any, body: BodyBuffer) -> None:
    """Read a body whose length is known, and which is not compressed, to where it is to be; no other one."""
    response = getattr(raw, "_original_response", None)
    is_plain = raw.headers.get("Content-Encoding", "").strip().lower() in ("", "identity")
    if not isinstance(response, BoundedResponse) or not is_plain:
        return
    with body.room() as room:
        if not 0 < (raw.length_remaining or 0) <= len(room):
            return
        with response.reading_into(room):
            # The layers between count what comes, and let the connection go at the end.
            while piece := raw.read1(_LARGE_CHUNK, decode_content=False):
                body.size += len(piece)
                piece.release()


class BodyBuffer:
    """Bytes that are appended until they are whole.

    :param announced: how many there will be, where that is known; more are fine.
    :param most: how many it is worth making room for in advance.
    :param spare: gives memory, and gets it back.
    """

    def __init__(self, announced: int = 0, most: int = 2**62, spare: SpareMemory | None = None) -> None:
        self._spare = spare
        self._memory = (spare and spare.take()) or _new_memory(announced or _FIRST_BYTES)
        if len(self._memory) < announced:
            self._resize(announced)
        self._most = most
        self.size = 0

    def room(self) -> memoryview:
        """Return where the next bytes can be put; to be released before any are appended."""
        return memoryview(self._memory)[self.size :]

    def append(self, chunk: bytes) -> None:
        """Add bytes at the end."""
        end = self.size + len(chunk)
        if end > len(self._memory):
            self._resize(max(end, min(2 * len(self._memory), self._most)))
        self._memory[self.size : end] = chunk
        self.size = end

    def view(self) -> memoryview:
        """Return the bytes without a copy; the memory lives as long as any view of it. Nothing can follow them."""
        if self._spare is not None:
            self._spare.keep(self._memory)
        elif 0 < self.size < len(self._memory):
            self._resize(self.size)
        return memoryview(self._memory)[: self.size].toreadonly()

    def close(self) -> None:
        """Give the memory back at once, or with the last view of it."""
        with suppress(BufferError):
            self._memory.close()

    def _resize(self, size: int) -> None:
        try:
            # On Linux the pages move, and no byte is copied.
            self._memory.resize(size)
        except (SystemError, OSError):
            resized = _new_memory(size)
            kept = min(self.size, size)
            resized[:kept] = self._memory[:kept]
            self._memory.close()
            self._memory = resized


def _new_memory(size: int) -> mmap.mmap:
    # Private, because shared memory gets no large pages but where the system is told to give it some.
    try:
        memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        if error.errno == errno.ENOMEM:
            raise MemoryError from None
        raise
    if _LARGE_PAGES is not None:
        with suppress(OSError):  # a kernel may be built without them
            memory.madvise(_LARGE_PAGES)
    return memory
