"""Each matching event is announced once: late ones, those of a time that is over, those after a restart."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_honeyhive.exceptions import DestinationTakenError
from airflow_provider_honeyhive.models.request import ExportRequest
from airflow_provider_honeyhive.models.window import SECOND_US, to_micros
from airflow_provider_honeyhive.sandbox import Behaviour
from airflow_provider_honeyhive.triggers.watch_state import (
    SHOWN_CHARACTERS,
    SHOWN_IDS,
    WatchState,
    announcement,
    is_shortened,
    look,
    remembered,
    without_pending,
)

ERRORS = ExportRequest.parse(project="demo", filters=[{"field": "error", "operator": "exists"}])
START = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOUR = 3_600


def us(seconds: float) -> int:
    """Return microseconds since 1970 of a moment so many seconds after :data:`START`."""
    return to_micros(START) + int(seconds * SECOND_US)


def failed(name: str, at: float, **more: Any) -> dict[str, Any]:
    start = int((START + timedelta(seconds=at)).timestamp() * 1000)
    return {"event_id": name, "project": "demo", "start_time": start, "error": "boom", **more}


class Watcher:
    """Looks at a sandbox, and takes each announcement for granted."""

    def __init__(self, client, *, lookback: float = HOUR, most_bytes: int = 65_535) -> None:
        self.client = client
        self.limits = {"lookback": int(lookback * SECOND_US), "most_bytes": most_bytes}
        self.state = WatchState(us(0))
        self.now = us(0)

    def look(self, at: float) -> list[str]:
        self.now = us(at)
        state = look(self.client, ERRORS, self.state, now=us(at), **self.limits)
        self.state = without_pending(state)
        return [] if state.pending is None else state.pending["event_ids"]

    def restart(self) -> None:
        self.state = WatchState.from_json(json.loads(json.dumps(self.state.to_json())), [], latest=self.now)


@pytest.fixture
def sandbox(sandbox_with):
    return sandbox_with([])


@pytest.fixture
def watcher(sandbox, client_of):
    return Watcher(client_of(sandbox))


def test_an_event_is_announced_once(sandbox, watcher):
    assert watcher.look(60) == []
    sandbox.add([failed("a", 30), {**failed("fine", 31), "error": None}])

    assert [watcher.look(120), watcher.look(180)] == [["a"], []]


def test_events_before_the_beginning_do_not_count(sandbox, watcher):
    sandbox.add([failed("before", -1), failed("first", 0)])

    assert watcher.look(60) == ["first"]


@pytest.fixture
def beginner(watcher):
    """Begin at :data:`START`, with a first look still to come."""
    watcher.state = WatchState(us(-HOUR), begin=us(0))
    return watcher


def test_the_first_look_announces_nothing_that_matched_before_the_beginning(sandbox, beginner):
    sandbox.add([failed("older", -HOUR + 1), failed("before", -1), failed("first", 0)])

    assert [beginner.look(60), beginner.look(120)] == [["first"], []]


def test_an_older_event_that_matches_after_the_first_look_is_announced(sandbox, beginner):
    sandbox.add([{**failed("rated", -3000), "error": None}, failed("matched", -2000)])
    assert beginner.look(1) == []
    sandbox.delete(["rated"])
    sandbox.add([failed("rated", -3000)])
    beginner.restart()

    assert [beginner.look(60), beginner.look(120)] == [["rated"], []]


def test_an_event_that_stops_matching_and_matches_again_is_no_news(sandbox, beginner):
    sandbox.add([failed("a", -100)])
    beginner.look(1)
    sandbox.delete(["a"])
    assert beginner.look(60) == []
    sandbox.add([failed("a", -100)])

    assert beginner.look(120) == []


def test_events_without_a_time_that_match_at_the_beginning_are_no_news(sandbox, beginner):
    sandbox.add([{**failed("untimed", 0), "start_time": None}])

    assert [beginner.look(1), beginner.look(60)] == [[], []]


def test_until_a_beginning_in_the_future_nothing_is_news(sandbox, watcher):
    watcher.state = WatchState(us(0), begin=us(HOUR))
    sandbox.add([failed("early", 10)])
    assert watcher.look(60) == []
    sandbox.add([failed("also early", 70), failed("first", HOUR + 1)])

    assert [watcher.look(120), watcher.look(HOUR + 60), watcher.look(HOUR + 120)] == [[], ["first"], []]


def test_a_failed_first_look_is_made_again_and_swallows_nothing_that_came_since_the_beginning(sandbox, beginner):
    sandbox.add([failed("before", -1)])
    beginner.restart()
    sandbox.add([failed("meanwhile", 30)])
    beginner.restart()

    assert [beginner.look(HOUR / 2), beginner.look(HOUR)] == [["meanwhile"], []]


def test_a_longer_lookback_announces_nothing_that_matched_before_it_reached_that_far(sandbox, beginner):
    sandbox.add([failed("too old", -3 * HOUR), failed("known", -100)])
    assert beginner.look(1) == []
    beginner.restart()
    beginner.limits["lookback"] = 10 * HOUR * SECOND_US
    assert beginner.look(60) == []
    sandbox.add([failed("rated", -HOUR + 1)])

    assert beginner.look(120) == ["rated"]


def test_a_lookback_that_was_shorter_for_a_while_repeats_nothing(sandbox, beginner):
    sandbox.add([failed("known", -1800)])
    assert beginner.look(1) == []
    beginner.limits["lookback"] = 600 * SECOND_US
    assert beginner.look(60) == []
    beginner.restart()
    beginner.limits["lookback"] = 10 * HOUR * SECOND_US

    assert beginner.look(120) == []


def test_of_two_events_in_one_millisecond_one_may_match_at_the_beginning_and_the_other_later(sandbox, beginner):
    sandbox.add([failed("known", -50)])
    assert beginner.look(1) == []
    sandbox.add([failed("rated", -50)])

    assert [beginner.look(60), beginner.look(120)] == [["rated"], []]


def test_more_matches_at_the_beginning_than_can_be_remembered_are_no_news_and_hold_up_none(sandbox, client_of):
    watcher = Watcher(client_of(sandbox), most_bytes=1_000)
    watcher.state = before = WatchState(us(-HOUR), begin=us(0))
    sandbox.add([failed(f"known {n}", -50) for n in range(200)])
    assert [watcher.look(1), watcher.look(60)] == [[], []]
    assert is_shortened(watcher.state, before=before, now=us(1), lookback=HOUR * SECOND_US)
    sandbox.add([failed("new", 70)])

    assert watcher.look(120) == ["new"]


def test_a_clock_that_is_set_back_after_the_first_look_repeats_and_loses_nothing(sandbox, beginner):
    sandbox.add([failed("known", -700)])
    assert beginner.look(10) == []
    sandbox.add([failed("new", -300)])

    assert [beginner.look(-200), beginner.look(100)] == [["new"], []]


def test_an_event_that_comes_late_is_announced(sandbox, watcher):
    sandbox.add([failed("new", 3000)])
    assert watcher.look(3600) == ["new"]
    sandbox.add([failed("late", 10)])

    assert [watcher.look(3605), watcher.look(3660)] == [["late"], []]


def test_an_event_that_matches_late_is_announced(sandbox, watcher):
    sandbox.add([{**failed("rated", 10), "error": None}])
    assert watcher.look(60) == []
    sandbox.delete(["rated"])
    sandbox.add([failed("rated", 10)])

    assert watcher.look(120) == ["rated"]


def test_what_is_older_than_the_lookback_is_forgotten_and_not_asked_for(sandbox, watcher):
    sandbox.add([failed(f"old {n}", n) for n in range(20)])
    watcher.look(60)
    assert len(watcher.state.seen) == 20

    assert watcher.look(10 + HOUR) == []
    assert len(watcher.state.seen) == 10
    sandbox.add([failed("too late", 5)])
    assert watcher.look(20 + HOUR) == []


def test_after_a_time_without_a_triggerer_nothing_is_missed(sandbox, watcher):
    sandbox.add([failed("seen", 30)])
    watcher.look(60)
    sandbox.add([failed(f"meanwhile {n}", n * HOUR) for n in range(1, 20)])
    watcher.restart()

    assert len(watcher.look(20 * HOUR)) == 19


def test_a_restart_repeats_nothing(sandbox, watcher):
    sandbox.add([failed(f"event {n}", n * 0.1) for n in range(100)])
    assert len(watcher.look(60)) == 100

    for at in (61, 62.5, HOUR + 1.05, HOUR + 5.55, HOUR + 9.95):
        watcher.restart()
        assert watcher.look(at) == []


def test_an_event_without_a_time_is_announced_once(sandbox_with, client_of):
    sandbox = sandbox_with([failed("timeless", 0)], behaviour=Behaviour(ignore_date_range=True))
    sandbox.delete(["timeless"])
    sandbox.add([{"event_id": "timeless", "project": "demo", "error": "boom"}])
    watcher = Watcher(client_of(sandbox))

    found = [watcher.look(at) for at in (60, HOUR, 3 * HOUR, 5 * HOUR)]

    assert found == [["timeless"], [], [], []]


def test_more_events_than_can_be_remembered_shorten_the_lookback_and_are_not_repeated(sandbox, client_of):
    watcher = Watcher(client_of(sandbox), most_bytes=1_000)
    sandbox.add([failed(f"event {n}", n) for n in range(30)])
    before = watcher.state

    assert len(watcher.look(60)) == 30
    assert 10 <= len(watcher.state.seen) < 30
    assert us(0) < watcher.state.since < us(20)
    assert is_shortened(watcher.state, before=before, now=us(60), lookback=HOUR * SECOND_US)
    assert watcher.look(61) == []
    sandbox.add([failed("late, but not too late", 25)])
    assert watcher.look(62) == ["late, but not too late"]


def test_a_lookback_that_holds_all_is_not_shortened(sandbox, watcher):
    before = watcher.state
    sandbox.add([failed("a", 30)])
    watcher.look(HOUR)

    assert not is_shortened(watcher.state, before=before, now=us(HOUR), lookback=HOUR * SECOND_US)


def test_a_look_reads_ids_and_times_only_where_the_endpoint_can_leave_the_rest_out(sandbox, watcher):
    watcher.look(60)
    watcher.look(120)

    assert sandbox.requests[-1].body["projections"][0] == "event_id"


@pytest.mark.parametrize("behaviour", [{"endpoints": frozenset({"search"})}, {"order": "asc"}, {"cap": 3}])
def test_every_server_will_do(sandbox_with, client_of, behaviour):
    sandbox = sandbox_with([failed(f"event {n}", n) for n in range(20)], behaviour=Behaviour(**behaviour))
    watcher = Watcher(client_of(sandbox))

    assert len(watcher.look(60)) == 20
    assert watcher.look(120) == []


# ---------------------------------------------------------------------------------------------- announcements


def test_an_announcement_says_what_came_and_gives_the_window_that_holds_it():
    said = announcement(ERRORS, {"b": us(10.0015), "a": us(3), "c": us(10.0015)})

    assert said.pop("batch")
    assert said == {
        "project": "demo",
        "filters": [{"field": "error", "operator": "exists", "value": None, "type": "string"}],
        "event_count": 3,
        "event_ids": ["b", "c", "a"],
        "event_ids_left_off": 0,
        "oldest": "2026-11-22T12:00:03.000Z",
        "newest": "2026-11-22T12:00:10.001500Z",
        "start_time": "2026-11-22T12:00:03.000Z",
        "end_time": "2026-11-22T12:00:10.002Z",
    }


@pytest.mark.parametrize(
    ("ids", "shown"),
    [
        pytest.param([f"{n:036d}" for n in range(150)], SHOWN_IDS, id="many"),
        pytest.param(["x" * 3000 + str(n) for n in range(5)], SHOWN_CHARACTERS // 3005, id="long"),
        pytest.param(["é" * 500 + str(n) for n in range(5)], SHOWN_CHARACTERS // 3005, id="long as JSON"),
        pytest.param(["x" * 100_000], 0, id="too long"),
    ],
)
def test_an_announcement_names_only_so_many_ids_and_counts_the_rest(ids, shown):
    said = announcement(ERRORS, dict.fromkeys(ids, us(0)))

    assert len(said["event_ids"]) == shown
    assert said["event_ids_left_off"] == len(ids) - shown
    assert said["event_count"] == len(ids)


def test_the_batch_tells_the_same_events_from_others():
    one, two, other = ({"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 1, "c": 2})

    assert announcement(ERRORS, one)["batch"] == announcement(ERRORS, two)["batch"]
    assert announcement(ERRORS, one)["batch"] != announcement(ERRORS, other)["batch"]


# ---------------------------------------------------------------------------------------------------- states


@pytest.mark.parametrize("length", [0, 8_000, 60_000, 200_000])
def test_the_fullest_state_fits_into_what_its_store_takes_however_long_the_filters_are(length):
    asked = ExportRequest.parse(
        project="demo", filters=[{"field": "error", "operator": "is not", "value": "é" * length}]
    )
    fresh = {f"{n:036d}" + "é" * 40: us(n) for n in range(5_000)}
    for most_bytes, least in ((65_535, 3_500), (9_000, 16), (100, 0)):
        state = remembered(asked, WatchState(us(0)), fresh, now=us(9_000), since=us(0), most_bytes=most_bytes)
        saved = json.dumps(state.to_json())
        assert len(saved) <= most_bytes or not state.seen
        assert len(state.seen) >= least
        assert (
            WatchState.from_json(json.loads(saved), asked.model_dump()["filters"], latest=us(5_000)).pending.keys()
            == state.pending.keys()
        )


def test_a_state_of_another_version_is_refused():
    with pytest.raises(DestinationTakenError, match="(?s)newer version of this provider: update it.*version 99"):
        WatchState.from_json({**WatchState(us(0)).to_json(), "version": 99}, [], latest=us(0))


SAVED = WatchState(us(0), {bytes(8): us(5)}, announcement(ERRORS, {"a": us(1), "b": us(2)})).to_json()


@pytest.mark.parametrize(
    "other",
    [
        *({"since": since} for since in ("0", None, True, 1.5, -(10**18), 10**18, 10**400)),
        *({"begin": begin} for begin in ("0", True, 1.5, 10**18)),
        *({"seen": seen} for seen in (5, None, "no base64!", "AAAA", "\ud800", [])),
        *({"pending": pending} for pending in ("", [], {}, {"batch": 5}, {**SAVED["pending"], "event_count": "2"})),
        *({"pending": {**SAVED["pending"], "newest": newest}} for newest in (None, "late", "2026-01-01T00:00:00")),
        *({"version": version} for version in (0, "1", None, 1.0)),
    ],
)
def test_a_state_that_cannot_be_right_is_told_with_what_to_do(other):
    for data in ({**SAVED, **other}, b"", [], None, 5):
        with pytest.raises(DestinationTakenError, match="s3://b/watch.json.*remove it to begin again") as caught:
            WatchState.from_json(data, [], where="s3://b/watch.json", latest=us(10))
        assert not caught.value.retryable


@pytest.mark.parametrize("since", [us(90_000), us(10**9)])
def test_a_state_of_a_time_to_come_is_told_instead_of_waited_for(since):
    """Whatever of it is in the future: when it begins, or what it has seen."""
    states = WatchState(since), WatchState(us(0), {bytes(8): since}), WatchState(us(0), begin=since)
    for data in (state.to_json() for state in states):
        with pytest.raises(DestinationTakenError, match="of a time to come"):
            WatchState.from_json(data, [], latest=us(0))
    assert WatchState.from_json(WatchState(since).to_json(), [], latest=since).since == since
    assert WatchState.from_json(WatchState(us(80_000)).to_json(), [], latest=us(0)).since == us(80_000)


def test_the_state_of_the_last_release_is_understood():
    last = {name: value for name, value in SAVED.items() if name != "begin"}
    state = WatchState.from_json(json.loads(json.dumps(last)), [{"field": "error"}], latest=us(10))
    assert state.pending == {**SAVED["pending"], "filters": [{"field": "error"}]}
    assert (state.since, state.seen, state.begin) == (us(0), {bytes(8): us(5)}, None)


#: What happens: events of an age in seconds appear, time passes, the triggerer is started again.
HAPPENINGS = st.lists(
    st.one_of(
        st.lists(st.floats(0, 590), min_size=1, max_size=3).map(lambda ages: ("appear", ages)),
        st.floats(0.001, 400).map(lambda seconds: ("pass", seconds)),
        st.just(("look", None)),
        st.just(("restart", None)),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(happenings=HAPPENINGS)
def test_whatever_happens_each_event_is_announced_exactly_once(sandbox_with, client_of, happenings):
    sandbox = sandbox_with([])
    watcher = Watcher(client_of(sandbox), lookback=600)
    now, looked, names, announced = 600.0, 600.0, [], []
    watcher.look(now)
    for what, given_ in happenings:
        if what == "appear":
            # No older than the lookback when the next look comes.
            new = [f"event {len(names) + n}" for n in range(len(given_))]
            sandbox.add([failed(name, max(0.0, looked - age)) for name, age in zip(new, given_, strict=True)])
            names += new
        elif what == "pass":
            now += given_
        elif what == "look":
            announced += watcher.look(now)
            looked = now
        else:
            watcher.restart()
    announced += watcher.look(now + 1)

    assert sorted(announced) == sorted(names)
