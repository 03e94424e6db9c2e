"""The values of all columns -> the event's JSON text again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_honeyhive.columns import CODECS, EXTRA, FIELD_COLUMNS, NULL, SENT_AS, WHOLE_EVENT, Kind
from airflow_provider_honeyhive.json_text import members, quoted
from airflow_provider_honeyhive.time_forms import write_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


def restore_event(row: Mapping[str, Any]) -> bytes:
    """Return a JSON text that is equal to the event's as a value.

    Fields come in the order of the columns; numbers and escapes in ids and names may be written otherwise.

    :param row: a value for each of :data:`.columns.COLUMNS`; None is NULL, times are microseconds since 1970.
    """
    sent_as = msgspec.json.decode(row[SENT_AS] or "{}")
    extra = [(msgspec.json.decode(name), text) for name, text in members((row[EXTRA] or "{}").encode())]
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
