"""What a window holds now, and whether it has been like that for long enough. Plain Python, no Airflow.

Shared by the sensor and its trigger, so that all ways of waiting mean the same. What talks to HoneyHive is
imported when it is asked, which is in a thread: in the triggerer's event loop it would hold up all triggers.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from airflow_provider_honeyhive.windows import (
    MILLISECOND_US,
    SECOND_US,
    Window,
    format_time,
    from_micros,
    parse_time,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_honeyhive.asking import Asker
    from airflow_provider_honeyhive.client import HoneyHiveClient
    from airflow_provider_honeyhive.models import ExportRequest

#: How often to ask for the number and the newest event before reading the window instead: where events are
#: coming in, a newer one may appear between the two requests.
GLANCES = 3


@dataclass(frozen=True, slots=True)
class Observation:
    """What a window holds at one moment.

    :param event_count: number of its events.
    :param newest: ``start_time`` of the newest of them; None where there is none.
    """

    event_count: int
    newest: datetime | None

    def result(self, request: ExportRequest) -> dict[str, Any]:
        """Return what a sensor hands on: facts that fit into XCom."""
        window = request.window
        return {
            "event_count": self.event_count,
            "newest": format_time(self.newest) if self.newest else None,
            "start_time": format_time(window.start) if window else None,
            "end_time": format_time(window.end) if window else None,
            "project": request.project,
        }


@dataclass(frozen=True, slots=True)
class Still:
    """An observation, and since when every further one has been the same."""

    observation: Observation
    since: datetime

    @classmethod
    def follow(cls, last: Self | None, observation: Observation, at: datetime) -> Self:
        """Return what is known after one more observation: ``last`` where nothing has changed."""
        return last if last is not None and last.observation == observation else cls(observation, at)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data, for whoever keeps it between two looks."""
        newest = self.observation.newest
        return {
            "event_count": self.observation.event_count,
            "newest": format_time(newest) if newest else None,
            "since": format_time(self.since),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Make it of what :meth:`to_json` returned."""
        newest = data["newest"]
        observation = Observation(int(data["event_count"]), parse_time(newest, "newest") if newest else None)
        return cls(observation, parse_time(data["since"], "since"))


@dataclass(frozen=True, slots=True)
class Goal:
    """What is waited for.

    :param min_events: the fewest events the window must hold.
    :param settled_for: seconds that its count and its newest event must have stayed the same; 0: any.
    """

    min_events: int
    settled_for: float = 0.0

    def is_reached(self, still: Still, at: datetime) -> bool:
        """Return whether the wait is over."""
        return still.observation.event_count >= self.min_events and self.seconds_left(still, at) <= 0

    def seconds_left(self, still: Still, at: datetime) -> float:
        """Return how much longer nothing may change."""
        return (still.since + timedelta(seconds=self.settled_for) - at).total_seconds()

    def describe(self, still: Still, at: datetime) -> str:
        """Return in words what there is and what is missing."""
        count, newest = still.observation.event_count, still.observation.newest
        found = f"{count:,} events" + (f", the newest of {format_time(newest)}" if newest else "")
        if count < self.min_events:
            return f"{found}; waiting for at least {self.min_events:,}"
        if not self.settled_for:
            return found
        unchanged = max(0.0, (at - still.since).total_seconds())
        return f"{found}; unchanged for {unchanged:.0f} of {self.settled_for:.0f} s"


def observe(client: HoneyHiveClient, request: ExportRequest) -> Observation:
    """Return what the request's window holds now.

    Two small requests where the server sorts newest first, as the API documents for search, and reports a
    total: one for the total and the newest event, one that shows that nothing lies above that event, not even
    on the window's end, which the API counts and the window does not. Any other server: the events are read.

    :raises HoneyHiveError: see :mod:`~airflow_provider_honeyhive.exceptions`.
    """
    from airflow_provider_honeyhive.asking import Asker, ReadStats  # noqa: PLC0415

    window = request.window
    if window is None:
        raise ValueError("only a window can be observed")
    asker = Asker(client, request, ReadStats())
    # Some servers cut bounds to seconds, which would change the total of any other window.
    exact = window.start_us % SECOND_US == 0 == window.end_us % SECOND_US
    for _ in range(GLANCES if exact else 0):
        page = asker.ask(window.start_us, window.end_us, limit=1)
        # A total that is not above the number of events in the answer may be just that number.
        if page.total is None or page.total <= 1 or not page.times:
            break
        shown = page.times[0]
        if shown is None or not window.start_us <= shown < window.end_us:
            break
        if _nothing_above(asker, shown, MILLISECOND_US, window):
            return Observation(page.total, from_micros(shown))
        if _nothing_above(asker, shown, SECOND_US, window):
            # A server that cuts the bounds of its ranges to seconds: only this second is in doubt.
            newest = _read(client, request.model_copy(update={"window": _second_of(shown, window)})).newest
            return Observation(page.total, newest)
    return _read(client, request)


def lean(client: HoneyHiveClient, request: ExportRequest) -> ExportRequest:
    """Return the request without the fields that only an export needs, where the endpoint can leave them out."""
    if client.endpoint is None or not client.endpoint.projects:
        return request
    return request.model_copy(update={"projections": ("event_id",)})


def _nothing_above(asker: Asker, time: int, unit: int, window: Window) -> bool:
    low = min(time // unit * unit + unit, window.end_us)
    return not len(asker.ask(low, window.end_us, limit=1))


def _second_of(time: int, window: Window) -> Window:
    start = time // SECOND_US * SECOND_US
    return Window(from_micros(max(start, window.start_us)), from_micros(min(start + SECOND_US, window.end_us)))


def _read(client: HoneyHiveClient, request: ExportRequest) -> Observation:
    from airflow_provider_honeyhive.collecting import iter_batches  # noqa: PLC0415

    count, newest = 0, None
    for batch in iter_batches(client, lean(client, request)):
        count += len(batch.raw_events)
        newest = max((time for time in (newest, *batch.times) if time is not None), default=None)
    return Observation(count, None if newest is None else from_micros(newest))
