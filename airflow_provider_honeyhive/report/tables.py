"""The small tables of the report: made by the statements in ``sql/`` of the tables of a build."""

from __future__ import annotations

from hashlib import sha256
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive.report.clock import STEPS

if TYPE_CHECKING:
    import duckdb

SQL = Path(__file__).parent / "sql"

#: What the tables are made with, in this order.
BEFORE = ("macros", "report_window", "usage")

#: The tables of the report, in the order in which they are made.
TABLES = (
    "summary",
    "by_model",
    "by_event_type",
    "errors_by_name",
    "models_over_time",
    "calls_over_time",
    "by_score",
    "scores_over_time",
    "session_sizes",
    "sessions_over_time",
    "costliest_sessions",
    "longest_sessions",
    "slowest_calls",
    "failed_calls",
    "lowest_scores",
)


def sql_version() -> str:
    """Return the SHA-256 of all SQL that the tables are made by."""
    return sha256(b"".join(path.read_bytes() for path in sorted(SQL.iterdir()))).hexdigest()


def make_tables(connection: duckdb.DuckDBPyConnection, start_time: str | None, end_time: str | None) -> None:
    """Make :data:`TABLES` in a database.

    :param connection: that has the tables of a build: ``events``, ``sessions``, ``model_calls``, ``scores``, ``edges``.
    :param start_time: of the window, ISO 8601; None: the first event's.
    :param end_time: the same, exclusive; None: the last event's.
    """
    window = {"start_time": start_time, "end_time": end_time, "steps": list(STEPS)}
    for name in (*BEFORE, *TABLES):
        statement = (SQL / f"{name}.sql").read_text(encoding="utf-8")
        connection.execute(statement, window if name == "report_window" else None)


def rows(connection: duckdb.DuckDBPyConnection, query: str, parameters: Any = None) -> list[dict[str, Any]]:
    """Return what a query finds, one dict for each row; None for numbers that are not finite, such as too large sums.

    :param parameters: what stands for its ``?`` or ``$name``.
    """
    found = connection.execute(query, parameters)
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, map(_finite, row), strict=True)) for row in found.fetchall()]


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not isfinite(value) else value
