"""Points and spans of time: every form users and servers write them in, as UTC microseconds.

Knows nothing of HTTP and nothing of Airflow.
"""

from __future__ import annotations

import math
import re
from calendar import timegm
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any, TypeAlias

from airflow_provider_honeyhive.exceptions import Argument, Fact, InvalidArgumentError

#: What the arguments are called that are the bounds of a window.
TIMES = ("start_time", "end_time")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

MICROSECOND = timedelta(microseconds=1)

MILLISECOND_US = 1_000

SECOND_US = 1_000_000

#: Where a window may begin, and where it may end: at either end of the calendar a day stays free, so that bounds can be
#: rounded to whole seconds and widened by some.
EARLIEST, LATEST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)

#: Unix times that users give are told apart by size: below 1e11 seconds (until the year 5138), then milliseconds,
#: microseconds, nanoseconds (from 1973 on for each).
LEAST_MILLISECONDS, END_OF_MILLISECONDS = 10**11, 10**14

#: The years 1 to 9999 in microseconds: Python and most databases know no others. Unix times end before the year 9999.
FIRST_US, LAST_US = -62_135_596_800_000_000, 253_402_300_799_999_999

_EVENT_UNITS = ((END_OF_MILLISECONDS, MILLISECOND_US), (10**17, 1))

_UNIX_UNITS = ((LEAST_MILLISECONDS, SECOND_US), *_EVENT_UNITS)

#: A text that is a Unix time; eight digits are a day (Airflow's ``ds_nodash``), although ``fromisoformat`` would read
#: dates into some of the others.
UNIX_TEXT = re.compile(r"(?!\d{8}$)[+-]?\d{1,20}(\.\d{1,20})?")

#: A text with a time of day and a zone as several languages print it, which ``fromisoformat`` does not take.
_PRINTED_ZONE = re.compile(
    r"(?P<time>.*\d:\d\d(:\d\d([.,]\d+)?)?) *(?P<offset>[+-]\d\d:?\d\d)?(?(offset)( *UTC)?|(UTC|GMT|Z))"
)
#: Numbers below are no Unix times of events, but dates that lost their form: 2026, 202611, 202611220600 (milliseconds
#: of 1976). Zero is the beginning of all time.
_FIRST_UNIX = datetime(2000, 1, 1, tzinfo=UTC)

#: A number whose digits are a day, as ``ds_nodash`` is one in a DAG with native rendering.
_DAYS = range(1000_01_01, 1_0000_00_00)

_TIME_FORMS = (
    "allowed: a datetime, or a text such as '2026-11-22T06:00:00Z'",
    Fact(
        "Any ISO 8601 text, a day such as '2026-11-22' or '20261122', and Unix seconds or milliseconds are times, too; "
        "without a zone they are in UTC"
    ),
)

_NO_UNIX_TIME = "write a date as text such as '2026-11-22'; a Unix time before the year 2000 is refused"


def to_micros(value: Any) -> int | None:
    """Return ``value`` as microseconds since 1970 in UTC, or None where it is not a time of the years 1 to 9999.

    Fractions of a microsecond are cut off towards the past, so that ``t < end`` means the same
    before and after.

    :param value: as users write it: datetime (naive: UTC), ISO 8601 text (without a zone: UTC), or Unix seconds,
        milliseconds, microseconds or nanoseconds as a number or a text.
    """
    return _micros(value, _UNIX_UNITS)


def event_micros(value: Any) -> int | None:
    """Return the time of an event, as :func:`to_micros` does.

    :param value: as events write it: other than in :func:`to_micros`, small numbers are milliseconds, too. The API
        knows no seconds, and clocks that were never set show the first days of 1970.
    """
    if type(value) is int and LEAST_MILLISECONDS <= value < END_OF_MILLISECONDS:
        # What nearly every event has, and so not worth a second look.
        return value * MILLISECOND_US
    return _micros(value, _EVENT_UNITS)


def _micros(value: Any, units: _Units) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return _unix_micros(value, units)
    if isinstance(value, str):
        return _text_micros(value.strip(), units)
    if isinstance(value, float):
        # By its shortest text: 1711000000000.001 means the microsecond it shows, not the binary
        # fraction just below it.
        return _unix_micros(Decimal(repr(value)), units) if math.isfinite(value) else None
    if isinstance(value, datetime):
        aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
        try:
            # Not by subtraction: pendulum's own kind of difference cannot be divided by a timedelta.
            return timegm(aware.utctimetuple()) * SECOND_US + aware.microsecond
        except OverflowError:  # the first and the last day there are, in a zone that makes them others
            return None
    return None


#: What numbers below which size are times how many microseconds; larger ones are nanoseconds.
_Units: TypeAlias = tuple[tuple[int, int], ...]


def _unix_micros(value: int | Decimal, units: _Units) -> int | None:
    if not -(10**20) < value < 10**20:
        return None
    for below, unit in units:
        if -below < value < below:
            micros = math.floor(value * unit)
            break
    else:
        micros = math.floor(value / 1000) if isinstance(value, Decimal) else value // 1000
    return micros if micros >= FIRST_US else None


def _text_micros(text: str, units: _Units) -> int | None:
    if UNIX_TEXT.fullmatch(text):
        return _unix_micros(Decimal(text), units)
    if printed := _PRINTED_ZONE.fullmatch(text):
        text = printed["time"] + (printed["offset"] or "Z")
    try:
        return to_micros(datetime.fromisoformat(text))
    except ValueError:
        return None


def from_micros(micros: int) -> datetime:
    """Return the UTC datetime of ``micros`` microseconds since 1970."""
    return EPOCH + timedelta(microseconds=micros)


def parse_time(value: Any, argument: str = "time") -> datetime:
    """Return what a user gave for a time as an aware datetime in UTC.

    A number of eight digits is a day, as the text is; other numbers are Unix times from the year 2000 on, or 0.

    :param value: see :func:`to_micros`.
    :param argument: name for the error message.
    :raises InvalidArgumentError: it is not a time, or a number that would be a Unix time before the year 2000.
    """
    if isinstance(value, int | float) and value in _DAYS:
        value = str(int(value))
    micros = to_micros(value)
    if micros is None:
        raise InvalidArgumentError(argument, value, *_TIME_FORMS)
    time = from_micros(micros)
    if EPOCH != time < _FIRST_UNIX and _is_unix_time(value):
        raise InvalidArgumentError(argument, value, _NO_UNIX_TIME)
    return time


def _is_unix_time(value: Any) -> bool:
    return isinstance(value, int | float) or (isinstance(value, str) and bool(UNIX_TEXT.fullmatch(value.strip())))


def parse_bound(value: Any, argument: str) -> datetime:
    """Return ``value`` as the start or the end of a window.

    :param value: see :func:`to_micros`.
    :param argument: name for the error message.
    :raises InvalidArgumentError: it is not a time, or not one from :data:`EARLIEST` to :data:`LATEST`.
    """
    time = parse_time(value, argument)
    if not EARLIEST <= time <= LATEST:
        allowed = f"allowed for a window: a time from {format_time(EARLIEST)} to {format_time(LATEST)}"
        raise InvalidArgumentError(argument, value, allowed)
    return time


def both_given(
    start_time: Any,
    end_time: Any,
    names: tuple[str, str] = TIMES,
    *,
    missing: tuple[Any, ...] = (None,),
) -> bool:
    """Return whether there are both times, and not neither.

    :param names: of both, for the error message.
    :param missing: values that stand for none.
    :raises InvalidArgumentError: there is only one.
    """
    left_out = {name: time for name, time in zip(names, (start_time, end_time), strict=True) if time in missing}
    if len(left_out) == 1:
        raise InvalidArgumentError(*left_out.popitem(), "give both start_time and end_time, or neither")
    return not left_out


def format_time(value: datetime) -> str:
    """Return ``value`` in UTC as ISO 8601 text, as manifests and results say it.

    To the millisecond, and to the microsecond where it is between two. So equal times are equal texts, but earlier ones
    need not sort first: compare times, not texts.
    """
    between = value.microsecond % MILLISECOND_US
    return (
        value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds" if between else "milliseconds")
        + "Z"
    )


def compact_time(value: datetime) -> str:
    """Return ``value`` in UTC for the name of a file or folder, such as ``20261122T061500Z``.

    Only digits and letters, with fractions of a second ``20261122T061500_000001Z``: any store and system takes it, and
    such texts sort by time.
    """
    utc = value.astimezone(UTC)
    # Not %Y, which some systems do not pad.
    fraction = f"_{utc.microsecond:06d}" if utc.microsecond else ""
    return f"{utc.year:04d}{utc:%m%dT%H%M%S}{fraction}Z"


@dataclass(frozen=True, slots=True)
class Window:
    """The half-open span ``[start, end)`` in UTC that one task exports."""

    start: datetime
    end: datetime

    @classmethod
    def parse(cls, start_time: Any, end_time: Any, names: tuple[str, str] = TIMES) -> Window:
        """Make a window of two times in any form that :func:`to_micros` takes.

        :param names: of both, for the error message.
        :raises InvalidArgumentError: not a time, none from :data:`EARLIEST` to :data:`LATEST`, or ``end_time`` not
            after ``start_time``.
        """
        start, end = map(parse_bound, (start_time, end_time), names)
        if end <= start:
            raise InvalidArgumentError(
                names[1], format_time(end), "it must be after ", Argument(names[0]), f", {format_time(start)}"
            )
        return cls(start, end)

    def __str__(self) -> str:
        return f"[{format_time(self.start)}, {format_time(self.end)})"

    @property
    def id(self) -> str:
        """Both bounds as one name, such as ``20261122T000000Z-20261123T000000Z``; see :func:`compact_time`."""
        return f"{compact_time(self.start)}-{compact_time(self.end)}"

    @property
    def start_us(self) -> int:
        """The start in microseconds since 1970."""
        return (self.start - EPOCH) // MICROSECOND

    @property
    def end_us(self) -> int:
        """The end in microseconds since 1970."""
        return (self.end - EPOCH) // MICROSECOND

    def split(self, parts: int) -> tuple[Window, ...]:
        """Split the window by time into at most ``parts`` adjacent windows, each of at least a second.

        Inner bounds lie on whole seconds, because some servers cut date bounds to them.
        """
        parts = max(1, min(parts, (self.end_us - self.start_us) // SECOND_US))
        step = (self.end_us - self.start_us) / parts
        inner = sorted({round((self.start_us + step * n) / SECOND_US) * SECOND_US for n in range(1, parts)})
        bounds = [self.start_us, *(b for b in inner if self.start_us < b < self.end_us), self.end_us]
        return tuple(Window(from_micros(low), from_micros(high)) for low, high in pairwise(bounds))


def wire_time(value: datetime) -> str:
    """Return a UTC time as the API's date ranges and filters say it: ISO 8601 to the millisecond."""
    return value.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
