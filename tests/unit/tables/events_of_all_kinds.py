"""Events as no client should send them, by what is odd: each a list of events of one session or none."""

from __future__ import annotations

from typing import Any

_AT = 1_773_100_000_000


def _event(event_id: str | None, parent_id: str | None = None, **more: Any) -> dict[str, Any]:
    return {"event_id": event_id, "parent_id": parent_id, "session_id": "s", "start_time": _AT, **more}


def _spent(event_id: str, parent_id: str | None, tokens: Any, **more: Any) -> dict[str, Any]:
    return _event(event_id, parent_id, event_type="model", metadata={"total_tokens": tokens, "cost": tokens}, **more)


CASES: dict[str, list[dict[str, Any]]] = {
    "an event that is its own parent": [_spent("a", "a", 5), _spent("b", "a", 7)],
    "a cycle of three, and events below it": [
        _spent("a", "c", 1),
        _spent("b", "a", 2),
        _spent("c", "b", 4),
        _spent("d", "c", 8),
        _spent("e", "d", 16),
    ],
    "an orphan, and events below it": [_spent("a", "gone", 1), _spent("b", "a", 2)],
    "a parent in another session": [
        _spent("a", None, 3),
        {**_spent("b", "a", 3), "session_id": "other"},
    ],
    "no ids": [_spent("", None, 1), _event(None, "", session_id=""), {"metadata": {"total_tokens": 2}}, {}],
    "parents before and after children": [_spent("c", "b", 1), _spent("a", None, 9), _spent("b", "a", 4)],
    "an agent with the sums of its calls": [
        _event("s", None, event_type="session", metadata={"total_tokens": 30, "cost": 3}),
        _event("a", "s", event_type="chain", event_name="invoke_agent", metadata={"input_tokens": 30}),
        _event("b", "a", event_type="model", metadata={"input_tokens": 10, "output_tokens": 5, "cost": 1}),
        _event("c", "a", event_type="model", metadata={"prompt_tokens": 10, "completion_tokens": 5, "cost": 2}),
    ],
    "an agent that is a tool": [
        _event("a", None, event_type="tool", event_name="invoke_agent", metadata={"input_tokens": 10}),
        _event("b", "a", event_type="chain"),
        _event("c", "b", event_type="model", metadata={"input_tokens": 10}),
    ],
    "two instrumentations of one call": [_spent("a", None, 7), _spent("b", "a", 7)],
    "a session's row with sums, and nothing below": [
        _event("s", None, event_type="session", metadata={"total_tokens": 30, "cost": 0.5}),
        _event("a", "s", event_type="model"),
    ],
    "zero below": [_spent("a", None, 7), _spent("b", "a", 0), _spent("c", "b", "0")],
    "cost above tokens": [
        _event("a", None, metadata={"cost": 1, "input_tokens": 1}),
        _event("b", "a", metadata={"input_tokens": 1}),
    ],
    "numbers as texts": [
        _event(
            "a",
            event_type="model",
            duration="12.5",
            metadata={"input_tokens": "12", "output_tokens": " 3.5 ", "cost": "1e-4", "trace_id": 7},
            config={"hyperparameters": {"temperature": "0.5", "top_p": True, "max_tokens": "many"}},
            metrics={"a": "5", "b": "-1e3", "c": "five", "time_to_first_token_ms": "12"},
        )
    ],
    "numbers that are none": [
        _event(
            "a",
            duration=-1,
            end_time=_AT + 1500,
            metadata={"input_tokens": -1, "prompt_tokens": "NaN", "output_tokens": 1e12, "completion_tokens": [1]},
            metrics={"a": "inf", "b": 10**400, "c": [10**30], "d": True, "e": None, "f": ""},
        ),
        _event("b", duration=True, end_time=_AT - 1, metadata={"total_tokens": 2.5, "cost": 1e10, "total_cost": "7"}),
    ],
    "OpenTelemetry's names, flat": [
        _event(
            "a",
            event_type="model",
            metadata={
                "gen_ai.usage.input_tokens": 5,
                "gen_ai.usage.output_tokens": "6",
                "gen_ai.operation.name": "chat",
                "gen_ai.request.model": "asked",
                "gen_ai.response.model": "got",
                "gen_ai.system": "openai",
                "gen_ai.request.temperature": 0.1,
                "gen_ai.response.finish_reasons": ["stop", "length"],
            },
        )
    ],
    "OpenTelemetry's names, nested": [
        _event(
            "a",
            event_type="model",
            metadata={
                "gen_ai": {
                    "usage": {"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 12},
                    "operation": {"name": "chat"},
                    "request": {"model": "asked", "max_tokens": 100},
                    "provider": {"name": "aws"},
                    "response": {"finish_reasons": '["stop"]'},
                }
            },
        ),
        _event("b", event_type="model", metadata={"gen_ai": {"usage": 5, "response": []}}, config={"gen_ai": 1}),
    ],
    "finish reasons": [
        _event("a", event_type="model", outputs={"finish_reason": "stop"}, metadata={"finish_reason": "other"}),
        _event("b", event_type="model", outputs={"choices": [{"finish_reason": "length"}, {}]}),
        _event("c", event_type="model", outputs={"choices": []}, metadata={"finish_reasons": ["tool_calls"]}),
        _event("d", event_type="model", outputs=[], metadata={"finish_reason": {"a": 1}}),
        _event("e", event_type="Model", outputs={"finish_reason": "stop"}),
    ],
    "errors of all kinds": [
        _event(str(number), error=error)
        for number, error in enumerate(
            ["", "null", "false", "{}", "[]", None, False, True, {}, [], {"message": "m"}, 0, "Error", ["a"]]
        )
    ],
    "users": [
        _event("s", user_properties={"user": "", "id": 7, "email": "a@b"}),
        _event("b", user_properties={"user_id": {"a": 1}, "email": "z@b"}),
        _event("c", user_properties=[1], metadata={"user_id": "m"}),
        {**_event("d", user_properties={"user": True}), "session_id": "other"},
    ],
    "scores of all forms": [
        _event(
            "s",
            metrics={
                'with . dots "quotes" and 😀': 1,
                "Tone": 4,
                "Tone_explanation": "calm",
                "Alone_explanation": "of nothing",
                "Null": None,
                "Null_explanation": "not scored",
                "nested": {"deep": {"deeper": {"deepest": {"last": {"too": {"deep": 1}}}}}, "a": [1, {"b": "ä"}]},
                "judged": {"score": 0.5, "explanation": "half", "timestamp": 1_773_100_000},
                "valued": {"value": True, "reason": "so", "timestamp": "2026-03-10T01:02:03.5Z"},
                "valued_explanation": "beside",
                "rated": {"rating": "good", "comment": 5, "created_at": _AT},
                "unscored": {"score": None, "explanation": "none"},
                "scored by an object": {"score": {"a": 1}},
                "list": {"score": ["a", "b"]},
                "empty": {},
                "word_count": 7,
                "Number of words": "8",
                "number of characters": True,
                "latency_ms": {"value": 9},
                "timing": {"total_ms": 10},
            },
            evaluations={"slug": {"score": 1, "timestamp": _AT}, "word_count": 5, "x_ms": 1},
            feedback={"rating": True, "comment": "fine", "explanation": "because", "other": {"score": 2}},
        ),
        _event("b", feedback={"comment": "no rating", "explanation": "none", "tags": ["a", "b"]}),
        _event("c", feedback={"rating": None, "comment": "no rating"}),
        _event("d", feedback={"rating": 3, "comment": "fine", "rating_explanation": ""}),
        _event("e", metrics=["a"], evaluations="text", feedback=5),
        _event("f", metrics='{"a": 1}', evaluations={}, feedback=None),
        _event(None, metrics={"a": 1}),
    ],
    "times": [
        {**_event("a"), "start_time": "0001-01-01T00:00:00Z", "end_time": "9999-12-31T23:59:59.999999Z"},
        {**_event("b"), "start_time": "soon", "end_time": _AT},
        {**_event("c"), "start_time": None, "end_time": None},
        {**_event("d", end_time=_AT - 5000), "session_id": "only"},
    ],
    "a root that is not the first, and others like it": [
        _event("c", "b", event_type="session", source="c", user_properties={"user": "u"}),
        _event("b", event_type="session", source="b"),
        _event("d", event_type="session", source="a"),
        {**_event("x", event_type="chain", inputs={"question": "first?"}), "start_time": _AT - 1},
    ],
    "questions where the root has none": [
        _event("s", event_type="session", outputs={"answer": ""}),
        _event("t", "s", event_type="tool", inputs={"question": "a tool?"}, outputs={"answer": "a tool"}),
        *(_event(str(n), "s", event_type="chain", inputs={"n": n}, outputs={"n": n}) for n in range(20)),
        _event("q", "s", event_type="chain", inputs={"question": "late?"}, outputs={"answer": "early"}),
        _event(
            "r", "s", event_type="chain", inputs={"question": "later?"}, outputs={"answer": "last"}, end_time=_AT + 9
        ),
        _event("u", "s", event_type="chain", outputs={"answer": "the last of those"}, end_time=_AT + 9),
    ],
}
