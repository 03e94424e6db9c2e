"""docs/report.md says what the report does."""

from __future__ import annotations

import re
import struct

import pytest

# First, because it is what finds the report.
from tests.unit.report.test_tables import ROOT, SCHEMA, write_parts  # isort: skip

from honeyhive_report import report, tables  # isort: skip

from airflow_provider_honeyhive.manifest import Manifest

TEXT = (ROOT / "docs" / "report.md").read_text(encoding="utf-8")
EXAMPLE = (ROOT / "example_dags" / "example_honeyhive_report.py").read_text(encoding="utf-8")


def snippet(language: str) -> str:
    found = re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    assert len(found) == 1
    return found[0]


def test_every_table_has_its_columns_in_the_order_of_the_files():
    connection = tables.make_tables([])
    told = re.findall(r"^\| `(\w+)` \|[^|]+\| (.*) \|$", TEXT, re.MULTILINE)
    assert {name: re.findall(r"`(\w+)`", columns) for name, columns in told} == {
        name: connection.table(name).columns for name in tables.TABLES
    }
    assert [name for name, _ in told] == list(tables.TABLES)


def test_the_text_counts_the_tables_right():
    assert len(tables.TABLES) == 10
    assert "ten small tables" in TEXT
    assert "the other nine tables" in TEXT


def test_every_field_that_is_named_is_read():
    statements = "".join(path.read_text() for path in tables.SQL.glob("*.sql"))
    sources = re.findall(r"^\| [^|]+ \| (.*) \|$", TEXT.partition("## The tables")[0], re.MULTILINE)
    fields = {name for source in sources for name in re.findall(r"`([\w.]+)`", source)} - {
        "model",
        "session",
        "unknown",
    }
    assert len(fields) > 10
    for field in fields:
        column, _, key = field.partition(".")
        assert column in SCHEMA.names
        assert column in statements
        assert not key or f"{column}, '$.{key}'" in statements or f"{column} ->> '$.{key}'" in statements


def test_the_python_without_airflow_runs(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "out" / "2026-11-22"
    folder.mkdir(parents=True)
    (part,) = write_parts(folder, [{"event_id": "e"}])
    manifest = {
        "project": "demo",
        "start_time": "2026-11-22T00:00:00Z",
        "end_time": "2026-11-23T00:00:00Z",
        "event_count": 1,
        "started_at": "",
        "finished_at": "",
        "file_format": "parquet",
        "compression": "zstd",
        "request": {"api_host": "h"},
        "files": [{"path": part.name, "event_count": 1, "size_bytes": 1, "sha256": ""}],
    }
    (folder / "_manifest.json").write_bytes(Manifest(**manifest).to_json())
    monkeypatch.chdir(tmp_path)

    exec(snippet("python"), {})  # noqa: S102 - that is what is tested

    assert capsys.readouterr().out == f"file://{tmp_path}/report/{report.PAGE}\n"


def test_the_statement_over_many_days_runs(tmp_path):
    connection = tables.make_tables([])
    folder = tmp_path / "2026-11-23"
    folder.mkdir()
    connection.table("by_model").write_parquet(str(folder / "by_model.parquet"))
    assert connection.execute(snippet("sql").replace("/data/honeyhive/report", str(tmp_path))).fetchall() == []


def test_places_are_those_of_the_example():
    for place in ("parquet", "report"):
        assert f"`{{output}}/{place}/{{day}}/`" in TEXT
        assert f"{{OUTPUT}}/{place}/{{day}}/" in EXAMPLE


@pytest.mark.parametrize(("name", "width"), [("report-light-wide", 1400), ("report-dark-narrow", 400)])
def test_pictures_are_there_and_small(name, width):
    picture = (ROOT / "docs" / "images" / f"{name}.png").read_bytes()
    assert f"images/{name}.png" in TEXT
    assert struct.unpack(">I", picture[16:20]) == (width,)
    assert len(picture) < 300_000
