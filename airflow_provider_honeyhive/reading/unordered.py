"""Reads what cannot be sought through: one timestamp with more events than a page, and servers without order.

Slower than seeking, and only what is left of a slice is read so. Knows nothing of HTTP and of files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_honeyhive.api.retries import is_heavy
from airflow_provider_honeyhive.exceptions import HoneyHiveError, HoneyHiveRequestError, HoneyHiveResponseError
from airflow_provider_honeyhive.models.window import SECOND_US
from airflow_provider_honeyhive.reading.cursor import sort_newest_first

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from airflow_provider_honeyhive.api.pages import Page
    from airflow_provider_honeyhive.reading.cursor import Batch, SliceState
    from airflow_provider_honeyhive.reading.fetcher import RangeFetcher


#: Passes through one timestamp that bring nothing new before it counts as read, where the order of the
#: answers changes: each such pass misses a given event with a probability below 1/e.
IDLE_PASSES = 12

#: Fewer events than this need to come in the same order this often more before the order counts as stable.
FEW, SAME_FEW = 8, 3


class UnorderedReader:
    """Reads parts of a slice without trusting any order.

    :param fetcher: asks for ranges.
    :param state: takes the events, each once.
    """

    def __init__(self, fetcher: RangeFetcher, state: SliceState) -> None:
        self._fetcher = fetcher
        self._state = state

    def page_through(self, low: int | None, high: int | None) -> Iterator[Batch]:
        """Page by number through a range that cannot be divided.

        Where passes show the same order, one would have done. Where the order changes from request to
        request, each pass may miss some events, so passes go on until many have brought nothing new; the
        reported total, once reached, shortens that to one, but no number is an end by itself.
        """
        seen: set[Hashable] = set()
        last_pass: list[Hashable] = []
        idle = same = 0
        while idle < IDLE_PASSES:
            this_pass: list[Hashable] = []
            before = len(seen)
            total: int | None = None
            for page in self._pages(low, high, seen):
                if not this_pass and page.total is not None and (page.total > len(page) or self._state.cursor.total):
                    total = page.total
                this_pass.extend(page.ids)
                seen.update(page.ids)
                fresh = self._state.take(page)
                del page
                if fresh:
                    yield fresh
                del fresh
            idle = idle + 1 if len(seen) == before else 0
            same = same + 1 if this_pass == last_pass else 0
            last_pass = this_pass
            # Few events come in the same order by chance.
            stable = same >= (SAME_FEW if len(this_pass) < FEW and self._fetcher.limit > 1 else 1)
            if stable and (total is None or len(seen) >= total):
                return

    def _pages(self, low: int | None, high: int | None, seen: set[Hashable]) -> Iterator[Page]:
        """Yield the pages of one pass; the caller adds their ids to ``seen``."""
        limit = self._fetcher.limit
        number, shown = 1, 0
        while True:
            try:
                page = self._fetcher.fetch(low, high, page=number, limit=limit)
            except HoneyHiveRequestError as error:
                if number > 1 and error.status_code in (400, 404, 422):
                    return  # some servers refuse pages past the last
                raise
            except HoneyHiveError as error:
                if limit > 1 and is_heavy(error):
                    # Page numbers count from the start again with the new size.
                    limit, number, shown = self._fetcher.shrink(limit), 1, 0
                    continue
                raise
            # Nothing new is the end only after as many events as there are: the order may have changed.
            if not len(page) or (shown >= len(seen) and seen.issuperset(page.ids)):
                return
            shown += len(page)
            number += 1
            yield page
            del page

    def halve(self) -> Iterator[Batch]:
        """Read the slice in any order.

        :raises HoneyHiveResponseError: it has no end, so there is no middle.
        """
        if self._state.high is None:
            raise HoneyHiveResponseError(
                "the answers are not sorted newest first: give start_time and end_time to read them"
            )
        yield from self._halve(self._state.low or 0, self._state.high, None)

    def _halve(self, low: int, high: int, page: Page | None) -> Iterator[Batch]:
        """Halve the range until an answer is so short that it holds all of it, which works in any order."""
        if page is None:
            page = self._fetcher.fetch(low, high)
        if (low, high) == (self._state.low or 0, self._state.high):
            self._state.note_total(page)
        if not self._fetcher.may_hide_more(page):
            fresh = self._state.take(page)
            if fresh:
                yield sort_newest_first(fresh)
            return
        unit = SECOND_US if high - low > 2 * SECOND_US else self._state.cursor.unit
        middle = (low + high) // 2 // unit * unit
        if not low < middle < high:
            yield from self.page_through(low, high)
            return
        upper, lower = self._fetcher.fetch(middle, high), self._fetcher.fetch(low, middle)
        if unit < SECOND_US and (
            not {*upper.ids, *lower.ids}.issuperset(page.ids)
            or any(time is not None and time < middle for time in upper.times)
        ):
            # The halves lack events of the whole, or overlap: the server's bounds are coarser than this range.
            yield from self.page_through(low, high)
            return
        del page, lower  # one answer in memory at a time
        yield from self._halve(middle, high, upper)
        yield from self._halve(low, middle, None)
