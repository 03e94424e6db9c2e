"""DAGs that are scheduled by the assets of an export get its facts, under a scheduler."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_honeyhive._compat import HAS_STATE_STORES
from airflow_provider_honeyhive.models.window import format_time

from .live_airflow import LiveAirflow, running

if TYPE_CHECKING:
    from airflow_provider_honeyhive.sandbox import Sandbox

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
EXPORT = """
from datetime import UTC, datetime
from airflow.providers.common.compat.sdk import DAG, Asset
from airflow_provider_honeyhive.operators.honeyhive import HoneyHiveExportEventsOperator
{imports}

with DAG({dag_id!r}, schedule={schedule}, start_date=datetime(2026, 1, 1, tzinfo=UTC), catchup=False):
    HoneyHiveExportEventsOperator(
        task_id="export",
        honeyhive_conn_id="assets",
        output_path="{folder}/{dag_id}/{{{{ run_id }}}}/",
        outlets=[Asset({dag_id!r})],
    )
"""
USE = """
from datetime import UTC, datetime
from airflow.providers.common.compat.sdk import DAG, Asset, task

with DAG("asset_used", schedule=[Asset("asset_told")], start_date=datetime(2026, 1, 1, tzinfo=UTC), catchup=False):

    @task
    def use(**context):
        events = context.get("triggering_asset_events") or context.get("triggering_dataset_events")
        return [event.extra for name in events for event in events[name]]

    use()
"""


@pytest.fixture(scope="module")
def live() -> LiveAirflow:
    return running()


@pytest.fixture
def sandbox(serve, live) -> Sandbox:
    """Serve the events of the last two days."""
    sandbox = serve(count=500, start=TODAY - timedelta(days=2), end=TODAY)
    live.connect("assets", sandbox)
    return sandbox


def check(extra: dict[str, Any], result: dict[str, Any]) -> None:
    assert {name: extra[name] for name in result if name != "files"} == {
        name: value for name, value in result.items() if name != "files"
    }
    assert extra["file_count"] == len(result["files"]) == 1


def test_a_dag_that_an_export_has_triggered_gets_its_facts(live, sandbox, tmp_path):
    live.add_dag("asset_used", USE)
    live.add_dag("asset_told", EXPORT.format(dag_id="asset_told", schedule='"@daily"', folder=tmp_path, imports=""))

    (run_id,) = live.wait_for("asset_told")
    (used,) = live.wait_for("asset_used")

    (extra,) = live.xcom("asset_used", used, "use")
    check(extra, live.xcom("asset_told", run_id, "export"))
    assert extra["event_count"] == len(sandbox.event_ids(TODAY - timedelta(days=1), TODAY))


@pytest.mark.skipif(not HAS_STATE_STORES, reason="the context knows partitions since Airflow 3.3")
def test_the_event_of_a_partition_has_its_key(live, sandbox, tmp_path):
    live.add_dag(
        "asset_parted",
        EXPORT.format(
            dag_id="asset_parted",
            schedule='CronPartitionTimetable("@daily", timezone="UTC", run_offset=-1)',
            folder=tmp_path,
            imports="from airflow.sdk import CronPartitionTimetable",
        ),
    )

    (run_id,) = live.wait_for("asset_parted")

    ((key, extra),) = live.query(
        "SELECT e.partition_key, e.extra FROM asset_event e JOIN asset a ON a.id = e.asset_id WHERE a.name = ?",
        "asset_parted",
    )
    yesterday = TODAY - timedelta(days=1)
    assert key == yesterday.strftime("%Y-%m-%dT%H:%M:%S")
    assert json.loads(extra)["start_time"] == format_time(yesterday)
    check(json.loads(extra), live.xcom("asset_parted", run_id, "export"))
