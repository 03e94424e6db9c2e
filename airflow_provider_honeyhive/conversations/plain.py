"""The usual conversation in one step: plain texts by role, as most events have them, without tools.

Whatever may need a closer look is left to :mod:`.read`, which takes several times as long and finds the same.
"""

from __future__ import annotations

import msgspec

from airflow_provider_honeyhive.conversations.reasons import Conversation
from airflow_provider_honeyhive.events.keyed_hash import MARK

_HASH = MARK.decode()

#: Whoever has a plain text to say; a tool's result needs its call.
_ROLES = frozenset({"system", "developer", "user", "assistant"})

#: What inputs have of flattened tools, and what the JSON text of other fields has where it may name tools.
_FLATTENED = ('"tools.', '"functions.')
_MARKS_OF_TOOLS = ("tool", "function")


class _Message(msgspec.Struct, forbid_unknown_fields=True):
    role: str
    content: str


class _Inputs(msgspec.Struct):
    chat_history: list[_Message]
    #: These change what the messages mean.
    system: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    tools: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    functions: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_inputs_of = msgspec.json.Decoder(_Inputs).decode
_answer_of = msgspec.json.Decoder(_Message).decode


def plain_conversation(
    inputs: str | None, outputs: str | None, config: str | None, metadata: str | None
) -> Conversation | None:
    """Return a conversation of nothing but texts; None: it is none, or it takes a closer look to tell.

    :param inputs: JSON text of the event's ``inputs``; None: it has none. So are the other texts.
    :param outputs: JSON text of its ``outputs``.
    :param config: JSON text of its ``config``.
    :param metadata: JSON text of its ``metadata``.
    """
    if not inputs or not outputs or any(mark in inputs for mark in _FLATTENED):
        return None
    for text in (config, metadata):
        if text and (text[0] != "{" or any(mark in text for mark in _MARKS_OF_TOOLS)):
            return None
    try:
        given, answer = _inputs_of(inputs), _answer_of(outputs)
    except (msgspec.MsgspecError, RecursionError):
        return None
    if not given.chat_history or any(
        each is not msgspec.UNSET for each in (given.system, given.tools, given.functions)
    ):
        return None
    if answer.role != "assistant" or not answer.content or given.chat_history[-1].role == "assistant":
        return None
    messages = [*given.chat_history, answer]
    if any(each.role not in _ROLES or each.content.startswith(_HASH) for each in messages):
        return None
    return Conversation([{"role": each.role, "content": each.content} for each in messages], None)
