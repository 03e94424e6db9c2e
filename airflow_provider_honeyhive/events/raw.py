"""JSON texts as texts: taken apart and mended without decoding them, however deep they are nested.

For what stricter decoders refuse although servers send it. The texts must be such as Python's ``json`` takes with
``strict=False``, bytes that are no UTF-8 aside; that is what :mod:`~airflow_provider_honeyhive.api.pages` lets through.
No more memory is used than some copies of the text, whatever is in it; only :func:`load_event` builds what it holds.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import msgspec

from airflow_provider_honeyhive.events.scan import decode_json, member_spans, spans_by_scanning
from airflow_provider_honeyhive.exceptions import HoneyHiveResponseError
from airflow_provider_honeyhive.models.window import event_micros

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator


_STRING_OR_NO_NUMBER = re.compile(r'"(?:[^"\\]++|\\.)*+"|NaN|-?Infinity', re.DOTALL)

#: An escape or a raw control character; begins with a set of characters, because searching for one is quick.
_IN_STRING = re.compile(
    r"[\\\x00-\x1f](?:(?<=\\)(?:"
    r"u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.))?"
)

_raw_decoder = msgspec.json.Decoder(msgspec.Raw)


def member_texts(text: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the texts of name and value of each member of the JSON object ``text``, repeated names too."""
    text = text.strip(b" \t\r\n")
    for _, name_start, value_start, value_end in member_spans(text, 0, len(text)):
        yield text[name_start:value_start].rstrip(b": \t\r\n"), text[value_start:value_end]


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


#: The bytes of one event. What is no ``bytes`` keeps the whole answer in memory; unlike with a ``memoryview``, Python's
#: garbage collector has nothing to look at.
RawEvent: TypeAlias = bytes | msgspec.Raw

_STRING_OR_NO_SPACE = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[^ \t\r\n"]++', re.DOTALL)

#: Raw control character -> its escape.
_CONTROLS = {bytes([number]): json.dumps(chr(number))[1:-1].encode() for number in range(0x20)}

_ALL_CONTROLS = b"".join(_CONTROLS)

#: What only strings may hold becomes a question mark, and what may be between them, too, a space.
_LIKE_ASCII = bytes(
    ord(" ") if number in b"\t\n\r" else ord("?") if number < 0x20 or number > 0x7F else number for number in range(256)
)

#: In this order. Half of an escaped pair becomes another character, and what is no number becomes a list, which is no
#: escape behind a backslash, nor a digit behind others. Inside of strings neither matters.
_LIKE_STRICT = (
    (rb"\ud", rb"\u0"),
    (rb"\uD", rb"\u0"),
    (b"-Infinity", b"[]"),
    (b"Infinity", b"[]"),
    (b"NaN", b"[]"),
)

T = TypeVar("T", bound=msgspec.Struct)


#: A value in which nothing is nested, so that decoding it builds no more than that.
Scalar: TypeAlias = str | int | float | bool | None


class Head(msgspec.Struct, gc=False):
    """What reading needs to know of each event; None where that is a list or an object."""

    event_id: Scalar = None
    start_time: Scalar = None
    project: Scalar = None
    project_id: Scalar = None


strict_head_decoder = msgspec.json.Decoder(Head)


def load_event(raw: RawEvent) -> dict[str, Any]:
    """Decode one event, whatever its bytes hold; integers of more than 4,300 digits become texts.

    :raises HoneyHiveResponseError: it is nested too deeply for Python objects.
    """
    try:
        event: dict[str, Any] = decode_json(str(raw, "utf-8", "surrogateescape"))
    except RecursionError:
        raise HoneyHiveResponseError(
            "an event is nested too deeply for Python objects; give output_path to write it to a file as it is"
        ) from None
    return event


def head_decoder(kind: type[T]) -> Callable[[RawEvent], T]:
    """Return what decodes some members of an event, whatever its bytes hold, without looking into the others.

    :param kind: a ``msgspec.Struct`` with these members, all of type :data:`Scalar`.
    :return: raises ValueError for what is no JSON object.
    """
    decode = msgspec.json.Decoder(kind).decode
    names = [item.encode_name for item in msgspec.structs.fields(kind)]

    def read(raw: RawEvent) -> T:
        try:
            return decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            found = _scalars(bytes(raw).strip(b" \t\r\n"), names)
            return kind(*map(found.get, names))

    return read


def _scalars(event: bytes, names: Collection[str]) -> dict[str, Any]:
    """Return those members of an event that have these names, where nothing is nested in them."""
    found: dict[str, Any] = {}
    for name, _, start, end in spans_by_scanning(event, 0, len(event)):
        if name in names:
            is_nested = event.startswith((b"{", b"["), start)
            found[name] = None if is_nested else decode_json(event[start:end].decode("utf-8", "surrogateescape"))
    return found


read_head = head_decoder(Head)


def time_of(raw: RawEvent) -> int | None:
    """Return the ``start_time`` of one event in microseconds since 1970, None where it has none.

    :raises ValueError: it is no JSON object.
    """
    return event_micros(read_head(raw).start_time)


def check_json(raw: RawEvent) -> None:
    """Check that a text is JSON as Python's ``json`` takes it, without decoding it.

    A text that is nested too deeply for the stack is taken without a look at what is in it.

    :raises ValueError: it is not.
    """
    text = bytes(raw).translate(_LIKE_ASCII)
    for odd, strict in _LIKE_STRICT:
        text = text.replace(odd, strict)
    try:
        _raw_decoder.decode(text)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from None
    except RecursionError:
        return


def on_one_line(raw: RawEvent) -> bytes:
    """Return the JSON text ``raw`` without its insignificant white space, if there are line breaks in it."""
    raw = bytes(raw)
    if b"\n" not in raw and b"\r" not in raw:
        return raw
    return _without_space(raw)


def with_controls_escaped(raw: bytes) -> bytes:
    """Return the JSON text ``raw`` on one line: raw control characters in its strings become their escapes."""
    # Five times as fast as a search for a set of characters.
    if len(raw.translate(None, _ALL_CONTROLS)) == len(raw):
        return raw
    text = _without_space(raw)
    for control, escape in _CONTROLS.items():
        text = text.replace(control, escape)
    return text


def _without_space(raw: bytes) -> bytes:
    # Not by sub(), which would keep a list of all pieces.
    text = bytearray()
    for match in _STRING_OR_NO_SPACE.finditer(raw):
        text += match[0]
    return bytes(text)
