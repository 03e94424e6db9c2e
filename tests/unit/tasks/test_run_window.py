"""The window of a run, by what its context says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import Enum
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import (
    Asset,
    AssetOrTimeSchedule,
    CronPartitionTimetable,
    CronTriggerTimetable,
    PartitionedAssetTimetable,
)

from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.models.window import Window
from airflow_provider_honeyhive.tasks.run_window import given_window, own_window, run_window, triggered_at

DAY = Window(datetime(2026, 11, 22, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC))
OTHER = Window(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 8, tzinfo=UTC))
GIVEN = {"start_time": "2026-03-01", "end_time": "2026-03-08"}
AFTERNOON = DAY.end + timedelta(hours=15, minutes=30)
DAILY = CronTriggerTimetable("@daily", timezone="UTC")


class RunType(str, Enum):  # noqa: UP042 - as Airflow has it
    ASSET_TRIGGERED = "asset_triggered"


def context(timetable: Any = None, *, tick: Any = None, params: Any = None, **run: Any) -> dict[str, Any]:
    """Return a context as Airflow 3 gives it: what a run does not have is not in it."""
    given: dict[str, Any] = {
        "dag": SimpleNamespace(timetable=timetable),
        "dag_run": SimpleNamespace(**{"run_after": AFTERNOON, "conf": {}, "run_type": "manual", **run}),
        "params": params or {},
        "partition_date": None,
    }
    if tick is not None:
        given |= {"data_interval_start": tick, "data_interval_end": tick, "logical_date": tick}
    return given


# ----------------------------------------------------------------------------------------- a window of its own


def test_a_data_interval_with_a_length_is_the_window():
    interval = {"data_interval_start": OTHER.start, "data_interval_end": OTHER.end}
    assert own_window({**context(DAILY, tick=DAY.end), **interval}) == OTHER


def test_a_tick_ends_the_period_of_the_schedule():
    assert own_window(context(DAILY, tick=DAY.end)) == DAY


def test_a_run_with_a_logical_date_between_two_ticks_takes_the_period_that_was_over():
    assert own_window(context(DAILY, tick=AFTERNOON)) == DAY


def test_a_run_without_a_logical_date_takes_the_period_that_was_over_when_it_was_triggered():
    assert own_window(context(DAILY)) == DAY


def test_the_tick_counts_and_not_the_time_of_triggering():
    assert own_window(context(DAILY, tick=OTHER.end)) == Window(OTHER.end - timedelta(days=1), OTHER.end)


def test_a_run_of_a_partition_takes_its_period():
    run = {**context(CronPartitionTimetable("@daily", timezone="UTC")), "partition_date": OTHER.end}
    assert own_window(run) == Window(OTHER.end - timedelta(days=1), OTHER.end)


def test_a_partition_of_unknown_length_is_an_error_with_remedies():
    run = {**context(PartitionedAssetTimetable(assets=Asset("x"))), "partition_date": DAY.start}
    with pytest.raises(InvalidArgumentError, match=r"(?s)2026-11-22.*\{\{ partition_date \}\}.*dag_run\.conf"):
        own_window(run)


def test_the_time_of_a_partition_without_a_date_is_not_guessed():
    timetable = CronPartitionTimetable("@daily", timezone="UTC")
    with pytest.raises(InvalidArgumentError, match=r"(?s)partition 2026-11-01T00:00:00.*dag_run\.conf"):
        own_window(context(timetable, partition_key="2026-11-01T00:00:00"))
    assert own_window(context(partition_key="eu")) is None


@pytest.mark.parametrize("run_type", ["asset_triggered", "dataset_triggered", RunType.ASSET_TRIGGERED])
def test_a_run_that_assets_have_triggered_takes_no_period_of_a_schedule(run_type):
    timetable = AssetOrTimeSchedule(timetable=DAILY, assets=[Asset("x")])
    assert own_window(context(timetable, run_type=run_type)) is None
    assert own_window(context(timetable, run_type="scheduled", tick=DAY.end)) == DAY


@pytest.mark.parametrize("run", [{}, context(), context(tick=DAY.end)])
def test_a_run_without_a_window_is_an_error_with_remedies(run):
    assert own_window(run) is None
    for remedy in ("dag_run.conf", "start_time and end_time", "cron expression", "HoneyHiveExportEventsOperator"):
        with pytest.raises(InvalidArgumentError, match=remedy):
            run_window(run)


# ---------------------------------------------------------------------------------------------- given windows


@pytest.mark.parametrize(
    ("run", "window"),
    [
        pytest.param(context(DAILY, tick=DAY.end, conf=GIVEN), OTHER, id="by the conf"),
        pytest.param(context(DAILY, tick=DAY.end, params=GIVEN), OTHER, id="by params"),
        pytest.param(
            context(conf=GIVEN, params={"start_time": "2020-01-01", "end_time": "2020-01-02"}), OTHER, id="conf first"
        ),
        pytest.param(context(conf={"start_time": "", "end_time": None}, params=GIVEN), OTHER, id="none in the conf"),
        pytest.param(
            context(conf={"start_time": OTHER.start.timestamp(), "end_time": OTHER.end}), OTHER, id="in other forms"
        ),
        pytest.param(context(DAILY, tick=DAY.end, conf=None), DAY, id="without a conf"),
        pytest.param(context(DAILY, tick=DAY.end, conf={"other": 1}), DAY, id="not by other keys"),
    ],
)
def test_what_the_run_was_given_goes_first(run, window):
    assert run_window(run) == window


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"start_time": "2026-03-01"}, r'\["end_time"\]: got None; give both'),
        ({"end_time": "2026-03-01", "start_time": ""}, r"\[\"start_time\"\]: got ''; give both"),
        ({"start_time": "yesterday", "end_time": "2026-03-01"}, r"\[\"start_time\"\]: got 'yesterday'; allowed"),
        ({"start_time": "2026-03-01", "end_time": [1]}, r'\["end_time"\]: got \[1\]; allowed'),
        ({"start_time": "2026-03-01", "end_time": "2026-03-01"}, r'\["end_time"\]: .* it must be after'),
    ],
)
@pytest.mark.parametrize(("key", "place"), [("conf", "dag_run.conf"), ("params", "params")])
def test_a_given_window_is_checked_and_the_error_says_where_it_was_given(values, problem, key, place):
    with pytest.raises(InvalidArgumentError, match=f"^{place}{problem}"):
        given_window(context(DAILY, **{key: values}))


# -------------------------------------------------------------------------------------------------------- now


def test_now_is_when_the_run_was_triggered():
    assert triggered_at(context(tick=DAY.end)) == AFTERNOON


def test_airflow_2_says_it_by_the_data_interval():
    assert triggered_at({"dag_run": SimpleNamespace(conf={}), "data_interval_end": DAY.end}) == DAY.end
    assert triggered_at({}) is None


def said_of(caplog):
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize(
    ("context", "times", "source"),
    [
        ({}, ("2026-11-22", "2026-11-23"), "start_time and end_time of the task"),
        ({"dag_run": SimpleNamespace(conf={"start_time": DAY.start, "end_time": DAY.end})}, (), "of dag_run.conf"),
        ({"params": {"start_time": DAY.start, "end_time": DAY.end}}, (), "of params"),
        ({"data_interval_start": DAY.start, "data_interval_end": DAY.end}, (), "the run's own"),
    ],
)
def test_the_log_says_where_the_window_comes_from(context, times, source, caplog):
    caplog.set_level("INFO")

    window = run_window(context, *times)

    (said,) = said_of(caplog)
    assert said.startswith(f"The window is {window}: ")
    assert source in said


@pytest.mark.parametrize(
    ("name", "meant"),
    [("start_date", "start_time"), ("endTime", "end_time"), ("end", "end_time"), ("since", "start_time")],
)
def test_a_name_in_the_conf_that_is_like_one_that_is_asked_for_is_warned_of(name, meant, caplog):
    context = {"dag_run": SimpleNamespace(conf={name: "2026-11-22"}), "data_interval_start": DAY.start}

    run_window(context | {"data_interval_end": DAY.end})

    (said,) = [one for one in said_of(caplog) if "dag_run.conf" in one]
    assert said == f"This task makes nothing of '{name}' in dag_run.conf: did you mean {meant}?"


def test_other_names_in_the_conf_are_nobodys_business(caplog):
    context = {"dag_run": SimpleNamespace(conf={"event_type": "model", "send": True, "environment": "x", 7: 8})}

    run_window(context | {"data_interval_start": DAY.start, "data_interval_end": DAY.end})

    assert not [one for one in said_of(caplog) if "dag_run.conf" in one]
