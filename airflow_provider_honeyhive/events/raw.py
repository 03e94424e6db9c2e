"""JSON texts as texts: taken apart and mended without decoding them, however deep they are nested.

For what stricter decoders refuse although servers send it. The texts must be such as Python's ``json`` takes with
``strict=False``, bytes that are no UTF-8 aside; that is what :mod:`~airflow_provider_honeyhive.api.pages` lets through.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import msgspec

from airflow_provider_honeyhive.events.scan import member_spans
from airflow_provider_honeyhive.exceptions import HoneyHiveResponseError
from airflow_provider_honeyhive.models.window import to_micros

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


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


#: The bytes of one event; a view keeps the whole answer in memory.
RawEvent: TypeAlias = bytes | memoryview

_STRING_OR_SPACE = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[ \t\r\n]++', re.DOTALL)

_CONTROLS = bytes(range(0x20))

_CONTROL = re.compile(rb"[\x00-\x1f]")

_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]++|\\.)*+"|[{}\[\]]', re.DOTALL)

_SPACE = re.compile(r"[ \t\r\n]*")


T = TypeVar("T", bound=msgspec.Struct)


class Head(msgspec.Struct):
    """What reading needs to know of each event."""

    event_id: Any = None
    start_time: Any = None
    project: Any = None
    project_id: Any = None


strict_head_decoder = msgspec.json.Decoder(Head)


def load_event(raw: RawEvent) -> dict[str, Any]:
    """Decode one event, whatever its bytes hold.

    :raises HoneyHiveResponseError: it is nested too deeply for Python objects.
    """
    try:
        event: dict[str, Any] = json.loads(str(raw, "utf-8", "surrogateescape"), strict=False)
    except RecursionError:
        raise HoneyHiveResponseError(
            "an event is nested too deeply for Python objects; give output_path to write it to a file as it is"
        ) from None
    return event


def head_decoder(kind: type[T]) -> Callable[[RawEvent], T]:
    """Return what decodes some members of an event, whatever its bytes hold, without looking into the others.

    :param kind: a ``msgspec.Struct`` with these members, all of type Any.
    :return: raises ValueError for what is no JSON object.
    """
    decode = msgspec.json.Decoder(kind).decode
    names = [item.encode_name for item in msgspec.structs.fields(kind)]

    def read(raw: RawEvent) -> T:
        try:
            return decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            event = shallow_event(raw)
            return kind(*map(event.get, names))

    return read


_read_head = head_decoder(Head)


def time_of(raw: RawEvent) -> int | None:
    """Return the ``start_time`` of one event in microseconds since 1970, None where it has none.

    :raises ValueError: it is no JSON object.
    """
    return to_micros(_read_head(raw).start_time)


def shallow_event(raw: RawEvent) -> dict[str, Any]:
    """Decode an event's own members, with null for what is nested in them, however deeply.

    :raises ValueError: it is no JSON object.
    """
    event = shallow_value(str(raw, "utf-8", "surrogateescape"), 0)[0]
    if not isinstance(event, dict):
        raise ValueError("not a JSON object")
    return event


def on_one_line(raw: RawEvent) -> bytes:
    """Return the JSON text ``raw`` without its insignificant white space, if there are line breaks in it."""
    raw = bytes(raw)
    if b"\n" not in raw and b"\r" not in raw:
        return raw
    return _STRING_OR_SPACE.sub(lambda match: match[0] if match[0][:1] == b'"' else b"", raw)


def with_controls_escaped(raw: bytes) -> bytes:
    """Return the JSON text ``raw`` on one line: raw control characters in its strings become their escapes."""
    # Five times as fast as a search for a set of characters.
    if len(raw.translate(None, _CONTROLS)) == len(raw):
        return raw
    return _STRING_OR_SPACE.sub(_with_controls_escaped, raw)


def _with_controls_escaped(match: re.Match[bytes]) -> bytes:
    # What is no string is insignificant white space.
    return _CONTROL.sub(_escaped, match[0]) if match[0].startswith(b'"') else b""


def _escaped(match: re.Match[bytes]) -> bytes:
    return json.dumps(match[0].decode())[1:-1].encode()


def shallow_value(text: str, at: int) -> tuple[Any, int]:
    """Decode the value at ``at``, with null for all that is nested in it, however deeply; return its end too."""
    kept: list[str] = []
    depth, start = 0, at
    for match in _STRING_OR_BRACKET.finditer(text, at):
        if match[0] in ("{", "["):
            depth += 1
            if depth == 2:
                kept.append(text[start : match.start()] + "null")
        elif match[0] in ("}", "]"):
            depth -= 1
            if depth == 1:
                start = match.end()
            if depth == 0:
                return json.loads("".join(kept) + text[start : match.end()], strict=False), match.end()
    raise ValueError("it ends too early")


def skip_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def expect_mark(text: str, at: int, mark: str) -> int:
    if not text.startswith(mark, at):
        raise ValueError(f"expected {mark!r} at offset {at}")
    return skip_space(text, at + 1)


def skip_separator(text: str, at: int, end: str) -> int:
    at = skip_space(text, at)
    return at if text.startswith(end, at) else expect_mark(text, at, ",")
