"""The example DAG that events start."""

from __future__ import annotations

import time

import pytest

from airflow_provider_honeyhive.sandbox import Sandbox
from tests.system.test_examples_waiting import ALERT

from .live_airflow import AIRFLOW_2, running


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
