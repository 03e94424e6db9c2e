"""Realistic traces of both kinds of clients, the same for the same seed, and the event of HoneyHive's documentation."""

from __future__ import annotations

import hashlib
import uuid
from itertools import islice
from random import Random
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive.sandbox.data.contents import Contents, Step
from airflow_provider_honeyhive.sandbox.data.opentelemetry import rewrite, sent_by_opentelemetry
from airflow_provider_honeyhive.sandbox.data.words import Calendar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime


TENANT = "sandbox"

#: The event on the documentation page of ``POST /events/export``.
SEED_EVENT: dict[str, Any] = {
    "project_id": "New Project",
    "source": "playground",
    "session_id": "caf77ace-3417-4da4-944d-f4a0688f3c23",
    "event_id": "7f22137a-6911-4ed3-bc36-110f1dde6b66",
    "parent_id": "caf77ace-3417-4da4-944d-f4a0688f3c23",
    "event_type": "model",
    "event_name": "Model Completion",
    "config": {
        "model": "gpt-3.5-turbo",
        "version": "v0.1 - Fork",
        "provider": "openai",
        "hyperparameters": {
            "temperature": 0,
            "top_p": 1,
            "max_tokens": 1000,
            "presence_penalty": 0,
            "frequency_penalty": 0,
            "stop": [],
            "n": 1,
        },
        "template": [
            {
                "role": "system",
                "content": "Answer the user's question only using provided context.\n\nContext: {{ context }}",
            },
            {"role": "user", "content": "{{question}}"},
        ],
        "type": "chat",
    },
    "children_ids": [],
    "inputs": {
        "context": "Hello world",
        "question": "What is in the context?",
        "chat_history": [
            {
                "role": "system",
                "content": "Answer the user's question only using provided context.\n\nContext: Hello world",
            },
            {"role": "user", "content": "What is in the context?"},
        ],
    },
    "outputs": {"role": "assistant", "content": "Hello world"},
    "error": None,
    "start_time": "2024-04-01 22:38:19",
    "end_time": "2024-04-01 22:38:19",
    "duration": 824.8056,
    "metadata": {"cost": 0.00008, "completion_tokens": 23, "prompt_tokens": 35, "total_tokens": 58},
    "feedback": {},
    "metrics": {
        "Answer Faithfulness": 5,
        "Answer Faithfulness_explanation": (
            "The AI assistant's answer is a concise and accurate description of Ramp's API. It provides a clear "
            "explanation of what the API does and how developers can use it to integrate Ramp's financial services "
            "into their own applications. The answer is faithful to the provided context."
        ),
        "Number of words": 18,
    },
    "user_properties": {"user": "google-oauth2|111840237613341303366"},
}

#: Share of sessions that begin in the same millisecond as the one before.
TIED_SESSIONS = 0.03

#: More than any session has, or lasts.
MOST_EVENTS_OF_SESSION = 1_000
LONGEST_SESSION_MS = 3_600_000


def project_id(project: str) -> str:
    """Return the opaque id of a project, as the 2026 API has it in every event."""
    return hashlib.sha256(project.encode()).hexdigest()[:24]


def generate_events(
    count: int, *, seed: int = 0, start: datetime, end: datetime, project: str = "demo"
) -> list[dict[str, Any]]:
    """Return exactly ``count`` events of realistic traces, sessions first, then what they did.

    About one session in four is as OpenTelemetry clients send it, with other names in ``metadata``, ``metrics`` and
    ``outputs``, and with ``evaluations``.

    :param seed: the same seed (and window, and project) gives the same events, ids included.
    :param start: no event starts before; without a zone: UTC.
    :param end: every event starts before.
    :param project: name of the project.
    :raises ValueError: if there is no whole millisecond in ``[start, end)``.
    """
    return list(iter_events(count, seed=seed, start=start, end=end, project=project))


def iter_events(
    count: int, *, seed: int = 0, start: datetime, end: datetime, project: str = "demo"
) -> Iterator[dict[str, Any]]:
    """Like :func:`generate_events`, one event after the other, for millions of them."""
    return islice(_sessions(count, Random(seed), Calendar(start, end), project), count)


def generate_session(*, seed: int, begin_ms: int, project: str = "demo") -> list[dict[str, Any]]:
    """Return the events of one whole session, the session's own first.

    :param seed: the same seed gives the same session, but for its times.
    :param begin_ms: when it begins, in milliseconds since the epoch.
    :param project: name of the project.
    """
    rng = Random(seed)
    contents = Contents(rng)
    shared = {"project": project, "project_id": project_id(project)}
    session = _Session(rng, contents, begin_ms + LONGEST_SESSION_MS, shared)
    return session.events(contents.plan(MOST_EVENTS_OF_SESSION), begin_ms)


def _sessions(count: int, rng: Random, calendar: Calendar, project: str) -> Iterator[dict[str, Any]]:
    contents = Contents(rng)
    opaque = project_id(project)
    begin = calendar.draw(rng)
    left = count
    while left > 0:
        if rng.random() >= TIED_SESSIONS:
            begin = calendar.draw(rng)
        session = _Session(rng, contents, calendar.last, {"project": project, "project_id": opaque})
        events = session.events(contents.plan(left), begin)
        left -= len(events)
        yield from events


class _Session:
    """One session on its way: a clock that runs, and events that nest."""

    def __init__(self, rng: Random, contents: Contents, last_ms: int, project: dict[str, str]) -> None:
        self._rng = rng
        self._contents = contents
        self._last_ms = last_ms
        self._shared = {**project, "tenant": TENANT, "source": contents.source()}
        self._id = self._uuid()
        self._user = contents.user()
        self._run_id = self._uuid() if self._shared["source"] == "evaluation" else None
        self._events: list[dict[str, Any]] = []
        self._clock = 0

    def _uuid(self) -> str:
        return str(uuid.UUID(int=self._rng.getrandbits(128), version=4))

    def events(self, root: Step, begin: int) -> list[dict[str, Any]]:
        """Return the session's events, parents before children."""
        self._clock = begin
        self._run(root, None)
        if sent_by_opentelemetry(self._id):
            rewrite(self._events, self._last_ms)
        return self._events

    def _run(self, step: Step, parent: dict[str, Any] | None) -> None:
        rng = self._rng
        start = min(self._clock, self._last_ms)
        event: dict[str, Any] = {
            **self._shared,
            "session_id": self._id,
            "event_id": self._id if parent is None else self._uuid(),
            "parent_id": parent["event_id"] if parent else None,
            "event_type": step.event_type,
            "event_name": step.name,
            "children_ids": [],
            "start_time": start,
            **self._contents.fill(step),
            "user_properties": self._user,
        }
        if self._run_id:
            event["metadata"]["run_id"] = self._run_id
        if parent:
            parent["children_ids"].append(event["event_id"])
        self._events.append(event)
        for child in step.children:
            # Many a child starts in its parent's millisecond.
            self._clock += rng.choice((0, 0, 1, 3, 12))
            self._run(child, event)
        self._clock += round(rng.lognormvariate(*step.pace))
        event["end_time"] = self._clock = max(self._clock, start)
        event["duration"] = round(self._clock - start + rng.random() / 2, 4)
