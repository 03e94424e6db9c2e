"""Messages of any client as messages of OpenAI's chat format, one after the other."""

from __future__ import annotations

from itertools import count
from typing import Any

from airflow_provider_honeyhive.conversations.blocks import (
    ToolCall,
    ToolResult,
    parts_of,
    result_of,
    said,
    tool_call,
)
from airflow_provider_honeyhive.conversations.json_texts import elements, opened, unflattened
from airflow_provider_honeyhive.conversations.reasons import Reason, UnreadableError

#: Who speaks, in small letters -> role of the chat format. ``function`` is the older API's tool.
ROLES = {
    **{role: role for role in ("system", "developer", "user", "assistant", "tool")},
    "human": "user",
    "ai": "assistant",
    "model": "assistant",
    "function": "tool",
}

_USUAL = {"role", "content"}

#: Roles whose messages need no other one before them.
_SPEAKERS = ("system", "developer", "user", "assistant")


class Dialogue:
    """Messages in their order, where each result of a tool follows its call.

    :ivar messages: so far.
    """

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        #: Calls that wait for their results: id -> name of the tool.
        self._open: dict[str, str] = {}
        self._ids: set[str] = set()

    def add(self, message: Any, role: str | None = None) -> None:
        """Add what a client has as one message: of tools' results it may be several.

        :param message: with ``role``, ``content`` or ``parts``, ``tool_calls`` and the like, flat or nested.
        :param role: of a message that does not tell its own.
        :raises UnreadableError: it cannot be read.
        """
        if not isinstance(message, dict):
            raise UnreadableError(Reason.UNKNOWN_SHAPE)
        if message.keys() == _USUAL and message["role"] in _SPEAKERS and isinstance(message["content"], str):
            # Most messages are so. Taking them apart, as below, gives the same in ten times the time.
            self._close_calls()
            self.messages.append({"role": message["role"], "content": said(message["content"])})
            return
        message = unflattened(message)
        known = role_of(message, role)
        if known is None:
            raise UnreadableError(Reason.UNKNOWN_ROLE)
        content = message.get("content")
        if content is None:
            content = opened(message.get("parts"))
        if known == "tool":
            self._add_results(message, content)
        elif known == "assistant":
            self._add_answer(message, content)
        else:
            self._add_said(known, message, content)

    def end_of_input(self) -> None:
        """Say that the answer comes next.

        :raises UnreadableError: nothing was said, the last message is an answer, or a call has no result.
        """
        if not self.messages:
            raise UnreadableError(Reason.NO_INPUT)
        self._close_calls()
        if self.messages[-1]["role"] == "assistant":
            raise UnreadableError(Reason.ENDS_WITH_ANSWER)

    def _close_calls(self) -> None:
        if self._open:
            raise UnreadableError(Reason.BROKEN_TOOL_CALL)

    def _add_said(self, role: str, message: dict[str, Any], content: Any) -> None:
        texts: list[str] = []
        parts = parts_of(content)
        for part in parts:
            if isinstance(part, str):
                texts.append(part)
            elif isinstance(part, ToolResult) and not texts:
                # Anthropic's users send the results of tools, before what they say themselves.
                self._add_result(part)
            else:
                raise UnreadableError(Reason.BROKEN_TOOL_CALL)
        if not parts:
            raise UnreadableError(Reason.EMPTY_MESSAGE)
        if texts:
            self._close_calls()
            self.messages.append({"role": role, "content": "".join(texts), **_name(message)})

    def _add_answer(self, message: dict[str, Any], content: Any) -> None:
        self._close_calls()
        parts = parts_of(content)
        texts = [part for part in parts if isinstance(part, str)]
        calls = [part for part in parts if isinstance(part, ToolCall)]
        if len(texts) + len(calls) < len(parts):
            raise UnreadableError(Reason.BROKEN_TOOL_CALL)
        calls += [tool_call(each) for each in _calls_in(message)]
        if not texts and not calls:
            raise UnreadableError(Reason.EMPTY_MESSAGE)
        answer: dict[str, Any] = {"role": "assistant", "content": "".join(texts) if texts else None, **_name(message)}
        if calls:
            answer["tool_calls"] = self._opened_calls(calls)
        self.messages.append(answer)

    def _opened_calls(self, calls: list[ToolCall]) -> list[dict[str, Any]]:
        functions: dict[str, dict[str, str]] = {}
        for call in calls:
            call_id = call.call_id or self._new_id()
            function = {"name": call.name, "arguments": call.arguments}
            # Some clients have each call twice, as a block of the content too.
            if functions.setdefault(call_id, function) != function:
                raise UnreadableError(Reason.BROKEN_TOOL_CALL)
            self._open[call_id] = call.name
            self._ids.add(call_id)
        return [{"id": call_id, "type": "function", "function": each} for call_id, each in functions.items()]

    def _new_id(self) -> str:
        return next(each for number in count(1) if (each := f"call_{number}") not in self._ids)

    def _add_results(self, message: dict[str, Any], content: Any) -> None:
        call_id = message.get("tool_call_id", message.get("id"))
        parts = _results_among(content)
        for part in parts or [result_of(call_id, message.get("name"), content)]:
            self._add_result(part)

    def _add_result(self, result: ToolResult) -> None:
        call_id = result.call_id
        if call_id is None:
            # Without an id it can only be told whose result it is where one call waits for one.
            waiting = [each for each, name in self._open.items() if result.name in (None, name)]
            call_id = waiting[0] if len(waiting) == 1 else None
        if call_id is None or self._open.pop(call_id, None) is None:
            raise UnreadableError(Reason.BROKEN_TOOL_CALL)
        self.messages.append({"role": "tool", "content": result.text, "tool_call_id": call_id})


def role_of(message: Any, role: str | None = None) -> str | None:
    """Return the role of a message in the chat format; None: it has no known one.

    :param role: of a message that does not tell its own.
    """
    told = message.get("role", role) if isinstance(message, dict) else None
    return ROLES.get(told.lower()) if isinstance(told, str) else None


def _name(message: dict[str, Any]) -> dict[str, str]:
    name = message.get("name")
    return {"name": name} if isinstance(name, str) and name else {}


def _calls_in(message: dict[str, Any]) -> list[Any]:
    found: list[Any] = []
    if calls := opened(message.get("tool_calls")):
        listed = elements(calls)
        if listed is None:
            raise UnreadableError(Reason.BROKEN_TOOL_CALL)
        found += listed
    if call := opened(message.get("function_call")):
        found.append(call)
    return found


def _results_among(content: Any) -> list[ToolResult]:
    """Return the results in a tool's message whose content has them as blocks; none: the content is the result."""
    if not isinstance(content, list):
        return []
    try:
        parts = parts_of(content)
    except UnreadableError as error:
        if error.reason is not Reason.UNKNOWN_SHAPE:
            raise
        return []
    results = [part for part in parts if isinstance(part, ToolResult)]
    return results if len(results) == len(parts) else []
