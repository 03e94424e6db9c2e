"""The page about tables has their columns, and says where they come from."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

import duckdb

from airflow_provider_honeyhive import tables
from airflow_provider_honeyhive.tables import steps
from airflow_provider_honeyhive.tables.build import create_tables
from airflow_provider_honeyhive.tables.columns import MEASUREMENTS, TABLES
from tests.unit.tables.conftest import opened

from .documents import Document, code, codes

if TYPE_CHECKING:
    from pathlib import Path

PAGE = Document("docs/tables.md")


def test_every_table_has_its_columns_in_order() -> None:
    assert {code(row[0]): codes(row[2]) for row in PAGE.table("Table")} == {
        name: [column.name for column in columns] for name, columns in TABLES.items()
    }
    assert [code(row[0]) for row in PAGE.table("Table")] == list(TABLES)


def test_names_that_are_read_are_those_of_the_sql() -> None:
    facts = files(tables).joinpath("sql", "facts.sql").read_text("utf-8")
    known = {column.name for columns in TABLES.values() for column in columns}
    for row in PAGE.table("Column"):
        assert {name for name in codes(row[0]) if name != "…"} <= known
        for path in codes(row[1]):
            field, _, name = path.partition(".")
            if field in ("config", "metadata", "user_properties", "outputs") and name:
                assert f'"{name}"' in facts, path
            elif field == "gen_ai":
                assert f'"{path}' in facts, path


def test_measurements_that_are_named_are_some() -> None:
    (line,) = [line for line in PAGE.text.splitlines() if "and the like are `measurements`" in line]
    assert set(codes(line)[:3]) <= set(MEASUREMENTS)


def test_a_file_is_for_as_many_events_as_the_page_says() -> None:
    assert f"one for {steps.EVENTS_AT_ONCE:,} events" in PAGE.text


def test_the_statement_runs(tmp_path: Path) -> None:
    with opened(tmp_path / "db", [{"event_id": "e", "event_type": "model", "metadata": {"cost": 2}}]) as connection:
        (path,) = create_tables(connection, only=["model_calls"])["model_calls"]
        statement = PAGE.the("sql").replace("/data/honeyhive/tables/*/model_calls/*.parquet", str(path))
        assert duckdb.sql(statement).fetchall() == [(None, 1, 2.0, None)]
