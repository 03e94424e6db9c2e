"""Who reads which slice next: one that waits, else half of the pages that the slowest reader has left."""

from __future__ import annotations

import threading
from itertools import pairwise
from math import ceil
from typing import TYPE_CHECKING

import msgspec

from airflow_provider_honeyhive.api.concurrency import TICK_S
from airflow_provider_honeyhive.models.window import MILLISECOND_US, SECOND_US

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_provider_honeyhive.export.open_file import HeldFile
    from airflow_provider_honeyhive.export.staging_records import StagedFile
    from airflow_provider_honeyhive.models.window import Window
    from airflow_provider_honeyhive.reading.slice_reader import SliceReader


#: Events that a cell should hold where they are spread evenly. So few, because often they are not: a burst
#: in a hundredth of the window must still fill cells enough to be shared.
EVENTS_IN_A_CELL = 100

MOST_CELLS = 4096

#: Where the server does not say how many events there are.
CELLS_OF_UNKNOWN = 1024


class Grid(msgspec.Struct, frozen=True):
    """Lines at ``origin_us + n * width_us``, in microseconds since 1970."""

    origin_us: int
    width_us: int

    @classmethod
    def over(cls, window: Window | None, total: int | None) -> Grid:
        """Return the grid of a window.

        :param window: None, all of time, has one cell.
        :param total: events in it, None where that is not known.
        """
        if window is None:
            return cls(-(1 << 62), 1 << 63)
        cells = CELLS_OF_UNKNOWN if total is None else _power_of_two(total // EVENTS_IN_A_CELL)
        width = -(-(window.end_us - window.start_us) // min(cells, MOST_CELLS))
        # In steps that the wire can say; whole seconds where possible, since some servers cut bounds to them.
        unit = SECOND_US if width >= SECOND_US else MILLISECOND_US
        return cls(window.start_us // unit * unit, -(-width // unit) * unit)

    def cell(self, time: int) -> int:
        """Return the number of the cell that holds ``time``."""
        return (time - self.origin_us) // self.width_us

    def bounds(self, time: int) -> tuple[int, int]:
        """Return the times, half open, of the cell that holds ``time``."""
        low = self.origin_us + self.cell(time) * self.width_us
        return low, low + self.width_us

    def line_near(self, time: int, low: int, high: int) -> int | None:
        """Return the line nearest to ``time`` between ``low`` and ``high``, both exclusive; None: there is none."""
        first, last = self.cell(low) + 1, self.cell(high - 1)
        if first > last:
            return None
        nearest = self.cell(time + self.width_us // 2)
        return self.origin_us + max(first, min(nearest, last)) * self.width_us

    def split(self, window: Window, parts: int) -> list[tuple[int, int]]:
        """Split a window into at most ``parts`` ranges along lines, newest first."""
        start, end = window.start_us, window.end_us
        wanted = (start + (end - start) * number // parts for number in range(1, parts))
        lines = {self.line_near(time, start, end) for time in wanted} - {None}
        edges = [start, *sorted(line for line in lines if line is not None), end]
        return list(pairwise(edges))[::-1]


def _power_of_two(number: int) -> int:
    """Return the next power of two that is not below ``number``, so that a few late events change no line."""
    return 1 << max(0, number - 1).bit_length()


#: Pages that a reader must have left, the one under way included, before another one takes some of them: each
#: slice has a last page that is not full, and may cost a request that shows its end.
PAGES_WORTH_CUTTING = 2

#: How full the pages of a piece should be by what is known: were there a few events more, it would need one more.
FULL = 0.97


class Slice(msgspec.Struct, eq=False):
    """A part of the window that one thread reads.

    :param number: names it in the checkpoints.
    :param end: exclusive upper bound, microseconds since 1970.
    :param reader: reads it, and knows its lower bound, which moves up when the slice gives some away.
    :param files: what is staged of it.
    :param held: what follows them on this machine.
    """

    number: int
    end: int | None
    reader: SliceReader
    files: list[StagedFile] = msgspec.field(default_factory=list)
    held: list[HeldFile] = msgspec.field(default_factory=list)

    @property
    def bounds(self) -> tuple[int | None, int | None]:
        """The slice's times, half open."""
        return self.reader.state.start, self.end


class SliceQueue:
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
                self._changed.wait(TICK_S)
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

    def begin_again(self, slices: Sequence[Slice]) -> None:
        """Hand out slices once more, while nobody reads.

        :param slices: to be read from their beginning.
        """
        with self._changed:
            self._waiting += slices

    def _piece_of_another(self) -> Slice | None:
        page_size = self._page_size()
        for busy in sorted(self._reading, key=lambda each: each.reader.state.events_left, reverse=True):
            unread, left = busy.reader.state.unread, busy.reader.state.events_left
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
