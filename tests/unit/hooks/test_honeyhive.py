"""What the hook says in Airflow's form for connections."""

from __future__ import annotations

import json

import pytest
from airflow.providers.common.compat.sdk import AirflowNotFoundException

from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.hooks.honeyhive import HoneyHiveHook
from airflow_provider_honeyhive.sandbox import Behaviour, Fault
from tests.unit.conftest import CONN_ID, KEY
from tests.unit.said import SHAPES, Speaker, heard
from tests.unit.test_display import HOSTILE

#: Without what no header and no JSON of the sandbox can hold.
NAME = HOSTILE.replace("\ud800", "")


@pytest.mark.parametrize(
    ("status", "body", "works"),
    [
        (200, {"events": [{"event_id": "1", "project": f"{NAME} {KEY}"}], "totalEvents": 1}, True),
        (401, {"message": f"{NAME} {KEY}"}, False),
    ],
)
def test_what_the_form_shows_of_a_server_is_one_line_without_the_key(sandbox_with, connect, status, body, works):
    sandbox = connect(sandbox_with(), project=None)
    sandbox.faults += [Fault.answer(status, body)] * 4
    did_work, said = HoneyHiveHook(CONN_ID).test_connection()
    assert did_work == works
    assert "OK: fine" in said
    assert all(map(str.isprintable, said.split("\n")))
    assert KEY not in said


@pytest.mark.parametrize("endpoint", ["project-export", "project-search"])
def test_a_data_plane_key_and_an_id_are_all_it_takes(sandbox_with, connect, endpoint):
    sandbox = sandbox_with(behaviour=Behaviour(endpoints=frozenset([endpoint])))
    connect(sandbox, key=sandbox.data_plane_key, project=sandbox.project_id)
    hook = HoneyHiveHook(CONN_ID)
    day = {"start_time": sandbox.start_time, "end_time": sandbox.end_time}
    assert len(hook.export_events(limit=10).events) == 10
    assert {event["event_id"] for event in hook.iter_events(**day)} == sandbox.event_ids(*day.values())
    assert hook.count_events(**day) == 300


@pytest.mark.parametrize("extra", [{}, {"redact_secret": "a long enough secret"}])
def test_without_content_the_hook_gives_nothing_that_was_said(sandbox_with, connect, extra):
    sandbox = connect(sandbox_with([], count=0), **extra)
    speaker = Speaker(everywhere=True)
    sandbox.add(speaker.event(SHAPES[number % len(SHAPES)], number, 1_795_305_600_000_000) for number in range(1, 7))
    hook = HoneyHiveHook(CONN_ID)
    page = hook.export_events(include_content=False)
    for events in (page.events, list(hook.iter_events(include_content=False))):
        assert len(events) == 6
        assert not heard(json.dumps(events).encode())
        assert ("session_id" in events[0]) is bool(extra)
    assert not heard(repr((page.ids, page.projects)).encode())
    assert heard(json.dumps(list(hook.iter_events())).encode()) == speaker.said
    with pytest.raises(InvalidArgumentError, match="include_content"):
        hook.export_events(include_content="no")


def test_a_connection_that_airflow_does_not_know_is_told_with_what_to_do(monkeypatch):
    monkeypatch.setattr(HoneyHiveHook, "get_connection", unknown)

    with pytest.raises(AirflowNotFoundException) as caught:
        _ = HoneyHiveHook("honeyhive_tpyo").settings

    assert str(caught.value).startswith("correct honeyhive_conn_id, or create the connection")
    assert "'honeyhive_tpyo'" in str(caught.value)[:100]
    assert caught.value.__suppress_context__


def unknown(_hook, conn_id):
    raise AirflowNotFoundException(f"The conn_id `{conn_id}` isn't defined")
