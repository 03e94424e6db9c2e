"""The page on corrections: its view shows the newest versions, its globs do not double events, its statements parse."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import duckdb
import pandas
import polars
import pyarrow.dataset
import pytest

from airflow_provider_honeyhive.api.client import HoneyHiveClient
from airflow_provider_honeyhive.api.settings import ClientSettings
from airflow_provider_honeyhive.export.catalog import LOOKED_AT_ONCE
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.export.result import summarize
from airflow_provider_honeyhive.formats.columns import COLUMN_NAMES
from airflow_provider_honeyhive.formats.content_index import RECORD_BYTES
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.models.layout import choose_layout
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.models.request import ExportRequest
from airflow_provider_honeyhive.models.window import Window
from airflow_provider_honeyhive.sandbox import Sandbox

from .documents import Document, codes, run_python

if TYPE_CHECKING:
    from pathlib import Path

PAGE = Document("docs/corrections.md")
#: The last window that the page speaks of.
END = datetime(2026, 11, 23, tzinfo=UTC)
DAYS = 3
START = END - timedelta(days=DAYS)


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    """Return the folder of three days, each exported when something of the days before had changed; and the events."""
    folder = tmp_path_factory.mktemp("data") / "honeyhive"
    noon = int((START + timedelta(hours=12)).timestamp() * 1000)
    late = {"event_id": "late", "project": "demo", "start_time": noon, "metadata": {}}
    with (
        Sandbox(count=900, start=START, end=END) as sandbox,
        HoneyHiveClient(ClientSettings.parse(api_key=sandbox.key, api_url=sandbox.url)) as client,
    ):
        for number in range(DAYS):
            held = {
                one.event_id: json.loads(one.raw)
                for one in sandbox.events()
                if one.event_id in sandbox.event_ids(START, START + timedelta(days=number + 1))
            }
            window = Window(START + timedelta(days=number), START + timedelta(days=number + 1))
            options = ExportOptions(file_format="parquet", lookback_windows=3, max_file_size=200_000)
            path = folder / f"date={window.start:%Y-%m-%d}"
            export_events(client, ExportRequest(project="demo", window=window), path, options, exports_folder=folder)
            oldest = [held[name] for name in list(held)[:5]]
            sandbox.delete(one["event_id"] for one in oldest)
            sandbox.add([one | {"feedback": {"rating": number}} for one in oldest])
            sandbox.add([late] if number == 0 else [])
    return folder, held


def at_home(text: str, folder: Path) -> str:
    assert "/data/honeyhive/" in text
    return text.replace("/data/honeyhive/", f"{folder}/")


@pytest.fixture(scope="module")
def view(exports):
    folder, _ = exports
    with duckdb.connect() as db:
        db.execute(at_home(PAGE.the("sql", "CREATE OR REPLACE VIEW honeyhive_events AS"), folder))
        yield db


def test_the_view_shows_the_newest_version_of_each_event_once(exports, view):
    _, held = exports
    rows = view.execute("SELECT event_id, feedback, reason FROM honeyhive_events").fetchall()
    assert len(rows) == len(held) == len({row[0] for row in rows})
    assert {name: json.loads(feedback or "null") for name, feedback, _ in rows} == {
        name: one.get("feedback") for name, one in held.items()
    }
    assert sorted({reason for _, _, reason in rows if reason}) == ["changed", "late"]


def test_the_views_columns_are_those_of_the_files_and_what_was_said_of_them(view):
    found = [row[0] for row in view.execute("DESCRIBE honeyhive_events").fetchall()]
    assert found == [*COLUMN_NAMES, "reason", "exported_at"]


def test_the_query_of_the_view_runs(view):
    rows = view.execute(PAGE.the("sql", "date_diff")).fetchall()
    assert sum(row[2] for row in rows) == 6


def test_a_file_that_no_manifest_names_does_not_count(view, exports):
    folder, held = exports
    source = next(folder.glob("date=2026-11-22/part-*.parquet"))
    stray = source.with_name("part-99999-000000000000.parquet")
    stray.write_bytes(source.read_bytes())
    try:
        assert view.execute("SELECT count(*) FROM honeyhive_events").fetchone() == (len(held),)
    finally:
        stray.unlink()


def test_globs_give_the_windows_own_events_or_the_corrections(exports):
    folder, _ = exports
    manifest = Manifest.read(folder / "date=2026-11-22")
    own, corrected = manifest.event_count, manifest.lookback.late_count + manifest.lookback.changed_count
    assert corrected
    globs = [at_home(one, folder) for one in codes(next(r for r in PAGE.table("Reader") if "DuckDB" in r[0])[1])]
    globs += [at_home(one, folder) for one in codes(next(r for r in PAGE.table("Reader") if "DuckDB" in r[0])[2])]
    for glob, count in zip(globs, (own, corrected), strict=True):
        assert duckdb.sql(f"SELECT count(*) FROM read_parquet('{glob}')").fetchall() == [(count,)]
        assert polars.scan_parquet(glob).collect().height == count
    assert len(pandas.read_parquet(folder / "date=2026-11-22")) == own
    assert pyarrow.dataset.dataset(folder / "date=2026-11-22").count_rows() == own
    assert pyarrow.dataset.dataset(folder / "date=2026-11-22" / "_corrections").count_rows() == corrected


def test_the_dag_of_the_page_is_accepted():
    names = run_python(PAGE.the("python", "lookback_windows=3"))
    assert names["HoneyHiveExportEventsOperator"].__name__ == "HoneyHiveExportEventsOperator"


def test_files_are_called_as_the_page_shows():
    _, layout = choose_layout("out", "parquet")
    tree = PAGE.the("text", "_corrections/")
    reasons = re.findall(r"reason=(\w+)/(part-\S+)", tree)
    assert [reason for reason, _ in reasons] == ["changed", "late"]
    names = [*(f"_corrections/reason={reason}/{name}" for reason, name in reasons)]
    assert all(map(layout.owns, [*names, *re.findall(r"_index-\S+\.bin", tree)]))


def test_the_result_has_the_keys_that_the_page_names(exports):
    folder, _ = exports
    manifest = Manifest.read(folder / "date=2026-11-22")
    plain = summarize(manifest.model_copy(update={"lookback": None}))
    more = set(summarize(manifest)) - set(plain)
    assert more == {"late_count", "changed_count", "correction_files", "exported_at"}
    assert all(f"`{name}`" in PAGE.text for name in more)


def test_its_numbers_are_those_of_the_code():
    assert f"{RECORD_BYTES} bytes for each; later runs" in PAGE.text
    assert f"{LOOKED_AT_ONCE} at a time" in PAGE.text


def test_the_load_of_the_page_on_loading_leaves_the_newest_versions(exports, tmp_path):
    folder, held = exports
    text = Document("docs/loading.md").the("python", "with DAG(", section="DuckDB")
    text = text.replace('STORE = "aws_default"', "STORE = None").replace("/data/honeyhive.duckdb", f"{tmp_path}/db")
    load = run_python(text)["load"].function
    for day in sorted(folder.iterdir()):
        load(summarize(Manifest.read(day)))

    with duckdb.connect(f"{tmp_path}/db") as db:
        rows = db.execute("SELECT event_id, feedback FROM honeyhive_events").fetchall()

    assert len(rows) == len(held)
    assert {name: json.loads(feedback or "null") for name, feedback in rows} == {
        name: one.get("feedback") for name, one in held.items()
    }
