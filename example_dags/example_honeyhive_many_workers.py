"""Export each day with many tasks at the same time, on as many workers as there are, as one export in the end.

``split`` asks the server where the day's events lie and divides the day into parts of about as many events each;
``export`` exports each part with a task of its own, each with retries of its own; ``combine`` checks that the parts
are the whole day, and publishes them with one manifest over all. Until then nothing is to be seen but a folder whose
name begins with ``_``.

Worth it where one worker is too slow: the tasks run side by side on executors of many machines, such as Celery's or
Kubernetes'. At most ``max_active_tis_per_dagrun`` times ``concurrency`` requests are sent at the same time.

Needs the connection ``honeyhive_default`` with an API key and, in its extra ``project``, the project's name.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_honeyhive.operators.honeyhive import HoneyHiveExportEventsOperator
from airflow_provider_honeyhive.operators.mapped import HoneyHiveCombineExportsOperator, HoneyHiveSplitWindowOperator

OUTPUT = os.environ.get("HONEYHIVE_EXAMPLE_OUTPUT", "file:///tmp/honeyhive")

with DAG(
    "example_honeyhive_many_workers",
    schedule="@daily",
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    catchup=False,
    doc_md=__doc__,
    default_args={"retries": 3},
    tags=["honeyhive", "example"],
):
    folder = OUTPUT + "/by-many/{start:%Y-%m-%d}/"
    # With events_per_part, quiet days take fewer tasks than parts.
    split = HoneyHiveSplitWindowOperator(task_id="split", output_path=folder, parts=8)
    exports = HoneyHiveExportEventsOperator.partial(
        task_id="export", concurrency=2, max_active_tis_per_dagrun=8, map_index_template="{{ task.start_time }}"
    ).expand_kwargs(split.output)
    HoneyHiveCombineExportsOperator(task_id="combine", output_path=folder, exports=exports.output)
