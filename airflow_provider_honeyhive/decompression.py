"""Gives back the bytes that were compressed, piece by piece: however far they expand, a piece stays small."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

import zstandard

Decompressor: TypeAlias = Callable[[Iterable[bytes]], Iterator[bytes]]

#: Most bytes that a decompressor gives at once.
PIECE_BYTES = 1024**2
_GZIP_BITS = 31


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
    reader = zstandard.ZstdDecompressor().stream_reader(_Readable(chunks), read_across_frames=True)  # type: ignore[arg-type]
    while piece := reader.read(PIECE_BYTES):
        yield piece


#: Compression -> what gives the plain bytes of a file's bytes.
DECOMPRESS: dict[str, Decompressor] = {"none": iter, "gzip": _gunzip, "zstd": _unzstd}
#: What broken bytes raise.
DECOMPRESSION_ERRORS = (zlib.error, zstandard.ZstdError, ValueError)
