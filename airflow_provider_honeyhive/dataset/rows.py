"""The rows of a dataset as lines of JSON and as columns: the same in both, but for what Parquet has no type for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa

from airflow_provider_honeyhive.models.window import format_time

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


class Function(msgspec.Struct):
    """What a message's call calls."""

    name: str
    arguments: str


class Call(msgspec.Struct):
    """A call in a message."""

    id: str
    type: str
    function: Function


class Message(msgspec.Struct):
    """A message of a conversation."""

    role: str
    content: str | None
    name: str | None = None
    tool_calls: list[Call] | None = None
    tool_call_id: str | None = None


_FUNCTION = pa.struct([("name", pa.string()), ("arguments", pa.string())])
_CALL = pa.struct([("id", pa.string()), ("type", pa.string()), ("function", _FUNCTION)])
_MESSAGE = pa.struct(
    [
        ("role", pa.string()),
        ("content", pa.string()),
        ("name", pa.string()),
        ("tool_calls", pa.list_(_CALL)),
        ("tool_call_id", pa.string()),
    ]
)
_SCORE = pa.struct([("name", pa.string()), ("number", pa.float64()), ("boolean", pa.bool_()), ("text", pa.string())])

#: Columns of the Parquet files.
SCHEMA = pa.schema(
    [
        ("messages", pa.list_(_MESSAGE)),
        # A JSON text, since the schema of each tool's arguments is another.
        ("tools", pa.string()),
        ("event_id", pa.string()),
        ("event_ids", pa.list_(pa.string())),
        ("session_id", pa.string()),
        ("model", pa.string()),
        ("provider", pa.string()),
        ("start_time", pa.timestamp("us", "UTC")),
        ("export", pa.string()),
        ("scores", pa.list_(_SCORE)),
    ]
)

_decode = msgspec.json.Decoder(list[Message]).decode
_encode = msgspec.json.Encoder().encode

#: Line ends for some readers of lines, which JSON may have as they are.
_LINE_ENDS = re.compile("[\x85\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a dataset.

    :param messages: JSON text.
    :param tools: JSON text; None: none are known.
    :param event_id: of the call that it is made of.
    :param event_ids: of all calls with this conversation.
    :param session_id: of the first of them.
    :param model: of that call.
    :param provider: of that call.
    :param start_time: of that call.
    :param export: manifest of the export that the call is in.
    :param scores: of that call.
    """

    messages: str
    tools: str | None
    event_id: str
    event_ids: list[str]
    session_id: str | None
    model: str | None
    provider: str | None
    start_time: datetime | None
    export: str
    scores: list[dict[str, Any]]

    def line(self) -> bytes:
        """Return the row as a line of JSON, with its line end."""
        facts = {
            "event_id": self.event_id,
            "event_ids": self.event_ids,
            "session_id": self.session_id,
            "model": self.model,
            "provider": self.provider,
            "start_time": None if self.start_time is None else format_time(self.start_time),
            "export": self.export,
            "scores": self.scores,
        }
        tools = "" if self.tools is None else f'"tools":{self.tools},'
        text = f'{{"messages":{self.messages},{tools}{_encode(facts).decode()[1:]}\n'
        return _LINE_ENDS.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode()

    def is_test(self, share: float) -> bool:
        """Return whether the row belongs to the test split: its session decides, so that no session is in both.

        :param share: of the sessions that do, from 0 to 1.
        """
        name = self.event_id if self.session_id is None else self.session_id
        return int.from_bytes(sha256(name.encode()).digest()[:8], "big") < share * 2**64


def table_of(rows: Sequence[Row]) -> pa.Table:
    """Return rows as columns."""
    plain = [
        pa.array([getattr(row, field.name) for row in rows], field.type) for field in SCHEMA if field.name != "messages"
    ]
    return pa.Table.from_arrays([_messages([_decode(row.messages) for row in rows]), *plain], schema=SCHEMA)


def _messages(conversations: list[list[Message]]) -> pa.ListArray:
    # Column by column this takes a third of the time that pyarrow takes for dicts.
    messages = [message for conversation in conversations for message in conversation]
    fields = [
        pa.array([getattr(message, name) for message in messages], pa.string()) for name in ("role", "content", "name")
    ]
    ids = pa.array([message.tool_call_id for message in messages], pa.string())
    calls = pa.array(
        [None if message.tool_calls is None else msgspec.to_builtins(message.tool_calls) for message in messages],
        pa.list_(_CALL),
    )
    offsets = pa.array(accumulate(map(len, conversations), initial=0), pa.int32())
    return pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays([*fields, calls, ids], fields=list(_MESSAGE)))
