"""The tables of the report: their numbers are those that plain Python finds in the same events."""

from __future__ import annotations

import json
import re
import sys
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from upath import UPath

from airflow_provider_honeyhive.formats.parquet import SCHEMA, to_record_batch
from airflow_provider_honeyhive.sandbox.data.traces import generate_events
from tests.unit.odd_events import ODD_EVENTS

ROOT = Path(__file__).resolve().parents[3]
# As Airflow does with its DAGs folder.
sys.path.insert(0, str(ROOT / "example_dags"))

from honeyhive_report import tables  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

START = datetime(2026, 3, 10, tzinfo=UTC)
END = START + timedelta(days=1)
WINDOW = (START.isoformat(), END.isoformat())
START_MS = int(START.timestamp() * 1000)
HOUR_MS = 3_600_000

PERCENTILES = {"p50_ms": 0.5, "p90_ms": 0.9, "p95_ms": 0.95, "p99_ms": 0.99}


def write_parts(folder: Path, events: Iterable[dict[str, Any] | bytes], parts: int = 1) -> list[Path]:
    """Write events as an export does, to so many files."""
    raw = [event if isinstance(event, bytes) else json.dumps(event).encode() for event in events]
    files = []
    for number in range(parts):
        batch, _ = to_record_batch(raw[number::parts])
        files.append(folder / f"part-{number}.parquet")
        pq.write_table(pa.Table.from_batches([batch]), files[-1])
    return files


@pytest.fixture(scope="module")
def events() -> list[dict[str, Any]]:
    return generate_events(1500, seed=3, start=START, end=END)


@pytest.fixture(scope="module")
def found(events, tmp_path_factory) -> Callable[[str], list[dict[str, Any]]]:
    """Give a function that returns the rows of a table, times as milliseconds."""
    connection = tables.make_tables(write_parts(tmp_path_factory.mktemp("events"), events, parts=3), *WINDOW)
    return lambda table: read(connection, table)


@pytest.fixture
def report_on(tmp_path) -> Callable[..., Callable[[str], list[dict[str, Any]]]]:
    """Give a function that reports on events, and returns one that returns the rows of a table."""
    folders = count()

    def report_on(*events: dict[str, Any] | bytes) -> Any:
        folder = tmp_path / str(next(folders))
        folder.mkdir()
        connection = tables.make_tables(write_parts(folder, events), *WINDOW)
        return lambda table: read(connection, table)

    return report_on


def read(connection: duckdb.DuckDBPyConnection, table: str) -> list[dict[str, Any]]:
    """Return the rows of a table, times as milliseconds."""
    found = connection.table(table).to_arrow_table()
    for place, field in enumerate(found.schema):
        if pa.types.is_timestamp(field.type):
            found = found.set_column(place, field.name, found[field.name].cast(pa.timestamp("ms")).cast(pa.int64()))
    return found.to_pylist()


# ------------------------------------------------------------------------------------- plain Python


def percentile(values: list[float], share: float) -> float:
    values = sorted(values)
    place = (len(values) - 1) * share
    low = int(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (place - low)


def latencies(events: list[dict[str, Any]]) -> dict[str, float]:
    return {name: percentile([e["duration"] for e in events], share) for name, share in PERCENTILES.items()}


def errors(events: list[dict[str, Any]]) -> int:
    return sum(event["error"] is not None for event in events)


def total(events: list[dict[str, Any]], name: str) -> float | None:
    values = [tokens[name] for event in events if name in (tokens := spent(event["metadata"]))]
    return sum(values) if values else None


def spent(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return what was spent under the names that the report has, whatever the client calls it."""
    if "input_tokens" not in metadata:
        return metadata
    prompt, completion = metadata["input_tokens"], metadata["output_tokens"]
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def usage(events: list[dict[str, Any]]) -> dict[str, float | None]:
    return {name: total(events, name) for name in ("cost", "prompt_tokens", "completion_tokens", "total_tokens")}


def own_usage(events: list[dict[str, Any]]) -> dict[str, float | None]:
    return usage([event for event in events if event["event_name"] != "invoke_agent"])


def groups(events: Iterable[dict[str, Any]], key: Callable[[dict[str, Any]], Any]) -> dict[Any, list[dict[str, Any]]]:
    grouped: dict[Any, list[dict[str, Any]]] = {}
    for event in events:
        grouped.setdefault(key(event), []).append(event)
    return grouped


def hour(event: dict[str, Any]) -> int:
    return event["start_time"] // HOUR_MS * HOUR_MS


def model(event: dict[str, Any]) -> str:
    name: str = event["config"].get("model") or event["metadata"]["model_name"]
    return name


def model_calls(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event for event in events if event["event_type"] == "model"]


def by(rows: list[dict[str, Any]], *names: str) -> dict[Any, dict[str, Any]]:
    keyed = {tuple(row[name] for name in names): row for row in rows}
    assert len(keyed) == len(rows)
    return keyed


def equal(rows: list[dict[str, Any]], wanted: dict[Any, dict[str, Any]], *names: str) -> None:
    """Compare a table with what is wanted of it by key; numbers as far as the order of additions lets them differ."""
    keyed = by(rows, *names)
    assert keyed.keys() == wanted.keys()
    for key, row in keyed.items():
        rest = {name: value for name, value in row.items() if name not in names}
        assert rest == {
            name: pytest.approx(value, rel=1e-9) if isinstance(value, float) else value
            for name, value in wanted[key].items()
        }, key


# -------------------------------------------------------------------- the numbers of generated events


def test_the_summary_is_of_all_events(events, found):
    calls = model_calls(events)
    (row,) = found("summary")
    assert row == {
        "events": 1500,
        "sessions": len({event["session_id"] for event in events}),
        "model_calls": len(calls),
        "errors": errors(events),
        "error_rate": pytest.approx(errors(events) / 1500),
        **{name: pytest.approx(value) for name, value in usage(calls).items()},
        "model_p50_ms": pytest.approx(latencies(calls)["p50_ms"]),
        "model_p95_ms": pytest.approx(latencies(calls)["p95_ms"]),
        "first_event": min(event["start_time"] for event in events),
        "last_event": max(event["start_time"] for event in events),
    }
    assert row["cost"] > 0


def test_each_model_has_its_row(events, found):
    wanted = {
        (name,): {
            "provider": next(call["config"]["provider"] for call in calls if call["config"]),
            "calls": len(calls),
            "errors": errors(calls),
            "error_rate": errors(calls) / len(calls),
            **usage(calls),
            **latencies(calls),
        }
        for name, calls in groups(model_calls(events), model).items()
    }
    assert len(wanted) == 5
    equal(found("by_model"), wanted, "model")


def test_models_come_by_cost(found):
    costs = [row["cost"] for row in found("by_model")]
    assert costs == sorted(costs, reverse=True)


def test_each_event_type_has_its_row(events, found):
    wanted = {
        (name,): {
            "events": len(group),
            "errors": errors(group),
            "error_rate": errors(group) / len(group),
            **own_usage(group),
            **latencies(group),
        }
        for name, group in groups(events, lambda event: event["event_type"]).items()
    }
    assert len(wanted) == 4
    equal(found("by_event_type"), wanted, "event_type")


def test_models_over_time_have_a_row_for_each_hour_of_a_day(events, found):
    wanted = {
        key: {"calls": len(calls), "errors": errors(calls), **usage(calls)}
        for key, calls in groups(model_calls(events), lambda event: (hour(event), model(event))).items()
    }
    equal(found("models_over_time"), wanted, "time", "model")


def test_calls_over_time_have_a_row_for_each_hour_of_a_day(events, found):
    wanted = {
        (key,): {
            "calls": len(calls),
            "errors": errors(calls),
            "error_rate": errors(calls) / len(calls),
            **latencies(calls),
        }
        for key, calls in groups(model_calls(events), hour).items()
    }
    equal(found("calls_over_time"), wanted, "time")


def scores(events: list[dict[str, Any]]) -> list[tuple[dict[str, Any], str, Any]]:
    return [
        (event, name, score)
        for event in events
        for name, score in event["metrics"].items()
        if isinstance(score, int | float) and name != "time_to_first_token_ms"
    ]


def test_each_evaluator_has_its_row(events, found):
    by_name: dict[str, list[Any]] = {}
    for _, name, score in scores(events):
        by_name.setdefault(name, []).append(score)
    wanted = {
        (name,): {
            "is_boolean": all(isinstance(value, bool) for value in values),
            "scores": len(values),
            "mean": fmean(values),
            "lowest": float(min(values)),
            "median": percentile([float(value) for value in values], 0.5),
            "highest": float(max(values)),
        }
        for name, values in by_name.items()
    }
    assert set(by_name) == {
        *("Answer Faithfulness", "Number of words", "contains_pii", "session_success"),
        *("Assistant Answer Reporting Accurate", "strands.HelpfulnessEvaluator", "Goal Reached"),
    }
    equal(found("by_evaluator"), wanted, "evaluator")


def test_scores_over_time_have_a_row_for_each_hour_of_a_day(events, found):
    by_key: dict[Any, list[Any]] = {}
    for event, name, score in scores(events):
        by_key.setdefault((hour(event), name), []).append(score)
    wanted = {
        key: {"scores": len(values), "mean": fmean(values), "lowest": float(min(values)), "highest": float(max(values))}
        for key, values in by_key.items()
    }
    equal(found("evaluators_over_time"), wanted, "time", "evaluator")


def sessions_of(events: list[dict[str, Any]]) -> dict[Any, dict[str, Any]]:
    return {
        (session,): {
            "source": group[0]["source"],
            "started": min(event["start_time"] for event in group),
            "duration_ms": max(event["end_time"] for event in group) - min(event["start_time"] for event in group),
            "events": len(group),
            "model_calls": len(model_calls(group)),
            "errors": errors(group),
            "cost": total(model_calls(group), "cost"),
            "total_tokens": total(model_calls(group), "total_tokens"),
        }
        for session, group in groups(events, lambda event: event["session_id"]).items()
    }


def test_each_session_has_its_row(events, found):
    equal(found("sessions"), sessions_of(events), "session_id")


def test_sessions_over_time_count_where_a_session_began(events, found):
    wanted = {
        (key,): {"sessions": len(group), "sessions_with_errors": sum(session["errors"] > 0 for session in group)}
        for key, group in groups(
            sessions_of(events).values(), lambda session: session["started"] // HOUR_MS * HOUR_MS
        ).items()
    }
    equal(found("sessions_over_time"), wanted, "time")


def test_session_sizes_are_percentiles_over_the_sessions(events, found):
    measures = ("duration_ms", "events", "model_calls", "total_tokens", "cost")
    sessions = list(sessions_of(events).values())
    wanted = {
        (name,): {
            measure: percentile([session[measure] for session in sessions if session[measure] is not None], share)
            for measure in measures
        }
        for name, share in {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}.items()
    }
    equal(found("session_sizes"), wanted, "percentile")


# ------------------------------------------------------------------------------ what events may be like


def event(**fields: Any) -> dict[str, Any]:
    return {"event_id": "e", "session_id": "s", "event_type": "model", "start_time": START_MS, **fields}


def test_sums_that_sessions_and_chains_carry_are_not_counted_again(report_on):
    spent = {"cost": 1, "total_tokens": 10}
    found = report_on(*(event(event_type=kind, metadata=spent) for kind in ("session", "chain", "tool", "model", None)))
    (row,) = found("summary")
    assert (row["cost"], row["total_tokens"]) == (3, 30)
    assert {row["event_type"]: row["cost"] for row in found("by_event_type")} == {
        "session": None,
        "chain": None,
        "tool": 1,
        "model": 1,
        "unknown": 1,
    }


def test_numbers_written_as_text_count(report_on):
    (row,) = report_on(event(metadata={"cost": "0.25", "prompt_tokens": "7", "total_tokens": "9"}))("summary")
    assert (row["cost"], row["prompt_tokens"], row["total_tokens"]) == (0.25, 7, 9)


@pytest.mark.parametrize("cost", ["free", None, {"usd": 1}, [1], "NaN", "Infinity", True])
def test_what_is_no_number_does_not_count(report_on, cost):
    (row,) = report_on(event(metadata={"cost": cost}))("summary")
    assert row["cost"] is None


@pytest.mark.parametrize(
    ("metadata", "tokens"),
    [
        ({"prompt_tokens": 3, "completion_tokens": 4}, 7),
        ({"prompt_tokens": 3}, 3),
        ({"completion_tokens": 4}, 4),
        ({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 8}, 8),
        ({}, None),
    ],
)
def test_the_total_of_tokens_is_the_sum_where_it_is_not_said(report_on, metadata, tokens):
    (row,) = report_on(event(metadata=metadata))("summary")
    assert row["total_tokens"] == tokens


@pytest.mark.parametrize(
    ("fields", "latency"),
    [
        ({"duration": 5.5, "end_time": START_MS + 9}, 5.5),
        ({"end_time": START_MS + 9}, 9),
        ({"duration": "5.5"}, 5.5),
        ({"duration": "5 ms", "end_time": START_MS + 9}, 9),
        ({"duration": -1}, None),
        ({}, None),
    ],
)
def test_latency_is_the_duration_or_else_from_start_to_end(report_on, fields, latency):
    (row,) = report_on(event(**fields))("by_event_type")
    assert row["p50_ms"] == latency


@pytest.mark.parametrize(
    ("error", "failed"),
    [("bad", 1), ({"message": "bad"}, 1), (True, 1), (None, 0), ("", 0), (False, 0), ({}, 0), ([], 0)],
)
def test_an_error_is_whatever_says_something(report_on, error, failed):
    (row,) = report_on(event(error=error))("summary")
    assert row["errors"] == failed


@pytest.mark.parametrize("event_type", ["chain", "tool"])
def test_the_sums_of_an_agent_do_not_count_beside_its_model_calls(report_on, event_type):
    spent = {"input_tokens": 30, "output_tokens": 4}
    agent = event(event_type=event_type, metadata={**spent, "operation_name": "invoke_agent"})
    call = event(event_id="f", metadata={**spent, "operation_name": "chat", "model_name": "gpt-4o"})
    report = report_on(agent, call)
    (row,) = report("summary")
    assert (row["prompt_tokens"], row["completion_tokens"], row["total_tokens"]) == (30, 4, 34)
    assert [each["model"] for each in report("by_model")] == ["gpt-4o"]


def test_only_numbers_and_booleans_are_scores(report_on):
    metrics = {"a": 1, "b": True, "c": 0.5, "text": "4", "object": {"score": 1}, "list": [1], "null": None}
    found = report_on(event(metrics=metrics), event(metrics="none"), event(metrics=[1]), event(metrics=2), event())
    assert {row["evaluator"]: row["mean"] for row in found("by_evaluator")} == {"a": 1, "b": 1, "c": 0.5}


def test_what_clients_measure_themselves_is_no_score(report_on):
    found = report_on(event(metrics={"time_to_first_token_ms": 835, "time_to_first_token": 0.9}))
    assert [row["evaluator"] for row in found("by_evaluator")] == ["time_to_first_token"]


def test_numbers_beyond_double_are_no_scores(report_on):
    found = report_on(b'{"event_id":"e","metrics":{"a":1E400,"b":123456789012345678901234567890}}')
    assert [row["evaluator"] for row in found("by_evaluator")] == ["b"]


def test_names_of_evaluators_may_hold_anything(report_on):
    names = ["$.a", "a.b", 'say "yes"', "/x", "", "名前", "*"]
    found = report_on(event(metrics=dict.fromkeys(names, 1)))
    assert {row["evaluator"] for row in found("by_evaluator")} == set(names)


def test_a_model_call_without_a_model_is_of_the_unknown_one(report_on):
    chain = event(event_type="chain", config={"model": "m"})
    found = report_on(event(), event(config="x"), event(event_type="tool"), chain)
    assert [(row["model"], row["calls"]) for row in found("by_model")] == [("unknown", 2)]


def test_events_without_time_count_except_over_time(report_on):
    found = report_on({"event_type": "model", "metadata": {"cost": 1}, "metrics": {"a": 1}, "session_id": "s"})
    assert found("summary")[0]["cost"] == 1
    assert len(found("by_evaluator")) == len(found("sessions")) == 1
    assert found("models_over_time") == found("evaluators_over_time") == found("sessions_over_time") == []


@pytest.mark.parametrize("name", ODD_EVENTS)
def test_no_event_is_too_odd(report_on, name):
    (row,) = report_on(ODD_EVENTS[name])("summary")
    assert row["events"] == 1


def test_events_of_few_fields_give_tables_of_few_rows(report_on):
    found = report_on({"event_id": "e", "start_time": START_MS})
    assert found("summary")[0]["events"] == 1
    assert found("by_model") == found("by_evaluator") == found("sessions") == []


# ---------------------------------------------------------------------------------------- all the rest


def test_an_export_without_events_gives_tables_without_rows():
    connection = tables.make_tables([], *WINDOW)
    (row,) = read(connection, "summary")
    assert (row["events"], row["sessions"], row["cost"], row["error_rate"]) == (0, 0, None, None)
    assert all(read(connection, name) == [] for name in tables.TABLES[1:])


def test_no_events_have_the_columns_of_events(tmp_path):
    (file,) = write_parts(tmp_path, [event()])
    connection = duckdb.connect()
    connection.execute((tables.SQL / "no_events.sql").read_text())
    none, some = connection.table("exported"), connection.read_parquet(str(file))
    kinds = dict(zip(some.columns, map(str, some.types), strict=True))
    assert set(kinds) == set(SCHEMA.names)
    assert dict(zip(none.columns, map(str, none.types), strict=True)).items() <= kinds.items()


@pytest.mark.parametrize(
    ("length", "step"),
    [
        (timedelta(seconds=1), timedelta(minutes=1)),
        (timedelta(minutes=48), timedelta(minutes=1)),
        (timedelta(minutes=49), timedelta(minutes=5)),
        (timedelta(hours=12), timedelta(minutes=15)),
        (timedelta(days=1), timedelta(hours=1)),
        (timedelta(days=2), timedelta(hours=1)),
        (timedelta(days=7), timedelta(hours=6)),
        (timedelta(days=31), timedelta(days=1)),
        (timedelta(days=365), timedelta(days=7)),
        (timedelta(days=3650), timedelta(days=7)),
    ],
)
def test_a_window_has_steps_that_suit_its_length(length, step):
    connection = tables.make_tables([], START.isoformat(), (START + length).isoformat())
    assert tables.rows(connection, "SELECT step FROM report_window") == [{"step": step}]


def test_a_window_without_bounds_is_that_of_its_events(tmp_path):
    files = write_parts(tmp_path, [event(), event(start_time=START_MS + HOUR_MS)])
    (row,) = tables.rows(
        tables.make_tables(files),
        "SELECT epoch_us(start_time) AS first, epoch_us(end_time) AS after FROM report_window",
    )
    assert row == {"first": START_MS * 1000, "after": (START_MS + HOUR_MS) * 1000 + 1}


def test_tables_say_times_in_utc(tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    connection = tables.make_tables(write_parts(tmp_path, [event()]), *WINDOW)
    connection.table("models_over_time").write_parquet(str(tmp_path / "table.parquet"))
    table = pq.read_table(tmp_path / "table.parquet")
    assert table.schema.field("time").type == pa.timestamp("us", "UTC")
    assert table["time"].cast(pa.int64()).to_pylist() == [START_MS * 1000]


def test_what_was_said_is_never_asked_for():
    asked = re.sub("--.*", "", "".join(path.read_text() for path in tables.SQL.glob("*.sql")))
    for name in ("inputs", "outputs", "feedback", "user_properties", "children_ids"):
        assert name not in asked


def test_files_in_a_store_are_read_through_its_file_system(tmp_path):
    (file,) = write_parts(tmp_path, [event()])
    part = UPath("memory://bucket/event_type=tool/part.parquet")
    part.write_bytes(file.read_bytes())
    connection = tables.make_tables([part], *WINDOW)
    assert tables.rows(connection, "SELECT event_type FROM by_event_type") == [{"event_type": "model"}]


def test_every_statement_is_used():
    assert {path.stem for path in tables.SQL.glob("*.sql")} == {"no_events", *tables.BEFORE, *tables.TABLES}
