"""The page on the report says what the report does."""

from __future__ import annotations

import struct

import pytest

from airflow_provider_honeyhive.models.layout import BUILDS, BuildLayout
from airflow_provider_honeyhive.report import build, tables
from airflow_provider_honeyhive.report.clock import STEPS
from tests.unit.report.handmade import WINDOW, connect, event, publish, tables_of

from .documents import ROOT, Document, code, codes

PAGE = Document("docs/report.md")


def test_every_table_has_its_columns_in_the_order_of_the_files():
    connection = connect(tables_of())
    tables.make_tables(connection, *WINDOW)
    told = {code(row[0]): codes(row[1]) for row in PAGE.table("Table")}
    assert told == {name: connection.table(name).columns for name in tables.TABLES}
    assert list(told) == list(tables.TABLES)


def test_steps_and_lists_are_as_long_as_the_page_says():
    steps = [name for name, _ in STEPS.values()]
    assert f"Steps over time are a {steps[0]} to {steps[-1]} long" in PAGE.text
    ends = [path.read_text(encoding="utf-8").rstrip().endswith("LIMIT 100;") for path in tables.SQL.glob("*.sql")]
    assert sum(ends) == 6
    assert "Lists end after 100 rows" in PAGE.text


def test_the_statement_over_many_days_runs(tmp_path):
    built = publish(tmp_path / "in" / "tables", tables_of([event(model="m", cost=2.0)]), scratch=tmp_path)
    for day in ("2026-11-22", "2026-11-23"):
        build.write_report(built, tmp_path / "report" / day)
    statement = PAGE.the("sql").replace("/data/honeyhive/report", str(tmp_path / "report"))
    assert connect(tables_of()).execute(statement).fetchall() == [("m", 4.0, 2)]
    assert f"`{build.FOLDER}/<name>-….parquet`" in PAGE.text
    assert f"`{BUILDS['report']}`" in PAGE.text
    assert f"`{BuildLayout('report').manifest_name}`" in PAGE.text


@pytest.mark.parametrize(("name", "width"), [("report-light-wide", 1400), ("report-dark-narrow", 400)])
def test_pictures_are_as_wide_as_they_are_called(name, width):
    picture = (ROOT / "docs" / "images" / f"{name}.png").read_bytes()
    assert f"images/{name}.png" in PAGE.text
    assert struct.unpack(">I", picture[16:20]) == (width,)
