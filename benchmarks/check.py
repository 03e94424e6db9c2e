"""Look into what a contender wrote: which events are there, and how often."""

from __future__ import annotations

import gzip
import io
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Of the manifest beside an export of one object.
MANIFEST_SUFFIX = ".manifest.json"
CHUNK = 4 * 1024 * 1024
GZIP_MAGIC = b"\x1f\x8b"
KEY = b'"event_id"'
ID_BEGIN, ID_LENGTH = b'"event_id":"', 36


class WrongResultError(Exception):
    """Events are missing, doubled or foreign."""


def check_ids(directory: Path, served: set[bytes]) -> None:
    """Check that our files have every event served once and no other.

    :raises WrongResultError: they do not.
    """
    found: set[bytes] = set()
    count = 0
    for path in data_files(directory):
        for event_id in _parquet_ids(path) if path.suffix == ".parquet" else _line_ids(path):
            found.add(event_id)
            count += 1
    if count != len(served) or found != served:
        raise WrongResultError(f"{count} events written, {len(found & served)} of {len(served)} served among them")


def check_count(directory: Path, expected: int) -> None:
    """Check that as many events were written, in whatever form.

    :raises WrongResultError: they were not.
    """
    count = 0
    for path in data_files(directory):
        with _opened(path) as file:
            rest = b""
            while chunk := file.read(CHUNK):
                # What may be the beginning of a key at the end of a chunk is looked at with the next one.
                text = rest + chunk
                count += text.count(KEY)
                rest = text[-len(KEY) + 1 :]
    if count != expected:
        raise WrongResultError(f"{count} events written, {expected} served")


def data_files(directory: Path) -> list[Path]:
    """Return the files below a directory, without manifests and what engines skip: names that begin with ``_``."""
    return sorted(
        path
        for path in directory.rglob("*")
        if path.is_file()
        and not path.name.endswith(MANIFEST_SUFFIX)
        and not any(part.startswith("_") for part in path.relative_to(directory).parts)
    )


def _line_ids(path: Path) -> Iterator[bytes]:
    with _opened(path) as file:
        for line in file:
            begin = line.index(ID_BEGIN) + len(ID_BEGIN)
            yield line[begin : begin + ID_LENGTH]


def _parquet_ids(path: Path) -> Iterator[bytes]:
    from pyarrow import parquet  # noqa: PLC0415

    for value in parquet.read_table(path, columns=["event_id"])["event_id"].to_pylist():
        yield value.encode()


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    with path.open("rb") as raw:
        magic = raw.read(len(GZIP_MAGIC))
    if path.suffix == ".zst":
        import zstandard  # noqa: PLC0415

        with path.open("rb") as raw:
            stream = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
            yield io.BufferedReader(cast("io.RawIOBase", stream), CHUNK)
    elif magic == GZIP_MAGIC:
        yield cast("IO[bytes]", _gunzip(path))
    else:
        with path.open("rb") as file:
            yield file


def _gunzip(path: Path) -> object:
    try:
        from isal import igzip  # noqa: PLC0415
    except ImportError:
        return gzip.open(path)
    return io.BufferedReader(igzip.open(path, "rb"), CHUNK)
