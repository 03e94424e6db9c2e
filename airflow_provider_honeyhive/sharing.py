"""Who reads which slice next: one that waits, else half of the pages that the slowest reader has left."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_provider_honeyhive.grid import Grid
    from airflow_provider_honeyhive.reader import SliceReader
    from airflow_provider_honeyhive.staging import StagedFile

#: Seconds between two looks for something to do; news of it come earlier.
_TICK_S = 0.5
#: Pages that a reader must have left, the one under way included, before another one takes some of them: each
#: slice costs a request that shows its end.
PAGES_WORTH_CUTTING = 3
#: How full the pages of a piece should be by what is known: were there a few events more, it would need one more.
FULL = 0.97


@dataclass(eq=False)
class Slice:
    """A part of the window that one thread reads.

    :param number: names it in the journal.
    :param end: exclusive upper bound, microseconds since 1970.
    :param reader: reads it, and knows its lower bound, which moves up when the slice gives some away.
    :param files: what is staged of it.
    """

    number: int
    end: int | None
    reader: SliceReader
    files: list[StagedFile] = field(default_factory=list)

    @property
    def bounds(self) -> tuple[int | None, int | None]:
        """The slice's times, half open."""
        return self.reader.start, self.end


class WorkShare:
    """Hands out slices to the threads that read.

    :param slices: newest first.
    :param grid: slices are cut along its lines.
    :param cut: cuts a slice at a time and returns the older piece, or None where it is too late for that.
    :param page_size: gives the events that a page has at present.
    """

    def __init__(
        self,
        slices: Sequence[Slice],
        grid: Grid,
        cut: Callable[[Slice, int], Slice | None],
        page_size: Callable[[], int],
    ) -> None:
        self._changed = threading.Condition()
        self._waiting = list(slices)
        self._reading: list[Slice] = []
        self._grid = grid
        self._cut = cut
        self._page_size = page_size
        self.slices = list(slices)

    def next(self, stop: threading.Event) -> Slice | None:
        """Return a slice to read, None when there is nothing left to do.

        :param stop: set when it is over.
        """
        with self._changed:
            while not stop.is_set():
                piece = self._waiting.pop(0) if self._waiting else self._piece_of_another()
                if piece is not None:
                    self._reading.append(piece)
                    return piece
                if not self._reading:
                    return None
                self._changed.wait(_TICK_S)
        return None

    def went_on(self) -> None:
        """Tell that a reader got further: there may be more, or less, to share."""
        with self._changed:
            self._changed.notify_all()

    def finished(self, piece: Slice) -> None:
        """Tell that a slice has been read."""
        with self._changed:
            self._reading.remove(piece)
            self._changed.notify_all()

    def _piece_of_another(self) -> Slice | None:
        page_size = self._page_size()
        for busy in sorted(self._reading, key=lambda each: each.reader.events_left, reverse=True):
            unread, left = busy.reader.unread, busy.reader.events_left
            if unread is None or left < PAGES_WORTH_CUTTING * page_size:
                continue
            # Whole pages, so that sharing makes no more of them.
            share = ceil(left / page_size) // 2 * page_size * FULL / left
            low, high = unread
            line = self._grid.line_near(low + int((high - low) * share), low, high)
            piece = None if line is None else self._cut(busy, line)
            if piece is not None:
                self.slices.append(piece)
                return piece
        return None
