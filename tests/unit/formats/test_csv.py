"""CSV has the columns and values of the other tabular files, one record an event, and the events come back."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given

from airflow_provider_honeyhive.api.pages import decode_page
from airflow_provider_honeyhive.formats.columns import COLUMN_NAMES, COLUMNS, Kind
from airflow_provider_honeyhive.formats.rows import restore_event
from airflow_provider_honeyhive.formats.text import csv_header, to_csv
from airflow_provider_honeyhive.models.window import event_micros
from airflow_provider_honeyhive.sandbox.data.traces import SEED_EVENT
from tests.unit.odd_events import ODD_EVENTS, compact, random_events, told_of, usual_events
from tests.unit.programs import last_line_of
from tests.unit.property_settings import thoroughly

thorough = thoroughly(200)
EVENTS = [*usual_events(), *ODD_EVENTS.values()]


def records_of(data: bytes) -> list[list[str | None]]:
    """Read CSV strictly by RFC 4180; a field without quotation marks and characters is None."""
    records: list[list[str | None]] = []
    text, at, record = data.decode(), 0, []
    while at < len(text):
        if text[at] == '"':
            end = at + 1
            while text[end : end + 2] == '""' or text[end] != '"':
                end += 2 if text[end] == '"' else 1
            record.append(text[at + 1 : end].replace('""', '"'))
            end += 1
        else:
            end = min(text.index(mark, at) for mark in (",", "\r\n") if mark in text[at:])
            record.append(text[at:end] or None)
        if text[end] == ",":
            at = end + 1
        else:
            assert text[end : end + 2] == "\r\n"
            records.append(record)
            record, at = [], end + 2
    return records


_VALUES = {Kind.TIME: event_micros, Kind.NUMBER: float, Kind.STRINGS: json.loads}


def row_of(record: list[str | None]) -> dict[str, Any]:
    assert len(record) == len(COLUMNS)
    pairs = zip(COLUMNS, record, strict=True)
    return {column.name: None if text is None else _VALUES.get(column.kind, str)(text) for column, text in pairs}


@thorough
@given(random_events)
def test_any_events_come_back_equal(raw_events):
    page = decode_page(b'{"events":[' + b",".join(raw_events) + b"]}", 10)
    data, _ = to_csv(page.raw_events)
    again = [told_of(restore_event(row_of(record))) for record in records_of(data)]
    assert again == list(map(told_of, raw_events))


@pytest.mark.parametrize("raw", ODD_EVENTS.values(), ids=ODD_EVENTS)
def test_an_odd_event_comes_back_equal(raw):
    (record,) = records_of(to_csv([raw])[0])
    assert told_of(restore_event(row_of(record))) == told_of(raw)


def test_the_header_names_the_columns():
    assert records_of(csv_header()) == [list(COLUMN_NAMES)]


def test_null_is_nothing_and_an_empty_text_is_quoted():
    data, _ = to_csv([b'{"event_id":"","parent_id":null,"error":null,"inputs":"","children_ids":[],"duration":0}'])
    cells = dict(zip(COLUMN_NAMES, data.removesuffix(b"\r\n").split(b","), strict=True))
    assert (cells["event_id"], cells["error"], cells["inputs"]) == (b'""', b"", b'""""""')
    assert (cells["children_ids"], cells["duration"], cells["extra"]) == (b'"[]"', b"0.0", b"")


def test_times_are_iso_8601_in_utc():
    early = b'{"start_time":"0999-01-01 00:00:00"}'
    found = [record[COLUMN_NAMES.index("start_time")] for record in records_of(to_csv([compact(SEED_EVENT), early])[0])]
    assert found == ["2024-04-01T22:38:19.000000Z", "0999-01-01T00:00:00.000000Z"]


def test_what_does_not_fit_is_counted():
    assert to_csv([*usual_events(2), b'{"duration":"824 ms"}'])[1] == {"duration": 1}


def test_pythons_own_reader_takes_it():
    text = (csv_header() + to_csv(EVENTS)[0]).decode()
    found = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert found == [[cell or "" for cell in record] for record in records_of(text.encode())]
    assert len(found) == len(EVENTS) + 1


@pytest.fixture(scope="module")
def csv_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("csv") / "part.csv"
    path.write_bytes(csv_header() + to_csv(EVENTS)[0])
    return path


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return [row_of(record) for record in records_of(to_csv(EVENTS)[0])]


def test_duckdb_finds_the_same_values(csv_file, rows):
    duckdb = pytest.importorskip("duckdb")
    types = {Kind.TIME: "timestamptz", Kind.NUMBER: "double"}
    columns = {column.name: types.get(column.kind, "varchar") for column in COLUMNS}
    connection = duckdb.connect()
    table = connection.read_csv(
        str(csv_file), header=True, dtype=columns, quotechar='"', escapechar='"', allow_quoted_nulls=False
    )
    found = table.select(
        "* replace (epoch_us(start_time) as start_time, epoch_us(end_time) as end_time, "
        "children_ids::json::varchar[] as children_ids)"
    ).fetchall()
    assert [dict(zip(COLUMN_NAMES, row, strict=True)) for row in found] == rows


def test_polars_finds_the_same_values(csv_file, rows):
    polars = pytest.importorskip("polars")
    types = {column.name: polars.Float64 if column.kind is Kind.NUMBER else polars.String for column in COLUMNS}
    found = polars.read_csv(csv_file, schema=types).to_dicts()
    for row in found:
        row["start_time"], row["end_time"] = event_micros(row["start_time"]), event_micros(row["end_time"])
        row["children_ids"] = None if row["children_ids"] is None else msgspec.json.decode(row["children_ids"])
    assert found == rows


def test_it_needs_no_pyarrow():
    program = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from airflow_provider_honeyhive.formats.text import to_csv\n"
        "print(len(to_csv([b'{}'])[0]))"
    )
    last_line_of(program)
