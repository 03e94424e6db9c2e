"""Fixed lines in a window: where slices may be cut, and where what is compressed by itself ends.

Lines depend on the window and its number of events alone, never on who reads what when: so the same events
give the same bytes, however the work was shared.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from airflow_provider_honeyhive.windows import MILLISECOND_US, SECOND_US

if TYPE_CHECKING:
    from airflow_provider_honeyhive.windows import Window

#: Events that a cell should hold where they are spread evenly. So few, because often they are not: a burst
#: in a hundredth of the window must still fill cells enough to be shared.
EVENTS_IN_A_CELL = 100
MOST_CELLS = 4096
#: Where the server does not say how many events there are.
CELLS_OF_UNKNOWN = 1024


@dataclass(frozen=True, slots=True)
class Grid:
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
