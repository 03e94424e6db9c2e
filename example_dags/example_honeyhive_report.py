"""Export each day to Parquet, build tables of it, and report on them: cost, tokens, latency, errors, scores, sessions.

The report is one HTML page that needs no network; the log of its task and its XCom say where it is.

Needs the connection ``honeyhive_default`` with an API key and, in its extra ``project``, the project's name; and the
extra ``report`` of this package, ``pip install 'airflow-provider-honeyhive[report]'``. With ``app_url`` in the
connection's extra, the page links to HoneyHive. ``HONEYHIVE_EXAMPLE_OUTPUT`` says where everything goes: any URL that
``ObjectStoragePath`` takes, such as ``s3://bucket/honeyhive``.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_honeyhive.operators.honeyhive import HoneyHiveExportEventsOperator
from airflow_provider_honeyhive.operators.report import HoneyHiveReportOperator
from airflow_provider_honeyhive.operators.tables import HoneyHiveBuildTablesOperator

OUTPUT = os.environ.get("HONEYHIVE_EXAMPLE_OUTPUT", "file:///tmp/honeyhive")

with DAG(
    "example_honeyhive_report",
    schedule="@daily",
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    catchup=False,
    doc_md=__doc__,
    default_args={"retries": 3},
    tags=["honeyhive", "example"],
):
    day = "{start:%Y-%m-%d}/"
    export = HoneyHiveExportEventsOperator(
        task_id="export", output_path=f"{OUTPUT}/parquet/{day}", file_format="parquet"
    )
    tables = HoneyHiveBuildTablesOperator(task_id="tables", export=export.output, output_path=f"{OUTPUT}/tables/{day}")
    HoneyHiveReportOperator(task_id="report", tables=tables.output, output_path=f"{OUTPUT}/report/{day}")
