"""The sensor waits in every mode, says what it found, and ends when it should."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_honeyhive.models.window import format_time, from_micros
from airflow_provider_honeyhive.sandbox import Behaviour, Fault
from airflow_provider_honeyhive.sandbox.data.traces import generate_events
from airflow_provider_honeyhive.sensors.honeyhive import HoneyHiveEventsSensor

from .conftest import DAY, DAY_END, KEY
from .running import run_task

NOON = DAY.replace(hour=12)
MODES = {
    "poke": {"mode": "poke"},
    "reschedule": {"mode": "reschedule"},
    "deferrable": {"deferrable": True},
}
QUICK = {"poke_interval": 0.2, "timeout": 30}


@pytest.fixture(params=MODES)
def mode(request):
    return MODES[request.param]


def wait(**arguments):
    return run_task(lambda: HoneyHiveEventsSensor(task_id="wait", **{**QUICK, **arguments}))


def events(count, seed=1, start=DAY, end=DAY_END):
    return generate_events(count, seed=seed, start=start, end=end)


def newest_of(sandbox, start=DAY, end=DAY_END):
    ids = sandbox.event_ids(start, end)
    newest = max(event.time_us for event in sandbox.events() if event.event_id in ids)
    return format_time(from_micros(newest))


def appear(at, *batches):
    """Return a behaviour with events that appear before the request ``at``, and more before each further one."""

    def add(sandbox, number):
        if 0 <= number - at < len(batches):
            sandbox.add(batches[number - at])

    return Behaviour(before_request=add, endpoints=frozenset({"search"}))


@pytest.mark.parametrize("deferrable", [True, False])
def test_a_deferred_wait_is_taken_up_again_by_the_sensor(serve, monkeypatch, deferrable):
    resumed = []
    resume = HoneyHiveEventsSensor.resume
    monkeypatch.setattr(
        HoneyHiveEventsSensor,
        "resume",
        lambda self, context, event: resumed.append(event) or resume(self, context, event),
    )
    serve([], behaviour=appear(5, events(5)))

    run = wait(min_events=5, deferrable=deferrable)

    result = run.result("wait")
    assert resumed == ([{"status": "success", "result": result}] if deferrable else [])


def test_a_data_plane_key_and_an_id_are_all_it_takes(serve, connect, mode):
    sandbox = serve()
    connect(sandbox, key=sandbox.data_plane_key, project=sandbox.project_id)

    assert wait(min_events=300, **mode).result("wait")["event_count"] == 300


def test_a_window_that_has_enough_events_ends_the_wait_at_once(sandbox, mode):
    run = wait(min_events=300, **mode)

    assert run.result("wait") == {
        "event_count": 300,
        "newest": newest_of(sandbox),
        "start_time": "2026-03-10T00:00:00.000Z",
        "end_time": "2026-03-11T00:00:00.000Z",
        "project": "demo",
    }
    assert len(sandbox.requests) == 2
    assert [request.event_count for request in sandbox.requests] == [1, 0]


def test_the_wait_goes_on_until_enough_events_have_come(serve, mode):
    sandbox = serve([], behaviour=appear(8, events(5), *[[] for _ in range(8)], events(5, seed=2)))

    run = wait(min_events=10, **mode)

    assert run.result("wait")["event_count"] == 10
    assert run.xcoms["wait"]["newest"] == newest_of(sandbox)


def test_settled_means_that_nothing_changes_for_a_while(serve, mode):
    late = [events(1, seed=seed) for seed in range(2, 8)]
    sandbox = serve([], behaviour=appear(4, events(20), *[batch for one in late for batch in (one, [])]))

    run = wait(min_events=5, settled_for=1.0, **mode)

    assert run.result("wait")["event_count"] == 26
    assert run.xcoms["wait"]["newest"] == newest_of(sandbox)


def test_an_empty_window_can_settle_too(serve, mode):
    serve([])

    run = wait(min_events=0, settled_for=timedelta(seconds=0.5), **mode)

    assert run.result("wait")["event_count"] == 0
    assert run.xcoms["wait"]["newest"] is None


def test_only_events_that_match_are_counted(sandbox, mode):
    ids = sandbox.event_ids(NOON, DAY_END)
    models = [e for e in sandbox.events() if e.event_id in ids and e.decoded()["event_type"] == "model"]

    run = wait(
        filters=[{"field": "event_type", "operator": "is", "value": "{{ dag.dag_id and 'model' }}"}],
        start_time="{{ '2026-03-10T12:00:00' }}",
        end_time=DAY_END,
        min_events=len(models),
        **mode,
    )

    assert run.result("wait")["event_count"] == len(models) > 10


def test_a_wait_that_takes_too_long_fails_and_is_not_tried_again(serve, mode):
    serve([])

    run = wait(timeout=1, retries=2, **mode)

    assert run.state == "failed"
    assert run.retried == []
    assert type(run.errors["wait"]).__name__ == "AirflowSensorTimeout"


def test_with_soft_fail_a_wait_that_takes_too_long_is_skipped(serve, mode):
    serve([])

    run = wait(timeout=1, soft_fail=True, **mode)

    assert run.states == {"wait": "skipped"}


#: What a refused key is called on each generation of servers.
REFUSED = pytest.mark.parametrize(
    ("generation", "error"), [("today", "HoneyHiveRefusedError"), ("older", "HoneyHiveAuthError")]
)


@REFUSED
def test_what_no_retry_mends_fails_at_once(serve, connect, mode, generation, error):
    sandbox = serve(behaviour=Behaviour(generation=generation))
    connect(sandbox, key="hh_wrong")

    run = wait(retries=2, **mode)

    said = run.refusal("wait")
    assert error in said
    assert "the API key of connection 'honeyhive_default'" in said
    assert "hh_wrong" not in said
    assert len(sandbox.requests) == 1


def test_with_soft_fail_what_no_retry_mends_is_skipped_as_airflow_has_it(serve, connect, mode):
    sandbox = serve()
    connect(sandbox, key="hh_wrong")

    assert wait(soft_fail=True, **mode).states == {"wait": "skipped"}


@REFUSED
def test_a_key_that_is_revoked_during_the_wait_ends_it(serve, mode, generation, error):
    def revoke(sandbox, number):
        if number == 6:
            sandbox.keys.clear()

    behaviour = Behaviour(generation=generation, before_request=revoke, endpoints=frozenset({"search"}))
    serve([], behaviour=behaviour)

    run = wait(retries=2, **mode)

    said = run.refusal("wait")
    assert error in said
    assert KEY not in said


def test_errors_that_may_pass_do_not_end_the_wait(serve, connect, mode):
    sandbox = serve()
    connect(sandbox, max_retries=0)
    sandbox.faults.extend([Fault.answer(503), Fault.reset(), Fault.html(200), Fault.answer(429)])

    run = wait(**mode)

    assert run.state == "success"
    assert run.retried == []
    assert run.xcoms["wait"]["event_count"] == 300


def test_an_argument_that_cannot_be_right_fails_at_once(sandbox, mode):
    run = wait(start_time="{{ 'yesterday' }}", end_time=DAY_END, retries=2, **mode)

    assert "start_time: got 'yesterday'" in run.refusal("wait")
    assert sandbox.requests == []
