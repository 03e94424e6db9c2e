"""The example DAGs that wait: for a day to settle, and for trouble."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from airflow_provider_honeyhive._compat import HAS_STATE_STORES
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.sandbox import Sandbox

from .conftest import HOME
from .live_airflow import AIRFLOW_2, ROOT, running

#: Read by the examples when they are loaded.
os.environ["HONEYHIVE_EXAMPLE_SETTLED_FOR"] = "1.2"
if not HAS_STATE_STORES:
    os.environ["HONEYHIVE_EXAMPLE_STATE"] = f"file://{HOME}/watch"

ALERT = ROOT / "example_dags" / "example_honeyhive_alert.py"


def check_wait(run, sandbox):
    folder = Path(HOME, "examples", "settled", "2026-03-11")
    assert Manifest.read(folder).event_count == run.xcoms["settled"]["event_count"] == 300
    assert run.xcoms["settled"]["start_time"] == run.xcoms["export"]["start_time"] == "2026-03-10T00:00:00.000000Z"
    assert run.xcoms["settled"]["end_time"] == run.xcoms["export"]["end_time"] == "2026-03-11T00:00:00.000000Z"
    # At least two looks: nothing can be seen to stay the same at one.
    assert sum(request.body["limit"] == 1 for request in sandbox.requests) >= 4


#: For tests/system/test_examples.py: what to look at after a run, and what the server holds.
CHECKS = {"example_honeyhive_wait": (check_wait, {})}
#: What no schedule starts, and so is tested here.
STARTED_BY_EVENTS = {ALERT.stem}


@pytest.mark.skipif(not AIRFLOW_2, reason="from Airflow 3.0 on there are asset watchers")
def test_on_airflow_2_the_alert_is_no_dag_and_no_error():
    from airflow.models.dagbag import DagBag

    bag = DagBag(dag_folder=str(ALERT))

    assert bag.import_errors == {}
    assert bag.dags == {}


@pytest.mark.live
@pytest.mark.skipif(AIRFLOW_2, reason="asset watchers came with Airflow 3.0")
def test_each_alert_gets_the_events_of_its_kind_and_no_others():
    live = running()
    contents = {
        "failed": {"error": "boom"},
        "low": {"metrics": {"Answer Faithfulness": 1}},
        "high": {"metrics": {"Answer Faithfulness": 5}},
        "disliked": {"feedback": {"rating": False}},
        "liked": {"feedback": {"rating": True}},
        "fine": {},
    }
    shared = {"project": "demo", "event_type": "model", "event_name": "answer", "session_id": "s", "error": None}
    with Sandbox([]) as sandbox:
        live.connect("honeyhive_default", sandbox)
        dag_ids = [f"{ALERT.stem}_{kind}" for kind in ("failed", "low_score", "thumbs_down")]
        live.add_dags(ALERT.stem, dag_ids, ALERT.read_text(encoding="utf-8"))
        live.until(lambda: len({str(request.body["filters"]) for request in sandbox.requests}) == 3, "all watchers")
        start = int(time.time() * 1000)
        sandbox.add([{"event_id": name, **shared, "start_time": start, **more} for name, more in contents.items()])

        def alerted() -> list[list[str]]:
            return [live.xcom(dag_id, run, "alert") for dag_id in dag_ids for run in live.runs(dag_id, "success")]

        live.until(lambda: len(alerted()) >= len(dag_ids), "the alerts")
        assert alerted() == [["failed"], ["low"], ["disliked"]]
        # Or its watchers go on asking a sandbox that is gone.
        (live.dags / ALERT.name).unlink()
