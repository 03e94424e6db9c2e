"""What was asked last and what was answered, as plain texts: whatever can be found, for people to read.

Unlike :mod:`~airflow_provider_honeyhive.conversations.read` they leave out what is no text, and need no whole
conversation. They are called for every event of an export.
"""

from __future__ import annotations

from typing import Any

from airflow_provider_honeyhive.conversations.blocks import opened_content
from airflow_provider_honeyhive.conversations.json_texts import elements, json_value, member, opened, unflattened
from airflow_provider_honeyhive.conversations.places import (
    ANSWERS,
    CHOICES,
    COMPLETIONS,
    PROMPTS,
    QUESTIONS,
    SPOKEN,
    history_in,
    messages_in,
)
from airflow_provider_honeyhive.conversations.reasons import UnreadableError

#: In the JSON text of any metadata that has messages.
_MARK = "gen_ai"

#: Objects in each other that are looked through for a text.
_MOST_LEVELS = 4


def question_of(inputs: str | None, metadata: str | None) -> str | None:
    """Return the last text of a user in what went in.

    That is, in this order: of the messages in ``inputs``; its ``question``, ``query``, ``prompt`` or ``input``; of the
    messages in ``metadata``.

    :param inputs: JSON text of the event's ``inputs``; None: it has none.
    :param metadata: JSON text of the event's ``metadata``; None: it has none.
    """
    value = json_value(inputs)
    found = _last_of_user(elements(history_in(value)))
    if found is None and isinstance(value, dict):
        found = next((text for name in QUESTIONS if (text := _text_of(value.get(name)))), None)
    if found is None and metadata and _MARK in metadata:
        found = _question_in(json_value(metadata))
    return found


def answer_of(outputs: str | None, metadata: str | None) -> str | None:
    """Return the text of what came out.

    That is, in this order: of ``outputs``, in its ``choices``, ``content``, ``parts``, ``answer`` or ``result``, or
    itself; of the messages in ``metadata``.

    :param outputs: JSON text of the event's ``outputs``; None: it has none.
    :param metadata: JSON text of the event's ``metadata``; None: it has none.
    """
    found = _answer_in(json_value(outputs))
    if found is None and metadata and _MARK in metadata:
        value = json_value(metadata)
        for messages in (messages_in(value, COMPLETIONS), elements(member(value, CHOICES))):
            found = found or next((text for each in _opened_messages(messages) if (text := _answer_in(each))), None)
    return found


def _last_of_user(messages: list[Any] | None) -> str | None:
    for message in reversed(messages or []):
        if isinstance(message, dict):
            flat = unflattened(message)
            role = flat.get("role")
            if isinstance(role, str) and role.lower() in ("user", "human") and (text := _said_in(flat)):
                return text
    return None


def _said_in(message: dict[str, Any]) -> str | None:
    return _text_of(message.get("content")) or _text_of(message.get("parts"))


def _question_in(metadata: Any) -> str | None:
    found = _last_of_user(_opened_messages(messages_in(metadata, PROMPTS)))
    spoken = [] if found else _opened_messages(elements(member(metadata, SPOKEN.format("user"))))
    for message in reversed(spoken):
        # Messages, or blocks of text, or a text.
        content = message.get("content") if isinstance(message, dict) else None
        found = found or _last_of_user(elements(content)) or _text_of(content)
    return found


def _opened_messages(messages: list[Any] | None) -> list[Any]:
    """Return messages of ``metadata``, whose content may be a JSON text."""
    return [_opened(unflattened(message)) if isinstance(message, dict) else message for message in messages or ()]


def _opened(message: dict[str, Any]) -> dict[str, Any]:
    found = {name: opened(each) if name in ("parts", "message") else each for name, each in message.items()}
    try:
        found["content"] = opened_content(found.get("content"))
    except UnreadableError:
        found["content"] = None
    return found


def _answer_in(value: Any, levels: int = _MOST_LEVELS) -> str | None:
    if isinstance(value, dict) and levels:
        flat = unflattened(value)
        choices = elements(flat.get("choices"))
        inside = (choices[0] if choices else None, flat.get("message"), *(flat.get(name) for name in ANSWERS))
        return _said_in(flat) or next((text for each in inside if (text := _answer_in(each, levels - 1))), None)
    return _text_of(value)


def _text_of(content: Any) -> str | None:
    """Return a text, or the texts of a list of blocks joined; None: there is none."""
    if isinstance(content, str):
        return content or None
    blocks = elements(content) if content else None
    if not blocks:
        return None
    return "".join(text for block in blocks if (text := _text_of_block(block))) or None


def _text_of_block(block: Any) -> str | None:
    """Return the text of a block: ``text`` of most libraries, ``content`` of OpenTelemetry's parts of type text."""
    if not isinstance(block, dict):
        return block if isinstance(block, str) else None
    text = block.get("text")
    if text is None and block.get("type") == "text":
        text = block.get("content")
    return text if isinstance(text, str) else None
