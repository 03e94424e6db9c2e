"""The page on the report says what the report does."""

from __future__ import annotations

import struct
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_provider_honeyhive.formats.parquet import SCHEMA, to_record_batch
from airflow_provider_honeyhive.manifest import Manifest

from .documents import ROOT, Document, code, codes, run_python

# As Airflow does with its DAGs folder.
sys.path.insert(0, str(ROOT / "example_dags"))

from honeyhive_report import report, tables

PAGE = Document("docs/report.md")
EXAMPLE = (ROOT / "example_dags" / "example_honeyhive_report.py").read_text(encoding="utf-8")


def test_every_table_has_its_columns_in_the_order_of_the_files():
    connection = tables.make_tables([])
    told = {code(row[0]): codes(row[1]) for row in PAGE.table("Table")}
    assert told == {name: connection.table(name).columns for name in tables.TABLES}
    assert list(told) == list(tables.TABLES)


def test_the_text_counts_the_tables_right():
    assert len(tables.TABLES) == 10
    assert "ten small tables" in PAGE.text


def test_every_field_that_is_named_is_read():
    statements = "".join(path.read_text() for path in tables.SQL.glob("*.sql"))
    fields = {name for row in PAGE.table("Number") for name in codes(row[1])} - {"model", "session", "unknown"}
    assert len(fields) > 10
    for field in fields:
        column, _, key = field.partition(".")
        assert column in SCHEMA.names
        assert column in statements
        assert not key or f"{column}, '$.{key}'" in statements or f"{column} ->> '$.{key}'" in statements


def test_the_python_without_airflow_runs(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "out" / "2026-11-22"
    folder.mkdir(parents=True)
    part = folder / "part-00000-000000000000.parquet"
    pq.write_table(pa.Table.from_batches([to_record_batch([b'{"event_id":"e"}'])[0]]), part)
    manifest = {
        "project": "demo",
        "start_time": "2026-11-22T00:00:00Z",
        "end_time": "2026-11-23T00:00:00Z",
        "event_count": 1,
        "started_at": "2026-11-22T06:00:00.000Z",
        "finished_at": "2026-11-22T06:00:00.000Z",
        "file_format": "parquet",
        "compression": "zstd",
        "request": {"api_host": "h"},
        "files": [{"path": part.name, "event_count": 1, "size_bytes": 1, "sha256": "0" * 64}],
    }
    (folder / "_manifest.json").write_bytes(Manifest(**manifest).to_json())
    monkeypatch.chdir(tmp_path)

    run_python(PAGE.the("python"))

    assert capsys.readouterr().out == f"file://{tmp_path}/report/{report.PAGE}\n"


def test_the_statement_over_many_days_runs(tmp_path):
    connection = tables.make_tables([])
    folder = tmp_path / "2026-11-23"
    folder.mkdir()
    connection.table("by_model").write_parquet(str(folder / "by_model.parquet"))
    statement = PAGE.the("sql").replace("/data/honeyhive/report", str(tmp_path))
    assert connection.execute(statement).fetchall() == []


def test_places_are_those_of_the_example():
    for place in ("parquet", "report"):
        assert f"`{{output}}/{place}/{{day}}/`" in PAGE.text
    assert 'OUTPUT + "/parquet/{start:%Y-%m-%d}/"' in EXAMPLE
    assert 'f"{OUTPUT}/report"' in EXAMPLE


@pytest.mark.parametrize(("name", "width"), [("report-light-wide", 1400), ("report-dark-narrow", 400)])
def test_pictures_are_as_wide_as_they_are_called(name, width):
    picture = (ROOT / "docs" / "images" / f"{name}.png").read_bytes()
    assert f"images/{name}.png" in PAGE.text
    assert struct.unpack(">I", picture[16:20]) == (width,)
