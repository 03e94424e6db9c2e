"""How an export is getting on, said in the log at human pace."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

#: Seconds between two lines.
INTERVAL_S = 30.0


class Progress:
    """Counts what has been read, over all readers.

    :param total: events to expect, where the server reports it.
    :param clock: seconds, by default :func:`time.monotonic`.
    """

    def __init__(self, total: int | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._total = total
        self._clock = clock
        self._started = self._logged = clock()
        self._lock = threading.Lock()
        self.event_count = 0
        self.size_bytes = 0

    def add(self, event_count: int, size_bytes: int) -> None:
        """Count events and their bytes."""
        with self._lock:
            self.event_count += event_count
            self.size_bytes += size_bytes

    def summary(self) -> str:
        """Return what has been read: events, MB, events a second."""
        return f"{self.event_count:,} events, {self.size_bytes / 1e6:,.1f} MB, {self._rate():,.0f} events/s"

    def line(self) -> str:
        """Return the summary, with share and time left where the total is known."""
        rate = self._rate()
        if not self._total or not rate:
            return self.summary()
        share = min(1.0, self.event_count / self._total)
        left = max(0, self._total - self.event_count) / rate
        return f"{self.summary()}, {share:.0%} done, {_duration(left)} left"

    def _rate(self) -> float:
        return self.event_count / max(self._clock() - self._started, 1e-3)

    def log(self) -> None:
        """Log the line, unless the last one is younger than :data:`INTERVAL_S`."""
        if self._clock() - self._logged >= INTERVAL_S:
            self._logged = self._clock()
            log.info("Exporting: %s", self.line())


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"about {hours} h {minutes:02d} min"
    return f"about {minutes} min {rest:02d} s" if minutes else f"about {rest} s"
