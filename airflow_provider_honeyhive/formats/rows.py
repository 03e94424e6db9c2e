"""Raw events -> the values of all columns of :mod:`.columns`, as Arrow and CSV take them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from airflow_provider_honeyhive.events.raw import joined, member_texts, quoted
from airflow_provider_honeyhive.exceptions import HoneyHiveResponseError
from airflow_provider_honeyhive.formats.columns import EXTRA, FIELD_COLUMNS, Kind
from airflow_provider_honeyhive.formats.tokens import split_events, unwrapped
from airflow_provider_honeyhive.formats.values import read_column, time_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_provider_honeyhive.events.raw import RawEvent


#: Bytes of some events in a file format, or rows of Arrow, and how many values did not fit their columns, by column.
Serialized: TypeAlias = "tuple[Any, Mapping[str, int]]"

#: Makes the bytes of some events in a file format.
Serialize: TypeAlias = "Callable[[Sequence[RawEvent]], Serialized]"


def restore_event(row: Mapping[str, Any]) -> bytes:
    """Return a JSON text of the event with all its values, but for fields that are null.

    Fields come in the order of the columns; times are ISO 8601 texts in UTC, whatever they were; numbers and
    escapes in ids and names may be written otherwise.

    :param row: a value for each of :data:`.columns.COLUMNS`; None is NULL, times are microseconds since 1970.
    :raises ValueError: the value of ``extra`` is no JSON object.
    """
    text = row[EXTRA]
    # Other tools may write NULL as JSON's null.
    extra = b"{}" if text in (None, "", "null") else text.encode()
    whole = unwrapped(extra)
    if whole is not None:
        return whole
    try:
        kept = [(msgspec.json.decode(name), member) for name, member in member_texts(extra)]
    except HoneyHiveResponseError:
        raise ValueError(f"the column {EXTRA!r} holds no JSON object") from None
    in_extra = {name for name, _ in kept}
    pairs = [
        (column.name, _WRITERS[column.kind](row[column.name]))
        for column in FIELD_COLUMNS
        if row[column.name] is not None and column.name not in in_extra
    ]
    for name, member in kept:
        original = unwrapped(member)
        pairs.append((name, member if original is None else original))
    return joined(pairs)


_WRITERS: dict[Kind, Callable[[Any], bytes]] = {
    Kind.STRING: quoted,
    Kind.TIME: lambda value: quoted(time_text(value)),
    Kind.NUMBER: lambda value: repr(value).removesuffix(".0").encode(),
    Kind.STRINGS: msgspec.json.encode,
    Kind.JSON: str.encode,
}

#: Values that their column cannot hold, so that ``extra`` has them: how many, by name of the column.
Misfits: TypeAlias = Counter[str]


class Rows(msgspec.Struct, frozen=True):
    """A batch of events by columns.

    :param count: of events.
    :param values: by name of the column, one for each event; None is NULL. Times are microseconds since 1970, JSON
        texts are bytes or buffers of them.
    :param misfits: what ``extra`` has of the columns' values.
    """

    count: int
    values: dict[str, Sequence[Any]]
    misfits: Misfits


def to_rows(raw_events: Sequence[RawEvent]) -> Rows:
    """Return the values of all columns.

    :param raw_events: JSON texts of events, as :mod:`~airflow_provider_honeyhive.api.pages` gives them.
    """
    columns, left = split_events(raw_events)
    values = {
        column.name: read_column(column, tokens, left) for column, tokens in zip(FIELD_COLUMNS, columns, strict=True)
    }
    count = len(raw_events)
    return Rows(count, {**values, EXTRA: left.texts(count)}, left.misfits_by_column)
