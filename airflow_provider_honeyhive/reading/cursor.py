"""What has been taken of a slice, what is left of it, and what of that another reader may have. Asks for nothing."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from math import inf
from typing import TYPE_CHECKING

import msgspec

from airflow_provider_honeyhive.exceptions import IncompleteExportError
from airflow_provider_honeyhive.models.window import MILLISECOND_US, SECOND_US
from airflow_provider_honeyhive.reading.known_rows import KnownRows
from airflow_provider_honeyhive.reading.rows import has_twins, row_keys

if TYPE_CHECKING:
    from collections.abc import Hashable

    from airflow_provider_honeyhive.api.pages import Page
    from airflow_provider_honeyhive.events.raw import RawEvent
    from airflow_provider_honeyhive.reading.fetcher import ReadStats
    from airflow_provider_honeyhive.reading.rows import RowKey, SharedKeys


class ReadAgainError(Exception):
    """What was read cannot be trusted to be whole: throw it away and read again.

    :param reason: why.
    :param incomplete: what to raise where there is no other attempt.
    """

    def __init__(self, reason: str, incomplete: IncompleteExportError) -> None:
        super().__init__(reason)
        self.incomplete = incomplete


@dataclass
class Cursor:
    """Where the reading of a slice stands: all it takes to go on.

    :param upper: inclusive upper bound of the next request, microseconds since 1970; None: no bound yet.
    :param known: rows taken that the next answers may show again.
    :param elsewhere: rows without a time that were seen, but that another slice has taken.
    :param expect_seam: the next answer must show a known row.
    :param unit: the finest step the server's date bounds obey, in microseconds.
    :param any_order: the answers come in any order; such a slice cannot be shared.
    :param by_content: several rows may have the same id and time.
    :param taken: rows of the slice that were taken.
    :param done: the slice has been read.
    """

    upper: int | None
    known: KnownRows = field(default_factory=KnownRows)
    elsewhere: KnownRows = field(default_factory=KnownRows)
    expect_seam: bool = False
    unit: int = MILLISECOND_US
    any_order: bool = False
    by_content: bool = False
    taken: int = 0
    done: bool = False

    @property
    def seen(self) -> int:
        """Rows of the slice that the server has shown."""
        return self.taken + len(self.elsewhere)

    def times(self) -> list[int]:
        """Return the times of the known rows."""
        return [time for _, time, *_ in self.known if time is not None]


class Batch(msgspec.Struct, frozen=True):
    """Events of one answer that had not been taken before, all of them inside the slice.

    :param keys: of their rows.
    :param position: where the reading stood when they were taken; going on from there asks for the same
        answer again, and takes of it what is not known.
    """

    raw_events: list[RawEvent]
    times: list[int | None]
    keys: list[RowKey]
    position: Cursor

    @property
    def ids(self) -> list[Hashable]:
        """What tells each event from the others: its ``event_id``, or a hash of it where it has none."""
        return [key[0] for key in self.keys]


class SliceState:
    """Takes each row of ``[start, end)`` once.

    :param start: microseconds since 1970, inclusive; None: from the beginning of time.
    :param end: microseconds since 1970, exclusive; None: until the end of time.
    :param cursor: where an earlier reading stopped; None begins at the end.
    :param expected: how many events there may be, where somebody has a guess.
    :param stats: of all slices of the export.
    :param untimed: rows without a time that any slice of the export has taken.
    """

    def __init__(
        self,
        start: int | None,
        end: int | None,
        cursor: Cursor | None,
        expected: float | None,
        *,
        stats: ReadStats,
        untimed: SharedKeys,
    ) -> None:
        self.start = start
        self._end = end
        # Outwards to whole seconds: a server that cuts its bounds to seconds must not cut off events.
        self.low = None if start is None else round_down(start, SECOND_US)
        self.high = None if end is None else round_up(end, SECOND_US)
        self.cursor = cursor or Cursor(upper=self.high)
        self._stats = stats
        self._untimed = untimed
        # Taking events and giving away a range exclude each other.
        self._lock = threading.Lock()
        self._narrowed = False
        self._left = expected
        self._reached = self._reached_by(self.cursor)
        untimed.add(self._own_untimed())

    def start_over(self, *, any_order: bool) -> None:
        """Forget what was taken.

        :param any_order: trust no order from now on.
        """
        self._untimed.remove(self._own_untimed())
        with self._lock:
            self._reached = None
            old = self.cursor
            self.cursor = Cursor(upper=self.high, unit=old.unit, any_order=any_order, by_content=old.by_content)

    def finish(self) -> None:
        """Note that the slice has been read: no answer will show its rows again, but those without a time."""
        self.cursor.known = KnownRows(self._own_untimed())
        self.cursor.done = True

    # ------------------------------------------------------------------------------- what is left

    @property
    def unread(self) -> tuple[int, int] | None:
        """The times that may hold unread events, where some of them could be given away."""
        upper = self._end if self._reached is None else self._reached
        if self.cursor.any_order or self.cursor.done or self.start is None or upper is None:
            return None
        return self.start, upper

    @property
    def events_left(self) -> float:
        """A guess at the number of events that are not read yet."""
        if self._left is not None:
            return max(0.0, self._left)
        if self._reached is None or self._end is None or self.start is None:
            return 0.0
        # As dense as what has been read.
        return self.cursor.seen * (self._reached - self.start) / max(1, self._end - self._reached)

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
            if self._left is not None:
                self._left -= share
            self.start, self.low = time, round_down(time, SECOND_US)
            return share

    def _reached_by(self, cursor: Cursor) -> int | None:
        """Return the time below which nothing has been taken, None where nothing has been taken at all."""
        times = cursor.times()
        if cursor.upper is not None and cursor.upper != self.high:
            times.append(cursor.upper)
        return min(times, default=None)

    def _own_untimed(self) -> list[RowKey]:
        return [key for key in self.cursor.known if key[1] is None]

    # ------------------------------------------------------------------------------- taking

    def keys(self, page: Page) -> list[RowKey]:
        """Return the key of each row of an answer."""
        return row_keys(page, by_content=self.cursor.by_content)

    def again(self, reason: str) -> ReadAgainError:
        """Return what to raise where what was taken cannot be trusted to be whole."""
        return ReadAgainError(reason, IncompleteExportError(None, self.cursor.seen, reason))

    def take(self, page: Page, low: int | None) -> Batch | None:
        """Return the rows of the answer that are new and inside the slice, and remember all of its rows.

        A row without a time counts as inside: the server gave it for this range, and leaving it out would lose it.

        :param page: the answer.
        :param low: what it was asked from on.
        :returns: None where the answer shows nothing new.
        :raises ReadAgainError: the rows have to be told apart by their contents.
        """
        if has_twins(page) and not self.cursor.by_content:
            self.cursor.by_content = True
            raise self.again("several events have the same id and time")
        cursor, stats = self.cursor, self._stats
        raws: list[RawEvent] = []
        times: list[int | None] = []
        taken: list[RowKey] = []
        keys = self.keys(page)
        with self._lock:
            known, forms = cursor.known.to_add_to(keys)
            known_before = len(known)
            start, end = _between(self.start, self._end)
            # Above the cursor everything has been read; a server with coarse bounds shows it again. What lies
            # below was asked for before it was given away.
            lowest, highest = _between(self.low if self._narrowed else None, cursor.upper)
            # One pass with nothing called in it: this is run for each event there is.
            for raw, key, form, time in zip(page.raw_events, keys, forms, page.times, strict=True):
                if form in known:
                    continue
                if time is None:
                    if not self._untimed.is_first(key):
                        cursor.elsewhere.add(key)
                        continue
                elif not lowest <= time <= highest:
                    continue
                known[form] = None
                if time is None or start <= time < end:
                    raws.append(raw)
                    times.append(time)
                    taken.append(key)
            fresh = len(known) - known_before
            cursor.taken += len(taken)
            self._reached = min((time for time in (*times, self._reached) if time is not None), default=None)
            self._guess_what_is_left(page, low, fresh)
        with stats.lock:
            stats.duplicates_dropped += len(page) - fresh
        return Batch(raws, times, taken, self._position()) if fresh else None

    def _guess_what_is_left(self, page: Page, low: int | None, fresh: int) -> None:
        if page.total is not None and page.total > len(page) and low == self.low:
            self._left = page.total - len(page)
        elif self._left is not None:
            self._left -= fresh

    def _position(self) -> Cursor:
        return replace(self.cursor, known=self.cursor.known.copy(), elsewhere=self.cursor.elsewhere.copy())


def sort_newest_first(batch: Batch) -> Batch:
    """Return the events newest first, those without a time last."""
    order = sorted(range(len(batch.keys)), key=lambda at: (batch.times[at] is None, -(batch.times[at] or 0)))
    return Batch(
        [batch.raw_events[at] for at in order],
        [batch.times[at] for at in order],
        [batch.keys[at] for at in order],
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
