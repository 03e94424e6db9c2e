"""The hook inside tasks of users' own."""

from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import task

from airflow_provider_honeyhive.exceptions import WrongProjectError
from airflow_provider_honeyhive.hooks.honeyhive import HoneyHiveHook
from airflow_provider_honeyhive.models.filters import EventFilter

from .conftest import DAY, DAY_END
from .running import run_task


def test_a_task_reads_the_events_of_its_window(sandbox):
    @task
    def read():
        hook = HoneyHiveHook()
        events = hook.iter_events(start_time=DAY, end_time=DAY_END)
        return sorted(event["event_id"] for event in events)

    run = run_task(read)

    assert run.result("read") == sorted(sandbox.event_ids(DAY, DAY_END))


def test_a_task_counts_events_without_reading_them(serve):
    sandbox = serve(count=3000)

    @task
    def count():
        return HoneyHiveHook().count_events(start_time=DAY, end_time=DAY_END)

    run = run_task(count)

    assert run.xcoms["count"] == 3000
    assert sum(request.event_count for request in sandbox.requests) < 10


def test_a_task_sends_one_export_call(sandbox):
    @task
    def call():
        page = HoneyHiveHook().export_events(
            filters=[EventFilter(field="event_type", operator="is", value="model")],
            start_time=DAY,
            end_time=DAY_END,
            page=2,
            limit=10,
        )
        return {"types": [event["event_type"] for event in page.events], "total": page.total}

    run = run_task(call)

    assert run.xcoms["call"]["types"] == ["model"] * 10
    assert run.xcoms["call"]["total"] > 20
    assert [request.body["page"] for request in sandbox.requests] == [2]


@pytest.mark.parametrize("endpoint", ["export", "search"])
def test_one_call_gives_no_events_of_another_project(serve, connect, endpoint):
    connect(serve(), endpoint=endpoint)

    @task
    def call():
        return len(HoneyHiveHook().export_events("checkout"))

    run = run_task(call)

    assert isinstance(run.errors["call"], WrongProjectError)
    assert "Asked for project 'checkout', but the server sent events of project 'demo'" in str(run.errors["call"])
