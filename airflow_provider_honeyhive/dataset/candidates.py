"""Which model calls become rows: the candidates, their scores, and the user's condition."""

from __future__ import annotations

import json

import duckdb

from airflow_provider_honeyhive.dataset.queries import count, sql
from airflow_provider_honeyhive.exceptions import Fact, InvalidArgumentError

#: Calls whose scores are gathered at once: DuckDB holds them in memory.
_CALLS_AT_ONCE = 200_000


def create_candidates(connection: duckdb.DuckDBPyConnection, *, last_of_session: bool) -> None:
    """Create the view ``candidates`` on the table ``model_calls`` and the steps ``found_scores`` and ``roots``.

    :param connection: of a build, with these.
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
        _check_parses(connection, where)
        # So all of it is in these parentheses. On a line of its own, since it may end with a comment.
        query += f" WHERE (\n{where}\n)"
        _check_binds(connection, where, query)
    try:
        connection.execute(f"CREATE OR REPLACE TABLE chosen AS {query}")
    except duckdb.PermissionException:
        raise InvalidArgumentError("where", where, "it may read nothing but what the build has made") from None
    except (duckdb.DataError, duckdb.ProgrammingError, duckdb.NotSupportedError) as error:
        # What DuckDB says may hold a value of an event.
        raise InvalidArgumentError(
            "where",
            where,
            "it fails on the value of an event: use TRY_CAST, or TRY(…), in it",
            Fact(f"DuckDB raised {type(error).__name__}"),
        ) from None


def _check_parses(connection: duckdb.DuckDBPyConnection, where: str) -> None:
    """Let DuckDB's parser look at a condition by itself, so that it closes no parenthesis but its own ones."""
    query = f"SELECT 1 FROM candidates WHERE {where}\n"  # noqa: S608 - it is not executed
    ((text,),) = connection.execute("SELECT json_serialize_sql($1::VARCHAR)", [query]).fetchall()
    complaint = json.loads(text).get("error_message")
    if complaint is not None:
        raise _refused(where, complaint)


def _check_binds(connection: duckdb.DuckDBPyConnection, where: str, query: str) -> None:
    """Let DuckDB look at a query before it reads any event, so that it can only complain about the query."""
    try:
        connection.execute(f"EXPLAIN {query}")
    except duckdb.Error as error:
        raise _refused(where, str(error)) from None


def _refused(where: str, complaint: str) -> InvalidArgumentError:
    # Its last lines repeat the query, which has more in it than the user's condition; functions may be dozens.
    said = complaint.partition("\nLINE ")[0].partition("\n\tCandidate functions:")[0].strip()
    return InvalidArgumentError("where", where, "allowed: one SQL condition over candidates", Fact(f"DuckDB: {said}"))
