"""Bytes of an answer -> a page of raw events, with id, time and project decoded and nothing else.

An event stays the bytes the server sent: no number is reformatted, no escape rewritten, no key dropped or
moved. msgspec splits the answer; what it refuses although JSON allows it (half a surrogate pair, which
logs of texts cut at UTF-16 units are full of) or servers send all the same (``NaN``) goes through a slower
splitter built on the standard library's ``json``. Only raw control characters in strings do not stay: a line
break there would be the end of a line in files of lines, so they become their escapes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from airflow_provider_honeyhive.events.raw import (
    Head,
    RawEvent,
    expect_mark,
    load_event,
    on_one_line,
    shallow_value,
    skip_separator,
    skip_space,
    strict_head_decoder,
    with_controls_escaped,
)
from airflow_provider_honeyhive.exceptions import HoneyHiveResponseError
from airflow_provider_honeyhive.models.window import to_micros

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable


#: (``project``, ``project_id``) as an event names them; None where it does not.
ProjectNames: TypeAlias = tuple[str | None, str | None]

_SHOWN_BYTES = 200


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


_envelope_decoder = msgspec.json.Decoder(_Envelope)


def decode_page(body: bytes | memoryview, limit: int) -> Page:
    """Split an answer to a request for ``limit`` events.

    :raises HoneyHiveResponseError: it is not JSON, or not an object with a list of objects as ``events``.
    """
    try:
        envelope = _envelope_decoder.decode(body)
        heads = [strict_head_decoder.decode(raw) for raw in envelope.events]
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


def _page(raws: list[RawEvent], heads: list[Head], totals: tuple[Any, Any], size: int, limit: int) -> Page:
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


def _projects(heads: list[Head]) -> frozenset[tuple[str | None, str | None]]:
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


# ------------------------------------------------------------------------------ the tolerant splitter


def _decode_tolerantly(body: bytes | memoryview, limit: int) -> Page:
    # surrogateescape: bytes that are no UTF-8 come out again as they went in.
    text = str(body, "utf-8", "surrogateescape")
    try:
        raws, heads, totals = _split(text)
    except (ValueError, RecursionError, StopIteration) as error:
        raise HoneyHiveResponseError(_what_came_instead(body, error)) from None
    return _page([with_controls_escaped(raw) for raw in raws], heads, totals, len(body), limit)


def _split(text: str) -> tuple[list[bytes], list[Head], tuple[Any, Any]]:
    decoder = json.JSONDecoder(strict=False)
    spans: list[tuple[int, int]] = []
    heads: list[Head] = []
    members: dict[str, Any] = {}
    at = expect_mark(text, skip_space(text, 1 if text.startswith("\ufeff") else 0), "{")
    while not text.startswith("}", at):
        key, at = decoder.raw_decode(text, at)
        at = expect_mark(text, skip_space(text, at), ":")
        if key == "events" and text.startswith("[", at):
            at = skip_space(text, at + 1)
            while not text.startswith("]", at):
                start = at
                try:
                    event, at = decoder.raw_decode(text, at)
                except RecursionError:
                    event, at = shallow_value(text, at)
                if not isinstance(event, dict):
                    raise ValueError(f"an event at offset {start} is not an object")
                spans.append((start, at))
                heads.append(Head(*(event.get(name) for name in Head.__struct_fields__)))
                at = skip_separator(text, at, "]")
            at += 1
            members[key] = spans
        else:
            members[key], at = decoder.raw_decode(text, at)
        at = skip_separator(text, at, "}")
    if members.get("events") is not spans:
        raise ValueError(_no_events(members))
    raws = [text[start:end].encode("utf-8", "surrogateescape") for start, end in spans]
    return raws, heads, (members.get("totalEvents"), members.get("count"))


def _no_events(members: dict[str, Any]) -> str:
    # Names only: values may hold content, and an "error" of a proxy may be anything.
    names = ", ".join(sorted(ascii(name) for name in members)[:10]) or "nothing"
    return f'it has no list "events" but {names}'


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
