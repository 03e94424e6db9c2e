"""Export several cuts of a day at the same time, one mapped task each; every way to write a filter.

Filters are EventFilter objects, dicts, or JSON texts; all filters of a task must hold. Templates work inside all
of them, and what they render to may be JSON, too. Each cut has a folder of its own. The same way exports several
projects: map over ``honeyhive_conn_id`` then, since a key belongs to one project.

Needs the connection ``honeyhive_default`` with an API key and, in its extra ``project``, the project's name.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_honeyhive.models import EventFilter
from airflow_provider_honeyhive.operators.honeyhive import HoneyHiveExportEventsOperator

OUTPUT = os.environ.get("HONEYHIVE_EXAMPLE_OUTPUT", "file:///tmp/honeyhive")

CUTS = {
    "model": [EventFilter(field="event_type", operator="is", value="model")],
    "source": [{"field": "source", "operator": "is", "value": "{{ params.source }}", "type": "string"}],
    "slow": '[{"field": "duration", "operator": "greater than", "value": {{ params.slow_ms }}}]',
    "mine": "{{ params.filters | tojson }}",
}


@task
def add_up(exports: list[dict[str, Any]]) -> int:
    """Return how many events all cuts have together; an event may be in more than one."""
    return sum(export["event_count"] for export in exports)


with DAG(
    "example_honeyhive_mapped",
    schedule="@daily",
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    catchup=False,
    doc_md=__doc__,
    tags=["honeyhive", "example"],
    params={
        "source": Param("production", type="string"),
        "slow_ms": Param(1000, type="integer", description="Milliseconds from which on an event is slow"),
        "filters": Param([{"field": "error", "operator": "exists"}], type="array"),
    },
):
    exports = HoneyHiveExportEventsOperator.partial(task_id="export", retries=3).expand_kwargs(
        [{"filters": filters, "output_path": f"{OUTPUT}/{cut}/" + "{start:%Y-%m-%d}/"} for cut, filters in CUTS.items()]
    )
    add_up(exports.output)
