"""How many requests may be under way at the same time: fewer after the server objects, then slowly more again."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


#: Responses, for each request that may be under way, after which one more may be.
GROW_AFTER = 4

#: Seconds between two looks at whether to go on waiting, here and wherever threads wait for each other.
TICK_S = 0.5


class ConcurrencyLimit:
    """Counts the requests under way, and makes one that is too many wait.

    The readers of one export share one. After a response of 429 or 503 it allows half as many, and then slowly more.

    :param most: requests at once while the server does not object.
    """

    def __init__(self, most: int) -> None:
        self._changed = threading.Condition()
        self._most = most
        self._busy = 0
        self._responses = 0
        self._slowdowns = 0
        self.allowed = most

    @contextmanager
    def one(self, is_stopped: Callable[[], bool]) -> Iterator[Callable[[bool], None]]:
        """Hold a place among the requests under way; wait for one first.

        Gives a function to be called with whether the server had too many requests.

        :param is_stopped: asked while waiting; once it is true, nothing waits any more.
        """
        with self._changed:
            while self._busy >= self.allowed and not is_stopped():
                self._changed.wait(TICK_S)
            self._busy += 1
            began_after = self._slowdowns

        def answered(too_many: bool) -> None:
            with self._changed:
                if too_many:
                    self._slow_down(began_after)
                else:
                    self._grow()

        try:
            yield answered
        finally:
            with self._changed:
                self._busy -= 1
                self._changed.notify()

    def _slow_down(self, began_after: int) -> None:
        # Requests that were under way together are refused together: they count as one refusal.
        if began_after == self._slowdowns:
            self._slowdowns += 1
            self._responses = 0
            self.allowed = max(1, self.allowed // 2)

    def _grow(self) -> None:
        self._responses += 1
        if self.allowed < self._most and self._responses >= GROW_AFTER * self.allowed:
            self._responses = 0
            self.allowed += 1
            self._changed.notify()
