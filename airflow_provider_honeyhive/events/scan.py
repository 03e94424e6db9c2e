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

_MEMBER = re.compile(rb"(" + STRING + rb")[ \t\r\n]*+:[ \t\r\n]*+(" + _FLAT + rb")?", re.DOTALL)

_AFTER_MEMBER = re.compile(rb"[ \t\r\n]*+([,}])[ \t\r\n]*+")

_TO_BRACKET = re.compile(_NO_BRACKETS + rb"[{}\[\]]", re.DOTALL)

_BETWEEN_ELEMENTS = re.compile(rb"[ \t\r\n,]*+")

_SPACE = re.compile(rb"[ \t\r\n]*+")

# Made once: json.loads with this argument makes one at each call.
_decode = json.JSONDecoder(strict=False).decode

_compact_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


def member_spans(raw: bytes, start: int, end: int) -> Iterable[MemberSpan]:
    """Give the members of the object at ``raw[start:end]``, in their order.

    :raises HoneyHiveResponseError: it is not the text of one object; maybe after some members.
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


def spans_by_scanning(raw: bytes, start: int, end: int) -> Iterator[MemberSpan]:
    """Yield the members of any object, as :func:`member_spans` does."""
    if not raw.startswith(b"{", start):
        raise _unreadable(start)
    at = _skip(_SPACE, raw, start + 1)
    if raw.startswith(b"}", at) and at + 1 == end:
        return
    while True:
        member = _MEMBER.match(raw, at)
        if member is None:
            raise _unreadable(at)
        value_start, value_end = member.span(2)
        if member[2] is None:
            value_start = member.end()
            value_end = _end_of_value(raw, value_start)
        yield _text_of(member[1], at), at, value_start, value_end
        after = _AFTER_MEMBER.match(raw, value_end)
        if after is None:
            raise _unreadable(value_end)
        if after[1] == b"}":
            if after.end(1) != end:
                raise _unreadable(after.end(1))
            return
        at = after.end()


def objects_in_list(raw: bytes, start: int) -> Iterator[tuple[int, int]]:
    """Yield where the objects in the list at ``raw[start:]`` are, and in the lists in it, however deeply.

    :raises HoneyHiveResponseError: it is not the text of a list; maybe after some objects.
    """
    depth, at = 1, start + 1
    while depth:
        at = _skip(_BETWEEN_ELEMENTS, raw, at)
        if raw.startswith((b"[", b"]"), at):
            depth += 1 if raw.startswith(b"[", at) else -1
            at += 1
            continue
        end = _end_of_value(raw, at)
        if raw.startswith(b"{", at):
            yield at, end
        at = end


def text_of(string: bytes) -> str:
    """Return what a JSON string says; bytes that are no UTF-8 become lone surrogates.

    :raises ValueError: it is no JSON string.
    """
    if not string.startswith(b'"'):
        raise ValueError("not a string")
    text = string.decode("utf-8", "surrogateescape")
    if "\\" not in text:
        return text[1:-1]
    decoded: str = _decode(text)
    return decoded


def _end_of_value(raw: bytes, start: int) -> int:
    flat = _FLAT_VALUE.match(raw, start)
    if flat is not None:
        return flat.end()
    if not raw.startswith((b"{", b"["), start):
        raise _unreadable(start)
    depth, at = 1, start + 1
    while depth:
        match = _TO_BRACKET.match(raw, at)
        if match is None:
            raise _unreadable(at)
        at = match.end()
        depth += 1 if raw[at - 1] in b"{[" else -1
    return at


def _skip(pattern: re.Pattern[bytes], raw: bytes, at: int) -> int:
    match = pattern.match(raw, at)
    return match.end() if match else at


def _text_of(key: bytes, at: int) -> str:
    try:
        return text_of(key)
    except ValueError:
        raise _unreadable(at) from None


def _unreadable(at: int) -> HoneyHiveResponseError:
    return HoneyHiveResponseError(
        f"an event cannot be read as JSON at its byte {at}, so what is to be left out cannot be found in it; "
        "nothing was published"
    )
