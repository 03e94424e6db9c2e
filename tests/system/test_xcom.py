"""Without ``output_path`` the events themselves are the task's result."""

from __future__ import annotations

import json

import msgspec
from airflow.providers.common.compat.sdk import task

from airflow_provider_honeyhive.models.filters import EventFilter
from airflow_provider_honeyhive.operators.honeyhive import HoneyHiveExportEventsOperator

from .conftest import DAY
from .running import run_export, run_task

NOON_MS = int(DAY.replace(hour=12).timestamp() * 1000)


def test_the_events_reach_the_next_task_as_they_are_newest_first(sandbox):
    received = []

    @task
    def use(events):
        received.extend(events)

    run = run_task(lambda: use(HoneyHiveExportEventsOperator(task_id="export", xcom_max_bytes=5_000_000).output))

    assert received == run.result()
    times = [event["start_time"] for event in received]
    assert times == sorted(times, reverse=True)
    by_id = {event["event_id"]: event for event in received}
    assert len(by_id) == len(received) == 300
    assert by_id == {event.event_id: event.decoded() for event in sandbox.events() if event.event_id in by_id}


def test_no_events_are_an_empty_list(sandbox):
    run = run_export(filters=[EventFilter(field="event_type", operator="is", value="nothing")])

    assert run.result() == []


def test_too_many_bytes_fail_at_once_with_both_numbers_and_the_way_out(sandbox):
    run = run_export(xcom_max_bytes=12_345, retries=2)

    message = run.refusal()
    size = sum(len(event.raw) for event in sandbox.events() if event.time_us and event.time_us >= DAY.timestamp() * 1e6)
    for part in (f"{size:,}", "12,345", "xcom_max_bytes", "output_path"):
        assert part in message


def test_a_path_that_matches_nothing_fails_at_once_where_it_shall(sandbox):
    asked = {"exclude_fields": ["inputs", "inputz"], "retries": 2}

    assert len(run_export(**asked).result()) == 300
    assert "inputz" in run_export(**asked, on_unmatched="fail").refusal()


def test_what_xcom_cannot_carry_arrives_as_the_nearest_thing_it_can(serve):
    serve(
        [
            b'{"event_id":"odd","project":"demo","start_time":%d,'
            b'"half":"cut \\ud83d","nul":"a\\u0000b","whole":"\\ud83d\\ude00",'
            b'"big":123456789012345678901234567890,"fits":-9223372036854775808,"nan":NaN,"inf":-Infinity,'
            b'"nested":[{"\\udc00":"\\udc00"},1.5,true,null]}' % NOON_MS
        ]
    )

    run = run_export()

    assert run.result() == [
        {
            "event_id": "odd",
            "project": "demo",
            "start_time": NOON_MS,
            "half": "cut \ufffd",
            "nul": "a\ufffdb",
            "whole": "\U0001f600",
            "big": "123456789012345678901234567890",
            "fits": -(2**63),
            "nan": None,
            "inf": None,
            "nested": [{"\ufffd": "\ufffd"}, 1.5, True, None],
        }
    ]
    # As workers of Airflow 3 send it, which dag.test() skips.
    msgspec.msgpack.encode(run.xcoms["export"])
    json.dumps(run.xcoms["export"], allow_nan=False)


def test_keys_that_airflow_reserves_reach_the_next_task_with_one_underscore_more(serve):
    reserved = {
        "__id__": "a",
        "___id__": "b",
        "__classname__": "builtins.set",
        "__version__": 1,
        "__data__": [1],
        "nested": [{"__type": "set", "__var": [1]}, {"__type": "dict", "__var": {"__type": "dict"}}],
    }
    serve([{"event_id": "odd", "project": "demo", "start_time": NOON_MS, "inputs": reserved}])
    received = []

    @task
    def use(events):
        received.extend(events)

    run = run_task(lambda: use(HoneyHiveExportEventsOperator(task_id="export").output))

    assert received == run.result()
    assert received[0]["inputs"] == {
        "___id__": "a",
        "____id__": "b",
        "___classname__": "builtins.set",
        "__version__": 1,
        "__data__": [1],
        "nested": [{"__type": "set", "___var": [1]}, {"__type": "dict", "___var": {"__type": "dict"}}],
    }
