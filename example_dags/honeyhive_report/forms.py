"""Numbers as people read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

#: What stands for a number that is not known.
ABSENT = "\N{EN DASH}"


def text(value: Any) -> str:
    """Return a text as it is."""
    return str(value)


def count(value: float) -> str:
    """Return a number of things."""
    return f"{value:,.0f}"


def short_count(value: float) -> str:
    """Return a number of things, of many of them the first digits."""
    for unit, size in (("B", 1e9), ("M", 1e6)):
        if value >= 10 * size:
            return f"{value / size:,.1f} {unit}"
    return count(value)


def amount(value: float) -> str:
    """Return a number with at least three digits of its own."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def dollars(value: float) -> str:
    """Return an amount of money, with as much of a dollar as matters."""
    for least, digits in ((10_000, 0), (1, 2), (0.001, 4)):
        if abs(value) >= least:
            return f"${value:,.{digits}f}"
    return f"${value:.6f}" if value else "$0"


def share(value: float) -> str:
    """Return a share in percent."""
    return f"{value:.1%}"


def seconds(milliseconds: float) -> str:
    """Return a duration, in the unit that suits it."""
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    return f"{milliseconds / 1000:,.2f} s" if milliseconds < 600_000 else f"{milliseconds / 60_000:,.0f} min"


def show(value: Any, form: Callable[[Any], str]) -> str:
    """Return a value in the form given, or what stands for none."""
    return ABSENT if value is None else form(value)
