"""Export each day's events of one project to files, and use them downstream.

Needs the connection ``honeyhive_default`` with an API key and, in its extra ``project``, the project's name::

    export AIRFLOW_CONN_HONEYHIVE_DEFAULT='{"conn_type": "honeyhive", "password": "hh_...",
      "extra": {"project": "my-project"}}'

The run of each midnight exports the day before it, ``[00:00, 24:00)`` UTC: the window of a run is its own, so
nothing is exported twice and nothing is left out, and clearing a run exports the same day again. Each day has a folder
of its own, called after it. ``HONEYHIVE_EXAMPLE_OUTPUT`` says where: any URL that ``ObjectStoragePath`` takes, such as
``s3://bucket/honeyhive``.
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
def use_export(export: dict[str, Any]) -> int:
    """Log what was exported; a loader would hand ``export["files"]`` to its warehouse here."""
    manifest = Manifest.read(ObjectStoragePath(export["manifest_path"]))
    log.info(
        "Project %s, %s to %s: %d events, %d bytes in %s",
        manifest.project,
        manifest.start_time,
        manifest.end_time,
        manifest.event_count,
        manifest.size_bytes,
        export["files"],
    )
    return manifest.event_count


with DAG(
    "example_honeyhive_export",
    schedule="@daily",
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    catchup=False,
    doc_md=__doc__,
    tags=["honeyhive", "example"],
):
    export = HoneyHiveExportEventsOperator(
        task_id="export",
        # Filled with the start of the window, whatever kind of run it is. With more than one run a day:
        # {start:%Y-%m-%dT%H}, or {window_id}.
        output_path=OUTPUT + "/{start:%Y-%m-%d}/",
        retries=3,
    )
    use_export(export.output)
