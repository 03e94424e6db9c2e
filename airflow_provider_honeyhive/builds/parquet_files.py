"""Every data file of a build's exports as a Parquet file in one folder of this machine, its bytes checked.

A Parquet file on the local disk gets a second name there, and is read where it lies; all others are read from their
store once, and written there as Parquet. Needs pyarrow, the extra ``tables``.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
from pyarrow import csv
from pyarrow import parquet as pq

from airflow_provider_honeyhive.builds.sources import parquet_name
from airflow_provider_honeyhive.display import shown
from airflow_provider_honeyhive.exceptions import DestinationError, ExportStoppedError
from airflow_provider_honeyhive.export.threads import run_in_threads
from airflow_provider_honeyhive.formats.columns import COLUMN_NAMES, COLUMNS, Kind
from airflow_provider_honeyhive.formats.compression import DECOMPRESS
from airflow_provider_honeyhive.formats.datafile import PartDigest, elements, lines
from airflow_provider_honeyhive.formats.parquet import SCHEMA, ParquetFile, to_record_batch
from airflow_provider_honeyhive.models.layout import MANIFEST_NAME
from airflow_provider_honeyhive.storage.base import READ_BLOCK, failing
from airflow_provider_honeyhive.storage.local import LocalStore
from airflow_provider_honeyhive.storage.temporary import temporary_space

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from airflow_provider_honeyhive.builds.sources import Source, Sources
    from airflow_provider_honeyhive.builds.stopping import BuildStop
    from airflow_provider_honeyhive.formats.datafile import PartFile

#: Files that are read side by side.
READ_AT_ONCE = 2

#: Events that become columns at once, and bytes of them: see :func:`~.formats.parquet.to_record_batch`.
BATCH_EVENTS, BATCH_BYTES = 1_000, 8 * 1024**2

#: Bytes of a row group in memory.
GROUP_BYTES = 32 * 1024**2


def gather(sources: Sources, folder: Path, stop: BuildStop) -> list[Path]:
    """Let a folder hold every data file as Parquet, and an empty one after them; rows are in the order of events.

    :param sources: what to read.
    :param folder: an empty one on this machine.
    :param stop: ends it.
    :return: files outside of the folder that its symbolic links lead to.
    :raises DestinationError: a file cannot be read, or is not the one that its manifest is about.
    :raises ExportStoppedError: the build was stopped.
    """
    files = sources.data_files()
    with temporary_space():
        pq.write_table(SCHEMA.empty_table(), folder / parquet_name(len(files)))
    waiting = deque(files)
    outside: list[Path] = []
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            try:
                file = waiting.popleft()
            except IndexError:
                return
            gathered = _Gathering(sources.exports[file.export_number], file.part, stop)
            outside.extend(gathered.into(folder / parquet_name(file.number)))

    try:
        run_in_threads([work] * min(READ_AT_ONCE, len(files)), over, lambda: stop.is_stopped, lambda: None)
    except ExportStoppedError:
        stop.check()
        raise
    return outside


class _Gathering:
    """One data file on its way into the folder."""

    def __init__(self, source: Source, part: PartFile, stop: BuildStop) -> None:
        self._source = source
        self._part = part
        self._stop = stop
        self._store, self._manifest_name = source.manifest.place
        self._where = self._store.url(part.path)

    def into(self, target: Path) -> list[Path]:
        """Make the file, and return what it leads to."""
        try:
            return self._gathered(target)
        except DestinationError:
            data = self._store.get(self._manifest_name)
            if data is None or sha256(data).hexdigest() != self._source.manifest_sha256:
                raise DestinationError(
                    f"an export was replaced while a build read it: try again: {self._source.manifest.manifest_url}"
                ) from None
            raise

    def _gathered(self, target: Path) -> list[Path]:
        digest = PartDigest(self._part)
        leads_to: list[Path] = []
        if self._source.manifest.file_format != "parquet":
            self._convert(self._chunks(digest), target)
        elif isinstance(self._store, LocalStore) and (path := self._linked(target)) is not None:
            leads_to += [] if path == target else [path]
            for _ in self._chunks(digest, path):
                pass
        else:
            with temporary_space(), target.open("wb") as file:
                for chunk in self._chunks(digest):
                    file.write(chunk)
        self._compare("size", digest.size_bytes, self._part.size_bytes)
        self._compare("SHA-256", digest.hexdigest(), self._part.sha256)
        self._check_rows(target)
        return leads_to

    def _chunks(self, digest: PartDigest, path: Path | None = None) -> Iterator[bytes]:
        """Yield the bytes of the file, or of the one at ``path``, and let the digest take them."""
        for chunk in self._store.chunks(self._part.path) if path is None else _chunks_at(path):
            self._stop.check()
            digest.update(chunk)
            yield chunk

    def _linked(self, target: Path) -> Path | None:
        """Give a local file another name, and return which to read; None: it has to be copied.

        What has two names stays when another export takes its place, so that a build reads to its end what it began.
        """
        path = Path(os.path.realpath(self._store.url()), self._part.path)
        if os.path.realpath(path) != str(path) or not path.is_file():
            # The store says what is wrong: a file that is missing, or a symbolic link.
            return None
        with suppress(OSError):
            target.hardlink_to(path)
            return target
        # On another disk. A name in a folder is never given to other bytes, but that of one object is.
        if self._manifest_name != MANIFEST_NAME:
            return None
        with temporary_space():
            target.symlink_to(path)
        return path

    def _convert(self, chunks: Iterator[bytes], target: Path) -> None:
        batches = _BATCHES[self._source.manifest.file_format](DECOMPRESS[self._source.manifest.compression](chunks))
        with temporary_space(), target.open("wb") as sink, ParquetFile(sink, "zstd", {}) as file:
            group: list[pa.RecordBatch] = []
            size = 0
            for batch in self._reading(batches):
                group.append(batch)
                size += batch.nbytes
                if size >= GROUP_BYTES:
                    file.write(group)
                    group, size = [], 0
            file.write(group)

    def _reading(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        try:
            yield from batches
        except (DestinationError, ExportStoppedError):
            raise
        except Exception as error:  # noqa: BLE001 - of damaged bytes each library raises what it likes, with content
            raise self._damaged(f"it cannot be read ({type(error).__name__})") from None

    def _check_rows(self, target: Path) -> None:
        try:
            metadata = pq.read_metadata(target)
            names = tuple(metadata.schema.to_arrow_schema().names)
        except Exception as error:  # noqa: BLE001 - as above
            raise self._damaged(f"it cannot be read ({type(error).__name__})") from None
        self._compare("number of events", metadata.num_rows, self._part.event_count)
        self._compare("list of columns", names, COLUMN_NAMES)

    def _compare(self, what: str, found: Any, wanted: Any) -> None:
        if found != wanted:
            raise self._damaged(f"its {what} is {shown(found)}, not {shown(wanted)}")

    def _damaged(self, problem: str) -> DestinationError:
        return DestinationError(
            "a data file is not what was exported: run verify on its export, or export it again",
            f"{self._where}: {problem}",
        )


def _chunks_at(path: Path) -> Iterator[bytes]:
    with failing("read", str(path)), path.open("rb") as file:
        while chunk := file.read(READ_BLOCK):
            yield chunk


def _from_json(events: Iterable[bytes]) -> Iterator[pa.RecordBatch]:
    waiting: list[bytes] = []
    size = 0
    for event in events:
        waiting.append(event)
        size += len(event)
        if len(waiting) >= BATCH_EVENTS or size >= BATCH_BYTES:
            yield to_record_batch(waiting)[0]
            waiting, size = [], 0
    if waiting:
        yield to_record_batch(waiting)[0]


def _from_csv(chunks: Iterable[bytes]) -> Iterator[pa.RecordBatch]:
    rows = _csv_rows(chunks)
    header = next(rows, b"")
    if header.replace(b'"', b"").strip() != ",".join(COLUMN_NAMES).encode():
        raise ValueError("it does not begin with the names of the columns")
    waiting: list[bytes] = []
    size = 0
    for row in rows:
        waiting.append(row)
        size += len(row)
        if size >= BATCH_BYTES:
            yield _csv_batch(b"".join(waiting))
            waiting, size = [], 0
    if waiting:
        yield _csv_batch(b"".join(waiting))


def _csv_rows(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the rows with their ends; one goes over several lines where a quoted text does."""
    row: list[bytes] = []
    quotes = 0
    for line in lines(chunks):
        row += (line, b"\n")
        quotes += line.count(b'"')
        if quotes % 2 == 0:
            yield b"".join(row)
            row, quotes = [], 0
    if row:
        raise ValueError("it ends in the middle of a row")


#: Only what is not quoted is null: an empty text is quoted.
_TEXTS = csv.ConvertOptions(
    column_types={
        column.name: SCHEMA.field(column.name).type if column.kind in (Kind.NUMBER, Kind.TIME) else pa.string()
        for column in COLUMNS
    },
    null_values=[""],
    strings_can_be_null=True,
    quoted_strings_can_be_null=False,
)


def _csv_batch(text: bytes) -> pa.RecordBatch:
    table = csv.read_csv(
        pa.BufferReader(text),
        csv.ReadOptions(column_names=list(COLUMN_NAMES), block_size=len(text) + 1, use_threads=False),
        csv.ParseOptions(newlines_in_values=True),
        _TEXTS,
    ).combine_chunks()
    arrays = [
        pa.array(
            [None if text is None else msgspec.json.decode(text) for text in table.column(column.name).to_pylist()],
            SCHEMA.field(column.name).type,
        )
        if column.kind is Kind.STRINGS
        else table.column(column.name).chunk(0)
        for column in COLUMNS
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


#: File format -> what makes record batches of its decompressed bytes.
_BATCHES: dict[str, Callable[[Iterable[bytes]], Iterator[pa.RecordBatch]]] = {
    "jsonl": lambda chunks: _from_json(lines(chunks)),
    "json": lambda chunks: _from_json(elements(chunks)),
    "csv": _from_csv,
}
