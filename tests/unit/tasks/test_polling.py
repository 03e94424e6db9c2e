"""What a window holds is told right on every kind of server, cheaply on the usual one; what settled means."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_honeyhive.exceptions import WrongProjectError
from airflow_provider_honeyhive.models.request import ExportRequest
from airflow_provider_honeyhive.models.window import Window
from airflow_provider_honeyhive.reading.counting import count_and_newest
from airflow_provider_honeyhive.reading.proof import A_FEW
from airflow_provider_honeyhive.sandbox import Behaviour
from airflow_provider_honeyhive.tasks.polling import Condition, Snapshot, Unchanged
from tests.unit.programs import modules_loaded_by

START = datetime(2026, 11, 22, tzinfo=UTC)
END = datetime(2026, 11, 23, tzinfo=UTC)
DEMO = ExportRequest(project="demo", window=Window(START, END))
MS = timedelta(milliseconds=1)
T0 = datetime(2026, 11, 24, 6, tzinfo=UTC)
S = timedelta(seconds=1)


def event_at(time: datetime, name: str) -> dict[str, Any]:
    return {"event_id": name, "project": "demo", "start_time": int(time.timestamp() * 1000)}


EVENTS = [
    event_at(START - MS, "before"),
    event_at(START, "start"),
    event_at(START + timedelta(hours=3), "third"),
    event_at(START + timedelta(hours=3), "its twin"),
    event_at(START + timedelta(hours=22, milliseconds=250), "same second"),
    event_at(START + timedelta(hours=22, milliseconds=750), "newest"),
    event_at(END + S, "after"),
]
FOUND = Snapshot(5, START + timedelta(hours=22, milliseconds=750))


def snapshot_of(client, request):
    return Snapshot(*count_and_newest(client, request))


def test_the_usual_server_is_asked_two_small_questions(sandbox_with, client_of):
    sandbox = sandbox_with(EVENTS)

    assert snapshot_of(client_of(sandbox), DEMO) == FOUND
    assert [(request.body["limit"], request.event_count) for request in sandbox.requests] == [(1, 1), (A_FEW, 0)]


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param({"order": "asc"}, id="oldest first"),
        pytest.param({"order": "random"}, id="in any order"),
        pytest.param({"total": "absent"}, id="no total"),
        pytest.param({"total": "null"}, id="a total of null"),
        pytest.param({"total": "page"}, id="the number on the page for a total"),
        pytest.param({"truncate_bounds": "second"}, id="bounds cut to seconds"),
        pytest.param({"truncate_bounds": "second", "order": "asc"}, id="bounds cut to seconds, oldest first"),
        pytest.param({"exclusive_end": True}, id="exclusive end"),
        pytest.param({"cap": 2}, id="short pages"),
        pytest.param({"endpoints": frozenset({"search"})}, id="search"),
        pytest.param({"endpoints": frozenset({"legacy"})}, id="legacy"),
        pytest.param({"time_format": "iso"}, id="ISO times"),
    ],
)
def test_every_server_is_told_right(sandbox_with, client_of, behaviour):
    sandbox = sandbox_with(EVENTS, behaviour=Behaviour(**behaviour))

    assert snapshot_of(client_of(sandbox), DEMO) == FOUND


def test_a_server_that_cuts_bounds_to_seconds_is_asked_for_one_second_only(sandbox_with, client_of):
    sandbox = sandbox_with(start=START, end=END, count=3000, behaviour=Behaviour(truncate_bounds="second"))

    assert snapshot_of(client_of(sandbox), DEMO).event_count == 3000
    assert sum(request.event_count for request in sandbox.requests) < 100


def test_an_event_on_the_windows_end_belongs_to_the_next_window(sandbox_with, client_of):
    sandbox = sandbox_with([*EVENTS, event_at(END, "on the end")])

    assert snapshot_of(client_of(sandbox), DEMO) == FOUND


def test_bounds_between_seconds_count_exactly(sandbox_with, client_of):
    sandbox = sandbox_with(EVENTS, behaviour=Behaviour(truncate_bounds="second"))
    window = Window(START + MS, START + timedelta(hours=22, milliseconds=750))

    found = snapshot_of(client_of(sandbox), DEMO.model_copy(update={"window": window}))

    assert found == Snapshot(3, START + timedelta(hours=22, milliseconds=250))


def test_an_empty_window_holds_nothing(sandbox_with, client_of):
    sandbox = sandbox_with([event_at(START - MS, "before"), event_at(END, "on the end")])

    assert snapshot_of(client_of(sandbox), DEMO) == Snapshot(0, None)


def test_one_event_is_one(sandbox_with, client_of):
    sandbox = sandbox_with([event_at(START, "only")])

    assert snapshot_of(client_of(sandbox), DEMO) == Snapshot(1, START)


def test_only_what_matches_counts(sandbox_with, client_of):
    sandbox = sandbox_with(start=START, end=END, count=500)
    request = ExportRequest.parse(
        project="demo", window=DEMO.window, filters=[{"field": "event_type", "operator": "is", "value": "tool"}]
    )
    tools = [e for e in sandbox.events() if e.decoded()["event_type"] == "tool"]

    found = snapshot_of(client_of(sandbox), request)

    assert found.event_count == len(tools) > 10
    assert found.newest is not None
    assert found.newest.timestamp() * 1e6 == max(e.time_us for e in tools)


def test_an_event_that_comes_between_the_two_questions_counts(sandbox_with, client_of):
    def add(sandbox, number):
        if number == 2:
            sandbox.add([event_at(END - S, "just in")])

    sandbox = sandbox_with(EVENTS, behaviour=Behaviour(before_request=add))

    assert snapshot_of(client_of(sandbox), DEMO) == Snapshot(6, END - S)
    read = [request.body["dateRange"]["$gte"] for request in sandbox.requests if request.body["limit"] > A_FEW]
    assert set(read) == {"2026-11-22T23:59:59.000Z"}, "more than the newest event's second was read"


def test_an_event_in_the_last_fraction_of_the_window_counts(sandbox_with, client_of):
    last = END - timedelta(microseconds=500)
    event = {**event_at(last, "last"), "start_time": last.isoformat()}
    assert snapshot_of(client_of(sandbox_with([*EVENTS, event])), DEMO) == Snapshot(6, last)


def test_where_events_never_stop_coming_the_window_is_read(sandbox_with, client_of):
    def add(sandbox, number):
        sandbox.add([event_at(START + timedelta(hours=23, seconds=number), f"number {number}")])

    sandbox = sandbox_with(EVENTS, behaviour=Behaviour(before_request=add))

    found = snapshot_of(client_of(sandbox), DEMO)

    assert found.event_count >= 5
    assert any(request.event_count >= 5 for request in sandbox.requests)


def test_reading_for_a_count_leaves_the_content_out(sandbox_with, client_of):
    sandbox = sandbox_with(start=START, end=END, behaviour=Behaviour(total="absent"))

    assert snapshot_of(client_of(sandbox), DEMO).event_count == 300
    assert all("projections" in request.body for request in sandbox.requests[1:])


def test_another_project_is_not_counted(sandbox_with, client_of):
    sandbox = sandbox_with(start=START, end=END)

    with pytest.raises(WrongProjectError):
        snapshot_of(client_of(sandbox), DEMO.model_copy(update={"project": "somebody else's"}))


def test_a_result_fits_into_xcom():
    assert FOUND.result(DEMO) == {
        "event_count": 5,
        "newest": "2026-11-22T22:00:00.750Z",
        "start_time": "2026-11-22T00:00:00.000Z",
        "end_time": "2026-11-23T00:00:00.000Z",
        "project": "demo",
    }


# ------------------------------------------------------------------------------------------------ settled


def seen(count: int, newest: datetime | None = START) -> Snapshot:
    return Snapshot(count, newest)


def follow(*observations: Snapshot) -> Unchanged:
    still = None
    for number, snapshot in enumerate(observations):
        still = Unchanged.follow(still, snapshot, T0 + number * S)
    assert still is not None
    return still


@pytest.mark.parametrize(
    ("observations", "since"),
    [
        pytest.param([seen(1)], 0, id="the first look starts the clock"),
        pytest.param([seen(1), seen(1), seen(1)], 0, id="nothing changes"),
        pytest.param([seen(1), seen(2), seen(2)], 1, id="one more"),
        pytest.param([seen(2), seen(1)], 1, id="one less"),
        pytest.param([seen(2), seen(2, START + MS)], 1, id="as many, but another newest"),
        pytest.param([seen(1), seen(2), seen(1)], 2, id="there and back again"),
    ],
)
def test_the_clock_starts_again_with_every_change(observations, since):
    assert follow(*observations).since == T0 + since * S


@pytest.mark.parametrize(
    ("condition", "after", "reached"),
    [
        pytest.param(Condition(5), 0, True, id="enough"),
        pytest.param(Condition(6), 1000, False, id="never enough"),
        pytest.param(Condition(5, 10), 0, False, id="enough, not settled"),
        pytest.param(Condition(5, 10), 9.9, False, id="nearly settled"),
        pytest.param(Condition(5, 10), 10, True, id="settled"),
        pytest.param(Condition(6, 10), 20, False, id="settled, not enough"),
    ],
)
def test_a_goal_needs_enough_events_that_have_settled(condition, after, reached):
    assert condition.is_reached(Unchanged(seen(5), T0), T0 + timedelta(seconds=after)) is reached


@pytest.mark.parametrize("snapshot", [seen(5), seen(0, None)])
def test_what_was_seen_survives_as_plain_data(snapshot):
    unchanged = Unchanged(snapshot, T0 + MS)

    assert Unchanged.from_json(unchanged.to_json()) == unchanged


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        (Condition(9), "5 events, the newest of 2026-11-22T00:00:00.000Z; waiting for at least 9"),
        (Condition(5, 60), "5 events, the newest of 2026-11-22T00:00:00.000Z; unchanged for 7 of 60 s"),
        (Condition(5), "5 events, the newest of 2026-11-22T00:00:00.000Z"),
    ],
)
def test_the_log_says_what_is_missing(condition, said):
    assert condition.describe(Unchanged(seen(5), T0), T0 + 7 * S) == said


def test_importing_it_does_not_hold_up_an_event_loop():
    loaded = modules_loaded_by(
        "import airflow_provider_honeyhive.tasks.polling, airflow_provider_honeyhive.triggers.watch_state",
        after="import airflow_provider_honeyhive._compat",
    )

    assert not {"requests", "msgspec", "pydantic", "tenacity"} & loaded
