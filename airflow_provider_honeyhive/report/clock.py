"""Time on the charts: the window of the report and its steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive.report.forms import time_of

if TYPE_CHECKING:
    import duckdb

#: Length of a step in seconds -> how the page calls it, and what its axis shows.
STEPS = {
    60: ("minute", "%H:%M"),
    300: ("5 minutes", "%H:%M"),
    900: ("15 minutes", "%H:%M"),
    3600: ("hour", "%H:%M"),
    21600: ("6 hours", "%d %b"),
    86400: ("day", "%d %b"),
    604800: ("week", "%d %b"),
    2592000: ("30 days", "%b %Y"),
    31536000: ("365 days", "%Y"),
}


@dataclass(frozen=True)
class Clock:
    """A window, and the steps that it is shown in.

    :param start: first millisecond since 1970.
    :param end: the one after the last.
    :param step: in milliseconds.
    """

    start: int
    end: int
    step: int

    @property
    def step_name(self) -> str:
        """How a step is called."""
        return STEPS[self.step // 1000][0]

    @property
    def axis_format(self) -> str:
        """What the axis shows of a time, as d3 formats it."""
        return STEPS[self.step // 1000][1]

    def place(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return a row of a table over time with ``until``, the step's end, and ``at``, a text of its times."""
        begin, end = row["time"], row["time"] + self.step
        return {
            **row,
            "until": min(end, self.end),
            "time": max(begin, self.start),
            "at": f"{text(begin)} to {text(end)}",
        }


def read_clock(connection: duckdb.DuckDBPyConnection) -> Clock | None:
    """Return the window of the report; None where no time is known at all."""
    found = connection.execute(
        """
        SELECT epoch_ms(window_start), epoch_ms(window_end), CAST(1000 * epoch(step) AS BIGINT) FROM report_window
        """
    ).fetchone()
    return Clock(*found) if found and None not in found else None


def text(milliseconds: float) -> str:
    """Return a time in UTC for people."""
    return f"{time_of(milliseconds):%d %b %Y, %H:%M}"
