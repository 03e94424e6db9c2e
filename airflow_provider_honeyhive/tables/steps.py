"""Makes tables in the database of a build, and steps on the way to them: each a Parquet file of one SQL file."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import parquet as pq

from airflow_provider_honeyhive import conversations
from airflow_provider_honeyhive.builds.batches import batches
from airflow_provider_honeyhive.builds.database import scratch
from airflow_provider_honeyhive.conversations.texts import answer_of, question_of
from airflow_provider_honeyhive.storage.temporary import temporary_space
from airflow_provider_honeyhive.tables.columns import TABLES
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
    "grouped": ("facts", "tree"),
    "root_scores": ("roots", "found_scores"),
    "events": ("facts", "tree"),
    "sessions": ("facts", "grouped", "roots", "root_scores", "questions", "answers"),
    "model_calls": ("facts", "tree"),
    "scores": ("found_scores",),
    "measurements": ("found_scores",),
    "edges": ("facts", "tree"),
}

#: Made of so many events at once, because what is sorted must fit into memory, more or less; also one file each.
EVENTS_AT_ONCE = 250_000

_MADE_IN_PARTS = (*TABLES, "root_scores")

#: What is found of an event that may have the text of its session.
_TEXTS = pa.schema([("session_id", pa.string()), ("rank", pa.int64()), ("text", pa.string())])

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
        self._made: dict[str, list[Path]] = {}
        self._steps: dict[str, Callable[[Path], None]] = {
            "tree": self._write_tree,
            "questions": lambda path: self._write_texts(path, "asked", question_of, "inputs"),
            "answers": lambda path: self._write_texts(path, "answered", answer_of, "outputs"),
        }
        parts = connection.execute(_sql("parts"), [EVENTS_AT_ONCE]).fetchall()
        #: The first and the last place of what is made at once. Also no events make a file.
        self._parts: list[tuple[int, int]] = parts or [(0, -1)]

    def make(self, name: str) -> list[Path]:
        """Make a table, or a step, and what it needs; return its files."""
        if name not in self._made:
            for need in _NEEDS.get(name, ()):
                self.make(need)
            self._made[name] = self._written(name)
            files = ", ".join(map(_text, self._made[name]))
            numbered = name == "facts"
            self._connection.execute(
                f"CREATE OR REPLACE TEMP VIEW {name} AS "  # noqa: S608 - names of this package
                f"SELECT *{' RENAME (file_row_number AS event_number)' if numbered else ''} "
                f"FROM read_parquet([{files}], file_row_number = {numbered}, hive_partitioning = false)"
            )
        return self._made[name]

    def _written(self, name: str) -> list[Path]:
        if name not in _MADE_IN_PARTS:
            path = self._folder / f"{name}.parquet"
            step = self._steps.get(name)
            if step is None:
                self._copy(_sql(name), path)
            else:
                with temporary_space():
                    step(path)
            return [path]
        paths = []
        for number, (first, last) in enumerate(self._parts):
            self._connection.execute(f"SET VARIABLE first_place = {first}")
            self._connection.execute(f"SET VARIABLE last_place = {last}")
            paths.append(self._folder / f"{name}-{number}.parquet")
            self._copy(_sql(name), paths[-1])
        return paths

    def _copy(self, query: str, path: Path) -> None:
        self._connection.execute(
            f"COPY ({query}) TO {_text(path)} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_GROUP_ROWS})"
        )

    def _write_tree(self, path: Path) -> None:
        ((count,),) = self._connection.execute("SELECT count(*) FROM facts").fetchall()
        tree = Tree(count)
        for batch in batches(self._connection, _sql("parents")):
            tree.add(batch)
        pq.write_table(tree.table(), path, row_group_size=_GROUP_ROWS)

    def _write_texts(self, path: Path, asked: str, text_of: Callable[..., str | None], column: str) -> None:
        """Write the text of each session that has one: of its first event, by rank, that does."""
        connection, found = self._connection, self._folder / "found.parquet"
        connection.execute("CREATE OR REPLACE TEMP TABLE texts (session_id VARCHAR, rank BIGINT, text VARCHAR)")
        # Most sessions have a text in their first event, so that the others are not looked at; the more events have
        # none, the more are looked at together.
        done = "SELECT session_id FROM texts WHERE text IS NOT NULL"
        left = f"FROM {asked} WHERE session_id NOT IN ({done})"
        first, last = 1, 1
        while connection.execute(f"SELECT 1 {left} AND rank >= {first} LIMIT 1").fetchall():
            query = f"""
                SELECT chosen.session_id, rank, {column}, metadata
                FROM exported JOIN (SELECT * {left} AND rank BETWEEN {first} AND {last}) AS chosen USING (place)
                """  # noqa: S608 - names of this package
            # By a file: a function of DuckDB in Python needs numpy.
            # Its writer would keep copies of each text for a dictionary, and of the least and the greatest one.
            with pq.ParquetWriter(found, _TEXTS, use_dictionary=False, write_statistics=False) as writer:
                for batch in batches(connection, query):
                    sessions, ranks, *contents = batch.columns
                    pairs = zip(*(texts.to_pylist() for texts in contents), strict=True)
                    texts = pa.array([text_of(*pair) for pair in pairs], pa.string())
                    writer.write_batch(pa.record_batch([sessions, ranks, texts], schema=_TEXTS))
            connection.execute(f"INSERT INTO texts FROM read_parquet({_text(found)}, hive_partitioning = false)")
            first, last = last + 1, 4 * last
        self._copy(_sql("texts"), path)


def _text(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
