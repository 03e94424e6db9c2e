"""How Airflow tries again: after a wait that the server asks for, and by the retry policy where there is one."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import task

from airflow_provider_honeyhive._compat import HAS_RETRY_POLICIES, AirflowOptionalProviderFeatureException, TriggerEvent
from airflow_provider_honeyhive.exceptions import HoneyHiveRateLimitError, InvalidArgumentError
from airflow_provider_honeyhive.hooks.honeyhive import HoneyHiveHook
from airflow_provider_honeyhive.sandbox import Fault
from airflow_provider_honeyhive.sensors.honeyhive import HoneyHiveEventsSensor
from airflow_provider_honeyhive.tasks.retry_policy import HoneyHiveRetryPolicy
from airflow_provider_honeyhive.triggers.moment import HoneyHiveMomentTrigger

from .conftest import DAY, DAY_END
from .running import ids_in, run_export, run_task

PAGE = 100
#: No file gets full before the fault comes.
LARGE_PARTS = {"page_size": PAGE, "max_file_size": 1_000_000, "concurrency": 1}
COME_BACK = Fault.answer(429, retry_after=1_800)
POLICIES = pytest.mark.skipif(not HAS_RETRY_POLICIES, reason="retry policies came with Airflow 3.3")


@pytest.fixture
def waits(monkeypatch) -> list[str]:
    """Note the moments that tasks are deferred until, and let them come at once."""
    moments: list[str] = []

    async def run(trigger):
        moments.append(trigger.moment)
        yield TriggerEvent(trigger.event)

    monkeypatch.setattr(HoneyHiveMomentTrigger, "run", run)
    return moments


# ------------------------------------------------------------------------------------------- a long Retry-After


@pytest.mark.parametrize("at", [1, 2, 12])
def test_a_long_wait_is_deferred_and_the_task_goes_on_from_what_is_staged(serve, output, waits, at):
    sandbox = serve(count=3_000)
    sandbox.fault_at[at] = COME_BACK

    run = run_export(output, **LARGE_PARTS)

    assert run.state == "success"
    assert run.retried == []
    assert len(waits) == 1
    assert Counter(ids_in(output)) == Counter(sandbox.event_ids(DAY, DAY_END))
    assert [path.name for path in output.glob("_*")] == ["_manifest.json"]
    before = sum(request.event_count for request in sandbox.requests if request.number < at)
    after = sum(request.event_count for request in sandbox.requests if request.number > at)
    # Again come the block and the page where it broke off, and with each page an event that the last one had.
    assert after <= 3_000 - before + 3 * PAGE


def test_all_readers_stop_for_a_long_wait_and_go_on_from_what_each_has_staged(serve, output, waits):
    sandbox = serve(count=30_000)
    for at in range(30, 34):
        sandbox.fault_at[at] = COME_BACK

    run = run_export(output, **{**LARGE_PARTS, "concurrency": 4})

    assert run.state == "success"
    # Who was not refused while the first refusal stopped all is refused later.
    assert 1 <= len(waits) <= 4
    assert Counter(ids_in(output)) == Counter(sandbox.event_ids(DAY, DAY_END))
    read = sum(request.event_count for request in sandbox.requests)
    assert read <= 30_000 + len(waits) * 4 * 3 * PAGE + 2 * len(sandbox.requests)


def test_without_a_path_the_task_comes_back_and_reads_the_window_again(sandbox, waits):
    sandbox.fault_at[2] = COME_BACK

    run = run_export(page_size=PAGE)

    assert run.state == "success"
    assert len(waits) == 1
    assert {event["event_id"] for event in run.xcoms["export"]} == sandbox.event_ids(DAY, DAY_END)


def test_a_server_that_keeps_asking_for_long_waits_ends_each_try_in_an_error(sandbox, connect, output, waits):
    connect(sandbox, max_retries=2)
    sandbox.faults.extend([COME_BACK] * 99)

    run = run_export(output, retries=1, retry_delay=timedelta(0))

    assert run.state == "failed"
    assert isinstance(run.errors["export"], HoneyHiveRateLimitError)
    assert "gave up after 3 attempts" in str(run.errors["export"])
    assert len(run.retried) == 1
    assert len(waits) == 2 * 2
    assert len(sandbox.requests) == 2 * 3


def test_without_retries_of_the_connection_no_wait_is_deferred(sandbox, connect, output, waits):
    connect(sandbox, max_retries=0)
    sandbox.faults.append(COME_BACK)

    run = run_export(output, retries=1, retry_delay=timedelta(0))

    assert run.state == "success"
    assert [error.retry_after for error in run.retried] == [1_800]
    assert waits == []


@pytest.mark.parametrize("mode", [{"deferrable": True}, {"mode": "reschedule"}], ids=["deferrable", "reschedule"])
def test_a_sensor_that_gives_up_its_slot_between_looks_does_not_keep_it_for_a_long_wait(sandbox, mode):
    # A second one would be waited for by the trigger, which obeys it.
    sandbox.faults.append(COME_BACK)

    run = run_task(
        lambda: HoneyHiveEventsSensor(
            task_id="wait",
            start_time=DAY,
            end_time=DAY_END,
            poke_interval=0.1,
            execution_timeout=timedelta(seconds=30),
            **mode,
        )
    )

    assert run.result("wait")["event_count"] == 300


# -------------------------------------------------------------------------------------------- the retry policy


def count_with(policy: Any, **hook: Any):
    """Make a task that counts events with the hook, and gives its retries to the policy."""

    @task(retries=2, retry_delay=timedelta(seconds=1), retry_policy=policy)
    def count() -> int:
        return HoneyHiveHook().count_events(start_time=DAY, end_time=DAY_END, **hook)

    return count()


@POLICIES
def test_with_the_policy_any_task_fails_at_once_on_what_no_retry_mends(sandbox):
    run = run_task(lambda: count_with(HoneyHiveRetryPolicy(), filters=[{"field": "cost", "operator": "resembles"}]))

    assert run.state == "failed"
    assert isinstance(run.errors["count"], InvalidArgumentError)
    assert run.retried == []


@POLICIES
def test_with_the_policy_a_task_is_tried_again_after_what_may_pass(sandbox, connect):
    connect(sandbox, max_retries=0)
    sandbox.faults.extend([Fault.answer(429, retry_after=1), Fault.answer(503)])

    run = run_task(lambda: count_with(HoneyHiveRetryPolicy()))

    assert run.result("count") == 300
    assert [error.status_code for error in run.retried] == [429, 503]


@pytest.mark.skipif(HAS_RETRY_POLICIES, reason="this Airflow has retry policies")
def test_without_retry_policies_the_error_names_what_to_do_instead():
    with pytest.raises(AirflowOptionalProviderFeatureException, match="came with Airflow 3.3; leave out retry_policy"):
        HoneyHiveRetryPolicy()
