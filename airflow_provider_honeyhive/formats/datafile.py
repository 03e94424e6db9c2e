"""Reads data files back, as far as it takes to count their events and to know their times. In constant memory."""

from __future__ import annotations

import csv
import sys
import tempfile
from hashlib import sha256
from typing import TYPE_CHECKING, TypeAlias

from pydantic import BaseModel, ConfigDict

from airflow_provider_honeyhive.events.raw import time_of
from airflow_provider_honeyhive.formats.compression import DECOMPRESS, DECOMPRESSION_ERRORS
from airflow_provider_honeyhive.models.window import format_time, from_micros, parse_time, to_micros

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


#: The ``start_time`` of each event, microseconds since 1970.
Times: TypeAlias = "Iterator[int | None]"


def event_times(file_format: str, compression: str, chunks: Iterable[bytes]) -> Times:
    """Yield the time of each event of a data file, None for one that has none.

    :param chunks: the bytes of the file.
    :raises ValueError: they are none of this format.
    :raises KeyError: format or compression are unknown.
    """
    if file_format == "parquet":
        return _of_parquet(chunks)
    return _READERS[file_format](DECOMPRESS[compression](chunks))


def _of_jsonl(chunks: Iterable[bytes]) -> Times:
    return map(time_of, lines(chunks))


def _of_json(chunks: Iterable[bytes]) -> Times:
    # As it is written here: brackets on lines of their own, and an event on each line between.
    found = lines(chunks)
    if next(found, None) != b"[":
        raise ValueError("it does not begin with a bracket")
    for line in found:
        if line == b"]":
            break
        yield time_of(line.removesuffix(b","))
    else:
        raise ValueError("it ends within the list")
    if next(found, None) is not None:
        raise ValueError("it goes on after the list")


def _of_csv(chunks: Iterable[bytes]) -> Times:
    csv.field_size_limit(sys.maxsize)
    rows = csv.reader((line.decode() + "\n" for line in lines(chunks)), strict=True)
    names = next(rows, [])
    try:
        at = names.index("start_time")
        for row in rows:
            yield to_micros(parse_time(row[at])) if row[at] else None
    except (csv.Error, IndexError) as error:
        raise ValueError(str(error)) from None


def _of_parquet(chunks: Iterable[bytes]) -> Times:
    # Here, because only Parquet needs it.
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import parquet as pq  # noqa: PLC0415

    # Its footer is read first, so it has to be there as a whole.
    with tempfile.TemporaryFile() as file:
        for chunk in chunks:
            file.write(chunk)
        file.seek(0)
        try:
            for batch in pq.ParquetFile(file).iter_batches(columns=["start_time"]):
                yield from batch.column(0).cast(pa.int64()).to_pylist()
        except pa.ArrowException as error:
            raise ValueError(str(error)) from None


_READERS: dict[str, Callable[[Iterable[bytes]], Times]] = {"jsonl": _of_jsonl, "json": _of_json, "csv": _of_csv}


def lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield lines; joins the pieces of a long one once, at its end.

    :raises ValueError: the last one has no end.
    """
    pieces: list[bytes] = []
    for chunk in chunks:
        end, newline, rest = chunk.partition(b"\n")
        pieces.append(end)
        if newline:
            yield b"".join(pieces)
            *whole, begun = rest.split(b"\n")
            yield from whole
            pieces = [begun]
    if any(pieces):
        raise ValueError("it ends in the middle of a line")


class PartFile(BaseModel):
    """One data file.

    :param path: relative to the manifest.
    :param event_count: events in it.
    :param size_bytes: bytes on disk.
    :param sha256: of the bytes on disk.
    :param min_start_time: earliest ``start_time`` of its events, None where none has one.
    :param max_start_time: latest ``start_time`` of its events.
    :param events_without_time: events of it that have no usable ``start_time``.
    """

    model_config = ConfigDict(frozen=True)

    path: str
    event_count: int
    size_bytes: int
    sha256: str
    min_start_time: str | None = None
    max_start_time: str | None = None
    events_without_time: int = 0


class CorrectionFile(PartFile):
    """A data file with events of earlier windows that came late or have changed since they were exported.

    :param reason: ``late`` or ``changed``.
    """

    reason: str


def problems_of(
    part: PartFile, file_format: str, compression: str, chunks: Iterable[bytes], bounds: tuple[int, int] | None
) -> Iterator[str]:
    """Yield what a data file has that its facts do not say.

    :param part: what should be there.
    :param file_format: of the file.
    :param compression: of the file.
    :param chunks: the bytes of the file.
    :param bounds: between which times its events must lie, microseconds since 1970; None: anywhere.
    """
    digest, size = sha256(), 0

    def hashed() -> Iterator[bytes]:
        nonlocal size
        for chunk in chunks:
            digest.update(chunk)
            size += len(chunk)
            yield chunk

    count, first, last = 0, None, None
    try:
        for time in event_times(file_format, compression, hashed()):
            count += 1
            if time is not None:
                first = time if first is None else min(first, time)
                last = time if last is None else max(last, time)
    except DECOMPRESSION_ERRORS as error:
        yield f"cannot be read: {error}"
        return
    yield from (
        f"{what} is {found}, the manifest says {wanted}"
        for what, found, wanted in (
            ("size", size, part.size_bytes),
            ("SHA-256", digest.hexdigest(), part.sha256),
            ("number of events", count, part.event_count),
            ("earliest start_time", _shown(first), part.min_start_time),
            ("latest start_time", _shown(last), part.max_start_time),
        )
        if found != wanted
    )
    if bounds and first is not None and last is not None and not bounds[0] <= first <= last < bounds[1]:
        yield f"holds events from outside the window [{_shown(bounds[0])}, {_shown(bounds[1])})"


def _shown(micros: int | None) -> str | None:
    return None if micros is None else format_time(from_micros(micros))
