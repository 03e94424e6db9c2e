"""Splits a window into shards for mapped tasks, of about as many events each, by asking the server for counts.

Only the balance of the shards depends on the server's numbers: whatever it answers, they cover the window exactly.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from airflow_provider_honeyhive.display import get_logger
from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.models.options import MOST_SHARDS, check_number
from airflow_provider_honeyhive.models.window import MILLISECOND_US, SECOND_US, Window, from_micros
from airflow_provider_honeyhive.reading.fetcher import RangeFetcher, ReadStats
from airflow_provider_honeyhive.reading.proof import count_rows, milliseconds_in

if TYPE_CHECKING:
    from airflow_provider_honeyhive.api.client import HoneyHiveClient
    from airflow_provider_honeyhive.models.request import ExportRequest


log = get_logger(__name__)

#: A bound is good enough when so much of a shard's events, at most, lie on its wrong side.
TOLERANCE = 0.05

#: Questions for each shard, all shards together; finding one millisecond in a day by halving takes 27.
QUESTIONS_FOR_A_PART = 16

#: Totals of the two halves that differ from that of the whole by more than this share of it are no totals.
DOUBTFUL = 0.1


@dataclass(frozen=True, slots=True)
class Split:
    """A window in shards.

    :param windows: the shards, oldest first; they cover the window without gap or overlap.
    :param total: events that the server reported for the whole; None where it reports no usable total.
    """

    windows: tuple[Window, ...]
    total: int | None


def split_by_counts(
    client: HoneyHiveClient, request: ExportRequest, parts: int, events_per_part: int | None = None
) -> Split:
    """Split the request's window into shards that hold about as many events each.

    Bounds lie on whole seconds, or on whole milliseconds where a second holds too much. Where events lie too
    close together for a bound between them, there are fewer shards; without events there is one. Where the server
    reports no totals, or numbers that cannot be totals, the shards are of equal length.

    :param client: where to ask.
    :param request: what to count.
    :param parts: the most shards (1 to 1024).
    :param events_per_part: take fewer shards as long as none has many more events than this; None: as many as
        ``parts`` says.
    :raises InvalidArgumentError: a number is out of its range, or the request has no window.
    :raises HoneyHiveError: the server could not be asked.
    """
    check_number("parts", parts, 1, MOST_SHARDS)
    check_number("events_per_part", events_per_part, 1, None, optional=True)
    if request.window is None:
        raise InvalidArgumentError("window", None, "only a window with a start and an end can be split")
    fetcher = RangeFetcher(client, request, ReadStats())
    total = count_rows(fetcher, request.window.start_us, request.window.end_us)
    if total is None:
        log.warning("The server reports no usable total for %s: splitting it by time alone", request.window)
        return Split(request.window.split(parts), None)
    wanted = min(parts, -(-total // (events_per_part or 1)))
    points = _Points(fetcher, request.window, total, QUESTIONS_FOR_A_PART * wanted)
    if wanted > 1 and not points.add_up():
        log.warning("The totals that the server reports for %s do not add up: splitting it by time", request.window)
        return Split(request.window.split(wanted), None)
    bounds = sorted({request.window.start_us, *points.divide(wanted), request.window.end_us})
    windows = tuple(Window(from_micros(low), from_micros(high)) for low, high in pairwise(bounds))
    log.info(
        "Splitting %s events of %s: %d shards, %d questions", f"{total:,}", request.window, len(windows), points.asked
    )
    return Split(windows, total)


class _NoTotalError(Exception):
    """An answer without the number that others had."""


class _Points:
    """Times, and how many of the window's events lie before them; asks for more where they are too few.

    :param fetcher: of the request.
    :param window: the window.
    :param total: events in it.
    :param most_questions: after so many, what is known must do.
    """

    def __init__(self, fetcher: RangeFetcher, window: Window, total: int, most_questions: int) -> None:
        self._fetcher = fetcher
        self._total = total
        self._most_questions = most_questions
        self._known = [(window.start_us, 0), (window.end_us, total)]
        self.asked = 0

    def add_up(self) -> bool:
        """Return whether the halves of the window hold, by the server's word, what the whole holds."""
        (start, _), (end, _) = self._known
        middle = _between(start, end, 0.5)
        if middle is None:
            return True
        try:
            earlier, later = self._count(start, middle), self._count(middle, end)
        except _NoTotalError:
            return False
        if abs(earlier + later - self._total) > max(2, DOUBTFUL * self._total):
            return False
        self._known.insert(1, (middle, min(earlier, self._total)))
        return True

    def divide(self, parts: int) -> list[int]:
        """Return bounds that divide the window into at most ``parts`` shards, none of them without events."""
        bounds: list[int] = []
        before = 0
        for number in range(1, parts):
            bound, count = self._nearest(self._total * number / parts, TOLERANCE * self._total / parts)
            if before < count < self._total:
                bounds.append(bound)
                before = count
        return bounds

    def _nearest(self, target: float, tolerance: float) -> tuple[int, int]:
        """Return the point with about ``target`` events before it."""
        is_even = True
        while True:
            place = bisect_left(self._known, target, key=lambda point: point[1])
            low, high = self._known[place - 1], self._known[place]
            nearest = min(low, high, key=lambda point: abs(point[1] - target))
            good_enough = abs(nearest[1] - target) <= tolerance or high[1] - low[1] <= 1
            if good_enough or self.asked >= self._most_questions:
                return nearest
            # Where the events lie evenly, the place can be guessed; in the middle of a burst only halving helps.
            share = (target - low[1]) / (high[1] - low[1]) if is_even else 0.5
            middle = _between(low[0], high[0], share)
            if middle is None:
                return nearest
            try:
                count = min(low[1] + self._count(low[0], middle), high[1])
            except _NoTotalError:
                return nearest
            self._known.insert(place, (middle, count))
            left = high[1] - count if count < target else count - low[1]
            is_even = left < 0.75 * (high[1] - low[1])

    def _count(self, start: int, end: int) -> int:
        low, high = milliseconds_in(start, end)
        if low > high:
            return 0
        self.asked += 1
        page = self._fetcher.fetch(low, high, limit=1)
        if page.total is None and len(page):
            raise _NoTotalError
        return max(page.total or 0, len(page))


def _between(low: int, high: int, share: float) -> int | None:
    """Return a whole second about ``share`` of the way from ``low`` to ``high``, else a whole millisecond, if any."""
    wanted = low + share * (high - low)
    for unit in (SECOND_US, MILLISECOND_US):
        first, last = (low // unit + 1) * unit, (high - 1) // unit * unit
        if first <= last:
            return max(first, min(round(wanted / unit) * unit, last))
    return None
