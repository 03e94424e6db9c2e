"""Runs that look back correct what came late or changed, and nothing else: on disk, on S3, after any death."""

from __future__ import annotations

import gzip
import json
from datetime import timedelta
from pathlib import Path

import pytest

from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.export.catalog import verify_exports
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.operators.honeyhive import HoneyHiveExportEventsOperator
from airflow_provider_honeyhive.sandbox import Fault

from .conftest import DAY, DAY_END
from .running import run_export, run_task


def event(name, days=0.5, **more):
    time = int((DAY + timedelta(days=days)).timestamp() * 1000)
    return {"event_id": name, "project": "demo", "start_time": time, "feedback": {}, **more}


@pytest.fixture
def sandbox(serve):
    """Serve events of two days: of the default one, and of the one after it."""
    return serve([event(f"{day}-{number}", day + number / 100) for day in range(2) for number in range(40)])


def change(sandbox, *events):
    sandbox.delete(one["event_id"] for one in events)
    sandbox.add(events)


def export(folder, day, operator=HoneyHiveExportEventsOperator, **arguments):
    """Run the DAG for a day; 0 is the default one."""
    given = {"lookback_windows": 2, "output_path": f"{folder}/{{{{ data_interval_end | ds }}}}/", **arguments}
    return run_task(lambda: operator(task_id="export", **given), DAY_END + timedelta(days=day))


def ids_of(run):
    """Return the ids in the files of corrections that the task's result names, by reason."""
    found = {}
    for file in run.xcoms["export"]["correction_files"]:
        with gzip.open(file) as lines:
            reason = file.partition("reason=")[2].partition("/")[0]
            found.setdefault(reason, []).extend(json.loads(line)["event_id"] for line in lines)
    return found


def assert_sound(folder):
    assert [problem for verdict in verify_exports(folder) for problem in verdict.problems] == []
    for path in folder.iterdir():
        there = {str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()}
        assert there == {"_manifest.json", *Manifest.read(path).sizes}


def test_late_and_changed_events_become_corrections(sandbox, output):
    assert export(output, 0).state == "success"
    sandbox.add([event("late")])
    change(sandbox, event("0-3", 0.03, feedback={"rating": True}))

    run = export(output, 1)

    summary = run.result()
    assert ids_of(run) == {"changed": ["0-3"], "late": ["late"]}
    assert [summary[name] for name in ("event_count", "late_count", "changed_count")] == [40, 1, 1]
    assert_sound(output)


def test_where_nothing_changed_there_is_no_correction_file(sandbox, output):
    assert export(output, 0).state == "success"
    run = export(output, 1)
    assert (run.state, run.xcoms["export"]["correction_files"]) == ("success", [])
    assert not list(output.rglob("_corrections"))


def test_a_run_again_writes_the_same_corrections(sandbox, output):
    export(output, 0)
    sandbox.add([event("late")])
    written = []
    for _ in range(2):
        files = export(output, 1).xcoms["export"]["correction_files"]
        written.append([Path(file).read_bytes() for file in files])
    assert written[0] == written[1] != []
    assert_sound(output)


def test_a_task_that_fails_while_it_reads_again_is_whole_in_its_next_try(sandbox, connect, output):
    connect(sandbox, max_retries=0)
    export(output, 0)
    sandbox.add([event("late")])
    sandbox.fault_at[len(sandbox.requests) + 5] = Fault.reset()

    run = export(output, 1, page_size=30, retries=1)

    assert (run.state, len(run.retried)) == ("success", 1)
    (failed,) = (request for request in sandbox.requests if request.fault == "reset")
    assert failed.body["dateRange"]["$lte"].startswith(f"{DAY_END:%Y-%m-%dT%H:%M}"), "the window itself was being read"
    assert ids_of(run) == {"late": ["late"]}
    assert_sound(output)


def test_an_earlier_window_without_an_index_is_not_doubled(sandbox, output, caplog):
    export(output, 0, lookback_windows=0)
    sandbox.add([event("late")])
    run = export(output, 1)
    assert (run.state, ids_of(run)) == ("success", {})
    assert "exported without lookback_windows, so it has no index" in caplog.text
    assert Manifest.read(output / "2026-03-12").lookback.read_again == []

    export(output, 0)
    change(sandbox, event("late", feedback={"rating": False}))
    assert ids_of(export(output, 1)) == {"changed": ["late"]}


def test_corrections_on_s3_by_a_connection_of_its_own(sandbox, s3, bucket):
    folder, store = f"s3://{bucket}/events", {"output_conn_id": "store"}
    assert export(folder, 0, **store).state == "success"
    sandbox.add([event("late")])

    run = export(folder, 1, **store)

    assert run.result()["late_count"] == 1
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    (key,) = (key for key in keys if "_corrections" in key)
    assert run.xcoms["export"]["correction_files"] == [f"s3://{bucket}/{key}"]
    assert key.startswith("events/2026-03-12/_corrections/reason=late/part-")
    assert json.loads(gzip.decompress(s3.get_object(Bucket=bucket, Key=key)["Body"].read()))["event_id"] == "late"
    assert len(keys) == 2 * len(["manifest", "index", "part"]) + 1


@pytest.mark.parametrize(
    "arguments",
    [
        {"lookback_windows": -1},
        {"output_path": None},
        {"output_path": "/data/fixed/"},
        {"output_path": "/data/one.jsonl.gz"},
    ],
)
def test_what_cannot_look_back_is_refused_when_the_dag_is_parsed(arguments):
    given = {"lookback_windows": 1, "output_path": "/data/{{ ds }}/", **arguments}
    with pytest.raises((InvalidArgumentError, ValueError), match="lookback"):
        HoneyHiveExportEventsOperator(task_id="export", **given)


@pytest.mark.parametrize("path", ["{{ params.folder }}/{{ ds }}/", "{{ params.folder }}/{{ ds }}.jsonl"])
def test_what_cannot_look_back_is_refused_when_its_templates_are_known(sandbox, output, path):
    run = run_export(lookback_windows=1, output_path=path, params={"folder": str(output)}, retries=3)
    assert "lookback" in run.refusal()
    assert sandbox.requests == []
