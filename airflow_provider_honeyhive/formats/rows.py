"""Raw events -> the values of all columns of :mod:`.columns`, as Arrow and CSV take them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from airflow_provider_honeyhive.events.raw import joined, member_texts, quoted
from airflow_provider_honeyhive.formats.columns import (
    CODECS,
    EXTRA,
    FIELD_COLUMNS,
    FIELD_NAMES,
    NULL,
    SENT_AS,
    WHOLE_EVENT,
    Kind,
)
from airflow_provider_honeyhive.formats.tokens import Leftovers, split_events
from airflow_provider_honeyhive.formats.values import Form, read_column, write_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from airflow_provider_honeyhive.events.raw import RawEvent


#: Bytes of a block, and how many values did not fit their columns, by column.
Encoded: TypeAlias = "tuple[bytes, Mapping[str, int]]"

#: Makes the bytes of a block of events.
Encode: TypeAlias = "Callable[[Sequence[RawEvent]], Encoded]"


def restore_event(row: Mapping[str, Any]) -> bytes:
    """Return a JSON text that is equal to the event's as a value.

    Fields come in the order of the columns; numbers and escapes in ids and names may be written otherwise.

    :param row: a value for each of :data:`.columns.COLUMNS`; None is NULL, times are microseconds since 1970.
    """
    sent_as = msgspec.json.decode(row[SENT_AS] or "{}")
    extra = [(msgspec.json.decode(name), text) for name, text in member_texts((row[EXTRA] or "{}").encode())]
    if isinstance(sent_as, str):
        (text,) = (text for name, text in extra if name == WHOLE_EVENT)
        return _decoded(text, sent_as)
    kept = {name for name, _ in extra}
    pairs = [*_from_columns(row, kept, sent_as), *_from_extra(extra, sent_as)]
    return b"{" + b",".join(name + b":" + text for name, text in pairs) + b"}"


def _from_columns(row: Mapping[str, Any], kept: set[str], sent_as: dict[str, str]) -> Iterator[tuple[bytes, bytes]]:
    for column in FIELD_COLUMNS:
        value, form = row[column.name], sent_as.get(column.name)
        if column.name in kept:
            continue
        if value is not None:
            yield quoted(column.name), _WRITERS[column.kind](value, form)
        elif (form or column.null) == NULL:
            yield quoted(column.name), b"null"


def _from_extra(extra: list[tuple[str, bytes]], sent_as: dict[str, str]) -> Iterator[tuple[bytes, bytes]]:
    for name, text in extra:
        yield quoted(name), _decoded(text, sent_as[name]) if name in sent_as else text


def _decoded(text: bytes, codec: str) -> bytes:
    decoded: str = msgspec.json.decode(text)
    return decoded.encode(CODECS[codec])


_WRITERS: dict[Kind, Callable[[Any, str | None], bytes]] = {
    Kind.STRING: lambda value, form: quoted(value),
    Kind.TIME: write_time,
    Kind.NUMBER: lambda value, form: repr(value).removesuffix(".0").encode(),
    Kind.STRINGS: lambda value, form: msgspec.json.encode(value),
    Kind.JSON: lambda value, form: value.encode(),
}

#: Values that their column cannot hold, so that ``extra`` has them: how many, by name of the column.
Misfits: TypeAlias = Counter[str]


@dataclass(frozen=True, slots=True)
class Rows:
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

    :param raw_events: JSON texts of events, as :mod:`.pages` gives them.
    """
    count = len(raw_events)
    columns, left = split_events(raw_events)
    values: dict[str, Sequence[Any]] = {}
    forms: dict[str, Sequence[Form]] = {}
    for column, tokens in zip(FIELD_COLUMNS, columns, strict=True):
        values[column.name], found = read_column(column, tokens, left)
        if found is not None:
            forms[column.name] = found
    values[SENT_AS] = _sent_as(count, forms, left)
    values[EXTRA] = _extra(count, left)
    return Rows(count, values, Counter(name for _, name in left.misfits))


def _sent_as(count: int, forms: dict[str, Sequence[Form]], left: Leftovers) -> list[bytes | None]:
    texts: list[bytes | None] = [None] * count
    if forms:
        texts = [_known_object_of(tuple(forms), told) for told in zip(*forms.values(), strict=True)]
    for row in left.members if forms else left.encodings:
        # Of what is in extra, only its encoding matters.
        kept = dict.fromkeys(name for name, _ in left.members[row])
        told = {name: found[row] for name, found in forms.items()} | kept
        told |= left.encodings.get(row, {})
        # In one order, whatever the other events of the batch hold.
        told = dict(sorted(told.items(), key=_place))
        texts[row] = _object_of(told, told.values())
    for row, (codec, _) in left.whole.items():
        texts[row] = quoted(codec)
    return texts


def _place(told: tuple[str, Form]) -> int:
    return FIELD_NAMES.index(told[0]) if told[0] in FIELD_NAMES else len(FIELD_NAMES)


def _object_of(names: Iterable[str], forms: Iterable[Form]) -> bytes | None:
    told = [(name, quoted(form)) for name, form in zip(names, forms, strict=True) if form is not None]
    return joined(told) if told else None


#: Most events of an export are written alike.
_known_object_of = lru_cache(maxsize=1024)(_object_of)


def _extra(count: int, left: Leftovers) -> list[bytes | None]:
    texts: list[bytes | None] = [None] * count
    for row, kept in left.members.items():
        texts[row] = joined(kept)
    for row, (_, text) in left.whole.items():
        texts[row] = joined([(WHOLE_EVENT, text)])
    return texts
