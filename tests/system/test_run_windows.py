"""The window of a run, kind by kind, in a real Airflow; for a scheduler see ``tests/live/test_run_windows.py``."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pendulum
import pytest
from airflow.providers.common.compat.sdk import DAG, Asset
from airflow.timetables.events import EventsTimetable
from airflow.timetables.interval import CronDataIntervalTimetable
from airflow.timetables.trigger import CronTriggerTimetable

from airflow_provider_honeyhive._compat import HAS_STATE_STORES
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.operators import honeyhive
from airflow_provider_honeyhive.operators.honeyhive import HoneyHiveExportEventsOperator
from airflow_provider_honeyhive.sandbox import Fault
from airflow_provider_honeyhive.sensors.honeyhive import HoneyHiveEventsSensor
from airflow_provider_honeyhive.tasks.watermark import Watermark

from .conftest import DAY, DAY_END
from .running import AIRFLOW_2, Run, ids_in, run_dag

HOUR = timedelta(hours=1)
NOON = DAY + 12 * HOUR
MORNING = {"start_time": "2026-03-10T06:00:00Z", "end_time": "2026-03-10T12:00:00Z"}
AIRFLOW_3_ONLY = pytest.mark.skipif(AIRFLOW_2, reason="Airflow 2 gives each run a logical date and a data interval")


def run(
    output: Any,
    logical_date: datetime | None = DAY_END,
    *,
    conf: Any = None,
    schedule: Any = "@daily",
    dag: dict[str, Any] | None = None,
    **task: Any,
) -> Run:
    """Run a DAG of one export."""
    arguments = {"start_date": DAY.replace(year=2025), "catchup": False, "max_active_runs": 1, **(dag or {})}
    with DAG("windows", schedule=schedule, **arguments) as made:
        HoneyHiveExportEventsOperator(**{"task_id": "export", "output_path": f"{output}/", **task})
    return run_dag(made, logical_date, conf=conf)


def window_in(folder: Any) -> tuple[datetime, datetime]:
    manifest = Manifest.read(folder)
    return datetime.fromisoformat(manifest.start_time), datetime.fromisoformat(manifest.end_time)


def assert_exported(done: Run, sandbox: Any, folder: Any, start: datetime, end: datetime) -> None:
    assert done.state == "success", done.errors
    assert window_in(folder) == (start, end)
    assert sorted(ids_in(folder)) == sorted(sandbox.event_ids(start, end))


# ------------------------------------------------------------------------------------------- windows that are given


@pytest.mark.parametrize("schedule", ["@daily", None])
def test_the_times_of_the_task_go_first(sandbox, output, schedule):
    done = run(
        output,
        schedule=schedule,
        start_time="{{ '2026-03-10T06:00:00Z' }}",
        end_time=NOON,
        conf={"start_time": "2026-03-10T01:00:00Z", "end_time": "2026-03-10T02:00:00Z"},
    )

    assert_exported(done, sandbox, output, DAY + 6 * HOUR, NOON)


def test_then_the_times_of_the_conf(sandbox, output):
    done = run(output, conf=MORNING, dag={"params": {"start_time": "2020-01-01", "end_time": "2020-01-02"}})

    assert_exported(done, sandbox, output, DAY + 6 * HOUR, NOON)


def test_then_the_times_of_the_params(sandbox, output):
    assert_exported(run(output, dag={"params": MORNING}), sandbox, output, DAY + 6 * HOUR, NOON)


@pytest.mark.parametrize(
    ("conf", "problem"),
    [
        ({"start_time": "2026-03-10"}, 'dag_run.conf["end_time"]: got None; give both'),
        ({"start_time": "2026-03-10", "end_time": "noon"}, "dag_run.conf[\"end_time\"]: got 'noon'; allowed"),
    ],
)
def test_half_a_window_or_a_wrong_one_in_the_conf_is_an_error(sandbox, output, conf, problem):
    done = run(output, conf=conf, retries=2)

    assert problem in done.refusal()
    assert sandbox.requests == []


# ------------------------------------------------------------------------------------------- the run's own windows


def test_a_data_interval_is_the_window(sandbox, output):
    done = run(output, schedule=CronDataIntervalTimetable("0 */6 * * *", timezone="UTC"), logical_date=NOON)

    assert_exported(done, sandbox, output, DAY + 6 * HOUR, NOON)


def test_an_interval_before_the_tick_is_the_window(sandbox, output):
    done = run(output, schedule=CronTriggerTimetable("0 12 * * *", timezone="UTC", interval=HOUR), logical_date=NOON)

    assert_exported(done, sandbox, output, NOON - HOUR, NOON)


@pytest.mark.parametrize(
    ("schedule", "tick", "start"),
    [
        pytest.param("@daily", DAY_END, DAY, id="preset"),
        pytest.param("30 */6 * * *", NOON + HOUR / 2, NOON - 5.5 * HOUR, id="cron"),
        pytest.param(CronTriggerTimetable("0 */6 * * *", timezone="UTC"), NOON, DAY + 6 * HOUR, id="trigger"),
        # The clocks go forward in the night to this day: it has 23 hours. Then 25, for they go back.
        pytest.param(
            CronTriggerTimetable("0 0 * * *", timezone="Europe/Berlin"),
            datetime(2026, 3, 29, 22, tzinfo=UTC),
            datetime(2026, 3, 28, 23, tzinfo=UTC),
            id="a day of 23 hours",
        ),
        pytest.param(
            CronTriggerTimetable("0 0 * * *", timezone="Europe/Berlin"),
            datetime(2025, 10, 26, 23, tzinfo=UTC),
            datetime(2025, 10, 25, 22, tzinfo=UTC),
            id="a day of 25 hours",
        ),
    ],
)
def test_a_tick_of_a_cron_ends_its_period(serve, output, schedule, tick, start):
    sandbox = serve(start=start - 24 * HOUR, end=tick + 24 * HOUR)

    done = run(output, schedule=schedule, logical_date=tick)

    assert_exported(done, sandbox, output, start, tick)


def test_a_tick_of_a_timedelta_ends_its_period(sandbox, output):
    assert_exported(run(output, schedule=8 * HOUR, logical_date=NOON), sandbox, output, NOON - 8 * HOUR, NOON)


@AIRFLOW_3_ONLY
def test_a_tick_of_several_crons_ends_the_time_since_the_tick_of_any(sandbox, output):
    from airflow.timetables.trigger import MultipleCronTriggerTimetable

    schedule = MultipleCronTriggerTimetable("0 6 * * *", "0 12 * * *", timezone="UTC")

    assert_exported(run(output, schedule=schedule, logical_date=NOON), sandbox, output, DAY + 6 * HOUR, NOON)


def test_a_date_of_a_list_ends_the_time_since_the_one_before(sandbox, output):
    dates = [pendulum.instance(DAY + hours * HOUR) for hours in (3, 12, 20)]

    done = run(output, schedule=EventsTimetable(event_dates=dates), logical_date=NOON)

    assert_exported(done, sandbox, output, DAY + 3 * HOUR, NOON)


def test_a_run_by_hand_between_two_ticks_takes_the_last_whole_period(sandbox, output):
    done = run(output, schedule="0 */6 * * *", logical_date=NOON + 2 * HOUR)

    assert_exported(done, sandbox, output, DAY + 6 * HOUR, NOON)


@AIRFLOW_3_ONLY
def test_a_run_by_hand_without_a_logical_date_takes_the_last_whole_period(serve, output):
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    sandbox = serve(start=today - 48 * HOUR, end=today + 24 * HOUR)

    done = run(f"{output}/{{{{ dag_run.run_after | ds }}}}", logical_date=None)

    assert_exported(done, sandbox, output / f"{today:%F}", today - 24 * HOUR, today)


# ------------------------------------------------------------------------------------- windows that continue others


def test_without_a_window_the_first_run_says_what_it_needs(sandbox, output):
    done = run(output, schedule=None, retries=2)

    assert done.state == "failed"
    assert done.retried == []
    for remedy in ("give the first run its times", "dag_run.conf", "start_time and end_time", "cron expression"):
        assert remedy in str(done.errors["export"])
    assert sandbox.requests == []
    assert not output.exists()


def test_without_a_window_runs_side_by_side_are_refused(sandbox, output):
    done = run(output, schedule=None, dag={"max_active_runs": 2})

    assert "max_active_runs=1" in str(done.errors["export"])
    assert sandbox.requests == []


def test_the_sensor_does_not_continue_anything(sandbox, output):
    with DAG("windows", schedule=None, start_date=DAY, catchup=False, max_active_runs=1) as dag:
        HoneyHiveEventsSensor(task_id="wait", poke_interval=0.2, timeout=10)

    done = run_dag(dag, None)

    assert "dag_run.conf" in str(done.errors["wait"])
    assert sandbox.requests == []


def assert_runs_meet(sandbox: Any, output: Any, **arguments: Any) -> None:
    """Run a first export with given times, then two without; the three must have all events up to now."""
    path = f"{output}/{{{{ run_id }}}}/"
    before = datetime.now(UTC)
    first = {"start_time": DAY.isoformat(), "end_time": NOON.isoformat()}
    runs = [run(path, None, schedule=None, conf=conf, delay=0, **arguments) for conf in (first, None, None)]

    assert [done.state for done in runs] == ["success"] * 3, [done.errors for done in runs]
    windows = [window_in(done.xcoms["export"]["output_path"]) for done in runs]
    assert windows[0] == (DAY, NOON)
    assert [start for start, _ in windows[1:]] == [end for _, end in windows[:-1]]
    assert before <= windows[1][1] <= windows[2][1] <= datetime.now(UTC)
    ids = [id_ for done in runs for id_ in ids_in(done.xcoms["export"]["output_path"])]
    assert sorted(ids) == sorted(sandbox.event_ids(DAY, windows[2][1]))


@pytest.mark.parametrize(
    "path", [pytest.param("{output}", id="folder"), pytest.param("{{{{ var.value.exports }}}}", id="variable")]
)
def test_without_a_window_a_run_begins_where_the_last_one_ended(sandbox, output, monkeypatch, path):
    monkeypatch.setenv("AIRFLOW_VAR_EXPORTS", str(output))
    now = datetime.now(UTC)
    sandbox.add({"event_id": name, "project": "demo", "start_time": time} for name, time in recent(now).items())

    assert_runs_meet(sandbox, path.format(output=output))

    (kept,) = [found.name for found in output.iterdir() if found.name.startswith("_")]
    assert kept.startswith("_watermark-")


def recent(now: datetime) -> dict[str, int]:
    """Return events around now, by id: some are there when the runs read, some are of the future."""
    return {f"at {seconds}": int((now.timestamp() + seconds) * 1000) for seconds in range(-60, 60)}


@pytest.mark.skipif(not HAS_STATE_STORES, reason="assets keep no state before Airflow 3.3")
def test_with_an_asset_as_outlet_the_watermark_is_beside_it(sandbox, output):
    assert_runs_meet(sandbox, output, outlets=[Asset("events of windows")])

    assert not [found for found in output.iterdir() if found.name.startswith("_")]


def test_a_run_that_is_tried_again_gets_the_same_window(sandbox, connect, output):
    connect(sandbox, max_retries=0)
    path = f"{output}/{{{{ run_id }}}}/"
    run(path, None, schedule=None, conf=MORNING)
    sandbox.faults.append(Fault.answer(503))

    done = run(path, None, schedule=None, retries=1, retry_delay=timedelta(), delay=0)

    folder = done.xcoms["export"]["output_path"]
    assert len(done.retried) == 1
    assert_exported(done, sandbox, folder, NOON, window_in(folder)[1])
    (kept,) = output.glob("_watermark-*")
    windows = json.loads(kept.read_text())["runs"].values()
    assert [window["published"] for window in windows] == [True, True]


def test_a_run_that_fails_leaves_its_time_to_the_next(sandbox, output):
    path = f"{output}/{{{{ run_id }}}}/"
    run(path, None, schedule=None, conf=MORNING)
    failed = run(path, None, schedule=None, min_events=1_000, delay=0)

    done = run(path, None, schedule=None, delay=0)

    assert failed.state == "failed"
    assert window_in(done.xcoms["export"]["output_path"])[0] == NOON


def test_what_a_run_has_published_that_died_before_it_could_say_so_is_not_exported_again(sandbox, output, monkeypatch):
    path = f"{output}/{{{{ run_id }}}}/"
    run(path, None, schedule=None, conf=MORNING)
    with monkeypatch.context() as dying:
        dying.setattr(Watermark, "advance", lambda *_: 1 / 0)
        died = run(path, None, schedule=None, delay=0)

    done = run(path, None, schedule=None, delay=0)

    assert isinstance(died.errors["export"], ZeroDivisionError)
    windows = sorted(window_in(manifest) for manifest in output.glob("*/_manifest.json"))
    assert windows[0][0] == DAY + 6 * HOUR
    assert len(windows) == 3
    assert all(earlier[1] == later[0] for earlier, later in pairwise(windows))
    assert window_in(done.xcoms["export"]["output_path"]) == windows[-1]


def test_each_path_that_a_task_is_mapped_over_continues_by_itself(sandbox, connect, output):
    connect(sandbox, max_retries=0)

    def run_mapped(conf: Any = None) -> Run:
        with DAG("windows", schedule=None, start_date=DAY, catchup=False, max_active_runs=1) as made:
            HoneyHiveExportEventsOperator.partial(task_id="export", delay=0).expand(
                output_path=[f"{output}/{{{{ run_id }}}}/{name}/" for name in "ab"]
            )
        return run_dag(made, None, conf=conf)

    run_mapped(MORNING)
    sandbox.faults.append(Fault.answer(401))
    failed, done = run_mapped(), run_mapped()

    assert (failed.state, done.state) == ("failed", "success"), (failed.errors, done.errors)
    windows = {
        name: sorted(window_in(manifest) for manifest in output.glob(f"*/{name}/_manifest.json")) for name in "ab"
    }
    # Whichever failed, neither has a gap.
    assert sorted(map(len, windows.values())) == [2, 3]
    assert all(earlier[1] == later[0] for found in windows.values() for earlier, later in pairwise(found))
    assert {found[0][0] for found in windows.values()} == {DAY + 6 * HOUR}
    assert len({found[-1] for found in windows.values()}) == 2


# --------------------------------------------------------------------------------------------------------- the delay


@pytest.fixture
def defer_always(monkeypatch):
    """Leave every wait to the triggerer, however short."""
    monkeypatch.setattr(honeyhive, "SHORT_WAIT_S", 0)


def test_a_window_is_exported_only_when_it_has_been_over_for_the_delay(serve, output, defer_always):
    now = datetime.now(UTC)
    sandbox = serve(start=now - HOUR, end=now)
    end = now - timedelta(seconds=2)

    done = run(output, conf={"start_time": str(now - HOUR), "end_time": str(end)}, delay=timedelta(seconds=5))

    assert_exported(done, sandbox, output, now - HOUR, end)
    assert datetime.fromisoformat(Manifest.read(output).started_at) >= end + timedelta(seconds=5)


def test_a_window_that_is_not_over_is_waited_for(serve, output, defer_always):
    now = datetime.now(UTC)
    sandbox = serve(start=now - HOUR, end=now + HOUR)
    end = now + timedelta(seconds=3)

    done = run(output, start_time=now - HOUR, end_time=end, delay=0)

    assert_exported(done, sandbox, output, now - HOUR, end)
    assert datetime.fromisoformat(Manifest.read(output).started_at) >= end
