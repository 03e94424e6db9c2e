"""Asks for the events of a time range: rounds it to what the wire can say, sizes the pages, checks what comes.

Between client and reader: the reader decides which range comes next, this module what is sent for it.
"""

from __future__ import annotations

import logging
import threading
from copy import copy
from dataclasses import dataclass, field
from datetime import timedelta
from math import ceil
from typing import TYPE_CHECKING

from airflow_provider_honeyhive.api.concurrency import ConcurrencyLimit
from airflow_provider_honeyhive.api.endpoints import DateRange
from airflow_provider_honeyhive.api.retries import is_heavy
from airflow_provider_honeyhive.exceptions import (
    DateRangeIgnoredError,
    HoneyHiveError,
    HoneyHiveRequestError,
    WrongProjectError,
)
from airflow_provider_honeyhive.models.filters import EventFilter
from airflow_provider_honeyhive.models.window import MILLISECOND_US, SECOND_US, from_micros

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable
    from datetime import datetime

    from airflow_provider_honeyhive.api.client import HoneyHiveClient
    from airflow_provider_honeyhive.api.pages import Page
    from airflow_provider_honeyhive.models.request import ExportRequest


log = logging.getLogger(__name__)

FIRST_LIMIT = 1000

#: Bytes of an answer that pages aim for: large enough to hide the way there and back, small enough to hold.
TARGET_BYTES = 16_000_000

#: Bytes that the answers of all readers together aim for, and the least that each of them may have of it.
TOGETHER_BYTES, LEAST_TARGET_BYTES = 40_000_000, 4_000_000

#: Large events share an answer with so many others, while it has no more than the target: each answer shows the last
#: event of the one before again, which is not to be a large part of it.
LARGE_EVENTS = 16

#: An answer of more than this many times the target is not worth its memory: a smaller page will do.
MOST_TARGETS = 4

MEGABYTE = 1_000_000

#: How much longer than the size that suits the server the pages of a slice may be.
STRETCH = 1.25

#: How many times longer the next page may be: after the first answer, and after later ones.
FIRST_GROWTH, LATER_GROWTH = 8, 2

#: Answers that must come through after a heavy one before pages grow again.
CAUTIOUS_ANSWERS = 10


class PageSizer:
    """How many events to ask for at once: follows the bytes of the answers, not their number.

    :param page_size: most events in a page; None leaves it to the endpoint.
    :param readers: how many ask at the same time.
    """

    def __init__(self, page_size: int | None = None, readers: int = 1) -> None:
        self._lock = threading.Lock()
        self.target_bytes = max(LEAST_TARGET_BYTES, min(TARGET_BYTES, TOGETHER_BYTES // readers))
        self._ceiling = page_size
        self._cautious = 0
        self._growth = FIRST_GROWTH
        self.limit = min(FIRST_LIMIT, page_size or FIRST_LIMIT)

    def suiting(self, event_bytes: float) -> int:
        """Return how many events of a mean size an answer should have."""
        few_large = min(LARGE_EVENTS, int(TARGET_BYTES / event_bytes))
        return max(1, int(self.target_bytes / event_bytes), few_large)

    def learn(self, events: int, size_bytes: int, max_limit: int) -> None:
        """Take an answer's size into account."""
        if not events:
            return
        ideal = self.suiting(size_bytes / events)
        with self._lock:
            if ideal > self.limit and self._cautious:
                self._cautious -= 1
                return
            ceiling = min(max_limit, self._ceiling or max_limit)
            growth, self._growth = self._growth, LATER_GROWTH
            self.limit = max(1, min(ideal, self.limit * growth, ceiling))

    def limit_for(self, left: float) -> int:
        """Return the limit for a page, stretched where that spares a page for a small rest.

        :param left: a guess at how many events there are.
        """
        pages = int(left / self.limit)
        limit = ceil(left / pages) if pages else self.limit
        if not self.limit < limit <= self.limit * STRETCH:
            return self.limit
        return limit if self._ceiling is None else min(limit, self._ceiling)

    def shrink(self, failed: int) -> int:
        """Return half of the limit that was too heavy, and keep to it for a while."""
        with self._lock:
            self.limit = max(1, min(self.limit, failed // 2))
            self._cautious = CAUTIOUS_ANSWERS
            return self.limit

    def never_above(self, limit: int) -> None:
        """Remember that the server rejects more than ``limit``."""
        with self._lock:
            self._ceiling = limit
            self.limit = min(self.limit, limit)


@dataclass
class ReadStats:
    """What reading cost and showed; shared by all readers of an export."""

    page_count: int = 0
    bytes_read: int = 0
    duplicates_dropped: int = 0
    largest_page: int = 0
    largest_answer: int = 0
    project_names: set[tuple[str | None, str | None]] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, page: Page) -> None:
        """Count one answer."""
        with self.lock:
            self.page_count += 1
            self.bytes_read += page.size_bytes
            self.largest_page = max(self.largest_page, len(page))
            self.largest_answer = max(self.largest_answer, page.size_bytes)


class SharedIds:
    """Ids that any of several threads has seen."""

    def __init__(self) -> None:
        self._ids: set[Hashable] = set()
        self._lock = threading.Lock()

    def is_first(self, id_: Hashable) -> bool:
        """Remember an id, and return whether nobody had seen it."""
        with self._lock:
            before = len(self._ids)
            self._ids.add(id_)
            return len(self._ids) > before

    def add(self, ids: Iterable[Hashable]) -> None:
        """Remember ids."""
        with self._lock:
            self._ids.update(ids)

    def remove(self, ids: Iterable[Hashable]) -> None:
        """Forget ids."""
        with self._lock:
            self._ids.difference_update(ids)


class RangeFetcher:
    """Asks the pages of one export.

    :param client: sends the requests and tries again.
    :param request: project, filters, projections.
    :param stats: counts pages and bytes.
    :param page_size: most events in a page; None leaves it to bytes and endpoint.
    :param readers: most requests at the same time; fewer after the server answered 429 or 503.
    :param concurrency: shared with another fetcher of the same export; None: of its own.
    """

    def __init__(
        self,
        client: HoneyHiveClient,
        request: ExportRequest,
        stats: ReadStats,
        page_size: int | None = None,
        readers: int = 1,
        *,
        concurrency: ConcurrencyLimit | None = None,
    ) -> None:
        self.stats = stats
        #: Ids of events without a time that a slice has taken: a server may show them in every range.
        self.untimed = SharedIds()
        self._client = client
        self._request = request
        self._sizer = PageSizer(page_size, readers)
        self._by_filters = False
        # Of this fetcher and its copies, not of the client: another export with the same client has its own.
        self.concurrency = concurrency or ConcurrencyLimit(readers)

    def fetch(
        self, low: int | None, high: int | None, *, page: int = 1, limit: int | None = None, left: float = 0
    ) -> Page:
        """Ask for a page of the events in ``[low, high]``, both in microseconds since 1970.

        :param low: None: from the beginning of time.
        :param high: None: without any range, which also shows events that have no time.
        :param page: number of the page.
        :param limit: most events in the page; given, it is not changed, since page numbers depend on it,
            and an answer too heavy raises. None: the size that suits the server.
        :param left: a guess at how many events there are; a page is made a little longer to hold them all.
        :raises DateRangeIgnoredError: the server does not keep to the range, neither as ``dateRange`` nor
            as filters on ``start_time``.
        :raises WrongProjectError: the events are of another project.
        """
        while True:
            asked = limit or self._sizer.limit_for(left)
            try:
                answer = self._fetch(low, high, page, asked)
            except HoneyHiveError as error:
                if limit is not None or not self._smaller_page_may_help(error, asked):
                    raise
                continue
            if high is None or self._keeps_to(answer, low, high):
                break
            if self._by_filters:
                raise DateRangeIgnoredError(
                    "the server sends events from outside the asked time range, and filters on start_time do "
                    "not help either: it ignores both, or compares another field. Nothing was exported"
                )
            log.warning("The server does not keep to dateRange: asking with filters on start_time instead")
            self._by_filters = True
        self._check_project(answer)
        self.stats.add(answer)
        endpoint = self._client.endpoint
        self._sizer.learn(len(answer), answer.size_bytes, endpoint.max_limit if endpoint else asked)
        return answer

    def about(self, request: ExportRequest) -> RangeFetcher:
        """Return one that asks for something else, and shares what is known of pages and their sizes.

        :param request: of the same project.
        """
        other = copy(self)
        other._request, other.untimed = request, SharedIds()
        return other

    @property
    def project(self) -> str | None:
        """The project asked for."""
        return self._request.project

    @property
    def limit(self) -> int:
        """The page size in force."""
        endpoint = self._client.endpoint
        return min(self._sizer.limit, endpoint.max_limit) if endpoint else self._sizer.limit

    def shrink(self, failed: int) -> int:
        """Return a smaller page size after one that was too heavy."""
        return self._sizer.shrink(failed)

    def may_hide_more(self, page: Page) -> bool:
        """Return whether an answer is so long that the server may have cut it, openly or silently.

        That is: as many events as were asked for, as many as the longest answer so far, or about as many
        bytes as the largest.
        """
        stats = self.stats
        return len(page) >= min(page.limit, max(2, stats.largest_page)) or page.size_bytes >= max(
            MEGABYTE, stats.largest_answer // 2
        )

    def _fetch(self, low: int | None, high: int | None, page: int, limit: int) -> Page:
        request, date_range = self._request, None
        if high is not None:
            start = from_micros((low or 0) // MILLISECOND_US * MILLISECOND_US)
            end = from_micros(-(-high // MILLISECOND_US) * MILLISECOND_US)
            if self._by_filters:
                request = request.model_copy(update={"filters": (*request.filters, *_time_filters(start, end))})
            else:
                date_range = DateRange(start=start, end=end)
        # A single event may be as large as it likes.
        most = MOST_TARGETS * self._sizer.target_bytes if limit > 1 else None
        return self._client.fetch_page(
            request, date_range, page=page, limit=limit, max_bytes=most, concurrency=self.concurrency
        )

    def _smaller_page_may_help(self, error: HoneyHiveError, asked: int) -> bool:
        if asked > 1 and is_heavy(error):
            smaller = self._sizer.shrink(asked)
            log.warning("A page of %d events is too heavy, asking for %d: %s", asked, smaller, error)
            return True
        if isinstance(error, HoneyHiveRequestError) and error.status_code in (400, 422) and asked > FIRST_LIMIT:
            # Older deployments take at most 1000, newer ones 7500.
            self._sizer.never_above(FIRST_LIMIT)
            return True
        return False

    @staticmethod
    def _keeps_to(page: Page, low: int | None, high: int) -> bool:
        # Below, a second of tolerance: some servers cut bounds, or the times they show, to whole seconds.
        first = (low or 0) - SECOND_US
        last = high + MILLISECOND_US
        times = [time for time in page.times if time is not None]
        return not times or first <= min(times) <= max(times) <= last

    def _check_project(self, page: Page) -> None:
        asked = self._request.project
        for name, project_id in page.projects:
            if asked is not None and name is not None and asked not in (name, project_id):
                raise WrongProjectError(asked, name)
        fresh = page.projects - self.stats.project_names
        if fresh:
            with self.stats.lock:
                self.stats.project_names |= fresh
            if asked is not None and not any(asked in names for names in fresh):
                log.warning(
                    "The events name no project but ids (%s): whether they are of %r cannot be told",
                    ", ".join(sorted(ascii(project_id) for _, project_id in fresh)),
                    asked,
                )


def _time_filters(start: datetime, end: datetime) -> tuple[EventFilter, EventFilter]:
    # "after" and "before" may leave out their bound: a millisecond wider shows it again.
    margin = timedelta(milliseconds=1)
    return (
        EventFilter(field="start_time", operator="after", value=start - margin, type="datetime"),
        EventFilter(field="start_time", operator="before", value=end + margin, type="datetime"),
    )
