"""Assets that a task produces are told of its export; on Airflow 2.11 they are called datasets."""

from __future__ import annotations

import json
from contextlib import closing
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import DAG, Asset, AssetAlias, task

from airflow_provider_honeyhive._compat import HAS_STATE_STORES
from airflow_provider_honeyhive.build_manifest import BuildManifest
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.models.filters import EventFilter
from airflow_provider_honeyhive.operators.dataset import HoneyHiveBuildDatasetOperator
from airflow_provider_honeyhive.operators.honeyhive import HoneyHiveExportEventsOperator
from airflow_provider_honeyhive.operators.mapped import HoneyHiveCombineExportsOperator, HoneyHiveSplitWindowOperator
from airflow_provider_honeyhive.operators.report import HoneyHiveReportOperator
from airflow_provider_honeyhive.operators.tables import HoneyHiveBuildTablesOperator

from .conftest import DAY, KEY
from .running import AIRFLOW_2, Run, run_dag

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TABLE, KIND = ("dataset_event", "dataset") if AIRFLOW_2 else ("asset_event", "asset")
NUMBERS = count()
WINDOW = {"start_time": "2026-03-10T00:00:00.000Z", "end_time": "2026-03-11T00:00:00.000Z"}


def asset(name: str) -> Any:
    return Asset(f"honeyhive://assets/{name}")


def events_of(uri: str, columns: str = "extra") -> list[Any]:
    """Return columns of an asset's events, oldest first."""
    from airflow.settings import engine

    with closing(engine.raw_connection()) as database:
        return database.execute(
            f"SELECT e.{columns} FROM {TABLE} e JOIN {KIND} a ON a.id = e.{KIND}_id WHERE a.uri = ? ORDER BY e.id",
            (uri,),
        ).fetchall()


def run(make: Callable[[], Any], schedule: Any = "@daily") -> Run:
    """Run a DAG whose assets Airflow knows."""
    # Each its own, because the API of Airflow 3.1 does not notice that a DAG has changed.
    with DAG(f"told_{next(NUMBERS)}", schedule=schedule, start_date=DAY.replace(year=2025), catchup=False) as dag:
        make()
    if AIRFLOW_2:
        # Airflow 3 has to know a DAG anyway.
        DAG.bulk_write_to_db([dag])
    return run_dag(dag)


def export(output: Path | None = None, **arguments: Any) -> Run:
    """Run a DAG that has only an export: to a folder, or else to XCom."""
    path = {"xcom_max_bytes": 5_000_000} if output is None else {"output_path": f"{output}/"}
    return run(lambda: HoneyHiveExportEventsOperator(task_id="export", **path, **arguments))


def extra_of(uri: str) -> dict[str, Any]:
    ((extra,),) = events_of(uri)
    found: dict[str, Any] = json.loads(extra)
    return found


def facts_of(folder: Any, event_count: int = 300) -> dict[str, Any]:
    manifest = Manifest.read(folder)
    return {
        **WINDOW,
        "project": "demo",
        "event_count": event_count,
        "reported_total": event_count,
        "output_path": str(folder),
        "manifest_path": f"{folder}/_manifest.json",
        "file_count": len(manifest.files),
        "size_bytes": manifest.size_bytes,
        "file_format": "jsonl",
        "compression": "gzip",
    }


def test_the_event_of_an_asset_has_the_facts_of_the_export(sandbox, output):
    files = asset("files")
    done = export(output, outlets=[files])
    assert done.state == "success"
    extra = extra_of(files.uri)
    assert extra == facts_of(output)
    assert KEY not in json.dumps(extra)


def test_the_events_of_assets_of_builds_have_their_facts(sandbox, output):
    assets = [asset(f"built_{kind}") for kind in ("tables", "dataset", "report")]

    def make() -> None:
        exported = HoneyHiveExportEventsOperator(task_id="export", output_path=f"{output}/events/").output
        tables = HoneyHiveBuildTablesOperator(
            task_id="tables", export=exported, output_path=f"{output}/tables/", outlets=[assets[0]]
        )
        HoneyHiveBuildDatasetOperator(
            task_id="dataset", export=exported, output_path=f"{output}/dataset/", outlets=[assets[1]]
        )
        HoneyHiveReportOperator(
            task_id="report", tables=tables.output, output_path=f"{output}/report/", outlets=[assets[2]]
        )

    done = run(make)

    assert done.state == "success", done.errors
    for told in assets:
        extra = extra_of(told.uri)
        built = BuildManifest.read(extra["manifest_path"])
        assert told.uri.endswith(f"built_{built.kind}")
        assert extra == {name: fact for name, fact in built.summary().items() if not isinstance(fact, dict)}
        assert extra.items() >= {**WINDOW, "project": "demo", "event_count": 300}.items()


def test_an_empty_window_is_told_too(sandbox, output):
    empty, filters = asset("empty"), [EventFilter(field="event_type", operator="is", value="nothing")]
    export(output, filters=filters, outlets=[empty])
    extra = extra_of(empty.uri)
    assert (extra["event_count"], extra["file_count"]) == (0, 0)


def test_events_that_are_the_result_are_told_without_their_content(sandbox):
    result = asset("result")
    export(outlets=[result])
    assert extra_of(result.uri) == {**WINDOW, "project": "demo", "event_count": 300}


def test_the_combination_tells_of_all_parts(sandbox, output):
    whole = asset("whole")

    def make() -> None:
        split = HoneyHiveSplitWindowOperator(task_id="split", parts=2, output_path=f"{output}/")
        exports = HoneyHiveExportEventsOperator.partial(task_id="export").expand_kwargs(split.output)
        HoneyHiveCombineExportsOperator(
            task_id="combine", output_path=f"{output}/", exports=exports.output, outlets=[whole]
        )

    assert run(make).state == "success"
    assert extra_of(whole.uri) == facts_of(output)


def test_an_alias_gets_the_folder_as_its_asset(sandbox, output):
    done = export(output, outlets=[AssetAlias("days of events")])
    assert done.state == "success"
    assert extra_of(output.as_uri()) == facts_of(output)


def test_a_failed_export_tells_nothing(sandbox, output):
    failed = asset("failed")
    done = export(output, min_events=301, outlets=[failed])
    assert done.state == "failed"
    assert events_of(failed.uri) == []


def test_inlets_and_foreign_extras_stay(sandbox, output):
    known, added = asset("known"), asset("added")

    @task(outlets=[known])
    def source():
        pass

    def add_team(context: Any) -> None:
        context["outlet_events"][added].extra["team"] = "search"

    def make() -> None:
        source() >> HoneyHiveExportEventsOperator(task_id="without", output_path=f"{output}-1/", inlets=[known])
        HoneyHiveExportEventsOperator(
            task_id="with", output_path=f"{output}-2/", inlets=[known], outlets=[added], pre_execute=add_team
        )

    done = run(make)
    assert done.state == "success", done.errors
    assert len(events_of(known.uri)) == 1
    assert extra_of(added.uri)["team"] == "search"
    assert extra_of(added.uri)["event_count"] == 300


@pytest.mark.skipif(not HAS_STATE_STORES, reason="tasks say their partition since Airflow 3.3")
def test_where_tasks_say_their_partition_the_event_has_the_windows_start(sandbox, output):
    from airflow.sdk import PartitionedAtRuntime

    parted = asset("parted")
    done = run(
        lambda: HoneyHiveExportEventsOperator(task_id="export", output_path=f"{output}/", outlets=[parted], **WINDOW),
        schedule=PartitionedAtRuntime(),
    )
    assert done.state == "success", done.errors
    assert events_of(parted.uri, "partition_key") == [("2026-03-10T00:00:00",)]
