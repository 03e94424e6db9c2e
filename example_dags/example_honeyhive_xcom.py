"""Hand the last hour's failed model calls straight to the next task, without files.

Without ``output_path`` the events themselves are the task's result: good for the few that a filter leaves, and
refused above ``xcom_max_bytes``, since such results go through Airflow's database.

Needs the connection ``honeyhive_default`` with an API key and, in its extra ``project``, the project's name.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_honeyhive.models import EventFilter
from airflow_provider_honeyhive.operators.honeyhive import HoneyHiveExportEventsOperator

log = logging.getLogger(__name__)


@task
def alert(events: list[dict[str, Any]]) -> int:
    """Log each failed call; an alert would go out here."""
    for event in events:
        log.warning("%s failed in session %s", event["event_name"], event["session_id"])
    return len(events)


with DAG(
    "example_honeyhive_xcom",
    schedule="0 * * * *",
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    catchup=False,
    doc_md=__doc__,
    tags=["honeyhive", "example"],
):
    failed_calls = HoneyHiveExportEventsOperator(
        task_id="failed_calls",
        filters=[
            EventFilter(field="event_type", operator="is", value="model"),
            EventFilter(field="error", operator="exists"),
        ],
    )
    alert(failed_calls.output)
