"""Generated traces: the same for the same seed, and like the real thing."""

from __future__ import annotations

import json
import statistics
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_honeyhive.sandbox.data.traces import generate_events, project_id

START, END = datetime(2026, 11, 18, tzinfo=UTC), datetime(2026, 11, 19, tzinfo=UTC)


@pytest.fixture(scope="module")
def events() -> list[dict[str, Any]]:
    return generate_events(5000, seed=1, start=START, end=END, project="shop")


def test_the_seed_decides_everything(events: list[dict[str, Any]]) -> None:
    assert generate_events(5000, seed=1, start=START, end=END, project="shop") == events
    other = generate_events(100, seed=2, start=START, end=END, project="shop")
    assert not {each["event_id"] for each in other} & {each["event_id"] for each in events}


@pytest.mark.parametrize("count", [0, 1, 2, 3, 17])
def test_the_count_is_exact(count: int) -> None:
    assert len(generate_events(count, start=START, end=END)) == count


def test_ids_are_distinct_uuids(events: list[dict[str, Any]]) -> None:
    assert len({uuid.UUID(each["event_id"]) for each in events}) == len(events)


def test_events_name_their_project_and_tenant(events: list[dict[str, Any]]) -> None:
    assert {(each["project"], each["project_id"]) for each in events} == {("shop", project_id("shop"))}
    assert len(project_id("shop")) == 24
    assert all(each["tenant"] for each in events)


def test_parents_exist_and_know_their_children(events: list[dict[str, Any]]) -> None:
    by_id = {each["event_id"]: each for each in events}
    for each in events:
        assert (each["parent_id"] is None) is (each["event_type"] == "session")
        assert (each["event_id"] == each["session_id"]) is (each["event_type"] == "session")
        children = [by_id[child] for child in each["children_ids"]]
        assert all(child["parent_id"] == each["event_id"] for child in children)
        assert all(child["session_id"] == each["session_id"] for child in children)
    named = [child for each in events for child in each["children_ids"]]
    assert sorted(named) == sorted(each["event_id"] for each in events if each["parent_id"])


def test_children_run_within_their_parents(events: list[dict[str, Any]]) -> None:
    by_id = {each["event_id"]: each for each in events}
    for each in events:
        if each["parent_id"]:
            parent = by_id[each["parent_id"]]
            if "evaluations" in parent and parent["event_type"] == "session":
                continue  # OpenTelemetry clients send a session's row with times of its own.
            assert parent["start_time"] <= each["start_time"] <= each["end_time"] <= parent["end_time"]
        assert abs(each["end_time"] - each["start_time"] - each["duration"]) < 1


@pytest.mark.parametrize("window", [timedelta(milliseconds=1), timedelta(seconds=5), timedelta(days=40)])
def test_events_start_within_the_window(window: timedelta) -> None:
    begin = START.timestamp() * 1000
    times = [each["start_time"] for each in generate_events(500, start=START, end=START + window)]
    assert begin <= min(times)
    assert max(times) < begin + window / timedelta(milliseconds=1)


def test_a_window_without_a_millisecond_is_refused() -> None:
    with pytest.raises(ValueError, match="no time in"):
        generate_events(1, start=START, end=START)


def test_offices_are_busy_and_nights_are_thin(events: list[dict[str, Any]]) -> None:
    hours = Counter(each["start_time"] // 3_600_000 % 24 for each in events)
    assert sum(hours[hour] for hour in range(9, 17)) > 10 * sum(hours[hour] for hour in range(5))


def test_all_types_occur_and_some_times_are_ties(events: list[dict[str, Any]]) -> None:
    assert set(Counter(each["event_type"] for each in events)) == {"session", "chain", "tool", "model"}
    times = Counter(each["start_time"] for each in events)
    assert 0.01 < sum(n for n in times.values() if n > 1) / len(events) < 0.8


def test_sizes_are_those_of_llm_events(events: list[dict[str, Any]]) -> None:
    sizes = [len(json.dumps(each, ensure_ascii=False).encode()) for each in events]
    assert 2000 <= statistics.median(sizes) <= 4000
    assert max(sizes) > 8 * statistics.median(sizes)


def test_model_events_say_what_was_asked_answered_and_spent(events: list[dict[str, Any]]) -> None:
    models = [each for each in events if each["event_type"] == "model" and "evaluations" not in each]
    for each in models:
        assert {"model", "provider", "hyperparameters", "template"} <= set(each["config"])
        assert each["inputs"]["chat_history"][-1]["role"] == "user"
        tokens = each["metadata"]
        assert tokens["total_tokens"] == tokens["prompt_tokens"] + tokens["completion_tokens"]
        assert tokens["cost"] > 0
    assert any("Answer Faithfulness_explanation" in each["metrics"] for each in models)
    assert any(each["feedback"] for each in events)
    assert 0.01 < sum(each["error"] is not None for each in events) / len(events) < 0.03


def test_texts_are_not_all_ascii(events: list[dict[str, Any]]) -> None:
    text = json.dumps(events, ensure_ascii=False)
    assert all(sample in text for sample in ("ö", "请", "🙏", "€", "\\n", '\\"', "أ"))


def test_twenty_thousand_events_are_made() -> None:
    assert len(generate_events(20_000, start=START, end=END)) == 20_000
