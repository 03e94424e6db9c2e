"""The small tables of the report: their numbers are those that plain Python finds in the same rows."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from statistics import fmean
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_provider_honeyhive.report import tables

from .handmade import END, HOUR, START, WINDOW, connect, event, ordinary_day, score, session, tables_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import duckdb

PERCENTILES = {"p50_ms": 0.5, "p90_ms": 0.9, "p95_ms": 0.95, "p99_ms": 0.99}
FIRST_TOKEN = {"first_token_p50_ms": 0.5, "first_token_p95_ms": 0.95}
TOKENS = ("input_tokens", "output_tokens", "total_tokens")


def make(rows: dict[str, list[dict[str, Any]]], window: tuple[str | None, str | None] = WINDOW) -> Any:
    connection = connect(rows)
    tables.make_tables(connection, *window)
    return connection


def read(connection: duckdb.DuckDBPyConnection, table: str) -> list[dict[str, Any]]:
    return connection.table(table).to_arrow_table().to_pylist()


@pytest.fixture(scope="module")
def day() -> dict[str, list[dict[str, Any]]]:
    return ordinary_day()


@pytest.fixture(scope="module")
def found(day) -> Callable[[str], list[dict[str, Any]]]:
    """Give a function that returns the rows of a table of the day."""
    connection = make(day)
    return lambda table: read(connection, table)


def report_on(*args: Any, **kwargs: Any) -> Callable[[str], list[dict[str, Any]]]:
    """Return a function that returns the rows of a table about hand-written rows."""
    connection = make(tables_of(*args, **kwargs))
    return lambda table: read(connection, table)


# ------------------------------------------------------------------------------------- plain Python


def percentile(values: Iterable[float | None], share: float) -> float | None:
    known = sorted(value for value in values if value is not None)
    if not known:
        return None
    place = (len(known) - 1) * share
    low = int(place)
    high = min(low + 1, len(known) - 1)
    return known[low] + (known[high] - known[low]) * (place - low)


def latencies(rows: list[dict[str, Any]], column: str = "duration_ms") -> dict[str, float | None]:
    return {name: percentile([row[column] for row in rows], share) for name, share in PERCENTILES.items()}


def first_tokens(calls: list[dict[str, Any]]) -> dict[str, float | None]:
    times = [call["time_to_first_token_ms"] for call in calls]
    return {name: percentile(times, share) for name, share in FIRST_TOKEN.items()}


def total(rows: list[dict[str, Any]], name: str) -> float | None:
    counts = "counts_cost" if name == "cost" else "counts_tokens"
    values = [row[name] for row in rows if row[counts] and row[name] is not None]
    return sum(values) if values else None


def usage(rows: list[dict[str, Any]]) -> dict[str, float | None]:
    return {name: total(rows, name) for name in ("cost", *TOKENS)}


def failed(rows: list[dict[str, Any]]) -> int:
    return sum(row["failed"] for row in rows)


def groups(rows: Iterable[dict[str, Any]], key: Callable[[dict[str, Any]], Any]) -> dict[Any, list[dict[str, Any]]]:
    grouped: dict[Any, list[dict[str, Any]]] = {}
    for row in rows:
        grouped.setdefault(key(row), []).append(row)
    return grouped


def hour(row: dict[str, Any]) -> datetime:
    return row["start_time"].replace(minute=0, second=0, microsecond=0)


def model(row: dict[str, Any]) -> str | None:
    return (row["model"] or "unknown") if row["event_type"] == "model" else None


def counted(day: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return model calls, and what else counts."""
    others = [
        {**row, "latency_ms": None, "time_to_first_token_ms": None}
        for row in day["events"]
        if row["event_type"] != "model" and (row["counts_cost"] or row["counts_tokens"])
    ]
    return [*day["model_calls"], *others]


def calls_of(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if row["event_type"] == "model"]


def equal(rows: list[dict[str, Any]], wanted: dict[Any, dict[str, Any]], *names: str) -> None:
    """Compare a table with what is wanted of it by key; numbers as far as the order of additions lets them differ."""
    keyed = {tuple(row[name] for name in names): row for row in rows}
    assert len(keyed) == len(rows)
    assert keyed.keys() == wanted.keys()
    for key, row in keyed.items():
        rest = {name: value for name, value in row.items() if name not in names}
        assert rest == {
            name: pytest.approx(value, rel=1e-9) if isinstance(value, float) else value
            for name, value in wanted[key].items()
        }, key


# ------------------------------------------------------------------------ the numbers of an ordinary day


def test_the_summary_is_of_all_events(day, found):
    events, calls, kinds = day["events"], day["model_calls"], [edge["kind"] for edge in day["edges"]]
    (row,) = found("summary")
    wanted = {
        "events": len(events),
        "sessions": len(day["sessions"]),
        "model_calls": len(calls),
        "scores": len(day["scores"]),
        "errors": failed(events),
        "error_rate": failed(events) / len(events),
        "model_errors": failed(calls),
        "model_error_rate": failed(calls) / len(calls),
        **usage(events),
        "model_p50_ms": latencies(calls)["p50_ms"],
        "model_p95_ms": latencies(calls)["p95_ms"],
        "first_event": min(event["start_time"] for event in events),
        "last_event": max(event["start_time"] for event in events),
        "events_without_session": 0,
        "events_without_time": 0,
        "events_outside_window": 0,
        "orphans": kinds.count("orphan"),
        "events_in_cycles": kinds.count("cycle"),
    }
    equal([{"key": 1, **row}], {(1,): wanted}, "key")
    assert row["cost"] > 0
    assert list(row) == list(wanted)


def test_each_model_has_its_row_and_what_else_counts_has_one(day, found):
    wanted = {}
    for name, rows in groups(counted(day), model).items():
        calls = calls_of(rows)
        wanted[name,] = {
            "provider": ", ".join(sorted({call["provider"] for call in calls})) or None,
            "calls": len(calls),
            "errors": failed(calls),
            "error_rate": failed(calls) / len(calls) if calls else None,
            **usage(rows),
            **latencies(rows, "latency_ms"),
            **first_tokens(rows),
        }
    assert len(wanted) == 5
    equal(found("by_model"), wanted, "model")


@pytest.mark.parametrize("table", ["by_model", "models_over_time", "by_event_type"])
def test_what_is_told_apart_adds_up_to_the_summary(found, table):
    (summary,) = found("summary")
    for name in ("cost", *TOKENS):
        assert sum(row[name] or 0 for row in found(table)) == pytest.approx(summary[name])


def test_models_come_by_cost_and_other_events_at_last(found):
    *models, others = found("by_model")
    costs = [row["cost"] for row in models]
    assert costs == sorted(costs, reverse=True)
    assert (others["model"], others["calls"]) == (None, 0)


def test_each_event_type_has_its_row(day, found):
    wanted = {
        (name,): {
            "events": len(rows),
            "errors": failed(rows),
            "error_rate": failed(rows) / len(rows),
            **usage(rows),
            **latencies(rows),
        }
        for name, rows in groups(day["events"], lambda row: row["event_type"]).items()
    }
    assert len(wanted) == 4
    equal(found("by_event_type"), wanted, "event_type")


def test_names_of_failed_events_have_their_rows(day, found):
    wanted = {
        key: {"events": len(rows), "errors": failed(rows), "error_rate": failed(rows) / len(rows)}
        for key, rows in groups(day["events"], lambda row: (row["event_name"], row["event_type"])).items()
        if failed(rows)
    }
    equal(found("errors_by_name"), wanted, "event_name", "event_type")
    errors = [row["errors"] for row in found("errors_by_name")]
    assert errors == sorted(errors, reverse=True)


def test_models_over_time_have_a_row_for_each_hour_of_a_day(day, found):
    wanted = {
        key: {"calls": len(calls_of(rows)), "errors": failed(calls_of(rows)), **usage(rows)}
        for key, rows in groups(counted(day), lambda row: (hour(row), model(row))).items()
    }
    equal(found("models_over_time"), wanted, "time", "model")


def test_calls_over_time_have_a_row_for_each_hour_of_a_day(day, found):
    wanted = {
        (key,): {
            "calls": len(calls),
            "errors": failed(calls),
            "error_rate": failed(calls) / len(calls),
            **latencies(calls, "latency_ms"),
            **first_tokens(calls),
        }
        for key, calls in groups(day["model_calls"], hour).items()
    }
    equal(found("calls_over_time"), wanted, "time")


def numbers_of(rows: list[dict[str, Any]]) -> list[float]:
    return [row["number"] for row in rows if row.get("number") is not None]


def booleans_of(rows: list[dict[str, Any]]) -> list[bool]:
    return [row["boolean"] for row in rows if row.get("boolean") is not None]


def spread(rows: list[dict[str, Any]]) -> dict[str, Any]:
    numbers, booleans = numbers_of(rows), booleans_of(rows)
    return {
        "numbers": len(numbers),
        "mean": fmean(numbers) if numbers else None,
        "lowest": float(min(numbers)) if numbers else None,
        "highest": float(max(numbers)) if numbers else None,
        "booleans": len(booleans),
        "true_share": sum(booleans) / len(booleans) if booleans else None,
    }


def test_each_name_of_scores_has_its_row_for_each_source(day, found):
    wanted = {
        key: {
            "scores": len(rows),
            **spread(rows),
            "median": percentile(numbers_of(rows), 0.5),
            "texts": sum(row.get("text") is not None for row in rows),
        }
        for key, rows in groups(day["scores"], lambda row: (row["source"], row["name"])).items()
    }
    assert len(wanted) == 8
    equal(found("by_score"), wanted, "source", "name")


def test_scores_over_time_have_a_row_for_each_hour_of_a_day(day, found):
    wanted = {
        key: spread(rows)
        for key, rows in groups(day["scores"], lambda row: (hour(row), row["source"], row["name"])).items()
    }
    equal(found("scores_over_time"), wanted, "time", "source", "name")


def test_sessions_over_time_count_where_a_session_began(day, found):
    wanted = {
        (key,): {"sessions": len(rows), "sessions_with_errors": sum(row["error_count"] > 0 for row in rows)}
        for key, rows in groups(day["sessions"], hour).items()
    }
    equal(found("sessions_over_time"), wanted, "time")


def test_session_sizes_are_percentiles_over_the_sessions(day, found):
    columns = {
        "duration_ms": "duration_ms",
        "events": "event_count",
        "model_calls": "model_count",
        "total_tokens": "total_tokens",
        "cost": "cost",
    }
    wanted = {
        (name,): {
            measure: percentile([row[column] for row in day["sessions"]], share) for measure, column in columns.items()
        }
        for name, share in {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}.items()
    }
    equal(found("session_sizes"), wanted, "percentile")


@pytest.mark.parametrize(("table", "column"), [("costliest_sessions", "cost"), ("longest_sessions", "duration_ms")])
def test_the_largest_sessions_come_first(day, found, table, column):
    wanted = sorted((row for row in day["sessions"] if row[column]), key=lambda row: -row[column])[:100]
    rows = found(table)
    assert [row["session_id"] for row in rows] == [row["session_id"] for row in wanted]
    assert rows == [{name: row[name] for name in rows[0]} for row in wanted]


def test_the_slowest_calls_come_first(day, found):
    timed = [call for call in day["model_calls"] if call["latency_ms"] is not None]
    wanted = sorted(timed, key=lambda call: -call["latency_ms"])[:100]
    rows = found("slowest_calls")
    assert rows == [{name: call[name] for name in rows[0]} | {"model": call["model"] or "unknown"} for call in wanted]


def test_failed_calls_are_of_models_and_tools_the_newest_first(day, found):
    calls = [row for row in day["events"] if row["failed"] and row["event_type"] in {"model", "tool"}]
    wanted = sorted(calls, key=lambda row: row["start_time"], reverse=True)[:100]
    rows = found("failed_calls")
    assert len(rows) > 20
    assert rows == [{name: row[name] for name in rows[0]} for row in wanted]


def test_the_lowest_scores_are_of_each_name_in_turn(day, found):
    rows = found("lowest_scores")
    names = [(row["name"], row["source"]) for row in rows]
    assert names[:7] == names[7:14] == sorted(names[:7])
    for key, lowest in groups(rows, lambda row: (row["name"], row["source"])).items():
        values = [
            float(row.get("number") if row.get("boolean") is None else row["boolean"])
            for row in day["scores"]
            if (row["name"], row["source"]) == key
        ]
        assert [row["value"] for row in lowest] == sorted(values)[: len(lowest)]
        assert lowest[0]["mean"] == pytest.approx(fmean(values))


# ------------------------------------------------------------------------------ what rows may be like


def test_sums_take_only_what_counts():
    spent = {"cost": 1.0, "total_tokens": 10, "input_tokens": 8, "output_tokens": 2}
    agent = event("a", event_type="tool", **spent, counts_cost=False, counts_tokens=True)
    found = report_on([event("m", **spent, counts_tokens=False, model="m"), agent])
    (row,) = found("summary")
    assert (row["cost"], row["total_tokens"], row["input_tokens"], row["output_tokens"]) == (1, 10, 8, 2)
    assert [(row["model"], row["cost"], row["total_tokens"]) for row in found("by_model")] == [
        ("m", 1, None),
        (None, None, 10),
    ]


def test_events_of_no_type_and_no_name_are_unknown():
    found = report_on([event(event_type=None, event_name=None, failed=True), event(event_type="", event_name="")])
    assert [(row["event_type"], row["events"]) for row in found("by_event_type")] == [("unknown", 2)]
    assert [(row["event_name"], row["errors"]) for row in found("errors_by_name")] == [("unknown", 1)]


def test_events_without_time_count_except_over_time():
    rows = [event(start_time=None, cost=1.0, model="m", duration_ms=5.0)]
    found = report_on(
        rows, [score("a", 1, start_time=None), score("a", 2, start_time=None)], [session(start_time=None)]
    )
    (row,) = found("summary")
    assert (row["cost"], row["events_without_time"], row["first_event"]) == (1, 1, None)
    assert len(found("by_score")) == len(found("slowest_calls")) == len(found("lowest_scores")) == 1
    assert found("models_over_time") == found("scores_over_time") == found("sessions_over_time") == []


def test_events_outside_of_the_window_count_except_over_time():
    times = [START - HOUR / 3_600_000, START, END - HOUR / 3_600_000, END]
    found = report_on(
        [event(start_time=time, cost=1.0) for time in times],
        [score("a", 1, start_time=time) for time in times],
        [session(str(time), start_time=time) for time in times],
    )
    (row,) = found("summary")
    assert (row["cost"], row["events_outside_window"]) == (4, 2)
    assert sum(row["cost"] for row in found("models_over_time")) == 2
    for name, count in {
        "calls_over_time": "calls",
        "scores_over_time": "numbers",
        "sessions_over_time": "sessions",
    }.items():
        assert sum(row[count] for row in found(name)) == 2


def test_events_without_a_session_are_counted():
    (row,) = report_on([event(session_id=None), event(session_id=""), event()])("summary")
    assert row["events_without_session"] == 2


def test_numbers_at_the_end_of_what_can_be_written_break_nothing():
    values = [1.7e308, 1.7e308, -1.7e308, 1e300]
    found = report_on(
        [event(str(n), cost=1e9, total_tokens=10**11, duration_ms=1e300) for n in range(3)],
        [score("a", value) for value in values],
    )
    (row,) = found("summary")
    assert (row["cost"], row["total_tokens"]) == (3e9, 3 * 10**11)
    assert found("by_score")[0]["highest"] == 1.7e308


def test_few_providers_of_a_model_are_told():
    found = report_on([event(str(n), model="m", provider=f"p{n:02d}") for n in range(30)])
    assert found("by_model")[0]["provider"] == "p00, p01, p02, p03"


def test_of_equal_scores_the_newest_is_the_lowest():
    scores = [score("a", value, event_id=str(n), start_time=START + HOUR * n) for n, value in enumerate([0, 0, 1])]
    assert [row["event_id"] for row in report_on([event()], scores)("lowest_scores")] == ["1", "0"]


def test_the_lowest_scores_are_of_the_most_frequent_names():
    seldom = [score(f"a{n:03d}", value) for n in range(100) for value in (0, 1)]
    scores = [*seldom, score("z", True), score("z", 0), score("z", 1), *(score("one", 1) for _ in range(9))]
    names = [row["name"] for row in report_on([event()], scores)("lowest_scores")]
    assert len(names) == 100
    assert "z" in names
    assert "a099" not in names
    assert "one" not in names


def test_scores_of_one_name_that_do_not_differ_have_no_lowest():
    scores = [score("a", 1), score("a", 1), score("b", True), score("b", True), score("c", "good"), score("d", False)]
    assert report_on([event()], scores)("lowest_scores") == []


@pytest.mark.parametrize(
    ("rows", "table"),
    [
        ([event(f"{n:04d}", duration_ms=1.0) for n in range(101)], "slowest_calls"),
        ([event(f"{n:04d}", failed=True) for n in range(101)], "failed_calls"),
        ([event(f"{n:04d}", event_name=str(n), failed=True) for n in range(101)], "errors_by_name"),
    ],
)
def test_lists_end_after_a_hundred_rows_in_an_order_that_is_always_the_same(rows, table):
    found = report_on(rows)(table)
    assert len(found) == 100
    assert report_on(rows[::-1])(table) == found


# ---------------------------------------------------------------------------------------- all the rest


@pytest.mark.parametrize("window", [WINDOW, (None, None)])
def test_tables_without_events_give_tables_without_rows(window):
    connection = make(tables_of(), window)
    (row,) = read(connection, "summary")
    assert (row["events"], row["sessions"], row["cost"], row["error_rate"]) == (0, 0, None, None)
    assert all(read(connection, name) == [] for name in tables.TABLES[1:])


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
        (timedelta(days=336), timedelta(days=7)),
        (timedelta(days=365), timedelta(days=30)),
        (timedelta(days=3650), timedelta(days=365)),
        (timedelta(days=365 * 300), timedelta(days=365)),
    ],
)
def test_a_window_has_steps_that_suit_its_length(length, step):
    connection = make(tables_of(), (START.isoformat(), (START + length).isoformat()))
    assert tables.rows(connection, "SELECT step FROM report_window") == [{"step": step}]


def test_a_window_without_bounds_is_that_of_its_events():
    connection = make(tables_of([event(), event(start_time=START + HOUR)]), (None, None))
    (row,) = tables.rows(
        connection, "SELECT epoch_us(window_start) AS first, epoch_us(window_end) AS after FROM report_window"
    )
    start = int(START.timestamp() * 1_000_000)
    assert row == {"first": start, "after": start + 3_600_000_000 + 1}


def test_tables_say_times_in_utc(tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    connection = make(tables_of([event(start_time=START + HOUR * 1.5)]))
    connection.execute("SET TimeZone = 'America/New_York'")
    connection.table("models_over_time").write_parquet(str(tmp_path / "table.parquet"))
    table = pq.read_table(tmp_path / "table.parquet")
    assert table.schema.field("time").type == pa.timestamp("us", "UTC")
    assert table["time"].to_pylist() == [datetime(2026, 3, 10, 1, tzinfo=UTC)]


def test_tokens_are_whole_numbers_in_every_table():
    connection = make(tables_of([event(total_tokens=3)]))
    for name in tables.TABLES:
        types = dict(zip(connection.table(name).columns, map(str, connection.table(name).types), strict=True))
        percentiles = name == "session_sizes"
        assert {types[column] for column in TOKENS if column in types} <= {"DOUBLE" if percentiles else "BIGINT"}


def test_what_was_said_is_never_asked_for():
    asked = "".join(path.read_text() for path in tables.SQL.glob("*.sql"))
    for name in ("error,", "text,", "explanation", "first_question", "last_answer", "user_id"):
        assert name not in asked


def test_every_statement_is_used():
    assert {path.stem for path in tables.SQL.glob("*.sql")} == {*tables.BEFORE, *tables.TABLES}


def test_numbers_that_are_too_large_are_none():
    with closing(connect(tables_of())) as connection:
        assert tables.rows(connection, "SELECT 'Infinity'::DOUBLE AS a, 'NaN'::DOUBLE AS b, 1.5::DOUBLE AS c") == [
            {"a": None, "b": None, "c": 1.5}
        ]
