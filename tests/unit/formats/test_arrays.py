"""Arrow arrays made at once hold the values that the way one by one gives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_honeyhive.formats import parquet
from airflow_provider_honeyhive.formats.arrays import TYPES, to_array
from airflow_provider_honeyhive.formats.columns import FIELD_COLUMNS, Column, Kind
from airflow_provider_honeyhive.formats.rows import to_rows
from airflow_provider_honeyhive.formats.tokens import Leftovers, Tokens
from airflow_provider_honeyhive.formats.values import read_column
from tests.unit.formats.test_columns import usual_events

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from airflow_provider_honeyhive.events.raw import RawEvent

COLUMNS = [Column(kind.value, kind) for kind in Kind]

#: JSON texts that a quick look may take for others.
TEXTS = [
    b"",
    b"null",
    b'""',
    b'"a"',
    b'"ab"',
    b'","',
    b'"null"',
    b'"\\""',
    b'"\\\\"',
    b'"\\u00e4"',
    '"ä"'.encode(),
    '"👍"'.encode(),
    b"1",
    b"1234",
    b"true",
    b"[]",
    b"{}",
    b'["a","b"]',
    b'["a","b","c"]',
    b'["a",null]',
    b'[""]',
    b'{"a":1}',
    b'{"a":"b"}',
    b"1711900000000",
    b"12345678901234567890",
]

odd_texts = st.sampled_from(TEXTS)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)
written = st.builds(lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(), values)
usual_ids = st.builds(lambda number: b'"%08d"' % number, st.integers(0, 99_999_999))
columns_of_texts = st.one_of(
    st.lists(odd_texts | written, min_size=1, max_size=6),
    # More than eight, which is how many share a byte of those that say what is null.
    st.lists(usual_ids | st.sampled_from([b"null", b""]), min_size=1, max_size=20),
    st.builds(lambda text, count: [text] * count, odd_texts, st.integers(1, 5)),
)


def by_rows(column: Column, texts: Sequence[bytes], left: Leftovers) -> pa.Array:
    found = read_column(column, Tokens.of(texts), left)
    if column.kind is Kind.JSON:
        return pa.array([None if text is None else bytes(text).decode() for text in found], pa.string())
    return pa.array(found, TYPES[column.kind])


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(COLUMNS), columns_of_texts)
def test_arrays_hold_what_rows_hold(column: Column, texts: list[bytes]) -> None:
    left, wanted_left = Leftovers(), Leftovers()
    found = to_array(column, Tokens.of(texts), left)
    found.validate(full=True)

    assert found.equals(by_rows(column, texts, wanted_left))
    assert found.type == TYPES[column.kind]
    assert left == wanted_left


@pytest.mark.parametrize("first", TEXTS)
@pytest.mark.parametrize("second", TEXTS)
def test_texts_side_by_side_are_not_mistaken_for_others(first: bytes, second: bytes) -> None:
    for column in COLUMNS:
        for texts in ([first, second], [b'"x"', first, second, b'"y"'], [first, first, second], [first, second, first]):
            left, wanted_left = Leftovers(), Leftovers()
            assert to_array(column, Tokens.of(texts), left).equals(by_rows(column, texts, wanted_left)), column.kind
            assert left == wanted_left


@pytest.mark.parametrize("texts", [[b"-0.0"], [b"-0.0", b"null"]])
def test_a_negative_zero_stays_negative_beside_null(texts: list[bytes]) -> None:
    duration = next(column for column in FIELD_COLUMNS if column.kind is Kind.NUMBER)

    assert str(to_array(duration, Tokens.of(texts), Leftovers())[0]) == "-0.0"


@pytest.mark.parametrize(
    "text",
    [b'"\xff"', b'"\xc3"', b'"\xed\xa0\xbd"', b'"\xc0\x80"', b'{"a":"\xff"}', b'{"not_json":"\xff"}', b'["\xff"]'],
)
@pytest.mark.parametrize("name", [*(column.name for column in FIELD_COLUMNS), "new"])
def test_one_text_that_is_no_utf8_changes_nothing_for_the_others(name: str, text: bytes) -> None:
    odd = b'{"%s":%s}' % (name.encode(), text)
    raw_events: list[RawEvent] = [*usual_events(40), odd, *usual_events(5)]
    batch, misfits = parquet.to_record_batch(raw_events)
    batch.validate(full=True)
    rows = to_rows(raw_events)

    assert misfits == rows.misfits
    for column, found in zip(parquet.COLUMNS, batch.columns, strict=True):
        wanted: list[Any] = list(rows.values[column.name])
        if column.kind is Kind.JSON:
            wanted = [None if value is None else bytes(value).decode() for value in wanted]
        assert found.equals(pa.array(wanted, TYPES[column.kind])), column.name
    assert list(parquet.to_events(batch))[40] == odd


def test_a_name_that_is_no_utf8_is_kept() -> None:
    odd = b'{"event_id":"a","n\xff":1}'
    batch, _ = parquet.to_record_batch([*usual_events(40), odd])

    assert list(parquet.to_events(batch))[40] == odd


#: A text, a time, a number and a list that need decoding, and fields that are null or not there.
EVENTS = [
    b'{"event_id":"\\u0041","start_time":1772409600000,"duration":1.5,"children_ids":["b",null]}',
    b'{"event_id":"b","start_time":null,"duration":null,"children_ids":null,"parent_id":"a"}',
    b'{"event_id":"c","children_ids":[],"inputs":{"a":1},"outputs":null}',
]


def test_a_file_is_written_without_pandas_which_takes_long_to_import(tmp_path: Path) -> None:
    (tmp_path / "pandas.py").write_text('__version__ = "99"')
    script = f"""
import io, sys
from airflow_provider_honeyhive.formats.parquet import ParquetFile, to_record_batch
with ParquetFile(io.BytesIO(), "zstd", {{"key": "value"}}) as file:
    file.write([to_record_batch({EVENTS!r})[0]])
assert "pandas" not in sys.modules
"""
    path = os.pathsep.join([str(tmp_path), *sys.path])
    subprocess.run([sys.executable, "-c", script], check=True, env={**os.environ, "PYTHONPATH": path})
