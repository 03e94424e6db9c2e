"""Events of every shape that servers send, with a text of its own at each place where a text can be.

The shapes are those of HoneyHive's own page of the API, and of recorded OpenTelemetry events.
"""

from __future__ import annotations

import io
import json
import re
import zlib
from itertools import count
from typing import TYPE_CHECKING, Any

import zstandard

from airflow_provider_honeyhive.models.content import EVENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_honeyhive.models.content import Place

SESSION = "caf77ace-3417-4da4-944d-f4a0688f3c23"

#: Of HoneyHive's page of the API.
PAGE_EVENT: dict[str, Any] = {
    "project_id": "New Project",
    "source": "playground",
    "session_id": SESSION,
    "event_id": "7f22137a-6911-4ed3-bc36-110f1dde6b66",
    "parent_id": SESSION,
    "event_type": "model",
    "event_name": "Model Completion",
    "config": {
        "model": "gpt-3.5-turbo",
        "version": "v0.1 - Fork",
        "provider": "openai",
        "hyperparameters": {"temperature": 0, "top_p": 1, "max_tokens": 1000, "stop": [], "n": 1},
        "template": [{"role": "system", "content": "Answer."}, {"role": "user", "content": "{{question}}"}],
        "type": "chat",
    },
    "children_ids": [],
    "inputs": {
        "context": "Hello world",
        "question": "What is in the context?",
        "chat_history": [{"role": "system", "content": "Answer."}, {"role": "user", "content": "What?"}],
    },
    "outputs": {"role": "assistant", "content": "Hello world"},
    "error": None,
    "start_time": "2024-04-01 22:38:19",
    "end_time": "2024-04-01 22:38:19",
    "duration": 824.8056,
    "metadata": {"cost": 0.00008, "completion_tokens": 23, "prompt_tokens": 35, "total_tokens": 58},
    "feedback": {},
    "metrics": {"Answer Faithfulness": 5, "Answer Faithfulness_explanation": "It is …", "Number of words": 18},
    "user_properties": {"user": "google-oauth2|111840237613341303366"},
}

#: As OpenTelemetry clients record them.
RECORDED_EVENTS: list[dict[str, Any]] = [
    {
        "event_id": SESSION,
        "session_id": SESSION,
        "parent_id": None,
        "children_ids": ["a1f3", "b2e4"],
        "event_type": "session",
        "event_name": "support chat",
        "session_name": "support chat",
        "source": "production",
        "start_time": 1760000000006,
        "end_time": 1760000000007,
        "inputs": {},
        "outputs": {},
        "metadata": {"session_name": "support chat", "trace_id": "4bf92f3577b34da6", "thread_id": "thread-7"},
        "user_properties": {"user_id": "u-17", "email": "ada@example.com", "plan": "free", "age": 36},
        "feedback": {"rating": 5, "comment": "Thanks!", "tags": ["kind", "quick"], "ground_truth": {"answer": "42"}},
        "evaluations": {"tone": {"score": 0.9, "passed": True, "explanation": "Friendly."}, "Politeness (v2)": 4},
    },
    {
        "event_id": "a1f3",
        "session_id": SESSION,
        "parent_id": SESSION,
        "event_type": "chain",
        "event_name": "invoke_agent",
        "start_time": 1760000000000,
        "end_time": 1760000004200,
        "duration": 4200,
        "metadata": {
            "input_tokens": 900,
            "output_tokens": 120,
            "model_name": "us.anthropic.claude-sonnet-4",
            "operation_name": "invoke_agent",
            "event_type": "chain",
            "trace_id": "4bf92f3577b34da6",
            "span_id": "00f067aa0ba902b7",
            "parent_span_id": "",
            "_event.gen_ai.user.message.0.content": '[{"text": "I am Ada"}]',
            "llm.input_messages.0.message.content": "I am Ada",
            "gen_ai.agent.name": "support",
            "gen_ai.prompt": [{"role": "user", "content": "I am Ada"}],
            "gen_ai": {"request": {"model": "m", "temperature": 0.2}, "completion": {"0": {"content": "Hello Ada"}}},
            "conversation": {"id": "c-9"},
        },
        "metrics": {
            "Assistant Answer Reporting Accurate": 5,
            "Assistant Answer Reporting Accurate_explanation": "The assistant stated that …",
            "strands.HelpfulnessEvaluator": 0.833,
            "time_to_first_token_ms": 835,
            "passed": False,
        },
    },
    {
        "event_id": "b2e4",
        "session_id": SESSION,
        "parent_id": "a1f3",
        "event_type": "tool",
        "event_name": "execute_tool lookup",
        "start_time": "2025-10-09T08:53:20.100Z",
        "end_time": "2025-10-09T08:53:21Z",
        "duration": 900.0,
        "inputs": {"tool_calls.0.arguments": '{"name": "Ada"}', "count": 3},
        "outputs": {"content": [{"type": "text", "text": "Hello"}, {"type": "image", "size": 9}], "result": "100.0"},
        "error": "ValueError: no patient of the name Ada Lovelace",
        "config": {"gen_ai.request.model": "m", "tools": [{"name": "lookup", "parameters": {"max": 3}}]},
        "metadata": {"messages": '[{"role": "user"}]', "user.id": "u-17", "gen_ai.tool.call.id": "call-1"},
        "new_text": "a field of tomorrow",
        "new_object": {"a": "b", "c": [1, "d", ["e", 2.50]]},
        "new_list": ["x", {"y": "z"}],
        "new_number": 12345678901234567890,
    },
]

SHAPES = [PAGE_EVENT, *RECORDED_EVENTS]

_MARK = re.compile(rb"said\d{5}")


class Speaker:
    """Puts texts into events that are found again.

    :param everywhere: also where the table keeps texts, but for ``project`` and what an event is asked for by.
    """

    def __init__(self, *, everywhere: bool) -> None:
        self._everywhere = everywhere
        self._numbers = count()
        #: What marks the texts of all events.
        self.said: set[bytes] = set()

    def text(self) -> str:
        """Return a text that was nowhere yet, and is no name."""
        return f'said{next(self._numbers):05d} by "Ada"\nto others'

    def event(self, shape: dict[str, Any], number: int, start_us: int) -> dict[str, Any]:
        """Return an event of a shape in which everything is said."""
        said: dict[str, Any] = self._spoken(shape, EVENT)
        start = start_us // 1000
        said |= {"project": "demo", "event_type": shape["event_type"] if number % 2 else said["event_type"]}
        if not self._everywhere:
            said |= {"event_id": f"{shape['event_id']}-{number}", "start_time": start, "end_time": start + 7}
        elif number % 7:
            said["start_time"] = start
        self.said |= heard(json.dumps(said).encode())
        return said

    def _spoken(self, value: Any, place: Place | None) -> Any:
        if isinstance(value, dict):
            members = {key: self._spoken(member, place and place.member(key)) for key, member in value.items()}
            return members | {self.text(): 7, self.text(): {"score": 1}, "note": self.text()}
        if isinstance(value, list):
            return [*(self._spoken(element, place and place.elements) for element in value), self.text()]
        if place is not None and place.treatment is not None and not self._everywhere:
            return value
        return self.text() if isinstance(value, str) or place is not None else value


def heard(data: bytes) -> set[bytes]:
    """Return what was said that stands in the bytes of a file, compressed or not, whole or not."""
    return set().union(*(_MARK.findall(plain) for plain in _plain(data)))


def _plain(data: bytes) -> Iterator[bytes]:
    yield data
    if data.startswith(b"\x1f\x8b"):
        rest = data
        while rest.startswith(b"\x1f\x8b"):  # behind it may be records of an index
            member = zlib.decompressobj(31)
            yield member.decompress(rest)
            rest = member.unused_data
    elif data.startswith(b"\x28\xb5\x2f\xfd"):
        try:
            yield zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True).read()
        except zstandard.ZstdError:
            return
    elif data.startswith(b"PAR1") and data.endswith(b"PAR1"):
        from pyarrow import parquet

        file = parquet.ParquetFile(io.BytesIO(data))
        yield repr(file.metadata.metadata).encode()
        yield repr(file.read().to_pylist()).encode()
