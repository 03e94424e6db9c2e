"""Raw events -> for each column, the JSON text of every event's value, and what is left over.

The common event is taken apart by msgspec without looking into its values, also where it has fields without a column:
their names are learned from a sample of the batch. msgspec neither tells of fields that it was not asked for nor of
names that come twice, but the sizes do: if the fields found, with their names, add up to the size of the event, there
is nothing else in it. Events that do not add up are taken apart one by one.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from itertools import chain, repeat
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from airflow_provider_honeyhive.events.raw import check_utf8, is_strict, joined, member_texts, mended, quoted
from airflow_provider_honeyhive.formats.columns import CODECS, FIELD_NAMES, NOT_JSON, NOT_UTF8

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from airflow_provider_honeyhive.events.raw import RawEvent


#: The JSON text of one value. Empty: the event does not have the field.
Token: TypeAlias = msgspec.Raw | bytes

_NO_TOKEN = msgspec.Raw()

#: Of so many events one is in the sample, and the first one always.
_SAMPLED = 32

#: Most names that are learned from it, and characters of the longest one: they are kept for the next batch.
_MOST_NAMES, _LONGEST_NAME = 64, 200

_FIELDS = frozenset(FIELD_NAMES)

#: What :func:`wrapped` has made begins with one of these.
_MAYBE_WRAPPED = b'{"not_'

_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

#: What a member takes beside its name and value: two quotes, a colon, and a comma or the object's bracket.
_AROUND_MEMBER = 4

_OPENING_BRACKET = 1


class Leftovers(msgspec.Struct):
    """What the columns of a batch cannot hold, by the number of the row.

    :param members: names and JSON texts for ``extra``.
    :param unknown: texts of ``extra`` with the fields that have no column, before the members; for all rows or none.
    :param whole: texts of ``extra`` for events that cannot be told field by field.
    :param misfits: number of the row, and name of the column that cannot hold its value.
    """

    unknown: list[bytes | None] = msgspec.field(default_factory=list)
    members: dict[int, dict[str, list[bytes]]] = msgspec.field(default_factory=dict)
    whole: dict[int, bytes] = msgspec.field(default_factory=dict)
    misfits: set[tuple[int, str]] = msgspec.field(default_factory=set)

    def keep(self, row: int, name: str, *tokens: Token, strict: bool = True) -> None:
        """Keep the values of one name as they were written, unless that has been done.

        :param strict: the values are strict JSON; others are wrapped, and so is what looks like that.
        """
        kept = self.members.setdefault(row, {})
        if name not in kept:
            kept[name] = [_in_extra(name, bytes(token), strict=strict) for token in tokens]

    def leave_out(self, row: int, name: str, token: Token) -> None:
        """Keep a value that its column cannot hold, or not exactly."""
        self.misfits.add((row, name))
        self.keep(row, name, token)

    @property
    def misfits_by_column(self) -> Counter[str]:
        """How many values each column cannot hold, but for columns that hold all."""
        return Counter(name for _, name in self.misfits)

    def texts(self, count: int) -> list[bytes | None]:
        """Return the texts of ``extra``.

        :param count: of rows.
        """
        texts = self.unknown or [None] * count
        for row, members in self.members.items():
            unknown = texts[row]
            text = joined([(name, value) for name, values in members.items() for value in values])
            texts[row] = text if unknown is None else unknown[:-1] + b"," + text[1:]
        for row, text in self.whole.items():
            texts[row] = text
        return texts


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


class Tokens(msgspec.Struct, frozen=True):
    """The JSON texts of one field, of all events of a batch, and their sizes."""

    tokens: list[Token]
    sizes: list[int]

    @classmethod
    def of(cls, tokens: Iterable[Token]) -> Tokens:
        """Measure them."""
        tokens = list(tokens)
        return cls(tokens, list(map(len, tokens)))

    def put(self, row: int, token: Token) -> None:
        """Replace the text of one event."""
        self.tokens[row], self.sizes[row] = token, len(token)


def split_events(raw_events: Sequence[RawEvent], *, is_utf8: bool = False) -> tuple[list[Tokens], Leftovers]:
    """Take events apart.

    :param raw_events: their JSON texts, as :mod:`~airflow_provider_honeyhive.api.pages` gives them.
    :param is_utf8: the events are UTF-8, or the caller finds that out by the texts: whole columns are checked sooner.
    :return: one for each of :data:`.columns.FIELD_COLUMNS`, and what is left.
    """
    left = Leftovers()
    columns = _split_together(raw_events, left, is_utf8=is_utf8)
    if columns is None:
        rows = [_split_one(bytes(raw), row, left) for row, raw in enumerate(raw_events)]
        columns = [Tokens.of(tokens) for tokens in zip(*rows, strict=True)]
    return columns, left


def _split_together(raw_events: Sequence[RawEvent], left: Leftovers, *, is_utf8: bool) -> list[Tokens] | None:
    """Split all events at once, but for those that hold something else than most; None: too many do."""
    names = _learn_names(raw_events[::_SAMPLED])
    if names is None:
        return None
    decode, find = _reader(names)
    try:
        if not is_utf8:
            for raw in raw_events:
                check_utf8(raw)
        events = list(map(decode, raw_events))
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    columns = [Tokens.of(map(get, events)) for get in find]
    for row in _rows_with_more(raw_events, names, columns):
        tokens = _split_one(bytes(raw_events[row]), row, left)
        for column, token in zip(columns, (*tokens, *[_NO_TOKEN] * len(names)), strict=True):
            column.put(row, token)
    if names:
        left.unknown = [*_unknown_texts(names, columns[len(FIELD_NAMES) :], left)]
    return columns[: len(FIELD_NAMES)]


def _learn_names(sample: Sequence[RawEvent]) -> tuple[str, ...] | None:
    """Return the names without a column that events of a sample share, in order.

    :return: None where most of the sample holds something else, so that a look at all at once would be wasted.
    """
    members = [(_members_of_strict(bytes(raw)), len(raw)) for raw in sample]
    plain = [found.keys() - _FIELDS for found, size in members if found is not None and _size(found) == size]
    counts = Counter(chain.from_iterable(plain)).most_common(_MOST_NAMES)
    # Names that are others in each event would cost more than they save.
    shared = [
        name
        for name, count in counts
        if (count > 1 or len(sample) == 1) and len(name) <= _LONGEST_NAME and name not in CODECS
    ]
    if sum(map(set(shared).issuperset, plain)) * 2 < len(sample):
        return None
    return tuple(sorted(shared))


@lru_cache(maxsize=8)
def _reader(names: tuple[str, ...]) -> tuple[Callable[[RawEvent], Any], list[Callable[[Any], msgspec.Raw]]]:
    """Return what decodes an event, and what gives the text of each of its fields, with a column and then without."""
    # No name of a server becomes one of Python.
    others = {f"unknown_{number}": name for number, name in enumerate(names)}
    attributes = (*FIELD_NAMES, *others)
    fields = [(name, msgspec.Raw, _NO_TOKEN) for name in attributes]
    event = msgspec.defstruct("_Event", fields, rename=others, gc=False)
    return msgspec.json.Decoder(event).decode, list(map(attrgetter, attributes))


def _rows_with_more(raw_events: Sequence[RawEvent], names: tuple[str, ...], columns: list[Tokens]) -> Iterator[int]:
    """Yield the numbers of the events that hold more than was found in them."""
    around = [len(name.encode()) + _AROUND_MEMBER for name in (*FIELD_NAMES, *names)]
    count = len(raw_events)
    found = count * _OPENING_BRACKET + sum(
        sum(column.sizes) + size * (count - column.sizes.count(0)) for size, column in zip(around, columns, strict=True)
    )
    # No event can be smaller than what was found in it, so equal sums mean that each is of that size.
    if found == sum(map(len, raw_events)):
        return
    for row, raw in enumerate(raw_events):
        sizes = (column.sizes[row] for column in columns)
        if len(raw) != _OPENING_BRACKET + sum(size + more for size, more in zip(sizes, around, strict=True) if size):
            yield row


def _unknown_texts(names: tuple[str, ...], columns: list[Tokens], left: Leftovers) -> Iterator[bytes | None]:
    """Yield the JSON object of the fields without a column for each event, None where there is none."""
    parts: list[Iterable[Token]] = []
    for name, column in zip(names, columns, strict=True):
        before = b"," + quoted(name) + b":"
        parts += (
            repeat(before) if 0 not in column.sizes else [before if size else b"" for size in column.sizes],
            column.tokens,
        )
    for row, members in enumerate(map(b"".join, zip(*parts, strict=False))):
        if _MAYBE_WRAPPED in members:
            for name, column in zip(names, columns, strict=True):
                if column.sizes[row]:
                    left.keep(row, name, column.tokens[row])
            yield None
        else:
            yield b"{" + members[1:] + b"}" if members else None


def _split_one(raw: bytes, row: int, left: Leftovers) -> list[Token]:
    found = _members_of_strict(raw)
    if found is None:
        return _split_odd(raw, row, left)
    tokens: list[Token] = [found.pop(name, _NO_TOKEN) for name in FIELD_NAMES]
    for name, token in sorted(found.items()):
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
    for name, tokens in sorted(found.items()):
        # Of a name that comes twice, readers of JSON take the last.
        shown[name] = tokens[-1]
        strict = all(map(is_strict, tokens))
        if not strict:
            shown[name] = mended(tokens[-1])
            if name in _FIELDS:
                left.misfits.add((row, name))
        if not strict or len(tokens) > 1 or name not in _FIELDS:
            left.keep(row, name, *tokens, strict=strict)
    return [shown.get(name, _NO_TOKEN) for name in FIELD_NAMES]
