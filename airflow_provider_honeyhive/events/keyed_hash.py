"""Replaces a value by a keyed hash, so that equal values stay equal and joins survive.

The hash is ``hh_redacted:`` and the first 32 hexadecimal digits of the HMAC-SHA256, under the key, of the
value's canonical JSON text. For a text of printable characters that is the text in double quotes, so any
language, and SQL too, can compute the hash of a known value, for a join or to find a person's events::

    hmac.new(key.encode(), json.dumps(value, ensure_ascii=False).encode(), "sha256").hexdigest()[:32]

What counts as equal: texts that say the same, however escaped; numbers of the same value, however written
(``1``, ``1.0`` and ``1e0``), to the last digit and not as rounded to doubles; objects with the same members
in any order, where the last of equal keys counts; lists of equal elements in the same order. A text is not
equal to the number it shows. ``null`` stays ``null``: it says that there is nothing, identifies nobody, and
must not join with every other null. The canonical text is that of RFC 8785, except for numbers that a double
does not hold: these keep their digits.

What a keyed hash does not hide: which values are equal, how often each comes and beside what, and that there
is a value at all. Whoever has the key can try out values: every e-mail address of a list, every date of
birth. So the key is a secret, and what may not be linked should be excluded instead. Hashes of two keys
cannot be compared.
"""

from __future__ import annotations

import hmac
import json
import re
from typing import TYPE_CHECKING, TypeAlias

from airflow_provider_honeyhive.events.scan import STRING, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator


MARK = b"hh_redacted:"

_DIGITS = 32

#: Brackets, strings and other scalars; commas and colons say nothing that these do not.
_TOKEN = re.compile(STRING + rb'|[{}\[\]]|[^ \t\r\n"{}\[\],:]++', re.DOTALL)

_CANONICAL_STRING = re.compile(rb'"[^"\\\x00-\x1f]*+"')

_NUMBER = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]{1,18}))?")

# Made once: json.dumps with this argument makes one at each call.
_quote = json.JSONEncoder(ensure_ascii=False).encode

#: A value: the canonical text of a scalar, or a list or an object of values.
_Value: TypeAlias = "str | list[_Value] | dict[str, _Value]"


def redacted(value: bytes, key: bytes) -> bytes:
    """Return the JSON text that stands for the JSON text ``value``."""
    if value == b"null":
        return value
    return b'"%b%b"' % (MARK, hmac.digest(key, canonical(value), "sha256").hex()[:_DIGITS].encode())


def key_id(key: bytes) -> str:
    """Return what tells a key from others."""
    # No value's canonical text begins like this.
    return hmac.digest(key, b"key id", "sha256").hex()[:16]


def canonical(value: bytes) -> bytes:
    """Return the text that all JSON texts of an equal value share; a text that is no JSON may stay as it is."""
    if _CANONICAL_STRING.fullmatch(value):
        return value
    try:
        text = "".join(_pieces(_parsed(value)))
    except ValueError:
        return value
    try:
        # Bytes that are no UTF-8 come out as they went in.
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def _parsed(text: bytes) -> _Value:
    # Not by json.loads, which gives up at a depth that events may have, and rounds numbers.
    top: list[_Value] = []
    opened: list[list[_Value] | dict[str, _Value]] = [top]
    keys: list[str | None] = [None]
    for token in _TOKEN.findall(text):
        if token in b"}]":
            opened.pop()
            keys.pop()
            continue
        here = opened[-1]
        if isinstance(here, list):
            value = _begun(token)
            here.append(value)
        elif keys[-1] is None:
            keys[-1] = text_of(token)
            continue
        else:
            value = here[keys[-1]] = _begun(token)
            keys[-1] = None
        if not isinstance(value, str):
            opened.append(value)
            keys.append(None)
    (value,) = top
    return value


def _begun(token: bytes) -> _Value:
    """Return the value that a token is, or the empty one that it opens."""
    if token == b"{":
        return {}
    if token == b"[":
        return []
    return _quote(text_of(token)) if token.startswith(b'"') else _number(token.decode("utf-8", "surrogateescape"))


def _pieces(value: _Value) -> Iterator[str]:
    waiting: list[_Value] = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
            continue
        inside: list[_Value] = []
        if isinstance(item, dict):
            for key in sorted(item, key=_utf16):
                inside += (",", f"{_quote(key)}:", item[key])
        else:
            for element in item:
                inside += (",", element)
        opening, closing = "{}" if isinstance(item, dict) else "[]"
        waiting += (closing, *reversed(inside[1:]), opening)


def _utf16(key: str) -> bytes:
    # The order that RFC 8785 asks for.
    return key.encode("utf-16-be", "surrogatepass")


def _number(text: str) -> str:
    """Return a number as ECMAScript writes it, but with all of its digits; any other text as it is."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        return text
    sign, whole, fraction, exponent = match.groups(default="")
    digits = (whole + fraction).lstrip("0")
    # The value is 0.DIGITS times ten to the power of this.
    point = len(digits) + int(exponent or 0) - len(fraction)
    digits = digits.rstrip("0")
    if not digits:
        return "0"
    if len(digits) <= point <= 21:
        return sign + digits.ljust(point, "0")
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    mantissa = f"{digits[0]}.{digits[1:]}".rstrip(".")
    return f"{sign}{mantissa}e{point - 1:+d}"
