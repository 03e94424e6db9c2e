"""How many events a page asks for: follows the bytes of the answers, and what was too heavy for the server."""

from __future__ import annotations

import threading
from math import ceil
from typing import TYPE_CHECKING

from airflow_provider_honeyhive.api.retries import is_heavy
from airflow_provider_honeyhive.display import get_logger
from airflow_provider_honeyhive.exceptions import HoneyHiveRequestError

if TYPE_CHECKING:
    from airflow_provider_honeyhive.exceptions import HoneyHiveError


log = get_logger(__name__)

FIRST_LIMIT = 1000

#: Bytes of an answer that pages aim for: large enough to hide the way there and back, small enough to hold.
TARGET_BYTES = 16_000_000

#: Bytes that the answers of all readers together aim for, and the least that each of them may have of it.
TOGETHER_BYTES, LEAST_TARGET_BYTES = 40_000_000, 4_000_000

#: The same beside uploads, whose drivers copy what they send.
TOGETHER_BESIDE_UPLOADS_BYTES = 20_000_000

#: Large events share an answer with so many others, while it has no more than the target: each answer shows the last
#: event of the one before again, which is not to be a large part of it. Beside uploads, with fewer.
LARGE_EVENTS, LARGE_EVENTS_BESIDE_UPLOADS = 16, 8

#: An answer of more than this many times the target is not worth its memory: a smaller page will do.
MOST_TARGETS = 4

#: How much longer than the size that suits the server the pages of a slice may be.
STRETCH = 1.25

#: How many times longer the next page may be: after the first answer, and after later ones.
FIRST_GROWTH, LATER_GROWTH = 8, 2

#: Answers that must come through after a heavy one before pages grow again.
CAUTIOUS_ANSWERS = 10


class PageSizer:
    """How many events to ask for at once: follows the bytes of the answers, not their number.

    :param page_size: most events in a page; None: as many as suit the answers' bytes and the endpoint.
    :param readers: how many ask at the same time.
    """

    def __init__(self, page_size: int | None = None, readers: int = 1) -> None:
        self._lock = threading.Lock()
        self._readers = readers
        self.target_bytes = self._share_of(TOGETHER_BYTES)
        self._large_events = LARGE_EVENTS
        self._ceiling = page_size
        self._cautious = 0
        self._growth = FIRST_GROWTH
        self.limit = min(FIRST_LIMIT, page_size or FIRST_LIMIT)

    def leave_memory(self) -> None:
        """Aim for smaller answers, before any has come."""
        self.target_bytes = self._share_of(TOGETHER_BESIDE_UPLOADS_BYTES)
        self._large_events = LARGE_EVENTS_BESIDE_UPLOADS

    def _share_of(self, together_bytes: int) -> int:
        return max(LEAST_TARGET_BYTES, min(TARGET_BYTES, together_bytes // self._readers))

    def suiting(self, event_bytes: float) -> int:
        """Return how many events of a mean size an answer should have.

        One alone would be the last event of the answer before, again and again: two, while an answer may hold them.
        """
        few_large = min(self._large_events, int(TARGET_BYTES / event_bytes))
        two = min(2, int(MOST_TARGETS * self.target_bytes / event_bytes))
        return max(1, int(self.target_bytes / event_bytes), few_large, two)

    def learn(self, events: int, size_bytes: int, max_limit: int) -> None:
        """Take an answer's size into account."""
        if not events:
            return
        ideal = self.suiting(size_bytes / events)
        with self._lock:
            if ideal > self.limit and self._cautious:
                self._cautious -= 1
                return
            ceiling = min(max_limit, self._ceiling or max_limit)
            growth, self._growth = self._growth, LATER_GROWTH
            self.limit = min(ideal, self.limit * growth, ceiling)

    def limit_for(self, left: float) -> int:
        """Return the limit for a page, stretched where that spares a page for a small rest.

        :param left: a guess at how many events there are.
        """
        pages = int(left / self.limit)
        limit = ceil(left / pages) if pages else self.limit
        if not self.limit < limit <= self.limit * STRETCH:
            return self.limit
        return limit if self._ceiling is None else min(limit, self._ceiling)

    def shrink(self, failed: int) -> int:
        """Return half of the limit that was too heavy, and keep to it for a while."""
        with self._lock:
            self.limit = max(1, min(self.limit, failed // 2))
            self._cautious = CAUTIOUS_ANSWERS
            return self.limit

    def max_bytes(self, limit: int) -> int | None:
        """Return how many bytes an answer of ``limit`` events may have; None for a single event, which may have any."""
        return MOST_TARGETS * self.target_bytes if limit > 1 else None

    def shrinks_after(self, error: HoneyHiveError, failed: int) -> bool:
        """Return whether a smaller page may come through where one of ``failed`` events did not; if so, shrink."""
        if failed > 1 and is_heavy(error):
            smaller = self.shrink(failed)
            log.warning("A page of %d events is too heavy, asking for %d: %s", failed, smaller, error)
            return True
        if isinstance(error, HoneyHiveRequestError) and error.status_code in (400, 422) and failed > FIRST_LIMIT:
            # Older deployments take at most 1000, newer ones 7500.
            with self._lock:
                self._ceiling = FIRST_LIMIT
                self.limit = min(self.limit, FIRST_LIMIT)
            return True
        return False
