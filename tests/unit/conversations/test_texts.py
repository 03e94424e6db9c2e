"""The question and the answer of an event, as texts: in each shape that clients send."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_honeyhive.conversations.texts import answer_of, question_of
from airflow_provider_honeyhive.sandbox.data.traces import SEED_EVENT, generate_events
from tests.unit.odd_events import ODD_EVENTS
from tests.unit.property_settings import thoroughly

HISTORY = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "First?"},
    {"role": "assistant", "content": "One."},
    {"role": "User", "content": [{"type": "text", "text": "Sec"}, {"type": "image_url"}, {"text": "ond?"}]},
    {"role": "tool", "content": "42"},
]

#: inputs, metadata -> question.
QUESTIONS = {
    "messages": ({"chat_history": HISTORY}, {}, "Second?"),
    "messages by their other name": ({"messages": HISTORY}, {}, "Second?"),
    "messages as JSON text": ({"messages": json.dumps(HISTORY)}, {}, "Second?"),
    "messages with numbers": ({"messages": {"0": HISTORY[1], "1": HISTORY[2]}}, {}, "First?"),
    "flat messages": ({"messages.0.role": "user", "messages.0.content": "Flat?"}, {}, "Flat?"),
    "messages alone": (HISTORY, {}, "Second?"),
    "messages before a question": ({"chat_history": HISTORY, "question": "Other?"}, {}, "Second?"),
    "a question": ({"question": "Why?", "context": "Because."}, {}, "Why?"),
    "a query": ({"query": "Why?"}, {}, "Why?"),
    "a prompt": ({"prompt": "Why?"}, {}, "Why?"),
    "an input": ({"input": "Why?"}, {}, "Why?"),
    "no user": ({"chat_history": HISTORY[:1]}, {}, None),
    "numbers": ({"question": 7}, {}, None),
    "nothing": (None, None, None),
    "OpenTelemetry, flat": (
        {},
        {"_event.gen_ai.user.message.0.content": json.dumps([{"role": "user", "content": [{"text": "Why?"}]}])},
        "Why?",
    ),
    "OpenTelemetry, nested": (
        {},
        {"_event": {"gen_ai": {"user": {"message": [{"content": "First?"}, {"content": '[{"text": "Why?"}]'}]}}}},
        "Why?",
    ),
    "OpenTelemetry, messages with parts": (
        {},
        {"gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "text", "content": "Why?"}]}])},
        "Why?",
    ),
    "OpenTelemetry, older": (
        {},
        {"gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": "Why?", "gen_ai.prompt.1.role": "assistant"},
        "Why?",
    ),
    "OpenTelemetry, older, blocks": (
        {},
        {"gen_ai": {"prompt": [{"role": "user", "content": '[{"type": "text", "text": "Why?"}]'}]}},
        "Why?",
    ),
}

#: outputs, metadata -> answer.
ANSWERS = {
    "a message": ({"role": "assistant", "content": "Yes."}, {}, "Yes."),
    "blocks": ({"content": [{"type": "text", "text": "Ye"}, {"type": "tool_use"}, {"text": "s."}]}, {}, "Yes."),
    "OpenAI's": ({"choices": [{"message": {"role": "assistant", "content": "Yes."}}]}, {}, "Yes."),
    "OpenAI's, flat": ({"choices.0.message.content": "Yes."}, {}, "Yes."),
    "an answer": ({"answer": "Yes."}, {}, "Yes."),
    "a result": ({"result": "Yes."}, {}, "Yes."),
    "a message as result": ({"result": {"content": "Yes."}}, {}, "Yes."),
    "a number as result": ({"result": 100}, {}, None),
    "chunks": ({"chunks": [{"text": "Yes."}]}, {}, None),
    "a text": ("Yes.", {}, "Yes."),
    "nothing": ({}, {}, None),
    "nothing at all": (None, None, None),
    "OpenTelemetry, messages with parts": (
        None,
        {"gen_ai.output.messages": [{"role": "assistant", "parts": [{"type": "text", "content": "Yes."}]}]},
        "Yes.",
    ),
    "OpenTelemetry, older": (None, {"gen_ai.completion.0.content": "Yes."}, "Yes."),
    "OpenTelemetry, events": (None, {"_event.gen_ai.choice.0.message": '[{"text": "Yes."}]'}, "Yes."),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_is_found(name):
    inputs, metadata, expected = QUESTIONS[name]
    assert question_of(json.dumps(inputs), json.dumps(metadata)) == expected


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_is_found(name):
    outputs, metadata, expected = ANSWERS[name]
    assert answer_of(json.dumps(outputs), json.dumps(metadata)) == expected


def test_the_documented_event_has_both():
    inputs, outputs, metadata = (json.dumps(SEED_EVENT[name]) for name in ("inputs", "outputs", "metadata"))
    assert question_of(inputs, metadata) == "What is in the context?"
    assert answer_of(outputs, metadata) == "Hello world"


def test_events_of_both_kinds_of_clients_have_what_was_put_into_them():
    events = generate_events(300, seed=3, start=datetime(2026, 1, 1, tzinfo=UTC), end=datetime(2026, 1, 2, tzinfo=UTC))
    for event in events:
        inputs, outputs, metadata = (json.dumps(event[name]) for name in ("inputs", "outputs", "metadata"))
        history = event["inputs"].get("chat_history")
        expected = history[-1]["content"] if history else event["inputs"].get("question") or event["inputs"]["query"]
        assert question_of(inputs, metadata) == expected
        outputs_of = event["outputs"]
        result = outputs_of.get("result")
        content = outputs_of.get("content") or outputs_of.get("answer") or (result if isinstance(result, str) else None)
        assert answer_of(outputs, metadata) == (content[0]["text"] if isinstance(content, list) else content)


def test_what_is_nested_too_deeply_or_no_json_has_neither():
    for text in ("[" * 100_000, '{"content":' * 100_000, "{", '{"question": "\\ud83d"}', "1e-99999999999999999999"):
        assert question_of(text, text) is None
        assert answer_of(text, text) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["content", "role", "0"]), inner),
)


@given(json_values, json_values)
@thoroughly(200)
def test_whatever_comes_the_answer_is_a_text_or_none(content, metadata):
    said = json.dumps({"messages": content, "choices": content, "content": content, "result": content})
    rest = json.dumps({"gen_ai.prompt": metadata, "gen_ai": {"completion": metadata}})
    for found in (question_of(said, rest), answer_of(said, rest)):
        assert found is None or (isinstance(found, str) and found)


def test_odd_events_have_texts_or_none():
    for raw in ODD_EVENTS.values():
        text = raw.decode(errors="replace")
        assert isinstance(question_of(text, text), str | None)
        assert isinstance(answer_of(text, text), str | None)
