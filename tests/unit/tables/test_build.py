"""The tables as a whole: their columns, and that the same events always give the same bytes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.sandbox.data.traces import generate_events
from airflow_provider_honeyhive.tables.build import create_tables
from airflow_provider_honeyhive.tables.columns import TABLES
from tests.unit.odd_events import ODD_EVENTS
from tests.unit.tables.conftest import opened

if TYPE_CHECKING:
    from pathlib import Path

START, END = datetime(2026, 3, 10, tzinfo=UTC), datetime(2026, 3, 11, tzinfo=UTC)


@pytest.mark.parametrize("events", [[], list(ODD_EVENTS.values())], ids=["no events", "odd events"])
def test_columns_are_those_documented(tmp_path: Path, events: list[Any]) -> None:
    with opened(tmp_path / "db", events) as connection:
        create_tables(connection)
        for name, columns in TABLES.items():
            found = connection.execute(f"DESCRIBE {name}").fetchall()
            assert [(row[0], row[1].replace('"', "")) for row in found] == [
                (column.name, column.type.value.replace('"', "")) for column in columns
            ]


def test_same_bytes_with_any_number_of_threads(tmp_path: Path) -> None:
    events = [*generate_events(3000, seed=3, start=START, end=END), *ODD_EVENTS.values()]
    made = []
    for threads in (1, 4):
        with opened(tmp_path / str(threads), events, threads) as connection:
            made.append({name: path.read_bytes() for name, path in create_tables(connection).items()})
    assert made[0] == made[1]


def test_only_some_tables(tmp_path: Path) -> None:
    with opened(tmp_path / "db", []) as connection:
        assert list(create_tables(connection, only=["scores", "events"])) == ["events", "scores"]


@pytest.mark.parametrize("measurements", ["*_ms", [""], [1]])
def test_measurements_must_be_names(tmp_path: Path, measurements: Any) -> None:
    with opened(tmp_path / "db", []) as connection, pytest.raises(InvalidArgumentError, match="a list of names"):
        create_tables(connection, measurements=measurements)
