"""Formats of times in paths: the part of ``strftime`` that gives the same on every system, and what it tells apart.

Of English names, time zones, years of two digits and what only some systems know there is nothing.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_honeyhive.models.layout import has_unfit_characters

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from datetime import datetime

    from airflow_provider_honeyhive.models.window import Window

#: Directive -> text of a UTC time. Written out, because strftime pads years below 1000 on some systems only.
DIRECTIVES: dict[str, Callable[[datetime], str]] = {
    "%Y": lambda time: f"{time.year:04d}",
    "%m": lambda time: f"{time.month:02d}",
    "%d": lambda time: f"{time.day:02d}",
    "%j": lambda time: f"{time.timetuple().tm_yday:03d}",
    "%G": lambda time: f"{time.isocalendar().year:04d}",
    "%V": lambda time: f"{time.isocalendar().week:02d}",
    "%u": lambda time: str(time.isoweekday()),
    "%H": lambda time: f"{time.hour:02d}",
    "%M": lambda time: f"{time.minute:02d}",
    "%S": lambda time: f"{time.second:02d}",
    "%f": lambda time: f"{time.microsecond:06d}",
}

_DIRECTIVE = re.compile("%.?", re.DOTALL)

#: By how much a day, and what consists of days, is longer or shorter where clocks change in it.
_CLOCK_CHANGE = timedelta(hours=2)


class Grain(NamedTuple):
    """What a format tells apart: two times in the same hour or day, say, have the same text.

    :param name: of the unit.
    :param shortest: length of the unit.
    :param longest: the same, but of a month or a year; None: the text names a moment, and no span of the calendar.
    """

    name: str
    shortest: timedelta
    longest: timedelta | None

    def is_shared(self, window: Window) -> bool:
        """Return whether a window is shorter than the unit, so that others have the same text."""
        return window.end - window.start < self.shortest

    def is_exceeded(self, window: Window) -> bool:
        """Return whether a window is longer than the span of the calendar that the text names."""
        return self.longest is not None and window.end - window.start > self.longest


def _of_days(name: str, shortest: int, longest: int) -> Grain:
    return Grain(name, timedelta(shortest) - _CLOCK_CHANGE, timedelta(longest) + _CLOCK_CHANGE)


_DAY = _of_days("day", 1, 1)

#: Directives that name a span of the calendar together, the finest first.
_DATES = (
    ({"%Y", "%m", "%d"}, _DAY),
    ({"%Y", "%j"}, _DAY),
    ({"%G", "%V", "%u"}, _DAY),
    ({"%G", "%V"}, _of_days("week", 7, 7)),
    ({"%Y", "%m"}, _of_days("month", 28, 31)),
    ({"%Y"}, _of_days("year", 365, 366)),
)

#: What tells times of a day apart, each only with those before it.
_CLOCK = (
    ("%H", Grain("hour", timedelta(hours=1), None)),
    ("%M", Grain("minute", timedelta(minutes=1), None)),
    ("%S", Grain("second", timedelta(seconds=1), None)),
    ("%f", Grain("microsecond", timedelta(microseconds=1), None)),
)


def grain_of(directives: Collection[str]) -> Grain | None:
    """Return what these directives tell apart together, None where they do not say the year."""
    grain = next((grain for needed, grain in _DATES if needed <= set(directives)), None)
    if grain is not _DAY:
        return grain
    for directive, finer in _CLOCK:
        if directive not in directives:
            break
        grain = finer
    return grain


def format_problem(text: str) -> str | None:
    """Return why a format cannot be used in a path, None where it can."""
    used = _DIRECTIVE.findall(text)
    unknown = [directive for directive in used if directive not in DIRECTIVES]
    if unknown:
        return f"{unknown[0]} is not allowed; allowed: {' '.join(DIRECTIVES)}"
    if not used:
        return f"a format needs one of {' '.join(DIRECTIVES)}"
    if ".." in text.split("/") or has_unfit_characters(text):
        return "a format takes no '..', no backslash, and no characters that do not print"
    return None


def directives_of(text: str) -> list[str]:
    """Return the directives of a format."""
    return _DIRECTIVE.findall(text)


def format_utc(time: datetime, text: str) -> str:
    """Return a UTC time as a format says.

    :param text: without a :func:`format_problem`.
    """
    return _DIRECTIVE.sub(lambda found: DIRECTIVES[found[0]](time), text)
