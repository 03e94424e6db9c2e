"""Bytes of an answer -> a page of raw events, with id, time and project decoded and nothing else.

An event stays the bytes the server sent: no number is reformatted, no escape rewritten, no key dropped or
moved. msgspec splits the answer; what it refuses although JSON allows it (half a surrogate pair, which
logs of texts cut at UTF-16 units are full of) or servers send all the same (``NaN``) goes through a slower
splitter built on regular expressions. Only raw control characters in strings do not stay: a line
break there would be the end of a line in files of lines, so they become their escapes.

Whatever an answer holds, reading it takes no more memory than some copies of it: values are built of nothing but the
few names, times and numbers that are looked at, and of so many events at the most.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import msgspec

from airflow_provider_honeyhive.display import shown
from airflow_provider_honeyhive.events.raw import (
    Head,
    RawEvent,
    check_json,
    load_event,
    on_one_line,
    read_head,
    strict_head_decoder,
    with_controls_escaped,
)
from airflow_provider_honeyhive.events.scan import STRING, find_end, skip_space, text_of
from airflow_provider_honeyhive.exceptions import HoneyHiveResponseError
from airflow_provider_honeyhive.models.window import event_micros

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable


#: (``project``, ``project_id``) as an event names them; None where it does not.
ProjectNames: TypeAlias = tuple[str | None, str | None]

#: An answer of more events is refused, whatever was asked for. No endpoint gives more than 7,500; a server that looks
#: at no limit may.
MOST_EVENTS = 20_000

#: A larger number of events is none.
LARGEST_TOTAL = 2**63 - 1

#: No number that may be a total has a longer text.
_LONGEST_TOTAL = 32

_SHOWN_BYTES = 200

#: How many names of what came instead of a page an error tells, and how many characters of each.
_SHOWN_NAMES, _LONGEST_NAME = 10, 40


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


_NOTHING = msgspec.Raw()

#: An answer of at most so many bytes may be split into a list: whatever is in it, that takes some 5 MB.
_SMALL_ANSWER_BYTES = 2**17

#: Structures of so many fields: each takes time to make, and to fill. Most answers fit one of the smaller.
_PLACES = (1_024, 4_096, MOST_EVENTS)


def _decoder(events: Any) -> Any:
    members: list[Any] = [("events", events), ("totalEvents", msgspec.Raw, _NOTHING), ("count", msgspec.Raw, _NOTHING)]
    return msgspec.json.Decoder(msgspec.defstruct("_Envelope", members))


_small_decoder = _decoder(Annotated[list[msgspec.Raw], msgspec.Meta(max_length=MOST_EVENTS)])


@cache
def _large_decoder(most: int) -> Any:
    """Return what splits an answer of any size, and refuses it at the event that is too many.

    So not with a list, which is built to its end before its length is looked at, but with a structure of so many
    fields, which a list that is shorter fills from the front.
    """
    places: list[Any] = [(f"event_{number}", msgspec.Raw, None) for number in range(most)]
    return _decoder(msgspec.defstruct("_Events", places, array_like=True, forbid_unknown_fields=True, gc=False))


def decode_page(body: bytes | memoryview, limit: int) -> Page:
    """Split an answer to a request for ``limit`` events.

    An answer whose ``events`` are null is a page without any, where the number beside them says 0.

    :raises HoneyHiveResponseError: it is not JSON, or not an object with a list of objects as ``events``, or has more
        than 20,000 of them.
    :raises MemoryError: there is no memory for it.
    """
    try:
        return _decode_strictly(body, limit)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        # Not a verdict yet: JSON allows more than msgspec takes.
        return _decode_tolerantly(body, limit)


def _decode_strictly(body: bytes | memoryview, limit: int) -> Page:
    if len(body) <= _SMALL_ANSWER_BYTES:
        envelope = _small_decoder.decode(body)
        texts = envelope.events
    else:
        envelope = _split_strictly(body, limit)
        texts = msgspec.structs.astuple(envelope.events)
        if texts[-1] is None:
            texts = texts[: texts.index(None)]
    heads = [strict_head_decoder.decode(text) for text in texts]
    raws: list[RawEvent] = list(texts)
    if _has_line_breaks(body):
        raws = [on_one_line(raw) for raw in raws]
    return _page(raws, heads, (envelope.totalEvents, envelope.count), len(body), limit)


def _split_strictly(body: bytes | memoryview, limit: int) -> Any:
    places = next((places for places in _PLACES if limit < places), MOST_EVENTS)
    try:
        return _large_decoder(places).decode(body)
    except msgspec.ValidationError:
        if places == MOST_EVENTS:
            raise
        # Perhaps there are more events than were asked for.
        return _large_decoder(MOST_EVENTS).decode(body)


def _has_line_breaks(body: bytes | memoryview) -> bool:
    # In what the view is of, from its beginning on: that can be searched without a copy.
    whole: Any = body.obj if isinstance(body, memoryview) else body
    return any(whole.find(mark, 0, len(body)) >= 0 for mark in (b"\n", b"\r"))


def _page(
    raws: list[RawEvent], heads: list[Head], totals: Iterable[RawEvent | msgspec.Raw], size: int, limit: int
) -> Page:
    return Page(
        raw_events=raws,
        # The usual kind first: a call for each event is a good part of what an event costs.
        ids=[
            head.event_id if type(head.event_id) is str and head.event_id else _identity(head.event_id, raw)
            for head, raw in zip(heads, raws, strict=True)
        ],
        times=[event_micros(head.start_time) for head in heads],
        projects=_projects(heads),
        total=_first_total(totals),
        size_bytes=size,
        limit=limit,
    )


def _identity(event_id: Any, raw: RawEvent) -> Hashable:
    if isinstance(event_id, str | int) and event_id != "":
        return event_id
    return blake2b(raw, digest_size=16).digest()


def _projects(heads: list[Head]) -> frozenset[ProjectNames]:
    pairs = {(head.project, head.project_id) for head in heads}
    return frozenset((_text(name), _text(project_id)) for name, project_id in pairs)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


_decode_number = msgspec.json.Decoder(int | float).decode


def _first_total(texts: Iterable[RawEvent | msgspec.Raw]) -> int | None:
    return next((number for number in map(_total, texts) if number is not None), None)


def _total(text: RawEvent | msgspec.Raw) -> int | None:
    """Return the number of events that a JSON text is, None where it can be none."""
    if len(text) > _LONGEST_TOTAL:
        return None
    try:
        number = _decode_number(bytes(text))
    except msgspec.MsgspecError:
        return None
    return int(number) if 0 <= number <= LARGEST_TOTAL and number == int(number) else None


# ------------------------------------------------------------------------------ the tolerant splitter

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_NULL = b"null"

_IDENTIFIER = re.compile(r"[A-Za-z0-9_.-]+")

_NAME = re.compile(rb"(" + STRING + rb")[ \t\r\n]*+:[ \t\r\n]*+", re.DOTALL)


def _decode_tolerantly(body: bytes | memoryview, limit: int) -> Page:
    try:
        raws, totals = _split(body)
        heads = [_head_of(raw) for raw in raws]
    except ValueError as error:
        raise HoneyHiveResponseError(_what_came_instead(body, str(error))) from None
    return _page([with_controls_escaped(raw) for raw in raws], heads, totals, len(body), limit)


def _split(body: bytes | memoryview) -> tuple[list[bytes], list[bytes]]:
    """Return the texts of the events, and those of the members that may be totals."""
    raws: list[bytes] | None = None
    totals = {"totalEvents": b"", "count": b""}
    names: set[str] = set()
    is_null = False
    at = skip_space(body, len(_BYTE_ORDER_MARK) if body[: len(_BYTE_ORDER_MARK)] == _BYTE_ORDER_MARK else 0)
    at = _behind(body, at, b"{")
    while not _stands(body, at, b"}"):
        match = _NAME.match(body, at)
        if match is None:
            raise ValueError(f"expected a name at byte {at}")
        name, at = text_of(bytes(match[1])), match.end()
        if name == "events":
            start = at
            raws, at = _elements(body, at) if _stands(body, at, b"[") else (None, _end_of(body, at))
            is_null = at - start == len(_NULL) and body[start:at] == _NULL
        else:
            start, at = at, _end_of(body, at)
            if name in totals:
                totals[name] = bytes(body[start : min(at, start + _LONGEST_TOTAL + 1)])
        if len(names) < _SHOWN_NAMES and _IDENTIFIER.fullmatch(name):
            names.add(ascii(shown(name, _LONGEST_NAME)))
        at = _behind_separator(body, at, b"}")
    if raws is None and is_null:
        if (total := _first_total(totals.values())) != 0:
            beside = "no total" if total is None else f"a total of {total:,}"
            raise ValueError(f'"events" is null, not a list, with {beside} beside it')
        raws = []
    if raws is None:
        # Identifiers only: values and other names may hold content, and an "error" of a proxy may be anything.
        raise ValueError(f'it has no list "events" but {", ".join(sorted(names)) or "nothing that is known"}')
    if skip_space(body, at + 1) < len(body):
        raise ValueError(f"something stands behind its end at byte {at + 1}")
    return raws, list(totals.values())


def _elements(body: bytes | memoryview, at: int) -> tuple[list[bytes], int]:
    """Return the objects of the list at ``at``, and where it ends."""
    found: list[bytes] = []
    at = _behind(body, at, b"[")
    while not _stands(body, at, b"]"):
        if not _stands(body, at, b"{"):
            raise ValueError(f"an event at byte {at} is not an object")
        if len(found) == MOST_EVENTS:
            raise ValueError(f"it has more than {MOST_EVENTS:,} events")
        start, at = at, _end_of(body, at)
        found.append(bytes(body[start:at]))
        at = _behind_separator(body, at, b"]")
    return found, at + 1


def _head_of(raw: bytes) -> Head:
    try:
        return strict_head_decoder.decode(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        check_json(raw)
        return read_head(raw)


def _end_of(body: bytes | memoryview, at: int) -> int:
    end = find_end(body, at)
    if end is None:
        raise ValueError(f"the value at byte {at} ends too early")
    return end


def _stands(body: bytes | memoryview, at: int, mark: bytes) -> bool:
    return body[at : at + 1] == mark


def _behind(body: bytes | memoryview, at: int, mark: bytes) -> int:
    if not _stands(body, at, mark):
        raise ValueError(f"expected {mark.decode()!r} at byte {at}")
    return skip_space(body, at + 1)


def _behind_separator(body: bytes | memoryview, at: int, end: bytes) -> int:
    at = skip_space(body, at)
    return at if _stands(body, at, end) else _behind(body, at, b",")


def _what_came_instead(body: bytes | memoryview, reason: str) -> str:
    start = bytes(body[:_SHOWN_BYTES]).lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        return (
            "the server answered 200 with a web page instead of JSON: the connection's host is not the "
            "HoneyHive API, or a proxy or sign-in page stands before it"
        )
    return f"the answer of {len(body)} bytes cannot be read as a page of events: {reason}"
