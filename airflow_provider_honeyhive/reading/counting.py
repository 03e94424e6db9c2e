"""Counts events without reading them, where the server's total can be trusted to be one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_honeyhive.models.window import MILLISECOND_US, SECOND_US, Window, from_micros
from airflow_provider_honeyhive.reading.fetcher import RangeFetcher, ReadStats
from airflow_provider_honeyhive.reading.proof import count_rows
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
    fetcher = RangeFetcher(client, request, ReadStats())
    counted = _count_exactly(fetcher, request.window)
    return sum(len(batch.raw_events) for batch in iter_batches(client, request)) if counted is None else counted


def _count_exactly(fetcher: RangeFetcher, window: Window | None) -> int | None:
    """Return the window's total, None where the server cannot say it.

    The whole range less its last instant, which the API counts and the window does not: so this holds for servers, too,
    that cut bounds to seconds, unless the window's own are finer.
    """
    if window is None:
        return count_rows(fetcher, None, None) if fetcher.totals_hold else None
    if window.start_us % MILLISECOND_US or window.end_us % MILLISECOND_US:
        return None
    whole = count_rows(fetcher, window.start_us, window.end_us + MILLISECOND_US)
    if whole is None or not fetcher.totals_hold:
        return None
    on_the_end = count_rows(fetcher, window.end_us, window.end_us + MILLISECOND_US)
    return None if on_the_end is None else whole - on_the_end


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
    # Some servers cut bounds to seconds, which would change the total of any other window.
    exact = window.start_us % SECOND_US == 0 == window.end_us % SECOND_US
    for _ in range(GLANCES if exact else 0):
        page, last, on_the_end = fetcher.fetch(window.start_us, window.end_us, limit=1), window.end_us, 0
        # A total that is not above the number of events in the answer may be just that number.
        total = page.total if page.total is not None and page.total > 1 else None
        if total is not None and page.times[0] is not None and page.times[0] >= last:
            # The API counts the window's end, and the window does not.
            on_the_end, last = count_rows(fetcher, last, last + MILLISECOND_US) or 0, last - MILLISECOND_US
            page = fetcher.fetch(window.start_us, last, limit=1)
        newest = page.times[0] if page.times else None
        if total is None or newest is None or not window.start_us <= newest < window.end_us:
            break
        if _nothing_above(fetcher, newest, MILLISECOND_US, last):
            return total - on_the_end, from_micros(newest)
        if _nothing_above(fetcher, newest, SECOND_US, last):
            # A server that cuts the bounds of its ranges to seconds: only this second is in doubt.
            _, newest_there = _read(client, request.model_copy(update={"window": _second_of(newest, window)}))
            return total - on_the_end, newest_there
    return _read(client, request)


def lean(client: HoneyHiveClient, request: ExportRequest) -> ExportRequest:
    """Return the request without the fields that only an export needs, where the endpoint can leave them out."""
    if client.endpoint is None or not client.endpoint.projects:
        return request
    return request.model_copy(update={"projections": ("event_id",)})


def _nothing_above(fetcher: RangeFetcher, time: int, unit: int, last: int) -> bool:
    low = time // unit * unit + unit
    return low > last or not len(fetcher.fetch(low, last, limit=1))


def _second_of(time: int, window: Window) -> Window:
    start = time // SECOND_US * SECOND_US
    return Window(from_micros(max(start, window.start_us)), from_micros(min(start + SECOND_US, window.end_us)))


def _read(client: HoneyHiveClient, request: ExportRequest) -> tuple[int, datetime | None]:
    count, newest = 0, None
    for batch in iter_batches(client, lean(client, request)):
        count += len(batch.raw_events)
        newest = max((time for time in (newest, *batch.times) if time is not None), default=None)
    return count, None if newest is None else from_micros(newest)
