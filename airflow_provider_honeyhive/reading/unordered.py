"""Reads what cannot be sought through: one timestamp with more events than a page, and servers without order.

Slower than seeking, and only what is left of a slice is read so. Knows nothing of HTTP and of files.
"""

from __future__ import annotations

from collections import Counter
from itertools import count
from typing import TYPE_CHECKING

from airflow_provider_honeyhive.api.retries import is_heavy
from airflow_provider_honeyhive.exceptions import HoneyHiveError, HoneyHiveRequestError, HoneyHiveResponseError
from airflow_provider_honeyhive.models.window import SECOND_US
from airflow_provider_honeyhive.reading.cursor import sort_newest_first
from airflow_provider_honeyhive.reading.rows import row_keys

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_honeyhive.api.pages import Page
    from airflow_provider_honeyhive.reading.cursor import Batch, SliceState
    from airflow_provider_honeyhive.reading.fetcher import RangeFetcher
    from airflow_provider_honeyhive.reading.rows import RowKey


#: Passes through one timestamp that bring nothing new before it counts as read, where the order of the
#: answers changes: each such pass misses a given event with a probability below 1/e.
IDLE_PASSES = 12

#: Passes at most: after so many none that was there at first is missing, and what is new has come late.
MOST_PASSES = 4 * IDLE_PASSES

#: Fewer events than this need to come in the same order this often more before the order counts as stable.
FEW, SAME_FEW = 8, 3

#: What some servers answer to a page number past the last page.
_PAST_THE_END = (400, 404, 422)


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
        seen: set[RowKey] = set()
        last_pass: list[RowKey] = []
        idle = same = 0
        # Then no row comes twice in a pass: what does is several rows with the same id and time.
        in_one_order = False
        for _ in range(MOST_PASSES):
            this_pass: list[RowKey] = []
            before = len(seen)
            total: int | None = None
            counted: Counter[RowKey] | None = Counter() if in_one_order else None
            for page, again in self._pages(low, high, seen):
                if not this_pass and page.total is not None and (page.total > len(page) or self._fetcher.totals_hold):
                    total = page.total
                keys = row_keys(page, counted, again)
                this_pass.extend(key[:2] for key in keys[again:])
                seen.update(keys)
                fresh = self._state.take(page, low, keys)
                del page
                if fresh:
                    yield fresh
                del fresh
            idle = idle + 1 if len(seen) == before else 0
            same = same + 1 if this_pass == last_pass else 0
            last_pass = this_pass
            # Few events come in the same order by chance.
            stable = same >= (SAME_FEW if len(this_pass) < FEW and self._fetcher.limit > 1 else 1)
            if stable and (total is None or len(this_pass) >= total):
                if in_one_order or len(set(this_pass)) == len(this_pass):
                    return
                in_one_order = same >= IDLE_PASSES - 1
            elif idle == IDLE_PASSES:
                return

    def _pages(self, low: int | None, high: int | None, seen: set[RowKey]) -> Iterator[tuple[Page, int]]:
        """Yield the pages of one pass, each with how many of its rows the page before has shown.

        The caller adds their rows to ``seen``.
        """
        limit = longest = self._fetcher.limit
        shown = 0
        while True:
            number = shown // limit
            try:
                page = self._fetcher.fetch(low, high, page=number + 1, limit=limit)
            except HoneyHiveError as error:
                if shown and _is_refusal(error):
                    if seen.issuperset(row_keys(_around(self._fetcher, shown, low, high))):
                        return
                    raise
                if limit == 1 or not is_heavy(error):
                    raise
                # Page numbers count from the start again with the new size.
                limit = longest = self._fetcher.shrink(limit)
                shown = 0
                continue
            new = not seen.issuperset(row_keys(page))
            # Nothing new is the end only after as many events as there are: the order may have changed.
            if not len(page) or (not new and number * limit == shown >= len(seen)):
                return
            size = limit
            reached = number * size + len(page)
            if len(page) < limit:
                # No end, since the server may have cut it: is there another event where it ended?
                longest, limit = len(page), 1
            else:
                limit = longest
            if reached > shown:
                again, shown = shown - number * size, reached
                yield page, again
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
        """Halve the range until an answer holds all of it, which works in any order."""
        if page is None:
            page = self._fetcher.fetch(low, high)
        if not self._fetcher.may_hide_more(page) and not goes_on_after(self._fetcher, page, low, high):
            fresh = self._state.take(page, low)
            if fresh:
                yield sort_newest_first(fresh)
            return
        unit = SECOND_US if high - low > 2 * SECOND_US else self._state.cursor.unit
        middle = (low + high) // 2 // unit * unit
        # Events without a time may show in both halves: where they are most of an answer, halving makes it no shorter.
        if not low < middle < high or 2 * page.times.count(None) >= len(page):
            yield from self.page_through(low, high)
            return
        upper, lower = self._fetcher.fetch(middle, high), self._fetcher.fetch(low, middle)
        if unit < SECOND_US and (
            not {*row_keys(upper), *row_keys(lower)}.issuperset(row_keys(page))
            or any(time is not None and time < middle for time in upper.times)
        ):
            # The halves lack events of the whole, or overlap: the server's bounds are coarser than this range.
            yield from self.page_through(low, high)
            return
        del page, lower  # one answer in memory at a time
        yield from self._halve(middle, high, upper)
        yield from self._halve(low, middle, None)


def _is_refusal(error: HoneyHiveError) -> bool:
    return isinstance(error, HoneyHiveRequestError) and error.status_code in _PAST_THE_END


def goes_on_after(fetcher: RangeFetcher, page: Page, low: int | None, high: int | None) -> bool:
    """Return whether a range holds more than an answer shows, whatever its length says.

    :param fetcher: asked for the row behind its last one.
    :param page: all of the range, perhaps.
    :param low: of the range, microseconds since 1970.
    :param high: of the range.
    """
    if not len(page):
        return False
    try:
        more = fetcher.fetch(low, high, page=len(page) + 1, limit=1)
    except HoneyHiveRequestError as error:
        if not _is_refusal(error):
            raise
        more = _around(fetcher, len(page), low, high)
    # Some servers show the last page again.
    return not set(row_keys(page)).issuperset(row_keys(more))


def _around(fetcher: RangeFetcher, shown: int, low: int | None, high: int | None) -> Page:
    """Return a page of a few rows, the last of those shown and the next ones: a page behind the last is refused."""
    limit = next(limit for limit in count(2) if shown % limit)
    return fetcher.fetch(low, high, page=shown // limit + 1, limit=limit)
