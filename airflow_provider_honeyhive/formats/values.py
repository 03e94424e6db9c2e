"""JSON texts of one field -> the values of its column; a whole column at once where it holds what it should."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from airflow_provider_honeyhive.formats.columns import Column, Kind
from airflow_provider_honeyhive.models.window import (
    END_OF_MILLISECONDS,
    FIRST_US,
    MILLISECOND_US,
    UNIX_TEXT,
    event_micros,
    from_micros,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from airflow_provider_honeyhive.formats.tokens import Leftovers, Tokens


#: How many powers of ten a Unix time may be away from microseconds: milliseconds, microseconds, nanoseconds.
_UNIX_POWERS = (3, 0, -3)

#: A fraction of a second that microseconds cannot say.
_FINER = re.compile(r"[.,]\d{6}0*[1-9]", re.ASCII)


def read_time(token: bytes) -> tuple[int | None, bool]:
    """Return the microseconds since 1970 that a field's text says, and whether they say all of it.

    :param token: JSON text of the value.
    :return: None where it is no time; else cut off towards the past.
    """
    try:
        value = msgspec.json.decode(token)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None, False
    if isinstance(value, str):
        return _read_text(value)
    micros = event_micros(value)
    return micros, micros is not None and _is_unix_time(token.decode(), micros)


def _is_unix_time(text: str, micros: int) -> bool:
    """Return whether a number says exactly this time, in one of the units."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return False
    return any(Decimal(micros).scaleb(-power) == number for power in _UNIX_POWERS)


def _read_text(text: str) -> tuple[int | None, bool]:
    micros = event_micros(text)
    if micros is None:
        return None, False
    if UNIX_TEXT.fullmatch(text.strip()):
        return micros, _is_unix_time(text.strip(), micros)
    return micros, not _FINER.search(text)


def time_text(micros: int) -> str:
    """Return a time as ISO 8601 text in UTC, to the microsecond."""
    return f"{from_micros(micros).replace(tzinfo=None).isoformat('T', 'microseconds')}Z"


Reader: TypeAlias = "Callable[[str, Tokens, Leftovers], Sequence[Any]]"

#: The JSON text of no value.
NULL = b"null"

#: Texts of a field that is not there, or null.
_NOTHING = (b"", NULL)

#: Numbers of so few digits come back from a double as they were.
_EXACT_DIGITS = 15

_decode_integers = msgspec.json.Decoder(list[int | None]).decode

_decode_texts = msgspec.json.Decoder(list[str | None]).decode

_decode_numbers = msgspec.json.Decoder(list[float | None]).decode

_decode_number = msgspec.json.Decoder(float | None).decode


def read_column(column: Column, tokens: Tokens, left: Leftovers) -> Sequence[Any]:
    """Return the values of a column; None, which is NULL, for a field that is null, not there, or does not fit.

    :param column: which one.
    :param tokens: the texts of its values.
    :param left: gets what does not fit.
    """
    if not any(tokens.sizes):
        return [None] * len(tokens.sizes)
    return _READERS[column.kind](column.name, tokens, left)


def _list_of(tokens: Tokens) -> bytes:
    present: Iterable[Any] = tokens.tokens
    if 0 in tokens.sizes:
        present = [token if size else NULL for token, size in zip(tokens.tokens, tokens.sizes, strict=True)]
    return b"[" + b",".join(present) + b"]"


def _typed(kind: Any) -> Reader:
    decode = msgspec.json.Decoder(kind | None).decode
    decode_all = msgspec.json.Decoder(list[kind | None]).decode

    def read(name: str, tokens: Tokens, left: Leftovers) -> Sequence[Any]:
        try:
            return decode_all(_list_of(tokens))
        except msgspec.MsgspecError:
            return _one_by_one(decode, name, tokens, left)

    return read


def _one_by_one(decode: Callable[[bytes], Any], name: str, tokens: Tokens, left: Leftovers) -> list[Any]:
    values: list[Any] = []
    for row, token in enumerate(tokens.tokens):
        try:
            values.append(decode(bytes(token) or NULL))
        except msgspec.MsgspecError:
            values.append(None)
            left.leave_out(row, name, token)
    return values


def _read_numbers(name: str, tokens: Tokens, left: Leftovers) -> Sequence[Any]:
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
    return values


def _is_exact(token: bytes, value: float) -> bool:
    """Return whether the shortest text of ``value`` says the same number."""
    try:
        return Decimal(token.decode()) == Decimal(repr(value))
    except InvalidOperation:  # an exponent beyond all bounds
        return False


def _read_times(name: str, tokens: Tokens, left: Leftovers) -> Sequence[Any]:
    text = _list_of(tokens)
    try:
        numbers = _decode_integers(text)
        present = [number for number in numbers if number is not None]
        if not present or (min(present) * MILLISECOND_US >= FIRST_US and max(present) < END_OF_MILLISECONDS):
            return [None if number is None else number * MILLISECOND_US for number in numbers]
    except msgspec.MsgspecError:
        pass
    found: Iterable[tuple[int | None, bool]]
    try:
        found = [(None, True) if value is None else _read_text(value) for value in _decode_texts(text)]
    except msgspec.MsgspecError:
        found = [(None, True) if bytes(token) in _NOTHING else read_time(bytes(token)) for token in tokens.tokens]
    values: list[int | None] = []
    for row, (micros, is_exact) in enumerate(found):
        if not is_exact:
            left.leave_out(row, name, tokens.tokens[row])
        values.append(micros)
    return values


def _read_json(name: str, tokens: Tokens, left: Leftovers) -> Sequence[Any]:
    if 0 not in tokens.sizes and len(NULL) not in tokens.sizes:
        return tokens.tokens
    return [
        token if size and (size != len(NULL) or bytes(token) != NULL) else None
        for token, size in zip(tokens.tokens, tokens.sizes, strict=True)
    ]


_READERS: dict[Kind, Reader] = {
    Kind.STRING: _typed(str),
    Kind.TIME: _read_times,
    Kind.NUMBER: _read_numbers,
    Kind.STRINGS: _typed(list[str | None]),
    Kind.JSON: _read_json,
}
