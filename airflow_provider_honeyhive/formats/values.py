"""JSON texts of one field -> the values of its column; a whole column at once where it holds what it should."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from airflow_provider_honeyhive.events.raw import quoted
from airflow_provider_honeyhive.formats.columns import MISSING, NULL, Column, Kind
from airflow_provider_honeyhive.models.window import from_micros, to_micros

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from airflow_provider_honeyhive.formats.tokens import Leftovers, Tokens


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


#: How a value was written, see :data:`.columns.SENT_AS`; None: as usual.
Form: TypeAlias = str | None

Reader: TypeAlias = "Callable[[str, Tokens, Leftovers], tuple[Sequence[Any], Sequence[Form] | None]]"

_NULL = b"null"

#: Numbers of so few digits come back from a double as they were.
_EXACT_DIGITS = 15

#: Integers in here are milliseconds, see :func:`.windows.to_micros`.
_LEAST_MILLISECONDS, _MOST_MILLISECONDS = 10**11, 10**14 - 1

_decode_integers = msgspec.json.Decoder(list[int | None]).decode

_decode_texts = msgspec.json.Decoder(list[str | None]).decode

_decode_numbers = msgspec.json.Decoder(list[float | None]).decode

_decode_number = msgspec.json.Decoder(float | None).decode


def read_column(column: Column, tokens: Tokens, left: Leftovers) -> tuple[Sequence[Any], Sequence[Form] | None]:
    """Return the values of a column, None for NULL, and their forms; no forms: all as usual.

    :param column: which one.
    :param tokens: the texts of its values.
    :param left: gets what does not fit.
    """
    sizes = tokens.sizes
    if not any(sizes):
        return [None] * len(sizes), [MISSING] * len(sizes) if column.null == NULL else None
    values, forms = _READERS[column.kind](column.name, tokens, left)
    # What is null has no text, or one of four characters.
    if 0 in sizes or len(_NULL) in sizes:
        return values, _with_nulls(column, values, sizes, forms)
    return values, forms


def _with_nulls(
    column: Column, values: Sequence[Any], sizes: list[int], forms: Sequence[Form] | None
) -> Sequence[Form] | None:
    if column.null == NULL:
        found = [None if size else MISSING for size in sizes]
    else:
        found = [NULL if value is None and size else None for value, size in zip(values, sizes, strict=True)]
    if not any(found):
        return forms
    return found if forms is None else [null or form for null, form in zip(found, forms, strict=True)]


def _list_of(tokens: Tokens) -> bytes:
    present: Iterable[Any] = tokens.tokens
    if 0 in tokens.sizes:
        present = [token if size else _NULL for token, size in zip(tokens.tokens, tokens.sizes, strict=True)]
    return b"[" + b",".join(present) + b"]"


def _typed(kind: Any) -> Reader:
    decode = msgspec.json.Decoder(kind | None).decode
    decode_all = msgspec.json.Decoder(list[kind | None]).decode

    def read(name: str, tokens: Tokens, left: Leftovers) -> tuple[Sequence[Any], None]:
        try:
            return decode_all(_list_of(tokens)), None
        except msgspec.MsgspecError:
            return _one_by_one(decode, name, tokens, left), None

    return read


def _one_by_one(decode: Callable[[bytes], Any], name: str, tokens: Tokens, left: Leftovers) -> list[Any]:
    values: list[Any] = []
    for row, token in enumerate(tokens.tokens):
        try:
            values.append(decode(bytes(token) or _NULL))
        except msgspec.MsgspecError:
            values.append(None)
            left.leave_out(row, name, token)
    return values


def _read_numbers(name: str, tokens: Tokens, left: Leftovers) -> tuple[Sequence[Any], None]:
    text = _list_of(tokens)
    try:
        values = _decode_numbers(text)
    except msgspec.MsgspecError:
        values = _one_by_one(_decode_number, name, tokens, left)
    if max(tokens.sizes) > _EXACT_DIGITS or b"e" in text or b"E" in text:
        for row, value in enumerate(values):
            if value is not None and not _is_exact(bytes(tokens.tokens[row]), value):
                values[row] = None
                left.leave_out(row, name, tokens.tokens[row])
    return values, None


def _is_exact(token: bytes, value: float) -> bool:
    """Return whether the shortest text of ``value`` says the same number."""
    try:
        return Decimal(token.decode()) == Decimal(repr(value))
    except InvalidOperation:  # an exponent beyond all bounds
        return False


def _read_times(name: str, tokens: Tokens, left: Leftovers) -> tuple[Sequence[Any], Sequence[Form] | None]:
    text = _list_of(tokens)
    try:
        numbers = _decode_integers(text)
        present = [number for number in numbers if number is not None]
        if not present or (min(present) >= _LEAST_MILLISECONDS and max(present) <= _MOST_MILLISECONDS):
            return [None if number is None else number * 1000 for number in numbers], None
    except msgspec.MsgspecError:
        pass
    found: Iterable[tuple[int | None, Form]]
    try:
        found = [(None, None) if value is None else read_text(value) for value in _decode_texts(text)]
    except msgspec.MsgspecError:
        found = [read_time(bytes(token) or _NULL) for token in tokens.tokens]
    values: list[int | None] = []
    forms: list[Form] = []
    for row, (micros, form) in enumerate(found):
        token = tokens.tokens[row]
        if form == UNUSUAL:
            left.keep(row, name, token)
        elif micros is None and token and bytes(token) != _NULL:
            left.leave_out(row, name, token)
        values.append(micros)
        forms.append(None if form == UNUSUAL else form)
    return values, forms if any(forms) else None


def _read_json(name: str, tokens: Tokens, left: Leftovers) -> tuple[Sequence[Any], None]:
    if 0 not in tokens.sizes and len(_NULL) not in tokens.sizes:
        return tokens.tokens, None
    return [
        token if size and (size != len(_NULL) or bytes(token) != _NULL) else None
        for token, size in zip(tokens.tokens, tokens.sizes, strict=True)
    ], None


_READERS: dict[Kind, Reader] = {
    Kind.STRING: _typed(str),
    Kind.TIME: _read_times,
    Kind.NUMBER: _read_numbers,
    Kind.STRINGS: _typed(list[str | None]),
    Kind.JSON: _read_json,
}
