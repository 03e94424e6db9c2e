"""The page on lineage: its DAG works, its table has what assets get."""

from __future__ import annotations

from airflow_provider_honeyhive.export.result import ExportResult
from airflow_provider_honeyhive.models.export_facts import LookbackFacts
from airflow_provider_honeyhive.tasks.assets import asset_facts
from tests.unit.export.test_result import manifest
from tests.unit.operators.builds import built

from .documents import Document, codes, run_python

PAGE = Document("docs/lineage.md")
#: One that has all that an export can have.
TIMES = {"start_time": "2026-11-21T00:00:00.000Z", "end_time": "2026-11-22T00:00:00.000Z"}
RESULT = ExportResult.of_files(manifest(lookback=LookbackFacts(windows=1, **TIMES)))


def test_the_dags_on_the_page_work():
    assert run_python(PAGE.the("python"))["EVENTS"].name == "honeyhive_events"


def test_the_table_of_facts_is_what_assets_get():
    named = {name for row in PAGE.table("Key", "Meaning") for name in codes(row[0])}
    assert named == set(asset_facts(RESULT))


def test_the_facts_of_builds_are_what_assets_get():
    (told,) = (line for line in PAGE.text.replace("\n  ", " ").splitlines() if line.startswith("- [Tables]"))
    facts = {name for name, fact in built("/built").summary().items() if isinstance(fact, str | int | None)}
    assert {*codes(told), "start_time", "end_time"} == facts
