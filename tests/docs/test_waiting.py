"""The page on waiting: it shows what sensor and watcher report, with the numbers of the code."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from airflow_provider_honeyhive.models.request import ExportRequest
from airflow_provider_honeyhive.models.window import Window, parse_time, to_micros
from airflow_provider_honeyhive.tasks.polling import Snapshot
from airflow_provider_honeyhive.tasks.state import AssetState, FileState
from airflow_provider_honeyhive.triggers import watch_state as watching
from airflow_provider_honeyhive.triggers.honeyhive import DEFAULT_LOOKBACK_S

from .documents import Document, run_python

PAGE = Document("docs/waiting.md")


def micros(text: str) -> int:
    return to_micros(parse_time(text))


def test_the_result_of_the_sensor_is_that_of_the_code():
    example = json.loads(PAGE.the("json", '"newest": "2026-11-22T23'))
    window = Window.parse(example["start_time"], example["end_time"])
    request = ExportRequest(project="my-project", window=window)
    snapshot = Snapshot(example["event_count"], datetime(2026, 11, 22, 23, 59, 47, 777_000, tzinfo=UTC))
    assert snapshot.result(request) == example


def test_the_announcement_of_the_watcher_is_that_of_the_code():
    example = json.loads(PAGE.the("json", '"batch"'))
    request = ExportRequest.parse(project=example["project"], filters=example["filters"])
    newest, oldest = example["event_ids"]
    said = watching.announcement(request, {newest: micros(example["newest"]), oldest: micros(example["oldest"])})
    assert {**said, "batch": example["batch"]} == example
    assert len(said["batch"]) == len(example["batch"])


def test_the_numbers_are_those_of_the_code():
    assert f"at most {watching.SHOWN_IDS} ids" in PAGE.text
    for state, events, told in (
        (AssetState, 3_500, "about {:,} events in Airflow's store"),
        (FileState, 120_000, "{:,} in a file"),
    ):
        assert events <= (state.most_bytes - watching.SHOWN_CHARACTERS) / 16 <= 1.05 * events
        assert told.format(events) in PAGE.text
    assert "`lookback` (default one hour)" in PAGE.text
    assert DEFAULT_LOOKBACK_S == 3_600


@pytest.fixture
def watched():
    return run_python(PAGE.the("python", "AssetWatcher"))


def test_the_watched_asset_starts_the_dag(watched):
    (watcher,) = watched["disliked"].watchers
    trigger = watched["trigger"]
    assert watcher.trigger is trigger
    assert trigger.lookback == 7 * 86_400
    assert json.loads(trigger.filters) == json.loads(PAGE.the("json", '"batch"'))["filters"]


def test_the_task_of_the_page_makes_exports_of_announcements(watched):
    class Happened:
        extra = {"payload": json.loads(PAGE.the("json", '"batch"'))}

    (export,) = watched["windows"].function({watched["disliked"]: [Happened]})

    assert Window.parse(export["start_time"], export["end_time"])
    assert set(export) == {"filters", "start_time", "end_time"}
