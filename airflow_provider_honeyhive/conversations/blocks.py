"""The content of a message as texts, calls of tools and their results: one table for the blocks of all libraries."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from airflow_provider_honeyhive.conversations.json_texts import json_text, opened, unflattened
from airflow_provider_honeyhive.conversations.reasons import Reason, UnreadableError
from airflow_provider_honeyhive.events.keyed_hash import MARK

if TYPE_CHECKING:
    from collections.abc import Callable

_REDACTED = re.compile(re.escape(MARK.decode()) + "[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The assistant calls a tool.

    :param call_id: None: the client gave none.
    :param name: of the tool.
    :param arguments: JSON text, as the model wrote it where the client kept that.
    """

    call_id: str | None
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool answered.

    :param call_id: of the call; None: the client gave none.
    :param name: of the tool; None: the client gave none.
    :param text: the answer.
    """

    call_id: str | None
    name: str | None
    text: str


#: A text, or one of the two above.
Part: TypeAlias = "str | ToolCall | ToolResult"


def said(text: str) -> str:
    """Return a text that somebody said.

    :raises UnreadableError: it is the hash that an export has in its place.
    """
    if _REDACTED.fullmatch(text):
        raise UnreadableError(Reason.CONTENT_LEFT_OUT)
    return text


def parts_of(content: Any) -> list[Part]:
    """Return the parts of a message's content: a text, a block, or a list of both. Thoughts are not said, so left out.

    :raises UnreadableError: it has another shape, or is no text.
    """
    if content is None:
        return []
    blocks = content if isinstance(content, list) else [content]
    return [part for block in blocks if (part := _part_of(block)) is not None]


def opened_content(content: Any) -> Any:
    """Return blocks or messages also where they come as a JSON text, as in OpenTelemetry's attributes.

    A text that is JSON of anything else is what somebody said.

    :raises UnreadableError: it is the beginning of such a JSON text: OpenTelemetry's clients cut long attributes.
    """
    inner = opened(content)
    if inner is content:
        if isinstance(content, str) and content.startswith('[{"'):
            raise UnreadableError(Reason.UNKNOWN_SHAPE)
        return content
    return inner if isinstance(inner, list) and inner and all(map(_is_block_or_message, inner)) else content


def _is_block_or_message(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    kind = value.get("type")
    return (
        "role" in value
        or (isinstance(kind, str) and kind in _BY_TYPE)
        or (len(value) == 1 and value.keys() <= _BY_MEMBER.keys())
    )


def text_of_result(value: Any) -> str:
    """Return what a tool answered as a text: of blocks their texts, of any other value its JSON text."""
    if value is None:
        raise UnreadableError(Reason.EMPTY_MESSAGE)
    try:
        parts = parts_of(value)
    except UnreadableError as error:
        if error.reason is not Reason.UNKNOWN_SHAPE:
            raise
    else:
        texts = [part for part in parts if isinstance(part, str)]
        if texts and len(texts) == len(parts):
            return "".join(texts)
    return json_text(value)


def tool_call(value: Any) -> ToolCall:
    """Return a call as OpenAI has it, flat or nested, or without its inner ``function``.

    :raises UnreadableError: it is none.
    """
    if not isinstance(value, dict):
        raise UnreadableError(Reason.BROKEN_TOOL_CALL)
    call = unflattened(value)
    function = opened(call.get("function", call))
    if not isinstance(function, dict):
        raise UnreadableError(Reason.BROKEN_TOOL_CALL)
    return _call(call.get("id"), function.get("name"), function.get("arguments"))


def _call(call_id: Any, name: Any, arguments: Any) -> ToolCall:
    if not isinstance(name, str) or not name:
        raise UnreadableError(Reason.BROKEN_TOOL_CALL)
    if isinstance(arguments, str):
        written = said(arguments)
    elif arguments is None or isinstance(arguments, dict):
        written = json_text(arguments or {})
    else:
        raise UnreadableError(Reason.BROKEN_TOOL_CALL)
    return ToolCall(_id_of(call_id), said(name), written)


def result_of(call_id: Any, name: Any, value: Any) -> ToolResult:
    """Return a result of a tool.

    :raises UnreadableError: it is none.
    """
    return ToolResult(_id_of(call_id), name if isinstance(name, str) and name else None, text_of_result(value))


def _id_of(value: Any) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise UnreadableError(Reason.BROKEN_TOOL_CALL)
    return value


def _part_of(block: Any) -> Part | None:
    if isinstance(block, str):
        return said(block)
    if not isinstance(block, dict):
        raise UnreadableError(Reason.UNKNOWN_SHAPE)
    reader: Callable[[Any], Part | None] | None
    kind, inner = block.get("type"), block
    if kind is None and len(block) == 1:
        # Bedrock's blocks, and Gemini's texts: the only member says what it is.
        ((kind, inner),) = block.items()
        reader = _BY_MEMBER.get(kind)
    else:
        reader = _BY_TYPE.get(kind) if isinstance(kind, str) else None
    return _unknown(block) if reader is None else reader(inner)


def _unknown(_: Any) -> NoReturn:
    raise UnreadableError(Reason.UNKNOWN_SHAPE)


def _not_text(_: Any) -> NoReturn:
    raise UnreadableError(Reason.NOT_TEXT)


def _not_said(_: Any) -> None:
    return None


def _text(value: Any) -> Part | None:
    return said(value) if isinstance(value, str) else _unknown(value)


def _text_block(block: dict[str, Any]) -> Part | None:
    # OpenTelemetry's parts have their text in another member than all others.
    return _text(block.get("text", block.get("content")))


def _bedrock_call(inner: Any) -> Part | None:
    if not isinstance(inner, dict):
        return _unknown(inner)
    return _call(inner.get("toolUseId"), inner.get("name"), inner.get("input"))


def _bedrock_result(inner: Any) -> Part | None:
    if not isinstance(inner, dict):
        return _unknown(inner)
    return result_of(inner.get("toolUseId"), None, inner.get("content"))


def _opentelemetry_result(block: dict[str, Any]) -> Part | None:
    return result_of(block.get("id"), None, block.get("response", block.get("result")))


_BY_TYPE: dict[str, Callable[[dict[str, Any]], Part | None]] = {
    "text": _text_block,
    "input_text": _text_block,
    "output_text": _text_block,
    "tool_use": lambda block: _call(block.get("id"), block.get("name"), block.get("input")),
    "tool_result": lambda block: result_of(block.get("tool_use_id"), None, block.get("content")),
    "tool_call": lambda block: _call(block.get("id"), block.get("name"), block.get("arguments")),
    "tool_call_response": _opentelemetry_result,
    **dict.fromkeys(("thinking", "redacted_thinking", "reasoning"), _not_said),
    **dict.fromkeys(("image", "image_url", "input_image", "audio", "input_audio", "video"), _not_text),
    **dict.fromkeys(("document", "file", "input_file", "blob", "uri"), _not_text),
}

_BY_MEMBER: dict[str, Callable[[Any], Part | None]] = {
    "text": _text,
    "json": json_text,
    "toolUse": _bedrock_call,
    "toolResult": _bedrock_result,
    **dict.fromkeys(("reasoningContent", "cachePoint"), _not_said),
    **dict.fromkeys(("image", "document", "video", "audio"), _not_text),
}
