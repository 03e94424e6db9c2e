"""Makes tables in the database of a build, and steps on the way to them: each a Parquet file of one SQL file."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow import parquet as pq

from airflow_provider_honeyhive import conversations
from airflow_provider_honeyhive.builds.database import scratch
from airflow_provider_honeyhive.conversations.texts import answer_of, question_of
from airflow_provider_honeyhive.tables.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import duckdb

#: What each table and step is made of, besides the events.
_NEEDS: dict[str, tuple[str, ...]] = {
    "tree": ("facts",),
    "roots": ("facts",),
    "asked": ("facts", "roots"),
    "answered": ("facts", "roots"),
    "questions": ("asked",),
    "answers": ("answered",),
    "events": ("facts", "tree"),
    "sessions": ("facts", "tree", "roots", "found_scores", "questions", "answers"),
    "model_calls": ("facts", "tree"),
    "scores": ("found_scores",),
    "measurements": ("found_scores",),
    "edges": ("facts", "tree"),
}

#: Steps whose rows are those of the events, in the order of their places: so they are numbered.
_NUMBERED = ("facts", "tree")

#: Rows of a row group.
_GROUP_ROWS = 122_880


@cache
def sql_version() -> str:
    """Return the SHA-256 of all SQL, and of all code that it calls."""
    digest = sha256()
    for folder in (files(__package__), files(__package__).joinpath("sql"), files(conversations)):
        for file in sorted(folder.iterdir(), key=lambda file: file.name):
            if file.name.endswith((".sql", ".py")):
                digest.update(file.read_bytes())
    return digest.hexdigest()


def _sql(name: str) -> str:
    return files(__package__).joinpath("sql", f"{name}.sql").read_text("utf-8")


class Steps:
    """Makes each table and each step once, in the temporary folder of a build, and a view of its name.

    :param connection: of :func:`~airflow_provider_honeyhive.builds.database.open_events`.
    :param measured: names in ``metrics`` that are measurements, as a regular expression.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, measured: str) -> None:
        self._connection = connection
        connection.execute(_sql("macros"))
        connection.execute("SET VARIABLE measurement_names = ?", [measured])
        self._folder = scratch(connection)
        self._made: dict[str, Path] = {}
        self._steps: dict[str, Callable[[Path], None]] = {
            "tree": self._write_tree,
            "questions": lambda path: self._write_texts(path, "asked", question_of, "inputs"),
            "answers": lambda path: self._write_texts(path, "answered", answer_of, "outputs"),
        }

    def make(self, name: str) -> Path:
        """Make a table, or a step, and what it needs; return its file."""
        if name not in self._made:
            for need in _NEEDS.get(name, ()):
                self.make(need)
            path = self._folder / f"{name}.parquet"
            step = self._steps.get(name)
            if step is None:
                self._copy(_sql(name), path)
            else:
                step(path)
            numbered = name in _NUMBERED
            self._connection.execute(
                f"CREATE OR REPLACE TEMP VIEW {name} AS "  # noqa: S608 - names of this package
                f"SELECT *{' RENAME (file_row_number AS event_number)' if numbered else ''} "
                f"FROM read_parquet({_text(path)}, file_row_number = {numbered})"
            )
            self._made[name] = path
        return self._made[name]

    def _copy(self, query: str, path: Path) -> None:
        self._connection.execute(
            f"COPY ({query}) TO {_text(path)} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_GROUP_ROWS})"
        )

    def _write_tree(self, path: Path) -> None:
        ((count,),) = self._connection.execute("SELECT count(*) FROM facts").fetchall()
        tree = Tree(count)
        for batch in pa.RecordBatchReader.from_stream(self._connection.sql(_sql("parents"))):
            tree.add(batch)
        pq.write_table(tree.table(), path)

    def _write_texts(self, path: Path, asked: str, text_of: Callable[..., str | None], column: str) -> None:
        """Write the text of each session that has one: of its first event, by rank, that does."""

        def texts_of(contents: Any, metadata: Any) -> Any:
            pairs = zip(contents.to_pylist(), metadata.to_pylist(), strict=True)
            return pa.array([text_of(*pair) for pair in pairs], pa.string())

        # Versions of DuckDB call the types of these arguments differently.
        connection: Any = self._connection
        connection.create_function(
            "text_of_event",
            texts_of,
            ["VARCHAR", "VARCHAR"],
            "VARCHAR",
            type="arrow",
            null_handling="special",
        )
        connection.execute("CREATE OR REPLACE TEMP TABLE texts (session_id VARCHAR, text VARCHAR)")
        # Most sessions have a text in their first event, so that the others are not looked at; the more events have
        # none, the more are looked at together.
        left = f"FROM {asked} WHERE session_id NOT IN (SELECT session_id FROM texts)"  # noqa: S608 - a name of this package
        first, last = 1, 1
        while connection.execute(f"SELECT 1 {left} AND rank >= {first} LIMIT 1").fetchone():
            # Without a condition on the text: it would be looked for in all events before they are chosen.
            connection.execute(
                f"""
                INSERT INTO texts
                SELECT chosen.session_id, arg_min(text_of_event({column}, metadata), rank) AS text
                FROM exported JOIN (SELECT * {left} AND rank BETWEEN {first} AND {last}) AS chosen USING (place)
                GROUP BY chosen.session_id
                HAVING text IS NOT NULL
                """  # noqa: S608 - names of this package
            )
            first, last = last + 1, 4 * last
        self._copy("SELECT * FROM texts", path)
        connection.remove_function("text_of_event")


def _text(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
