"""Every data file of a build's exports as a Parquet file in one folder of this machine, its bytes checked.

A Parquet file on the local disk gets a second name there, and is read where it lies; all others are read from their
store once, and written there as Parquet. Needs pyarrow, the extra ``tables``.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
from pyarrow import csv
from pyarrow import parquet as pq

from airflow_provider_honeyhive.display import get_logger
from airflow_provider_honeyhive.exceptions import DestinationError
from airflow_provider_honeyhive.formats.columns import COLUMN_NAMES, COLUMNS, Kind
from airflow_provider_honeyhive.formats.compression import DECOMPRESS
from airflow_provider_honeyhive.formats.datafile import PartDigest, elements, lines
from airflow_provider_honeyhive.formats.parquet import SCHEMA, ParquetFile, to_record_batch
from airflow_provider_honeyhive.models.layout import MANIFEST_NAME
from airflow_provider_honeyhive.storage.local import LocalStore
from airflow_provider_honeyhive.storage.temporary import temporary_space

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from airflow_provider_honeyhive.builds.sources import DataFile, Sources
    from airflow_provider_honeyhive.formats.datafile import PartFile
    from airflow_provider_honeyhive.manifest import Manifest

log = get_logger(__name__)

#: Files that are read side by side.
READ_AT_ONCE = 2

#: Events that become columns at once, and bytes of them: see :func:`~.formats.parquet.to_record_batch`.
BATCH_EVENTS, BATCH_BYTES = 1_000, 8 * 1024**2

#: Bytes of a row group in memory.
GROUP_BYTES = 32 * 1024**2


def parquet_name(number: int) -> str:
    """Return the name in the folder of the Parquet file of a data file."""
    return f"{number:08d}.parquet"


def gather(sources: Sources, folder: Path, check: Callable[[], None]) -> list[Path]:
    """Let a folder hold every data file as Parquet, and an empty one after them; rows are in the order of events.

    :param sources: what to read.
    :param folder: an empty one on this machine.
    :param check: called now and then; raises where somebody wants it to end.
    :return: files that the folder's symbolic links lead to.
    :raises DestinationError: a file cannot be read, or is not the one that its manifest is about.
    """
    files = sources.data_files()
    with temporary_space():
        pq.write_table(SCHEMA.empty_table(), folder / parquet_name(len(files)))

    def gather_one(file: DataFile) -> Path | None:
        return _Gathering(sources.exports[file.export_number].manifest, file.part, check).into(
            folder / parquet_name(file.number)
        )

    with ThreadPoolExecutor(READ_AT_ONCE, "honeyhive-gather") as pool:
        jobs = [pool.submit(gather_one, file) for file in files]
        try:
            return [path for job in jobs if (path := job.result()) is not None]
        finally:
            pool.shutdown(cancel_futures=True)


class _Gathering:
    """One data file on its way into the folder."""

    def __init__(self, manifest: Manifest, part: PartFile, check: Callable[[], None]) -> None:
        self._manifest = manifest
        self._store, self._manifest_name = manifest.place
        self._part = part
        self._check = check
        self._where = self._store.url(part.path)

    def into(self, target: Path) -> Path | None:
        digest = PartDigest(self._part)
        linked = None
        if self._manifest.file_format != "parquet":
            self._convert(digest, target)
        elif (linked := self._linked(target)) is None:
            self._copy(digest, target)
        else:
            for chunk in self._chunks(digest):
                del chunk
        self._compare("size", digest.size_bytes, self._part.size_bytes)
        self._compare("SHA-256", digest.hexdigest(), self._part.sha256)
        self._check_rows(target)
        return None if linked == target else linked

    def _chunks(self, digest: PartDigest) -> Iterator[bytes]:
        for chunk in self._store.chunks(self._part.path):
            self._check()
            digest.update(chunk)
            yield chunk

    def _linked(self, target: Path) -> Path | None:
        """Give a local file its second name, and return where it is then; None: it has to be copied."""
        if not isinstance(self._store, LocalStore):
            return None
        path = Path(os.path.realpath(self._where))
        # The file stays also where another export replaces this one meanwhile.
        with suppress(OSError):
            os.link(path, target)
            return target
        # On another disk. A name in a folder is never given to other bytes, but that of one object is.
        if self._manifest_name != MANIFEST_NAME:
            return None
        with temporary_space():
            target.symlink_to(path)
        return path

    def _copy(self, digest: PartDigest, target: Path) -> None:
        chunks = self._chunks(digest)
        with temporary_space(), target.open("wb") as file:
            for chunk in chunks:
                file.write(chunk)

    def _convert(self, digest: PartDigest, target: Path) -> None:
        make = _BATCHES[self._manifest.file_format]
        try:
            with target.open("wb") as sink, ParquetFile(sink, "zstd", {}) as file:
                group: list[pa.RecordBatch] = []
                for batch in make(DECOMPRESS[self._manifest.compression](self._chunks(digest))):
                    group.append(batch)
                    if sum(one.nbytes for one in group) >= GROUP_BYTES:
                        file.write(group)
                        group = []
                file.write(group)
        except DestinationError:
            raise
        except OSError as error:
            with temporary_space():
                raise error
        except Exception as error:  # noqa: BLE001 - of damaged bytes each library raises what it likes, with content
            log.debug("%s cannot be read: %s", self._where, type(error).__name__)
            raise self._damaged(f"it cannot be read: {type(error).__name__}") from None

    def _check_rows(self, target: Path) -> None:
        try:
            metadata = pq.read_metadata(target)
        except Exception as error:  # noqa: BLE001
            raise self._damaged(f"it cannot be read: {type(error).__name__}") from None
        self._compare("number of events", metadata.num_rows, self._part.event_count)
        self._compare("list of columns", tuple(metadata.schema.to_arrow_schema().names), COLUMN_NAMES)

    def _compare(self, what: str, found: Any, wanted: Any) -> None:
        if found != wanted:
            raise self._damaged(f"its {what} is {found}, not {wanted}")

    def _damaged(self, problem: str) -> DestinationError:
        return DestinationError(
            "a data file is not the one that was exported: run verify on the export, or export it again",
            f"{self._where}: {problem}",
        )


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
