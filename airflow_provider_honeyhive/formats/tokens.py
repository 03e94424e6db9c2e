"""Raw events -> for each column, the JSON text of every event's value, and what is left over.

The common event is taken apart by msgspec without looking into its values. msgspec neither tells of fields that it
was not asked for nor of names that come twice, but the sizes do: if the fields found, with their names, add up to
the size of the event, there is nothing else in it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from airflow_provider_honeyhive.events.raw import check_utf8, is_strict, joined, member_texts, mended, quoted
from airflow_provider_honeyhive.formats.columns import CODECS, FIELD_NAMES, NOT_JSON, NOT_UTF8

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_honeyhive.events.raw import RawEvent


#: The JSON text of one value. Empty: the event does not have the field.
Token: TypeAlias = msgspec.Raw | bytes

_NO_TOKEN = msgspec.Raw()

_Event = msgspec.defstruct("_Event", [(name, msgspec.Raw, _NO_TOKEN) for name in FIELD_NAMES], gc=False)

_decode_event = msgspec.json.Decoder(_Event).decode

_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

#: What a member takes beside its name and value: two quotes, a colon, and a comma or the object's bracket.
_AROUND_MEMBER = 4

_OPENING_BRACKET = 1


@dataclass(slots=True)
class Leftovers:
    """What the columns of a batch cannot hold, by the number of the row.

    :param members: names and JSON texts for ``extra``.
    :param whole: texts of ``extra`` for events that cannot be told field by field.
    :param misfits: number of the row, and name of the column that cannot hold its value.
    """

    members: dict[int, list[tuple[str, bytes]]] = field(default_factory=dict)
    whole: dict[int, bytes] = field(default_factory=dict)
    misfits: set[tuple[int, str]] = field(default_factory=set)

    def keep(self, row: int, name: str, *tokens: Token, strict: bool = True) -> None:
        """Keep the values of one name as they were written, unless that has been done.

        :param strict: the values are strict JSON; others are wrapped, and so is what looks like that.
        """
        kept = self.members.setdefault(row, [])
        if all(name != known for known, _ in kept):
            kept.extend((name, _in_extra(name, bytes(token), strict=strict)) for token in tokens)

    def leave_out(self, row: int, name: str, token: Token) -> None:
        """Keep a value that its column cannot hold, or not exactly."""
        self.misfits.add((row, name))
        self.keep(row, name, token)


#: How a text begins that :func:`wrapped` has made.
_WRAPPED = re.compile(rb'\{"(%s|%s)":"' % (NOT_JSON.encode(), NOT_UTF8.encode()))


def _in_extra(name: str, token: bytes, *, strict: bool) -> bytes:
    return token if strict and name not in CODECS and not _WRAPPED.match(token) else wrapped(token)


def wrapped(text: bytes) -> bytes:
    """Return any bytes as strict JSON, from which :func:`unwrapped` gives them again."""
    try:
        return joined([(NOT_JSON, quoted(text.decode()))])
    except UnicodeDecodeError:
        return joined([(NOT_UTF8, quoted(text.decode(CODECS[NOT_UTF8])))])


def unwrapped(text: bytes) -> bytes | None:
    """Return the bytes that :func:`wrapped` was given, None where the text is none of its."""
    match = _WRAPPED.match(text)
    if match is None:
        return None
    ((name, value),) = msgspec.json.decode(text).items()
    decoded: bytes = value.encode(CODECS[name])
    return decoded


@dataclass(frozen=True, slots=True)
class Tokens:
    """The JSON texts of one field, of all events of a batch, and their sizes."""

    tokens: Sequence[Token]
    sizes: list[int]

    @classmethod
    def of(cls, tokens: Sequence[Token]) -> Tokens:
        """Measure them."""
        return cls(tokens, list(map(len, tokens)))


def split_events(raw_events: Sequence[RawEvent]) -> tuple[list[Tokens], Leftovers]:
    """Take events apart.

    :param raw_events: their JSON texts, as :mod:`~airflow_provider_honeyhive.api.pages` gives them.
    :return: one for each of :data:`.columns.FIELD_COLUMNS`, and what is left.
    """
    left = Leftovers()
    # Where the first event has a field without a column, so have most: not worth trying.
    columns = _split_plain(raw_events) if _split_plain(raw_events[:1]) else None
    if columns is None:
        rows = [_split_one(bytes(raw), row, left) for row, raw in enumerate(raw_events)]
        columns = [Tokens.of(tokens) for tokens in zip(*rows, strict=True)]
    return columns, left


def _split_plain(raw_events: Sequence[RawEvent]) -> list[Tokens] | None:
    """Split events that hold nothing but what the columns are made for; None: some hold something else."""
    try:
        for raw in raw_events:
            check_utf8(raw)
        events = list(map(_decode_event, raw_events))
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    columns = [Tokens.of(list(map(attrgetter(name), events))) for name in FIELD_NAMES]
    found = len(events) * _OPENING_BRACKET + sum(
        sum(column.sizes) + (len(name) + _AROUND_MEMBER) * (len(events) - column.sizes.count(0))
        for name, column in zip(FIELD_NAMES, columns, strict=True)
    )
    # No event can be smaller than what was found in it, so equal sums mean that each is of that size.
    return columns if found == sum(map(len, raw_events)) else None


def _split_one(raw: bytes, row: int, left: Leftovers) -> list[Token]:
    found = _members_of_strict(raw)
    if found is None:
        return _split_odd(raw, row, left)
    tokens: list[Token] = [found.pop(name, _NO_TOKEN) for name in FIELD_NAMES]
    for name, token in found.items():
        left.keep(row, name, token)
    return tokens


def _members_of_strict(raw: bytes) -> dict[str, msgspec.Raw] | None:
    """Return the fields of an event in strict JSON with distinct names, None of any other."""
    try:
        check_utf8(raw)
        found = _decode_members(raw)
        if _size(found) == len(raw):
            return found
        compact = msgspec.json.format(raw, indent=-1)
        found = _decode_members(compact)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    return found if _size(found) == len(compact) else None


def _size(found: dict[str, msgspec.Raw]) -> int:
    names = sum(map(len, found)) if all(map(str.isascii, found)) else sum(len(name.encode()) for name in found)
    return _OPENING_BRACKET + names + sum(map(len, found.values())) + _AROUND_MEMBER * len(found)


def _split_odd(raw: bytes, row: int, left: Leftovers) -> list[Token]:
    """Split an event that is no strict JSON, or is nested deeply, or has a name twice."""
    found: dict[str, list[bytes]] = {}
    for name_token, token in member_texts(raw):
        if is_strict(name_token):
            found.setdefault(msgspec.json.decode(name_token), []).append(token)
        else:
            left.whole[row] = wrapped(raw)
    shown: dict[str, bytes] = {}
    for name, tokens in found.items():
        # Of a name that comes twice, readers of JSON take the last.
        shown[name] = tokens[-1]
        strict = all(map(is_strict, tokens))
        if not strict:
            shown[name] = mended(tokens[-1])
            if name in FIELD_NAMES:
                left.misfits.add((row, name))
        if not strict or len(tokens) > 1 or name not in FIELD_NAMES:
            left.keep(row, name, *tokens, strict=strict)
    return [shown.get(name, _NO_TOKEN) for name in FIELD_NAMES]
