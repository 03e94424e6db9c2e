"""What is read in one step is what a closer look finds; and the usual events are read so."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_honeyhive.conversations.plain import plain_conversation
from airflow_provider_honeyhive.conversations.read import _look_closely
from airflow_provider_honeyhive.sandbox.data.traces import SEED_EVENT, generate_events
from tests.unit.property_settings import thoroughly

if TYPE_CHECKING:
    from airflow_provider_honeyhive.conversations.reasons import Conversation

HISTORY = [{"role": "system", "content": "be kind"}, {"role": "user", "content": "tool or function?"}]
ANSWER = {"role": "assistant", "content": "neither"}
HASHED = "hh_redacted:" + "0" * 32


def texts(*values: Any) -> list[str | None]:
    return [None if value is None else json.dumps(value) for value in values]


def fields(event: dict[str, Any]) -> list[str | None]:
    return texts(*(event[name] for name in ("inputs", "outputs", "config", "metadata")))


def assert_same(given_texts: list[str | None]) -> Conversation | None:
    plain = plain_conversation(*given_texts)
    if plain is not None:
        assert plain == _look_closely(*given_texts)
    return plain


def test_the_event_of_the_documentation_is_read_in_one_step():
    assert assert_same(fields(SEED_EVENT)) is not None


def test_most_of_what_the_sandbox_generates_is_read_in_one_step():
    day = {"start": datetime(2026, 3, 10, tzinfo=UTC), "end": datetime(2026, 3, 11, tzinfo=UTC)}
    calls = [event for event in generate_events(600, **day) if event["event_type"] == "model"]
    assert sum(assert_same(fields(event)) is not None for event in calls) > len(calls) / 2


@pytest.mark.parametrize(
    ("inputs", "outputs", "config", "metadata"),
    [
        (None, ANSWER, None, None),
        ({"chat_history": []}, ANSWER, None, None),
        ({"messages": HISTORY}, ANSWER, None, None),
        ({"chat_history": HISTORY, "system": "be brief"}, ANSWER, None, None),
        ({"chat_history": HISTORY, "tools": [{"name": "search"}]}, ANSWER, None, None),
        ({"chat_history": HISTORY, "functions": []}, ANSWER, None, None),
        ({"chat_history": HISTORY, "tools.0.name": "search"}, ANSWER, None, None),
        ({"chat_history": HISTORY}, ANSWER, {"tools": [{"name": "search"}]}, None),
        ({"chat_history": HISTORY}, ANSWER, "a text", None),
        ({"chat_history": HISTORY}, ANSWER, None, {"gen_ai.tool.definitions": [{"name": "search"}]}),
        ({"chat_history": [*HISTORY, ANSWER]}, ANSWER, None, None),
        ({"chat_history": [{**HISTORY[1], "name": "Ann"}]}, ANSWER, None, None),
        ({"chat_history": [{"role": "User", "content": "?"}]}, ANSWER, None, None),
        ({"chat_history": [{"role": "tool", "content": "?"}]}, ANSWER, None, None),
        ({"chat_history": [{"role": "user", "content": ["?"]}]}, ANSWER, None, None),
        ({"chat_history": [{"role": "user", "content": HASHED}]}, ANSWER, None, None),
        ({"chat_history": HISTORY}, {"role": "assistant", "content": ""}, None, None),
        ({"chat_history": HISTORY}, {"role": "user", "content": "?"}, None, None),
        ({"chat_history": HISTORY}, {"content": "?"}, None, None),
        ({"chat_history": HISTORY}, {**ANSWER, "tool_calls": []}, None, None),
    ],
    ids=str,
)
def test_what_needs_a_closer_look_gets_one(inputs, outputs, config, metadata):
    assert plain_conversation(*texts(inputs, outputs, config, metadata)) is None


ROLES = st.sampled_from(["system", "developer", "user", "assistant", "tool", "User", "", "critic"])
CONTENTS = st.one_of(
    st.sampled_from(["", "?", HASHED, "[]", '[{"text": "?"}]', "tool", "\u2028"]), st.none(), st.just([{"text": "?"}])
)
MESSAGES = st.fixed_dictionaries(
    {"role": ROLES, "content": CONTENTS}, optional={"name": st.just("Ann"), "tool_calls": st.just([]), "id": st.just(1)}
)
PLAIN = st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "assistant"]), "content": st.text()})
OTHERS = {
    "messages": st.lists(MESSAGES, max_size=1),
    "question": st.text(max_size=2),
    "system": st.sampled_from([None, "", "be brief"]),
    "tools": st.sampled_from([[], None, [{"name": "search"}]]),
    "tools.0.name": st.just("search"),
}


@thoroughly(300)
@given(
    st.fixed_dictionaries({"chat_history": st.lists(st.one_of(PLAIN, MESSAGES), max_size=4)}, optional=OTHERS),
    st.one_of(PLAIN, MESSAGES, st.just({}), st.text(max_size=2), st.none()),
    st.sampled_from([None, {}, {"template": [{"role": "user"}]}, {"tools": []}, {"functions": 1}, HASHED]),
    st.sampled_from([None, {}, {"gen_ai.prompt.0.content": "?"}, {"gen_ai": {"completion": [{"content": "?"}]}}]),
)
def test_one_step_finds_what_a_closer_look_finds(inputs, outputs, config, metadata):
    assert_same(texts(inputs, outputs, config, metadata))
