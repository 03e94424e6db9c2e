"""What has been taken of a slice, what is left of it, and what of that another reader may have. Asks for nothing."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from math import inf
from typing import TYPE_CHECKING

from airflow_provider_honeyhive.exceptions import IncompleteExportError
from airflow_provider_honeyhive.models.window import MILLISECOND_US, SECOND_US

if TYPE_CHECKING:
    from collections.abc import Hashable

    from airflow_provider_honeyhive.api.pages import Page
    from airflow_provider_honeyhive.events.raw import RawEvent
    from airflow_provider_honeyhive.reading.fetcher import ReadStats, SharedIds


class ReadAgainError(Exception):
    """What was read of a slice cannot be trusted to be whole: throw it away and read again.

    :param expected: events the server reported.
    :param received: distinct events read.
    """

    def __init__(self, reason: str, expected: int, received: int) -> None:
        super().__init__(reason)
        self.incomplete = IncompleteExportError(expected, received)


@dataclass
class Cursor:
    """Where the reading of a slice stands: all it takes to go on.

    :param upper: inclusive upper bound of the next request, microseconds since 1970; None: no bound yet.
    :param known: events taken that the next answers may show again, with their times.
    :param expect_seam: the next answer must show a known event.
    :param unit: the finest step the server's date bounds obey, in microseconds.
    :param distinct: different events seen in the asked range.
    :param repeated: events that came twice in one answer.
    :param total: what the server reported for the range, where that can be a total.
    :param done: the slice has been read.
    """

    upper: int | None
    known: dict[Hashable, int | None] = field(default_factory=dict)
    expect_seam: bool = False
    unit: int = MILLISECOND_US
    distinct: int = 0
    repeated: int = 0
    total: int | None = None
    done: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """Events of one answer that had not been taken before, all of them inside the slice.

    :param position: where the reading stood when they were taken; going on from there asks for the same
        answer again, and takes of it what is not known.
    """

    raw_events: list[RawEvent]
    times: list[int | None]
    ids: list[Hashable]
    position: Cursor


class SliceState:
    """Takes each event of ``[start, end)`` once, and knows how many there should be.

    :param start: microseconds since 1970, inclusive; None: from the beginning of time.
    :param end: microseconds since 1970, exclusive; None: until the end of time.
    :param cursor: where an earlier reading stopped; None begins at the end.
    :param expected: how many events there may be, where somebody has a guess.
    :param stats: of all slices of the export.
    :param untimed: ids of events without a time that any slice of the export has taken.
    """

    def __init__(
        self,
        start: int | None,
        end: int | None,
        cursor: Cursor | None,
        expected: float | None,
        *,
        stats: ReadStats,
        untimed: SharedIds,
    ) -> None:
        self.start = start
        self._end = end
        # Outwards to whole seconds: a server that cuts its bounds to seconds must not cut off events.
        self.low = None if start is None else round_down(start, SECOND_US)
        self.high = None if end is None else round_up(end, SECOND_US)
        #: The answers come in any order; such a slice cannot be shared.
        self.any_order = False
        self.cursor = cursor or Cursor(upper=self.high)
        self._stats = stats
        self._untimed = untimed
        # Taking events and giving away a range exclude each other.
        self._lock = threading.Lock()
        self._expected = expected
        self._narrowed = False
        self._given_away = 0.0
        # What the last answer and the cursor's total are about.
        self._asked_low = self._total_low = self.low
        self._reached = self._reached_by(self.cursor)
        untimed.add(self._own_untimed())

    def start_over(self, *, any_order: bool) -> None:
        """Forget what was taken.

        :param any_order: trust no order from now on.
        """
        self._untimed.remove(self._own_untimed())
        with self._lock:
            self.any_order = any_order
            self._reached = None
            self.cursor = Cursor(upper=self.high, unit=self.cursor.unit)

    def next_low(self) -> int | None:
        """Return the lower bound for the next request; the slice may be narrowed while the answer is on its way."""
        self._asked_low = self.low
        return self._asked_low

    # ------------------------------------------------------------------------------- what is left

    @property
    def unread(self) -> tuple[int, int] | None:
        """The times that may hold unread events, where some of them could be given away."""
        upper = self._end if self._reached is None else self._reached
        if self.any_order or self.cursor.done or self.start is None or upper is None:
            return None
        return self.start, upper

    @property
    def events_left(self) -> float:
        """A guess at the number of events that are not read yet."""
        total = self._expected if self.cursor.total is None else self.cursor.total
        if total is not None:
            return max(0.0, total - self.cursor.distinct - self._given_away)
        if self._reached is None or self._end is None or self.start is None:
            return 0.0
        # As dense as what has been read.
        return self.cursor.distinct * (self._reached - self.start) / max(1, self._end - self._reached)

    def give_away_below(self, time: int) -> float | None:
        """Leave the events before ``time`` to another reader.

        :param time: microseconds since 1970; becomes the slice's start.
        :returns: a guess at how many events that are; None where it is too late for that.
        """
        with self._lock:
            unread = self.unread
            if unread is None or not unread[0] < time <= unread[1]:
                return None
            low, high = unread
            share = self.events_left * (time - low) / (high - low)
            self._narrowed = True
            self._given_away += share
            self.start, self.low = time, round_down(time, SECOND_US)
            return share

    def _reached_by(self, cursor: Cursor) -> int | None:
        """Return the time below which nothing has been taken, None where nothing has been taken at all."""
        times = [time for time in cursor.known.values() if time is not None]
        if cursor.upper is not None and cursor.upper != self.high:
            times.append(cursor.upper)
        return min(times, default=None)

    def _own_untimed(self) -> list[Hashable]:
        return [id_ for id_, time in self.cursor.known.items() if time is None]

    # ------------------------------------------------------------------------------- taking

    def take(self, page: Page) -> Batch | None:
        """Return the events of the answer that are new and inside the slice, and remember its ids.

        An event without a time counts as inside: the server gave it for this range, and leaving it out
        would lose it.
        """
        cursor, stats = self.cursor, self._stats
        raws: list[RawEvent] = []
        times: list[int | None] = []
        ids: list[Hashable] = []
        with self._lock:
            known = cursor.known
            known_before = len(known)
            start, end = _between(self.start, self._end)
            # Above the cursor everything has been read; a server with coarse bounds shows it again. What lies
            # below was asked for before it was given away.
            lowest, highest = _between(self.low if self._narrowed else None, cursor.upper)
            # One pass with nothing called in it: this is run for each event there is.
            for raw, id_, time in zip(page.raw_events, page.ids, page.times, strict=True):
                if id_ in known:
                    continue
                if time is None:
                    if not self._untimed.is_first(id_):
                        continue
                elif not lowest <= time <= highest:
                    continue
                known[id_] = time
                if time is None or start <= time < end:
                    raws.append(raw)
                    times.append(time)
                    ids.append(id_)
            fresh = len(known) - known_before
            cursor.distinct += fresh
            cursor.repeated += len(page) - len(set(page.ids))
            reached = (time for time in (*times, self._reached) if time is not None)
            self._reached = min(reached, default=None)
        with stats.lock:
            stats.duplicates_dropped += len(page) - fresh
        return Batch(raws, times, ids, self._position()) if fresh else None

    def note_total(self, page: Page) -> None:
        """Note what a first answer says there is; a number no larger than the answer may be just its length."""
        cursor = self.cursor
        if not cursor.distinct and page.total is not None:
            self._expected = page.total
            if cursor.total is None and page.total > len(page):
                cursor.total, self._total_low = page.total, self._asked_low

    def correct_total(self, page: Page) -> None:
        """Count anew what the slice holds, once a part of it was given away.

        :param page: what there is from the cursor down, just taken; its total counts that.
        """
        cursor = self.cursor
        with self._lock:
            if self._total_low != self.low == self._asked_low and None not in (page.total, cursor.total):
                cursor.total = cursor.distinct + cursor.repeated - len(page) + (page.total or 0)
                self._total_low, self._given_away = self.low, 0.0

    def _position(self) -> Cursor:
        return replace(self.cursor, known=dict(self.cursor.known))


def sort_newest_first(batch: Batch) -> Batch:
    """Return the events newest first, those without a time last."""
    order = sorted(range(len(batch.ids)), key=lambda at: (batch.times[at] is None, -(batch.times[at] or 0)))
    return Batch(
        [batch.raw_events[at] for at in order],
        [batch.times[at] for at in order],
        [batch.ids[at] for at in order],
        batch.position,
    )


def _between(low: int | None, high: int | None) -> tuple[float, float]:
    """Return bounds that can be compared with, where None is no bound."""
    return -inf if low is None else low, inf if high is None else high


def round_up(time: int, unit: int) -> int:
    """Return the first multiple of ``unit`` that is not before ``time``."""
    return -(-time // unit) * unit


def round_down(time: int, unit: int) -> int:
    """Return the last multiple of ``unit`` that is not after ``time``."""
    return time // unit * unit
