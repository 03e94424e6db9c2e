"""From what HoneyHive answers to the page: its numbers are those of a plain loop over the same events."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from airflow_provider_honeyhive.api.client import HoneyHiveClient
from airflow_provider_honeyhive.api.settings import ClientSettings
from airflow_provider_honeyhive.builds.sources import export_sources
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.report import forms
from airflow_provider_honeyhive.report.build import PAGE, write_report
from airflow_provider_honeyhive.sandbox import Sandbox
from airflow_provider_honeyhive.tables.build import build_tables
from tests.unit.export.test_exporter import DAY, DEMO, GENERATED

from .test_page import Page

if TYPE_CHECKING:
    from airflow_provider_honeyhive.build_manifest import BuildManifest


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("whole-way")


@pytest.fixture(scope="module")
def served_and_report(folder) -> tuple[list[dict[str, Any]], BuildManifest]:
    """Export the events of a server, make tables of them, report on these; return the events, and the report."""
    with Sandbox(count=400, **GENERATED) as sandbox:
        with HoneyHiveClient(ClientSettings.parse(api_key=sandbox.key, api_url=sandbox.url)) as client:
            exported = export_events(client, DEMO, folder / "events", ExportOptions(file_format="parquet"))
        ids = sandbox.event_ids(DAY.start, DAY.end)
        served = [event.decoded() for event in sandbox.events() if event.event_id in ids]
    tables = build_tables(export_sources(exported), folder / "tables")
    return served, write_report(tables, folder / "report")


@pytest.fixture
def served(served_and_report) -> list[dict[str, Any]]:
    return served_and_report[0]


@pytest.fixture
def report(served_and_report) -> BuildManifest:
    return served_and_report[1]


@pytest.fixture
def page(report) -> Page:
    (path,) = report.file_urls(PAGE)
    return Page(Path(path).read_text(encoding="utf-8"))


def tokens_of(metadata: dict[str, Any]) -> int | None:
    given = metadata.get("input_tokens", metadata.get("prompt_tokens"))
    made = metadata.get("output_tokens", metadata.get("completion_tokens"))
    if "total_tokens" in metadata:
        return metadata["total_tokens"]
    return None if given is None and made is None else (given or 0) + (made or 0)


def counting(events: list[dict[str, Any]], amounts: dict[str, Any]) -> float:
    """Add the amounts of events that have no event below them that says one."""
    parents = {event["event_id"]: event["parent_id"] for event in events}
    above: set[str] = set()
    for event in events:
        if amounts[event["event_id"]] is not None:
            parent = parents[event["event_id"]]
            while parent in parents and parent not in above:
                above.add(parent)
                parent = parents[parent]
    return sum(amount for name, amount in amounts.items() if amount is not None and name not in above)


def test_headlines_are_those_of_a_plain_loop(served, report, page):
    calls = [event for event in served if event["event_type"] == "model"]
    failed = sum(event["error"] is not None for event in served)
    cost = counting(served, {event["event_id"]: event["metadata"].get("cost") for event in served})
    tokens = counting(served, {event["event_id"]: tokens_of(event["metadata"]) for event in served})

    told = {name: page.words[page.words.index(name) + 1] for name in ("Events", "Sessions", "Model calls")}
    assert told == {
        "Events": str(len(served)),
        "Sessions": str(len({event["session_id"] for event in served})),
        "Model calls": str(len(calls)),
    }
    assert page.words[page.words.index("Cost") + 1] == forms.dollars(cost)
    assert page.words[page.words.index("Tokens") + 1] == forms.count(tokens)
    assert page.words[page.words.index("Failed events") + 1] == forms.share(failed / len(served))
    assert page.words[page.words.index("Model latency, p50") + 1] == forms.seconds(median(c["duration"] for c in calls))

    (summary,) = pq.read_table(report.file_urls("summary")[0]).to_pylist()
    assert summary["total_tokens"] == tokens
    # Spans around calls say what these have said.
    assert 0 < tokens < sum(tokens_of(event["metadata"]) or 0 for event in served)
    assert summary["cost"] == pytest.approx(cost, rel=1e-9)
    assert (summary["orphans"], summary["events_in_cycles"], summary["events_outside_window"]) == (0, 0, 0)


def test_models_and_sessions_are_those_of_a_plain_loop(served, report, page):
    models = Counter(
        event["config"].get("model") or event["metadata"]["model_name"]
        for event in served
        if event["event_type"] == "model"
    )
    told = {row[0]: row[2] for row in page.lists["Models"][1:] if row[2] != "0"}
    assert told == {name: str(count) for name, count in models.items()}

    sessions = Counter(event["session_id"] for event in served)
    rows = pq.read_table(report.file_urls("longest_sessions")[0]).to_pylist()
    assert {row["session_id"]: row["event_count"] for row in rows}.items() <= sessions.items()
    assert len(rows) == min(100, len(sessions))


def test_nothing_that_was_said_is_in_the_report(served, report, page):
    fields = ("inputs", "outputs", "error", "feedback", "user_properties")
    said = {text for event in served for field in fields for text in texts_in(event[field]) if len(text) > 10}
    explanations = {
        text for event in served for text in texts_in(event["metrics"]) if isinstance(text, str) and len(text) > 10
    }
    assert len(said) > 300
    assert len(explanations) > 10
    assert [text for text in said | explanations if text in page.html] == []
    for file in report.files[1:]:
        cells = {cell for column in pq.read_table(report.url(file.path)).columns for cell in column.to_pylist()}
        assert cells.isdisjoint(said | explanations)


def texts_in(value: Any) -> list[str]:
    if isinstance(value, dict | list):
        return [text for each in (value.values() if isinstance(value, dict) else value) for text in texts_in(each)]
    return [value] if isinstance(value, str) else []
