"""Sessions as OpenTelemetry clients send them: what other sessions say, under other names."""

from __future__ import annotations

import json
from random import Random
from typing import Any

#: Of the sessions so many are sent by such clients.
SHARE = 0.25

#: Most milliseconds that a session's row begins after its first child.
LATEST_MS = 12

AGENT = "invoke_agent"

SPENT = ("input_tokens", "output_tokens")

#: Names of evaluators, and the scores they give.
EVALUATORS: tuple[tuple[str, tuple[float | bool, ...]], ...] = (
    ("Assistant Answer Reporting Accurate", (1, 2, 3, 4, 5)),
    ("strands.HelpfulnessEvaluator", (0.167, 0.5, 0.833, 1.0)),
    ("Goal Reached", (True, False)),
)


def sent_by_opentelemetry(session_id: str) -> bool:
    """Whether such a client sends the session: its id decides, so that the rest of the traces stays as it is."""
    return Random(session_id).random() < SHARE


def rewrite(events: list[dict[str, Any]], last_ms: int) -> None:
    """Rewrite the events of a session as an OpenTelemetry client would have sent them.

    Ids, parents and the times of all events but the session's own row stay.

    :param events: of one session, parents before children.
    :param last_ms: no event begins later, in milliseconds since the epoch.
    """
    _Client(events, last_ms).rewrite()


class _Client:
    """The client of one session: it decides once for all of its events how it writes them."""

    def __init__(self, events: list[dict[str, Any]], last_ms: int) -> None:
        self._events = events
        self._rng = Random(f"{events[0]['session_id']} opentelemetry")
        self._last_ms = last_ms
        self._trace_id = f"{self._rng.getrandbits(128):032x}"
        self._spans = {event["event_id"]: f"{self._rng.getrandbits(64):016x}" for event in events}
        self._dotted = self._rng.random() < 0.5
        self._agent_type = self._rng.choice(("chain", "tool"))

    def rewrite(self) -> None:
        root = self._events[0]
        # Children first: an agent's event carries the sums of what is below it.
        for event in reversed(self._events):
            run_id = event["metadata"].get("run_id")
            getattr(self, f"_{event['event_type']}")(event)
            if run_id:
                event["metadata"]["run_id"] = run_id
        self._time_root(root)

    def _time_root(self, root: dict[str, Any]) -> None:
        if len(self._events) > 1:
            late = self._events[1]["start_time"] + self._rng.randint(1, LATEST_MS)
            root["start_time"] = min(late, self._last_ms)
            root["end_time"] = root["start_time"] + 1
            root["duration"] = 1

    def _metadata(self, event: dict[str, Any], operation: str) -> dict[str, Any]:
        parent = event["parent_id"]
        return {
            "operation_name": operation,
            "event_type": event["event_type"],
            "trace_id": self._trace_id,
            "span_id": self._spans[event["event_id"]],
            "parent_span_id": self._spans[parent] if parent else "",
        }

    def _said(self, role: str, text: str) -> dict[str, Any]:
        messages = json.dumps([{"role": role, "content": [{"text": text}]}], ensure_ascii=False)
        if self._dotted:
            return {f"_event.gen_ai.{role}.message.0.content": messages}
        return {"_event": {"gen_ai": {role: {"message": [{"content": messages}]}}}}

    def _session(self, event: dict[str, Any]) -> None:
        question = event["inputs"].get("question", "")
        event["metadata"] = {**self._metadata(event, "session"), **self._said("user", question)}
        event["metrics"], event["evaluations"] = self._scores(question, event["start_time"])

    def _chain(self, event: dict[str, Any]) -> None:
        below = [each for each in self._events if each["parent_id"] == event["event_id"]]
        spent = {name: sum(each["metadata"].get(name, 0) for each in below) for name in SPENT}
        event["event_name"], event["event_type"] = AGENT, self._agent_type
        question = event["inputs"]["question"]
        event["metadata"] = {**self._metadata(event, AGENT), **spent, **self._said("user", question)}
        event["metrics"], event["evaluations"] = self._scores(question, event["start_time"])
        self._answer(event, event["outputs"].get("answer"))

    def _tool(self, event: dict[str, Any]) -> None:
        event["metadata"] = self._metadata(event, "execute_tool")
        event["evaluations"] = {}
        if event["outputs"]:
            event["outputs"] = {"result": self._rng.choice((100, "100.0")), **event["outputs"]}

    def _model(self, event: dict[str, Any]) -> None:
        spent = event["metadata"]
        event["metadata"] = {
            **self._metadata(event, "chat"),
            "input_tokens": spent["prompt_tokens"],
            "output_tokens": spent["completion_tokens"],
            "model_name": event["config"]["model"],
            **self._said("user", event["inputs"]["question"]),
        }
        event["config"], event["inputs"] = {}, {"chat_history": event["inputs"]["chat_history"]}
        event["metrics"] = {"time_to_first_token_ms": self._rng.randrange(120, 2400)}
        event["evaluations"] = {}
        self._answer(event, event["outputs"].get("content"))

    def _answer(self, event: dict[str, Any], text: str | None) -> None:
        if text is not None:
            blocks = [{"type": "text", "text": text}]
            event["outputs"] = {"role": "assistant", "content": self._rng.choice((text, blocks))}

    def _scores(self, said: str, at_ms: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return metrics, and the latest score of each evaluator by its slug.

        How HoneyHive writes an entry of ``evaluations`` is not known; score, explanation and timestamp (milliseconds
        since the epoch) are assumed.
        """
        metrics: dict[str, Any] = {}
        evaluations: dict[str, Any] = {}
        for name, scores in EVALUATORS:
            score = self._rng.choice(scores)
            explanation = f"The assistant was asked: {said[:80]} It stated that this is settled."
            metrics[name], metrics[f"{name}_explanation"] = score, explanation
            slug = name.lower().replace(" ", "-").replace(".", "-")
            evaluations[slug] = {"score": score, "explanation": explanation, "timestamp": at_ms + 60_000}
        return metrics, evaluations
