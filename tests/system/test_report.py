"""The example DAGs that build: tables, a report, training files; without events, too, and in an object store."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_honeyhive.build_manifest import BuildManifest

from .conftest import DAY, DAY_END, HOME
from .running import AIRFLOW_2, dag_bag, run_dag

EXAMPLE_DAGS = Path(__file__).resolve().parents[2] / "example_dags"


def run_example(name: str = "example_honeyhive_report", on_shrink: str = "fail") -> Any:
    dag = dag_bag(EXAMPLE_DAGS / f"{name}.py").dags[name]
    dag.get_task("export").on_shrink = on_shrink
    return run_dag(dag, succeeded="approve")


def rows(tables: dict[str, Any], name: str) -> list[dict[str, Any]]:
    paths = [ObjectStoragePath(url) for url in tables["files"][name]]
    return [row for path in paths for row in pq.read_table(path.path, filesystem=path.fs).to_pylist()]


def check_tables(run: Any, sandbox: Any) -> None:
    """Compare the tables with what the server holds; tests/unit/tables compares each number."""
    events = [event.decoded() for event in sandbox.events() if event.event_id in sandbox.event_ids(DAY, DAY_END)]
    tables = run.xcoms["tables"]
    assert tables["event_count"] == run.xcoms["export"]["event_count"] == len(events)
    assert {row["event_id"] for row in rows(tables, "events")} == {event["event_id"] for event in events}
    assert {row["session_id"] for row in rows(tables, "sessions")} == {event["session_id"] for event in events}
    models = [event for event in events if event["event_type"] == "model"]
    assert len(rows(tables, "model_calls")) == len(models)
    said = [text for event in events for text in event["inputs"].values() if isinstance(text, str)]
    page = ObjectStoragePath(run.xcoms["report"]["page"]).read_text(encoding="utf-8")
    assert len(said) > 100
    assert [text for text in said if text in page] == []
    calls = Counter(event["config"].get("model") or event["metadata"]["model_name"] for event in models)
    assert all(model in page for model in calls)


def check_report(run: Any, sandbox: Any) -> None:
    assert run.xcoms["tables"]["output_path"].endswith("/tables/2026-03-10")
    assert run.xcoms["report"]["page"].endswith("/report/2026-03-10/report.html")
    check_tables(run, sandbox)


def check_pipeline(run: Any, sandbox: Any) -> None:
    check_tables(run, sandbox)
    assert run.states.get("approve") == (None if AIRFLOW_2 else "success")
    training = run.xcoms["training_file"]
    assert training["output_path"].endswith("/pipeline/training/2026-03-10")
    manifest = BuildManifest.read(ObjectStoragePath(training["manifest_path"]))
    manifest.verify()
    lines = [
        json.loads(line)
        for split in ("train", "test")
        for url in manifest.file_urls(split)
        # Not splitlines(), for which other characters end a line, too.
        for line in ObjectStoragePath(url).read_bytes().split(b"\n")[:-1]
    ]
    assert len(lines) == training["counts"]["rows"] > 10
    exported = sandbox.event_ids(DAY, DAY_END)
    assert {event_id for line in lines for event_id in line["event_ids"]} <= exported


#: For :mod:`.test_examples`, which runs every example: what to look at after the run, and what its server holds.
CHECKS = {"example_honeyhive_report": (check_report, {}), "example_honeyhive_pipeline": (check_pipeline, {})}


@pytest.fixture(autouse=True)
def no_examples() -> None:
    """Leave nothing of another server where the examples write."""
    shutil.rmtree(f"{HOME}/examples", ignore_errors=True)


@pytest.mark.skipif(AIRFLOW_2, reason="approvals came with Airflow 3.1")
def test_nothing_becomes_training_data_before_somebody_has_approved():
    dag = dag_bag(EXAMPLE_DAGS / "example_honeyhive_pipeline.py").dags["example_honeyhive_pipeline"]
    assert dag.get_task("approve").downstream_task_ids == {"training_file"}
    assert dag.get_task("training_file").trigger_rule == "all_success"


def test_a_day_without_events_has_tables_a_report_and_training_files(serve):
    serve([])

    run = run_example("example_honeyhive_pipeline")

    assert rows(run.result("tables"), "events") == []
    assert "No model was called." in ObjectStoragePath(run.result("report")["page"]).read_text(encoding="utf-8")
    assert run.result("training_file")["event_count"] == 0


def test_the_log_says_where_the_page_is(sandbox, capfd, caplog):
    caplog.set_level("INFO")

    run = run_example()

    folder = f"{HOME}/examples/report/2026-03-10"
    logged = caplog.text + "".join(capfd.readouterr())
    assert run.result("report")["page"] == f"{folder}/report.html"
    assert f"Report: {folder}/report.html" in logged
    assert f"python -m http.server --directory {folder}" in logged


def test_earlier_tables_and_an_earlier_report_are_replaced(sandbox):
    run_example()
    sandbox.delete(sorted(sandbox.event_ids())[100:])

    run = run_example(on_shrink="replace")

    assert len(rows(run.result("tables"), "events")) == 100
    folder = Path(HOME, "examples", "tables", "2026-03-10")
    assert {path.name for path in folder.glob("events/*")} == {
        path.rpartition("/")[2] for path in run.result("tables")["files"]["events"]
    }


def test_all_of_it_may_be_in_an_object_store(sandbox, s3, bucket, monkeypatch):
    access = {"ACCESS_KEY_ID": "access", "SECRET_ACCESS_KEY": "secret", "DEFAULT_REGION": "us-east-1"}
    for name, value in {**access, "ENDPOINT_URL": s3.meta.endpoint_url}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("HONEYHIVE_EXAMPLE_OUTPUT", f"s3://{bucket}/honeyhive")

    run = run_example("example_honeyhive_pipeline")

    assert run.result("report")["page"] == f"s3://{bucket}/honeyhive/pipeline/report/2026-03-10/report.html"
    check_pipeline(run, sandbox)
