"""Every value of every table is the one that plain Python finds in the API's answers."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
import requests

from airflow_provider_honeyhive.api.client import HoneyHiveClient
from airflow_provider_honeyhive.api.settings import ClientSettings
from airflow_provider_honeyhive.builds.sources import export_sources, folder_sources
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.models.request import ExportRequest
from airflow_provider_honeyhive.models.window import Window
from airflow_provider_honeyhive.sandbox import Sandbox
from airflow_provider_honeyhive.tables.build import build_tables
from airflow_provider_honeyhive.tables.columns import TABLES
from tests.unit.odd_events import compact
from tests.unit.tables.events_of_all_kinds import CASES
from tests.unit.tables.oracle import decoded, tables_of, time_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from airflow_provider_honeyhive.build_manifest import BuildManifest

DAY = Window(datetime(2026, 3, 10, tzinfo=UTC), datetime(2026, 3, 11, tzinfo=UTC))

IDS = ("event_id", "parent_id", "session_id")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(count=1500, start=DAY.start, end=DAY.end) as sandbox:
        yield sandbox


def answers(sandbox: Sandbox) -> list[dict[str, Any]]:
    """Return the day's events as the API gives them."""
    events: list[dict[str, Any]] = []
    while True:
        body = {"project": sandbox.project, "filters": [], "limit": 1000, "page": len(events) // 1000 + 1}
        answer = requests.post(
            f"{sandbox.url}/v1/events/export", json=body, headers={"Authorization": f"Bearer {sandbox.key}"}, timeout=60
        )
        page = decoded(answer.content)["events"]
        events += page
        if len(page) < 1000:
            return [event for event in events if DAY.start <= (time_of(event["start_time"]) or DAY.end) < DAY.end]


def rows_of(manifest: BuildManifest, table: str) -> list[dict[str, Any]]:
    (url,) = manifest.file_urls(table)
    rows: list[dict[str, Any]] = pq.read_table(url).to_pylist()
    return rows


def export(sandbox: Sandbox, folder: Path, window: Window = DAY, lookback: int = 0, **request: Any) -> str:
    with HoneyHiveClient(ClientSettings.parse(api_key=sandbox.key, api_url=sandbox.url)) as client:
        asked = ExportRequest(project=sandbox.project, window=window, **request)
        options = ExportOptions(file_format="parquet", lookback_windows=lookback)
        export_events(client, asked, folder, options, exports_folder=folder.parent if lookback else None)
    return str(folder)


def assert_same(manifest: BuildManifest, events: list[dict[str, Any]]) -> None:
    """Compare all rows of all tables with what plain Python finds."""
    # Who stands first among events of one time is the export's to say.
    places = {row["event_id"]: place for place, row in enumerate(rows_of(manifest, "events"))}
    wanted = tables_of(sorted(events, key=lambda event: places[event["event_id"]]))
    for table in TABLES:
        found = rows_of(manifest, table)
        for row in found:
            assert 0 <= row.pop("export_number", 0) < len(manifest.sources)
        assert len(found) == len(wanted[table]) == manifest.counts[table]
        for row, should_be in zip(found, wanted[table], strict=True):
            assert row == should_be, table


def test_a_day_of_both_shapes(sandbox: Sandbox, tmp_path: Path) -> None:
    manifest = build_tables(export_sources(export(sandbox, tmp_path / "events")), tmp_path / "tables")
    events = answers(sandbox)
    assert_same(manifest, events)
    # Agents and the calls below them, with and without dots in names.
    assert any(event["event_name"] == "invoke_agent" and event["metadata"]["input_tokens"] for event in events)
    assert 100 < manifest.counts["sessions"] < len(events)
    # Nothing counts twice: what the sandbox's calls took.
    spent = sum(
        event["metadata"].get("total_tokens") or event["metadata"]["input_tokens"] + event["metadata"]["output_tokens"]
        for event in events
        if event["event_type"] == "model"
    )
    assert sum(row["total_tokens"] or 0 for row in rows_of(manifest, "sessions")) == spent


def test_odd_events(tables_made: Callable[..., dict[str, list[dict[str, Any]]]]) -> None:
    events = [
        # Apart from the events of other cases.
        {name: f"{case}: {event[name]}" for name in IDS if event.get(name)}
        | {name: value for name, value in event.items() if name not in IDS or not value}
        for case, each in CASES.items()
        for event in each
    ]
    found = tables_made(*events)
    for row in found["events"]:
        del row["export_number"]
    for table, rows in tables_of([json.loads(compact(event)) for event in events]).items():
        assert len(found[table]) == len(rows), table
        for row, should_be in zip(found[table], rows, strict=True):
            assert row == should_be, table


def test_after_corrections(tmp_path: Path) -> None:
    noon = DAY.start + (DAY.end - DAY.start) / 2
    with Sandbox(count=600, start=DAY.start, end=DAY.end) as sandbox:
        export(sandbox, tmp_path / "events" / "morning", Window(DAY.start, noon), lookback=1)
        events = answers(sandbox)
        for number, event in enumerate(events[::7]):
            metadata = {**event["metadata"], "total_tokens": number, "cost": number / 3, "operation_name": "changed"}
            changes = {"metadata": metadata, "metrics": {"Changed": number, "Changed_explanation": "late"}}
            sandbox.update(event["event_id"], changes)
        late = {**events[0], "event_id": "late", "parent_id": events[1]["event_id"], "feedback": {"rating": 5}}
        sandbox.add([{**late, "start_time": int(DAY.start.timestamp() * 1000) + 1}])
        export(sandbox, tmp_path / "events" / "afternoon", Window(noon, DAY.end), lookback=1)
        manifest = build_tables(folder_sources(tmp_path / "events", DAY.start, DAY.end), tmp_path / "tables")
        events = answers(sandbox)
    assert_same(manifest, events)
    assert {row["export_number"] for row in rows_of(manifest, "events")} == {0, 1}
    assert "late" in {row["event_id"] for row in rows_of(manifest, "events")}
    assert sum(row["name"] == "Changed" for row in rows_of(manifest, "scores")) > 50


def without_content(event: dict[str, Any], hashed: dict[str, str]) -> dict[str, Any]:
    """Return an event of the sandbox as ``include_content=False`` leaves it.

    :param hashed: ids of sessions and users as they are in the export; others are gone.
    """
    names = ("model_name", "operation_name", "trace_id", "span_id")
    kept = {
        name: value
        for name, value in event["metadata"].items()
        if name in names or (isinstance(value, int | float) and not isinstance(value, bool))
    }
    scores = {name: value for name, value in event["metrics"].items() if not isinstance(value, str)}
    given = (
        {
            name: {key: value for key, value in score.items() if key != "explanation"}
            for name, score in event["evaluations"].items()
        }
        if "evaluations" in event
        else {}
    )
    return {
        **event,
        "session_id": hashed.get(event["session_id"]),
        "user_properties": {"user": hashed.get(event["user_properties"]["user"])},
        "inputs": {},
        "outputs": {},
        "error": None,
        "metadata": kept,
        "metrics": scores,
        "evaluations": given,
        "feedback": {name: value for name, value in event["feedback"].items() if name == "rating"},
    }


@pytest.mark.parametrize("secret", [None, "a secret of more than thirty-two characters"], ids=["removed", "hashed"])
def test_without_content(sandbox: Sandbox, tmp_path: Path, secret: str | None) -> None:
    source = export(sandbox, tmp_path / "events", include_content=False, redact_secret=secret)
    manifest = build_tables(export_sources(source), tmp_path / "tables")
    events = {event["event_id"]: event for event in answers(sandbox)}
    hashed: dict[str, str] = {}
    for row in rows_of(manifest, "events"):
        event = events[row["event_id"]]
        for real, there in (
            (event["session_id"], row["session_id"]),
            (event["user_properties"]["user"], row["user_id"]),
        ):
            assert real != there == hashed.setdefault(real, there)
    assert (set(hashed.values()) == {None}) == (secret is None)
    assert_same(manifest, [without_content(event, hashed) for event in events.values()])
    sessions = rows_of(manifest, "sessions")
    assert bool(sessions) == (secret is not None)
    assert all(row["has_root"] and row["first_question"] is row["last_answer"] is None for row in sessions)
