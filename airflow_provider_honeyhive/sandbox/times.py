"""Times as the wire writes them, to and from integer microseconds since the Unix epoch."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
SECOND_US = 1_000_000


def datetime_us(value: datetime) -> int:
    """Return microseconds since the epoch; a datetime without a zone is UTC."""
    aware = value if value.tzinfo else value.replace(tzinfo=UTC)
    return (aware - EPOCH) // MICROSECOND


def to_us(value: Any) -> int | None:
    """Read a time as an event or a request writes it.

    :param value: Unix milliseconds, an ISO 8601 string, or ``YYYY-MM-DD HH:MM:SS`` (no zone: UTC).
    :return: microseconds since the epoch, or ``None`` for what is not a time.
    """
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int):
        return value * 1000
    if isinstance(value, float):
        return round(value * 1000) if math.isfinite(value) else None
    if isinstance(value, str):
        try:
            return datetime_us(datetime.fromisoformat(value.strip()))
        except (ValueError, OverflowError):
            return None
    return None


def _at(us: int) -> datetime:
    return EPOCH + timedelta(microseconds=us)


def _milliseconds(us: int) -> int | float:
    return us / 1000 if us % 1000 else us // 1000


def _text(us: int, separator: str, timespec: str, end: str = "") -> str:
    return _at(us).replace(tzinfo=None).isoformat(separator, timespec) + end


def _microsecond_iso(us: int) -> str:
    # Whole milliseconds get digits below them, made from the time itself so that ties stay ties.
    fine = us if us % 1000 else us + us // 1000 * 7919 // 1000 % 1000
    return _text(fine, "T", "microseconds", "Z")


#: How :attr:`.Behaviour.time_format` writes a time; ``text`` and ``seconds_iso`` lose what is below a second.
TIME_FORMATS: dict[str, Callable[[int], int | float | str]] = {
    "ms": _milliseconds,
    "iso": lambda us: _text(us, "T", "milliseconds", "Z"),
    "text": lambda us: _text(us, " ", "seconds"),
    "seconds_iso": lambda us: _text(us, "T", "seconds", "Z"),
    "us_iso": _microsecond_iso,
}
