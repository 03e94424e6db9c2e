"""Counts events without reading them, where the server's total can be trusted to be one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_honeyhive.asking import Asker, ReadStats
from airflow_provider_honeyhive.collecting import iter_batches
from airflow_provider_honeyhive.windows import MILLISECOND_US

if TYPE_CHECKING:
    from airflow_provider_honeyhive.client import HoneyHiveClient
    from airflow_provider_honeyhive.models import ExportRequest

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
        total = Asker(client, request, ReadStats()).ask(None, None, limit=1).total
        return total if total is not None and total > 1 else _count_by_reading(client, request)
    asker = Asker(client, request, ReadStats())
    whole = asker.ask(window.start_us, window.end_us, limit=1)
    exact = window.start_us % MILLISECOND_US == 0 == window.end_us % MILLISECOND_US
    if not len(whole) or not exact or whole.total is None or whole.total <= 1:
        return _count_by_reading(client, request)
    on_the_end = asker.ask(window.end_us, window.end_us, limit=1)
    if not len(on_the_end):
        return whole.total
    return _count_by_reading(client, request)


def describe(client: HoneyHiveClient, request: ExportRequest) -> tuple[str | None, str]:
    """Return the project that the window's events name, and their number in words, by one request."""
    window, stats = request.window, ReadStats()
    asker = Asker(client, request, stats)
    page = asker.ask(window.start_us if window else None, window.end_us if window else None, limit=_GLANCE)
    name = next((name or project_id for name, project_id in stats.project_names if name or project_id), None)
    if page.total is not None and page.total > len(page):
        return name, f"{page.total:,}"
    return name, f"{len(page):,}" if len(page) < _GLANCE else f"at least {len(page):,}"


def _count_by_reading(client: HoneyHiveClient, request: ExportRequest) -> int:
    return sum(len(batch.raw_events) for batch in iter_batches(client, request))
