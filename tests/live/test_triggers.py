"""The watcher under a scheduler and a triggerer: what it fires, and that restarts neither lose nor repeat anything."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from contextlib import ExitStack
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_honeyhive._compat import HAS_STATE_STORES
from airflow_provider_honeyhive.sandbox import Fault, Sandbox
from airflow_provider_honeyhive.triggers.honeyhive import HoneyHiveNewEventsTrigger

from .live_airflow import AIRFLOW_2, LiveAirflow, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

needs_watchers = pytest.mark.skipif(AIRFLOW_2, reason="asset watchers came with Airflow 3.0")

DAG = """
from datetime import UTC, datetime
from airflow.sdk import DAG, Asset, AssetWatcher, task
from airflow_provider_honeyhive.triggers.honeyhive import HoneyHiveNewEventsTrigger

trigger = HoneyHiveNewEventsTrigger(
    filters=[{{"field": "error", "operator": "exists"}}], poll_interval=1, honeyhive_conn_id={name!r}, **{arguments!r}
)
asset = Asset({name!r}, watchers=[AssetWatcher(name="watcher", trigger=trigger)])

with DAG({name!r}, schedule=[asset], start_date=datetime(2025, 1, 1, tzinfo=UTC)):

    @task
    def heard(triggering_asset_events=None):
        return [event.extra["payload"] for events in triggering_asset_events.values() for event in events]

    heard()
"""


class Watched:
    """A sandbox, and what a watcher of it has announced."""

    def __init__(self, live: LiveAirflow, sandbox: Sandbox, name: str) -> None:
        self.live = live
        self.sandbox = sandbox
        self.name = name
        self.added: list[str] = []
        self._numbers = count(1)

    def add(self, number: int = 1, *, age: float = 0.0, **more: Any) -> None:
        """Let failed events appear, of so many seconds ago."""
        shared = {"project": "demo", "start_time": int((time.time() - age) * 1000), "error": "boom", **more}
        events = [{"event_id": f"{self.name}-{next(self._numbers)}", **shared} for _ in range(number)]
        self.sandbox.add(events)
        if shared["error"]:
            self.added += [event["event_id"] for event in events]

    def payloads(self) -> list[dict[str, Any]]:
        """Return what Airflow has stored of the watcher's events."""
        rows = self.live.query(
            "SELECT e.extra FROM asset_event e JOIN asset a ON a.id = e.asset_id WHERE a.name = ? ORDER BY e.id",
            self.name,
        )
        return [json.loads(extra)["payload"] for (extra,) in rows]

    def wait_until_all_are_announced(self) -> list[dict[str, Any]]:
        def announced() -> list[dict[str, Any]]:
            found = self.payloads()
            return found if {id_ for one in found for id_ in one["event_ids"]} >= set(self.added) else []

        return self.live.until(announced, f"the events of {self.name}")


@pytest.fixture(scope="session")
def live() -> LiveAirflow:
    return running()


@pytest.fixture
def watch(live) -> Iterator[Callable[..., Watched]]:
    """Start a DAG that an asset's watcher of a sandbox triggers."""
    with ExitStack() as stack:

        def watch(name: str, **arguments: Any) -> Watched:
            sandbox = stack.enter_context(Sandbox([]))
            if not HAS_STATE_STORES:
                arguments.setdefault("state_path", f"file://{live.home}/{name}.json")
            live.connect(name, sandbox)
            live.add_dag(name, DAG.format(name=name, arguments=arguments))
            live.until(lambda: sandbox.requests, "the watcher's first look")
            return Watched(live, sandbox, name)

        yield watch
        # Or it goes on asking a sandbox that is gone.
        for file in live.dags.glob("watch_*.py"):
            file.unlink()


@pytest.mark.skipif(not AIRFLOW_2, reason="from Airflow 3.0 on there are asset watchers")
def test_on_airflow_2_the_name_can_be_imported_and_says_what_to_use_instead():
    from airflow.exceptions import AirflowOptionalProviderFeatureException

    with pytest.raises(AirflowOptionalProviderFeatureException, match="HoneyHiveEventsSensor"):
        HoneyHiveNewEventsTrigger(filters=[{"field": "error", "operator": "exists"}])


@needs_watchers
def test_new_events_start_a_run_that_knows_which(live, watch):
    watched = watch("watch_new")
    watched.add(2)
    watched.add(1, error=None)

    (run,) = live.wait_for("watch_new")

    (heard,) = live.xcom("watch_new", run, "heard")
    assert sorted(heard["event_ids"]) == watched.added
    assert heard["event_count"] == 2
    assert heard["project"] == "demo"
    assert heard["start_time"] <= heard["oldest"] <= heard["newest"] < heard["end_time"]
    # Nothing new, nothing said.
    looks = len(watched.sandbox.requests)
    live.until(lambda: len(watched.sandbox.requests) > looks + 2, "more looks")
    assert len(watched.payloads()) == 1


@needs_watchers
def test_restarts_of_the_triggerer_neither_lose_nor_repeat_anything(live, watch):
    watched = watch("watch_restarts", start_time="2026-01-01", lookback=900)
    for pause, sig in [(0.0, signal.SIGKILL), (1.5, signal.SIGTERM), (2.5, signal.SIGKILL), (4.0, signal.SIGTERM)]:
        watched.add(2)
        watched.add(1, age=600)
        time.sleep(pause)
        live.stop("triggerer", sig)
        watched.add(1)
        live.start("triggerer")
        # Now and then the next triggerer dies before its first look.
        if pause != 1.5:
            watched.wait_until_all_are_announced()

    payloads = watched.wait_until_all_are_announced()
    looks = len(watched.sandbox.requests)
    live.until(lambda: len(watched.sandbox.requests) > looks + 2, "more looks")

    assert watched.payloads() == payloads
    # Only where the triggerer died between Airflow's storing an announcement and the note of that is it repeated,
    # and then as it was.
    distinct = {payload["batch"]: payload for payload in payloads}
    assert all(payload == distinct[payload["batch"]] for payload in payloads)
    ids = Counter(id_ for payload in distinct.values() for id_ in payload["event_ids"])
    assert ids == Counter(watched.added)


@needs_watchers
def test_a_watcher_outlives_errors_and_a_wrong_key(live, watch):
    watched = watch("watch_errors")
    sandbox = watched.sandbox
    sandbox.faults.extend([Fault.answer(503), Fault.reset(), Fault.html(200)])
    live.until(lambda: not sandbox.faults, "the errors")
    right = sandbox.keys.copy()
    sandbox.keys.clear()
    watched.add(1)
    looks = len(sandbox.requests)
    live.until(lambda: len(sandbox.requests) > looks + 1, "looks with a wrong key")
    sandbox.keys.update(right)

    watched.wait_until_all_are_announced()

    assert "HoneyHiveRefusedError" in live.log("triggerer")
    assert sandbox.key not in live.log("triggerer")


@needs_watchers
def test_the_state_may_live_in_a_file(live, watch, tmp_path):
    path = tmp_path / "watch.json"
    watched = watch("watch_file", state_path=f"file://{path}")
    watched.add(1)

    watched.wait_until_all_are_announced()

    live.until(lambda: json.loads(path.read_text())["pending"] is None, "the note that Airflow has it")
    if HAS_STATE_STORES:
        kept = "SELECT 1 FROM asset a JOIN asset_state_store s ON s.asset_id = a.id WHERE a.name = ?"
        assert live.query(kept, "watch_file") == []
