"""Exported Parquet files -> the tables of the report, by the statements in ``sql/``, straight from the files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from honeyhive_report.clock import STEPS

if TYPE_CHECKING:
    from collections.abc import Sequence

SQL = Path(__file__).parent / "sql"

#: What the tables are made of, in this order.
BEFORE = ("macros", "events", "scores", "report_window")

#: The tables of the report, in the order in which they are made.
TABLES = (
    "summary",
    "by_model",
    "by_event_type",
    "models_over_time",
    "calls_over_time",
    "by_evaluator",
    "evaluators_over_time",
    "sessions",
    "sessions_over_time",
    "session_sizes",
)


def make_tables(
    parts: Sequence[Any], start_time: str | None = None, end_time: str | None = None
) -> duckdb.DuckDBPyConnection:
    """Return a database in memory that holds :data:`TABLES`.

    :param parts: the Parquet files of an export: ``Path``, or anything with a filesystem of fsspec, such as
        ``ObjectStoragePath``. None: an export without events.
    :param start_time: of the exported window, ISO 8601; None: the first event's.
    :param end_time: the same, exclusive; None: the last event's.
    """
    connection = duckdb.connect()
    if parts:
        urls = [_url(connection, part) for part in parts]
        # Names of folders such as "event_type=model" say nothing that is not in the files.
        connection.read_parquet(urls, hive_partitioning=False).create_view("exported")
    else:
        connection.execute(_statement("no_events"))
    window = {"start_time": start_time, "end_time": end_time, "steps": list(STEPS)}
    for name in (*BEFORE, *TABLES):
        connection.execute(_statement(name), window if name == "report_window" else None)
    return connection


def rows(connection: duckdb.DuckDBPyConnection, query: str, parameters: Any = None) -> list[dict[str, Any]]:
    """Return what a query finds, one dict for each row.

    :param parameters: what stands for its ``?`` or ``$name``.
    """
    found = connection.execute(query, parameters)
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _statement(name: str) -> str:
    return (SQL / f"{name}.sql").read_text(encoding="utf-8")


def _url(connection: duckdb.DuckDBPyConnection, part: Any) -> str:
    """Return the name by which DuckDB reads a file."""
    # Not by its class: with Airflow 2.11, paths in object stores are of pathlib's class, too.
    filesystem = getattr(part, "fs", None)
    if filesystem is None:
        return str(part)
    protocol = filesystem.protocol if isinstance(filesystem.protocol, str) else filesystem.protocol[0]
    if protocol in {"file", "local"}:
        return str(part.path)
    # Through Python, with the credentials that it has: DuckDB's own readers of object stores know nothing of them.
    if not connection.filesystem_is_registered(protocol):
        connection.register_filesystem(filesystem)
    return f"{protocol}://{part.path}"
