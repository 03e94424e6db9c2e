r"""The columns of tabular exports, as data: the same in every file, whatever the events hold.

Nothing of an event is lost. Each field has its column; what a column cannot hold is in the last one, ``extra``,
and how a field was written, where that is not the usual way, is in the one before, ``sent_as``.

``extra``
    A JSON object of every field that has no column, and of every value that does not fit its column, each under
    its own name. A field that is named here is all here, also where its column shows something: the nearest thing
    that it can hold, for reading. So the event is restored from ``extra`` first, from the other columns second.
    NULL: nothing.
``sent_as``
    A JSON object, from the name of a field to one of these. NULL: all as usual.

    - ``"missing"`` or ``"null"``: why the column is NULL, where :attr:`Column.null` says the other one.
    - ``"Unix s"``, ``"Unix us"``, ``"Unix ns"``, or a pattern such as ``"YYYY-MM-DD hh:mm:ss.fffZ"``: what a time
      was written as. Usual are Unix milliseconds.
    - ``"text"`` or ``"bytes"``: the field's value was no strict JSON, which readers would refuse the whole file for
      (DuckDB: "Malformed JSON"), so that ``extra`` has the text of the value as a JSON string. Such values have
      half a surrogate pair (``"\ud83d"``), ``NaN``, raw control characters, or bytes that are no UTF-8; for the last,
      ``"bytes"``, each character stands for one byte (Latin-1). The column shows the value with U+FFFD and null.

    Where a field's very *name* is no such text, ``sent_as`` is just ``"text"`` or ``"bytes"`` instead of an object,
    and ``extra`` is an object with the text of the whole event as its only member, ``"event"``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

SENT_AS = "sent_as"

EXTRA = "extra"

MISSING = "missing"

NULL = "null"

TEXT = "text"

BYTES = "bytes"

#: How the JSON string in ``extra`` becomes the bytes that the server sent.
CODECS = {TEXT: "utf-8", BYTES: "latin-1"}

#: The only member of ``extra`` where it holds the whole event.
WHOLE_EVENT = "event"


class Kind(StrEnum):
    """What a column holds."""

    STRING = "string"
    #: Microseconds since 1970 in UTC.
    TIME = "timestamp[us, UTC]"
    NUMBER = "double"
    STRINGS = "list of strings"
    #: The text of any JSON value, as the server sent it.
    JSON = "JSON text"


@dataclass(frozen=True, slots=True)
class Column:
    """A column.

    :param name: of the column, and of the event's field.
    :param kind: what it holds.
    :param null: what NULL stands for, unless ``sent_as`` says otherwise: a field that is not there (``missing``)
        or one that is there and null (``null``).
    """

    name: str
    kind: Kind
    null: str = MISSING


#: One for each field; ``sent_as`` and ``extra`` follow them.
FIELD_COLUMNS = (
    Column("event_id", Kind.STRING),
    Column("session_id", Kind.STRING),
    Column("parent_id", Kind.STRING, null=NULL),
    Column("project", Kind.STRING),
    Column("project_id", Kind.STRING),
    Column("tenant", Kind.STRING),
    Column("source", Kind.STRING),
    Column("event_type", Kind.STRING),
    Column("event_name", Kind.STRING),
    Column("start_time", Kind.TIME),
    Column("end_time", Kind.TIME),
    Column("duration", Kind.NUMBER),
    Column("error", Kind.STRING, null=NULL),
    Column("children_ids", Kind.STRINGS),
    Column("config", Kind.JSON),
    Column("inputs", Kind.JSON),
    Column("outputs", Kind.JSON),
    Column("metadata", Kind.JSON),
    Column("feedback", Kind.JSON),
    Column("metrics", Kind.JSON),
    Column("user_properties", Kind.JSON),
)

COLUMNS = (*FIELD_COLUMNS, Column(SENT_AS, Kind.JSON), Column(EXTRA, Kind.JSON))

FIELD_NAMES = tuple(column.name for column in FIELD_COLUMNS)

COLUMN_NAMES = tuple(column.name for column in COLUMNS)
