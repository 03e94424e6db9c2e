"""The page on lineage: its DAG works, its table has what assets get."""

from __future__ import annotations

import json
from dataclasses import replace

from airflow_provider_honeyhive.export.result import ExportResult
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.tasks.assets import asset_facts

from .documents import Document, codes, run_python

PAGE = Document("docs/lineage.md")
#: The export that the pages' examples are of.
RESULT = ExportResult.of_files(
    Manifest.from_json(Document("docs/formats.md").the("json", '"schema_version"').encode(), "formats.md"),
    json.loads(Document("docs/operator.md").the("json", '"manifest_path"')),
)


def test_the_dags_on_the_page_work():
    assert run_python(PAGE.the("python"))["EVENTS"].name == "honeyhive_events"


def test_the_table_of_facts_is_what_assets_get():
    named = {name for row in PAGE.table("Key", "Meaning") for name in codes(row[0])}
    assert named == set(asset_facts(replace(RESULT, reported_total=RESULT.event_count, corrected=(0, 0))))
