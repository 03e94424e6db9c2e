"""The periods of schedules: those between the ticks at which Airflow starts runs, also when clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pendulum
import pytest
from airflow.sdk import (
    Asset,
    AssetOrTimeSchedule,
    CronDataIntervalTimetable,
    CronPartitionTimetable,
    CronTriggerTimetable,
    DayWindow,
    DeltaTriggerTimetable,
    EventsTimetable,
    IdentityMapper,
    MultipleCronTriggerTimetable,
    PartitionedAssetTimetable,
    RollupMapper,
    WeekWindow,
)
from airflow.sdk.definitions.partition_mappers import chain, product, temporal
from airflow.sdk.definitions.timetables.simple import NullTimetable
from airflow.timetables import trigger as core
from airflow.timetables.base import DataInterval, TimeRestriction
from dateutil.relativedelta import relativedelta
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_honeyhive.models.window import Window
from airflow_provider_honeyhive.tasks.schedule import partition_period, period_before

DAY = datetime(2026, 11, 22, tzinfo=UTC)
DAY_END = datetime(2026, 11, 23, tzinfo=UTC)
AFTERNOON = DAY_END + timedelta(hours=15, minutes=30)
HOUR = timedelta(hours=1)


def next_tick(expression: str, zone: str, moment: datetime) -> datetime:
    """Return when the scheduler starts the run after one at ``moment``."""
    last = DataInterval.exact(pendulum.instance(moment))
    info = core.CronTriggerTimetable(expression, timezone=zone).next_dagrun_info(
        last_automated_data_interval=last, restriction=TimeRestriction(None, None, catchup=True)
    )
    assert info is not None
    return datetime.fromtimestamp(info.run_after.timestamp(), UTC)


def ticks_from(expression: str, zone: str, begin: datetime, count: int) -> list[datetime]:
    ticks = [next_tick(expression, zone, begin)]
    while len(ticks) < count:
        ticks.append(next_tick(expression, zone, ticks[-1]))
    return ticks


def assert_windows_meet(expression: str, zone: str, begin: datetime, count: int) -> None:
    timetable = CronTriggerTimetable(expression, timezone=zone)
    ticks = ticks_from(expression, zone, begin, count)
    # The first of them may lie beside the schedule, where the clocks have changed since the one before.
    periods = [period_before(timetable, tick) for tick in ticks[1:]]
    assert [period.end for period in periods if period] == ticks[1:]
    assert [period.start for period in periods[1:] if period] == ticks[1:-1]


# ------------------------------------------------------------------------------------- when clocks change

#: Days on which clocks changed, forward or back, by an hour, half an hour or a whole day.
CHANGES = {
    "Europe/Berlin": ["2026-03-29", "2026-10-25"],
    "America/New_York": ["2026-03-08", "2026-11-01"],
    "America/Sao_Paulo": ["2018-02-18", "2018-11-04"],
    "Australia/Lord_Howe": ["2026-04-05", "2026-10-04"],
    "Africa/Casablanca": ["2026-02-15", "2026-03-22"],
    "Pacific/Apia": ["2011-12-30"],
    "UTC": ["2026-01-01"],
}
change = st.sampled_from([(zone, day) for zone, days in CHANGES.items() for day in days])


def cron_field(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    return st.one_of(
        number.map(str),
        st.integers(2, max(2, high // 2)).map("*/{}".format),
        st.tuples(number, number).filter(lambda pair: pair[0] < pair[1]).map(lambda pair: "{}-{}".format(*pair)),
        st.sets(number, min_size=2, max_size=3).map(lambda numbers: ",".join(map(str, sorted(numbers)))),
    )


crons = st.one_of(
    # At any hours, but then on every day: see the test after these.
    st.tuples(cron_field(0, 59), st.just("*")).map("{0[0]} {0[1]} * * *".format),
    st.tuples(cron_field(0, 59), cron_field(0, 5), st.sampled_from(["*", "6-7", "0,3"])).map(
        "{0[0]} {0[1]} * * {0[2]}".format
    ),
    st.tuples(cron_field(0, 59), cron_field(0, 23), cron_field(1, 28)).map("{0[0]} {0[1]} {0[2]} * *".format),
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(crons, change, st.integers(0, 36 * 60))
def test_windows_of_successive_runs_meet_when_clocks_change(expression, change, minutes_before):
    zone, day = change
    begin = datetime.fromisoformat(f"{day}T12:00:00Z") - timedelta(minutes=minutes_before)
    assert_windows_meet(expression, zone, begin, 7)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(crons, change, st.integers(0, 36 * 60), st.floats(0, 0.999))
def test_between_two_ticks_it_is_the_period_that_ended_at_the_first(expression, change, minutes_before, share):
    zone, day = change
    begin = datetime.fromisoformat(f"{day}T12:00:00Z") - timedelta(minutes=minutes_before)
    _, before, tick, after = ticks_from(expression, zone, begin, 4)
    moment = tick + (after - tick) * share
    assert period_before(CronTriggerTimetable(expression, timezone=zone), moment) == Window(before, tick)


def test_hours_of_some_days_meet_over_the_days_between_although_airflow_shifts_their_first_one():
    # Airflow goes from Monday's last hour to the next Monday's 01:00, because that week has an hour less.
    assert_windows_meet("0 * * * 1", "Europe/Berlin", datetime(2026, 3, 23, 12, tzinfo=UTC), 20)
    # Here to Sunday 23:00, for an hour more.
    assert_windows_meet("0 * * * 1", "Europe/Berlin", datetime(2026, 10, 19, 12, tzinfo=UTC), 20)


@pytest.mark.parametrize(
    ("tick", "start"),
    [
        pytest.param(datetime(2026, 3, 29, 22, tzinfo=UTC), datetime(2026, 3, 28, 23, tzinfo=UTC), id="23 hours"),
        pytest.param(datetime(2026, 10, 25, 23, tzinfo=UTC), datetime(2026, 10, 24, 22, tzinfo=UTC), id="25 hours"),
    ],
)
def test_a_local_day_has_the_hours_that_the_clocks_leave_it(tick, start):
    timetable = CronTriggerTimetable("@daily", timezone="Europe/Berlin")
    assert period_before(timetable, tick) == Window(start, tick)


def test_a_time_that_the_clocks_skip_is_no_empty_period():
    # 02:30 becomes 03:30 on that day.
    tick = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    timetable = CronTriggerTimetable("30 2 * * *", timezone="Europe/Berlin")
    assert period_before(timetable, tick) == Window(datetime(2026, 3, 28, 1, 30, tzinfo=UTC), tick)


# ------------------------------------------------------------------------------------- kinds of schedules


@pytest.mark.parametrize(
    ("timetable", "start", "end"),
    [
        pytest.param(CronTriggerTimetable("@daily", timezone="UTC"), DAY, DAY_END, id="cron"),
        pytest.param(core.CronTriggerTimetable("0 0 * * *", timezone="UTC"), DAY, DAY_END, id="cron, as in Airflow 2"),
        pytest.param(CronDataIntervalTimetable("@daily", timezone="UTC"), DAY, DAY_END, id="data interval"),
        pytest.param(
            CronTriggerTimetable("@daily", timezone="UTC", interval=HOUR), DAY_END - HOUR, DAY_END, id="interval"
        ),
        pytest.param(
            CronTriggerTimetable("@yearly", timezone="UTC"),
            DAY.replace(year=2025, month=1, day=1),
            DAY.replace(month=1, day=1),
            id="yearly",
        ),
        pytest.param(
            CronTriggerTimetable("0 0 29 2 *", timezone="UTC"),
            DAY.replace(year=2020, month=2, day=29),
            DAY.replace(year=2024, month=2, day=29),
            id="in leap years",
        ),
        pytest.param(
            MultipleCronTriggerTimetable("0 6 * * *", "30 14 * * *", timezone="UTC"),
            DAY_END.replace(hour=6),
            DAY_END.replace(hour=14, minute=30),
            id="several crons",
        ),
        pytest.param(DeltaTriggerTimetable(2 * HOUR), AFTERNOON - 2 * HOUR, AFTERNOON, id="delta"),
        pytest.param(
            DeltaTriggerTimetable(relativedelta(months=1)), AFTERNOON.replace(month=10), AFTERNOON, id="months"
        ),
        pytest.param(
            EventsTimetable([pendulum.instance(DAY_END), pendulum.instance(DAY), pendulum.instance(AFTERNOON + HOUR)]),
            DAY,
            DAY_END,
            id="dates",
        ),
        pytest.param(
            AssetOrTimeSchedule(timetable=CronTriggerTimetable("@daily", timezone="UTC"), assets=[Asset("x")]),
            DAY,
            DAY_END,
            id="assets or time",
        ),
    ],
)
def test_the_last_whole_period_before_a_moment(timetable, start, end):
    assert period_before(timetable, AFTERNOON) == Window(start, end)


class Workdays(CronTriggerTimetable):
    """A schedule of a user's own."""


@pytest.mark.parametrize(
    "timetable",
    [
        pytest.param(NullTimetable(), id="none"),
        pytest.param(None, id="unknown"),
        pytest.param(EventsTimetable([pendulum.instance(DAY)]), id="the first of its dates"),
        pytest.param(Workdays("@daily", timezone="UTC"), id="a user's own"),
    ],
)
def test_a_schedule_without_periods_has_none(timetable):
    assert period_before(timetable, AFTERNOON) is None


# --------------------------------------------------------------------------------------------- partitions

ASSET = Asset("events")


@pytest.mark.parametrize(
    ("run_offset", "start", "end"),
    [
        pytest.param(None, DAY, DAY_END, id="by default it ends at the date"),
        pytest.param(0, DAY, DAY_END, id="dated by the run's tick"),
        pytest.param(1, DAY, DAY_END, id="dated by a later tick"),
        pytest.param(-1, DAY_END, DAY_END + timedelta(days=1), id="dated by the tick before"),
        pytest.param(-3, DAY_END, DAY_END + timedelta(days=1), id="dated by an earlier tick"),
    ],
)
def test_a_partition_of_a_cron_ends_or_begins_at_its_date(run_offset, start, end):
    timetable = CronPartitionTimetable("@daily", timezone="UTC", run_offset=run_offset)
    assert partition_period(timetable, DAY_END) == Window(start, end)


def test_a_partition_that_begins_at_its_date_is_as_long_as_the_clocks_make_it():
    timetable = CronPartitionTimetable("@daily", timezone="Europe/Berlin", run_offset=-1)
    start = datetime(2026, 10, 24, 22, tzinfo=UTC)
    assert partition_period(timetable, start) == Window(start, start + 25 * HOUR)


DAYS = temporal.StartOfDayMapper(timezone="Europe/Berlin")
#: A day of 25 hours begins.
MIDNIGHT = datetime(2026, 10, 24, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("mapper", "start", "end"),
    [
        (temporal.StartOfHourMapper(timezone="Europe/Berlin"), MIDNIGHT, MIDNIGHT + HOUR),
        (DAYS, MIDNIGHT, MIDNIGHT + 25 * HOUR),
        (temporal.StartOfWeekMapper(), datetime(2026, 11, 23, tzinfo=UTC), datetime(2026, 11, 30, tzinfo=UTC)),
        (temporal.StartOfMonthMapper(), datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)),
        (temporal.StartOfQuarterMapper(), datetime(2026, 10, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        (temporal.StartOfYearMapper(), datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        (chain.ChainMapper(temporal.StartOfHourMapper(), DAYS), MIDNIGHT, MIDNIGHT + 25 * HOUR),
        (product.ProductMapper(IdentityMapper(), DAYS), MIDNIGHT, MIDNIGHT + 25 * HOUR),
        (RollupMapper(upstream_mapper=DAYS, window=DayWindow()), MIDNIGHT, MIDNIGHT + 25 * HOUR),
        (
            temporal.FanOutMapper(
                upstream_mapper=temporal.StartOfWeekMapper(), window=WeekWindow(), downstream_mapper=DAYS
            ),
            MIDNIGHT,
            MIDNIGHT + 25 * HOUR,
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_partition_of_assets_is_what_their_mapper_makes_of_keys(mapper, start, end):
    timetable = PartitionedAssetTimetable(assets=ASSET, partition_mapper_config={ASSET: mapper})
    assert partition_period(timetable, start) == Window(start, end)


@pytest.mark.parametrize(
    "config",
    [
        pytest.param({}, id="keys as they come"),
        pytest.param(
            {ASSET: temporal.StartOfDayMapper(), Asset("other"): temporal.StartOfHourMapper()}, id="two lengths"
        ),
    ],
)
def test_a_partition_of_assets_whose_length_nobody_says_has_no_period(config):
    timetable = PartitionedAssetTimetable(assets=ASSET, partition_mapper_config=config)
    assert partition_period(timetable, DAY) is None
