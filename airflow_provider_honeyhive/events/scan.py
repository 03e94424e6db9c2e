"""Finds where things are in JSON text, without changing or building anything.

With msgspec, and with regular expressions where msgspec refuses the text or does not show all of it. Never
guesses: a text whose members cannot be told apart is an error.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from airflow_provider_honeyhive.exceptions import HoneyHiveResponseError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


#: Bytes, or a view of them.
RawText: TypeAlias = bytes | memoryview

#: A member of an object: its key, where the key starts, where the value starts, where the value ends.
MemberSpan: TypeAlias = tuple[str, int, int, int]

#: A string as JSON writes it. First the quick way, from quote to quote, which cannot tell what a quote after
#: several backslashes is; a class of one character is what the regular expressions of Python skip fastest.
STRING = rb'(?:"(?:[^"]*+(?<=[^\\]\\)")*+[^"]*+(?<!\\)"|"[^"\\]*+(?:\\.[^"\\]*+)*+")'

_SCALAR = rb'[^ \t\r\n"{}\[\],:]++'

_NO_BRACKETS = rb'(?:[^"{}\[\]]++|' + STRING + rb")*+"

#: A value in which no object or list is nested.
_FLAT = STRING + rb"|" + _SCALAR + rb"|\{" + _NO_BRACKETS + rb"\}|\[" + _NO_BRACKETS + rb"\]"

_FLAT_VALUE = re.compile(_FLAT, re.DOTALL)

_KEY_AND_COLON = rb"(" + STRING + rb")[ \t\r\n]*+:[ \t\r\n]*+"

_KEY = re.compile(_KEY_AND_COLON, re.DOTALL)

_MEMBER = re.compile(_KEY_AND_COLON + rb"(" + _FLAT + rb")?", re.DOTALL)

_AFTER_MEMBER = re.compile(rb"[ \t\r\n]*+([,}])[ \t\r\n]*+")

#: To the next bracket of a value in which more is nested.
_TO_BRACKET = re.compile(
    rb'(?:[^"{}\[\]]++|' + STRING + rb"|\{" + _NO_BRACKETS + rb"\}|\[" + _NO_BRACKETS + rb"\])*+[{}\[\]]", re.DOTALL
)

_AFTER_VALUE = re.compile(rb"[ \t\r\n]*+([,\]}])[ \t\r\n]*+")

#: Elements with the comma after each.
_SCALARS = re.compile(rb"(?:(?:" + STRING + rb"|" + _SCALAR + rb")[ \t\r\n]*+,[ \t\r\n]*+)*+", re.DOTALL)

_SPACE = re.compile(rb"[ \t\r\n]*+")

_compact_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


class UnreadableEventError(HoneyHiveResponseError, ValueError):
    """A text that is not the one object that an event is."""


def _integer(digits: str) -> int | str:
    try:
        return int(digits)
    except ValueError:
        # Python makes no number of more than 4,300 digits.
        return digits


#: Decodes whatever servers send as JSON; an integer that Python makes no number of stays the text of its digits.
#: Made once: json.loads with these arguments makes one at each call.
decode_json = json.JSONDecoder(strict=False, parse_int=_integer).decode


def member_spans(raw: bytes, start: int, end: int) -> Iterable[MemberSpan]:
    """Give the members of the object at ``raw[start:end]``, in their order.

    :raises UnreadableEventError: it is not the text of one object; maybe after some members.
    """
    return spans_of_compact(raw, start, end) or spans_by_scanning(raw, start, end)


def spans_of_compact(raw: bytes, start: int, end: int) -> list[MemberSpan] | None:
    """Return the members of an object in which nothing but the members takes room, None of any other.

    msgspec shows neither where a member stands nor that a key came twice. But if the members, with a key
    and its value each, a colon and two quotes, and a comma between, add up to the text's length, then
    there is no other member, no white space between them, and no escape in a key, since each would take
    room of its own.
    """
    try:
        found = _compact_object.decode(raw[start:end])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    listed: list[MemberSpan] = []
    at = start + 1
    for key, value in found.items():
        value_start = at + 3 + (len(key) if key.isascii() else len(key.encode()))
        value_end = value_start + len(value)
        listed.append((key, at, value_start, value_end))
        at = value_end + 1
    return listed if at == end else None


def spans_by_scanning(raw: RawText, start: int, end: int) -> Iterator[MemberSpan]:
    """Yield the members of any object, as :func:`member_spans` does."""
    if raw[start : start + 1] != b"{":
        raise unreadable(start)
    at = skip_space(raw, start + 1)
    if raw[at : at + 1] == b"}" and at + 1 == end:
        return
    while True:
        member = _MEMBER.match(raw, at)
        if member is None:
            raise unreadable(at)
        value_start, value_end = member.span(2)
        if member[2] is None:
            value_start = member.end()
            value_end = end_of_value(raw, value_start)
        yield _text_of(bytes(member[1]), at), at, value_start, value_end
        after = _AFTER_MEMBER.match(raw, value_end)
        if after is None:
            raise unreadable(value_end)
        if after[1] == b"}":
            if after.end(1) != end:
                raise unreadable(after.end(1))
            return
        at = after.end()


def first_inside(raw: bytes, start: int) -> tuple[int, bool]:
    """Return where the first member or element of the object or list at ``start`` is, and whether there is none.

    Where there is none, the place is that of the closing bracket.
    """
    at = skip_space(raw, start + 1)
    return at, raw.startswith(b"]" if raw.startswith(b"[", start) else b"}", at)


def member_at(raw: bytes, at: int) -> tuple[str, int]:
    """Return the key of the member that begins at ``at``, and where its value begins.

    :raises UnreadableEventError: there is none.
    """
    found = _KEY.match(raw, at)
    if found is None:
        raise unreadable(at)
    return _text_of(found[1], at), found.end()


def after_scalars(raw: bytes, at: int) -> int:
    """Return where the first element at or behind ``at`` begins that may be an object or a list, or is the last."""
    match = _SCALARS.match(raw, at)
    return match.end() if match else at


def after_value(raw: bytes, at: int, *, in_list: bool) -> tuple[int, bool]:
    """Return where the next member or element begins after a value that ends at ``at``, and whether there is none.

    Where there is none, the place is that of the closing bracket.

    :raises UnreadableEventError: neither a comma nor that bracket comes next.
    """
    found = _AFTER_VALUE.match(raw, at)
    if found is None or found[1] == (b"}" if in_list else b"]"):
        raise unreadable(at)
    return (found.end(), False) if found[1] == b"," else (found.start(1), True)


def text_of(string: bytes) -> str:
    """Return what a JSON string says; bytes that are no UTF-8 become lone surrogates.

    :raises ValueError: it is no JSON string.
    """
    if not string.startswith(b'"'):
        raise ValueError("not a string")
    text = string.decode("utf-8", "surrogateescape")
    if "\\" not in text:
        return text[1:-1]
    decoded: str = decode_json(text)
    return decoded


def end_of_value(raw: RawText, start: int) -> int:
    """Return where the value that begins at ``start`` ends.

    :raises UnreadableEventError: none begins there, or it does not end.
    """
    end = find_end(raw, start)
    if end is None:
        raise unreadable(start)
    return end


def find_end(raw: RawText, start: int) -> int | None:
    """Return where the value that begins at ``start`` ends, None where none does.

    Only strings and brackets are looked at.
    """
    flat = _FLAT_VALUE.match(raw, start)
    if flat is not None:
        return flat.end()
    if raw[start : start + 1] not in (b"{", b"["):
        return None
    depth, at = 1, start + 1
    while depth:
        match = _TO_BRACKET.match(raw, at)
        if match is None:
            return None
        at = match.end()
        depth += 1 if raw[at - 1] in b"{[" else -1
    return at


def skip_space(raw: RawText, at: int) -> int:
    """Return where the white space at ``at`` ends."""
    match = _SPACE.match(raw, at)
    return match.end() if match else at


def _text_of(key: bytes, at: int) -> str:
    try:
        return text_of(key)
    except ValueError:
        raise unreadable(at) from None


def unreadable(at: int) -> UnreadableEventError:
    """Return the error that an event cannot be read on from a byte of it."""
    return UnreadableEventError(
        f"an event cannot be read as JSON at its byte {at}, so what is to be left out cannot be found in it; "
        "nothing was published"
    )


def nested_too_deeply(most: int) -> UnreadableEventError:
    """Return the error of an event in which more lists and objects lie in each other than may."""
    return UnreadableEventError(
        f"an event nests more than {most:,} lists and objects where something is to be left out; nothing was published"
    )
