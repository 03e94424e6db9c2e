"""Each example DAG is loaded without complaint, runs as it is, and leaves what it says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airflow_provider_honeyhive.manifest import Manifest
from tests.unit.programs import last_line_of, modules_loaded_by

from .conftest import DAY, DAY_END, HOME
from .running import dag_bag, ids_in, run_dag
from .test_examples_waiting import CHECKS as WAITING
from .test_examples_waiting import STARTED_BY_EVENTS
from .test_report import CHECKS as REPORT

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = {path.stem: path for path in sorted((ROOT / "example_dags").glob("*.py"))}
OUTPUT = Path(HOME, "examples")

SUMMARY = {
    "output_path",
    "manifest_path",
    "event_count",
    "reported_total",
    "size_bytes",
    "file_count",
    "file_format",
    "compression",
    "files",
    "start_time",
    "end_time",
    "project",
}


def load(name):
    bag = dag_bag(EXAMPLES[name])
    assert list(bag.dags) == [name]
    return bag.dags[name]


def in_the_window(sandbox, condition=lambda _: True, start=DAY):
    ids = sandbox.event_ids(start, DAY_END)
    return sorted(e.event_id for e in sandbox.events() if e.event_id in ids and condition(e.decoded()))


def check_export(run, sandbox):
    folder = OUTPUT / "2026-03-10"
    assert sorted(ids_in(folder)) == in_the_window(sandbox)
    manifest, summary = Manifest.read(folder), run.xcoms["export"]
    assert set(summary) == SUMMARY
    assert summary == {
        "output_path": str(folder),
        "manifest_path": f"{folder}/_manifest.json",
        "event_count": 300,
        "reported_total": manifest.reported_total,
        "size_bytes": manifest.size_bytes,
        "file_count": 1,
        "file_format": "jsonl",
        "compression": "gzip",
        "files": [f"{folder}/{part.path}" for part in manifest.files],
        "start_time": "2026-03-10T00:00:00.000Z",
        "end_time": "2026-03-11T00:00:00.000Z",
        "project": "demo",
    }
    assert run.xcoms["use_export"] == 300


def check_xcom(run, sandbox):
    wanted = in_the_window(
        sandbox, lambda event: event["event_type"] == "model" and event["error"], DAY.replace(hour=23)
    )
    assert sorted(event["event_id"] for event in run.xcoms["failed_calls"]) == wanted
    assert run.xcoms["alert"] == len(wanted) > 0


def check_mapped(run, sandbox):
    cuts = {
        "model": lambda event: event["event_type"] == "model",
        "source": lambda event: event["source"] == "production",
        "slow": lambda event: event["duration"] > 1000,
        "mine": lambda event: event["error"],
    }
    wanted = {cut: in_the_window(sandbox, condition) for cut, condition in cuts.items()}
    assert all(wanted.values())
    assert {cut: sorted(ids_in(OUTPUT / cut / "2026-03-10")) for cut in cuts} == wanted
    assert run.xcoms["add_up"] == sum(map(len, wanted.values()))


def check_many_workers(run, sandbox):
    folder = OUTPUT / "by-many" / "2026-03-10"
    assert sorted(ids_in(folder)) == in_the_window(sandbox)
    manifest = Manifest.read(folder)
    assert run.xcoms["combine"]["event_count"] == manifest.event_count == 300
    assert len([name for name in run.states if name.startswith("export[")]) == len(manifest.files) == 8
    assert {path.name for path in folder.iterdir()} == {"_manifest.json", *(part.path for part in manifest.files)}


#: What to look at after the run of each example, and what its server holds.
CHECKS = {
    "example_honeyhive_export": (check_export, {}),
    "example_honeyhive_xcom": (check_xcom, {"start": DAY.replace(hour=22)}),
    "example_honeyhive_mapped": (check_mapped, {}),
    **WAITING,
    **REPORT,
    "example_honeyhive_many_workers": (check_many_workers, {}),
}


def test_each_example_has_a_check():
    assert EXAMPLES.keys() == CHECKS.keys() | STARTED_BY_EVENTS


@pytest.mark.parametrize("name", CHECKS)
def test_an_example_runs_and_leaves_what_it_says(serve, name):
    check, contents = CHECKS[name]
    sandbox = serve(**contents)

    # Of the approval, see tests/live/test_examples.py: here nobody is asked.
    run = run_dag(load(name), succeeded="approve")

    assert run.state == "success", run.errors
    check(run, sandbox)


#: What Airflow itself loads for any DAG.
PLAIN_DAG = """
from datetime import UTC, datetime
from airflow.providers.common.compat.sdk import DAG, BaseOperator
with DAG("plain", schedule="@daily", start_date=datetime(2025, 1, 1, tzinfo=UTC)):
    BaseOperator(task_id="plain")
"""


@pytest.mark.parametrize(
    "name", ["example_honeyhive_export", "example_honeyhive_many_workers", "example_honeyhive_report"]
)
def test_loading_an_example_imports_nothing_that_only_tasks_need(name):
    imports = "import runpy\nfrom airflow.providers.common.compat.sdk import BaseHook, ObjectStoragePath, task"
    loaded = modules_loaded_by(f"runpy.run_path({str(EXAMPLES[name])!r})", after=f"{imports}\n{PLAIN_DAG}")
    assert "airflow_provider_honeyhive.operators.honeyhive" in loaded
    heavy = {"altair", "duckdb", "pyarrow", "requests", "vl_convert"}
    ours = {"api.client", "build_manifest", "builds.sources", "export.exporter"}
    assert not loaded & {*heavy, *(f"airflow_provider_honeyhive.{name}" for name in ours)}


def test_nothing_of_the_provider_uses_what_airflow_deprecates():
    # What Airflow's own approvals use of it is not the provider's.
    program = f"""
import contextlib, json, pkgutil, runpy, warnings
{PLAIN_DAG}
import airflow.triggers.base, msgspec, pydantic, requests, tenacity
with contextlib.suppress(Exception):
    import airflow.providers.standard.operators.hitl
import airflow_provider_honeyhive as provider
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for module in pkgutil.walk_packages(provider.__path__, "airflow_provider_honeyhive."):
        if not module.name.endswith(("__main__", "fixtures")):
            __import__(module.name)
    for example in {[str(path) for path in EXAMPLES.values()]!r}:
        runpy.run_path(example)
kinds = (DeprecationWarning, PendingDeprecationWarning, FutureWarning)
deprecations = [w for w in caught if issubclass(w.category, kinds)]
print(json.dumps([f"{{w.category.__name__}} {{w.filename}}: {{w.message}}" for w in deprecations]))
"""
    assert json.loads(last_line_of(program)) == []
