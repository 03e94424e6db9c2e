"""Reads data files back, as far as it takes to count their events and to know their times or ids."""

from __future__ import annotations

import csv
import tempfile
from contextlib import ExitStack
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import Field

from airflow_provider_honeyhive.display import shown
from airflow_provider_honeyhive.events.raw import Scalar, read_head
from airflow_provider_honeyhive.exceptions import DestinationError
from airflow_provider_honeyhive.formats.compression import DECOMPRESS
from airflow_provider_honeyhive.models.stored import Count, FileName, Items, Sha256, StoredModel, TimeText
from airflow_provider_honeyhive.models.window import FIRST_US, LAST_US, event_micros, format_time, from_micros
from airflow_provider_honeyhive.storage.temporary import temporary_space

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence


#: The ``start_time`` of each event, microseconds since 1970.
Times: TypeAlias = "Iterator[int | None]"

#: Most bytes of one event in a data file: what is longer without an end was not written here. As many as the largest
#: response that a connection can allow, twice: quotes are doubled in CSV.
LONGEST_ROW = 2 * 1024**3

#: Most characters of what a library says of damage.
_LONGEST_REASON = 200


def event_times(file_format: str, compression: str, chunks: Iterable[bytes]) -> Times:
    """Yield the time of each event of a data file, None for one that has none.

    :param chunks: the bytes of the file.
    :raises ValueError: they are none of this format, or damaged in any way.
    :raises DestinationError: the file cannot be read from its store, or there is no room for a temporary file.
    """
    for value in _values(file_format, compression, chunks, "start_time"):
        time = value if file_format == "parquet" else event_micros(value)
        if time is None and file_format == "csv" and value:
            raise ValueError("a start_time is no time")
        yield time


def event_ids(file_format: str, compression: str, chunks: Iterable[bytes]) -> Iterator[Scalar]:
    """Yield the ``event_id`` of each event of a data file, None for one that has none; raises what event_times raises.

    :param chunks: the bytes of the file.
    """
    return _values(file_format, compression, chunks, "event_id")


def _values(file_format: str, compression: str, chunks: Iterable[bytes], field: str) -> Iterator[Any]:
    try:
        if file_format == "parquet":
            yield from _of_parquet(chunks, field)
        else:
            yield from _READERS[file_format](DECOMPRESS[compression](chunks), field)
    except (DestinationError, ValueError):
        raise
    except Exception as error:  # noqa: BLE001
        # Of damaged bytes each library raises what it likes, pyarrow even errors of the operating system.
        raise ValueError(f"{type(error).__name__}: {error}") from None


def _of_jsonl(chunks: Iterable[bytes], field: str) -> Iterator[Scalar]:
    return (getattr(read_head(line), field) for line in lines(chunks))


def _of_json(chunks: Iterable[bytes], field: str) -> Iterator[Scalar]:
    return (getattr(read_head(element), field) for element in elements(chunks))


def elements(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the events of a JSON list as it is written here: brackets and events on lines of their own.

    :raises ValueError: it is no such list, or does not end with it.
    """
    found = lines(chunks)
    if next(found, None) != b"[":
        raise ValueError("it does not begin with a bracket")
    for line in found:
        if line == b"]":
            break
        yield line.removesuffix(b",")
    else:
        raise ValueError("it ends within the list")
    if next(found, None) is not None:
        raise ValueError("it goes on after the list")


def _of_csv(chunks: Iterable[bytes], field: str) -> Iterator[str | None]:
    csv.field_size_limit(LONGEST_ROW)
    size = 0  # of the row that is being read

    def counted() -> Iterator[str]:
        nonlocal size
        for line in lines(chunks):
            size += len(line)
            if size > LONGEST_ROW:
                raise ValueError(_TOO_LONG)
            yield line.decode() + "\n"

    rows = csv.reader(counted(), strict=True)
    at = next(rows, []).index(field)
    size = 0
    for row in rows:
        yield row[at] or None
        size = 0


def _of_parquet(chunks: Iterable[bytes], field: str) -> Iterator[Any]:
    try:
        # Here, because only Parquet needs it.
        import pyarrow as pa  # noqa: PLC0415
        from pyarrow import parquet as pq  # noqa: PLC0415
    except ImportError:
        raise DestinationError(
            "Parquet files cannot be read without pyarrow: install airflow-provider-honeyhive[parquet]"
        ) from None

    # Its footer is read first, so it has to be there as a whole.
    with ExitStack() as stack:
        with temporary_space():
            file = stack.enter_context(tempfile.TemporaryFile())
            for chunk in chunks:
                file.write(chunk)
            file.seek(0)
        for batch in pq.ParquetFile(file).iter_batches(columns=[field]):
            column = batch.column(0)
            if field != "start_time":
                yield from column.to_pylist()
                continue
            for time in column.cast(pa.int64()).to_pylist():
                if time is not None and not FIRST_US <= time <= LAST_US:
                    raise ValueError("a start_time is no time")
                yield time


_TOO_LONG = f"it holds more than {LONGEST_ROW:,} bytes without the end of an event"

_READERS: dict[str, Callable[[Iterable[bytes], str], Iterator[Any]]] = {
    "jsonl": _of_jsonl,
    "json": _of_json,
    "csv": _of_csv,
}


def lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield lines; joins the pieces of a long one once, at its end.

    :raises ValueError: the last one has no end, or one is longer than an event may be.
    """
    pieces: list[bytes] = []
    size = 0
    for chunk in chunks:
        end, newline, rest = chunk.partition(b"\n")
        pieces.append(end)
        size += len(end)
        if size > LONGEST_ROW:
            raise ValueError(_TOO_LONG)
        if newline:
            yield b"".join(pieces)
            *whole, begun = rest.split(b"\n")
            yield from whole
            pieces, size = [begun], len(begun)
    if any(pieces):
        raise ValueError("it ends in the middle of a line")


class HashedPiece(StoredModel):
    """A piece of a data file that the store has put together.

    :param size_bytes: of the piece.
    :param sha256: of its bytes.
    """

    size_bytes: Count
    sha256: Sha256


def hash_of_pieces(pieces: Sequence[HashedPiece]) -> str:
    """Return the SHA-256 of the SHA-256 of each piece, one after the other in binary form."""
    return sha256(b"".join(bytes.fromhex(piece.sha256) for piece in pieces)).hexdigest()


class PartFile(StoredModel):
    """One data file.

    :param path: relative to the manifest.
    :param event_count: events in it.
    :param size_bytes: bytes on disk.
    :param sha256: of the bytes on disk; where there are pieces, see :func:`hash_of_pieces`.
    :param pieces: that the store has put the file together of; none where it was written in one piece.
    :param min_start_time: earliest ``start_time`` of its events, None where none has one.
    :param max_start_time: latest ``start_time`` of its events.
    :param events_without_time: events of it that have no usable ``start_time``.
    """

    path: FileName
    event_count: Count
    size_bytes: Count
    sha256: Sha256
    pieces: Items[HashedPiece] = []
    min_start_time: TimeText | None = None
    max_start_time: TimeText | None = None
    events_without_time: Count = 0


class PartDigest:
    """Compares the bytes of a data file with its facts.

    :param part: the facts.
    """

    def __init__(self, part: PartFile) -> None:
        self._part = part
        self._found: list[HashedPiece] = []
        self._digest = sha256()
        self._piece_bytes = 0
        self.size_bytes = 0

    def update(self, chunk: bytes) -> None:
        """Take the next bytes."""
        self.size_bytes += len(chunk)
        view = memoryview(chunk)
        while len(self._found) < len(self._part.pieces) and len(view) >= (left := self._left()):
            self._digest.update(view[:left])
            self._end_piece(left)
            view = view[left:]
        self._digest.update(view)
        self._piece_bytes += len(view)

    def _left(self) -> int:
        return self._part.pieces[len(self._found)].size_bytes - self._piece_bytes

    def _end_piece(self, added: int) -> None:
        size = self._piece_bytes + added
        self._found.append(HashedPiece(size_bytes=size, sha256=self._digest.hexdigest()))
        self._digest, self._piece_bytes = sha256(), 0

    def hexdigest(self) -> str:
        """Return the hash of what has been taken, made as that of the file was."""
        if not self._part.pieces:
            return self._digest.hexdigest()
        rest = [HashedPiece(size_bytes=self._piece_bytes, sha256=self._digest.hexdigest())] if self._piece_bytes else []
        return hash_of_pieces([*self._found, *rest])


class CorrectionFile(PartFile):
    """A data file with events of earlier windows that came late or have changed since they were exported.

    :param reason: ``late`` or ``changed``.
    """

    reason: Annotated[str, Field(pattern="^(late|changed)$")]


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
    digest = PartDigest(part)

    def hashed() -> Iterator[bytes]:
        for chunk in chunks:
            digest.update(chunk)
            yield chunk

    count, first, last = 0, None, None
    try:
        for time in event_times(file_format, compression, hashed()):
            count += 1
            if time is not None:
                first = time if first is None else min(first, time)
                last = time if last is None else max(last, time)
    except ValueError as error:
        yield f"cannot be read: {shown(error, _LONGEST_REASON)}"
        return
    yield from (
        f"{what} is {found}, the manifest says {wanted}"
        for what, found, wanted in (
            ("size", digest.size_bytes, part.size_bytes),
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
