"""The window of a run where only a scheduler can make such a run: scheduled, caught up, by assets, by partitions."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_honeyhive._compat import HAS_STATE_STORES
from tests.system.running import ids_in

from .live_airflow import AIRFLOW_2, ROOT, LiveAirflow, running

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_honeyhive.sandbox import Sandbox

DAY = timedelta(days=1)
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
YESTERDAY = TODAY - DAY
LONG_AGO = "start_date=datetime(2025, 1, 1, tzinfo=UTC), catchup=False"
PARTITIONS = pytest.mark.skipif(not HAS_STATE_STORES, reason="the context knows partitions since Airflow 3.3")

DAG = """
from datetime import UTC, datetime, timedelta
from airflow.providers.common.compat.sdk import DAG, Asset, task
from airflow_provider_honeyhive.operators.honeyhive import HoneyHiveExportEventsOperator
{imports}

def export(**arguments):
    path = {folder!r} + "/{{{{ run_id }}}}/"
    HoneyHiveExportEventsOperator(task_id="export", honeyhive_conn_id="windows", output_path=path, **arguments)

with DAG({dag_id!r}, {dag}):
{body}
"""


@pytest.fixture(scope="module")
def live() -> LiveAirflow:
    return running()


@pytest.fixture
def sandbox(serve, live) -> Sandbox:
    """Serve the events of the last week, and some of the next hour."""
    sandbox = serve(count=2_000, start=TODAY - 7 * DAY, end=datetime.now(UTC) + timedelta(hours=1))
    live.connect("windows", sandbox)
    return sandbox


@pytest.fixture
def add(live, tmp_path) -> Callable[..., None]:
    """Give Airflow a DAG that exports, unless it is said to do something else."""

    def add(dag_id: str, dag: str, body: str = "export()", imports: str = "") -> None:
        indented = "\n".join(f"    {line}" for line in body.splitlines())
        live.add_dag(
            dag_id, DAG.format(dag_id=dag_id, dag=dag, body=indented, imports=imports, folder=f"{tmp_path}/{dag_id}")
        )

    return add


def window_of(live: LiveAirflow, dag_id: str, run_id: str) -> tuple[datetime, datetime]:
    result = live.xcom(dag_id, run_id, "export")
    return datetime.fromisoformat(result["start_time"]), datetime.fromisoformat(result["end_time"])


def assert_exported(live: LiveAirflow, sandbox: Sandbox, dag_id: str, run_ids: list[str], start: Any, end: Any) -> None:
    """Check that the windows of runs meet from ``start`` to ``end``, and that all events are there, each once."""
    windows = sorted(window_of(live, dag_id, run_id) for run_id in run_ids)
    assert (windows[0][0], windows[-1][1]) == (start, end)
    assert all(earlier[1] == later[0] for earlier, later in pairwise(windows)), windows
    ids = [id_ for run_id in run_ids for id_ in ids_in(live.xcom(dag_id, run_id, "export")["output_path"])]
    assert sorted(ids) == sorted(sandbox.event_ids(start, end))
    assert ids


# --------------------------------------------------------------------------------------------------- on a schedule


def test_the_daily_dag_of_the_readme_exports_yesterday(live, sandbox, tmp_path):
    live.connect("honeyhive_default", sandbox)
    blocks = re.findall(r"```python\n(.*?)```", Path(ROOT, "README.md").read_text(), re.DOTALL)
    (source,) = [block for block in blocks if '"@daily"' in block]
    assert "s3://my-bucket/" in source

    live.add_dag("honeyhive_daily", source.replace("s3://my-bucket/", f"{tmp_path}/"))
    (run_id,) = live.wait_for("honeyhive_daily")

    assert_exported(live, sandbox, "honeyhive_daily", [run_id], YESTERDAY, TODAY)
    assert (tmp_path / "honeyhive" / f"date={YESTERDAY:%F}" / "_manifest.json").exists()


def test_runs_that_are_caught_up_at_once_meet(live, sandbox, add):
    begin = TODAY - 3 * DAY
    add("caught_up", f'schedule="@daily", start_date=datetime.fromisoformat("{begin}"), catchup=True')
    # Airflow 2 starts the first run at the end of the first day, Airflow 3 at its beginning, for the day before.
    days = 3 if AIRFLOW_2 else 4

    runs = live.wait_for("caught_up", count=days)

    assert_exported(live, sandbox, "caught_up", runs, TODAY - days * DAY, TODAY)


@pytest.mark.skipif(
    AIRFLOW_2, reason="a backfill of Airflow 2 runs without its scheduler, and is no other than a catchup"
)
def test_a_backfill_exports_the_days_before_its_ticks(live, sandbox, add):
    add("filled", f'schedule="@daily", {LONG_AGO}')
    days = [f"{TODAY - ago * DAY:%F}" for ago in (5, 3)]

    live.command("backfill", "create", "--dag-id", "filled", "--from-date", days[0], "--to-date", days[1])
    runs = [run_id for run_id in live.wait_for("filled", count=4) if run_id.startswith("backfill")]

    assert len(runs) == 3
    assert_exported(live, sandbox, "filled", runs, TODAY - 6 * DAY, TODAY - 3 * DAY)


def test_runs_by_hand_export_the_last_whole_day(live, sandbox, add):
    add("by_hand", f'schedule="@daily", {LONG_AGO}')

    without = live.trigger("by_hand")
    dated = live.trigger("by_hand", logical_date=YESTERDAY + timedelta(hours=15, minutes=30))
    given = live.trigger("by_hand", {"start_time": str(YESTERDAY - DAY), "end_time": str(TODAY)})
    live.wait_for("by_hand", count=4)

    assert_exported(live, sandbox, "by_hand", [without], YESTERDAY, TODAY)
    assert_exported(live, sandbox, "by_hand", [dated], YESTERDAY - DAY, YESTERDAY)
    assert_exported(live, sandbox, "by_hand", [given], YESTERDAY - DAY, TODAY)


# -------------------------------------------------------------------------------------------------- of partitions


@PARTITIONS
def test_a_partition_of_a_cron_ends_or_begins_at_its_date(live, sandbox, add):
    imports = "from airflow.sdk import CronPartitionTimetable"
    for dag_id, offset in {"partition_ends": 0, "partition_begins": -1}.items():
        add(
            dag_id,
            f'schedule=CronPartitionTimetable("@daily", timezone="UTC", run_offset={offset}), {LONG_AGO}',
            imports=imports,
        )

    for dag_id in ("partition_ends", "partition_begins"):
        assert_exported(live, sandbox, dag_id, live.wait_for(dag_id), YESTERDAY, TODAY)


@PARTITIONS
def test_partitions_that_are_filled_in_later_meet(live, sandbox, add):
    schedule = 'CronPartitionTimetable("@daily", timezone="UTC", run_offset=-1)'
    add(
        "partition_filled", f"schedule={schedule}, {LONG_AGO}", imports="from airflow.sdk import CronPartitionTimetable"
    )
    days = [f"{TODAY - ago * DAY:%F}" for ago in (5, 3)]

    live.command("backfill", "create", "--dag-id", "partition_filled", "--from-date", days[0], "--to-date", days[1])
    runs = [run_id for run_id in live.wait_for("partition_filled", count=4) if run_id.startswith("backfill")]

    assert_exported(live, sandbox, "partition_filled", runs, TODAY - 5 * DAY, TODAY - 2 * DAY)


@PARTITIONS
def test_a_partition_of_assets_is_as_long_as_its_mapper_says(live, sandbox, add):
    imports = "from airflow.sdk import CronPartitionTimetable, PartitionedAssetTimetable, StartOfDayMapper"
    asset = 'Asset("windows of partitions")'
    mapped = f"PartitionedAssetTimetable(assets={asset}, default_partition_mapper=StartOfDayMapper())"
    add("partition_mapped", f"schedule={mapped}, {LONG_AGO}", imports=imports)
    add("partition_unmapped", f"schedule=PartitionedAssetTimetable(assets={asset}), {LONG_AGO}", imports=imports)
    add(
        "partition_source",
        f'schedule=CronPartitionTimetable("@daily", timezone="UTC", run_offset=-1), {LONG_AGO}',
        f"export(outlets=[{asset}])",
        imports,
    )

    assert_exported(live, sandbox, "partition_mapped", live.wait_for("partition_mapped"), YESTERDAY, TODAY)
    live.wait_for("partition_unmapped", state="failed")
    assert "what time that is cannot be told" in task_log(live, "partition_unmapped")


def task_log(live: LiveAirflow, dag_id: str) -> str:
    return "".join(path.read_text() for path in (live.home / "logs" / f"dag_id={dag_id}").rglob("*.log"))


# ---------------------------------------------------------------------------------------------------- by assets

SOURCE = """
@task(outlets=[Asset("windows_upstream")])
def source():
    pass

source()
"""


def test_runs_by_assets_continue_each_other_and_are_the_same_when_cleared(live, sandbox, add):
    add("upstream", f"schedule=None, {LONG_AGO}", SOURCE)
    by_asset = f'schedule=[Asset("windows_upstream")], max_active_runs=1, {LONG_AGO}'
    kinds = {
        "kept_in_folder": "export(delay=0)",
        "kept_by_asset": 'export(delay=0, outlets=[Asset("windows_downstream")])',
    }
    for dag_id, body in kinds.items():
        add(dag_id, by_asset, body)
        # The first run needs its times.
        live.trigger(dag_id, {"start_time": str(YESTERDAY), "end_time": str(TODAY)})
        live.wait_for(dag_id)

    for count in (2, 3):
        live.trigger("upstream")
        for dag_id in kinds:
            live.wait_for(dag_id, count=count)

    for dag_id in kinds:
        runs = live.runs(dag_id)
        windows = [window_of(live, dag_id, run_id) for run_id in runs]
        assert_exported(live, sandbox, dag_id, runs, YESTERDAY, windows[-1][1])
        clear(live, dag_id)
        assert [window_of(live, dag_id, run_id) for run_id in runs] == windows
    kept = {dag_id: list((folder_of(live, dag_id)).glob("_watermark-*.json")) for dag_id in kinds}
    assert len(kept["kept_in_folder"]) == 1
    assert len(kept["kept_by_asset"]) == (0 if HAS_STATE_STORES else 1)


def folder_of(live: LiveAirflow, dag_id: str) -> Path:
    return Path(live.xcom(dag_id, live.runs(dag_id)[0], "export")["output_path"]).parent


def clear(live: LiveAirflow, dag_id: str) -> None:
    """Let all runs of a DAG run again, and wait until they have."""
    tries = "SELECT count(*) FROM task_instance WHERE dag_id = ? AND state = 'success' AND try_number > 1"
    live.command("tasks", "clear", "--yes", dag_id)
    live.until(lambda: live.query(tries, dag_id) == [(len(live.runs(dag_id)),)], f"runs of {dag_id} to run again")
    live.wait_for(dag_id, count=len(live.runs(dag_id)))


@pytest.mark.skipif(not AIRFLOW_2, reason="from Airflow 3 on runs by assets have no data interval")
def test_a_run_by_datasets_takes_over_their_data_interval(live, sandbox, add):
    add("by_dataset", f'schedule=[Asset("windows_daily")], {LONG_AGO}')
    add("dataset", f'schedule="@daily", {LONG_AGO}', SOURCE.replace("windows_upstream", "windows_daily"))

    assert_exported(live, sandbox, "by_dataset", live.wait_for("by_dataset"), YESTERDAY, TODAY)


# ---------------------------------------------------------------------------------------------------- the delay


def test_until_the_delay_is_over_the_task_is_deferred(live, sandbox, add):
    add("delayed", f"schedule=None, {LONG_AGO}", "export(delay=timedelta(seconds=60))")
    end = datetime.now(UTC)

    run_id = live.trigger("delayed", {"start_time": str(TODAY - DAY), "end_time": str(end)})
    live.wait_for_task("delayed", "export", "deferred")
    before = len(sandbox.requests)
    live.wait_for("delayed")

    assert before == 0
    assert_exported(live, sandbox, "delayed", [run_id], TODAY - DAY, end)
    manifest = json.loads(Path(live.xcom("delayed", run_id, "export")["manifest_path"]).read_text())
    assert datetime.fromisoformat(manifest["started_at"]) >= end + timedelta(seconds=60)
