"""A database with events in it, as a build opens one."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_provider_honeyhive.builds.database import scratch
from airflow_provider_honeyhive.formats.parquet import to_record_batch
from airflow_provider_honeyhive.tables.build import create_tables
from tests.unit.odd_events import compact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@contextmanager
def opened(folder: Path, events: list[Any], threads: int = 2) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database of events as :func:`~airflow_provider_honeyhive.builds.database.open_events` does.

    :param folder: an empty one.
    :param events: dictionaries or JSON texts.
    """
    (folder / "database").mkdir(parents=True)
    raw = [event if isinstance(event, bytes) else compact(event) for event in events]
    batch, _ = to_record_batch(raw)
    pq.write_table(pa.Table.from_batches([batch]), folder / "events.parquet")
    with duckdb.connect(str(folder / "database" / "build.duckdb"), config={"threads": threads}) as connection:
        scratch(connection).mkdir()
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(
            "CREATE VIEW exported AS SELECT * RENAME (file_row_number AS place), 0::INTEGER AS export_number "
            f"FROM read_parquet('{folder}/events.parquet', file_row_number = true)"
        )
        yield connection


@pytest.fixture
def tables_made(tmp_path: Path) -> Callable[..., dict[str, list[dict[str, Any]]]]:
    """Give a function that returns the rows of the tables of some events."""
    numbers = count()

    def tables_made(*events: Any, **arguments: Any) -> dict[str, list[dict[str, Any]]]:
        with opened(tmp_path / str(next(numbers)), list(events)) as connection:
            made = create_tables(connection, **arguments)
            return {
                name: [row for path in paths for row in pq.read_table(path).to_pylist()] for name, paths in made.items()
            }

    return tables_made
