"""JSON texts as texts: taken apart and mended without decoding them, however deep they are nested.

For what stricter decoders refuse although servers send it. The texts must be such as Python's ``json`` takes with
``strict=False``, bytes that are no UTF-8 aside; that is what :mod:`.pages` lets through.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

_STRING_OR_MARK = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[{}\[\],:]', re.DOTALL)
_STRING_OR_NO_NUMBER = re.compile(r'"(?:[^"\\]++|\\.)*+"|NaN|-?Infinity', re.DOTALL)
#: An escape or a raw control character; begins with a set of characters, because searching for one is quick.
_IN_STRING = re.compile(
    r"[\\\x00-\x1f](?:(?<=\\)(?:"
    r"u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.))?"
)

_raw_decoder = msgspec.json.Decoder(msgspec.Raw)


def members(text: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the texts of name and value of each member of the JSON object ``text``, repeated names too."""
    depth, start = 0, 0
    name: bytes | None = None
    for match in _STRING_OR_MARK.finditer(text):
        mark = match[0]
        if mark in (b"{", b"["):
            depth += 1
        elif mark in (b"}", b"]"):
            depth -= 1
        if depth > 1:
            continue
        if name is None:
            name = mark if mark[:1] == b'"' else None
        elif mark == b":":
            start = match.end()
        elif mark == b"," or depth == 0:
            yield name, text[start : match.start()].strip()
            name = None


def is_strict(text: bytes) -> bool:
    """Return whether strict decoders take the JSON text ``text``, too."""
    try:
        check_utf8(text)
        _raw_decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False
    except RecursionError:
        return mended(text) == text
    return True


def check_utf8(text: bytes | memoryview) -> None:
    """Check what msgspec does not look at.

    :raises UnicodeDecodeError: ``text`` is no UTF-8.
    """
    str(text, "utf-8")


def mended(text: bytes) -> bytes:
    """Return the JSON text ``text`` with whatever strict JSON does not allow replaced by the nearest that it does.

    Half a surrogate pair and bytes that are no UTF-8 become U+FFFD, a raw control character in a string becomes its
    escape, and ``NaN`` and the infinities become null. A text that needs none of this stays as it is.
    """
    return _STRING_OR_NO_NUMBER.sub(_mended_part, text.decode("utf-8", "replace")).encode()


def _mended_part(match: re.Match[str]) -> str:
    return _IN_STRING.sub(_mended_character, match[0]) if match[0].startswith('"') else "null"


def _mended_character(match: re.Match[str]) -> str:
    if match["half"]:
        return r"\ufffd"
    return match[0] if match[0].startswith("\\") else f"\\u{ord(match[0]):04x}"


def quoted(text: str) -> bytes:
    """Return ``text`` as a JSON string."""
    return msgspec.json.encode(text)


def joined(pairs: list[tuple[str, bytes]]) -> bytes:
    """Return the JSON object with these names and texts of values."""
    return b"{" + b",".join(quoted(name) + b":" + text for name, text in pairs) + b"}"
