"""One page for one query: what the store holds, as the behaviour shows it."""

from __future__ import annotations

import time
import zlib
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive.sandbox.answers import Answer, Refusal, dump_json, page_answer, proxy_error
from airflow_provider_honeyhive.sandbox.filters import Filter, lookup
from airflow_provider_honeyhive.sandbox.times import SECOND_US, to_us

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
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


def answer_query(store: EventStore, query: Query, behaviour: Behaviour, random: Random, *, lose: int = 0) -> Answer:
    """Answer a query that has passed the checks.

    :param lose: events to leave out of the answer, at places drawn from ``random``; never its first or its last.
    :raises Refusal: 400 for a page beyond the last, where the behaviour says so.
    """
    page = _select(store, query, behaviour, random)
    inner = range(1, len(page.events) - 1)
    lost = set(random.sample(inner, min(lose, len(inner))))
    raws = [_shown(event, query) for place, event in enumerate(page.events) if place not in lost]
    total = _reported(page.total, len(raws), len(store), behaviour, random)
    answer = page_answer(raws, total, behaviour.total_key or query.dialect.total_key, pretty=behaviour.pretty)
    wait = behaviour.latency + behaviour.latency_per_event * len(raws)
    time.sleep(wait + behaviour.latency_per_skipped * page.skipped)
    if behaviour.max_answer_bytes is not None and len(answer.body) > behaviour.max_answer_bytes:
        return proxy_error(behaviour.heavy_status)
    return answer


def _reported(found: int, shown: int, held: int, behaviour: Behaviour, random: Random) -> bytes | None:
    """Return the JSON of the number beside the events, None for no such key."""
    numbers = {
        "events_total": found,
        "page": shown,
        "all": held,
        "wrong": behaviour.wrong_total,
        "random": random.randint(0, 2 * found) if behaviour.total == "random" else None,
        "null": None,
    }
    if behaviour.total == "absent":
        return None
    number = numbers[behaviour.total]
    return dump_json(number if number is None else min(number, behaviour.total_cap or number))


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

    with store.lock:
        condition = (conditions, query.evaluation_id) if conditions or query.evaluation_id else None
        shelf = store.shelf(condition, accepts, _only_session(conditions))
        begin, stop = shelf.span(first, last)
        untimed = [] if behaviour.untimed_everywhere == "none" else shelf.untimed
        if behaviour.order == "desc" and not query.ignore_order and other_field is None and not untimed:

            def rows(offset: int, end: int) -> list[StoredEvent]:
                return shelf.events[max(begin, stop - end) : max(begin, stop - offset)][::-1]

            return _cut_out(rows, stop - begin, query, behaviour)
        found = shelf.events[max(begin, len(untimed)) : stop]
    if other_field is not None:
        found = [event for event in found if _within(lookup(event.decoded(), other_field), start, end)]
    ordered = _ordered(found, "ignored" if query.ignore_order else behaviour.order, random)
    ordered = [*untimed, *ordered] if behaviour.untimed_everywhere == "first" else [*ordered, *untimed]
    return _cut_out(lambda offset, end: ordered[offset:end], len(ordered), query, behaviour)


def _cut_out(rows: Callable[[int, int], list[StoredEvent]], total: int, query: Query, behaviour: Behaviour) -> _Page:
    """Cut the page asked for out of all events that match.

    :param rows: returns the events from one place in their order to another.
    :param total: how many there are.
    :raises Refusal: 400 for a page beyond the last, where the behaviour says so.
    """
    limit = min(query.limit, behaviour.cap or query.limit)
    reached = total if behaviour.max_offset is None else min(total, behaviour.max_offset)

    def page_at(offset: int) -> list[StoredEvent]:
        events = rows(offset, min(offset + limit, reached))
        return events if behaviour.cut_bytes is None else _cut(events, query, behaviour.cut_bytes)

    before = offset = 0
    for _ in range(query.page - 1):
        if offset >= reached:
            break
        before = offset
        if not behaviour.cap_affects_offset:
            offset += query.limit
        else:
            offset += limit if behaviour.cut_bytes is None else len(page_at(offset))
    reaches_beyond = behaviour.max_offset is not None and offset + limit > behaviour.max_offset
    if offset and behaviour.past_end == "error" and (offset >= reached or reaches_beyond):
        raise Refusal(400, "page: beyond the last page")
    if offset >= reached and behaviour.past_end == "repeat":
        offset = before
    return _Page(page_at(offset), total, offset)


def _cut(events: list[StoredEvent], query: Query, most_bytes: int) -> list[StoredEvent]:
    sizes = accumulate(len(_shown(event, query)) for event in events)
    return events[: max(1, sum(size <= most_bytes for size in sizes))]


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


def _shown(event: StoredEvent, query: Query) -> bytes:
    return event.raw if query.projections is None else projected(event, query.projections)


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
