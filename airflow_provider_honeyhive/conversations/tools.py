"""The tools that a model could call, as the chat format has them."""

from __future__ import annotations

from typing import Any

from airflow_provider_honeyhive.conversations.blocks import said
from airflow_provider_honeyhive.conversations.json_texts import elements, member, opened, unflattened
from airflow_provider_honeyhive.conversations.reasons import Reason, UnreadableError

#: Members that hold tools, in ``inputs`` and in ``config``; and in ``metadata``.
_NAMES = ("tools", "functions")
_ATTRIBUTES = ("gen_ai.tool.definitions", "llm.request.functions")

#: Where a tool has the JSON schema of its arguments: OpenAI, Anthropic.
_SCHEMAS = ("parameters", "input_schema")


def tools_in(inputs: Any, config: Any, metadata: Any) -> list[dict[str, Any]] | None:
    """Return the tools of an event; None: it has none.

    :raises UnreadableError: some are no functions.
    """
    places = (*((inputs, name) for name in _NAMES), *((config, name) for name in _NAMES))
    for value, name in (*places, *((metadata, name) for name in _ATTRIBUTES)):
        if found := opened(member(value, name)):
            tools = elements(said(found) if isinstance(found, str) else found)
            if tools is None:
                raise UnreadableError(Reason.UNKNOWN_TOOL)
            return [_tool(opened(tool)) for tool in tools]
    return None


def _tool(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UnreadableError(Reason.UNKNOWN_TOOL)
    tool = unflattened(value)
    function = tool.get("function", tool)
    if not isinstance(function, dict) or tool.get("type", "function") != "function":
        raise UnreadableError(Reason.UNKNOWN_TOOL)
    name = function.get("name")
    if not isinstance(name, str) or not name:
        raise UnreadableError(Reason.UNKNOWN_TOOL)
    found: dict[str, Any] = {"name": name}
    if isinstance(description := function.get("description"), str):
        found["description"] = description
    schema = next((opened(function[each]) for each in _SCHEMAS if function.get(each) is not None), None)
    if schema is not None:
        if not isinstance(schema, dict):
            raise UnreadableError(Reason.UNKNOWN_TOOL)
        found["parameters"] = schema
    if isinstance(strict := function.get("strict"), bool):
        found["strict"] = strict
    return {"type": "function", "function": found}
