"""JSON texts of one field -> the Arrow array of its column; the usual ones without a Python object for each value.

What is not usual takes the way of :mod:`.values`, with the same result. Needs pyarrow, the extra ``parquet``.

Arrays are made of buffers, never by ``pa.array`` or ``pa.scalar``: where pandas is installed, they import it, to find
out whether a list is one of its series (tried with pyarrow 26: 0.24 s and 50 MB).
"""

from __future__ import annotations

from array import array
from itertools import accumulate, chain, compress
from operator import mul
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from airflow_provider_honeyhive.events.raw import check_utf8
from airflow_provider_honeyhive.formats.columns import Column, Kind
from airflow_provider_honeyhive.formats.values import NULL, read_column

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from airflow_provider_honeyhive.formats.tokens import Leftovers, Tokens

#: JSON is a plain string, not Arrow's JSON extension type. Tried with pyarrow 26: it makes Parquet's JSON type, for
#: which Polars 2.1 has no ``.str`` functions, no comparison, no CSV and no concatenation with a file written by a
#: pyarrow (before 19) that does not have it; ``pyarrow.compute`` and pandas' pyarrow strings lack functions, too.
#: DuckDB 2.0 has the same JSON operators for strings.
TYPES: dict[Kind, pa.DataType] = {
    Kind.STRING: pa.string(),
    Kind.TIME: pa.timestamp("us", tz="UTC"),
    Kind.NUMBER: pa.float64(),
    Kind.STRINGS: pa.list_(pa.string()),
    Kind.JSON: pa.string(),
}

_DIGITS = bytes.maketrans(b"\0\1", b"01")

#: JSON holds it nowhere, unlike a comma, which a string may.
_SEPARATOR = b"\0"

_BETWEEN = b'"%b"' % _SEPARATOR


def to_array(column: Column, tokens: Tokens, left: Leftovers) -> pa.Array:
    """Return the values of a column; null for a field that is null, not there, or does not fit.

    :param column: which one.
    :param tokens: the texts of its values.
    :param left: gets what does not fit.
    :raises UnicodeDecodeError: a text is no UTF-8.
    """
    if not any(tokens.sizes):
        return pa.nulls(len(tokens.sizes), TYPES[column.kind])
    quick = _QUICK.get(column.kind)
    found = quick(tokens) if quick else None
    return _ARRAYS[column.kind](read_column(column, tokens, left)) if found is None else found


def text_array(texts: Sequence[Any]) -> pa.Array:
    """Return texts as an array.

    :param texts: bytes, or None for null.
    :raises UnicodeDecodeError: they are no UTF-8.
    """
    if texts.count(None) == len(texts):
        return pa.nulls(len(texts), pa.string())
    valid = [text is not None for text in texts]
    filled = [text or b"" for text in texts]
    return _strings(b"".join(filled), list(map(len, filled)), valid)


def _strings(data: bytes, sizes: Sequence[int], valid: Sequence[bool] | None) -> pa.Array:
    """Return an array of the texts that stand one after the other in ``data``.

    :param sizes: of each, in bytes; 0 for null.
    :param valid: which are not null; None: all.
    """
    strings = pa.Array.from_buffers(
        pa.string(), len(sizes), [_bitmap(valid), _ends(sizes), pa.py_buffer(data)], valid.count(False) if valid else 0
    )
    if not data.isascii():
        try:
            # Without a copy of up to four bytes for each character.
            strings.validate(full=True)
        except pa.ArrowInvalid:
            check_utf8(data)
            raise
    return strings


def _ends(sizes: Iterable[int]) -> pa.Buffer:
    """Return where each value ends, and before that where the first one begins."""
    return pa.py_buffer(array("i", accumulate(sizes, initial=0)))


def _bitmap(valid: Sequence[bool] | None) -> pa.Buffer | None:
    """Return a bit for each value, the first one the lowest of its byte."""
    if valid is None:
        return None
    # The digits of a number, of which the first is the highest.
    digits = bytes(valid[::-1]).translate(_DIGITS)
    return pa.py_buffer(int(digits, 2).to_bytes(-(-len(valid) // 8), "little"))


def _numbers(kind: Kind, typecode: str) -> Callable[[Sequence[Any]], pa.Array]:
    """Return what makes arrays of values of eight bytes."""

    def make(values: Sequence[Any]) -> pa.Array:
        nulls = values.count(None)
        valid = [value is not None for value in values] if nulls else None
        numbers = array(typecode, [0 if value is None else value for value in values] if nulls else values)
        return pa.Array.from_buffers(TYPES[kind], len(values), [_bitmap(valid), pa.py_buffer(numbers)], nulls)

    return make


def _texts(values: Sequence[str | None]) -> pa.Array:
    return text_array([None if value is None else value.encode() for value in values])


def _lists(values: Sequence[list[str | None] | None]) -> pa.Array:
    filled = [value or () for value in values]
    valid = [value is not None for value in values]
    return pa.Array.from_buffers(
        TYPES[Kind.STRINGS],
        len(values),
        [_bitmap(valid), _ends(map(len, filled))],
        valid.count(False),
        children=[_texts(list(chain.from_iterable(filled)))],
    )


def _valid(tokens: Tokens) -> Sequence[bool] | None:
    """Return which texts are of values other than null, None where all are."""
    nulls = tokens.sizes.count(len(NULL))
    if not nulls and 0 not in tokens.sizes:
        return None
    if nulls == len(tokens.sizes) and b"".join(tokens.tokens) == NULL * nulls:
        return [False] * nulls
    valid = [
        size != 0 and (size != len(NULL) or bytes(token) != NULL)
        for token, size in zip(tokens.tokens, tokens.sizes, strict=True)
    ]
    return None if all(valid) else valid


def _json(tokens: Tokens) -> pa.Array:
    valid = _valid(tokens)
    if valid is None:
        return _strings(b"".join(tokens.tokens), tokens.sizes, None)
    if not any(valid):
        return pa.nulls(len(valid), pa.string())
    data = b"".join(compress(tokens.tokens, valid))
    return _strings(data, list(map(mul, tokens.sizes, valid)), valid)


def _quoted(tokens: Tokens) -> pa.Array | None:
    valid = _valid(tokens)
    texts: Sequence[Any] = tokens.tokens
    if valid is not None:
        if not any(valid):
            return pa.nulls(len(valid), pa.string())
        texts = list(compress(texts, valid))
    text = _SEPARATOR.join(texts)
    # What parts the texts is in none of them. So where it always stands between two quotes, each text begins and ends
    # with a quote; without an escape, that is a string.
    if (
        b"\\" in text
        or not (text.startswith(b'"') and text.endswith(b'"'))
        or text.count(_SEPARATOR) != len(texts) - 1
        or text.count(_BETWEEN) != len(texts) - 1
    ):
        return None
    if valid is None:
        sizes = [size - 2 for size in tokens.sizes]
    else:
        sizes = [(size - 2) * is_valid for size, is_valid in zip(tokens.sizes, valid, strict=True)]
    return _strings(text[1:-1].replace(_BETWEEN, b""), sizes, valid)


def _empty_lists(tokens: Tokens) -> pa.Array | None:
    count = len(tokens.sizes)
    if max(tokens.sizes) > len(b"[]") or b"".join(tokens.tokens) != b"[]" * count:
        return None
    ends = pa.py_buffer(bytes(4 * (count + 1)))
    return pa.Array.from_buffers(TYPES[Kind.STRINGS], count, [None, ends], 0, children=[pa.nulls(0, pa.string())])


#: Each of a kind that needs no decoding: gives None for what does.
_QUICK: dict[Kind, Callable[[Tokens], pa.Array | None]] = {
    Kind.STRING: _quoted,
    Kind.STRINGS: _empty_lists,
    Kind.JSON: _json,
}

#: Each of the values that :func:`~.values.read_column` gives. A JSON text needs no decoding, so that it is not here.
_ARRAYS: dict[Kind, Callable[[Sequence[Any]], pa.Array]] = {
    Kind.STRING: _texts,
    Kind.TIME: _numbers(Kind.TIME, "q"),
    Kind.NUMBER: _numbers(Kind.NUMBER, "d"),
    Kind.STRINGS: _lists,
}
