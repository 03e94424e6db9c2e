"""The events of one project: serialized once, sorted once, so that a page is a bisection and a join."""

from __future__ import annotations

import json
import threading
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive.sandbox.answers import dump_json
from airflow_provider_honeyhive.sandbox.data.traces import generate_events
from airflow_provider_honeyhive.sandbox.filters import lookup, text
from airflow_provider_honeyhive.sandbox.times import EPOCH, TIME_FORMATS, to_us

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping
    from random import Random


#: Neighbours further apart than this are not one stretch of traffic.
GAP_US = 3_600_000_000


def late_events(store: EventStore, count: int, random: Random, project: str) -> list[dict[str, object]]:
    """Make events that nobody has seen, with times among those of the events there are."""
    times = [event.time_us for event in store.events() if event.time_us is not None]
    if not times:
        return []
    made: list[dict[str, object]] = []
    for _ in range(count):
        later = random.randrange(len(times))
        newest, oldest = times[later], times[max(0, later - 1)]
        us = random.randint(oldest, newest) if newest - oldest < GAP_US else newest
        # Whole milliseconds, rounded down to a time that is not before the older neighbour's millisecond.
        start = EPOCH + timedelta(milliseconds=us // 1000)
        seed = random.getrandbits(64)
        window = {"start": start, "end": start + timedelta(milliseconds=1)}
        made += generate_events(1, seed=seed, project=project, **window)
    return made


def victims(store: EventStore, count: int, random: Random) -> list[StoredEvent]:
    """Choose events that shall vanish."""
    events = store.events()
    return random.sample(events, min(count, len(events)))


#: Sorts what has no time before everything that has one, and outside every date range.
TIMELESS = -(2**62)

#: How many filters' results are kept.
KEPT_SHELVES = 32

#: Up to so many new events are put in their places one by one; more are sorted in.
FEW = 64


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One event as it is served.

    :param raw: its exact bytes.
    :param event_id: its id; empty if it has none that can be read.
    :param time_us: the time it sorts by, in microseconds since the epoch; ``None``: it has none.
    """

    raw: bytes
    event_id: str
    time_us: int | None = None

    @property
    def sort_time(self) -> int:
        """The time as a number, whatever it is."""
        return TIMELESS if self.time_us is None else self.time_us

    def decoded(self) -> Any:
        """Parse the bytes; ``None`` if they are not JSON."""
        try:
            return json.loads(self.raw)
        except UnicodeDecodeError:
            return _loads(self.raw.decode("utf-8", "replace"))
        except ValueError:
            return None


def _loads(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def stored(event: dict[str, Any] | bytes | StoredEvent, *, time_format: str, drop_project: bool) -> StoredEvent:
    """Make an event servable; bytes stay exactly as they are.

    :param time_format: how a dict's times are written: ``as_is`` or a key of :data:`.times.TIME_FORMATS`.
    :param drop_project: whether a dict loses its ``project``.
    """
    if isinstance(event, StoredEvent):
        return event
    if isinstance(event, bytes):
        decoded = StoredEvent(event, "").decoded()
        found = decoded if isinstance(decoded, dict) else {}
        return StoredEvent(event, str(found.get("event_id", "")), to_us(found.get("start_time")))
    shown = {key: value for key, value in event.items() if not (drop_project and key == "project")}
    if time_format != "as_is":
        for key in ("start_time", "end_time"):
            us = to_us(shown.get(key))
            if us is not None:
                shown[key] = TIME_FORMATS[time_format](us)
    return StoredEvent(dump_json(shown), str(shown.get("event_id", "")), to_us(shown.get("start_time")))


class Shelf:
    """Events that meet a condition, oldest first; equal times in the order they came."""

    def __init__(self, accepts: Callable[[StoredEvent], bool] | None = None) -> None:
        self._accepts = accepts
        self.events: list[StoredEvent] = []
        self.times: list[int] = []

    def add(self, events: Iterable[StoredEvent]) -> None:
        """Put events in their places."""
        new = [event for event in events if self._accepts is None or self._accepts(event)]
        if len(new) > FEW:
            self.events.extend(new)
            self.events.sort(key=lambda event: event.sort_time)
            self.times = [event.sort_time for event in self.events]
            return
        for event in new:
            place = bisect_right(self.times, event.sort_time)
            self.events.insert(place, event)
            self.times.insert(place, event.sort_time)

    def delete(self, event_ids: frozenset[str]) -> None:
        """Take events away."""
        kept = [event for event in self.events if event.event_id not in event_ids]
        if len(kept) != len(self.events):
            self.events = kept
            self.times = [event.sort_time for event in kept]

    def replace(self, event: StoredEvent) -> None:
        """Put an event in the place of the one with its id and time, so that no other one moves to another page."""
        first, stop = bisect_left(self.times, event.sort_time), bisect_right(self.times, event.sort_time)
        place = next((n for n in range(first, stop) if self.events[n].event_id == event.event_id), None)
        if place is None:
            self.add([event])
        elif self._accepts is None or self._accepts(event):
            self.events[place] = event
        else:
            del self.events[place], self.times[place]

    @property
    def untimed(self) -> list[StoredEvent]:
        """The events without a time."""
        return self.events[: bisect_right(self.times, TIMELESS)]

    def span(self, start: int | None, end: int | None) -> tuple[int, int]:
        """Return the positions of the events from ``start`` to ``end``, both inclusive, in microseconds."""
        if start is None and end is None:
            return 0, len(self.times)
        first = bisect_left(self.times, TIMELESS + 1 if start is None else start)
        last = len(self.times) if end is None else bisect_right(self.times, end)
        return first, max(first, last)


class EventStore:
    """The events of one project. Hold :attr:`lock` from asking for a shelf until done with it."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._all = Shelf()
        self._shelves: OrderedDict[Hashable, Shelf] = OrderedDict()
        self._by_session: dict[str, list[StoredEvent]] | None = None

    def __len__(self) -> int:
        return len(self._all.events)

    def add(self, events: Iterable[StoredEvent]) -> None:
        """Add events while serving."""
        new = list(events)
        with self.lock:
            for shelf in (self._all, *self._shelves.values()):
                shelf.add(new)
            self._by_session = None

    def delete(self, event_ids: Iterable[str]) -> None:
        """Delete events while serving."""
        gone = frozenset(event_ids)
        with self.lock:
            for shelf in (self._all, *self._shelves.values()):
                shelf.delete(gone)
            self._by_session = None

    def update(self, event_id: str, changes: Mapping[str, Any]) -> None:
        """Change an event while serving: objects are merged, other values replaced. Its time stays.

        :raises KeyError: if there is no such event.
        """
        with self.lock:
            found = next((event for event in self._all.events if event.event_id == event_id), None)
            if found is None:
                raise KeyError(event_id)
            shown = dict(found.decoded())
            for name, value in changes.items():
                merges = isinstance(value, dict) and isinstance(shown.get(name), dict)
                shown[name] = {**shown[name], **value} if merges else value
            new = StoredEvent(dump_json(shown), event_id, found.time_us)
            for shelf in (self._all, *self._shelves.values()):
                shelf.replace(new)
            self._by_session = None

    def shelf(
        self, condition: Hashable, accepts: Callable[[StoredEvent], bool], session_id: str | None = None
    ) -> Shelf:
        """Return the events that meet a condition, kept for the next request that asks for the same.

        :param condition: what stands for the condition; false: all events.
        :param accepts: the condition itself.
        :param session_id: of the only session that can meet it.
        """
        if not condition:
            return self._all
        if condition not in self._shelves:
            shelf = Shelf(accepts)
            shelf.add(self._all.events if session_id is None else self._of_session(session_id))
            self._shelves[condition] = shelf
            while len(self._shelves) > KEPT_SHELVES:
                self._shelves.popitem(last=False)
        self._shelves.move_to_end(condition)
        return self._shelves[condition]

    def _of_session(self, session_id: str) -> list[StoredEvent]:
        if self._by_session is None:
            self._by_session = {}
            for event in self._all.events:
                name = text(lookup(event.decoded(), "session_id"))
                if name is not None:
                    self._by_session.setdefault(name, []).append(event)
        return self._by_session.get(session_id, [])

    def events(self) -> list[StoredEvent]:
        """Return all events, oldest first."""
        with self.lock:
            return list(self._all.events)

    def between(self, start: int | None, end: int | None) -> list[StoredEvent]:
        """Return the events from ``start`` to ``end``, both inclusive, in microseconds, oldest first."""
        with self.lock:
            first, last = self._all.span(start, end)
            return self._all.events[first:last]
