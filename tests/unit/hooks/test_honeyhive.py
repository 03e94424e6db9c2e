"""What the hook says in Airflow's form for connections."""

from __future__ import annotations

import pytest

from airflow_provider_honeyhive.hooks.honeyhive import HoneyHiveHook
from airflow_provider_honeyhive.sandbox import Fault
from tests.unit.conftest import CONN_ID, KEY
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
    assert said.isprintable()
    assert KEY not in said
