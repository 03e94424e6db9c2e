"""Under a scheduler and a triggerer: a task comes back, or is tried again, when the server says."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_provider_honeyhive._compat import HAS_RETRY_POLICIES
from airflow_provider_honeyhive.sandbox import Fault, Sandbox
from tests.system.conftest import DAY, DAY_END
from tests.system.running import ids_in

from .live_airflow import LiveAirflow, running

if TYPE_CHECKING:
    from collections.abc import Iterator

DAG = """
from datetime import UTC, datetime, timedelta
from airflow.providers.common.compat.sdk import DAG
from airflow_provider_honeyhive.operators.honeyhive import HoneyHiveExportEventsOperator
from airflow_provider_honeyhive.tasks.retry_policy import HoneyHiveRetryPolicy

with DAG({dag_id!r}, schedule=None, start_date=datetime(2025, 1, 1, tzinfo=UTC)):
    HoneyHiveExportEventsOperator(
        task_id="export",
        start_time="2026-03-10",
        end_time="2026-03-11",
        output_path={folder!r} + "/{{{{ run_id }}}}/",
        page_size=100,
        concurrency=1,
        honeyhive_conn_id={dag_id!r},
        {arguments}
    )
"""
#: A little more than what is waited for on the spot.
LONG_S = 65
SHORT_S = 5


@pytest.fixture(scope="module")
def live() -> LiveAirflow:
    return running()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(count=3_000, start=DAY, end=DAY_END) as sandbox:
        yield sandbox


def exported(live, dag_id, run_id):
    manifest = Path(live.xcom(dag_id, run_id, "export")["manifest_path"])
    return json.loads(manifest.read_text()), ids_in(manifest.parent)


def test_a_task_leaves_its_worker_slot_for_a_long_wait_and_goes_on_from_what_is_staged(live, sandbox, tmp_path):
    live.connect("come_back", sandbox)
    sandbox.fault_at[12] = Fault.answer(429, retry_after=LONG_S)
    live.add_dag("come_back", DAG.format(dag_id="come_back", folder=str(tmp_path), arguments=""))

    live.trigger("come_back")
    live.wait_for_task("come_back", "export", "deferred")
    before = len(sandbox.requests)
    (run_id,) = live.wait_for("come_back", timeout=LONG_S + 120)

    assert before == 12
    _, ids = exported(live, "come_back", run_id)
    assert Counter(ids) == Counter(sandbox.event_ids(DAY, DAY_END))
    read, again = (sum(r.event_count for r in part) for part in (sandbox.requests[:12], sandbox.requests[12:]))
    assert again <= 3_000 - read + 700
    # The wait has cost no try.
    assert live.query("SELECT max(try_number) FROM task_instance WHERE dag_id = 'come_back'") == [(1,)]


@pytest.mark.skipif(not HAS_RETRY_POLICIES, reason="retry policies came with Airflow 3.3")
def test_with_the_policy_the_next_try_begins_when_the_server_says(live, sandbox, tmp_path):
    live.connect("policy", sandbox, max_retries=0)
    sandbox.fault_at[12] = Fault.answer(429, retry_after=SHORT_S)
    arguments = "retries=1, retry_delay=timedelta(hours=1), retry_policy=HoneyHiveRetryPolicy(),"
    live.add_dag("policy", DAG.format(dag_id="policy", folder=str(tmp_path), arguments=arguments))

    live.trigger("policy")
    live.wait_for_task("policy", "export", "up_for_retry")
    ((asked, reason),) = live.query(
        "SELECT retry_delay_override, retry_reason FROM task_instance WHERE dag_id = 'policy'"
    )
    (run_id,) = live.wait_for("policy")

    assert asked == SHORT_S
    assert reason == "HoneyHive asked to come back after 5 s"
    assert Counter(exported(live, "policy", run_id)[1]) == Counter(sandbox.event_ids(DAY, DAY_END))
    ((began,),) = live.query("SELECT start_date FROM task_instance WHERE dag_id = 'policy' AND try_number = 2")
    ((ended,),) = live.query("SELECT end_date FROM task_instance_history WHERE dag_id = 'policy' AND try_number = 1")
    waited = datetime.fromisoformat(began) - datetime.fromisoformat(ended)
    assert timedelta(seconds=SHORT_S) <= waited < timedelta(minutes=10)
