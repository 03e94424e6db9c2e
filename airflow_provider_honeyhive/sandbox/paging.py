"""One page for one query: what the store holds, as the behaviour shows it."""

from __future__ import annotations

import time
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive.sandbox.answers import Answer, Refusal, dump_json, page_answer, proxy_error
from airflow_provider_honeyhive.sandbox.filters import Filter, lookup
from airflow_provider_honeyhive.sandbox.times import SECOND_US, to_us

if TYPE_CHECKING:
    from collections.abc import Iterable
    from random import Random

    from airflow_provider_honeyhive.sandbox.behaviour import Behaviour
    from airflow_provider_honeyhive.sandbox.dialects import Query
    from airflow_provider_honeyhive.sandbox.store import EventStore, StoredEvent

#: Where an event says which experiment run it belongs to.
EVALUATION_FIELDS = ("metadata.run_id", "metadata.evaluation_id", "evaluation_id", "run_id")
#: Field, operator and type of the condition that every store of traces has an index for.
_IS_SESSION = ("session_id", "is", "string")


@dataclass(frozen=True)
class _Page:
    events: list[StoredEvent]
    total: int
    skipped: int


def answer_query(store: EventStore, query: Query, behaviour: Behaviour, random: Random) -> Answer:
    """Answer a query that has passed the checks.

    :raises Refusal: 400 for a page beyond the last, where the behaviour says so.
    """
    page = _select(store, query, behaviour, random)
    raws = [event.raw for event in page.events]
    if query.projections is not None:
        raws = [projected(event, query.projections) for event in page.events]
    totals = {
        "events_total": page.total,
        "page": len(raws),
        "wrong": behaviour.wrong_total,
        "null": None,
    }
    total = None if behaviour.total == "absent" else dump_json(totals[behaviour.total])
    answer = page_answer(raws, total, behaviour.total_key or query.dialect.total_key, pretty=behaviour.pretty)
    wait = behaviour.latency + behaviour.latency_per_event * len(raws)
    time.sleep(wait + behaviour.latency_per_skipped * page.skipped)
    if behaviour.max_answer_bytes is not None and len(answer.body) > behaviour.max_answer_bytes:
        return proxy_error(behaviour.heavy_status)
    return answer


def _select(store: EventStore, query: Query, behaviour: Behaviour, random: Random) -> _Page:
    start, end = (None, None) if behaviour.ignore_date_range else _shown_range(query, behaviour)
    filters = query.filters
    if behaviour.ignore_time_filters:
        filters = tuple(each for each in filters if (each.field, each.type) != ("start_time", "datetime"))
    conditions = tuple(each for each in filters if each.time_bounds is None)
    first, last = _narrowest(each.time_bounds for each in filters)
    other_field = behaviour.date_range_field
    if other_field is None:
        first, last = _narrowest([(first, last), (start, end)])

    def accepts(event: StoredEvent) -> bool:
        return _meets(event.decoded(), conditions, query.evaluation_id)

    limit = min(query.limit, behaviour.cap or query.limit)
    stride = limit if behaviour.cap_affects_offset else query.limit
    offset = (query.page - 1) * stride
    with store.lock:
        condition = (conditions, query.evaluation_id) if conditions or query.evaluation_id else None
        shelf = store.shelf(condition, accepts, _only_session(conditions))
        begin, stop = shelf.span(first, last)
        if behaviour.order == "desc" and not query.ignore_order and other_field is None:
            total = stop - begin
            offset = _past_end(offset, stride, total, behaviour)
            events = shelf.events[max(begin, stop - offset - limit) : max(begin, stop - offset)][::-1]
            return _Page(events, total, offset)
        found = shelf.events[begin:stop]
    if other_field is not None:
        found = [event for event in found if _within(lookup(event.decoded(), other_field), start, end)]
    ordered = _ordered(found, "ignored" if query.ignore_order else behaviour.order, random)
    offset = _past_end(offset, stride, len(found), behaviour)
    return _Page(ordered[offset : offset + limit], len(found), offset)


def _only_session(conditions: Iterable[Filter]) -> str | None:
    """Return the session that all events of an answer must belong to, if the conditions say one."""
    return next((each.value for each in conditions if (each.field, each.operator, each.type) == _IS_SESSION), None)


def _shown_range(query: Query, behaviour: Behaviour) -> tuple[int | None, int | None]:
    start, end = query.start, query.end
    if behaviour.truncate_bounds == "second":
        start = None if start is None else start - start % SECOND_US
        end = None if end is None else end - end % SECOND_US
    if behaviour.exclusive_end and end is not None:
        end -= 1
    return start, end


def _narrowest(bounds: Iterable[tuple[int | None, int | None] | None]) -> tuple[int | None, int | None]:
    known = [each for each in bounds if each is not None]
    starts = [start for start, _ in known if start is not None]
    ends = [end for _, end in known if end is not None]
    return max(starts, default=None), min(ends, default=None)


def _meets(event: Any, conditions: tuple[Filter, ...], evaluation_id: str | None) -> bool:
    if evaluation_id is not None and not any(lookup(event, field) == evaluation_id for field in EVALUATION_FIELDS):
        return False
    return all(condition.matches(event) for condition in conditions)


def _within(value: Any, start: int | None, end: int | None) -> bool:
    if start is None and end is None:
        return True
    us = to_us(value)
    return us is not None and (start is None or us >= start) and (end is None or us <= end)


def _ordered(found: list[StoredEvent], order: str, random: Random) -> list[StoredEvent]:
    """Put events that come oldest first into an order; ``ignored`` is unsorted, but the same at each request."""
    keys = {
        "asc": None,
        "desc": lambda event: -event.sort_time,
        "ties_random": lambda event: (-event.sort_time, random.random()),
        "random": lambda event: random.random(),
        "ignored": lambda event: zlib.crc32(event.raw),
    }
    key = keys[order]
    if key is None:
        return found
    # Newest first means ties, too, as in the plain case.
    return sorted(found, key=key)


def _past_end(offset: int, stride: int, total: int, behaviour: Behaviour) -> int:
    if offset == 0 or offset < total:
        return offset
    if behaviour.past_end == "error":
        raise Refusal(400, "page: beyond the last page")
    if behaviour.past_end == "repeat":
        return max(0, (total - 1) // stride * stride)
    return offset


def projected(event: StoredEvent, fields: tuple[str, ...]) -> bytes:
    """Serialize only some fields of an event; dotted names keep their nesting."""
    decoded = event.decoded()
    if not isinstance(decoded, dict):
        return event.raw
    shown: dict[str, Any] = {}
    for field in fields:
        *parents, leaf = field.split(".")
        value = lookup(decoded, field)
        if field in decoded:
            shown[field] = value
        if field in decoded or value is None or parents[0] in fields:
            continue
        inner = shown
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[leaf] = value
    return dump_json(shown)
