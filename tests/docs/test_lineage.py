"""The page on lineage: its DAG works, its table has what assets get."""

from __future__ import annotations

from airflow_provider_honeyhive.export.result import ExportResult, Files
from airflow_provider_honeyhive.tasks.assets import asset_facts

from .documents import Document, codes, run_python

PAGE = Document("docs/lineage.md")
#: One that has all that an export can have.
RESULT = ExportResult(
    api_host="api.example.com",
    project="demo",
    project_id="id-of-demo",
    start_time="2026-03-10T00:00:00.000000Z",
    end_time="2026-03-11T00:00:00.000000Z",
    event_count=5,
    reported_total=6,
    files=Files(
        url="s3://bucket/day/",
        manifest_url="s3://bucket/day/_manifest.json",
        file_count=2,
        size_bytes=60,
        file_format="parquet",
        compression="zstd",
    ),
    corrected=(0, 0),
)


def test_the_dags_on_the_page_work():
    assert run_python(PAGE.the("python"))["EVENTS"].name == "honeyhive_events"


def test_the_table_of_facts_is_what_assets_get():
    named = {name for row in PAGE.table("Key", "Meaning") for name in codes(row[0])}
    assert named == set(asset_facts(RESULT))
