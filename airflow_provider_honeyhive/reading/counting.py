"""Counts events without reading them, where the server's total can be trusted to be one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_honeyhive.models.window import MILLISECOND_US, SECOND_US, Window, from_micros
from airflow_provider_honeyhive.reading.fetcher import RangeFetcher, ReadStats
from airflow_provider_honeyhive.reading.proof import A_FEW, count_rows
from airflow_provider_honeyhive.reading.stream import iter_batches

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_honeyhive.api.client import HoneyHiveClient
    from airflow_provider_honeyhive.models.request import ExportRequest


#: Events to look at for a description.
_GLANCE = 100

#: How often to ask for the number and the newest event before reading the window instead: where events are
#: coming in, a newer one may appear between the requests.
GLANCES = 3


def count_events(client: HoneyHiveClient, request: ExportRequest) -> int:
    """Return how many events the request's window holds.

    A total that is not above the number of events in the answer may be just that number, and a window
    whose bounds the wire cannot say exactly has no total of its own: then the events are read.
    """
    if request.window is None:
        fetcher = RangeFetcher(client, request, ReadStats())
        counted = count_rows(fetcher, None, None)
        if counted is not None and fetcher.totals_hold:
            return counted
        return sum(len(batch.raw_events) for batch in iter_batches(client, request))
    return count_and_newest(client, request)[0]


def describe(client: HoneyHiveClient, request: ExportRequest) -> tuple[str | None, str]:
    """Return the project that the window's events name, and their number in words, by one request."""
    window, stats = request.window, ReadStats()
    fetcher = RangeFetcher(client, request, stats)
    page = fetcher.fetch(window.start_us if window else None, window.end_us if window else None, limit=_GLANCE)
    name = next((name or project_id for name, project_id in stats.project_names if name or project_id), None)
    if page.total is not None and page.total > len(page):
        return name, f"{page.total:,}"
    return name, f"{len(page):,}" if len(page) < _GLANCE else f"at least {len(page):,}"


def count_and_newest(client: HoneyHiveClient, request: ExportRequest) -> tuple[int, datetime | None]:
    """Return how many events the request's window holds now, and the newest ``start_time`` of them, if any.

    Some small requests where the server sorts newest first, as the API documents for search, and reports a
    total: for the total, for the newest event, and one that shows that nothing lies above that event. Any other
    server: the events are read.

    :raises HoneyHiveError: see :mod:`~airflow_provider_honeyhive.exceptions`.
    """
    window = request.window
    if window is None:
        raise ValueError("only a window can be looked at")
    fetcher = RangeFetcher(client, request, ReadStats())
    exact = window.start_us % MILLISECOND_US == 0 == window.end_us % MILLISECOND_US
    for _ in range(GLANCES if exact and fetcher.trusts_total else 0):
        seen = _glance(fetcher, window, window.end_us - MILLISECOND_US)
        if seen is None:
            break
        total, newest = seen
        if _nothing_above(fetcher, newest, window):
            return total, from_micros(newest) if total else None
        seen = _count_by_seconds(fetcher, window)
        if seen is not None:
            # A server that cuts the bounds of its ranges to seconds: only the newest event's second is in doubt.
            total, newest = seen
            _, newest_there = _read(client, request.model_copy(update={"window": _second_of(newest, window)}))
            return total, newest_there
    return _read(client, request)


def lean(client: HoneyHiveClient, request: ExportRequest) -> ExportRequest:
    """Return the request without the fields that only an export needs, where the endpoint can leave them out."""
    if client.endpoint is None or not client.endpoint.projects:
        return request
    return request.model_copy(update={"projections": ("event_id",)})


def _glance(fetcher: RangeFetcher, window: Window, last: int) -> tuple[int, int] | None:
    """Return the total up to a time and the newest event's time, None where the answer does not say both.

    Where there is no event, the time is one before the window.
    """
    page = fetcher.fetch(window.start_us, last, limit=1)
    if not len(page) and page.total == 0:
        return 0, window.start_us - MILLISECOND_US
    newest = page.times[0] if page.times else None
    # A total that is not above the number of events in the answer may be just that number.
    if page.total is None or page.total <= 1 or newest is None or not window.start_us <= newest < window.end_us:
        return None
    return page.total, newest


def _count_by_seconds(fetcher: RangeFetcher, window: Window) -> tuple[int, int] | None:
    """Return the same of a server that takes whole seconds alone, None where events lie on the window's end."""
    if window.start_us % SECOND_US or window.end_us % SECOND_US:
        return None
    seen = _glance(fetcher, window, window.end_us)
    if seen is None or len(fetcher.fetch(_above(seen[1], SECOND_US), window.end_us, limit=1)):
        return None
    return seen


def _nothing_above(fetcher: RangeFetcher, time: int, window: Window) -> bool:
    """Return whether no event of the window is above a time: only some, at most, on its end, which is none of it."""
    low = _above(time, MILLISECOND_US)
    page = fetcher.fetch(low, window.end_us, limit=A_FEW) if low <= window.end_us else None
    return page is None or (len(page) < A_FEW and all(at is not None and at >= window.end_us for at in page.times))


def _above(time: int, unit: int) -> int:
    return time // unit * unit + unit


def _second_of(time: int, window: Window) -> Window:
    start = time // SECOND_US * SECOND_US
    return Window(from_micros(max(start, window.start_us)), from_micros(min(start + SECOND_US, window.end_us)))


def _read(client: HoneyHiveClient, request: ExportRequest) -> tuple[int, datetime | None]:
    count, newest = 0, None
    for batch in iter_batches(client, lean(client, request)):
        count += len(batch.raw_events)
        newest = max((time for time in (newest, *batch.times) if time is not None), default=None)
    return count, None if newest is None else from_micros(newest)
