"""Events in, part files out: one line an event, its bytes as the server sent them. Compresses, counts and hashes."""

from __future__ import annotations

import zlib
from contextlib import ExitStack
from hashlib import sha256
from typing import TYPE_CHECKING, Protocol

from airflow_provider_honeyhive.manifest import PartFile
from airflow_provider_honeyhive.windows import format_time, from_micros

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

    from airflow_provider_honeyhive.reader import Batch
    from airflow_provider_honeyhive.stores import Sink, Store

#: Events go to the compressor in groups of about this many bytes; a file can be ended after each.
GROUP_BYTES = 256 * 1024
GZIP_LEVEL = 1


class Compressor(Protocol):
    """What turns the lines of a part into its bytes."""

    def compress(self, data: bytes, /) -> bytes:
        """Take some, return what is ready."""

    def flush(self) -> bytes:
        """Return the rest."""


class _Uncompressed:
    def compress(self, data: bytes) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


_COMPRESSORS: dict[str, Callable[[], Compressor]] = {
    "none": _Uncompressed,
    # wbits 31: a gzip header, without a time in it, so that the same events give the same bytes.
    "gzip": lambda: zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, 31),
}


class _OpenPart:
    """A part being written."""

    def __init__(self, path: str, sink: Sink, compressor: Compressor) -> None:
        self._path = path
        self._sink = sink
        self._compressor = compressor
        self._hash = sha256()
        self._event_count = 0
        self._without_time = 0
        self._times: tuple[int, int] | None = None
        self.size_bytes = 0

    def add(self, raw_events: list[bytes], times: list[int | None]) -> None:
        self._put(self._compressor.compress(b"\n".join(raw_events) + b"\n"))
        self._event_count += len(raw_events)
        known = [time for time in times if time is not None]
        self._without_time += len(times) - len(known)
        if known:
            bounds = (*known, *self._times) if self._times else known
            self._times = min(bounds), max(bounds)

    def end(self) -> PartFile:
        self._put(self._compressor.flush())
        low, high = (format_time(from_micros(time)) for time in self._times) if self._times else (None, None)
        return PartFile(
            path=self._path,
            event_count=self._event_count,
            size_bytes=self.size_bytes,
            sha256=self._hash.hexdigest(),
            min_start_time=low,
            max_start_time=high,
            events_without_time=self._without_time,
        )

    def _put(self, data: bytes) -> None:
        if data:
            self._hash.update(data)
            self.size_bytes += len(data)
            self._sink.write(data)


class JsonlWriter:
    """Writes the parts of one slice into a store, as a context manager.

    :param store: where to.
    :param name_part: gives the name of the n-th part.
    :param compression: ``gzip`` or ``none``.
    :param max_file_size: bytes at which a part ends and the next one begins.
    :param parts: what an earlier try has written.
    :param on_part: called after each part with the ids of the current answer that are not written yet.
    """

    def __init__(
        self,
        store: Store,
        name_part: Callable[[int], str],
        compression: str,
        max_file_size: int,
        *,
        parts: Sequence[PartFile] = (),
        on_part: Callable[[Sequence[Hashable]], None] = lambda pending: None,
    ) -> None:
        self.parts = list(parts)
        self._on_part = on_part
        self._store = store
        self._name_part = name_part
        self._compression = compression
        self._max_file_size = max_file_size
        self._open: _OpenPart | None = None
        self._stack = ExitStack()

    def __enter__(self) -> JsonlWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is None:
            self._end_part(())
        # With the error, so that the store throws the open file away.
        self._stack.__exit__(kind, error, None)

    def write(self, batch: Batch) -> None:
        """Write the events of one answer."""
        for end, raws, times in _groups(batch):
            if self._open is None:
                name = self._name_part(len(self.parts))
                sink = self._stack.enter_context(self._store.create(name))
                self._open = _OpenPart(name, sink, _COMPRESSORS[self._compression]())
            self._open.add(raws, times)
            if self._open.size_bytes >= self._max_file_size:
                self._end_part(batch.ids[end:])

    def _end_part(self, pending: Sequence[Hashable]) -> None:
        if self._open is not None:
            part = self._open.end()
            self._open = None
            self._stack.close()
            self.parts.append(part)
            self._on_part(pending)


def _groups(batch: Batch) -> Iterator[tuple[int, list[bytes], list[int | None]]]:
    start, size = 0, 0
    for number, raw in enumerate(batch.raw_events, 1):
        size += len(raw) + 1
        if size >= GROUP_BYTES or number == len(batch.raw_events):
            yield number, batch.raw_events[start:number], batch.times[start:number]
            start, size = number, 0
