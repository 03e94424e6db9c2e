"""Numbers as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import floor, isfinite, log10
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

#: What stands for a number that is not known.
ABSENT = "\N{EN DASH}"


#: Characters of a text on the page: names are strangers' texts, and a chart repeats them.
LONGEST_TEXT = 200


def text(value: Any) -> str:
    """Return a text as it is, the beginning of a long one; of one that nobody sees, that it is there."""
    whole = str(value)
    if not whole.strip():
        return "(blank)"
    return whole if len(whole) <= LONGEST_TEXT else f"{whole[: LONGEST_TEXT - 1]}…"


def identifier(value: Any) -> str:
    """Return an id, which the page shows the beginning of."""
    return text(value)


def time_of(milliseconds: float) -> datetime:
    """Return a time that is given in milliseconds since 1970, in UTC; in the years 1 to 9999."""
    try:
        return EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        # A step may begin before, or end after what there is.
        return datetime.min.replace(tzinfo=UTC) if milliseconds < 0 else datetime.max.replace(tzinfo=UTC)


def moment(milliseconds: float) -> str:
    """Return a time that is given in milliseconds since 1970, in UTC, as a text."""
    return f"{time_of(milliseconds):%d %b %Y, %H:%M:%S}"


def yes_no(value: bool) -> str:
    """Return a truth."""
    return "yes" if value else "no"


def count(value: float) -> str:
    """Return a number of things."""
    return f"{value:,.0f}"


def short_count(value: float) -> str:
    """Return a number of things, of many of them the first digits."""
    for unit, size in (("T", 1e12), ("B", 1e9), ("M", 1e6)):
        if value >= 10 * size:
            return f"{value / size:,.1f} {unit}"
    return count(value)


def amount(value: float) -> str:
    """Return a number with at least three digits of its own."""
    if 1e-6 <= abs(value) < 1000:
        return format(Decimal(f"{value:.3g}"), "f")
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e15 else f"{value:.3g}"


def dollars(value: float) -> str:
    """Return an amount of money: cents always, of less than a dollar as much as matters."""
    size, sign = abs(value), "-" if value < 0 else ""
    if size == 0:
        return "$0"
    if size < 1e-6:
        return f"under {sign}$0.000001"
    if size >= 10_000:
        return f"{sign}${short_count(size)}"
    if size >= 1:
        return f"{sign}${size:,.2f}"
    whole, _, digits = f"{size:.{2 - floor(log10(size))}f}".partition(".")
    return f"{sign}${whole}.{digits.rstrip('0'):0<2}"


def share(value: float) -> str:
    """Return a share in percent; only none of all is 0%, and only all of it 100%."""
    if value in {0, 1}:
        return f"{value:.0%}"
    if 0 < value < 0.0005:
        return "under 0.1%"
    return f"{value:.1%}" if not 0.9995 <= value < 1 else "over 99.9%"


#: Units of durations: milliseconds in one, digits behind its point, and from how many milliseconds on it is used.
_UNITS = (
    ("d", 86_400_000, 1, 172_800_000),
    ("h", 3_600_000, 1, 7_200_000),
    ("min", 60_000, 0, 600_000),
    ("s", 1000, 2, 999.5),
)


def seconds(milliseconds: float) -> str:
    """Return a duration, in the unit that suits it."""
    for unit, size, digits, least in _UNITS:
        if milliseconds >= 1e15:
            return f"{milliseconds / size:.3g} {unit}"
        if milliseconds >= least:
            return f"{milliseconds / size:,.{digits}f} {unit}"
    if 0 < milliseconds < 0.01:
        return "under 0.01 ms"
    return f"{milliseconds:.0f} ms" if milliseconds >= 10 or milliseconds == 0 else f"{amount(milliseconds)} ms"


def duration(seconds_: float) -> str:
    """Return a duration that is given in seconds."""
    return seconds(seconds_ * 1000)


def show(value: Any, form: Callable[[Any], str]) -> str:
    """Return a value in the form given, or what stands for none, as it does for a sum that is too large."""
    return ABSENT if value is None or (isinstance(value, float) and not isfinite(value)) else form(value)
