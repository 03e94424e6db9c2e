"""Which window a run exports, and exactly which events belong to it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from airflow.timetables.interval import CronDataIntervalTimetable
from airflow.timetables.trigger import CronTriggerTimetable

from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.operators.honeyhive import HoneyHiveExportEventsOperator
from airflow_provider_honeyhive.sandbox import Behaviour

from .conftest import DAY, DAY_END
from .running import AIRFLOW_2, ids_in, run_task

MS = timedelta(milliseconds=1)
ENDPOINTS = ("export", "search", "legacy", "project-search")
NOON = DAY.replace(hour=12)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("time_format", ["ms", "iso", "text"])
def test_the_start_belongs_to_the_window_and_the_end_to_the_next(serve, output, endpoint, time_format):
    times = {
        "before": DAY - MS,
        "start": DAY,
        "first": DAY + MS,
        "last": DAY_END - MS,
        "end": DAY_END,
        "after": DAY_END + MS,
    }
    serve(
        [
            {"event_id": name, "project": "demo", "start_time": int(time.timestamp() * 1000)}
            for name, time in times.items()
        ],
        behaviour=Behaviour(endpoints=frozenset({endpoint}), time_format=time_format),
    )

    run = run_task(lambda: HoneyHiveExportEventsOperator(task_id="export", output_path=f"{output}/"))

    assert run.state == "success"
    assert sorted(ids_in(output)) == ["first", "last", "start"]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_window_is_whole_on_each_endpoint(serve, output, endpoint):
    sandbox = serve(count=3000, behaviour=Behaviour(endpoints=frozenset({endpoint})))

    run = run_task(lambda: HoneyHiveExportEventsOperator(task_id="export", output_path=f"{output}/", page_size=500))

    assert run.state == "success"
    assert sorted(ids_in(output)) == sorted(sandbox.event_ids(DAY, DAY_END))
    assert Manifest.read(output).request.endpoint == endpoint


@pytest.mark.parametrize(
    ("schedule", "logical_date", "start", "end"),
    [
        pytest.param("@daily", DAY_END, DAY, DAY_END, id="cron preset"),
        pytest.param("30 */6 * * *", NOON.replace(minute=30), NOON - timedelta(hours=5.5), None, id="cron"),
        pytest.param(
            "0 */6 * * *", NOON + timedelta(hours=2), NOON - timedelta(hours=6), NOON, id="cron, between two ticks"
        ),
        pytest.param(timedelta(hours=8), NOON, NOON - timedelta(hours=8), NOON, id="delta"),
        pytest.param(CronDataIntervalTimetable("@daily", timezone="UTC"), DAY_END, DAY, DAY_END, id="data interval"),
        pytest.param(
            CronTriggerTimetable("0 12 * * *", timezone="UTC", interval=timedelta(hours=1)),
            NOON,
            NOON - timedelta(hours=1),
            NOON,
            id="trigger with an interval",
        ),
        pytest.param(
            # The clocks go forward in the night to this day: it has 23 hours.
            CronTriggerTimetable("0 0 * * *", timezone="Europe/Berlin"),
            datetime(2026, 3, 29, 22, tzinfo=UTC),
            datetime(2026, 3, 28, 23, tzinfo=UTC),
            datetime(2026, 3, 29, 22, tzinfo=UTC),
            id="cron of another time zone",
        ),
    ],
)
def test_without_times_a_run_exports_its_own_period(serve, output, schedule, logical_date, start, end):
    end = end or logical_date
    sandbox = serve(start=start - timedelta(days=1), end=end + timedelta(days=1))

    run = run_task(
        lambda: HoneyHiveExportEventsOperator(task_id="export", output_path=f"{output}/"),
        logical_date,
        schedule=schedule,
    )

    assert run.state == "success"
    manifest = Manifest.read(output)
    assert (manifest.start_time, manifest.end_time) == (f"{start:%FT%T}.000000Z", f"{end:%FT%T}.000000Z")
    assert sorted(ids_in(output)) == sorted(sandbox.event_ids(start, end))


NO_WINDOW = [pytest.param(None, DAY_END, id="no schedule")]
if not AIRFLOW_2:
    NO_WINDOW.append(pytest.param("@daily", None, id="triggered without a logical date"))


@pytest.mark.parametrize(("schedule", "logical_date"), NO_WINDOW)
def test_a_run_without_a_window_fails_at_once_and_says_what_to_do(sandbox, output, schedule, logical_date):
    run = run_task(
        lambda: HoneyHiveExportEventsOperator(task_id="export", output_path=f"{output}/", retries=2),
        logical_date,
        schedule=schedule,
    )

    assert run.state == "failed"
    assert run.retried == []
    for remedy in ("start_time and end_time", "cron expression", "logical date"):
        assert remedy in str(run.errors["export"])
    assert sandbox.requests == []
    assert not output.exists()


@pytest.mark.parametrize(("schedule", "logical_date"), NO_WINDOW)
def test_a_run_without_a_window_exports_the_times_it_is_given(sandbox, output, schedule, logical_date):
    run = run_task(
        lambda: HoneyHiveExportEventsOperator(
            task_id="export", output_path=f"{output}/", start_time="2026-03-10T06:00:00Z", end_time=NOON
        ),
        logical_date,
        schedule=schedule,
    )

    assert run.state == "success"
    assert sorted(ids_in(output)) == sorted(sandbox.event_ids(DAY.replace(hour=6), NOON))


def test_a_window_without_events_leaves_a_manifest_and_no_part(serve, output):
    serve([])

    run = run_task(lambda: HoneyHiveExportEventsOperator(task_id="export", output_path=f"{output}/"))

    assert run.state == "success"
    assert [path.name for path in output.iterdir()] == ["_manifest.json"]
    assert Manifest.read(output).event_count == 0
    assert run.xcoms["export"]["event_count"] == 0
    assert run.xcoms["export"]["files"] == []


def test_a_second_run_replaces_the_first_and_gives_the_same_files(sandbox, output):
    digests = []
    for _ in range(2):
        run = run_task(lambda: HoneyHiveExportEventsOperator(task_id="export", output_path=f"{output}/"))
        assert run.state == "success"
        digests.append([part.sha256 for part in Manifest.read(output).files])

    assert digests[0] == digests[1]
    assert len(list(output.iterdir())) == 2
