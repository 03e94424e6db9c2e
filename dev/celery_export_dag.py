"""The DAG of the distributed run: one window, exported by many mapped tasks. What differs is in the environment."""

from __future__ import annotations

import os
from datetime import timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_honeyhive.operators.honeyhive import HoneyHiveExportEventsOperator
from airflow_provider_honeyhive.operators.mapped import HoneyHiveCombineExportsOperator, HoneyHiveSplitWindowOperator

whole = {
    "start_time": os.environ["EXPORT_START"],
    "end_time": os.environ["EXPORT_END"],
    "output_path": os.environ["EXPORT_OUTPUT"],
}

with DAG("celery_export", schedule=None, default_args={"retries": 3, "retry_delay": timedelta(seconds=2)}):
    split = HoneyHiveSplitWindowOperator(task_id="split", parts=int(os.environ["EXPORT_PARTS"]), **whole)
    exports = HoneyHiveExportEventsOperator.partial(task_id="export", concurrency=2).expand_kwargs(split.output)
    HoneyHiveCombineExportsOperator(task_id="combine", exports=exports.output, **whole)
