"""Which model calls become rows: the candidates, their scores, and the user's condition."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import duckdb

from airflow_provider_honeyhive.dataset.queries import count, sql
from airflow_provider_honeyhive.exceptions import Fact, InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Calls whose scores are gathered at once: DuckDB holds them in memory.
_CALLS_AT_ONCE = 200_000


def create_candidates(connection: duckdb.DuckDBPyConnection, *, last_of_session: bool) -> None:
    """Create the view ``candidates`` on the tables ``model_calls`` and ``scores``.

    :param connection: of a build, with these tables.
    :param last_of_session: only the last call of each session.
    """
    connection.execute(sql("calls"))
    if last_of_session:
        connection.execute(sql("last_calls"))
    connection.execute(
        "CREATE OR REPLACE TABLE call_scores (place BIGINT, "
        "scores STRUCT(name VARCHAR, number DOUBLE, boolean BOOLEAN, text VARCHAR)[])"
    )
    parts = 1 + count(connection, "SELECT count(*) FROM calls") // _CALLS_AT_ONCE
    for part in range(parts):
        connection.execute(sql("call_scores"), {"parts": parts, "part": part})
    connection.execute(sql("candidates"))


def choose(connection: duckdb.DuckDBPyConnection, where: str | None) -> None:
    """Create the table ``chosen``: the places of the candidates for which a condition is true.

    :param connection: with the view of :func:`create_candidates`.
    :param where: one SQL expression over ``candidates``; None: all of them.
    :raises InvalidArgumentError: it is no such expression, or DuckDB refuses it.
    """
    query = "SELECT place FROM candidates"
    if where is not None:
        _check_is_one_condition(connection, where)
        # On a line of its own, since it may end with a comment.
        query += f" WHERE (\n{where}\n)"
        _check_binds(connection, where, query)
    try:
        connection.execute(f"CREATE OR REPLACE TABLE chosen AS {query}")
    except (duckdb.DataError, duckdb.ProgrammingError, duckdb.NotSupportedError) as error:
        # What DuckDB says may hold a value of an event.
        raise InvalidArgumentError(
            "where",
            where,
            "it fails on the value of an event: use TRY_CAST, or TRY(…), in it",
            Fact(f"DuckDB raised {type(error).__name__}"),
        ) from None


def _check_is_one_condition(connection: duckdb.DuckDBPyConnection, where: str) -> None:
    if "\0" in where:
        raise InvalidArgumentError("where", where, "allowed: one SQL condition, without the character NUL")
    usual, found = (_parsed(connection, condition) for condition in ("true", where))
    if "error_message" in found:
        raise _refused(where, str(found["error_message"]))
    if _around(found) != _around(usual):
        raise InvalidArgumentError("where", where, "allowed: one SQL condition, without clauses or statements after it")


def _parsed(connection: duckdb.DuckDBPyConnection, condition: str) -> dict[str, Any]:
    # It is parsed here, not executed.
    query = f"SELECT 1 FROM candidates WHERE {condition}\n"  # noqa: S608
    ((text,),) = connection.execute("SELECT json_serialize_sql($1::VARCHAR)", [query]).fetchall()
    found: dict[str, Any] = json.loads(text)
    return found


def _around(parsed: Mapping[str, Any]) -> list[Any]:
    """Return all that DuckDB's parser has found but the condition."""
    return [{**statement["node"], "where_clause": None} for statement in parsed["statements"]]


def _check_binds(connection: duckdb.DuckDBPyConnection, where: str, query: str) -> None:
    """Let DuckDB look at a query before it reads any event, so that it can only complain about the query."""
    try:
        connection.execute(f"EXPLAIN {query}")
    except duckdb.Error as error:
        raise _refused(where, str(error)) from None


def _refused(where: str, complaint: str) -> InvalidArgumentError:
    # Its last lines repeat the query, which has more in it than the user's condition.
    said = complaint.partition("\nLINE ")[0].strip()
    return InvalidArgumentError("where", where, "allowed: one SQL condition over candidates", Fact(f"DuckDB: {said}"))
