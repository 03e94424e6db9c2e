"""The proof that everything was read: the rows that were seen against the server's own total, in one sum at the end.

Rows are counted, not ids: a server may hold one event id in several rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_honeyhive.api.retries import is_heavy
from airflow_provider_honeyhive.exceptions import HoneyHiveError, HoneyHiveRequestError, IncompleteExportError
from airflow_provider_honeyhive.models.window import MILLISECOND_US, SECOND_US
from airflow_provider_honeyhive.reading.cursor import round_down, round_up
from airflow_provider_honeyhive.reading.slice_reader import READ_ATTEMPTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_honeyhive.api.pages import Page
    from airflow_provider_honeyhive.reading.fetcher import RangeFetcher

#: Events to look at where the total is as many as the answer has.
A_FEW = 10

#: Why something is read again.
FEWER = "fewer events were read than the server reports"


def count_rows(fetcher: RangeFetcher, start: int | None, end: int | None) -> int | None:
    """Return how many rows the server reports for ``[start, end)``, None where its number may be no total.

    By a small request or two, from the first to the last whole millisecond in the span, since date ranges say no
    more and include their ends: never too many, where the server keeps to its bounds.

    :param fetcher: of the request; learns whether the server's numbers are totals.
    :param start: microseconds since 1970, inclusive; None: from the beginning of time.
    :param end: microseconds since 1970, exclusive; None: until the end of time.
    """
    low, high = (None, None) if start is None or end is None else milliseconds_in(start, end)
    if not fetcher.trusts_total or (low is not None and high is not None and low > high):
        return None
    page = _glance(fetcher, low, high, 2)
    if len(page) == page.total == page.limit:
        # Either there are no others, or the number is that of the answer's events: events that come meanwhile are few.
        page = _glance(fetcher, low, high, A_FEW)
    if page.total is None:
        fetcher.trusts_total = False  # there is none to ask for again
        return None
    if len(page) == page.total == page.limit:
        return None
    if page.total > len(page):
        fetcher.totals_hold = True
    return max(page.total, len(page))


def _glance(fetcher: RangeFetcher, low: int | None, high: int | None, limit: int) -> Page:
    try:
        return fetcher.fetch(low, high, limit=limit)
    except HoneyHiveError as error:
        if not is_heavy(error):
            raise
        return fetcher.fetch(low, high, limit=1)


def milliseconds_in(start: int, end: int) -> tuple[int, int]:
    """Return the first and the last whole millisecond of ``[start, end)``, all in microseconds."""
    return -(-start // MILLISECOND_US) * MILLISECOND_US, (end - 1) // MILLISECOND_US * MILLISECOND_US


class Proof:
    """Says whether as many rows were seen as the server reports for ``[start, end)``.

    Events may have been deleted meanwhile, or come late: the lower of its totals before and after the reading counts.

    :param fetcher: asks for the total afterwards, where one from before says that rows are missing.
    :param start: microseconds since 1970, inclusive; None: from the beginning of time.
    :param end: microseconds since 1970, exclusive; None: until the end of time.
    :param reported: the total before the reading; None: nothing is compared.
    """

    def __init__(self, fetcher: RangeFetcher, start: int | None, end: int | None, reported: int | None) -> None:
        self._fetcher = fetcher
        self._start = start
        self._end = end
        self._reported = reported
        self._found: list[int] = []

    @property
    def readings(self) -> int:
        """How many readings were looked at."""
        return len(self._found)

    def find_gap(self, seen: int) -> IncompleteExportError | None:
        """Return what to raise where rows are missing after one more reading; None where none is.

        :param seen: rows that this reading has seen.
        """
        self._found.append(seen)
        if self._reported is not None and seen > self._reported:
            # Late events, or a number that is no total.
            self._fetcher.totals_hold = False
        if self._reported is None or (seen and seen >= self._reported):
            return None
        # Empty answers, one after the other, are hardly a proof that there is nothing.
        now = self._count() or self._count()
        if now is None:
            now = self._reported
        expected = min(self._reported, now) if self._reported else now
        if seen >= expected or seen >= expected - self._count_outside():
            return None
        agreed = self.readings >= READ_ATTEMPTS and len(set(self._found)) == 1
        return IncompleteExportError(expected, seen, agreed=agreed)

    def _count(self) -> int | None:
        return count_rows(self._fetcher, self._start, self._end)

    def _count_outside(self) -> int:
        """Return how many rows from outside the server shows at the span's ends.

        Some servers cut bounds to seconds, or include what they should not: their totals count such rows.
        """
        if self._start is None or self._end is None:
            return 0
        low, high = milliseconds_in(self._start, self._end)
        ends = (low, min(high, round_up(low, SECOND_US))), (max(low, round_down(high, SECOND_US)), high)
        outside = {
            (id_, time)
            for first, last in ends
            for page in self._pages(first, last)
            for id_, time in zip(page.ids, page.times, strict=True)
            if time is not None and not self._start <= time < self._end
        }
        return len(outside)

    def _pages(self, first: int, last: int) -> Iterator[Page]:
        """Yield the pages of a short range, up to one that is refused: fewer rows only make the proof stricter."""
        page = self._fetcher.fetch(first, last)
        yield page
        size, total = len(page), page.total or 0
        for number in range(2, 2 + total // size if size else 2):
            try:
                yield self._fetcher.fetch(first, last, page=number, limit=size)
            except HoneyHiveError as error:
                if isinstance(error, HoneyHiveRequestError) or is_heavy(error):
                    return
                raise
