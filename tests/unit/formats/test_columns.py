"""Events become the same columns whatever they hold, every reader takes them, and they come back as they were."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given

from airflow_provider_honeyhive.api.pages import decode_page
from airflow_provider_honeyhive.events.raw import is_strict, member_texts, mended
from airflow_provider_honeyhive.formats.columns import COLUMN_NAMES, COLUMNS, FIELD_COLUMNS, Kind
from airflow_provider_honeyhive.formats.rows import restore_event, to_rows
from airflow_provider_honeyhive.formats.values import read_time, time_text
from airflow_provider_honeyhive.models.window import event_micros
from airflow_provider_honeyhive.sandbox.data.traces import SEED_EVENT
from tests.unit.odd_events import ODD_EVENTS, TIMES, compact, random_events, time_texts, told_of, usual_events, value_of
from tests.unit.property_settings import thoroughly

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
arrow_columns = pytest.importorskip("airflow_provider_honeyhive.formats.parquet")

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

thorough = thoroughly(300)
DEEP = b'{"event_id":"e","inputs":' + b'[{"b":' * 25_000 + b'"}]"' + b"}]" * 25_000 + b',"new":1}'
JSON_COLUMNS = [column.name for column in COLUMNS if column.kind is Kind.JSON]


def row_of(*raw_events: bytes) -> dict[str, Any]:
    """Return the last event's row."""
    batch, _ = arrow_columns.to_record_batch(list(raw_events))
    return batch.to_pylist()[-1]


def extra_of(raw: bytes) -> Any:
    return json.loads(row_of(raw)["extra"] or "null")


def misfits_of(*raw_events: bytes) -> dict[str, int]:
    return dict(arrow_columns.to_record_batch(list(raw_events))[1])


# -------------------------------------------------------------------------------------- there and back


@pytest.mark.parametrize("raw", ODD_EVENTS.values(), ids=ODD_EVENTS)
def test_an_odd_event_comes_back_equal(raw):
    (again,) = arrow_columns.to_events(arrow_columns.to_record_batch([raw])[0])
    assert told_of(again) == told_of(raw)


@thorough
@given(random_events)
def test_any_events_come_back_equal_through_the_same_schema(raw_events):
    page = decode_page(b'{"events":[' + b",".join(raw_events) + b"]}", 10)
    batch, misfits = arrow_columns.to_record_batch(page.raw_events)
    batch.validate(full=True)
    assert batch.schema.equals(arrow_columns.SCHEMA, check_metadata=True)
    assert batch.num_rows == len(raw_events)
    assert [told_of(raw) for raw in arrow_columns.to_events(batch)] == [told_of(raw) for raw in raw_events]
    assert set(misfits) <= {column.name for column in FIELD_COLUMNS}
    for name in JSON_COLUMNS:
        assert all(is_strict(text.encode()) for text in batch.column(name).to_pylist() if text is not None)


def test_usual_events_leave_nothing_over():
    batch, misfits = arrow_columns.to_record_batch(usual_events())
    assert batch.column("extra").null_count == batch.num_rows == 200
    assert not misfits


def test_the_documented_event_leaves_nothing_over():
    row = row_of(compact(SEED_EVENT))
    assert row["extra"] is None
    assert row["start_time"].isoformat() == "2024-04-01T22:38:19+00:00"
    assert (row["duration"], row["error"], row["children_ids"]) == (824.8056, None, [])
    assert (row["project"], row["project_id"]) == (None, "New Project")
    assert json.loads(row["metadata"]) == SEED_EVENT["metadata"]


def test_one_odd_event_changes_nothing_for_the_others():
    usual = usual_events(50)
    plain = to_rows(usual).values
    mixed = to_rows([*usual, ODD_EVENTS["half an emoji in a map"]]).values
    for name in COLUMN_NAMES:
        ours, theirs = plain[name], mixed[name][:-1]
        if name in JSON_COLUMNS:
            ours, theirs = [list(map(_bytes, side)) for side in (ours, theirs)]
        assert list(ours) == list(theirs), name


def _bytes(text: Any) -> bytes | None:
    return None if text is None else bytes(text)


def test_no_events_are_a_batch_of_no_rows():
    batch, misfits = arrow_columns.to_record_batch([])
    assert (batch.num_rows, batch.schema, misfits) == (0, arrow_columns.SCHEMA, {})
    assert list(arrow_columns.to_events(batch)) == []


def test_an_event_nested_50000_deep_comes_back():
    batch, misfits = arrow_columns.to_record_batch([DEEP])
    (again,) = arrow_columns.to_events(batch)
    assert dict(member_texts(again)) == dict(member_texts(DEEP))
    assert not misfits


@pytest.mark.parametrize("extra", [None, "", "null", "{}", " {} "])
def test_other_tools_may_have_rewritten_an_empty_extra(extra):
    batch, _ = arrow_columns.to_record_batch([b'{"event_id":"a"}'])
    assert list(
        arrow_columns.to_events(batch.set_column(len(COLUMNS) - 1, "extra", pa.array([extra], pa.string())))
    ) == [b'{"event_id":"a"}']


@pytest.mark.parametrize("extra", ["[]", "x", '"text"', '{"x":1,}', "{"])
def test_an_extra_that_is_no_object_is_an_error(extra):
    batch, _ = arrow_columns.to_record_batch([b'{"event_id":"a"}'])
    with pytest.raises(ValueError, match="'extra' holds no JSON object"):
        list(arrow_columns.to_events(batch.set_column(len(COLUMNS) - 1, "extra", pa.array([extra], pa.string()))))


@pytest.mark.parametrize("name", ["error", "children_ids", "start_time", "duration"])
def test_a_value_nested_50000_deep_where_none_belongs_is_in_extra(name):
    raw = b'{"%s":%s}' % (name.encode(), b"[" * 50_000 + b"]" * 50_000)
    batch, misfits = arrow_columns.to_record_batch([raw])
    assert [dict(member_texts(again)) for again in arrow_columns.to_events(batch)] == [dict(member_texts(raw))]
    assert misfits == {name: 1}


def test_batches_read_as_one_table_come_back():
    events = [*usual_events(20), *ODD_EVENTS.values()]
    table = pa.Table.from_batches([arrow_columns.to_record_batch([raw])[0] for raw in events])
    assert [told_of(raw) for raw in arrow_columns.to_events(table)] == [told_of(raw) for raw in events]


# ------------------------------------------------------------------------------------ what is in columns


def test_the_text_of_a_map_is_what_the_server_sent():
    text = '{"b":1.10,"a":1e2,"a":"\\u00e9\\/","n":123456789012345678901234567890}'
    assert row_of(b'{"metrics":%s}' % text.encode())["metrics"] == text


@pytest.mark.parametrize(
    ("raw", "misfits"),
    [
        (b'{"duration":"824 ms"}', {"duration": 1}),
        (b'{"duration":123456789012345678901234567890}', {"duration": 1}),
        (b'{"duration":1E400}', {"duration": 1}),
        (b'{"event_id":7,"event_name":5,"error":{"message":"m"}}', {"event_id": 1, "event_name": 1, "error": 1}),
        (
            b'{"children_ids":["a",1],"start_time":"soon","end_time":true}',
            dict.fromkeys(("children_ids", "start_time", "end_time"), 1),
        ),
    ],
)
def test_a_value_that_does_not_fit_is_null_in_extra_under_its_name_and_counted(raw, misfits):
    row = row_of(raw)
    assert all(row[name] is None for name in misfits)
    assert value_of(row["extra"].encode()) == value_of(raw)
    assert misfits_of(raw) == misfits
    assert misfits_of(*usual_events(3), raw, raw) == dict.fromkeys(misfits, 2)


def test_a_time_that_no_calendar_of_python_has_does_not_fit():
    assert misfits_of(ODD_EVENTS["times beyond all calendars"]) == {"start_time": 1, "end_time": 1}
    assert misfits_of(ODD_EVENTS["texts of such times"]) == {"start_time": 1, "end_time": 1}


def test_a_whole_number_comes_back_whole():
    batch, _ = arrow_columns.to_record_batch([b'{"duration":824,"metrics":{}}'])
    assert b'"duration":824,' in next(arrow_columns.to_events(batch))


def test_unknown_fields_are_in_extra_and_are_no_misfits():
    raw = b'{"event_id":"e","new":{"a":[1,{}]},"other":null,"extra":1}'
    assert extra_of(raw) == {"new": {"a": [1, {}]}, "other": None, "extra": 1}
    assert misfits_of(raw) == {}


def test_of_a_name_that_comes_twice_the_column_shows_the_last_and_extra_has_all():
    row = row_of(b'{"event_name":"x","source":"s","event_name":"y"}')
    assert (row["event_name"], row["source"]) == ("y", "s")
    assert row["extra"] == '{"event_name":"x","event_name":"y"}'


def test_what_is_no_strict_json_is_shown_mended_and_kept_as_text():
    raw = b'{"outputs":{"content":"cut \\ud83d"},"error":"cut \\ud83d","metrics":{"a":NaN},"new":"\\ude00"}'
    row = row_of(raw)
    assert json.loads(row["outputs"]) == {"content": "cut \ufffd"}
    assert (row["error"], json.loads(row["metrics"])) == ("cut \ufffd", {"a": None})
    assert extra_of(raw) == {
        "outputs": {"not_json": '{"content":"cut \\ud83d"}'},
        "error": {"not_json": '"cut \\ud83d"'},
        "metrics": {"not_json": '{"a":NaN}'},
        "new": {"not_json": '"\\ude00"'},
    }
    assert misfits_of(raw) == {"outputs": 1, "error": 1, "metrics": 1}


def test_bytes_that_are_no_utf8_are_kept_one_character_each():
    raw = b'{"inputs":{"t":"\xff"}}'
    assert json.loads(row_of(raw)["inputs"]) == {"t": "\ufffd"}
    assert extra_of(raw) == {"inputs": {"not_utf8": '{"t":"\xff"}'}}


def test_an_event_whose_names_are_no_text_is_kept_whole():
    raw = b'{"\\ud83d":1,"event_id":"e"}'
    assert row_of(raw)["event_id"] == "e"
    assert extra_of(raw) == {"not_json": raw.decode()}


@pytest.mark.parametrize("column", FIELD_COLUMNS, ids=lambda column: column.name)
def test_null_and_missing_are_both_null(column):
    null, missing = row_of(b'{"%s":null}' % column.name.encode()), row_of(b"{}")
    assert null == missing == dict.fromkeys(COLUMN_NAMES)


# -------------------------------------------------------------------------------------------- times


@pytest.mark.parametrize(("text", "exact"), TIMES.items())
def test_a_time_is_read_to_the_microsecond_and_what_is_finer_is_in_extra(text, exact):
    raw = b'{"start_time":%s}' % text.encode()
    micros = arrow_columns.to_record_batch([raw])[0].column("start_time").cast(pa.int64()).to_pylist()
    assert micros == [event_micros(json.loads(text))]
    assert row_of(raw)["extra"] == (None if exact else f'{{"start_time":{text}}}')
    assert misfits_of(raw) == ({} if exact else {"start_time": 1})


@thorough
@given(time_texts)
def test_a_time_is_exact_or_known_not_to_be(text):
    token = text.encode()
    micros, is_exact = read_time(token)
    assert micros in (None, event_micros(json.loads(text)))
    if is_exact:
        again = json.dumps(time_text(micros)).encode()
        assert [told_of(b'{"start_time":%s}' % time) for time in (token, again)] == [{"start_time": micros}] * 2


def test_times_of_several_forms_share_a_batch():
    raws = [b'{"start_time":%s,"end_time":null}' % text.encode() for text in TIMES]
    batch, _ = arrow_columns.to_record_batch(raws)
    assert [told_of(raw) for raw in arrow_columns.to_events(batch)] == [told_of(raw) for raw in raws]


# ------------------------------------------------------------------------------------------- readers


@pytest.fixture(scope="module")
def events() -> list[bytes]:
    return [*usual_events(), *ODD_EVENTS.values()]


@pytest.fixture(scope="module")
def rows(events) -> list[dict[str, Any]]:
    """What every reader must find, with times as microseconds."""
    values = to_rows(events).values
    columns = [map(_text, values[name]) if name in JSON_COLUMNS else values[name] for name in COLUMN_NAMES]
    return [dict(zip(COLUMN_NAMES, row, strict=True)) for row in zip(*columns, strict=True)]


def _text(value: Any) -> str | None:
    return None if value is None else bytes(value).decode()


@pytest.fixture(scope="module")
def parquet(events, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("parquet") / "part.parquet"
    batches = [arrow_columns.to_record_batch(events[at : at + 100])[0] for at in range(0, len(events), 100)]
    with pq.ParquetWriter(path, arrow_columns.SCHEMA, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch)
    return path


def _by_pyarrow(path: Path) -> list[dict[str, Any]]:
    table = pq.read_table(path)
    times = [column.name for column in COLUMNS if column.kind is Kind.TIME]
    for name in times:
        table = table.set_column(table.column_names.index(name), name, table.column(name).cast(pa.int64()))
    return table.to_pylist()


def _by_duckdb(path: Path) -> list[dict[str, Any]]:
    duckdb = pytest.importorskip("duckdb")
    query = "select * replace (epoch_us(start_time) as start_time, epoch_us(end_time) as end_time) from read_parquet(?)"
    found = duckdb.connect().execute(query, [str(path)])
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _by_polars(path: Path) -> list[dict[str, Any]]:
    polars = pytest.importorskip("polars")
    frame = polars.read_parquet(path).with_columns(polars.col("start_time", "end_time").dt.timestamp("us"))
    return frame.to_dicts()


def _by_pandas(path: Path) -> list[dict[str, Any]]:
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_parquet(path, dtype_backend="pyarrow")
    for name in ("start_time", "end_time"):
        frame[name] = frame[name].astype("int64[pyarrow]")
    found = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return [
        {name: list(value) if name == "children_ids" and value is not None else value for name, value in row.items()}
        for row in found
    ]


READERS: dict[str, Callable[[Path], list[dict[str, Any]]]] = {
    "pyarrow": _by_pyarrow,
    "duckdb": _by_duckdb,
    "polars": _by_polars,
    "pandas": _by_pandas,
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_every_reader_finds_the_same_values_from_which_the_events_come_back(read, parquet, rows, events):
    found = read(parquet)
    assert found == rows
    assert [told_of(restore_event(row)) for row in found] == list(map(told_of, events))


def test_duckdb_reads_into_the_maps_and_extra_of_all_rows(parquet, rows):
    duckdb = pytest.importorskip("duckdb")
    valid = " and ".join(f"coalesce(json_valid({name}), true)" for name in JSON_COLUMNS)
    query = f"select count(*), count(*) filter ({valid}), sum((metadata->>'cost')::double) from read_parquet(?)"
    ((total, sound, cost),) = duckdb.connect().execute(query, [str(parquet)]).fetchall()
    assert total == sound == len(rows)
    objects = [json.loads(row["metadata"]) for row in rows if (row["metadata"] or "").startswith("{")]
    assert cost == pytest.approx(sum(each.get("cost", 0) for each in objects))


def test_polars_reads_into_the_maps(parquet, rows):
    polars = pytest.importorskip("polars")
    found = polars.read_parquet(parquet)["config"].str.json_path_match("$.model").drop_nulls().to_list()
    objects = [json.loads(row["config"]) for row in rows if (row["config"] or "").startswith("{")]
    assert found == [each["model"] for each in objects if "model" in each]


def test_the_file_has_only_what_spark_reads(parquet):
    """Spark's ParquetToSparkSchemaConverter: no unsigned integers, no nanoseconds, no unknown logical type."""
    schema = pq.ParquetFile(parquet).schema
    found = [schema.column(number) for number in range(len(schema.names))]
    kinds = {(each.physical_type, json.loads(each.logical_type.to_json())["Type"]) for each in found}
    assert kinds == {("BYTE_ARRAY", "String"), ("INT64", "Timestamp"), ("DOUBLE", "None")}
    times = [json.loads(each.logical_type.to_json()) for each in found if each.physical_type == "INT64"]
    assert all(time["isAdjustedToUTC"] and time["timeUnit"] == "microseconds" for time in times)
    assert [each.path for each in found if "." in each.path] == ["children_ids.list.element"]


# ------------------------------------------------------------------------------------------ mending


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (rb'"\ud83d\ude00 \uD83D\uDE00 \ud7ff \\ud83d \n"', rb'"\ud83d\ude00 \uD83D\uDE00 \ud7ff \\ud83d \n"'),
        (rb'"a\ud83db\ude00"', rb'"a\ufffdb\ufffd"'),
        (rb'"\ud83d\ud83d\ude00"', rb'"\ufffd\ud83d\ude00"'),
        (rb'{"\ud83d":[NaN,-Infinity,Infinity,"NaN"]}', rb'{"\ufffd":[null,null,null,"NaN"]}'),
        (b'["a\x01b",\n"\xff"]', '["a\\u0001b",\n"\ufffd"]'.encode()),
        (b"[" * 50_000 + b"NaN" + b"]" * 50_000, b"[" * 50_000 + b"null" + b"]" * 50_000),
    ],
    ids=["nothing", "halves", "one half of three", "no numbers", "controls and bytes", "deep"],
)
def test_only_what_is_no_strict_json_is_replaced(text, expected):
    assert mended(text) == expected
    assert mended(expected) == expected
    assert is_strict(expected)
    assert is_strict(text) == (text == expected)


def test_members_are_found_in_any_object():
    text = b' { "a" : [ 1 , {"b":2} ] ,"\\u0061":"x,}:" , "a":null }'
    assert list(member_texts(text)) == [(b'"a"', b'[ 1 , {"b":2} ]'), (b'"\\u0061"', b'"x,}:"'), (b'"a"', b"null")]
    assert list(member_texts(b" { } ")) == []
