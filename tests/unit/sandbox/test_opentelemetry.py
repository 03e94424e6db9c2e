"""Sessions in the traces that are as OpenTelemetry clients send them."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_provider_honeyhive.sandbox.data.traces import generate_events

START, END = datetime(2026, 11, 18, tzinfo=UTC), datetime(2026, 11, 19, tzinfo=UTC)

Session = list[dict[str, Any]]


@pytest.fixture(scope="module")
def every() -> list[dict[str, Any]]:
    return generate_events(5000, seed=1, start=START, end=END)


@pytest.fixture(scope="module")
def sessions(every: list[dict[str, Any]]) -> list[Session]:
    found: dict[str, Session] = defaultdict(list)
    for event in every:
        if "evaluations" in event:
            found[event["session_id"]].append(event)
    return list(found.values())


@pytest.fixture(scope="module")
def events(sessions: list[Session]) -> list[dict[str, Any]]:
    return [event for session in sessions for event in session]


def of_type(events: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [event for event in events if event["event_type"] == name]


def agents(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event for event in events if event["event_name"] == "invoke_agent"]


def test_some_sessions_and_each_of_them_whole_are_such(every: list[dict[str, Any]], sessions: list[Session]) -> None:
    chosen = {session[0]["session_id"] for session in sessions}
    assert 0.15 < len(chosen) / len({event["session_id"] for event in every}) < 0.35
    assert sum(event["session_id"] in chosen for event in every) == sum(map(len, sessions))


def test_spans_nest_as_events_do_and_the_root_has_no_parent(sessions: list[Session]) -> None:
    for session in sessions:
        spans = {event["event_id"]: event["metadata"]["span_id"] for event in session}
        assert len(set(spans.values())) == len(session)
        assert len({event["metadata"]["trace_id"] for event in session}) == 1
        for event in session:
            parent = event["parent_id"]
            assert event["metadata"]["parent_span_id"] == (spans[parent] if parent else "")
            assert event["metadata"]["event_type"] == event["event_type"]
            assert event["metadata"]["operation_name"]


def test_tokens_and_models_have_the_names_of_opentelemetry(events: list[dict[str, Any]]) -> None:
    for event in events:
        assert not {"prompt_tokens", "completion_tokens", "total_tokens", "cost"} & event["metadata"].keys()
    for event in of_type(events, "model"):
        assert event["metadata"]["input_tokens"] > 0
        assert event["metadata"]["output_tokens"] > 0
        assert event["metadata"]["model_name"]


def test_messages_are_json_texts_under_dotted_keys_or_nested(sessions: list[Session]) -> None:
    dotted = "_event.gen_ai.user.message.0.content"
    forms = set()
    for session in sessions:
        first = session[0]["metadata"]
        forms.add(dotted in first)
        for event in session:
            metadata = event["metadata"]
            if metadata["operation_name"] == "execute_tool":
                continue
            assert (dotted in metadata) is (dotted in first)
            nested = metadata.get("_event")
            text = metadata[dotted] if nested is None else nested["gen_ai"]["user"]["message"][0]["content"]
            assert json.loads(text)[0]["role"] == "user"
    assert forms == {True, False}


def test_metrics_mix_scores_prose_and_measurements(events: list[dict[str, Any]]) -> None:
    for event in [*of_type(events, "session"), *agents(events)]:
        metrics = event["metrics"]
        assert isinstance(metrics["Assistant Answer Reporting Accurate"], int)
        assert isinstance(metrics["strands.HelpfulnessEvaluator"], float)
        assert isinstance(metrics["Goal Reached"], bool)
        assert metrics["strands.HelpfulnessEvaluator_explanation"].startswith("The assistant was asked: ")
    assert all(event["metrics"]["time_to_first_token_ms"] > 0 for event in of_type(events, "model"))


def test_evaluations_are_the_scores_by_slug(events: list[dict[str, Any]]) -> None:
    for event in [*of_type(events, "session"), *agents(events)]:
        latest = event["evaluations"]["strands-helpfulnessevaluator"]
        assert latest["score"] == event["metrics"]["strands.HelpfulnessEvaluator"]
        assert latest["explanation"] == event["metrics"]["strands.HelpfulnessEvaluator_explanation"]
        assert latest["timestamp"] > event["start_time"]


def test_outputs_change_their_types(events: list[dict[str, Any]]) -> None:
    contents = {type(event["outputs"]["content"]) for event in of_type(events, "model") if event["outputs"]}
    assert contents == {str, list}
    tools = [event for event in of_type(events, "tool") if event["event_name"] != "invoke_agent" and event["outputs"]]
    assert {event["outputs"]["result"] for event in tools} == {100, "100.0"}


def test_an_agent_is_a_chain_or_a_tool_and_carries_the_sums_of_its_model_calls(sessions: list[Session]) -> None:
    types = set()
    for session in sessions:
        for agent in agents(session):
            types.add(agent["event_type"])
            calls = [each for each in of_type(session, "model") if each["parent_id"] == agent["event_id"]]
            for name in ("input_tokens", "output_tokens"):
                assert agent["metadata"][name] == sum(call["metadata"][name] for call in calls)
    assert types == {"chain", "tool"}


def test_a_sessions_row_begins_after_its_first_child_and_ends_before_the_others(sessions: list[Session]) -> None:
    for root, *others in sessions:
        if others:
            assert 0 < root["start_time"] - min(each["start_time"] for each in others) <= 12
            assert (root["end_time"] - root["start_time"], root["duration"]) == (1, 1)
            assert root["end_time"] < max(each["end_time"] for each in others)
