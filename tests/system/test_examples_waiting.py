"""The example DAGs that wait: for a day to settle, and for trouble."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from airflow_provider_honeyhive._compat import HAS_STATE_STORES
from airflow_provider_honeyhive.manifest import Manifest

from .conftest import HOME
from .running import AIRFLOW_2

#: Read by the examples when they are loaded.
os.environ["HONEYHIVE_EXAMPLE_SETTLED_FOR"] = "1.2"
if not HAS_STATE_STORES:
    os.environ["HONEYHIVE_EXAMPLE_STATE"] = f"file://{HOME}/watch"

ROOT = Path(__file__).resolve().parents[2]
ALERT = ROOT / "example_dags" / "example_honeyhive_alert.py"


def check_wait(run, sandbox):
    folder = Path(HOME, "examples", "settled", "2026-03-10")
    assert Manifest.read(folder).event_count == run.xcoms["settled"]["event_count"] == 300
    assert run.xcoms["settled"]["start_time"] == run.xcoms["export"]["start_time"] == "2026-03-10T00:00:00.000Z"
    assert run.xcoms["settled"]["end_time"] == run.xcoms["export"]["end_time"] == "2026-03-11T00:00:00.000Z"
    # At least two looks: nothing can be seen to stay the same at one.
    assert sum(request.body["limit"] == 1 for request in sandbox.requests) >= 4


#: For tests/system/test_examples.py: what to look at after a run, and what the server holds.
CHECKS = {"example_honeyhive_wait": (check_wait, {})}
#: What no schedule starts, and so is tested in tests/live/test_examples.py.
STARTED_BY_EVENTS = {ALERT.stem}


@pytest.mark.skipif(not AIRFLOW_2, reason="from Airflow 3.0 on there are asset watchers")
def test_on_airflow_2_the_alert_is_no_dag_and_no_error():
    from airflow.models.dagbag import DagBag

    bag = DagBag(dag_folder=str(ALERT))

    assert bag.import_errors == {}
    assert bag.dags == {}
