"""Export each day's events once they have stopped coming in.

Traces arrive late: agents run for minutes, clients send in batches, queues stall. So before the day is exported a
sensor waits until its number of events and its newest event have stayed the same for half an hour. It waits in the
triggerer, without a worker slot. A day that never settles fails after six hours; with ``soft_fail=True`` it would
be skipped.

Needs a triggerer (``airflow triggerer``), and the connection ``honeyhive_default`` with an API key and, in its extra
``project``, the project's name.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_honeyhive.operators.honeyhive import HoneyHiveExportEventsOperator
from airflow_provider_honeyhive.sensors.honeyhive import HoneyHiveEventsSensor

OUTPUT = os.environ.get("HONEYHIVE_EXAMPLE_OUTPUT", "file:///tmp/honeyhive")
SETTLED_FOR = timedelta(seconds=float(os.environ.get("HONEYHIVE_EXAMPLE_SETTLED_FOR", "1800")))

with DAG(
    "example_honeyhive_wait",
    schedule="@daily",
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    catchup=False,
    doc_md=__doc__,
    tags=["honeyhive", "example"],
):
    settled = HoneyHiveEventsSensor(
        task_id="settled",
        min_events=1,
        settled_for=SETTLED_FOR,
        poke_interval=SETTLED_FOR / 6,
        timeout=timedelta(hours=6),
        deferrable=True,
        retries=3,
    )
    export = HoneyHiveExportEventsOperator(
        task_id="export",
        output_path=OUTPUT + "/settled/{start:%Y-%m-%d}/",
        retries=3,
    )
    settled >> export
