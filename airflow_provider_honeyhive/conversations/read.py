"""Reads an event as a conversation: exactly what was said, or the reason why that cannot be told."""

from __future__ import annotations

from typing import Any

from airflow_provider_honeyhive.conversations.blocks import opened_content, said
from airflow_provider_honeyhive.conversations.dialogue import Dialogue, role_of
from airflow_provider_honeyhive.conversations.json_texts import elements, json_value, member, opened, unflattened
from airflow_provider_honeyhive.conversations.places import (
    ANSWERS,
    CHOICES,
    COMPLETIONS,
    INSTRUCTIONS,
    PROMPTS,
    QUESTIONS,
    SPOKEN,
    history_in,
    messages_in,
)
from airflow_provider_honeyhive.conversations.plain import plain_conversation
from airflow_provider_honeyhive.conversations.reasons import Conversation, Reason, Unreadable, UnreadableError
from airflow_provider_honeyhive.conversations.tools import tools_in
from airflow_provider_honeyhive.events.keyed_hash import MARK

#: In the JSON texts of which something is read.
_MARKS_OF_CONFIG = ("template", "tools", "functions", MARK.decode())
_MARKS_OF_METADATA = ("gen_ai", "llm")
_MARKS_OF_TOOLS = ("tool", "function")

#: What came out is a message, where it has one of these.
_MESSAGE = ("content", "parts", "tool_calls", "function_call")


def read_conversation(
    inputs: str | None,
    outputs: str | None,
    *,
    config: str | None = None,
    metadata: str | None = None,
    failed: bool = False,
) -> Conversation | Unreadable:
    """Read what went into a model and what came out of it as messages of OpenAI's chat format.

    Nothing is guessed: what has none of the known shapes is unreadable. No input raises an error.

    :param inputs: JSON text of the event's ``inputs``; None: it has none. So are the other texts.
    :param outputs: JSON text of its ``outputs``.
    :param config: JSON text of its ``config``: may hold tools; with a ``template`` there, ``inputs`` are its values.
    :param metadata: JSON text of its ``metadata``: holds messages where OpenTelemetry's clients have put them.
    :param failed: whether the event has an error.
    """
    if failed:
        return Unreadable(Reason.FAILED)
    if (plain := plain_conversation(inputs, outputs, config, metadata)) is not None:
        return plain
    return _look_closely(inputs, outputs, config, metadata)


def _look_closely(
    inputs: str | None, outputs: str | None, config: str | None, metadata: str | None
) -> Conversation | Unreadable:
    try:
        fields = (
            _value(inputs),
            _value(outputs),
            _value(config, _MARKS_OF_CONFIG),
            _value(metadata, _MARKS_OF_METADATA),
        )
        may_have_tools = any(mark in text for text in (inputs, config, metadata) if text for mark in _MARKS_OF_TOOLS)
        return _read(*fields, may_have_tools=may_have_tools)
    except UnreadableError as error:
        return Unreadable(error.reason)
    except RecursionError:
        return Unreadable(Reason.UNKNOWN_SHAPE)


def _value(text: str | None, marks: tuple[str, ...] = ("",)) -> Any:
    """Return the value of a JSON text; None: it has none of the marks, so it has nothing that is looked for."""
    if not text or not any(mark in text for mark in marks):
        return None
    value = json_value(text)
    if value is None and text.strip() != "null":
        raise UnreadableError(Reason.UNKNOWN_SHAPE)
    return value


def _filled(value: dict[str, Any]) -> dict[str, Any]:
    """Return the members of an object that say anything."""
    return {name: each for name, each in value.items() if each not in (None, "", [], {})}


def _read(inputs: Any, outputs: Any, config: Any, metadata: Any, *, may_have_tools: bool) -> Conversation:
    if isinstance(config, str):
        said(config)
    dialogue = Dialogue()
    for message, role in _messages(inputs, config, metadata):
        dialogue.add(message, role)
    dialogue.end_of_input()
    before = len(dialogue.messages)
    try:
        dialogue.add(_answer(outputs, metadata), "assistant")
    except UnreadableError as error:
        raise UnreadableError(_OF_ANSWERS.get(error.reason, error.reason)) from None
    answer = dialogue.messages[-1]
    if len(dialogue.messages) != before + 1 or answer["role"] != "assistant":
        raise UnreadableError(Reason.UNKNOWN_ROLE)
    if not answer["content"] and "tool_calls" not in answer:
        raise UnreadableError(Reason.NO_OUTPUT)
    return Conversation(dialogue.messages, tools_in(inputs, config, metadata) if may_have_tools else None)


#: What a reason for messages is for the answer.
_OF_ANSWERS = {Reason.EMPTY_MESSAGE: Reason.NO_OUTPUT}


# --------------------------------------------------------------------------------------------- what went in


def _messages(inputs: Any, config: Any, metadata: Any) -> list[tuple[Any, str | None]]:
    """Return the messages that went in, each with the role that its place gives it."""
    if history := history_in(inputs):
        return _instructed(member(inputs, "system"), _list_of(history))
    if messages := messages_in(metadata, PROMPTS):
        return _instructed(opened(member(metadata, INSTRUCTIONS)), [_opened(message) for message in messages])
    return _spoken(metadata) or _only_text(inputs, config)


def _list_of(history: Any) -> list[Any]:
    messages = elements(said(history) if isinstance(history, str) else history)
    if messages is None:
        raise UnreadableError(Reason.UNKNOWN_SHAPE)
    return messages


def _instructed(instructions: Any, messages: list[Any]) -> list[tuple[Any, str | None]]:
    """Return messages after the system's, where some APIs keep that apart from them."""
    found: list[tuple[Any, str | None]] = [(message, None) for message in messages]
    if not instructions:
        return found
    if any(role_of(message) in ("system", "developer") for message in messages):
        raise UnreadableError(Reason.UNKNOWN_ORDER)
    return [({"content": instructions}, "system"), *found]


def _spoken(metadata: Any) -> list[tuple[Any, str | None]]:
    """Return what OpenTelemetry's events say: a list of each role, or whole messages in the text of one."""
    by_role = {
        role: elements(member(metadata, SPOKEN.format(role))) or [] for role in ("system", "user", "assistant", "tool")
    }
    if sum(1 for role, spoken in by_role.items() if spoken and role != "system") > 1:
        raise UnreadableError(Reason.UNKNOWN_ORDER)
    found: list[tuple[Any, str | None]] = []
    for role, spoken in by_role.items():
        for each in spoken:
            message = _opened(each)
            content = message.get("content") if isinstance(message, dict) else None
            if isinstance(content, list) and any(isinstance(inner, dict) and "role" in inner for inner in content):
                found += [(inner, None) for inner in content]
            else:
                found.append((message, role))
    return found


def _only_text(inputs: Any, config: Any) -> list[tuple[Any, str | None]]:
    """Return the only text of ``inputs`` as what the user said, where nothing shows that the model was told more."""
    if isinstance(inputs, dict):
        filled = _filled(inputs)
        names = [name for name in filled if name in QUESTIONS]
        text = filled[names[0]] if len(filled) == len(names) == 1 else filled
    else:
        text = inputs
    if not text:
        raise UnreadableError(Reason.NO_INPUT)
    if not isinstance(text, str) or member(config, "template"):
        raise UnreadableError(Reason.UNKNOWN_SHAPE)
    return [({"content": text}, "user")]


# -------------------------------------------------------------------------------------------- what came out


def _answer(outputs: Any, metadata: Any) -> Any:
    """Return the message that came out, or a text as one."""
    found = _filled(unflattened(outputs)) if isinstance(outputs, dict) else outputs
    if isinstance(found, dict):
        if choices := elements(found.get("choices")):
            return _first_choice(choices)
        if found.keys() & set(_MESSAGE):
            return found
    if messages := messages_in(metadata, COMPLETIONS):
        return _opened(messages[0])
    if choices := elements(member(metadata, CHOICES)):
        return _opened(_first_choice(choices))
    if not found or (isinstance(found, dict) and found.keys() == {"role"}):
        raise UnreadableError(Reason.NO_OUTPUT)
    if isinstance(found, dict) and len(found) == 1:
        found = next((found[name] for name in ANSWERS if name in found), found)
    if not isinstance(found, str):
        raise UnreadableError(Reason.UNKNOWN_SHAPE)
    return {"content": found}


def _first_choice(choices: list[Any]) -> Any:
    """Return the message of the first of several answers: OpenAI's, those of its older API, OpenTelemetry's."""
    choice = choices[0]
    if not isinstance(choice, dict):
        raise UnreadableError(Reason.UNKNOWN_SHAPE)
    choice = unflattened(choice)
    if (message := choice.get("message")) is not None:
        inner = opened(message)
        return inner if isinstance(inner, dict) and inner.keys() & set(_MESSAGE) else {"content": message}
    return {"content": choice["text"]} if isinstance(choice.get("text"), str) else choice


def _opened(message: Any) -> Any:
    """Return a message of ``metadata``, whose content may be a JSON text."""
    if not isinstance(message, dict):
        return message
    message = unflattened(message)
    return {**message, "content": opened_content(message.get("content"))}
