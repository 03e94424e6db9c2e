"""The triggers as Airflow handles them: made anew of what they serialize, in its event loop, told what is stored."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import Mock

import pytest
from airflow.triggers.base import BaseEventTrigger
from airflow.triggers.shared_stream import AdvanceItem, AdvanceOutcome, SharedStreamManager, SharedStreamProducer

from airflow_provider_honeyhive.exceptions import HoneyHiveError, HoneyHiveServerError, InvalidArgumentError
from airflow_provider_honeyhive.models.filters import EventFilter
from airflow_provider_honeyhive.sandbox import Behaviour, Fault
from airflow_provider_honeyhive.triggers import honeyhive as triggers
from airflow_provider_honeyhive.triggers.honeyhive import HoneyHiveEventsTrigger, HoneyHiveNewEventsTrigger
from airflow_provider_honeyhive.triggers.watch import WatchProducer
from tests.unit.conftest import CONN_ID
from tests.unit.test_display import HOSTILE

from .test_watch import Accessors

START = datetime(2026, 11, 22, tzinfo=UTC)
END = datetime(2026, 11, 23, tzinfo=UTC)
ERRORS = [{"field": "error", "operator": "exists"}]


def again(trigger: Any) -> Any:
    """Make the trigger anew, as a triggerer does: of JSON."""
    path, arguments = trigger.serialize()
    module, _, name = path.rpartition(".")
    assert module == triggers.__name__
    return getattr(triggers, name)(**json.loads(json.dumps(arguments)))


# ---------------------------------------------------------------------------------------- the deferred wait


class Clock:
    """Stands in for the trigger's clock and its sleep: time passes while it sleeps, and only then."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 24, tzinfo=UTC)
        self.slept: list[float] = []

    def now(self, zone: Any) -> datetime:
        return self.time.astimezone(zone)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += timedelta(seconds=seconds)
        assert len(self.slept) < 50, "it waits for ever"


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(triggers, "datetime", clock)
    monkeypatch.setattr(triggers, "asyncio", clock)
    return clock


def waiting(**arguments: Any) -> HoneyHiveEventsTrigger:
    return HoneyHiveEventsTrigger(
        **{
            "project": None,
            "filters": [],
            "start_time": START.isoformat(),
            "end_time": END.isoformat(),
            "evaluation_id": None,
            "min_events": 1,
            "settled_for": 0.0,
            "poke_interval": 60.0,
            "deadline": "2026-11-24T06:00:00Z",
            "honeyhive_conn_id": CONN_ID,
            "still": None,
            **arguments,
        }
    )


def payloads(trigger: Any) -> list[dict[str, Any]]:
    async def collect() -> list[dict[str, Any]]:
        return [event.payload async for event in trigger.run()]

    return asyncio.run(asyncio.wait_for(collect(), 60))


def test_what_it_waits_for_survives_its_being_made_anew():
    given = waiting(
        filters=ERRORS,
        settled_for=600.0,
        still={"event_count": 3, "newest": None, "since": "2026-11-22T00:00:00.000Z"},
        deadline="2026-11-24T00:00:00.000Z",
    )

    assert again(given).serialize() == given.serialize()


def test_it_ends_with_what_the_window_holds(sandbox_with, connect, clock):
    connect(sandbox_with(start=START, end=END))

    (payload,) = payloads(again(waiting(min_events=300)))

    assert payload["status"] == "success"
    assert payload["result"]["event_count"] == 300
    assert payload["result"]["project"] == "demo"
    assert clock.slept == []


def test_it_looks_again_and_again(sandbox_with, connect, clock):
    def add(sandbox: Any, number: int) -> None:
        if len(clock.slept) == 2 and not sandbox.events():
            sandbox.add([{"event_id": "last", "project": "demo", "start_time": int(START.timestamp() * 1000)}])

    connect(sandbox_with([], behaviour=Behaviour(before_request=add)))

    assert payloads(waiting())[0]["result"]["event_count"] == 1
    assert clock.slept == [60.0, 60.0]


@pytest.mark.parametrize(
    ("still", "slept"),
    [
        pytest.param(None, [60.0] * 5, id="nothing was seen before"),
        pytest.param({"event_count": 0, "newest": None}, [60.0] * 3, id="the same was seen before"),
        pytest.param({"event_count": 1, "newest": START.isoformat()}, [60.0] * 5, id="something else was seen before"),
    ],
)
def test_what_the_sensor_saw_counts_as_a_look(sandbox_with, connect, clock, still, slept):
    connect(sandbox_with([]))
    two_minutes_ago = (clock.time - timedelta(minutes=2)).isoformat()

    (payload,) = payloads(waiting(min_events=0, settled_for=300.0, still=still and {**still, "since": two_minutes_ago}))

    assert payload["status"] == "success"
    assert clock.slept == slept


def test_at_the_deadline_it_looks_once_more_and_says_what_is_missing(sandbox_with, connect, clock):
    sandbox = connect(sandbox_with([]))
    said = [{"status": "timeout", "message": "0 events; waiting for at least 5"}]

    assert payloads(waiting(deadline="2026-11-24T00:01:30Z", min_events=5)) == said
    assert clock.slept == [60.0, 30.0]
    before = len(sandbox.requests)
    assert payloads(waiting(deadline="2026-11-23T00:00:00Z", min_events=5)) == said
    assert len(sandbox.requests) > before


def test_errors_that_may_pass_are_asked_again_without_the_clients_own_retries(sandbox_with, connect, clock):
    sandbox = connect(sandbox_with(start=START, end=END))
    sandbox.faults.extend([Fault.answer(503), Fault.reset(), Fault.answer(429, retry_after=900)])

    assert payloads(waiting())[0]["status"] == "success"
    assert len(sandbox.requests) == 5
    # As long as the server asked for.
    assert clock.slept == [60.0, 60.0, 900.0]


def test_the_last_error_is_what_a_time_out_says(sandbox_with, connect, clock):
    sandbox = connect(sandbox_with([]))
    sandbox.faults.append(Fault.answer(503))

    (payload,) = payloads(waiting(deadline="2026-11-23T00:00:00Z"))

    assert payload["status"] == "timeout"
    assert "HoneyHiveServerError: HTTP 503" in payload["message"]


@pytest.mark.parametrize(
    ("connection", "arguments", "said"),
    [
        ({"key": "hh_wrong"}, {}, "HoneyHiveRefusedError: HTTP 404: check the API key of connection"),
        ({"key": ""}, {}, "HoneyHiveAuthError"),
        ({"project": None}, {}, "InvalidArgumentError: project"),
        ({}, {"filters": [{"field": "x", "operator": "resembles"}]}, "InvalidArgumentError: filters"),
        ({}, {"deadline": "soon"}, "InvalidArgumentError: deadline"),
        ({}, {"start_time": END.isoformat()}, "InvalidArgumentError: end_time"),
    ],
)
def test_what_no_retry_mends_ends_it_at_once(sandbox_with, connect, clock, connection, arguments, said):
    sandbox = connect(sandbox_with([]), **connection)

    (payload,) = payloads(waiting(**arguments))

    assert payload["status"] == "failed"
    assert said in payload["message"]
    assert "hh_wrong" not in payload["message"]
    assert len(sandbox.requests) <= 1
    assert clock.slept == []


def test_a_wrong_key_of_an_older_server_ends_it_at_once(sandbox_with, connect, clock):
    sandbox = connect(sandbox_with([], behaviour=Behaviour(generation="older")), key="hh_wrong")

    (payload,) = payloads(waiting())

    assert payload["status"] == "failed"
    assert "HoneyHiveAuthError: HTTP 401: the API key of connection" in payload["message"]
    assert "hh_wrong" not in payload["message"]
    assert (len(sandbox.requests), clock.slept) == (1, [])


def test_a_data_plane_key_and_an_id_are_all_it_takes(sandbox_with, connect, clock):
    sandbox = sandbox_with(start=START, end=END)
    connect(sandbox, key=sandbox.data_plane_key, project=sandbox.project_id)

    (payload,) = payloads(waiting())

    assert payload["status"] == "success"
    assert payload["result"]["event_count"] == 300


def test_an_error_of_another_kind_is_an_event_too(sandbox_with, connect, monkeypatch):
    connect(sandbox_with([]))
    monkeypatch.setattr(triggers, "PollingClient", lambda *_, **__: 1 / 0)

    assert payloads(waiting()) == [{"status": "error", "message": "ZeroDivisionError: division by zero"}]


@pytest.mark.parametrize("kind", [HoneyHiveError, ValueError, HoneyHiveServerError])
def test_what_it_says_of_an_error_is_one_line_without_a_secret(sandbox_with, connect, clock, monkeypatch, kind, caplog):
    def fail(*_, **__):
        raise kind(f"{HOSTILE} http://u:S3cr3t@proxy")

    caplog.set_level("INFO")
    connect(sandbox_with([]))
    monkeypatch.setattr(triggers.PollingClient, "snapshot", fail)

    (payload,) = payloads(waiting(deadline="2026-11-23T01:00:00Z"))

    said = [payload["message"], *caplog.messages]
    assert all(map(str.isprintable, said))
    assert not any("S3cr3t" in one for one in said)


def test_the_event_loop_goes_on_while_the_server_is_silent(sandbox_with, connect):
    answer = asyncio.Event()

    def hold(sandbox: Any, number: int) -> None:
        # Only the event loop can end this wait.
        asyncio.run_coroutine_threadsafe(answer.wait(), loop).result(timeout=30)

    connect(sandbox_with(start=START, end=END, behaviour=Behaviour(before_request=hold)))

    async def run() -> str:
        nonlocal loop
        loop = asyncio.get_running_loop()
        waits = asyncio.ensure_future(anext(waiting().run()))
        await asyncio.sleep(0)
        answer.set()
        return (await waits).payload["status"]

    loop: Any = None
    assert asyncio.run(run()) == "success"


# --------------------------------------------------------------------------------------- the asset's watcher


def watching(**arguments: Any) -> HoneyHiveNewEventsTrigger:
    return HoneyHiveNewEventsTrigger(
        **{
            "filters": ERRORS,
            "start_time": START,
            "poll_interval": 0.01,
            "honeyhive_conn_id": CONN_ID,
            **arguments,
        }
    )


def failed(name: str) -> dict[str, Any]:
    now = int(datetime.now(UTC).timestamp() * 1000)
    return {"event_id": name, "project": "demo", "start_time": now, "error": "boom"}


def test_it_is_the_same_trigger_at_each_parsing_and_after_being_stored():
    arguments = {"lookback": timedelta(days=7), "poll_interval": timedelta(minutes=5), "project": "demo"}
    given = watching(**arguments)
    objects = watching(filters=[EventFilter(**ERRORS[0])], **arguments)

    assert again(given).serialize() == given.serialize() == objects.serialize()
    assert BaseEventTrigger.hash(*again(given).serialize()) == BaseEventTrigger.hash(*given.serialize())
    assert given.serialize()[1]["lookback"] == 604_800.0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"filters": []}, "filters: got []; at least one is needed"),
        ({"filters": None}, "at least one is needed"),
        ({"filters": [{"field": "error", "operator": "resembles"}]}, "filters[0]"),
        ({"filters": "error"}, "filters: got 'error'; a text must be JSON"),
        ({"start_time": "soon"}, "start_time: got 'soon'"),
        ({"lookback": 0}, "lookback: got 0; allowed: a timedelta, or a number of seconds, above 0"),
        ({"poll_interval": -1}, "poll_interval: got -1"),
        ({"poll_interval": "often"}, "poll_interval: got 'often'"),
        ({"project": 7}, "project: got 7"),
        ({"state_path": "watch.json"}, "state_path: got 'watch.json'; allowed: an absolute path"),
    ],
)
def test_arguments_are_checked_when_the_dag_is_parsed(arguments, said):
    with pytest.raises(InvalidArgumentError) as caught:
        watching(**arguments)
    assert said in str(caught.value)


def test_before_airflow_3_3_a_place_for_the_state_must_be_given(monkeypatch, tmp_path):
    monkeypatch.setattr(triggers, "HAS_STATE_STORES", False)

    with pytest.raises(InvalidArgumentError, match="state_path: got None; needed before Airflow 3.3"):
        watching()
    assert watching(state_path=tmp_path / "watch.json").state_path == str(tmp_path / "watch.json")


def test_a_trigger_that_nobody_gave_a_store_says_so():
    with pytest.raises(InvalidArgumentError, match="not that of an AssetWatcher"):
        asyncio.run(anext(watching().run()))


def test_the_state_goes_on_where_only_the_pace_changes_and_begins_anew_where_another_thing_is_watched():
    def key(**arguments: Any) -> str:
        trigger = watching(**arguments)
        trigger.asset_state_store = Accessors()
        return trigger._store()._key

    assert key() == key(poll_interval=5, lookback=9, start_time=None)
    assert re.fullmatch("honeyhive-watch-[0-9a-f]{16}", key())
    assert len({key(), key(project="other"), key(evaluation_id="run"), key(filters=[ERRORS[0]] * 2)}) == 4


class Triggerer:
    """Airflow's own handling of streams, as its triggerer does it."""

    def __init__(self, accessors: Accessors) -> None:
        self.accessors = accessors
        self.streams = SharedStreamManager()
        self.trigger = again(watching())
        self.trigger.asset_state_store = accessors
        self.key = self.trigger.shared_stream_key()

    async def events(self) -> Any:
        stream = self.streams.subscribe(trigger_id=1, trigger=self.trigger, key=self.key)
        async for event in self.trigger.filter_shared_stream(stream):
            self.sequence = self.streams.bind_pending_event(trigger_id=1, key=self.key)
            yield event.payload["event_ids"]

    async def stop(self) -> None:
        await self.streams.unsubscribe(1, self.key)


def test_airflow_says_what_it_has_stored_and_only_then_it_counts_as_announced(sandbox_with, connect):
    sandbox = connect(sandbox_with([failed("a")]))
    accessors = Accessors()

    async def scene() -> None:
        triggerer = Triggerer(accessors)
        events = triggerer.events()
        assert await anext(events) == ["a"]
        following = asyncio.ensure_future(anext(events))
        sandbox.add([failed("b")])
        await asyncio.sleep(0.1)
        assert not following.done()
        assert accessors.pending["event_ids"] == ["a"]

        triggerer.streams.confirm_persisted([triggerer.sequence])
        assert await following == ["b"]
        assert accessors.pending["event_ids"] == ["b"]
        await triggerer.stop()

    asyncio.run(asyncio.wait_for(scene(), 30))


@pytest.mark.parametrize(("failures", "confirmed"), [(0, True), (1, False)])
def test_what_airflow_could_not_store_does_not_count(failures, confirmed):
    watch = Mock()
    outcome = AdvanceOutcome(acked=1, failed=failures)
    asyncio.run(WatchProducer(lambda _: watch).advance([AdvanceItem(None, outcome), AdvanceItem(watch, outcome)]))

    assert watch.confirm.called is confirmed


def test_a_triggerer_that_died_before_airflow_stored_the_event_announces_it_again(sandbox_with, connect):
    sandbox = connect(sandbox_with([failed("a")]))
    accessors = Accessors()

    async def die() -> None:
        triggerer = Triggerer(accessors)
        assert await anext(triggerer.events()) == ["a"]
        await triggerer.stop()

    async def live() -> None:
        triggerer = Triggerer(accessors)
        events = triggerer.events()
        assert await anext(events) == ["a"]
        following = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)
        triggerer.streams.confirm_persisted([triggerer.sequence])
        assert await following == ["b"]
        await triggerer.stop()

    asyncio.run(asyncio.wait_for(die(), 30))
    sandbox.add([failed("b")])
    asyncio.run(asyncio.wait_for(live(), 30))


def test_before_airflow_3_3_an_event_counts_as_announced_after_a_while(sandbox_with, connect, tmp_path, monkeypatch):
    sandbox = connect(sandbox_with([failed("a")]))
    monkeypatch.setattr(triggers, "HANDED_OVER_S", 0.01)
    path = tmp_path / "watch.json"

    async def scene() -> list[list[str]]:
        found = []
        async for event in again(watching(state_path=path)).run():
            found.append(event.payload["event_ids"])
            assert json.loads(path.read_text())["pending"]["event_ids"] == found[-1]
            if len(found) == 2:
                return found
            sandbox.add([failed("b")])
        return found

    assert asyncio.run(asyncio.wait_for(scene(), 30)) == [["a"], ["b"]]


def test_every_member_that_airflow_wants_of_a_stream_producer_is_there():
    wanted = {name for name in vars(SharedStreamProducer) if not name.startswith("_")}
    assert wanted <= set(vars(WatchProducer))
