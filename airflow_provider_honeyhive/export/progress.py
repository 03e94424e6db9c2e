"""How the reading of an export is getting on, said in the log at human pace."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from airflow_provider_honeyhive.display import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable


log = get_logger(__name__)

#: Seconds between two lines.
INTERVAL_S = 30.0


class Progress:
    """Counts what has been read, over all readers, and logs a line about it now and then.

    An export calls :meth:`begin` once it knows what to expect, :meth:`add` from its readers,
    :meth:`show` from the main thread about twice a second, and :meth:`end` when reading is over.

    :param clock: seconds, by default :func:`time.monotonic`.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._total: int | None = None
        self._done = 0
        self._began = self._shown = clock()
        self._ended: float | None = None
        #: Events so far, those of an earlier try included.
        self.event_count = 0
        #: Bytes of the events that this try has read.
        self.size_bytes = 0

    def begin(self, total: int | None, done: int = 0) -> None:
        """Start the clock.

        :param total: events to expect in all, None where the server reports no total.
        :param done: events of them that an earlier try has staged.
        """
        self._total = total
        self._done = self.event_count = done
        self._began = self._shown = self._clock()

    def add(self, event_count: int, size_bytes: int) -> None:
        """Count events that were read, and their bytes; from any thread."""
        with self._lock:
            self.event_count += event_count
            self.size_bytes += size_bytes

    def show(self) -> None:
        """Log the line, unless the last one is younger than :data:`INTERVAL_S`."""
        if self._clock() - self._shown >= INTERVAL_S:
            self._shown = self._clock()
            log.info("Exporting: %s", self.line())

    def end(self) -> None:
        """Stop the clock: reading is over, well or badly. A second call changes nothing."""
        if self._ended is None:
            self._ended = self._clock()

    def summary(self) -> str:
        """Return what has been read: events, MB, events a second."""
        earlier = f" ({self._done:,} of them by an earlier try)" if self._done else ""
        return f"{self.event_count:,} events{earlier}, {self.size_bytes / 1e6:,.1f} MB, {self._rate():,.0f} events/s"

    def line(self) -> str:
        """Return the summary, with share and time left where the total is known."""
        rate = self._rate()
        if not self._total or not rate:
            return self.summary()
        share = min(1.0, self.event_count / self._total)
        left = max(0, self._total - self.event_count) / rate
        return f"{self.summary()}, {share:.0%} done, {_duration(left)} left"

    def _rate(self) -> float:
        now = self._clock() if self._ended is None else self._ended
        return (self.event_count - self._done) / max(now - self._began, 1e-3)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"about {hours} h {minutes:02d} min"
    return f"about {minutes} min {rest:02d} s" if minutes else f"about {rest} s"
