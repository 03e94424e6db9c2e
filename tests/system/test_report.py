"""The example DAG that reports: on an ordinary day, on one without events, and in an object store."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_honeyhive.manifest import Manifest
from tests.unit.programs import modules_loaded_by

from .conftest import DAY, DAY_END, HOME
from .running import dag_bag, run_dag, tokens_of

EXAMPLE_DAGS = Path(__file__).resolve().parents[2] / "example_dags"
# As Airflow does with its DAGs folder, which here is another one.
sys.path.insert(0, str(EXAMPLE_DAGS))

TABLES = {
    "summary",
    "by_model",
    "by_event_type",
    "models_over_time",
    "calls_over_time",
    "by_evaluator",
    "evaluators_over_time",
    "sessions",
    "sessions_over_time",
    "session_sizes",
}


def run_example(on_shrink: str = "fail") -> Any:
    dag = dag_bag(EXAMPLE_DAGS / "example_honeyhive_report.py").dags["example_honeyhive_report"]
    dag.get_task("export").on_shrink = on_shrink
    return run_dag(dag)


def rows(url: str) -> list[dict[str, Any]]:
    path = ObjectStoragePath(url)
    return pq.read_table(path.path, filesystem=path.fs).to_pylist()


def check_report(run: Any, sandbox: Any) -> None:
    """Compare the report with what the server holds."""
    events = [event.decoded() for event in sandbox.events() if event.event_id in sandbox.event_ids(DAY, DAY_END)]
    written = run.xcoms["report"]
    assert written["page"].endswith("/report/2026-03-10/report.html")
    assert written["tables"].keys() == TABLES

    (summary,) = rows(written["tables"]["summary"])
    assert (
        summary["events"]
        == len(events)
        == Manifest.read(ObjectStoragePath(run.xcoms["export"]["manifest_path"])).event_count
    )
    assert summary["errors"] == sum(event["error"] is not None for event in events)
    assert summary["cost"] == pytest.approx(sum(event["metadata"].get("cost", 0) for event in events))
    models = [event for event in events if event["event_type"] == "model"]
    assert summary["total_tokens"] == sum(map(tokens_of, models))
    calls = Counter(event["config"].get("model") or event["metadata"]["model_name"] for event in models)
    assert {row["model"]: row["calls"] for row in rows(written["tables"]["by_model"])} == calls
    kinds = Counter(event["event_type"] for event in events)
    assert {row["event_type"]: row["events"] for row in rows(written["tables"]["by_event_type"])} == kinds
    assert {row["session_id"] for row in rows(written["tables"]["sessions"])} == {e["session_id"] for e in events}

    page = ObjectStoragePath(written["page"]).read_text(encoding="utf-8")
    assert page.count('class="chart"') == 17
    assert all(model in page for model in calls)
    said = [text for event in events for text in event["inputs"].values() if isinstance(text, str)]
    assert len(said) > 100
    assert [text for text in said if text in page] == []


#: For :mod:`.test_examples`, which runs every example: what to look at after the run, and what its server holds.
CHECKS = {"example_honeyhive_report": (check_report, {})}


@pytest.fixture(autouse=True)
def no_examples() -> None:
    """Leave nothing of another server where the example writes."""
    shutil.rmtree(f"{HOME}/examples", ignore_errors=True)


def test_a_day_without_events_has_a_report(serve):
    serve([])

    run = run_example()

    written = run.result("report")
    assert rows(written["tables"]["summary"])[0]["events"] == 0
    assert "No model was called." in ObjectStoragePath(written["page"]).read_text(encoding="utf-8")


def test_the_log_says_where_the_page_is(sandbox, capfd, caplog):
    caplog.set_level("INFO")

    run = run_example()

    folder = f"{HOME}/examples/report/2026-03-10"
    logged = caplog.text + "".join(capfd.readouterr())
    assert run.xcoms["report"]["page"] == f"file://{folder}/report.html"
    assert f"Report: file://{folder}/report.html" in logged
    assert f"python -m http.server --directory {folder}" in logged


def test_an_earlier_report_is_replaced(sandbox):
    run_example()
    sandbox.delete(sorted(sandbox.event_ids())[100:])

    run = run_example("replace")

    assert rows(run.result("report")["tables"]["summary"])[0]["events"] == 100


def test_events_and_report_may_be_in_an_object_store(sandbox, s3, bucket, monkeypatch):
    access = {"ACCESS_KEY_ID": "access", "SECRET_ACCESS_KEY": "secret", "DEFAULT_REGION": "us-east-1"}
    for name, value in {**access, "ENDPOINT_URL": s3.meta.endpoint_url}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("HONEYHIVE_EXAMPLE_OUTPUT", f"s3://{bucket}/honeyhive")

    run = run_example()

    assert run.result("report")["page"] == f"s3://{bucket}/honeyhive/report/2026-03-10/report.html"
    check_report(run, sandbox)


def test_airflow_takes_no_module_of_the_report_for_a_dag():
    assert {Path(dag.fileloc).parent for dag in dag_bag(EXAMPLE_DAGS).dags.values()} == {EXAMPLE_DAGS}


def test_loading_the_example_imports_nothing_that_only_its_task_needs():
    loaded = modules_loaded_by(
        f"runpy.run_path({str(EXAMPLE_DAGS / 'example_honeyhive_report.py')!r})",
        after="import runpy\nfrom airflow.providers.common.compat.sdk import DAG, ObjectStoragePath, task",
    )
    assert "airflow_provider_honeyhive.operators.honeyhive" in loaded
    assert not {"altair", "duckdb", "pyarrow", "vl_convert", "honeyhive_report.report"} & loaded
