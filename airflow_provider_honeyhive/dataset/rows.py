"""Rows of a dataset, as lines of JSON and as columns of Parquet."""

from __future__ import annotations

from hashlib import sha256
from itertools import accumulate

import msgspec
import pyarrow as pa


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

#: What some readers take for the end of a line, and JSON may have as it is.
_LINE_ENDS = {end: f"\\u{ord(end):04x}" for end in ("\x85", "\u2028", "\u2029")}


def line_of(messages: str, tools: str | None, facts: str) -> bytes:
    """Return a row as a line of JSON, with its line end.

    :param messages: JSON text.
    :param tools: JSON text; None: the row has none.
    :param facts: JSON text of an object: all other members.
    """
    with_tools = "" if tools is None else f'"tools":{tools},'
    text = f'{{"messages":{messages},{with_tools}{facts[1:]}\n'
    if not text.isascii():
        for end, escaped in _LINE_ENDS.items():
            text = text.replace(end, escaped)
    return text.encode()


def is_test(session_id: str | None, event_id: str, share: float) -> bool:
    """Return whether a row belongs to the test split: its session decides, so that no session is in both.

    :param session_id: of the row; None: its event decides.
    :param event_id: of the row.
    :param share: of the sessions that belong there, from 0 to 1.
    """
    name = event_id if session_id is None else session_id
    return int.from_bytes(sha256(name.encode()).digest()[:8], "big") < share * 2**64


def columns_of(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Return rows as the columns of :data:`SCHEMA`.

    :param rows: with these columns, but with the messages as JSON texts.
    """
    conversations = [_decode(text) for text in rows["messages"].to_pylist()]
    others = [rows[name].cast(SCHEMA.field(name).type) for name in SCHEMA.names[1:]]
    return pa.record_batch([_messages(conversations), *others], schema=SCHEMA)


def _messages(conversations: list[list[Message]]) -> pa.ListArray:
    # Column by column this takes a third of the time that pyarrow takes for dicts.
    messages = [message for conversation in conversations for message in conversation]
    calls = [None if message.tool_calls is None else msgspec.to_builtins(message.tool_calls) for message in messages]
    columns = [
        pa.array([message.role for message in messages], pa.string()),
        pa.array([message.content for message in messages], pa.string()),
        pa.array([message.name for message in messages], pa.string()),
        pa.array(calls, pa.list_(_CALL)),
        pa.array([message.tool_call_id for message in messages], pa.string()),
    ]
    ends = pa.array(accumulate(map(len, conversations), initial=0), pa.int32())
    return pa.ListArray.from_arrays(ends, pa.StructArray.from_arrays(columns, fields=list(_MESSAGE)))
