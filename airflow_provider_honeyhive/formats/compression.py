"""Compresses blocks of bytes, each by itself: what one gives follows the other, and is one valid file.

gzip by ISA-L where it is installed, else by the standard library. Measured on a page of 16 MB of texts,
one core of a 2-core x86-64 machine: ISA-L level 1 takes 400 MB/s, zlib-ng level 1 250, zlib level 1 100;
with 2.8, 2.1 and 2.7 times less bytes. zstd level 1 takes 320 MB/s, with 3.2 times less bytes.

ISA-L (2.32.1, levels above 0) may give other, equally valid bytes for the same block. Seen in 15 of 3,663 processes of
16 threads: by one thread, at each of its calls. By chance, the 1.1 MB that a call works in would lie across a multiple
of 4 GiB as often; that is probably the cause.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from types import ModuleType


def _isal() -> ModuleType | None:
    try:
        from isal import isal_zlib  # noqa: PLC0415
    except ImportError:  # no wheel for this machine
        return None
    return isal_zlib


_ISAL = _isal()

_LEVEL = 1

#: A gzip header and trailer; the header carries no time.
_GZIP_BITS = 31


def _gzip(data: bytes) -> bytes:
    compressed: bytes = (_ISAL or zlib).compress(data, _LEVEL, _GZIP_BITS)
    return compressed


def _zstd(data: bytes) -> bytes:
    import zstandard  # noqa: PLC0415 - here, as below, because only zstd needs it

    # One for each block: a compressor must not be used by two threads.
    return zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compress(data)


COMPRESS: dict[str, Callable[[bytes], bytes]] = {"none": lambda data: data, "gzip": _gzip, "zstd": _zstd}

Decompressor: TypeAlias = Callable[[Iterable[bytes]], Iterator[bytes]]

#: Most bytes that a decompressor gives at once.
PIECE_BYTES = 1024**2


def _gunzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Decompress one gzip member after the other, as joined files have them."""
    member = zlib.decompressobj(_GZIP_BITS)
    inside = False
    for chunk in chunks:
        data = chunk
        while data:
            yield member.decompress(data, PIECE_BYTES)
            inside = not member.eof
            data = member.unconsumed_tail if inside else member.unused_data
            if not inside:
                member = zlib.decompressobj(_GZIP_BITS)
    if inside:
        raise ValueError("it ends in the middle of its compressed data")


class _Readable:
    """Chunks of bytes as the file that zstandard wants to read."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = memoryview(b"")

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, at most ``size``."""
        if not self._rest:
            self._rest = memoryview(next(self._chunks, b""))
        size = len(self._rest) if size < 0 else size
        piece, self._rest = bytes(self._rest[:size]), self._rest[size:]
        return piece


def _unzstd(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Decompress one zstd frame after the other."""
    import zstandard  # noqa: PLC0415

    reader = zstandard.ZstdDecompressor().stream_reader(_Readable(chunks), read_across_frames=True)  # type: ignore[arg-type]
    while piece := reader.read(PIECE_BYTES):
        yield piece


#: Compression -> what gives the plain bytes of a file's bytes.
DECOMPRESS: dict[str, Decompressor] = {"none": iter, "gzip": _gunzip, "zstd": _unzstd}
