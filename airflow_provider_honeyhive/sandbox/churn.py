"""Events that come late and events that vanish while somebody reads."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from .times import EPOCH
from .traces import generate_events

if TYPE_CHECKING:
    from random import Random

    from .store import Store, StoredEvent

#: Neighbours further apart than this are not one stretch of traffic.
GAP_US = 3_600_000_000


def late_events(store: Store, count: int, random: Random, project: str) -> list[dict[str, object]]:
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


def victims(store: Store, count: int, random: Random) -> list[StoredEvent]:
    """Choose events that shall vanish."""
    events = store.events()
    return random.sample(events, min(count, len(events)))
