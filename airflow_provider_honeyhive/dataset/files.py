"""The files of a dataset: its splits, and the list of what could not be read."""

from __future__ import annotations

from contextlib import closing
from itertools import compress, repeat
from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa

from airflow_provider_honeyhive.builds.batches import batches
from airflow_provider_honeyhive.builds.publication import LocalFile
from airflow_provider_honeyhive.dataset.pipeline import Behind, ahead
from airflow_provider_honeyhive.dataset.queries import count, sql
from airflow_provider_honeyhive.dataset.rows import columns_of, is_test, line_of
from airflow_provider_honeyhive.dataset.splits import Split
from airflow_provider_honeyhive.storage.temporary import temporary_space

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import duckdb

    from airflow_provider_honeyhive.builds.stopping import BuildStop

#: Bytes of messages that are sorted at once: DuckDB may fail where all of them are more than its memory.
SLICE_BYTES = 256 * 1024**2

_encode = msgspec.json.Encoder().encode


def write_files(
    connection: duckdb.DuckDBPyConnection, folder: Path, exports: Sequence[str], test_share: float, stop: BuildStop
) -> tuple[list[LocalFile], dict[str, int]]:
    """Write the files of a dataset, and count what is in them.

    :param connection: with the view ``conversations``.
    :param folder: on this machine; files are made here.
    :param exports: the manifest of each export, by its number.
    :param test_share: of the sessions that are in the test split.
    :param stop: ends it.
    """
    connection.execute("SET VARIABLE slice_bytes = ?", [SLICE_BYTES])
    for name in ("numbered", "repeated", "kept"):
        connection.execute(sql(name))
    files, rows = _write_splits(connection, folder, exports, test_share, stop)
    unreadable, reasons = _write_unreadable(connection, folder, stop)
    counts = {
        "model_calls": count(connection, "SELECT count(*) FROM model_calls"),
        "candidates": count(connection, "SELECT count(*) FROM candidates"),
        "chosen": count(connection, "SELECT count(*) FROM chosen"),
        "rows": sum(rows.values()),
        **rows,
        "duplicates": count(connection, "SELECT count(*) FROM numbered WHERE number > 1"),
        "unreadable": sum(reasons.values()),
        **{f"unreadable_{reason}": number for reason, number in sorted(reasons.items())},
    }
    return [*files, *unreadable], counts


def _write_splits(
    connection: duckdb.DuckDBPyConnection, folder: Path, exports: Sequence[str], test_share: float, stop: BuildStop
) -> tuple[list[LocalFile], dict[str, int]]:
    # A path may hold bytes that are no character.
    shown = [path.encode(errors="replace").decode() for path in exports]
    connection.execute("SET VARIABLE exports = ?", [shown])
    behind = Behind()
    # What writes the files ends before they are closed.
    with closing(Split(folder, "train", behind)) as train, closing(Split(folder, "test", behind)) as test, behind:
        for batch in ahead(_rows(connection, stop)):
            names = ("messages", "tools", "facts", "session_id", "event_id")
            messages, tools, facts, sessions, events = (batch[name].to_pylist() for name in names)
            lines = list(map(line_of, messages, tools, facts))
            columns = columns_of(batch)
            tested = list(map(is_test, sessions, events, repeat(test_share)))
            for split, belongs in ((train, [not each for each in tested]), (test, tested)):
                split.add(columns.filter(pa.array(belongs)), list(compress(lines, belongs)))
        files = [*train.finish(), *test.finish()]
        return files, {"train": train.row_count, "test": test.row_count}


def _rows(connection: duckdb.DuckDBPyConnection, stop: BuildStop) -> Iterator[pa.RecordBatch]:
    for slice_number in range(1 + count(connection, "SELECT coalesce(max(slice), -1) FROM kept")):
        connection.execute("SET VARIABLE slice = ?", [slice_number])
        yield from batches(connection, sql("rows"), stop)


def _write_unreadable(
    connection: duckdb.DuckDBPyConnection, folder: Path, stop: BuildStop
) -> tuple[list[LocalFile], dict[str, int]]:
    path = folder / "unreadable.jsonl"
    reasons: dict[str, int] = {}
    with temporary_space(), path.open("wb") as file:
        for batch in batches(connection, sql("unreadable"), stop):
            for event in batch.to_pylist():
                file.write(_encode(event) + b"\n")
                reasons[event["reason"]] = reasons.get(event["reason"], 0) + 1
    number = sum(reasons.values())
    # An empty file says nothing that the counts do not.
    listed = [LocalFile(path, "unreadable", folder="unreadable", suffix=".jsonl", row_count=number)] if number else []
    return listed, reasons
