"""What comes of reading an event: a conversation, or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Reason(StrEnum):
    """Why an event cannot be read as a conversation."""

    #: The event has an error.
    FAILED = "failed"
    #: Neither ``inputs`` nor ``metadata`` say what went in.
    NO_INPUT = "no_input"
    #: Nothing came out: no text, and no tool was called.
    NO_OUTPUT = "no_output"
    #: The export has a keyed hash in place of a text.
    CONTENT_LEFT_OUT = "content_left_out"
    #: Something is said, in a shape that is none of those that are known.
    UNKNOWN_SHAPE = "unknown_shape"
    #: A message is of nobody, or of somebody who is neither system, developer, user, assistant nor tool.
    UNKNOWN_ROLE = "unknown_role"
    #: Messages of several roles come in a list each, which do not say who spoke after whom.
    UNKNOWN_ORDER = "unknown_order"
    #: A message has no content.
    EMPTY_MESSAGE = "empty_message"
    #: The last message of the input is an answer, so nobody knows what the output answers.
    ENDS_WITH_ANSWER = "ends_with_answer"
    #: Images, sounds or files are part of what was said.
    NOT_TEXT = "not_text"
    #: A tool's call has no name, no result or two, or a result is of no call.
    BROKEN_TOOL_CALL = "broken_tool_call"
    #: A tool that the model could call is not described as a function.
    UNKNOWN_TOOL = "unknown_tool"


@dataclass(frozen=True, slots=True)
class Conversation:
    """What was said, in OpenAI's chat format.

    :param messages: at least one that went in, then the assistant's answer.
    :param tools: that the model could call; None: none are known.
    """

    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]] | None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """There is no conversation.

    :param reason: why.
    """

    reason: Reason


class UnreadableError(Exception):
    """Ends the reading of an event; never leaves this package.

    :param reason: why there is no conversation.
    """

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason
