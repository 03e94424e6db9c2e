"""Counts events without reading them, where the server's total can be trusted to be one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_honeyhive.api.retries import is_heavy
from airflow_provider_honeyhive.exceptions import HoneyHiveError
from airflow_provider_honeyhive.models.window import MILLISECOND_US, SECOND_US, Window, from_micros
from airflow_provider_honeyhive.reading.fetcher import RangeFetcher, ReadStats
from airflow_provider_honeyhive.reading.stream import iter_batches

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_honeyhive.api.client import HoneyHiveClient
    from airflow_provider_honeyhive.models.request import ExportRequest


#: Events to look at for a description.
_GLANCE = 100


def count_events(client: HoneyHiveClient, request: ExportRequest) -> int:
    """Return how many events the request's window holds.

    The API's ranges include both ends, so the events on the window's end are asked for and taken off. A
    total that is not above the number of events in the answer may be just that number, and a window
    whose bounds the wire cannot say exactly has no total of its own: then the events are read.
    """
    window = request.window
    if window is None:
        total = RangeFetcher(client, request, ReadStats()).fetch(None, None, limit=1).total
        return total if total is not None and total > 1 else _count_by_reading(client, request)
    fetcher = RangeFetcher(client, request, ReadStats())
    whole = fetcher.fetch(window.start_us, window.end_us, limit=1)
    exact = window.start_us % MILLISECOND_US == 0 == window.end_us % MILLISECOND_US
    if not len(whole) or not exact or whole.total is None or whole.total <= 1:
        return _count_by_reading(client, request)
    on_the_end = fetcher.fetch(window.end_us, window.end_us, limit=1)
    if not len(on_the_end):
        return whole.total
    return _count_by_reading(client, request)


def describe(client: HoneyHiveClient, request: ExportRequest) -> tuple[str | None, str]:
    """Return the project that the window's events name, and their number in words, by one request."""
    window, stats = request.window, ReadStats()
    fetcher = RangeFetcher(client, request, stats)
    page = fetcher.fetch(window.start_us if window else None, window.end_us if window else None, limit=_GLANCE)
    name = next((name or project_id for name, project_id in stats.project_names if name or project_id), None)
    if page.total is not None and page.total > len(page):
        return name, f"{page.total:,}"
    return name, f"{len(page):,}" if len(page) < _GLANCE else f"at least {len(page):,}"


def _count_by_reading(client: HoneyHiveClient, request: ExportRequest) -> int:
    return sum(len(batch.raw_events) for batch in iter_batches(client, request))


#: How often to ask for the number and the newest event before reading the window instead: where events are
#: coming in, a newer one may appear between the two requests.
GLANCES = 3


def count_and_newest(client: HoneyHiveClient, request: ExportRequest) -> tuple[int, datetime | None]:
    """Return how many events the request's window holds now, and the newest ``start_time`` of them, if any.

    Two small requests where the server sorts newest first, as the API documents for search, and reports a
    total: one for the total and the newest event, one that shows that nothing lies above that event, not even
    on the window's end, which the API counts and the window does not. Any other server: the events are read.

    :raises HoneyHiveError: see :mod:`~airflow_provider_honeyhive.exceptions`.
    """
    window = request.window
    if window is None:
        raise ValueError("only a window can be looked at")
    fetcher = RangeFetcher(client, request, ReadStats())
    # Some servers cut bounds to seconds, which would change the total of any other window.
    exact = window.start_us % SECOND_US == 0 == window.end_us % SECOND_US
    for _ in range(GLANCES if exact else 0):
        page = fetcher.fetch(window.start_us, window.end_us, limit=1)
        # A total that is not above the number of events in the answer may be just that number.
        if page.total is None or page.total <= 1 or not page.times:
            break
        shown = page.times[0]
        if shown is None or not window.start_us <= shown < window.end_us:
            break
        if _nothing_above(fetcher, shown, MILLISECOND_US, window):
            return page.total, from_micros(shown)
        if _nothing_above(fetcher, shown, SECOND_US, window):
            # A server that cuts the bounds of its ranges to seconds: only this second is in doubt.
            _, newest = _read(client, request.model_copy(update={"window": _second_of(shown, window)}))
            return page.total, newest
    return _read(client, request)


def lean(client: HoneyHiveClient, request: ExportRequest) -> ExportRequest:
    """Return the request without the fields that only an export needs, where the endpoint can leave them out."""
    if client.endpoint is None or not client.endpoint.projects:
        return request
    return request.model_copy(update={"projections": ("event_id",)})


def _nothing_above(fetcher: RangeFetcher, time: int, unit: int, window: Window) -> bool:
    low = min(time // unit * unit + unit, window.end_us)
    return not len(fetcher.fetch(low, window.end_us, limit=1))


def _second_of(time: int, window: Window) -> Window:
    start = time // SECOND_US * SECOND_US
    return Window(from_micros(max(start, window.start_us)), from_micros(min(start + SECOND_US, window.end_us)))


def _read(client: HoneyHiveClient, request: ExportRequest) -> tuple[int, datetime | None]:
    count, newest = 0, None
    for batch in iter_batches(client, lean(client, request)):
        count += len(batch.raw_events)
        newest = max((time for time in (newest, *batch.times) if time is not None), default=None)
    return count, None if newest is None else from_micros(newest)


def count_window(fetcher: RangeFetcher, window: Window) -> int | None:
    """Return how many events the server reports for a window, None where its number may be no total.

    By a small request or two, from the first to the last whole millisecond in the window, since date ranges say no
    more and include their ends: never too many.

    :param fetcher: of the request.
    :param window: what to count.
    """
    low, high = _milliseconds_in(window.start_us, window.end_us)
    if low > high:
        return None
    page = fetcher.fetch(low, high, limit=1)
    if not len(page):
        return 0
    if page.total is None or page.total > len(page):
        return page.total
    # One event and a total of one: either there is no other, or the number is that of the answer's events.
    try:
        return 1 if len(fetcher.fetch(low, high, limit=2)) == 1 else None
    except HoneyHiveError as error:
        if not is_heavy(error):
            raise
        return None


def _milliseconds_in(start: int, end: int) -> tuple[int, int]:
    """Return the first and the last whole millisecond of ``[start, end)``."""
    return -(-start // MILLISECOND_US) * MILLISECOND_US, (end - 1) // MILLISECOND_US * MILLISECOND_US
