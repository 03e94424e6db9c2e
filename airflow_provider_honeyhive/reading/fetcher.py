"""Asks for the events of a time range: rounds it to what the wire can say, and checks what comes.

Between client and reader: the reader decides which range comes next, this module what is sent for it, and
:mod:`.page_size` how many events are asked for at once.
"""

from __future__ import annotations

import threading
from copy import copy
from typing import TYPE_CHECKING

import msgspec

from airflow_provider_honeyhive.api.concurrency import ConcurrencyLimit
from airflow_provider_honeyhive.api.endpoints import DateRange
from airflow_provider_honeyhive.display import get_logger
from airflow_provider_honeyhive.exceptions import DateRangeIgnoredError, HoneyHiveError, WrongProjectError
from airflow_provider_honeyhive.models.filters import EventFilter
from airflow_provider_honeyhive.models.window import FIRST_US, LAST_US, MILLISECOND_US, SECOND_US, from_micros
from airflow_provider_honeyhive.reading.page_size import PageSizer
from airflow_provider_honeyhive.reading.rows import SharedKeys, without_content

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_honeyhive.api.client import HoneyHiveClient
    from airflow_provider_honeyhive.api.pages import Page
    from airflow_provider_honeyhive.models.request import ExportRequest


log = get_logger(__name__)

MEGABYTE = 1_000_000


class ReadStats(msgspec.Struct):
    """What reading cost and showed; shared by all readers of an export."""

    page_count: int = 0
    bytes_read: int = 0
    duplicates_dropped: int = 0
    largest_page: int = 0
    largest_answer: int = 0
    project_names: set[tuple[str | None, str | None]] = msgspec.field(default_factory=set)
    lock: threading.Lock = msgspec.field(default_factory=threading.Lock)

    def add(self, page: Page) -> None:
        """Count one answer."""
        with self.lock:
            self.page_count += 1
            self.bytes_read += page.size_bytes
            self.largest_page = max(self.largest_page, len(page))
            self.largest_answer = max(self.largest_answer, page.size_bytes)


class RangeFetcher:
    """Asks the pages of one export.

    :param client: sends the requests and tries again.
    :param request: project, filters, projections.
    :param stats: counts pages and bytes.
    :param page_size: most events in a page; None leaves it to bytes and endpoint.
    :param readers: most requests at the same time; fewer after the server answered 429 or 503.
    :param concurrency: shared with another fetcher of the same export; None: of its own.
    :param trust_total: whether the numbers beside the events may be totals; None: as the connection says.
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
        trust_total: bool | None = None,
    ) -> None:
        self.stats = stats
        #: Rows without a time that a slice has taken: a server may show them in every range.
        self.untimed = SharedKeys()
        self.trusts_total = client.settings.trust_total if trust_total is None else trust_total
        #: The server has reported a number that can only be a total.
        self.totals_hold = False
        self._client = client
        self._request = request
        self._sizer = PageSizer(page_size, readers)
        self._by_filters = False
        # The server has sent an answer that was shorter than it looked.
        self._cuts_answers = False
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
            by_filters = self._by_filters  # of this request: another thread may find out meanwhile
            try:
                answer = self._fetch(low, high, page, asked, by_filters=by_filters)
            except HoneyHiveError as error:
                if limit is not None or not self._sizer.shrinks_after(error, asked):
                    raise
                continue
            if high is None or self._keeps_to(answer, low, high):
                break
            if by_filters:
                raise DateRangeIgnoredError(
                    "the server sends events from outside the asked time range, and filters on start_time do "
                    "not help either: it ignores both, or compares another field. Nothing was exported"
                )
            if not self._by_filters:
                log.warning("The server does not keep to dateRange: asking with filters on start_time instead")
            self._by_filters = True
        if not self._request.include_content:
            answer = without_content(answer, self._request.project)
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
        other._request, other.untimed = request, SharedKeys()
        return other

    def leave_memory(self) -> None:
        """Ask for smaller answers, since others need memory, too; before any has come."""
        self._sizer.leave_memory()

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
        bytes as the largest; and any that shows events, once the server has cut one that did not look like it.
        A guess that spares requests: no answer is an end because of it.
        """
        if self._cuts_answers:
            return len(page) > 0
        return self.is_long(page) or page.size_bytes >= max(MEGABYTE, self.stats.largest_answer // 2)

    def is_long(self, page: Page) -> bool:
        """Return whether an answer has as many events as were asked for, or as the longest one so far."""
        return len(page) >= min(page.limit, max(2, self.stats.largest_page))

    def note_cut(self) -> None:
        """Remember that an answer hid more although it did not look like it."""
        self._cuts_answers = True

    def _fetch(self, low: int | None, high: int | None, page: int, limit: int, *, by_filters: bool) -> Page:
        request, date_range = self._request, None
        if high is not None:
            start = (FIRST_US if low is None else low) // MILLISECOND_US * MILLISECOND_US
            end = -(-high // MILLISECOND_US) * MILLISECOND_US
            if by_filters:
                request = request.model_copy(update={"filters": (*request.filters, *_time_filters(start, end))})
            else:
                date_range = DateRange(start=_time(start), end=_time(end))
        most = self._sizer.max_bytes(limit)
        return self._client.fetch_page(
            request, date_range, page=page, limit=limit, max_bytes=most, concurrency=self.concurrency
        )

    @staticmethod
    def _keeps_to(page: Page, low: int | None, high: int) -> bool:
        # Below, a second of tolerance: some servers cut bounds, or the times they show, to whole seconds.
        first = (FIRST_US if low is None else low) - SECOND_US
        last = high + MILLISECOND_US
        times = [time for time in page.times if time is not None]
        return not times or first <= min(times) <= max(times) <= last

    def _check_project(self, page: Page) -> None:
        asked, endpoint = self._request.project, self._client.endpoint
        # What was asked for by its id in the path: an event that has no id does not say that it is of another project.
        is_by_id = endpoint is not None and endpoint.has_project_in_path
        for name, project_id in page.projects:
            if asked is None or name is None or (is_by_id and project_id is None):
                continue
            if asked not in (name, project_id):
                raise WrongProjectError(asked, name)
        fresh = page.projects - self.stats.project_names
        if fresh:
            with self.stats.lock:
                self.stats.project_names |= fresh
            if asked is not None and not any(asked in names for names in fresh):
                log.warning(
                    "The events say of their project only %s: whether they are of %r cannot be told",
                    ", ".join(sorted({ascii(said) for names in fresh for said in names if said is not None}))
                    or "nothing",
                    asked,
                )


def _time(micros: int) -> datetime:
    return from_micros(min(max(micros, FIRST_US), LAST_US))


def _time_filters(start: int, end: int) -> tuple[EventFilter, EventFilter]:
    # "after" and "before" may leave out their bound: a millisecond wider shows it again.
    after, before = _time(start - MILLISECOND_US), _time(end + MILLISECOND_US)
    return (
        EventFilter(field="start_time", operator="after", value=after, type="datetime"),
        EventFilter(field="start_time", operator="before", value=before, type="datetime"),
    )
