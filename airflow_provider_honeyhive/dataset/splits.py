"""Writes the rows of a dataset: for each split files of JSON lines, and the same rows as Parquet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import parquet as pq

from airflow_provider_honeyhive.builds.publication import LocalFile
from airflow_provider_honeyhive.dataset.rows import SCHEMA
from airflow_provider_honeyhive.storage.temporary import temporary_space

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from airflow_provider_honeyhive.dataset.pipeline import Behind

#: Bytes of rows that are held back, to become a row group.
GROUP_BYTES = 16 * 1024**2

#: Columns that say the same in many rows.
_REPEATED = ["messages.list.element.role", "session_id", "model", "provider", "export"]

#: Columns whose least and greatest values readers are told; those of long texts would take memory.
_COMPARED = ["event_id", "session_id", "model", "provider", "start_time", "export"]

#: Bytes of JSON lines after which a file ends: OpenAI takes files of up to 512 MB.
FILE_BYTES = 256 * 1024**2


class Split:
    """The files of one split.

    :param folder: on this machine; files are made here.
    :param name: ``train`` or ``test``.
    :param behind: writes.
    :ivar row_count: rows so far.
    """

    def __init__(self, folder: Path, name: str, behind: Behind) -> None:
        self._folder = folder
        self._name = name
        self._behind = behind
        self._parts: list[_Part] = []
        self._rows: list[pa.RecordBatch] = []
        self._lines: list[bytes] = []
        self._bytes = 0
        self.row_count = 0

    def add(self, rows: pa.RecordBatch, lines: Sequence[bytes]) -> None:
        """Add rows.

        :param rows: as columns of :data:`~.rows.SCHEMA`.
        :param lines: the same as lines of JSON.
        """
        if lines:
            self._rows.append(rows)
            self._lines += lines
            self._bytes += sum(map(len, lines))
            self.row_count += len(lines)
            if self._bytes >= GROUP_BYTES:
                self._flush()

    def finish(self) -> list[LocalFile]:
        """Return the files; there are none where there are no rows."""
        self._flush()
        self._behind.wait()
        self.close()
        return [
            LocalFile(path, name, self._name, stem, path.suffix, part.row_count)
            for part in self._parts
            for path, name, stem in (
                (part.lines, self._name, "lines"),
                (part.columns, f"{self._name}_parquet", "part"),
            )
        ]

    def close(self) -> None:
        """Close the files, also after a failure."""
        for part in self._parts:
            part.close()

    def _flush(self) -> None:
        if self._rows:
            self._behind.call(self._write, self._rows, self._lines)
            self._rows, self._lines, self._bytes = [], [], 0

    def _write(self, rows: list[pa.RecordBatch], lines: list[bytes]) -> None:
        if not self._parts or self._parts[-1].size_bytes >= FILE_BYTES:
            self.close()
            self._parts.append(_Part(self._folder / f"{self._name}-{len(self._parts):05d}"))
        self._parts[-1].write(rows, lines)


class _Part:
    """A file of JSON lines, and the same rows as Parquet.

    :ivar size_bytes: of the lines so far.
    """

    def __init__(self, stem: Path) -> None:
        self.lines, self.columns = stem.with_suffix(".jsonl"), stem.with_suffix(".parquet")
        with temporary_space():
            self._file = self.lines.open("wb")
            self._parquet = pq.ParquetWriter(
                self.columns, SCHEMA, compression="zstd", use_dictionary=_REPEATED, write_statistics=_COMPARED
            )
        self.size_bytes = self.row_count = 0

    def write(self, rows: list[pa.RecordBatch], lines: list[bytes]) -> None:
        data = b"".join(lines)
        with temporary_space():
            self._file.write(data)
            self._parquet.write_table(pa.Table.from_batches(rows), row_group_size=len(lines))
        self.size_bytes += len(data)
        self.row_count += len(lines)

    def close(self) -> None:
        with temporary_space():
            self._file.close()
            self._parquet.close()
