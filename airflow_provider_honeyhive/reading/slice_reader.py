"""Reads every event of a slice once: seeks down in time instead of counting pages.

Page numbers over a list that is sorted newest first and changes while it is read lose and repeat events.
So each request asks for ``[start, cursor]``, where the cursor is the oldest time seen: the events at the
cursor (the *seam*) must come again, which shows that nothing lies between two answers. The slice has ended
where a request for what lies below the seam gives an empty answer, or where an answer has as many events as the
server counts in what was asked for. What needs care is written at the method
that takes it; whether everything was seen is for :mod:`.proof` to say. Knows nothing of HTTP and of files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_honeyhive.display import get_logger
from airflow_provider_honeyhive.models.window import FIRST_US, MILLISECOND_US, SECOND_US
from airflow_provider_honeyhive.reading.cursor import ReadAgainError, SliceState, round_up
from airflow_provider_honeyhive.reading.known_rows import KnownRows
from airflow_provider_honeyhive.reading.unordered import FEW, UnorderedReader, goes_on_after

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_honeyhive.api.pages import Page
    from airflow_provider_honeyhive.reading.cursor import Batch, Cursor
    from airflow_provider_honeyhive.reading.fetcher import RangeFetcher


log = get_logger(__name__)

#: Events of the seam, as a rule few, that a page shows again.
SEAM_EVENTS = 10

#: How often a slice is read before it is given up as incomplete.
READ_ATTEMPTS = 3


class SliceReader:
    """Reads the events of ``[start, end)``, or of all time.

    :param fetcher: asks for ranges.
    :param start: microseconds since 1970, inclusive; None: from the beginning of time.
    :param end: microseconds since 1970, exclusive; None: until the end of time.
    :param cursor: where an earlier reading stopped; None begins at the end.
    :param expected: how many events there may be, where somebody has a guess.
    :param by_content: tell rows apart by their contents from the start, for whoever cannot read again.

    ``state`` says what has been taken and what is left, and lets another reader have some of that.
    """

    def __init__(
        self,
        fetcher: RangeFetcher,
        start: int | None,
        end: int | None,
        cursor: Cursor | None = None,
        expected: float | None = None,
        *,
        by_content: bool = False,
    ) -> None:
        self._fetcher = fetcher
        self.state = SliceState(start, end, cursor, expected, stats=fetcher.stats, untimed=fetcher.untimed)
        self.state.cursor.by_content |= by_content
        self._unordered = UnorderedReader(fetcher, self.state)
        self._readings = 1
        # Who can read again finds out at the latest when the rows of all slices are counted.
        self._trusts_totals = not by_content
        self._lost_at: int | None = None

    @property
    def cursor(self) -> Cursor:
        """Where the reading stands."""
        return self.state.cursor

    def read(self) -> Iterator[Batch]:
        """Yield the events once each, newest first where the server sorts.

        :raises ReadAgainError: what was yielded is not whole; call :meth:`start_over` and read again.
        """
        yield from self._unordered.halve() if self.cursor.any_order else self._seek()
        self.state.finish()

    def start_over(self) -> None:
        """Forget what was read; the last reading trusts no order."""
        self._readings += 1
        self._trusts_totals = False
        self._lost_at = None
        unsorted = self._readings == READ_ATTEMPTS and self.state.high is not None
        self.state.start_over(any_order=self.cursor.any_order or unsorted)

    # ------------------------------------------------------------------------------- sorted answers

    def _seek(self) -> Iterator[Batch]:
        cursor, state = self.cursor, self.state
        while state.low is None or cursor.upper is None or cursor.upper >= state.low:
            low = state.low
            page = self._contiguous_page(low)
            if not _is_newest_first(page) or (not cursor.known and self._hides_newer(page)):
                raise self._again("the answers are not sorted newest first", any_order=True)
            fresh = state.take(page, low)
            times = [time for time in page.times if time is not None]
            is_last = not len(page) or (bool(times) and self._is_last(page, low, min(times)))
            del page  # one answer in memory at a time
            if fresh:
                yield fresh
            del fresh
            if is_last:
                return
            if not times:
                # Only events without a time: they have no place to seek to, and say nothing of the server's bounds.
                yield from self._unordered.page_through(state.low, cursor.upper and _next_second(cursor.upper))
                return
            next_upper = self._round_up(min(times))
            if cursor.upper is None or next_upper < cursor.upper:
                self._step_to(next_upper, times)
            else:
                yield from self._pass_seam(cursor.upper, times)

    def _is_last(self, page: Page, low: int | None, oldest: int) -> bool:
        """Return whether the slice ends with an answer: nothing lies below it, and it hides nothing.

        A short answer alone is no end, since a server may cut it by bytes. That it hides nothing is for the server's
        total to say, else, also where the total may be what the server gives at once, for a request by page number.
        At the first reading such a total does for what lies below, too: the proof of the whole would miss it.
        """
        fetcher = self._fetcher
        is_counted = fetcher.totals_hold and page.total == len(page)
        if len(page) == page.limit or not (is_counted or not fetcher.may_hide_more(page)):
            return False
        if is_counted and self._trusts_totals and not fetcher.is_long(page):
            return True
        below = self._round_up(oldest) - self.cursor.unit
        if (FIRST_US if low is None else low) <= below and len(fetcher.fetch(low, below)):
            goes_on = True
        else:
            is_told = is_counted and not fetcher.is_long(page)
            goes_on = not is_told and goes_on_after(fetcher, page, low, self.cursor.upper)
        if goes_on:
            fetcher.note_cut()
        return not goes_on

    def _pass_seam(self, upper: int, times: list[int]) -> Iterator[Batch]:
        """Read the cursor's own timestamp, which the last answer did not get past, and step below it."""
        cursor = self.cursor
        below = upper - cursor.unit
        if self._shows_known(self._fetcher.fetch(below, upper)):
            yield from self._unordered.page_through(below, upper)
            self._step_to(below, times)
            cursor.expect_seam = False
        elif cursor.unit == SECOND_US:
            raise self._again("events that had been read are missing from the next answer")
        else:
            cursor.unit = SECOND_US
            cursor.upper = self._round_up(min(times))

    def _hides_newer(self, page: Page) -> bool:
        """Return whether a first answer whose few different times do not show its order lacks newer events."""
        times = {time for time in page.times if time is not None}
        if self.cursor.upper is None or not times or len(times) >= FEW or not self._fetcher.may_hide_more(page):
            return False
        newest = max(times)
        above = newest // MILLISECOND_US * MILLISECOND_US + MILLISECOND_US
        if above >= self.cursor.upper:
            return False
        return any(time is not None and time > newest for time in self._fetcher.fetch(above, self.cursor.upper).times)

    def _contiguous_page(self, low: int | None) -> Page:
        """Ask from the cursor down; where the seam is missing, from further above it.

        The seam is missing where its events were deleted, where the server treats its upper bound as
        exclusive, or where it cuts bounds to seconds. Asking from the next whole second answers all three,
        as long as some event that was taken shows again.
        """
        cursor = self.cursor
        page = self._fetcher.fetch(low, cursor.upper, left=self.state.events_left + SEAM_EVENTS)
        is_untimed = len(page) == page.times.count(None) > 0
        if not cursor.expect_seam or cursor.upper is None or is_untimed or self._shows_known(page):
            return page
        if cursor.upper == self._lost_at:
            raise self._again("the same events are missing from the answers again")
        self._lost_at = cursor.upper
        times = sorted(cursor.times())
        seam = {key for key in cursor.known if key[1] is not None and key[1] <= cursor.upper}
        second = cursor.upper // SECOND_US * SECOND_US + SECOND_US
        further = (times[place] for place in (len(times) // 2, -1)) if times else ()
        for wider in sorted({second, *(round_up(time, MILLISECOND_US) for time in further)}):
            page = self._fetcher.fetch(low, wider)
            if self._shows_known(page):
                if not seam.isdisjoint(self.state.keys(page)) or self._fetcher.may_hide_more(page):
                    # Still there, so it was the bound that hid it; or too far down to be shown.
                    cursor.unit = SECOND_US
                cursor.upper = wider
                return page
        raise self._again("events that had been read are missing from the next answer")

    def _shows_known(self, page: Page) -> bool:
        # Events without a time prove nothing: a server may show them in every range.
        keys = self.state.keys(page) if self.cursor.by_content else zip(page.ids, page.times, strict=True)
        return not self.cursor.known.isdisjoint(key for key in keys if key[1] is not None)

    def _round_up(self, time: int) -> int:
        if self.cursor.unit == MILLISECOND_US:
            return round_up(time, MILLISECOND_US)
        return _next_second(time)

    def _step_to(self, upper: int, times: list[int]) -> None:
        """Move the cursor down, keeping in mind the events that may show again.

        These are the ones of the seam, those until the next whole second, should the server's bounds turn
        out to be that coarse, and a stretch above for the case that the seam is deleted.
        """
        cursor = self.cursor
        cursor.upper, cursor.expect_seam = upper, True
        times = sorted(times)
        keep = max(_next_second(upper), times[len(times) // 4])
        cursor.known = KnownRows(key for key in cursor.known if key[1] is None or key[1] <= keep)

    def _again(self, reason: str, *, any_order: bool = False) -> ReadAgainError:
        self.cursor.any_order = self.cursor.any_order or any_order
        return self.state.again(reason)


def _next_second(time: int) -> int:
    """Return the next whole second even from a whole second: a bound may be exclusive."""
    return time // SECOND_US * SECOND_US + SECOND_US


def _is_newest_first(page: Page) -> bool:
    times = [time for time in page.times if time is not None]
    return times == sorted(times, reverse=True)
