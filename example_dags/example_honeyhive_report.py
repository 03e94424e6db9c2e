"""Export each day to Parquet, and report on it: cost, tokens, latency, errors, evaluator scores, sessions.

``export`` writes the day's events to Parquet files; ``report`` reads these with DuckDB and writes tables, as Parquet
again, and one HTML page with charts that needs no network. The task's XCom and its log say where the page is.

Needs the connection ``honeyhive_default`` with an API key and, in its extra ``project``, the project's name; the
extra ``report`` of this package, ``pip install 'airflow-provider-honeyhive[report]'``; and the folder
``honeyhive_report`` beside this file, both at the top of the DAGs folder. ``HONEYHIVE_EXAMPLE_OUTPUT`` says where
everything goes: any URL that ``ObjectStoragePath`` takes, such as ``s3://bucket/honeyhive``.
"""

from __future__ import annotations

import logging
import os
from datetime import UTC, datetime
from typing import Any

from airflow.providers.common.compat.sdk import DAG, ObjectStoragePath, task

from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.operators.honeyhive import HoneyHiveExportEventsOperator

OUTPUT = os.environ.get("HONEYHIVE_EXAMPLE_OUTPUT", "file:///tmp/honeyhive")

log = logging.getLogger(__name__)


@task
def report(export: dict[str, Any], folder: str) -> dict[str, Any]:
    """Report on an export, in a folder called like its own, and say where the page and the tables are."""
    # Here, because only the task needs DuckDB and Altair.
    from honeyhive_report.report import write_report  # noqa: PLC0415

    exported = ObjectStoragePath(export["output_path"])
    target = ObjectStoragePath(f"{folder}/{exported.name}/")
    written = write_report(Manifest.read(exported), exported, target)
    log.info("Report: %s", written["page"])
    log.info("Beside it, the tables: %s", ", ".join(f"{name}.parquet" for name in written["tables"]))
    if written["page"].startswith("file:"):
        # Airflow's own pages cannot link to a worker's disk, browsers forbid it.
        log.info("From elsewhere, serve its folder on this machine: python -m http.server --directory %s", target.path)
    return written


with DAG(
    "example_honeyhive_report",
    schedule="@daily",
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    catchup=False,
    doc_md=__doc__,
    default_args={"retries": 3},
    tags=["honeyhive", "example"],
):
    export = HoneyHiveExportEventsOperator(
        task_id="export", output_path=OUTPUT + "/parquet/{start:%Y-%m-%d}/", file_format="parquet"
    )
    report(export.output, f"{OUTPUT}/report")
