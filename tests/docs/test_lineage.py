"""The page on lineage: its DAG works, its table has what assets get."""

from __future__ import annotations

from pathlib import Path

from airflow_provider_honeyhive.export.result import ExportResult
from airflow_provider_honeyhive.manifest import LookbackFacts, Manifest, RequestFacts
from airflow_provider_honeyhive.storage.local import LocalStore
from airflow_provider_honeyhive.tasks.assets import asset_facts

from .documents import Document, codes, run_python

PAGE = Document("docs/lineage.md")
#: One that has all that an export can have.
RESULT = ExportResult.of_files(
    Manifest(
        project="demo",
        start_time="2026-03-10T00:00:00.000000Z",
        end_time="2026-03-11T00:00:00.000000Z",
        event_count=0,
        started_at="",
        finished_at="",
        file_format="parquet",
        compression="zstd",
        request=RequestFacts(api_host="api.example.com"),
        files=[],
        lookback=LookbackFacts(windows=1, start_time="", end_time=""),
    ).placed(LocalStore(Path("/bucket/day")), "_manifest.json")
)


def test_the_dags_on_the_page_work():
    assert run_python(PAGE.the("python"))["EVENTS"].name == "honeyhive_events"


def test_the_table_of_facts_is_what_assets_get():
    named = {name for row in PAGE.table("Key", "Meaning") for name in codes(row[0])}
    assert named == set(asset_facts(RESULT))
