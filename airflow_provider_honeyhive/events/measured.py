"""What was measured in an event, and not what was said: its numbers, its booleans, and the texts that are known.

See :mod:`~airflow_provider_honeyhive.models.content` for which. What is kept stays as it was written, digit by digit;
white space, nulls, and objects and lists in which nothing is left go.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

from airflow_provider_honeyhive.events.raw import quoted
from airflow_provider_honeyhive.events.scan import STRING, find_end, skip_space, text_of, unreadable
from airflow_provider_honeyhive.models.content import (
    EVENT,
    LONGEST_KEY,
    NAMED_BY_EVALUATORS,
    Place,
    Treatment,
    is_id,
    is_key,
    is_name,
    time_in,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection


_SPACE = rb"[ \t\r\n]*+"

#: A text, another scalar, or the bracket that opens something.
_VALUE = rb"(?:(" + STRING + rb'|[^ \t\r\n"{}\[\],:]++)|([{\[]))'

_MEMBER = rb"(" + STRING + rb")" + _SPACE + rb":" + _SPACE + _VALUE


@dataclass(frozen=True, slots=True)
class _Kind:
    """How an object, or a list, goes on: patterns with groups for key, scalar, opening and closing bracket.

    :param first: at its beginning.
    :param later: behind something in it.
    :param behind_texts: the same behind any number of texts, which are passed over.
    """

    first: re.Pattern[bytes]
    later: re.Pattern[bytes]
    behind_texts: re.Pattern[bytes]


def _kind(item: bytes, text: bytes, closing: bytes) -> _Kind:
    end = rb"|(" + re.escape(closing) + rb"))" + _SPACE
    first, later = rb"(?:" + item + end, rb"(?:," + _SPACE + item + end
    skipped = rb"(?:," + _SPACE + text + _SPACE + rb")*+"
    return _Kind(*(re.compile(one, re.DOTALL) for one in (first, later, skipped + later)))


_KINDS = {
    b"{": _kind(_MEMBER, STRING + _SPACE + rb":" + _SPACE + STRING, b"}"),
    b"[": _kind(rb"()" + _VALUE, STRING, b"]"),
}

_CLOSING = {b"{": b"}", b"[": b"]"}

#: No key that may be kept takes more: two quotes, and escapes of two halves of six bytes each for every character.
_LONGEST_KEY_BYTES = 2 + 12 * LONGEST_KEY

_BOOLEANS = (b"true", b"false")

#: Also what some servers write for numbers that JSON does not have.
_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?|NaN|-?Infinity")

_NULL = b"null"

#: Returns the JSON text of a hash of a value.
Hasher: TypeAlias = "Callable[[bytes], bytes]"


@dataclass(frozen=True, slots=True)
class _Open:
    """An object or a list that is not at its end yet.

    :param opening: its bracket.
    :param place: what the table knows of it.
    :param named: the keys in it, not those further below, are names of evaluators.
    :param mark: how many pieces there are with the one that opens it.
    :param later: what it goes on with.
    """

    opening: bytes
    place: Place | None
    named: bool
    mark: int
    later: re.Pattern[bytes]


def measured(raw: bytes, keyed_hash: Hasher | None, hashes: Collection[int] = ()) -> bytes:
    """Return the JSON text of an event with what was measured alone.

    :param raw: the JSON text of one event.
    :param keyed_hash: hashes the JSON text of a value; None: what is to be hashed is taken out.
    :param hashes: where in ``raw`` texts begin that are hashes already: these stay.
    :raises UnreadableEventError: it cannot be read as an object, so nothing of it may pass.
    """
    if not raw.startswith(b"{"):
        raise unreadable(0)
    pieces = [b"{"]
    here, around = _Open(b"{", EVENT, False, 1, _KINDS[b"{"].later), list[_Open]()
    pattern, at = _KINDS[b"{"].first, skip_space(raw, 1)
    while True:
        match = pattern.match(raw, at)
        if match is None:
            raise unreadable(at)
        key, value, opening, closing = match.groups()
        at, pattern = match.end(), here.later
        if closing:
            if not around:
                break
            _close(pieces, here)
            here = around.pop()
            pattern = here.later
            continue
        kept, place, named = _look_up(here, key, match.start())
        before = (b"," if len(pieces) > here.mark else b"") + (key + b":" if key else b"")
        if opening:
            start = match.start(3)
            if kept and not _is_hashed(place):
                around.append(here)
                kind = _KINDS[opening]
                pieces.append(before + opening)
                # Where no text is kept.
                is_mute = place is None and not hashes
                later, pattern = kind.behind_texts if is_mute else kind.later, kind.first
                here = _Open(opening, place, named, len(pieces), later)
                continue
            value, at = _whole(raw, start)
            shown = _hash_of(value, keyed_hash) if kept else None
        else:
            start = match.start(2)
            shown = value if start in hashes else _shown(value, place, keyed_hash, start)
        if kept and shown:
            pieces.append(before + shown)
    if at != len(raw):
        raise unreadable(at)
    pieces.append(b"}")
    return b"".join(pieces)


def _close(pieces: list[bytes], ended: _Open) -> None:
    if len(pieces) > ended.mark:
        pieces.append(_CLOSING[ended.opening])
        return
    before = pieces.pop()[: -len(ended.opening)]
    if ended.place is not None and ended.place.treatment is Treatment.TIME:
        pieces.append(before + _NULL)


def _is_hashed(place: Place | None) -> bool:
    return place is not None and place.treatment is Treatment.HASHED


def _whole(raw: bytes, start: int) -> tuple[bytes, int]:
    """Return the text of an object or a list, and where what is behind it begins."""
    end = find_end(raw, start)
    if end is None:
        raise unreadable(start)
    return raw[start:end], skip_space(raw, end)


def _look_up(here: _Open, key: bytes, at: int) -> tuple[bool, Place | None, bool]:
    """Return whether the key may stay, what the table knows of the value, and whether evaluators name what is in it.

    :param key: its JSON text, nothing for an element of a list.
    """
    if not key:
        return True, here.place.elements if here.place else None, False
    if len(key) > _LONGEST_KEY_BYTES:
        return False, None, False
    try:
        return _member(here.place, key, here.named)
    except ValueError:
        raise unreadable(at) from None


@lru_cache(maxsize=4096)  # the same keys come in one event after the other
def _member(place: Place | None, key: bytes, named: bool) -> tuple[bool, Place | None, bool]:
    text = text_of(key)
    if not is_key(text, named=named):
        return False, None, False
    return True, place.member(text) if place else None, place is EVENT and text in NAMED_BY_EVALUATORS


def _shown(scalar: bytes, place: Place | None, keyed_hash: Hasher | None, at: int) -> bytes | None:
    """Return what is shown of a value, None where nothing is."""
    treatment = place.treatment if place else None
    if treatment is Treatment.HASHED:
        return _hash_of(scalar, keyed_hash)
    shown = None
    if scalar.startswith(b'"'):
        shown = _text_shown(scalar, treatment, keyed_hash, at) if treatment else None
    elif scalar in _BOOLEANS or _NUMBER.fullmatch(scalar):
        shown = scalar
    elif scalar != _NULL:
        raise unreadable(at)
    return _NULL if shown is None and treatment is Treatment.TIME else shown


def _text_shown(string: bytes, treatment: Treatment, keyed_hash: Hasher | None, at: int) -> bytes | None:
    try:
        text = text_of(string)
    except ValueError:
        raise unreadable(at) from None
    if treatment is Treatment.TIME:
        time = time_in(text)
        return string if time == text else quoted(time) if time else None
    if treatment is Treatment.NAME:
        return string if is_name(text) else None
    return string if is_id(text) else _hash_of(string, keyed_hash)


def _hash_of(value: bytes, keyed_hash: Hasher | None) -> bytes | None:
    """Return the hash of a value, None where there is no key for one, or no value."""
    return None if keyed_hash is None or value in (_NULL, b'""') else keyed_hash(value)
