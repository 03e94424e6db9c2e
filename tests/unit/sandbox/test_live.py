"""Events that arrive while a sandbox serves."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from airflow_provider_honeyhive.sandbox import Sandbox, live
from airflow_provider_honeyhive.sandbox.live import Arrived, LiveTraffic, Traffic

from .wire import ask, event

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.time = NOW

    def __call__(self) -> datetime:
        return self.time


def sandbox_of(count: int = 40) -> Sandbox:
    return Sandbox(count=count, start=NOW - timedelta(days=1), end=NOW - timedelta(hours=12), documented_event=False)


def held(sandbox: Sandbox) -> list[dict[str, Any]]:
    return [each.decoded() for each in sandbox.events()]


def after(time: timedelta, *, steps: int = 1, seed: int = 0, **traffic: float) -> tuple[Sandbox, LiveTraffic]:
    """Let events arrive for some time, looked at in so many steps."""
    clock, sandbox = Clock(), sandbox_of()
    arrivals = LiveTraffic(sandbox, Traffic(**traffic), seed=seed, now=clock)
    for step in range(1, steps + 1):
        clock.time = NOW + time * step / steps
        arrivals.arrive()
    return sandbox, arrivals


def test_as_many_arrive_as_the_rate_says() -> None:
    sandbox, _ = after(timedelta(hours=2), per_second=0.5)
    assert len(sandbox.events()) - 40 == pytest.approx(3600, abs=60)


def test_the_seed_and_the_clock_decide_what_arrives_not_how_often_somebody_looks() -> None:
    traffic = {"per_second": 1.0, "late": 0.2, "feedback": 0.2}
    once, _ = after(timedelta(minutes=20), **traffic)
    often, _ = after(timedelta(minutes=20), steps=50, **traffic)
    other, _ = after(timedelta(minutes=20), seed=1, **traffic)
    assert [each.raw for each in once.events()] == [each.raw for each in often.events()]
    assert [each.raw for each in once.events()] != [each.raw for each in other.events()]


def test_whole_sessions_of_both_kinds_of_clients_arrive_once_they_have_ended() -> None:
    sandbox, _ = after(timedelta(hours=1), per_second=0.5)
    arrived = [each for each in held(sandbox) if each["start_time"] >= NOW.timestamp() * 1000 - 600_000]
    ids = {each["event_id"] for each in arrived}
    assert len(arrived) > 1000
    assert all(each["session_id"] in ids and set(each["children_ids"]) <= ids for each in arrived)
    assert {"trace_id" in each["metadata"] for each in arrived} == {True, False}


def test_no_event_ends_after_it_has_arrived() -> None:
    sandbox, _ = after(timedelta(0), per_second=0.001)
    assert max(each["end_time"] for each in held(sandbox)) == NOW.timestamp() * 1000


def test_late_sessions_change_windows_that_had_ended() -> None:
    sandbox, _ = after(timedelta(0), per_second=0.001, late=1.0)
    late = [each for each in held(sandbox) if each["start_time"] >= (NOW - timedelta(hours=4)).timestamp() * 1000]
    assert late
    assert max(each["end_time"] for each in late) <= (NOW - timedelta(minutes=5)).timestamp() * 1000


def test_a_share_of_the_events_is_late() -> None:
    reports: list[Arrived] = []
    clock = Clock()
    arrivals = LiveTraffic(
        sandbox_of(), Traffic(5.0, late=0.25), now=clock, report=lambda _, each: reports.append(each)
    )
    clock.time += timedelta(hours=1)
    arrivals.arrive()
    assert sum(each.late for each in reports) / sum(each.events for each in reports) == pytest.approx(0.25, abs=0.03)


def test_feedback_changes_events_that_are_there_and_nothing_else_of_them() -> None:
    before = {each["event_id"]: each for each in held(sandbox_of())}
    sandbox, _ = after(timedelta(minutes=10), per_second=1.0, feedback=0.5)
    now = {each["event_id"]: each for each in held(sandbox)}
    changed = [name for name, each in before.items() if now[name] != each]
    assert changed
    for name in changed:
        assert set(now[name]["feedback"]) >= {"rating", "comment"}
        assert before[name]["metrics"].items() <= {**now[name]["metrics"], **before[name]["metrics"]}.items()
        unchanged = {"feedback": None, "metrics": None}
        assert {**now[name], **unchanged} == {**before[name], **unchanged}
    assert any("Helpfulness" in now[name]["metrics"] for name in changed)


def test_counts_are_reported_once_in_ten_seconds_and_at_the_end() -> None:
    reports: list[tuple[datetime, Arrived]] = []
    clock, sandbox = Clock(), sandbox_of()
    arrivals = LiveTraffic(sandbox, Traffic(10.0), now=clock, report=lambda *each: reports.append(each))
    clock.time += timedelta(minutes=1)
    arrivals.arrive()
    with arrivals:
        pass
    times = [at for at, _ in reports]
    assert times[0] == NOW
    gaps = [later - earlier for earlier, later in pairwise(times[:-1])]
    assert gaps
    assert min(gaps) >= timedelta(seconds=10)
    assert sum(each.events for _, each in reports) == len(sandbox.events()) - 40


def test_the_first_to_arrive_go_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MOST_KEPT", 100)
    monkeypatch.setattr(live, "DROPPED_AT_ONCE", 20)
    sandbox, _ = after(timedelta(hours=1), per_second=1.0)
    first = {each.event_id for each in sandbox_of().events()}
    assert first <= sandbox.event_ids()
    # A session more may have come since.
    assert 100 <= len(sandbox.events()) - 40 <= 120 + 80
    assert (
        min(each["start_time"] for each in held(sandbox) if each["event_id"] not in first)
        > (NOW + timedelta(minutes=50)).timestamp() * 1000
    )


def test_the_thread_lets_events_arrive_and_stops() -> None:
    there = threading.Event()
    clock, sandbox = Clock(), sandbox_of()
    with LiveTraffic(sandbox, Traffic(0.001), now=clock, report=lambda *_: there.set()):
        assert there.wait(30)
    assert len(sandbox.events()) > 40
    assert "sandbox live" not in {thread.name for thread in threading.enumerate()}


def test_an_updated_event_keeps_its_place_among_equal_times() -> None:
    with Sandbox([event(name, feedback={"old": 1}) for name in "abc"]) as sandbox:
        ids = ask(sandbox).ids
        sandbox.update("b", {"feedback": {"rating": True}, "error": "boom"})
        assert ask(sandbox).ids == ids
    found = {each.event_id: json.loads(each.raw) for each in sandbox.events()}
    assert found["b"]["feedback"] == {"old": 1, "rating": True}
    assert (found["b"]["error"], found["a"]["feedback"]) == ("boom", {"old": 1})


def test_an_updated_event_comes_to_and_leaves_what_a_filter_has_found() -> None:
    wrong = {"filters": [{"field": "error", "operator": "is", "value": "boom", "type": "string"}]}
    with Sandbox([event("a"), event("b", error="boom")]) as sandbox:
        assert ask(sandbox, body=wrong).ids == ["b"]
        sandbox.update("a", {"error": "boom"})
        assert sorted(ask(sandbox, body=wrong).ids) == ["a", "b"]
        sandbox.update("b", {"error": None})
        assert ask(sandbox, body=wrong).ids == ["a"]


def test_what_is_not_there_cannot_be_updated() -> None:
    with pytest.raises(KeyError, match="gone"):
        Sandbox([event("a")]).update("gone", {})
