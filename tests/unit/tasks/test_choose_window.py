"""The window of an export task: whether it continues an earlier run, where that is kept, and when it waits."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Asset, CronTriggerTimetable, PartitionedAssetTimetable
from airflow.sdk.exceptions import TaskDeferred

from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.models.window import LATEST, Window
from airflow_provider_honeyhive.operators import honeyhive
from airflow_provider_honeyhive.operators.honeyhive import HoneyHiveExportEventsOperator
from airflow_provider_honeyhive.tasks.output_path import steady_template
from airflow_provider_honeyhive.tasks.run_window import choose_window
from airflow_provider_honeyhive.triggers import moment
from airflow_provider_honeyhive.triggers.moment import HoneyHiveMomentTrigger

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
MORNING = {"start_time": "2026-11-22T06:00:00Z", "end_time": "2026-11-22T12:00:00Z"}
#: Of the task of these tests, as version 0.1.0 reckoned it.
KEY_OF_VERSION_0_1 = "1b83f7159d4381e5"
DAILY = CronTriggerTimetable("@daily", timezone="UTC")


class Stores:
    """The state stores of some assets, as a context has them."""

    def __init__(self, *assets: Asset) -> None:
        self.kept: dict[str, dict[str, str]] = {asset.name: {} for asset in assets}

    def __getitem__(self, asset: Any) -> Any:
        if not isinstance(asset, Asset):
            raise TypeError(asset)
        texts = self.kept[asset.name]
        return SimpleNamespace(
            get=lambda key: json.loads(texts[key]) if key in texts else None,
            set=lambda key, value: texts.__setitem__(key, json.dumps(value)),
        )


@pytest.fixture
def make(tmp_path):
    """Give a function that makes a rendered export task."""

    def make(run_id: str = "a", **arguments: Any) -> HoneyHiveExportEventsOperator:
        arguments = {"task_id": "export", "output_path": f"{tmp_path}/{{{{ run_id }}}}/", **arguments}
        task = HoneyHiveExportEventsOperator(**arguments)
        if arguments["output_path"] is not None:
            task.output_path = str(arguments["output_path"]).replace("{{ run_id }}", run_id)
        return task

    return make


def context(run_id: str = "a", *, at: datetime = NOON, conf: Any = None, dag: Any = None, **more: Any) -> Any:
    dag = {"timetable": None, "max_active_runs": 1, **(dag or {})}
    return {
        "dag": SimpleNamespace(**dag),
        "dag_run": SimpleNamespace(run_after=at, conf=conf or {}, run_type="manual"),
        "ti": SimpleNamespace(dag_id="dag", task_id="export", run_id=run_id),
        **more,
    }


def export(task: HoneyHiveExportEventsOperator, run: Any, project: str = "demo") -> Window:
    window, watermark = choose_window(task, run, project)
    if watermark is not None:
        watermark.advance(window)
    return window


def test_a_run_without_a_window_continues_the_run_whose_times_were_given(make):
    assert export(make(), context("a", conf=MORNING)) == Window(NOON - 6 * HOUR, NOON)
    assert export(make("b"), context("b", at=NOON + HOUR)) == Window(NOON, NOON + HOUR)
    assert export(make("c"), context("c", at=NOON + 3 * HOUR)) == Window(NOON + HOUR, NOON + 3 * HOUR)


def test_a_given_window_is_kept_before_it_is_published(make, tmp_path):
    choose_window(make(), context(conf=MORNING), "demo")
    (file,) = tmp_path.iterdir()
    assert json.loads(file.read_text()) == {
        "runs": {
            "a": {
                "start_time": "2026-11-22T06:00:00.000Z",
                "end_time": "2026-11-22T12:00:00.000Z",
                "published": False,
                "output_path": f"{tmp_path}/a/",
            }
        },
        "version": 1,
    }


def test_windows_that_continue_end_at_whole_milliseconds_and_lose_nothing(make):
    export(make(), context(conf=MORNING))
    late = NOON + timedelta(microseconds=1_234_999)
    assert export(make("b"), context("b", at=late)).end == NOON + timedelta(microseconds=1_234_000)
    assert export(make("c"), context("c", at=NOON + HOUR)).start == NOON + timedelta(microseconds=1_234_000)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"project": "other"}, id="project"),
        pytest.param({"filters": [{"field": "event_type", "operator": "is", "value": "model"}]}, id="filters"),
        pytest.param({"evaluation_id": "run-1"}, id="evaluation"),
        pytest.param({"honeyhive_conn_id": "other"}, id="connection"),
    ],
)
def test_an_export_of_something_else_does_not_continue(make, change):
    export(make(), context(conf=MORNING))
    project = change.pop("project", "demo")
    with pytest.raises(InvalidArgumentError, match=r"(?s)none has exported anything yet.*dag_run\.conf"):
        export(make("b", **change), context("b", at=NOON + HOUR), project)


@pytest.mark.parametrize(
    ("arguments", "run", "remedy"),
    [
        pytest.param({}, {"dag": {"max_active_runs": 16}}, "max_active_runs=1", id="runs side by side"),
        pytest.param({"output_path": None}, {}, "give output_path", id="no files"),
        pytest.param({"output_path": "{{ params.folder }}/{{ run_id }}/"}, {}, "no template", id="no steady folder"),
    ],
)
def test_a_task_that_cannot_continue_says_what_it_lacks(make, arguments, run, remedy):
    for conf in ({}, MORNING):
        task = make(**arguments)
        if conf:
            assert choose_window(task, context(conf=conf, **run), "demo")[1] is None
            continue
        for said in (remedy, "dag_run.conf", "start_time and end_time", "cron expression"):
            with pytest.raises(InvalidArgumentError, match=said):
                choose_window(task, context(**run), "demo")


def test_scheduled_runs_and_their_repetitions_leave_no_watermark(make, tmp_path):
    scheduled = context(dag={"timetable": DAILY})
    assert export(make(), scheduled) == Window(NOON - 36 * HOUR, NOON - 12 * HOUR)
    assert export(make(), context(conf=MORNING, dag={"timetable": DAILY})) == Window(NOON - 6 * HOUR, NOON)
    partitioned = PartitionedAssetTimetable(assets=Asset("x"))
    export(make(), context(conf=MORNING, dag={"timetable": partitioned}, partition_date=NOON))
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------------------- many outputs of a task


def mapped(map_index: int, *, shared: Any = (), run_id: str = "a", **more: Any) -> Any:
    """Return the context of an instance of a task that is mapped over all but the arguments it shares."""
    dag = {"task_dict": {"export": SimpleNamespace(partial_kwargs=dict.fromkeys(shared))}}
    run = context(run_id, dag=dag, **more)
    run["ti"].map_index = map_index
    return run


def test_each_path_that_a_task_is_mapped_over_has_a_watermark_of_its_own(make, tmp_path):
    paths = [f"{tmp_path}/{{{{ run_id }}}}/{name}/" for name in "ab"]
    for index, path in enumerate(paths):
        export(make(output_path=path), mapped(index, conf=MORNING))
    # One fails for good; the other goes on.
    choose_window(make("b", output_path=paths[0]), mapped(0, run_id="b", at=NOON + HOUR), "demo")
    export(make("b", output_path=paths[1]), mapped(1, run_id="b", at=NOON + HOUR))
    windows = [
        # The order of the paths does not matter.
        export(make("c", output_path=path), mapped(1 - index, run_id="c", at=NOON + 2 * HOUR))
        for index, path in enumerate(paths)
    ]
    assert windows == [Window(NOON, NOON + 2 * HOUR), Window(NOON + HOUR, NOON + 2 * HOUR)]
    assert len(list(tmp_path.glob("_watermark-*"))) == 2


@pytest.mark.parametrize(
    ("path", "shared"),
    [
        pytest.param("{folder}/{{{{ ti.map_index }}}}/{{{{ run_id }}}}/", ["output_path"], id="index in the path"),
        pytest.param(SimpleNamespace(iter_references=list), (), id="argument of a group"),
    ],
)
def test_outputs_that_only_the_instance_tells_apart_have_watermarks_of_their_own(make, tmp_path, path, shared):
    outlet = Asset("events")
    stores = Stores(outlet)
    for index in range(2):
        task = make(outlets=[outlet], output_path=f"{tmp_path}/{index}/")
        task.output_path_template = path.format(folder=tmp_path) if isinstance(path, str) else path
        export(task, mapped(index, shared=shared, conf=MORNING, asset_state_store=stores))
    assert len(stores.kept["events"]) == 2


@pytest.mark.parametrize(
    "run",
    [
        pytest.param(context(conf=MORNING), id="not mapped"),
        pytest.param(mapped(-1, conf=MORNING), id="not mapped, with an index"),
        pytest.param(mapped(3, shared=["output_path"], conf=MORNING), id="mapped over something else"),
    ],
)
def test_the_watermark_of_one_output_is_where_it_always_was(make, tmp_path, run):
    export(make(), run)
    (file,) = tmp_path.iterdir()
    assert file.name == f"_watermark-{KEY_OF_VERSION_0_1}.json"


# ------------------------------------------------------------------------------------------------- the place


def test_it_is_kept_in_the_folder_that_all_runs_share(make, tmp_path):
    export(make(), context(conf=MORNING))
    (file,) = tmp_path.iterdir()
    assert file.name.startswith("_watermark-")


def test_it_is_kept_beside_the_tasks_first_asset_where_airflow_can(make, tmp_path):
    outlet, inlet = Asset("events"), Asset("upstream")
    stores = Stores(inlet, outlet)
    arguments = {"outlets": [outlet], "inlets": [inlet]}
    export(make(**arguments), context(conf=MORNING, asset_state_store=stores))
    window = export(make("b", **arguments), context("b", at=NOON + HOUR, asset_state_store=stores))
    assert window == Window(NOON, NOON + HOUR)
    (key,) = stores.kept["events"]
    assert re.fullmatch("honeyhive-watermark-[0-9a-f]{16}", key)
    assert stores.kept["upstream"] == {}
    assert list(tmp_path.iterdir()) == []


def test_assets_allow_paths_that_are_templates_from_the_beginning(make):
    outlet = Asset("events")
    run = {"asset_state_store": Stores(outlet)}
    arguments = {"outlets": [outlet], "output_path": "{{ params.folder }}/"}
    export(make(**arguments), context(conf=MORNING, **run))
    assert export(make("b", **arguments), context("b", at=NOON + HOUR, **run)).start == NOON


@pytest.mark.parametrize(
    ("template", "folder"),
    [
        ("s3://bucket/honeyhive/{{ run_id }}/", "s3://bucket/honeyhive"),
        ("s3://bucket/honeyhive/run-{{ run_id }}.jsonl.gz", "s3://bucket/honeyhive"),
        ("s3://bucket/{% if x %}a{% endif %}/day", "s3://bucket"),
        (
            "s3://{{ var.value.bucket }}/{{ dag.dag_id }}/{{ ts_nodash }}/",
            "s3://{{ var.value.bucket }}/{{ dag.dag_id }}",
        ),
        ("s3://{{ dag_run.conf.bucket }}/x/", None),
        ("s3://bucket/{{ ds }}/{{ var.value.x }}/", "s3://bucket"),
        ("/data/exports/{{ run_id }}", "/data/exports"),
        ("/{{ run_id }}", None),
        ("/data/always/", "/data/always"),
        ("{{ var.value.base }}/{{ run_id }}/", "{{ var.value.base }}"),
        ("{{ run_id }}", None),
    ],
)
def test_the_folder_that_all_runs_share_ends_before_the_first_template_that_changes(template, folder):
    assert steady_template(template) == folder


# ------------------------------------------------------------------------------------------------- the delay


@pytest.fixture
def clock(monkeypatch):
    """Let the operator's clock stand, and sleeping set it."""
    clock = SimpleNamespace(now=NOON, slept=[])

    def sleep(seconds: float) -> None:
        clock.slept.append(seconds)
        clock.now += timedelta(seconds=seconds)

    monkeypatch.setattr(honeyhive, "datetime", SimpleNamespace(now=lambda _: clock.now))
    monkeypatch.setattr(honeyhive.time, "sleep", sleep)
    return clock


def wait(task: HoneyHiveExportEventsOperator, end: datetime) -> None:
    task._wait_until_past(Window(end - HOUR, end))


@pytest.mark.parametrize("delay", [0, 600, timedelta(minutes=10)])
def test_a_window_that_is_long_enough_past_is_exported_at_once(make, clock, delay):
    wait(make(delay=delay), NOON - timedelta(minutes=10))
    assert clock.slept == []


@pytest.mark.parametrize(
    ("delay", "end"),
    [
        pytest.param(0, NOON + HOUR, id="not over"),
        pytest.param(4200, NOON - timedelta(minutes=10), id="not long enough over"),
    ],
)
def test_a_window_that_is_not_is_left_to_the_triggerer(make, clock, delay, end):
    with pytest.raises(TaskDeferred) as deferred:
        wait(make(delay=delay), end)
    assert deferred.value.method_name == "resume"
    assert deferred.value.trigger.serialize() == (
        "airflow_provider_honeyhive.triggers.moment.HoneyHiveMomentTrigger",
        {"moment": "2026-11-22T13:00:00.000Z", "event": None},
    )
    assert clock.slept == []


def test_by_default_a_window_gets_the_minutes_that_events_take_to_show(make, clock):
    wait(make(), NOON - timedelta(minutes=5))
    with pytest.raises(TaskDeferred) as deferred:
        wait(make(), NOON - timedelta(minutes=4))
    assert deferred.value.trigger.moment == "2026-11-22T12:01:00.000Z"
    assert clock.slept == []


def test_without_a_triggerer_the_wait_ends_and_a_retry_exports(make, clock):
    with pytest.raises(TaskDeferred) as deferred:
        wait(make(), NOON)
    assert deferred.value.timeout == timedelta(minutes=5, seconds=moment.BACKSTOP_S)
    clock.now += deferred.value.timeout
    wait(make(), NOON)


def test_a_delay_that_leads_out_of_the_calendar_ends_with_it(make, clock):
    with pytest.raises(TaskDeferred) as deferred:
        wait(make(delay=timedelta(days=36_500)), LATEST)
    assert deferred.value.trigger.moment == "9999-12-31T00:00:00.000Z"


def test_some_seconds_are_waited_for_in_the_worker(make, clock):
    wait(make(delay=0), NOON + timedelta(seconds=2.5))
    assert clock.slept == [2.5]


@pytest.mark.parametrize("delay", [-1, "1h", None, float("nan"), timedelta(seconds=-1), True])
def test_a_delay_that_is_none_is_found_when_the_dag_is_parsed(make, delay):
    with pytest.raises(InvalidArgumentError, match="delay: got"):
        make(delay=delay)


def test_the_trigger_fires_at_its_moment_whatever_the_clock_does_meanwhile(monkeypatch):
    now, slept = [NOON], []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        # The clock is set back once.
        now[0] += timedelta(seconds=seconds - 30 * (len(slept) == 1))

    monkeypatch.setattr(moment, "datetime", SimpleNamespace(now=lambda _: now[0]))
    monkeypatch.setattr(moment.asyncio, "sleep", sleep)

    async def events() -> list[Any]:
        return [event.payload async for event in HoneyHiveMomentTrigger("2026-11-22T12:02:00Z").run()]

    assert asyncio.run(events()) == ["2026-11-22T12:02:00Z"]
    assert slept == [60.0, 60.0, 30.0]
    assert asyncio.run(events()) == ["2026-11-22T12:02:00Z"]
    assert len(slept) == 3


def test_the_trigger_fires_with_what_it_was_given():
    given = HoneyHiveMomentTrigger("2026-11-22T12:02:00Z", {"waits": 1})
    again = HoneyHiveMomentTrigger(**given.serialize()[1])

    async def events() -> list[Any]:
        return [event.payload async for event in again.run()]

    assert asyncio.run(events()) == [{"waits": 1}]
