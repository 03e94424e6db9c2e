"""Sessions as OpenTelemetry clients send them: another shape of events than that of HoneyHive's own clients.

Source: answers of October 2026 that the vendor has recorded. Tokens are called ``input_tokens`` and ``output_tokens``,
messages lie in ``metadata`` under keys with dots and numbers, and an agent's span has the sums of the model calls below
it. The shape of an entry of ``evaluations``, which came in November 2026, is not known: the one here is assumed.
"""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


#: One session in so many is of such a client.
ONE_IN = 4

#: A session's row begins so many milliseconds after its first child, and ends a millisecond later.
ROOT_IS_LATE_MS = 6

MODEL_NAMES = ("anthropic.claude-sonnet-4", "gpt-4.1", "gemini-2.0-flash")

#: Scores of evaluators, by their names: what they may be.
SCORES: dict[str, tuple[float | bool, ...]] = {
    "Assistant Answer Reporting Accurate": (3, 4, 5, 5),
    "strands.HelpfulnessEvaluator": (0.333, 0.667, 0.833, 1.0),
    "Goal Reached": (True, True, False),
}


def is_sent_by_opentelemetry(session_id: str) -> bool:
    """Return whether a session is of such a client; its id decides."""
    return UUID(session_id).int % ONE_IN == 0


def rewrite(events: Sequence[dict[str, Any]], last_ms: int) -> None:
    """Give the events of one session the shape that OpenTelemetry clients send; ids and number stay.

    :param events: of one session, parents before children; changed in place.
    :param last_ms: no event begins later, in milliseconds since 1970.
    """
    _Rewriter(events).rewrite()
    root, children = events[0], events[1:2]
    for first in children:
        root["start_time"] = min(first["start_time"] + ROOT_IS_LATE_MS, last_ms)
        root["end_time"], root["duration"] = root["start_time"] + 1, 1


class _Rewriter:
    """Rewrites the events of one session, drawing on its own generator, so that other sessions stay as they are."""

    def __init__(self, events: Sequence[dict[str, Any]]) -> None:
        self._events = events
        self._rng = Random(events[0]["session_id"])
        self._trace_id = f"{self._rng.getrandbits(128):032x}"
        self._span_ids = {event["event_id"]: f"{self._rng.getrandbits(64):016x}" for event in events}
        self._is_nested = self._rng.random() < 0.5
        self._agent_type = self._rng.choice(("chain", "tool"))

    def rewrite(self) -> None:
        # Children first: an agent has the sums of what is below it.
        for event in reversed(self._events):
            more = getattr(self, f"_{event['event_type']}")(event)
            metadata = {
                "trace_id": self._trace_id,
                "span_id": self._span_ids[event["event_id"]],
                "parent_span_id": self._span_ids.get(event["parent_id"], ""),
                **more,
                "event_type": event["event_type"],
            }
            if "run_id" in event["metadata"]:
                metadata["run_id"] = event["metadata"]["run_id"]
            event["config"], event["metadata"] = {}, metadata

    def _session(self, event: dict[str, Any]) -> dict[str, Any]:
        event["metrics"], event["inputs"], event["outputs"] = {}, {}, {}
        return {"operation_name": "session"}

    def _chain(self, event: dict[str, Any]) -> dict[str, Any]:
        event["event_type"], event["event_name"] = self._agent_type, "invoke_agent"
        question = event["inputs"]["question"]
        event["inputs"] = {}
        if event["outputs"]:
            event["outputs"] = self._spoken(event["outputs"]["answer"])
        scores = {name: self._rng.choice(values) for name, values in SCORES.items()}
        explained = {f"{name}_explanation": f"The user asked: {question[:200]}" for name in list(scores)[:2]}
        event["metrics"] = {**scores, **explained}
        event["evaluations"] = {
            name.lower().replace(" ", "-"): {
                "score": score,
                "explanation": explained.get(f"{name}_explanation"),
                "timestamp": event["start_time"] + 60_000,
            }
            for name, score in scores.items()
        }
        calls = [child["metadata"] for child in self._below(event) if child["event_type"] == "model"]
        return {
            "operation_name": "invoke_agent",
            **{name: sum(call[name] for call in calls) for name in ("input_tokens", "output_tokens")},
            **self._messages("user", [question]),
        }

    def _below(self, event: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        return (child for child in self._events if child["parent_id"] == event["event_id"])

    def _tool(self, event: dict[str, Any]) -> dict[str, Any]:
        amount = self._rng.randrange(1, 1000)
        arguments = json.dumps({"query": event["inputs"]["query"]}, ensure_ascii=False)
        event["inputs"] = self._dotted("tool_calls", "arguments", [arguments])
        if event["outputs"]:
            event["outputs"] = {"result": self._rng.choice((amount, f"{amount}.0"))}
        event["metrics"] = {}
        return {"operation_name": "execute_tool", "gen_ai.tool.name": event["event_name"]}

    def _model(self, event: dict[str, Any]) -> dict[str, Any]:
        metadata, messages = event["metadata"], event["inputs"]["chat_history"]
        event["inputs"] = {}
        if event["outputs"]:
            event["outputs"] = self._spoken(event["outputs"]["content"])
        event["metrics"] = {"time_to_first_token_ms": self._rng.randrange(80, 2000)}
        return {
            "operation_name": "chat",
            "model_name": self._rng.choice(MODEL_NAMES),
            "input_tokens": metadata["prompt_tokens"],
            "output_tokens": metadata["completion_tokens"],
            **self._messages("system", [messages[0]["content"]]),
            **self._messages("user", [message["content"] for message in messages if message["role"] == "user"]),
        }

    def _spoken(self, text: str) -> dict[str, Any]:
        """Return an answer: a text, or a list of blocks."""
        content = self._rng.choice((text, [{"type": "text", "text": text}]))
        return {"role": "assistant", "content": content}

    def _messages(self, role: str, texts: Sequence[str]) -> dict[str, Any]:
        """Return messages, each as JSON text: as keys with dots and numbers, or the same nested."""
        contents = [json.dumps([{"text": text}], ensure_ascii=False) for text in texts]
        if self._is_nested:
            return {f"{role}_message": [{"content": content} for content in contents]}
        return {f"_event.gen_ai.{role}.message.{at}.content": content for at, content in enumerate(contents)}

    def _dotted(self, name: str, member: str, values: Sequence[str]) -> dict[str, Any]:
        if self._is_nested:
            return {name: [{member: value} for value in values]}
        return {f"{name}.{at}.{member}": value for at, value in enumerate(values)}
