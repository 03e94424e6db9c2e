"""Where an event has what went into a model and what came out of it: names of members, as data."""

from __future__ import annotations

from typing import Any

from airflow_provider_honeyhive.conversations.json_texts import elements, member

#: Members of ``inputs`` that hold all messages.
HISTORIES = ("chat_history", "messages")

#: Members of ``inputs`` that hold what the user says, where there are no messages.
QUESTIONS = ("question", "query", "prompt", "input")

#: Members of ``outputs`` that hold the answer's text, where there is no message.
ANSWERS = ("answer", "result")

#: Members of ``metadata`` that hold messages: OpenTelemetry's conventions, and those of libraries before them.
PROMPTS = ("gen_ai.input.messages", "gen_ai.prompt")
COMPLETIONS = ("gen_ai.output.messages", "gen_ai.completion")

#: What the system says, where it is kept apart from :data:`PROMPTS`.
INSTRUCTIONS = "gen_ai.system_instructions"

#: OpenTelemetry's events of a span, which HoneyHive keeps in ``metadata``: a list of what one role said.
SPOKEN = "_event.gen_ai.{}.message"

#: The same for the answer.
CHOICES = "_event.gen_ai.choice"


def history_in(inputs: Any) -> Any:
    """Return the messages in ``inputs``, as they are there; None: there are none."""
    if isinstance(inputs, list):
        return inputs or None
    return next((found for name in HISTORIES if (found := member(inputs, name))), None)


def messages_in(metadata: Any, names: tuple[str, ...]) -> list[Any] | None:
    """Return the messages under one of these names in ``metadata``; None: there are none."""
    for name in names:
        if found := elements(member(metadata, name)):
            return found
    return None
