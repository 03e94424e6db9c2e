"""Events as conversations: each shape that clients send, each reason why there is none, and whatever else may come."""

from __future__ import annotations

import functools
import json
import operator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_honeyhive.conversations.read import read_conversation
from airflow_provider_honeyhive.conversations.reasons import Conversation, Reason, Unreadable
from airflow_provider_honeyhive.sandbox.data.traces import SEED_EVENT, generate_events
from tests.unit.odd_events import ODD_EVENTS
from tests.unit.property_settings import thoroughly

ASK = {"role": "user", "content": "Weather?"}
ANSWER = {"role": "assistant", "content": "Sunny."}
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}}
CALLS = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "content": "22", "tool_call_id": "c1"}
WHOLE = [ASK, CALLS, RESULT]


def read(inputs: Any = None, outputs: Any = None, *, failed: bool = False, **more: Any) -> Conversation | Unreadable:
    texts = {name: json.dumps(value) for name, value in more.items()}
    return read_conversation(json.dumps(inputs), json.dumps(outputs), failed=failed, **texts)


def said_in(inputs: Any) -> Any:
    found = read(inputs, ANSWER)
    return found.messages[:-1] if isinstance(found, Conversation) else found.reason


def answer_in(outputs: Any, **more: Any) -> Any:
    found = read({"messages": [ASK]}, outputs, **more)
    return found.messages[-1] if isinstance(found, Conversation) else found.reason


def history(*messages: Any) -> dict[str, Any]:
    return {"messages": list(messages)}


def test_the_documented_event_is_a_conversation():
    fields = {name: json.dumps(SEED_EVENT[name]) for name in ("inputs", "outputs", "config", "metadata")}
    assert read_conversation(**fields) == Conversation(
        [
            *SEED_EVENT["inputs"]["chat_history"],
            {"role": "assistant", "content": "Hello world"},
        ],
        None,
    )


def test_every_model_event_of_both_kinds_of_clients_is_a_conversation_or_has_failed():
    events = generate_events(400, seed=7, start=datetime(2026, 1, 1, tzinfo=UTC), end=datetime(2026, 1, 2, tzinfo=UTC))
    for event in events:
        if event["event_type"] == "model":
            fields = {name: json.dumps(event[name]) for name in ("inputs", "outputs", "config", "metadata")}
            found = read_conversation(**fields, failed=event["error"] is not None)
            if event["error"]:
                assert found == Unreadable(Reason.FAILED)
                continue
            content = event["outputs"]["content"]
            answer = content if isinstance(content, str) else content[0]["text"]
            assert found == Conversation(
                [*event["inputs"]["chat_history"], {"role": "assistant", "content": answer}], None
            )


#: inputs -> the messages that go in, or why there are none.
INPUTS = {
    "whole": (history(*WHOLE), WHOLE),
    "messages alone": (WHOLE, WHOLE),
    "messages as JSON text": ({"messages": json.dumps(WHOLE)}, WHOLE),
    "flat messages": ({"chat_history.0.role": "user", "chat_history.0.content": "Weather?"}, [ASK]),
    "flat blocks": (
        {
            "chat_history.0.role": "user",
            "chat_history.0.content.0.type": "text",
            "chat_history.0.content.0.text": "Wea",
            "chat_history.0.content.1.type": "text",
            "chat_history.0.content.1.text": "ther?",
        },
        [ASK],
    ),
    "flat blocks of a result": (
        history(ASK, CALLS, {"role": "tool", "tool_call_id": "c1", "content.0.type": "text", "content.0.text": "22"}),
        WHOLE,
    ),
    "a result that is an object with numbers for keys": (
        history(ASK, CALLS, {**RESULT, "content": {"0": {"type": "text", "text": "22"}}}),
        [ASK, CALLS, {**RESULT, "content": '{"0":{"type":"text","text":"22"}}'}],
    ),
    "an empty history and a question": ({"chat_history": [], "question": "Weather?"}, [ASK]),
    "a question": ({"question": "Weather?"}, [ASK]),
    "a query": ({"query": "Weather?", "context": ""}, [ASK]),
    "a prompt": ({"prompt": "Weather?"}, [ASK]),
    "an input": ({"input": "Weather?"}, [ASK]),
    "a text": ("Weather?", [ASK]),
    "a question and its context": ({"question": "Weather?", "context": "Rome"}, Reason.UNKNOWN_SHAPE),
    "two questions": ({"question": "Weather?", "query": "weather"}, Reason.UNKNOWN_SHAPE),
    "another text": ({"city": "Rome"}, Reason.UNKNOWN_SHAPE),
    "a number": ({"question": 5}, Reason.UNKNOWN_SHAPE),
    "roles in other case": (history({"role": "USER", "content": "Weather?"}), [ASK]),
    "roles of other libraries": (
        history({"role": "human", "content": "Hi"}, {"role": "model", "content": "Hello"}, ASK),
        [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}, ASK],
    ),
    "a name": (
        history({"role": "user", "content": "Hi", "name": "ann"}),
        [{"role": "user", "content": "Hi", "name": "ann"}],
    ),
    "a developer": (
        history({"role": "developer", "content": "Be brief"}, ASK),
        [{"role": "developer", "content": "Be brief"}, ASK],
    ),
    "only the system": (history({"role": "system", "content": "Tell"}), [{"role": "system", "content": "Tell"}]),
    "a system apart": ({"system": "Be brief", **history(ASK)}, [{"role": "system", "content": "Be brief"}, ASK]),
    "a system apart, in blocks": (
        {"system": [{"type": "text", "text": "Be brief"}], **history(ASK)},
        [{"role": "system", "content": "Be brief"}, ASK],
    ),
    "two systems": ({"system": "a", **history({"role": "System", "content": "b"}, ASK)}, Reason.UNKNOWN_ORDER),
    "blocks": (history({"role": "user", "content": [{"type": "text", "text": "Wea"}, {"text": "ther?"}]}), [ASK]),
    "Gemini's parts": (history({"role": "user", "parts": [{"text": "Weather?"}]}), [ASK]),
    "texts in a list": (history({"role": "user", "content": ["Weather?"]}), [ASK]),
    "thoughts are left out": (
        history(ASK, {"role": "assistant", "content": [{"type": "thinking", "thinking": "?"}, {"text": "Yes"}]}, ASK),
        [ASK, {"role": "assistant", "content": "Yes"}, ASK],
    ),
    "an empty text": (history({"role": "system", "content": ""}, ASK), [{"role": "system", "content": ""}, ASK]),
    "odd characters": (
        history({"role": "user", "content": "a\u2028b\0c\ufffd😀"}),
        [{"role": "user", "content": "a\u2028b\0c\ufffd😀"}],
    ),
    "JSON typed by a user": (
        history({"role": "user", "content": '[{"text": "x"}]'}),
        [{"role": "user", "content": '[{"text": "x"}]'}],
    ),
    "no content": (history({"role": "user"}), Reason.EMPTY_MESSAGE),
    "no blocks": (history({"role": "user", "content": []}), Reason.EMPTY_MESSAGE),
    "an image": (history({"role": "user", "content": [{"type": "image_url", "image_url": {}}]}), Reason.NOT_TEXT),
    "Bedrock's document": (history({"role": "user", "content": [{"document": {}}]}), Reason.NOT_TEXT),
    "an unknown block": (history({"role": "user", "content": [{"type": "poem"}]}), Reason.UNKNOWN_SHAPE),
    "a block with more than its text": (
        history({"role": "user", "content": [{"text": "a", "id": 1}]}),
        Reason.UNKNOWN_SHAPE,
    ),
    "a number for a text": (history({"role": "user", "content": 5}), Reason.UNKNOWN_SHAPE),
    "an unknown role": (history({"role": "critic", "content": "Hm"}), Reason.UNKNOWN_ROLE),
    "no role": (history({"content": "Hm"}), Reason.UNKNOWN_ROLE),
    "no message": (history("Weather?"), Reason.UNKNOWN_SHAPE),
    "a history that is prose": ({"chat_history": "user: Weather?"}, Reason.UNKNOWN_SHAPE),
    "an answer at the end": (history(ASK, ANSWER), Reason.ENDS_WITH_ANSWER),
    "nothing": ({}, Reason.NO_INPUT),
    "nothing at all": (None, Reason.NO_INPUT),
    "empty members": ({"question": "", "chat_history": []}, Reason.NO_INPUT),
    "a redacted content": (history({"role": "user", "content": f"hh_redacted:{'0' * 32}"}), Reason.CONTENT_LEFT_OUT),
    "a redacted history": ({"chat_history": f"hh_redacted:{'a' * 32}"}, Reason.CONTENT_LEFT_OUT),
    "all redacted": (f"hh_redacted:{'a' * 32}", Reason.CONTENT_LEFT_OUT),
    "a call without result": (history(ASK, CALLS, ASK), Reason.BROKEN_TOOL_CALL),
    "a call without result at the end": (history(ASK, CALLS), Reason.BROKEN_TOOL_CALL),
    "a result that comes late": (history(ASK, CALLS, ASK, RESULT), Reason.BROKEN_TOOL_CALL),
    "a result without call": (history(ASK, RESULT), Reason.BROKEN_TOOL_CALL),
    "a result twice": (history(*WHOLE, RESULT), Reason.BROKEN_TOOL_CALL),
    "a result of another call": (history(ASK, CALLS, {**RESULT, "tool_call_id": "c2"}), Reason.BROKEN_TOOL_CALL),
    "a result without id": (history(ASK, CALLS, {"role": "tool", "content": "22"}), WHOLE),
    "a result that is an object": (
        history(ASK, CALLS, {**RESULT, "content": {"degrees": 22.50, "n": 12345678901234567890123}}),
        [ASK, CALLS, {**RESULT, "content": '{"degrees":22.5,"n":12345678901234567890123}'}],
    ),
    "a call without name": (history(ASK, {"role": "assistant", "tool_calls": [{"id": "c1"}]}), Reason.BROKEN_TOOL_CALL),
    "arguments in a list": (
        history(ASK, {"role": "assistant", "tool_calls": [{"id": "c", "name": "f", "arguments": [1]}]}),
        Reason.BROKEN_TOOL_CALL,
    ),
    "two results without id": (
        history(
            ASK,
            {"role": "assistant", "tool_calls": [{"name": "a"}, {"name": "b"}]},
            {"role": "tool", "content": "1"},
            {"role": "tool", "content": "2"},
        ),
        Reason.BROKEN_TOOL_CALL,
    ),
    "two results with names": (
        history(
            ASK,
            {"role": "assistant", "tool_calls": [{"name": "a"}, {"name": "b", "arguments": {"x": 1}}]},
            {"role": "tool", "name": "b", "content": "2"},
            {"role": "tool", "name": "a", "content": "1"},
        ),
        [
            ASK,
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "call_1", "type": "function", "function": {"name": "a", "arguments": "{}"}},
                    {"id": "call_2", "type": "function", "function": {"name": "b", "arguments": '{"x":1}'}},
                ],
            },
            {"role": "tool", "content": "2", "tool_call_id": "call_2"},
            {"role": "tool", "content": "1", "tool_call_id": "call_1"},
        ],
    ),
    "the older API's function": (
        history(
            ASK,
            {
                "role": "assistant",
                "content": None,
                "function_call": {"name": "weather", "arguments": '{"city":"Rome"}'},
            },
            {"role": "function", "name": "weather", "content": "22"},
        ),
        [
            ASK,
            {"role": "assistant", "content": None, "tool_calls": [{**CALL, "id": "call_1"}]},
            {**RESULT, "tool_call_id": "call_1"},
        ],
    ),
    "a flat call": (
        history(
            ASK,
            {
                "role": "assistant",
                "tool_calls.0.id": "c1",
                "tool_calls.0.function.name": "weather",
                "tool_calls.0.function.arguments.city": "Rome",
            },
            RESULT,
        ),
        WHOLE,
    ),
    "Anthropic's blocks": (
        history(
            ASK,
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Rome"}}],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "22"}]},
                    {"type": "text", "text": "Weather?"},
                ],
            },
        ),
        [*WHOLE, ASK],
    ),
    "Bedrock's blocks": (
        history(
            ASK,
            {
                "role": "assistant",
                "content": [{"toolUse": {"toolUseId": "c1", "name": "weather", "input": {"city": "Rome"}}}],
            },
            {"role": "user", "content": [{"toolResult": {"toolUseId": "c1", "content": [{"json": 22}]}}]},
        ),
        WHOLE,
    ),
    "a call twice, as a block too": (
        history(
            ASK,
            {**CALLS, "content": [{"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Rome"}}]},
            RESULT,
        ),
        WHOLE,
    ),
    "an image as a result": (
        history(ASK, CALLS, {**RESULT, "content": [{"type": "image"}]}),
        Reason.NOT_TEXT,
    ),
}


@pytest.mark.parametrize("name", INPUTS)
def test_what_went_in(name):
    inputs, expected = INPUTS[name]
    assert said_in(inputs) == expected


#: outputs -> the answer, or why there is none.
OUTPUTS = {
    "a message": (ANSWER, ANSWER),
    "a content": ({"content": "Sunny."}, ANSWER),
    "blocks": ({"content": [{"type": "text", "text": "Sun"}, {"text": "ny."}]}, ANSWER),
    "OpenAI's": ({"choices": [{"message": ANSWER, "finish_reason": "stop"}, {"message": ASK}]}, ANSWER),
    "OpenAI's, flat": ({"choices.0.message.role": "assistant", "choices.0.message.content": "Sunny."}, ANSWER),
    "OpenAI's older API": ({"choices": [{"text": "Sunny."}]}, ANSWER),
    "an answer": ({"answer": "Sunny."}, ANSWER),
    "a result": ({"result": "Sunny."}, ANSWER),
    "a text": ("Sunny.", ANSWER),
    "calls": (CALLS, CALLS),
    "calls with empty content": ({**CALLS, "content": ""}, {**CALLS, "content": None}),
    "flat calls": (
        {
            "tool_calls.0.id": "c1",
            "tool_calls.0.type": "function",
            "tool_calls.0.function.name": "weather",
            "tool_calls.0.function.arguments": '{"city":"Rome"}',
        },
        CALLS,
    ),
    "arguments that are no JSON stay": (
        {"tool_calls": [{"id": "c", "name": "f", "arguments": '{"cut'}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"cut'}}],
        },
    ),
    "a user's": (ASK, Reason.UNKNOWN_ROLE),
    "a number": ({"result": 100}, Reason.UNKNOWN_SHAPE),
    "chunks": ({"chunks": [{"text": "Sunny."}]}, Reason.UNKNOWN_SHAPE),
    "an answer and more": ({"answer": "Sunny.", "sources": ["a"]}, Reason.UNKNOWN_SHAPE),
    "no content": ({"role": "assistant", "content": None}, Reason.NO_OUTPUT),
    "an empty text": ({"role": "assistant", "content": ""}, Reason.NO_OUTPUT),
    "nothing": ({}, Reason.NO_OUTPUT),
    "nothing at all": (None, Reason.NO_OUTPUT),
    "an image": ({"content": [{"type": "image"}]}, Reason.NOT_TEXT),
    "redacted": ({"content": f"hh_redacted:{'0' * 32}"}, Reason.CONTENT_LEFT_OUT),
    "a broken call": ({"tool_calls": ["weather"]}, Reason.BROKEN_TOOL_CALL),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_what_came_out(name):
    outputs, expected = OUTPUTS[name]
    assert answer_in(outputs) == expected


#: metadata -> the conversation's messages, or why there are none.
METADATA = {
    "messages with parts": (
        {
            "gen_ai.system_instructions": [{"type": "text", "content": "Be brief"}],
            "gen_ai.input.messages": json.dumps(
                [
                    {"role": "user", "parts": [{"type": "text", "content": "Weather?"}]},
                    {
                        "role": "assistant",
                        "parts": [{"type": "tool_call", "id": "c1", "name": "weather", "arguments": {"city": "Rome"}}],
                    },
                    {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "22"}]},
                ]
            ),
            "gen_ai": {
                "output": {"messages": [{"role": "assistant", "parts": [{"type": "text", "content": "Sunny."}]}]}
            },
        },
        [{"role": "system", "content": "Be brief"}, *WHOLE, ANSWER],
    ),
    "the older names, flat": (
        {
            "gen_ai.prompt.0.role": "user",
            "gen_ai.prompt.0.content": "Weather?",
            "gen_ai.prompt.1.role": "assistant",
            "gen_ai.prompt.1.tool_calls.0.id": "c1",
            "gen_ai.prompt.1.tool_calls.0.name": "weather",
            "gen_ai.prompt.1.tool_calls.0.arguments": '{"city":"Rome"}',
            "gen_ai.prompt.2.role": "tool",
            "gen_ai.prompt.2.tool_call_id": "c1",
            "gen_ai.prompt.2.content": "22",
            "gen_ai.completion.0.content": "Sunny.",
        },
        [*WHOLE, ANSWER],
    ),
    "the older names, nested": (
        {"gen_ai": {"prompt": [ASK], "completion": {"0": ANSWER}}},
        [ASK, ANSWER],
    ),
    "JSON that was said": (
        {"gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": '{"a": 1}', "gen_ai.completion.0.content": "[1]"},
        [{"role": "user", "content": '{"a": 1}'}, {"role": "assistant", "content": "[1]"}],
    ),
    "events, flat": (
        {
            "_event.gen_ai.user.message.0.content": '[{"role": "user", "content": [{"text": "Weather?"}]}]',
            "_event.gen_ai.choice.0.message": '[{"text": "Sunny."}]',
        },
        [ASK, ANSWER],
    ),
    "events, nested": (
        {
            "_event": {
                "gen_ai": {
                    "system": {"message": [{"content": "Tell"}]},
                    "user": {"message": [{"content": "Weather?"}]},
                    "choice": [{"message": ANSWER}],
                }
            }
        },
        [{"role": "system", "content": "Tell"}, ASK, ANSWER],
    ),
    "events of several roles": (
        {
            "_event.gen_ai.user.message.0.content": "Weather?",
            "_event.gen_ai.assistant.message.0.content": "Where?",
            "_event.gen_ai.user.message.1.content": "Rome",
            "_event.gen_ai.choice.0.message": "Sunny.",
        },
        Reason.UNKNOWN_ORDER,
    ),
    "an attribute that was cut": (
        {"_event.gen_ai.user.message.0.content": '[{"role": "user", "conte', "gen_ai.completion.0.content": "x"},
        Reason.UNKNOWN_SHAPE,
    ),
    "a gap": ({"gen_ai.prompt.0.role": "user", "gen_ai.prompt.2.role": "user"}, Reason.NO_INPUT),
}


@pytest.mark.parametrize("name", METADATA)
def test_what_opentelemetry_kept(name):
    metadata, expected = METADATA[name]
    found = read({}, {}, metadata=metadata)
    assert (found.messages if isinstance(found, Conversation) else found.reason) == expected


def test_messages_of_inputs_count_more_than_those_of_metadata_and_these_more_than_a_question():
    metadata = {"gen_ai.prompt": [{"role": "user", "content": "M"}], "gen_ai.completion": [{"content": "N"}]}
    assert read({"messages": [ASK]}, ANSWER, metadata=metadata) == Conversation([ASK, ANSWER], None)
    found = read({"question": "Q"}, {"answer": "A"}, metadata=metadata)
    assert isinstance(found, Conversation)
    assert [message["content"] for message in found.messages] == ["M", "N"]


def test_a_question_that_fills_a_template_is_not_what_the_model_was_told():
    config = {"template": [{"role": "user", "content": "Answer: {{question}}"}]}
    assert read({"question": "Weather?"}, ANSWER, config=config) == Unreadable(Reason.UNKNOWN_SHAPE)


SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOL = {"type": "function", "function": {"name": "weather", "description": "Tells it", "parameters": SCHEMA}}

TOOLS = {
    "OpenAI's in inputs": ({"inputs": {"tools": [TOOL]}}, [TOOL]),
    "OpenAI's in config": ({"config": {"tools": [TOOL]}}, [TOOL]),
    "as JSON text": ({"config": {"tools": json.dumps([TOOL])}}, [TOOL]),
    "the older API's": ({"config": {"functions": [TOOL["function"]]}}, [TOOL]),
    "Anthropic's": (
        {"inputs": {"tools": [{"name": "weather", "description": "Tells it", "input_schema": SCHEMA}]}},
        [TOOL],
    ),
    "OpenTelemetry's": (
        {"metadata": {"gen_ai.tool.definitions": json.dumps([{"type": "function", **TOOL["function"]}])}},
        [TOOL],
    ),
    "flat": (
        {
            "metadata": {
                "llm.request.functions.0.name": "weather",
                "llm.request.functions.0.description": "Tells it",
                "llm.request.functions.0.parameters": json.dumps(SCHEMA),
            }
        },
        [TOOL],
    ),
    "flat all the way": (
        {
            "config": {
                "tools.0.type": "function",
                "tools.0.function.name": "weather",
                "tools.0.function.description": "Tells it",
                "tools.0.function.parameters.type": "object",
                "tools.0.function.parameters.required.0": "city",
                "tools.0.function.parameters.required.1": "day",
            }
        },
        [
            {
                "type": "function",
                "function": {
                    "name": "weather",
                    "description": "Tells it",
                    "parameters": {"type": "object", "required": ["city", "day"]},
                },
            }
        ],
    ),
    "none": ({"config": {"tools": []}}, None),
    "names": ({"config": {"tools": ["weather"]}}, Reason.UNKNOWN_TOOL),
    "a number": ({"config": {"tools": 3}}, Reason.UNKNOWN_TOOL),
    "no function": ({"config": {"tools": [{"type": "web_search"}]}}, Reason.UNKNOWN_TOOL),
    "redacted": ({"config": {"tools": f"hh_redacted:{'0' * 32}"}}, Reason.CONTENT_LEFT_OUT),
    "a config that is redacted": ({"config": f"hh_redacted:{'0' * 32}"}, Reason.CONTENT_LEFT_OUT),
}


@pytest.mark.parametrize("name", TOOLS)
def test_tools(name):
    fields, expected = TOOLS[name]
    inputs = {"messages": [ASK], **fields.get("inputs", {})}
    more = {key: value for key, value in fields.items() if key != "inputs"}
    found = read(inputs, ANSWER, **more)
    assert (found.tools if isinstance(found, Conversation) else found.reason) == expected


def test_an_event_with_an_error_has_failed_whatever_it_says():
    assert read({"messages": [ASK]}, ANSWER, failed=True) == Unreadable(Reason.FAILED)


@pytest.mark.parametrize("text", ["{", '{"a": "\\ud83d"}', '{"a":' * 100_000, "9" * 5_000, "1e-99999999999999999999"])
def test_what_is_no_json_or_nested_too_deeply_has_no_known_shape(text):
    assert read_conversation(text, None) == Unreadable(Reason.UNKNOWN_SHAPE)
    assert read_conversation('{"question": "Q"}', text) == Unreadable(Reason.UNKNOWN_SHAPE)
    for metadata in (f'{{"gen_ai": {text}', f'{{"llm": 1e-99999999999999999999, "a": {text}'):
        found = read_conversation('{"question": "Q"}', '{"answer": "A"}', metadata=metadata)
        assert found == Unreadable(Reason.UNKNOWN_SHAPE)


def test_results_in_results_end_somewhere():
    content = '[{"type":"tool_result","content":' * 400 + '"a"' + "}]" * 400
    inputs = f'{{"messages":[{{"role":"user","content":{content}}}]}}'
    found = read_conversation(inputs, json.dumps(ANSWER))
    assert isinstance(found, Unreadable)


def test_texts_of_five_megabytes_stay_whole():
    text = "Wörter " * 700_000
    assert said_in(history({"role": "user", "content": text})) == [{"role": "user", "content": text}]


NAMES = (
    "role",
    "content",
    "tool_calls",
    "tool_calls.0.function.name",
    "id",
    "name",
    "function",
    "arguments",
    "parts",
    "type",
    "text",
    "input",
    "toolUse",
    "tool_use_id",
    "tool_call_id",
    "0",
    "1",
    "message",
)
WORDS = (
    "user",
    "assistant",
    "tool",
    "system",
    "text",
    "tool_use",
    "tool_result",
    "image",
    "[{",
    '[{"role": "user"}]',
    "",
)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(WORDS),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=3), inner, max_size=5)
    ),
    max_leaves=20,
)
PLACES = (
    "chat_history",
    "messages",
    "question",
    "system",
    "tools",
    "choices",
    "content",
    "answer",
    "gen_ai.prompt",
    "_event.gen_ai.user.message",
    "_event",
    "gen_ai.completion",
    "_event.gen_ai.choice",
    "gen_ai.tool.definitions",
)
fields = st.none() | values | st.dictionaries(st.sampled_from(PLACES), values, max_size=4)


@given(fields, fields, fields, fields)
@thoroughly(400)
def test_whatever_comes_is_a_chat_or_has_a_reason(inputs, outputs, config, metadata):
    found = read(inputs, outputs, config=config, metadata=metadata)
    if isinstance(found, Unreadable):
        assert found.reason in Reason
        return
    assert_is_chat(found)


def assert_is_chat(found: Conversation) -> None:
    """What OpenAI's API asks of messages."""
    waiting: set[str] = set()
    for message in found.messages:
        assert message["role"] in ("system", "developer", "user", "assistant", "tool")
        assert isinstance(message["content"], str) or message.get("tool_calls")
        if message["role"] == "tool":
            waiting.remove(message["tool_call_id"])
        else:
            assert not waiting
        for call in message.get("tool_calls", ()):
            assert call["type"] == "function"
            assert isinstance(call["function"]["arguments"], str)
            waiting.add(call["id"])
    assert found.messages[-1]["role"] == "assistant"
    assert found.messages[-1]["content"] or waiting


def test_usual_messages_are_read_as_all_others():
    for role in ("system", "developer", "user", "assistant"):
        for content in ("", "a", "\u2028"):
            for first in (history(ASK), history(ASK, CALLS)):
                usual, other = (
                    said_in({"messages": [*first["messages"], {"role": role, "content": content, **more}, ASK]})
                    for more in ({}, {"name": None})
                )
                assert usual == other


turns = st.one_of(
    st.just([ASK]),
    st.just([ANSWER]),
    st.just([CALLS, RESULT]),
    st.just([{"role": "user", "content": [{"type": "text", "text": "a"}]}]),
    st.just([RESULT]),
    st.just([{"role": "assistant", "content": "b", "tool_calls": [{"name": "f"}]}, {"role": "tool", "content": {}}]),
)


@given(st.lists(turns, min_size=1, max_size=6), st.sampled_from([ANSWER, CALLS]))
@thoroughly(100)
def test_turns_in_any_order_are_a_chat_or_have_a_reason(turns, outputs):
    found = read({"messages": functools.reduce(operator.iadd, turns, [])}, outputs)
    if isinstance(found, Conversation):
        assert_is_chat(found)
        assert [RESULT] not in turns or any(CALLS in turn for turn in turns)
    else:
        assert found.reason in (Reason.ENDS_WITH_ANSWER, Reason.BROKEN_TOOL_CALL)


def test_odd_events_are_a_chat_or_have_a_reason():
    for raw in ODD_EVENTS.values():
        text = raw.decode(errors="replace")
        assert isinstance(read_conversation(text, text, config=text, metadata=text), Conversation | Unreadable)
