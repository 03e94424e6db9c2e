"""When traffic happens: busy in office hours, thin at night and at weekends."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import accumulate
from typing import TYPE_CHECKING

from .times import EPOCH, datetime_us

if TYPE_CHECKING:
    from random import Random

#: Traffic by hour of the day, UTC.
BY_HOUR = (2, 1, 1, 1, 1, 2, 5, 12, 24, 32, 36, 34, 26, 30, 36, 37, 34, 26, 16, 11, 9, 7, 5, 3)
WEEKEND_SHARE = 0.35
HOUR_MS = 3_600_000


class Calendar:
    """Random times in whole milliseconds within ``[start, end)``.

    :raises ValueError: if there is no whole millisecond in between.
    """

    def __init__(self, start: datetime, end: datetime) -> None:
        self.first = -(-datetime_us(start) // 1000)
        self.last = (datetime_us(end) - 1) // 1000
        if self.last < self.first:
            raise ValueError(f"no time in [{start}, {end})")
        self._begins: list[int] = []
        self._ends: list[int] = []
        weights: list[float] = []
        for hour in range(self.first // HOUR_MS, self.last // HOUR_MS + 1):
            begin, stop = max(self.first, hour * HOUR_MS), min(self.last + 1, (hour + 1) * HOUR_MS)
            at = EPOCH + timedelta(hours=hour)
            share = WEEKEND_SHARE if at.weekday() >= 5 else 1.0
            self._begins.append(begin)
            self._ends.append(stop)
            weights.append(share * BY_HOUR[at.hour] * (stop - begin))
        self._cumulated = list(accumulate(weights))

    def draw(self, rng: Random) -> int:
        """Return one time in milliseconds since the epoch."""
        (n,) = rng.choices(range(len(self._begins)), cum_weights=self._cumulated)
        return rng.randrange(self._begins[n], self._ends[n])
