"""Times as events write them: read into microseconds together with the form that brings the same text back."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import cache
from typing import Any

import msgspec

from airflow_provider_honeyhive.json_text import quoted
from airflow_provider_honeyhive.windows import from_micros, to_micros

#: Written in ``extra`` rather than as a form: no form brings this text back.
UNUSUAL = "unusual"

#: How many powers of ten the number is away from microseconds. The first is the API's own form, which goes without
#: saying.
_UNIX_FORMS: dict[str | None, int] = {None: 3, "Unix s": 6, "Unix us": 0, "Unix ns": -3}

#: The year 1; Python and most databases know no earlier one. There is no time after the year 9999 to be read.
_EARLIEST = -62_135_596_800_000_000

_DATE_AND_TIME = re.compile(r"\d{4}-\d\d-\d\d([T ])(?:[01]\d|2[0-3]):\d\d:\d\d(?:\.(\d{1,6}))?(Z|\+00:00)?", re.ASCII)


def read_time(token: bytes) -> tuple[int | None, str | None]:
    """Return the microseconds since 1970 that a field's text says, and its form; None where it is no time.

    :param token: JSON text of the value.
    :return: the form is None for Unix milliseconds, and :data:`UNUSUAL` where :func:`write_time` cannot give the
        same value again.
    """
    try:
        value = msgspec.json.decode(token)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None, None
    if isinstance(value, str):
        return read_text(value)
    micros = _micros(value)
    return micros, None if micros is None else _unix_form(Decimal(token.decode()), micros)


def _micros(value: Any) -> int | None:
    try:
        micros = to_micros(value)
    except OverflowError:  # in the year 1 or 9999, but not in UTC
        return None
    return micros if micros is not None and micros >= _EARLIEST else None


def _unix_form(number: Decimal, micros: int) -> str | None:
    for form, power in _UNIX_FORMS.items():
        if Decimal(micros).scaleb(-power) == number:
            return form
    return UNUSUAL


def read_text(text: str) -> tuple[int | None, str | None]:
    """Do the same for a text."""
    micros = _micros(text)
    if micros is None:
        return None, None
    match = _DATE_AND_TIME.fullmatch(text)
    if match is None:
        return micros, UNUSUAL
    separator, fraction, zone = match.groups("")
    return micros, _pattern(separator, len(fraction), zone)


@cache
def _pattern(separator: str, digits: int, zone: str) -> str:
    return f"YYYY-MM-DD{separator}hh:mm:ss{'.' if digits else ''}{'f' * digits}{zone}"


def write_time(micros: int, form: str | None) -> bytes:
    """Return the JSON text of a time in a form that :func:`read_time` gave."""
    power: Any = _UNIX_FORMS.get(form)
    if power is not None:
        return _number(Decimal(micros).scaleb(-power))
    pattern = str(form)
    digits = pattern.count("f")
    end = 20 + digits if digits else 19
    text = from_micros(micros).replace(tzinfo=None).isoformat(pattern[10], "microseconds")
    return quoted(text[:end] + pattern[end:])


def _number(number: Decimal) -> bytes:
    text = f"{number:f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text).encode()
