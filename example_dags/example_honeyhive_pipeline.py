"""From yesterday's events to a training file: export, tables, report, and, once somebody has approved, chat messages.

``export`` writes the day's events, ``tables`` builds sessions, model calls and scores of them, ``report`` a page about
these. Then ``approve`` waits for a person, who looks at the page and decides in Airflow's web interface, under
*Required Actions*, whether the day's conversations may become training data. Only then ``training_file`` writes them.
A day that is rejected has no training file; everything else of it stays.

Airflow has approvals since 3.1, with its standard provider. Where it has none, nobody is asked: this file leaves
``approve`` out there, and ``training_file`` follows ``report`` at once.

Needs the connection ``honeyhive_default`` with an API key and, in its extra ``project``, the project's name; and the
extra ``report`` of this package, ``pip install 'airflow-provider-honeyhive[report]'``. ``HONEYHIVE_EXAMPLE_OUTPUT``
says where everything goes: any URL that ``ObjectStoragePath`` takes, such as ``s3://bucket/honeyhive``.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_honeyhive.operators.dataset import HoneyHiveBuildDatasetOperator
from airflow_provider_honeyhive.operators.honeyhive import HoneyHiveExportEventsOperator
from airflow_provider_honeyhive.operators.report import HoneyHiveReportOperator
from airflow_provider_honeyhive.operators.tables import HoneyHiveBuildTablesOperator

try:
    from airflow.providers.standard.operators.hitl import ApprovalOperator
except Exception:  # noqa: BLE001 - the provider is not there, or says in its own way that this Airflow is too old
    ApprovalOperator = None

OUTPUT = os.environ.get("HONEYHIVE_EXAMPLE_OUTPUT", "file:///tmp/honeyhive") + "/pipeline"

with DAG(
    "example_honeyhive_pipeline",
    schedule="@daily",
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    catchup=False,
    doc_md=__doc__,
    default_args={"retries": 3},
    tags=["honeyhive", "example"],
):
    day = "{start:%Y-%m-%d}/"
    export = HoneyHiveExportEventsOperator(
        task_id="export", output_path=f"{OUTPUT}/events/{day}", file_format="parquet"
    )
    tables = HoneyHiveBuildTablesOperator(task_id="tables", export=export.output, output_path=f"{OUTPUT}/tables/{day}")
    report = HoneyHiveReportOperator(task_id="report", tables=tables.output, output_path=f"{OUTPUT}/report/{day}")
    training_file = HoneyHiveBuildDatasetOperator(
        task_id="training_file",
        export=export.output,
        where="NOT failed",
        output_path=f"{OUTPUT}/training/{day}",
    )
    if ApprovalOperator is None:
        report >> training_file
    else:
        approve = ApprovalOperator(
            task_id="approve",
            subject="May yesterday's conversations become training data?",
            body="The report on them: {{ ti.xcom_pull(task_ids='report')['page'] }}",
        )
        report >> approve >> training_file
