"""Reads what cannot be sought through: one timestamp with more events than a page, and servers without order.

Slower than seeking, and only what is left of a slice is read so. Knows nothing of HTTP and of files.
"""

from __future__ import annotations

from array import array
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


#: Passes in the same order that bring nothing new and show fewer different rows than places, before the rows are told
#: apart by their contents.
SAME_PASSES = 12

#: Passes that end with a refusal and lack a row which the server has, before it counts as out of reach.
REFUSED_PASSES = 3

#: Passes at most, where the order of the answers changes: each misses a given row with a probability below 1/e.
MOST_PASSES = 48

#: Fewer different times than this do not show an order.
FEW = 8

#: What some servers answer to a page number past the last page. No 404: that may mean the key, which is no end.
_PAST_THE_END = (400, 422)


class _Shown:
    """Rows that the pages of a range have shown. Those that were taken of it are known, and need no room here.

    :param state: takes the rows of the pages.
    """

    def __init__(self, state: SliceState) -> None:
        self._state = state
        self._before = state.cursor.known.copy()
        #: Hashes of those that were known before, or that the slice does not take.
        self._others: set[int] = set()

    def __len__(self) -> int:
        return len(self._state.cursor.known) - len(self._before) + len(self._others)

    @property
    def has_others(self) -> bool:
        """Whether some of them need room here."""
        return bool(self._others)

    def update(self, keys: list[RowKey]) -> None:
        """Add rows of a page, of which the slice has taken what it takes."""
        for key, is_taken in zip(keys, self._taken(keys), strict=True):
            if is_taken:
                # Another slice may have had it until now.
                self._others.discard(hash(key))
            else:
                self._others.add(hash(key))

    def issuperset(self, keys: list[RowKey]) -> bool:
        """Return whether all of some rows have been shown."""
        shown = zip(keys, self._taken(keys), strict=True)
        return all(is_taken or hash(key) in self._others for key, is_taken in shown)

    def _taken(self, keys: list[RowKey]) -> Iterator[bool]:
        known, before = self._state.cursor.known.find(keys), self._before.find(keys)
        return (is_known and not was_known for is_known, was_known in zip(known, before, strict=True))


class UnorderedReader:
    """Reads parts of a slice without trusting any order.

    :param fetcher: asks for ranges.
    :param state: takes the events, each once.
    """

    def __init__(self, fetcher: RangeFetcher, state: SliceState) -> None:
        self._fetcher = fetcher
        self._state = state
        self._refusal: HoneyHiveError | None = None

    def page_through(self, low: int | None, high: int | None) -> Iterator[Batch]:
        """Page by number through a range that cannot be divided.

        A pass ends where no row has its number, so it says how many there are. All have been seen when so many
        different ones were, by one answer that had room for more or by a pass that brought nothing new: rows that
        appear or vanish, and an order that changes, move others past the pages.

        :raises ReadAgainError: the rows have to be told apart by their contents.
        :raises HoneyHiveRequestError: the server refuses page numbers that lie within the range.
        """
        state = self._state
        seen = _Shown(state)
        last_pass = array("q")
        same = refused = 0
        for _ in range(MOST_PASSES):
            this_pass = array("q")
            before, pages, has_room = len(seen), 0, True
            self._refusal = None
            for page, again in self._pages(low, high, seen):
                pages += 1
                has_room = len(page) < page.limit
                fresh = state.take(page, low)
                keys = state.keys(page)
                # Hashes, because keys themselves would take far more room.
                this_pass.extend(map(hash, keys[again:]))
                if fresh is None or len(fresh.keys) < len(keys) or seen.has_others:
                    seen.update(keys)
                del page, keys
                if fresh:
                    yield fresh
                del fresh
            is_idle = len(seen) == before
            if len(seen) >= len(this_pass) and ((pages <= 1 and has_room) or is_idle):
                if self._refusal is None or self._has_shown_all(seen, len(this_pass), low, high):
                    return
                # An answer may have lacked a row, which the next pass shows unless it is out of reach.
                refused += 1
                if refused == REFUSED_PASSES:
                    raise self._refusal
            same = same + 1 if is_idle and this_pass == last_pass else 0
            last_pass = this_pass
            if same == SAME_PASSES:
                if state.cursor.by_content:
                    break
                state.cursor.by_content = True
                raise state.again("several events have the same id and time")
        if self._refusal is not None and not self._has_shown_all(seen, len(this_pass), low, high):
            raise self._refusal

    def _has_shown_all(self, seen: _Shown, rows: int, low: int | None, high: int | None) -> bool:
        """Return whether a refused page number was behind the end: the rows there have been shown."""
        return seen.issuperset(self._state.keys(_around(self._fetcher, rows, low, high)))

    def _pages(self, low: int | None, high: int | None, seen: _Shown) -> Iterator[tuple[Page, int]]:
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
                    # The end, or out of reach: which of the two shows when all else has been seen.
                    self._refusal = error
                    return
                if limit == 1 or not is_heavy(error):
                    raise
                limit = longest = self._fetcher.shrink(limit)
                continue
            # So many rows, and nothing new: the last page again, or others in another order.
            is_known = number * limit == shown >= max(1, len(seen)) and seen.issuperset(self._state.keys(page))
            if not len(page) or (
                is_known and (shown >= 2 * len(seen) or _has_ended(self._fetcher, shown, longest, low, high))
            ):
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
        if not self._fetcher.is_long(page) and not goes_on_after(self._fetcher, page, low, high):
            fresh = self._state.take(page, low)
            if fresh:
                yield sort_newest_first(fresh)
            return
        keys = self._state.keys
        unit = SECOND_US if high - low > 2 * SECOND_US else self._state.cursor.unit
        middle = (low + high) // 2 // unit * unit
        # Events without a time may show in both halves: where they are most of an answer, halving makes it no shorter.
        if not low < middle < high or 2 * page.times.count(None) >= len(page):
            yield from self.page_through(low, high)
            return
        upper, lower = self._fetcher.fetch(middle, high), self._fetcher.fetch(low, middle)
        if unit < SECOND_US and (
            not {*keys(upper), *keys(lower)}.issuperset(keys(page))
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
    shown = set(row_keys(page))
    try:
        more = fetcher.fetch(low, high, page=len(page) + 1, limit=1)
    except HoneyHiveRequestError as error:
        if not _is_refusal(error):
            raise
        return not shown.issuperset(row_keys(_around(fetcher, len(page), low, high)))
    if not len(more) or not shown.issuperset(row_keys(more)):
        return len(more) > 0
    # The last page again, or another row in another order.
    return not _has_ended(fetcher, len(page), len(page), low, high)


def _has_ended(fetcher: RangeFetcher, shown: int, longest: int, low: int | None, high: int | None) -> bool:
    """Return whether there is no row behind those shown; False where that cannot be told.

    :param longest: as many rows the server gives at once.
    """
    size = _size_around(shown)
    return size <= longest and len(_around(fetcher, shown, low, high)) <= shown % size


def _around(fetcher: RangeFetcher, shown: int, low: int | None, high: int | None) -> Page:
    """Return a page of a few rows, the last of those shown and the next ones: a page behind the last is refused."""
    limit = _size_around(shown)
    return fetcher.fetch(low, high, page=shown // limit + 1, limit=limit)


def _size_around(shown: int) -> int:
    """Return the smallest size of pages with which one has both the last of the rows shown and the next."""
    return next(size for size in count(2) if shown % size)
