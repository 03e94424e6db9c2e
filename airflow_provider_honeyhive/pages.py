"""Bytes of an answer -> a page of raw events, with id, time and project decoded and nothing else.

An event stays the bytes the server sent: no number is reformatted, no escape rewritten, no key dropped or
moved. msgspec splits the answer; what it refuses although JSON allows it (half a surrogate pair, which
logs of texts cut at UTF-16 units are full of) or servers send all the same (``NaN``) goes through a slower
splitter built on the standard library's ``json``.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from airflow_provider_honeyhive.exceptions import HoneyHiveResponseError
from airflow_provider_honeyhive.windows import to_micros

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

#: The bytes of one event; a view keeps the whole answer in memory.
RawEvent: TypeAlias = bytes | memoryview
#: (``project``, ``project_id``) as an event names them; None where it does not.
ProjectNames: TypeAlias = tuple[str | None, str | None]

_SHOWN_BYTES = 200
_STRING_OR_SPACE = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[ \t\r\n]++', re.DOTALL)
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]++|\\.)*+"|[{}\[\]]', re.DOTALL)
_SPACE = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True, slots=True)
class Page:
    """One answer of the API.

    :param raw_events: each event's own bytes (or a view of them), on one line, in the order of the answer.
    :param ids: what tells each event from the others: its ``event_id``, or a hash of it where it has none.
    :param times: each event's ``start_time`` in microseconds since 1970, None where it has none.
    :param projects: the distinct projects that the events name.
    :param total: the number the answer reports (``totalEvents`` or ``count``), if any; whether it is the
        total or the number in this page is not known.
    :param size_bytes: size of the answer, decompressed.
    :param limit: how many events were asked for.
    """

    raw_events: list[RawEvent]
    ids: list[Hashable]
    times: list[int | None]
    projects: frozenset[ProjectNames]
    total: int | None
    size_bytes: int
    limit: int

    def __len__(self) -> int:
        return len(self.raw_events)

    def __repr__(self) -> str:
        return f"Page({len(self)} events, total={self.total}, {self.size_bytes} bytes)"

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events as Python objects."""
        return [load_event(raw) for raw in self.raw_events]


class _Envelope(msgspec.Struct):
    events: list[msgspec.Raw]
    total: Any = msgspec.field(default=None, name="totalEvents")
    count: Any = None


class _Head(msgspec.Struct):
    event_id: Any = None
    start_time: Any = None
    project: Any = None
    project_id: Any = None


_envelope_decoder = msgspec.json.Decoder(_Envelope)
_head_decoder = msgspec.json.Decoder(_Head)


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


def time_of(raw: RawEvent) -> int | None:
    """Return the ``start_time`` of one event in microseconds since 1970, None where it has none.

    :raises ValueError: it is no JSON.
    """
    try:
        return to_micros(_head_decoder.decode(raw).start_time)
    except RecursionError:
        return to_micros(_shallow(str(raw, "utf-8", "surrogateescape"), 0)[0].get("start_time"))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return to_micros(load_event(raw).get("start_time"))


def shallow_event(raw: RawEvent) -> dict[str, Any]:
    """Decode an event's own members, with null for what is nested in them, however deeply."""
    event: dict[str, Any] = _shallow(str(raw, "utf-8", "surrogateescape"), 0)[0]
    return event


def decode_page(body: bytes | memoryview, limit: int) -> Page:
    """Split an answer to a request for ``limit`` events.

    :raises HoneyHiveResponseError: it is not JSON, or not an object with a list of objects as ``events``.
    """
    try:
        envelope = _envelope_decoder.decode(body)
        heads = [_head_decoder.decode(raw) for raw in envelope.events]
        raws: list[RawEvent] = [memoryview(raw) for raw in envelope.events]
        if _has_line_breaks(body):
            raws = [on_one_line(raw) for raw in raws]
        return _page(raws, heads, (envelope.total, envelope.count), len(body), limit)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        # Not a verdict yet: JSON allows more than msgspec takes.
        return _decode_tolerantly(body, limit)


def _has_line_breaks(body: bytes | memoryview) -> bool:
    # In what the view is of: that can be searched without a copy.
    whole: Any = body.obj if isinstance(body, memoryview) else body
    return bool(whole.find(b"\n") >= 0 or whole.find(b"\r") >= 0)


def _page(raws: list[RawEvent], heads: list[_Head], totals: tuple[Any, Any], size: int, limit: int) -> Page:
    return Page(
        raw_events=raws,
        # The usual kind first: a call for each event is a good part of what an event costs.
        ids=[
            head.event_id if type(head.event_id) is str and head.event_id else _identity(head.event_id, raw)
            for head, raw in zip(heads, raws, strict=True)
        ],
        times=[to_micros(head.start_time) for head in heads],
        projects=_projects(heads),
        total=next((number for number in map(_whole_number, totals) if number is not None), None),
        size_bytes=size,
        limit=limit,
    )


def _identity(event_id: Any, raw: RawEvent) -> Hashable:
    if isinstance(event_id, str | int) and event_id != "":
        return event_id
    return blake2b(raw, digest_size=16).digest()


def _projects(heads: list[_Head]) -> frozenset[tuple[str | None, str | None]]:
    pairs: Iterable[tuple[Any, Any]]
    try:
        pairs = {(head.project, head.project_id) for head in heads}
    except TypeError:  # a list or an object among them
        pairs = [(head.project, head.project_id) for head in heads]
    return frozenset((_text(name), _text(project_id)) for name, project_id in pairs)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _whole_number(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1 or value < 0:
        return None
    return int(value)


def on_one_line(raw: RawEvent) -> bytes:
    """Return the JSON text ``raw`` without its insignificant white space, if there are line breaks in it."""
    raw = bytes(raw)
    if b"\n" not in raw and b"\r" not in raw:
        return raw
    return _STRING_OR_SPACE.sub(lambda match: match[0] if match[0][:1] == b'"' else b"", raw)


# ------------------------------------------------------------------------------ the tolerant splitter


def _decode_tolerantly(body: bytes | memoryview, limit: int) -> Page:
    # surrogateescape: bytes that are no UTF-8 come out again as they went in.
    text = str(body, "utf-8", "surrogateescape")
    try:
        raws, heads, totals = _split(text)
    except (ValueError, RecursionError, StopIteration) as error:
        raise HoneyHiveResponseError(_what_came_instead(body, error)) from None
    return _page([on_one_line(raw) for raw in raws], heads, totals, len(body), limit)


def _split(text: str) -> tuple[list[bytes], list[_Head], tuple[Any, Any]]:
    decoder = json.JSONDecoder(strict=False)
    spans: list[tuple[int, int]] = []
    heads: list[_Head] = []
    members: dict[str, Any] = {}
    at = _expect(text, _skip(text, 1 if text.startswith("\ufeff") else 0), "{")
    while not text.startswith("}", at):
        key, at = decoder.raw_decode(text, at)
        at = _expect(text, _skip(text, at), ":")
        if key == "events" and text.startswith("[", at):
            at = _skip(text, at + 1)
            while not text.startswith("]", at):
                start = at
                try:
                    event, at = decoder.raw_decode(text, at)
                except RecursionError:
                    event, at = _shallow(text, at)
                if not isinstance(event, dict):
                    raise ValueError(f"an event at offset {start} is not an object")
                spans.append((start, at))
                heads.append(_Head(*(event.get(name) for name in _Head.__struct_fields__)))
                at = _separator(text, at, "]")
            at += 1
            members[key] = spans
        else:
            members[key], at = decoder.raw_decode(text, at)
        at = _separator(text, at, "}")
    if members.get("events") is not spans:
        raise ValueError(_no_events(members))
    raws = [text[start:end].encode("utf-8", "surrogateescape") for start, end in spans]
    return raws, heads, (members.get("totalEvents"), members.get("count"))


def _shallow(text: str, at: int) -> tuple[Any, int]:
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


def _no_events(members: dict[str, Any]) -> str:
    # Names only: values may hold content, and an "error" of a proxy may be anything.
    names = ", ".join(sorted(ascii(name) for name in members)[:10]) or "nothing"
    return f'it has no list "events" but {names}'


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _expect(text: str, at: int, mark: str) -> int:
    if not text.startswith(mark, at):
        raise ValueError(f"expected {mark!r} at offset {at}")
    return _skip(text, at + 1)


def _separator(text: str, at: int, end: str) -> int:
    at = _skip(text, at)
    return at if text.startswith(end, at) else _expect(text, at, ",")


def _what_came_instead(body: bytes | memoryview, error: Exception) -> str:
    start = bytes(body[:_SHOWN_BYTES]).lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        return (
            "the server answered 200 with a web page instead of JSON: the connection's host is not the "
            "HoneyHive API, or a proxy or sign-in page stands before it"
        )
    reason = "it is nested too deeply" if isinstance(error, RecursionError) else _without_text(error)
    return f"the answer of {len(body)} bytes cannot be read as a page of events: {reason}"


def _without_text(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at offset {error.pos}"
    return str(error) or "it ends too early"
