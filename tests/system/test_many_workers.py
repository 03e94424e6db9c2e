"""One window by many mapped tasks: split, exported, combined; whatever fails, all or nothing is published."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_honeyhive.exceptions import DestinationError, InvalidArgumentError
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.operators.honeyhive import HoneyHiveExportEventsOperator
from airflow_provider_honeyhive.operators.mapped import HoneyHiveCombineExportsOperator, HoneyHiveSplitWindowOperator
from airflow_provider_honeyhive.sandbox import Behaviour, Fault

from .conftest import DAY, DAY_END
from .running import Run, ids_in, run_dag

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def run_many(
    output: Any,
    *,
    parts: int = 4,
    between: Callable[[], None] | None = None,
    whole: dict[str, Any] | None = None,
    asked: dict[str, Any] | None = None,
    export: dict[str, Any] | None = None,
    combine: dict[str, Any] | None = None,
) -> Run:
    """Run a DAG that splits a day, maps an export over the parts and combines them.

    :param between: done after the exports and before they are combined.
    :param whole: arguments of the split and of the combination.
    :param asked: arguments of the split and of the export.
    :param export: arguments of the export.
    :param combine: arguments of the combination.
    """
    whole = {"output_path": str(output), **(whole or {})}
    with DAG("many", schedule="@daily", start_date=DAY.replace(year=2025), catchup=False) as dag:
        split = HoneyHiveSplitWindowOperator(task_id="split", parts=parts, **whole, **(asked or {}))
        exports = HoneyHiveExportEventsOperator.partial(
            task_id="export", **(asked or {}), **(export or {})
        ).expand_kwargs(split.output)
        combined = HoneyHiveCombineExportsOperator(
            task_id="combine", **{"exports": exports.output, **whole, **(combine or {})}
        )
        if between is not None:
            exports >> task(between, task_id="between")() >> combined
    return run_dag(dag)


def assert_whole(folder: Path, sandbox: Any) -> None:
    manifest = Manifest.read(folder)
    manifest.verify()
    assert Counter(ids_in(folder)) == Counter(sandbox.event_ids(DAY, DAY_END))
    assert {path.name for path in folder.iterdir()} == {"_manifest.json", *(part.path for part in manifest.files)}


def published(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("_shards-"))


def test_the_parts_of_the_runs_own_window_become_one_export(sandbox, output):
    run = run_many(output)

    assert run.state == "success", run.errors
    assert_whole(output, sandbox)
    manifest, result = Manifest.read(output), run.xcoms["combine"]
    assert (manifest.start_time, manifest.end_time) == ("2026-03-10T00:00:00.000Z", "2026-03-11T00:00:00.000Z")
    assert manifest.event_count == manifest.reported_total == result["event_count"] == 300
    assert (manifest.airflow.dag_id, manifest.airflow.task_id) == ("many", "combine")
    assert result["output_path"] == str(output)
    assert result["files"] == [f"{output}/{part.path}" for part in manifest.files]
    counts = [run.xcoms[f"export[{number}]"]["event_count"] for number in range(4)]
    assert sum(counts) == 300
    assert all(70 <= count <= 80 for count in counts)


def fail_once_after_the_first_read(sandbox: Any) -> None:
    def look(request: Any) -> None:
        if request.event_count > 2:
            sandbox.on_request = None
            sandbox.fault_at[request.number + 1] = Fault.answer(503)

    sandbox.on_request = look


def test_a_mapped_task_that_fails_once_is_tried_again_and_nothing_is_missing(sandbox, connect, output):
    connect(sandbox, max_retries=0)
    fail_once_after_the_first_read(sandbox)

    run = run_many(output, export={"retries": 1, "retry_delay": timedelta()})

    assert run.state == "success", run.errors
    assert [type(error).__name__ for error in run.retried] == ["HoneyHiveServerError"]
    assert_whole(output, sandbox)


def test_a_mapped_task_that_fails_for_good_publishes_nothing(sandbox, connect, output):
    connect(sandbox, max_retries=0)
    fail_once_after_the_first_read(sandbox)

    run = run_many(output)

    assert run.state == "failed"
    assert Counter(run.states.values())["success"] == 4, "the split and three of four parts"
    assert run.states["combine"] == "upstream_failed"
    assert published(output) == []


def test_a_path_that_no_part_matches_fails_the_combination_alone(sandbox, output):
    fail = {"on_unmatched": "fail"}

    run = run_many(output, export={"exclude_fields": ["inputs", "inputz"], **fail}, combine={"retries": 2, **fail})

    assert "inputz" in run.refusal("combine")
    assert Counter(run.states.values())["success"] == 5, "the split and all parts"
    assert published(output) == []


def test_a_part_that_is_missing_fails_the_combination_and_the_parts_stay(sandbox, output):
    def lose() -> None:
        next(output.glob("_shards-*/*/_manifest.json")).unlink()

    run = run_many(output, between=lose)

    assert run.state == "failed"
    assert isinstance(run.errors["combine"], DestinationError)
    assert "missing" in str(run.errors["combine"])
    assert published(output) == []
    assert len(list(output.glob("_shards-*/*/_manifest.json"))) == 3


def test_a_second_run_replaces_the_first_one(sandbox, output):
    run_many(output)
    sandbox.delete(sorted(sandbox.event_ids(DAY, DAY_END))[:100])

    run = run_many(output, parts=3, combine={"on_shrink": "replace"})

    assert run.state == "success", run.errors
    assert_whole(output, sandbox)


def test_a_second_run_that_must_not_replace_fails_at_once(sandbox, output):
    run_many(output)
    # On Airflow 2 both test runs have the same id, and a run may replace what is its own.
    manifest = json.loads((output / "_manifest.json").read_text())
    manifest["airflow"]["run_id"] = "another"
    (output / "_manifest.json").write_text(json.dumps(manifest))
    before = published(output)

    run = run_many(output, combine={"replace": False, "retries": 2})

    assert "replace is False" in run.refusal("combine")
    assert published(output) == before


def test_filters_and_times_are_split_exported_and_combined_alike(sandbox, output):
    start, end = DAY.replace(hour=12), DAY.replace(hour=20)

    run = run_many(
        f"{output}/{{{{ data_interval_end | ds }}}}/",
        whole={"start_time": start, "end_time": "2026-03-10T{{ 10 + 10 }}:00:00Z"},
        asked={"filters": [{"field": "event_type", "operator": "is", "value": "{{ 'model' }}"}]},
    )

    assert run.state == "success", run.errors
    inside = sandbox.event_ids(start, end)
    wanted = {e.event_id for e in sandbox.events() if e.event_id in inside and e.decoded()["event_type"] == "model"}
    assert Counter(ids_in(output / "2026-03-11")) == Counter(wanted)
    assert Manifest.read(output / "2026-03-11").request.filters[0]["value"] == "model"


def test_a_day_without_events_is_one_task_and_a_manifest(serve, output):
    serve([])

    run = run_many(output, parts=8)

    assert run.state == "success", run.errors
    assert [name for name in run.states if name.startswith("export")] == ["export[0]"]
    assert [path.name for path in output.iterdir()] == ["_manifest.json"]


def test_few_events_take_few_tasks(serve, output):
    serve(count=300)
    with DAG("few", schedule="@daily", start_date=DAY.replace(year=2025), catchup=False) as dag:
        HoneyHiveSplitWindowOperator(task_id="split", parts=16, events_per_part=150, output_path=str(output))
    assert len(run_dag(dag).xcoms["split"]) == 2


def test_a_server_without_totals_is_split_by_time(serve, output):
    sandbox = serve(behaviour=Behaviour(total="absent"))

    run = run_many(output)

    assert [part["start_time"][11:13] for part in run.result("split")] == ["00", "06", "12", "18"]
    assert_whole(output, sandbox)


def test_the_parts_are_combined_within_an_object_store(sandbox, s3, bucket):
    run = run_many(f"s3://{bucket}/day/", whole={"output_conn_id": "store"}, export={"output_conn_id": "store"})

    assert run.state == "success", run.errors
    there = {item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]}
    result = run.xcoms["combine"]
    assert {f"s3://{bucket}/{key}" for key in there} == {result["manifest_path"], *result["files"]}
    assert result["event_count"] == 300
    assert len(result["files"]) == 4


# --------------------------------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("operator", "arguments", "named"),
    [
        (HoneyHiveSplitWindowOperator, {"parts": 0}, "parts"),
        (HoneyHiveSplitWindowOperator, {"parts": 1025}, "parts"),
        (HoneyHiveSplitWindowOperator, {"events_per_part": 0}, "events_per_part"),
        (HoneyHiveSplitWindowOperator, {"project": 5}, "project"),
        (HoneyHiveSplitWindowOperator, {"start_time": "yesterday"}, "start_time"),
        (HoneyHiveSplitWindowOperator, {"filters": [{"field": "x", "operator": "like"}]}, "filters"),
        (HoneyHiveSplitWindowOperator, {"output_path": "/export/day.jsonl.gz"}, "output_path"),
        (HoneyHiveCombineExportsOperator, {"output_path": "/export/day.jsonl.gz", "exports": []}, "output_path"),
        (HoneyHiveCombineExportsOperator, {"output_path": "relative/day", "exports": []}, "output_path"),
        (HoneyHiveCombineExportsOperator, {"end_time": "yesterday", "exports": []}, "end_time"),
        (HoneyHiveCombineExportsOperator, {"on_unmatched": "error", "exports": []}, "on_unmatched"),
        (HoneyHiveExportEventsOperator, {"on_unmatched": "error"}, "on_unmatched"),
    ],
)
def test_what_cannot_be_right_is_found_when_the_dag_is_parsed(operator, arguments, named):
    with pytest.raises(InvalidArgumentError, match=named):
        operator(task_id="task", **{"output_path": "/export/day", **arguments})


@pytest.mark.parametrize("exports", [[], "{{ ti.run_id }}", [{"event_count": 3}], [["an event"]]])
def test_results_that_are_no_exports_to_files_fail_at_once(sandbox, output, exports):
    run = run_many(output, combine={"exports": exports, "retries": 2})

    assert "export.output" in run.refusal("combine")
