r"""The columns of tabular exports, as data: the same in every file, whatever the events hold.

No value is lost. Each field has its column; what a column cannot hold is in the last one, ``extra``: a JSON object of
every field that has no column, and of every value that does not fit its column, each under its own name. A field that
is named there is all there, also where its column shows something: the nearest thing that it can hold. NULL in a column
is a field that is null or not there.

A value that is no strict JSON, which readers would refuse the whole file for (DuckDB: "Malformed JSON"), is in
``extra`` as an object with one member, :data:`NOT_JSON` or :data:`NOT_UTF8`, and the value's text as a JSON string.
Such values have half a surrogate pair (``"\ud83d"``), ``NaN``, raw control characters, or bytes that are no UTF-8; for
the last, each character stands for one byte (Latin-1). The column shows the value with U+FFFD and null. Where a field's
very *name* is no such text, ``extra`` itself is such an object, with the text of the whole event.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

EXTRA = "extra"

NOT_JSON = "not_json"

NOT_UTF8 = "not_utf8"

#: How the JSON string beside such a name becomes the bytes that the server sent.
CODECS = {NOT_JSON: "utf-8", NOT_UTF8: "latin-1"}


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
    """

    name: str
    kind: Kind


#: One for each field; ``extra`` follows them.
FIELD_COLUMNS = (
    Column("event_id", Kind.STRING),
    Column("session_id", Kind.STRING),
    Column("parent_id", Kind.STRING),
    Column("project", Kind.STRING),
    Column("project_id", Kind.STRING),
    Column("tenant", Kind.STRING),
    Column("source", Kind.STRING),
    Column("event_type", Kind.STRING),
    Column("event_name", Kind.STRING),
    Column("start_time", Kind.TIME),
    Column("end_time", Kind.TIME),
    Column("duration", Kind.NUMBER),
    Column("error", Kind.STRING),
    Column("children_ids", Kind.STRINGS),
    Column("config", Kind.JSON),
    Column("inputs", Kind.JSON),
    Column("outputs", Kind.JSON),
    Column("metadata", Kind.JSON),
    Column("feedback", Kind.JSON),
    Column("metrics", Kind.JSON),
    Column("evaluations", Kind.JSON),
    Column("user_properties", Kind.JSON),
)

COLUMNS = (*FIELD_COLUMNS, Column(EXTRA, Kind.JSON))

FIELD_NAMES = tuple(column.name for column in FIELD_COLUMNS)

COLUMN_NAMES = tuple(column.name for column in COLUMNS)

#: Names of the columns by file format; other formats have none.
COLUMNS_OF = {"csv": COLUMN_NAMES, "parquet": COLUMN_NAMES}
