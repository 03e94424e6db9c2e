"""The sensor under a scheduler and a triggerer that are restarted and killed; needs no more than they."""

from __future__ import annotations

import json
import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_honeyhive._compat import HAS_STATE_STORES
from airflow_provider_honeyhive.sandbox import Fault, Sandbox
from airflow_provider_honeyhive.sandbox.data.traces import generate_events
from tests.system.conftest import DAY, DAY_END

from .live_airflow import LiveAirflow, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DAG = """
from datetime import UTC, datetime, timedelta
from airflow.providers.common.compat.sdk import DAG
from airflow_provider_honeyhive.sensors.honeyhive import HoneyHiveEventsSensor

with DAG({dag_id!r}, schedule=None, start_date=datetime(2025, 1, 1, tzinfo=UTC)):
    HoneyHiveEventsSensor(
        task_id="wait",
        start_time="2026-03-10",
        end_time="2026-03-11",
        honeyhive_conn_id={dag_id!r},
        **{arguments!r},
    )
"""


@pytest.fixture(scope="session")
def live() -> LiveAirflow:
    return running()


@pytest.fixture
def wait(live) -> Iterator[Callable[..., Sandbox]]:
    """Start a run of a DAG that waits for a sandbox's events."""
    with ExitStack() as stack:

        def wait(dag_id: str, **arguments: Any) -> Sandbox:
            sandbox = stack.enter_context(Sandbox([]))
            live.connect(dag_id, sandbox)
            live.add_dag(dag_id, DAG.format(dag_id=dag_id, arguments={"poke_interval": 3, **arguments}))
            live.trigger(dag_id)
            return sandbox

        yield wait


def add(sandbox, count, seed=1):
    sandbox.add(generate_events(count, seed=seed, start=DAY, end=DAY_END))


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL], ids=["restarted", "killed"])
def test_a_deferred_wait_goes_on_after_its_triggerer_was(live, wait, sig):
    dag_id = f"deferred_{sig.name.lower()}"
    sandbox = wait(dag_id, deferrable=True, min_events=10, settled_for=3)
    live.wait_for_task(dag_id, "wait", "deferred")
    live.until(lambda: len(sandbox.requests) > 3, "the trigger to look")
    live.restart_triggerer(sig)
    before = len(sandbox.requests)
    live.until(lambda: len(sandbox.requests) > before, "the next trigger to look")
    add(sandbox, 10)

    (run,) = live.wait_for(dag_id)

    assert live.xcom(dag_id, run, "wait")["event_count"] == 10
    # The trigger was started again, not the task.
    assert live.query("SELECT max(try_number) FROM task_instance WHERE dag_id = ?", dag_id) == [(1,)]


def test_a_deferred_wait_ends_at_its_deadline_and_is_skipped_with_soft_fail(live, wait):
    wait("deferred_deadline", deferrable=True, timeout=8, soft_fail=True)

    (run,) = live.wait_for("deferred_deadline")

    assert live.states("deferred_deadline", run) == {"wait": "skipped"}


def test_a_key_that_is_replaced_during_a_deferred_wait_is_used(live, wait):
    sandbox = wait("deferred_key", deferrable=True)
    live.wait_for_task("deferred_key", "wait", "deferred")
    live.until(lambda: len(sandbox.requests) > 3, "the trigger to look")
    sandbox.keys["hh_of_the_next_season"] = sandbox.project
    live.connect("deferred_key", sandbox, key="hh_of_the_next_season")
    # One error, after which the connection is looked at again; then only the new key will do.
    sandbox.faults.append(Fault.answer(503))
    live.until(lambda: not sandbox.faults, "the error")
    before = len(sandbox.requests)
    live.until(lambda: len(sandbox.requests) > before + 2, "the trigger to look again")
    sandbox.keys.pop(sandbox.key)
    add(sandbox, 1)

    live.wait_for("deferred_key")


def test_a_rescheduled_wait_that_settles(live, wait):
    sandbox = wait("rescheduled", mode="reschedule", min_events=10, settled_for=4)
    live.wait_for_task("rescheduled", "wait", "up_for_reschedule")
    add(sandbox, 10)
    live.until(lambda: any(request.event_count for request in sandbox.requests), "the sensor to see the events")
    add(sandbox, 1, seed=2)

    (run,) = live.wait_for("rescheduled")

    assert live.xcom("rescheduled", run, "wait")["event_count"] == 11
    if HAS_STATE_STORES:
        assert kept(live, "rescheduled") == []


@pytest.mark.skipif(not HAS_STATE_STORES, reason="before 3.3 Airflow keeps nothing of a task from poke to poke")
def test_a_rescheduled_wait_frees_its_worker_slot_while_events_settle(live, wait):
    sandbox = wait("rescheduled_state", mode="reschedule", settled_for=1000, timeout=20)
    add(sandbox, 10)

    live.until(lambda: kept(live, "rescheduled_state"), "the sensor to remember what it saw")
    live.wait_for_task("rescheduled_state", "wait", "up_for_reschedule")
    (first,) = kept(live, "rescheduled_state")
    before = len(sandbox.requests)
    live.until(lambda: len(sandbox.requests) > before + 3, "more pokes")

    assert kept(live, "rescheduled_state") == [first]
    assert first["event_count"] == 10
    live.wait_for("rescheduled_state", state="failed")


def kept(live, dag_id):
    """Return what the tasks of a DAG keep."""
    rows = live.query("SELECT value FROM task_state_store WHERE dag_id = ? AND key = 'honeyhive_still'", dag_id)
    return [json.loads(value) for (value,) in rows]
