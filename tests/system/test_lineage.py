"""What OpenLineage is told, by Airflow's own provider and through its file transport."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

pytest.importorskip("airflow.providers.openlineage")

from airflow_provider_honeyhive.formats.columns import COLUMN_NAMES
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.sandbox import Sandbox
from airflow_provider_honeyhive.tables.columns import TABLES

from .conftest import DAY, DAY_END, KEY
from .running import ids_in

DAG_FILE = """
from datetime import UTC, datetime, timedelta
from airflow.providers.common.compat.sdk import DAG
from airflow_provider_honeyhive.operators import honeyhive
from airflow_provider_honeyhive.operators.dataset import HoneyHiveBuildDatasetOperator
from airflow_provider_honeyhive.operators.report import HoneyHiveReportOperator
from airflow_provider_honeyhive.operators.tables import HoneyHiveBuildTablesOperator

# So that a short wait is deferred, too.
honeyhive.SHORT_WAIT_S = 0
WINDOW = {{"start_time": "2026-03-10", "end_time": "2026-03-11"}}
NOTHING = [{{"field": "event_type", "operator": "is", "value": "nothing", "type": "string"}}]

class Waiting(honeyhive.HoneyHiveExportEventsOperator):
    def execute(self, context):
        # Not in resume(): it has waited then.
        self.delay = datetime.now(UTC) - datetime(2026, 3, 11, tzinfo=UTC) + timedelta(seconds=2)
        return super().execute(context)

def export(task_id, kind=honeyhive.HoneyHiveExportEventsOperator, **arguments):
    return kind(task_id=task_id, trigger_rule="all_done", **WINDOW, **arguments)

with DAG("lineage", schedule=None, start_date=datetime(2025, 1, 1, tzinfo=UTC), catchup=False):
    tasks = [
        export("parquet", output_path="{folder}/parquet/", file_format="parquet"),
        export("one_object", output_path="{folder}/events.jsonl.gz"),
        export("nothing", output_path="{folder}/nothing/", filters=NOTHING),
        export("result", xcom_max_bytes=5_000_000),
        export("waited", Waiting, output_path="{folder}/waited/"),
        export("failed", output_path="{folder}/failed/", min_events=301, retries=0),
    ]
    for before, after in zip(tasks, tasks[1:]):
        before >> after
    exported = tasks[0].output
    tables = HoneyHiveBuildTablesOperator(task_id="tables", export=exported, output_path="{folder}/tables/")
    HoneyHiveBuildDatasetOperator(task_id="dataset", export=exported, output_path="{folder}/dataset/")
    HoneyHiveReportOperator(task_id="report", tables=tables.output, output_path="{folder}/report/")
"""


@pytest.fixture(scope="module")
def lineage(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Run the DAG, and return the last thing that was said of each of its tasks, and the folder."""
    folder = tmp_path_factory.mktemp("lineage")
    (folder / "dags").mkdir()
    with Sandbox(count=300, start=DAY, end=DAY_END, key=KEY) as sandbox:
        connection = {
            "conn_type": "honeyhive",
            "host": sandbox.url,
            "password": KEY,
            "extra": {"project": sandbox.project},
        }
        (folder / "dags" / "lineage.py").write_text(DAG_FILE.format(folder=folder))
        transport = {"type": "file", "log_file_path": f"{folder}/lineage.jsonl", "append": True}
        done = subprocess.run(
            [sys.executable, "-m", "airflow", "dags", "test", "lineage", "2026-03-11T00:00:00+00:00"],
            env={
                **os.environ,
                "AIRFLOW__CORE__DAGS_FOLDER": f"{folder}/dags",
                "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(transport),
                "AIRFLOW__OPENLINEAGE__NAMESPACE": "tests",
                "AIRFLOW_CONN_HONEYHIVE_DEFAULT": json.dumps(connection),
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=400,
        )
        host = sandbox.url.partition("://")[2]
    said = (folder / "lineage.jsonl").read_text() if (folder / "lineage.jsonl").exists() else ""
    assert said, done.stdout[-3000:] + done.stderr[-3000:]
    found: dict[str, Any] = {"folder": folder, "host": host, "said": said, "log": done.stdout + done.stderr}
    for event in map(json.loads, said.splitlines()):
        if event["eventType"] in ("COMPLETE", "FAIL"):
            found[event["job"]["name"].removeprefix("lineage.")] = event
    return found


def rows_of(event: dict[str, Any]) -> tuple[Any, ...]:
    (output,) = event["outputs"]
    statistics = output["outputFacets"]["outputStatistics"]
    return output["namespace"], output["name"], statistics["rowCount"], statistics["size"], statistics["fileCount"]


def test_the_window_of_the_project_is_read(lineage):
    for task_id, count in {"parquet": 300, "one_object": 300, "nothing": 0, "result": 300, "waited": 300}.items():
        (source,) = lineage[task_id]["inputs"]
        assert (source["namespace"], source["name"]) == (f"honeyhive://{lineage['host']}", "demo")
        assert source["inputFacets"]["dataQualityMetrics"]["rowCount"] == count
        condition = source["inputFacets"]["subset"]["inputCondition"]
        bounds = [condition[side]["right"]["value"] for side in ("left", "right")]
        assert bounds == ["2026-03-10T00:00:00.000Z", "2026-03-11T00:00:00.000Z"]


@pytest.mark.parametrize(("task_id", "name"), [("parquet", "parquet"), ("waited", "waited")])
def test_a_folder_is_written_also_after_a_wait(lineage, task_id, name):
    folder = lineage["folder"] / name
    manifest = Manifest.read(folder)
    assert rows_of(lineage[task_id]) == ("file", str(folder), 300, manifest.size_bytes, len(manifest.files))
    assert "Waiting until" in lineage["log"]


def test_one_object_is_written(lineage):
    path = lineage["folder"] / "events.jsonl.gz"
    assert rows_of(lineage["one_object"]) == ("file", str(path), 300, path.stat().st_size, 1)
    assert "schema" not in lineage["one_object"]["outputs"][0]["facets"]


def test_an_empty_window_is_a_folder_without_files(lineage):
    assert rows_of(lineage["nothing"]) == ("file", str(lineage["folder"] / "nothing"), 0, 0, 0)


def test_parquet_has_its_columns(lineage):
    fields = lineage["parquet"]["outputs"][0]["facets"]["schema"]["fields"]
    assert tuple(field["name"] for field in fields) == COLUMN_NAMES


def test_events_that_are_the_result_are_no_output(lineage):
    assert lineage["result"]["outputs"] == []


def test_a_failed_export_has_written_nothing(lineage):
    assert lineage["failed"]["eventType"] == "FAIL"
    assert lineage["failed"]["outputs"] == []


def names(datasets: list[Any]) -> set[str]:
    return {dataset["name"] for dataset in datasets}


def test_builds_go_on_from_what_was_written_before(lineage):
    folder, tables = lineage["folder"], {f"{lineage['folder']}/tables/{name}" for name in TABLES}
    exported = names(lineage["parquet"]["outputs"])
    assert exported == names(lineage["tables"]["inputs"]) == names(lineage["dataset"]["inputs"])
    assert tables == names(lineage["tables"]["outputs"]) == names(lineage["report"]["inputs"])
    assert names(lineage["report"]["outputs"]) == {f"{folder}/report"}
    assert f"{folder}/dataset/train" in names(lineage["dataset"]["outputs"])


def test_columns_are_traced_from_the_export_to_the_tables(lineage):
    (events,) = (one for one in lineage["tables"]["outputs"] if one["name"].endswith("/events"))
    (of,) = events["facets"]["columnLineage"]["fields"]["session_id"]["inputFields"]
    assert (of["name"], of["field"]) == (f"{lineage['folder']}/parquet", "session_id")


def test_neither_key_nor_content_is_told(lineage):
    said = lineage["said"]
    assert KEY not in said
    assert [event_id for event_id in ids_in(lineage["folder"] / "waited") if event_id in said] == []
