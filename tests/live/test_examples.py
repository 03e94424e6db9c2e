"""The example DAGs that somebody else has to move on: events, or a person."""

from __future__ import annotations

import time

import pytest

from airflow_provider_honeyhive.build_manifest import BuildManifest
from airflow_provider_honeyhive.sandbox import Sandbox
from tests.system.conftest import DAY, DAY_END
from tests.system.test_examples_waiting import ALERT

from .live_airflow import AIRFLOW_2, ROOT, running


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


@pytest.mark.skipif(AIRFLOW_2, reason="approvals came with Airflow 3.1")
def test_a_training_file_is_written_when_somebody_has_approved():
    live = running()
    name = "example_honeyhive_pipeline"
    training = live.output / "pipeline" / "training" / f"{DAY:%Y-%m-%d}"
    with Sandbox(count=100, start=DAY, end=DAY_END) as sandbox:
        live.connect("honeyhive_default", sandbox)
        live.add_dag(name, (ROOT / "example_dags" / f"{name}.py").read_text(encoding="utf-8"))
        run = live.trigger(name, logical_date=DAY_END)
        live.until(lambda: live.states(name, run).get("approve") in ("awaiting_input", "deferred"), "the question")
        assert not training.exists()
        # As a person would: Airflow 3.3 takes a task that goes on before its process has ended for a failed one.
        time.sleep(5)

        live.approve(name, run, "approve")

        live.wait_for(name)
    assert BuildManifest.read(training).event_count == 100
