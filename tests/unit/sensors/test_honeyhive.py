"""The sensor's arguments, what it keeps from poke to poke, and how it takes what its trigger says."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    TaskDeferred,
)

from airflow_provider_honeyhive.display import LONGEST_ERROR
from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.models.filters import EventFilter
from airflow_provider_honeyhive.models.window import format_time
from airflow_provider_honeyhive.operators.honeyhive import HoneyHiveExportEventsOperator
from airflow_provider_honeyhive.sandbox import Behaviour, Fault
from airflow_provider_honeyhive.sensors import honeyhive as sensors
from airflow_provider_honeyhive.sensors.honeyhive import HoneyHiveEventsSensor
from tests.unit.conftest import CONN_ID, KEY
from tests.unit.programs import modules_loaded_by
from tests.unit.test_display import HOSTILE

START = datetime(2026, 11, 22, tzinfo=UTC)
END = datetime(2026, 11, 23, tzinfo=UTC)
CONTEXT = {"data_interval_start": START, "data_interval_end": END}


class Clock:
    """Stands in for the sensor's clock; time passes when the sensor sleeps, or as told."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 24, tzinfo=UTC)
        self.slept: list[float] = []

    def now(self, zone: Any) -> datetime:
        return self.time.astimezone(zone)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += timedelta(seconds=seconds)


class TaskStore(dict):
    """What Airflow 3.3 gives a task to keep its state in."""

    def set(self, key: str, value: Any) -> None:
        self[key] = json.loads(json.dumps(value))

    def delete(self, key: str) -> None:
        self.pop(key, None)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(sensors, "datetime", clock)
    monkeypatch.setattr(sensors, "time", clock)
    return clock


@pytest.fixture
def sandbox(sandbox, connect):
    return connect(sandbox, max_retries=0)


def sensor(**arguments: Any) -> HoneyHiveEventsSensor:
    return HoneyHiveEventsSensor(task_id="wait", honeyhive_conn_id=CONN_ID, **arguments)


def late(name: str) -> dict[str, Any]:
    return {"event_id": name, "project": "demo", "start_time": int(START.timestamp() * 1000) + 5}


# -------------------------------------------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"min_events": -1}, "min_events: got -1"),
        ({"min_events": "many"}, "min_events: got 'many'"),
        ({"settled_for": -1}, "settled_for: got -1; allowed: a timedelta, or a number of seconds, from 0 on"),
        ({"settled_for": timedelta(seconds=-1)}, "settled_for"),
        ({"settled_for": "a while"}, "settled_for: got 'a while'"),
        ({"settled_for": float("nan")}, "settled_for: got nan"),
        ({"settled_for": float("inf")}, "settled_for: got inf"),
        ({"project": 5}, "project: got 5; allowed: a text"),
        ({"evaluation_id": ["x"]}, "evaluation_id: got ['x']"),
        ({"start_time": "yesterday"}, "start_time: got 'yesterday'"),
        ({"end_time": "tomorrow"}, "end_time: got 'tomorrow'"),
        ({"filters": [{"field": "error", "operator": "resembles"}]}, "filters[0]"),
    ],
)
def test_literal_arguments_are_checked_when_the_dag_is_parsed(arguments, said):
    with pytest.raises(InvalidArgumentError) as caught:
        sensor(**arguments)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        {"start_time": "{{ ds }}", "end_time": "{{ params.end }}"},
        {"filters": [{"field": "error", "operator": "{{ params.operator }}"}]},
        {"filters": "{{ params.filters | tojson }}"},
        {"project": "{{ params.project }}"},
        {"settled_for": None, "min_events": 0},
    ],
)
def test_templates_are_not(arguments):
    sensor(**arguments)


def test_what_is_templated_here_is_templated_in_the_operator():
    assert set(HoneyHiveEventsSensor.template_fields) <= set(HoneyHiveExportEventsOperator.template_fields)


def test_filters_that_are_objects_become_dicts_since_templates_are_rendered_in_those():
    made = sensor(filters=[EventFilter(field="error", operator="exists")])

    assert made.filters == [{"field": "error", "operator": "exists", "value": None, "type": "string"}]


def test_importing_it_imports_nothing_that_only_a_wait_needs():
    loaded = modules_loaded_by(
        "import airflow_provider_honeyhive.sensors.honeyhive, airflow_provider_honeyhive.triggers.honeyhive",
        after="from airflow.providers.common.compat.sdk import BaseHook, BaseSensorOperator, ObjectStoragePath\n"
        "import airflow.triggers.base",
    )
    ours = {f"airflow_provider_honeyhive.{name}" for name in ("api.client", "reading", "export")}
    assert not ({"requests", "tenacity", "msgspec", "pyarrow", "croniter", "asgiref.sync"} | ours) & loaded


# ------------------------------------------------------------------------------------------ from poke to poke


def test_in_poke_mode_the_sensor_itself_remembers(sandbox, clock):
    wait = sensor(settled_for=120)

    found = []
    for _ in range(3):
        found.append(bool(wait.poke(CONTEXT)))
        clock.sleep(60)

    assert found == [False, False, True]


def test_in_reschedule_mode_each_poke_is_another_sensor_and_the_task_state_store_remembers(sandbox, clock):
    store = TaskStore()

    def poke() -> bool:
        return bool(sensor(settled_for=120, mode="reschedule").poke({**CONTEXT, "task_state_store": store}))

    assert not poke()
    clock.sleep(100)
    sandbox.add([late("one more")])
    assert not poke()
    clock.sleep(100)
    assert not poke()
    clock.sleep(20)
    assert poke()
    assert clock.slept == [100, 100, 20]
    # It would outlive the task.
    assert store == {}


def test_in_poke_and_deferrable_mode_the_task_state_store_is_left_alone(sandbox, clock):
    store = TaskStore()

    sensor(settled_for=120).poke({**CONTEXT, "task_state_store": store})
    with pytest.raises(TaskDeferred):
        sensor(settled_for=120, deferrable=True, mode="reschedule").poke({**CONTEXT, "task_state_store": store})
    with pytest.raises(TaskDeferred):
        sensor(settled_for=120, deferrable=True, mode="reschedule").poke(CONTEXT)

    assert store == {}
    assert clock.slept == []


def test_without_a_task_state_store_a_rescheduled_sensor_stays_awake_while_events_settle(sandbox, clock):
    assert sensor(settled_for=150, mode="reschedule", poke_interval=60).poke(CONTEXT)
    assert clock.slept == [60, 60, 30]


def test_it_goes_back_to_sleep_when_one_more_event_comes(sandbox_with, connect, clock):
    def add(sandbox: Any, number: int) -> None:
        if number == 5:
            sandbox.add([late("one more")])

    connect(sandbox_with(start=START, end=END, behaviour=Behaviour(before_request=add)), max_retries=0)

    assert not sensor(settled_for=150, mode="reschedule", poke_interval=60).poke(CONTEXT)
    assert clock.slept == [60, 60]


def test_it_does_not_stay_awake_while_there_are_too_few_events(sandbox, clock):
    assert not sensor(min_events=301, settled_for=150, mode="reschedule").poke(CONTEXT)
    assert not sensor(min_events=301, mode="reschedule").poke(CONTEXT)
    assert clock.slept == []


def test_an_error_that_may_pass_is_no_answer(sandbox, clock):
    sandbox.faults.append(Fault.answer(503))

    assert not sensor().poke(CONTEXT)
    assert sensor().poke(CONTEXT)


# ------------------------------------------------------------------------------------------------- deferring


def test_the_trigger_gets_all_it_needs(sandbox, clock):
    wait = sensor(
        deferrable=True,
        min_events=301,
        settled_for=timedelta(minutes=10),
        filters=EventFilter(field="event_name", operator="is not", value="x"),
        evaluation_id=None,
        poke_interval=30,
        timeout=3600,
    )

    with pytest.raises(TaskDeferred) as deferred:
        wait.poke(CONTEXT)

    path, arguments = deferred.value.trigger.serialize()
    newest = datetime.fromtimestamp(max(event.time_us or 0 for event in sandbox.events()) / 1e6, UTC)
    assert path == "airflow_provider_honeyhive.triggers.honeyhive.HoneyHiveEventsTrigger"
    assert arguments == {
        "project": None,
        "filters": [{"field": "event_name", "operator": "is not", "value": "x", "type": "string"}],
        "start_time": "2026-11-22T00:00:00.000Z",
        "end_time": "2026-11-23T00:00:00.000Z",
        "evaluation_id": None,
        "min_events": 301,
        "settled_for": 600.0,
        "poke_interval": 30.0,
        "deadline": "2026-11-24T01:00:00.000Z",
        "honeyhive_conn_id": CONN_ID,
        "still": {
            "event_count": 300,
            "newest": format_time(newest),
            "since": "2026-11-24T00:00:00.000Z",
        },
    }
    assert deferred.value.timeout == timedelta(seconds=3600 + sensors.BACKSTOP_S)
    assert getattr(wait, deferred.value.method_name) == wait.resume


def test_a_sensor_that_could_not_look_is_deferred_all_the_same(sandbox, clock):
    sandbox.faults.append(Fault.answer(503))

    with pytest.raises(TaskDeferred) as deferred:
        sensor(deferrable=True).poke(CONTEXT)
    assert deferred.value.trigger.serialize()[1]["still"] is None


def test_a_success_is_the_result():
    assert sensor().resume(CONTEXT, {"status": "success", "result": {"event_count": 5}}) == {"event_count": 5}


@pytest.mark.parametrize(
    ("event", "kind", "said"),
    [
        ({"status": "timeout", "message": "3 events"}, AirflowSensorTimeout, "Waited for 60 s: 3 events"),
        ({"status": "failed", "message": "HoneyHiveAuthError: no"}, AirflowFailException, "HoneyHiveAuthError: no"),
        ({"status": "error", "message": "OSError: no"}, AirflowException, "OSError: no"),
        ({"status": "splendid"}, AirflowFailException, "not known here, of status 'splendid'"),
        ({"status": "failed", "result": {"event_count": 5}}, AirflowFailException, "None"),
        ({"status": "success"}, AirflowFailException, "not known here"),
        ({"status": "success", "result": "300"}, AirflowFailException, "not known here"),
        ({}, AirflowFailException, "not known here"),
        (None, AirflowFailException, "not known here"),
        ("success", AirflowFailException, "not known here"),
    ],
)
def test_anything_else_fails(event, kind, said):
    with pytest.raises(kind) as caught:
        sensor(timeout=60).resume(CONTEXT, event)
    assert type(caught.value) is kind
    assert said in str(caught.value)


@pytest.mark.parametrize("status", ["timeout", "failed", "error", HOSTILE])
def test_what_a_trigger_says_is_shown_on_one_line_without_a_secret(status):
    # Events of triggers lie in Airflow's database on their way.
    event = {"status": status, "message": f"{HOSTILE} http://u:S3cr3t@proxy {'x' * 100_000}"}
    with pytest.raises(AirflowException) as caught:
        sensor(timeout=60).resume(CONTEXT, event)
    assert str(caught.value).isprintable()
    assert "S3cr3t" not in str(caught.value)
    assert len(str(caught.value)) < 2 * LONGEST_ERROR


def test_a_look_that_fails_is_logged_as_it_may_be_shown(sandbox, clock, caplog):
    sandbox.faults += [Fault.answer(503, {"message": f"{HOSTILE} {KEY}"})] * 3
    assert not sensor().poke(CONTEXT).is_done
    said = [record.getMessage() for record in caplog.records if record.name.startswith("airflow_provider_honeyhive")]
    assert any(one.startswith("The next look will tell, after HoneyHiveServerError: HTTP 503") for one in said)
    assert all(map(str.isprintable, said))
    assert not any(KEY in one for one in said)


def test_on_kill_ends_a_poke(sandbox):
    wait = sensor()
    wait.on_kill()
    sandbox.on_request = lambda _: wait.on_kill()

    # The second request of the look is not sent any more.
    assert not wait.poke(CONTEXT)
    assert len(sandbox.requests) == 1
