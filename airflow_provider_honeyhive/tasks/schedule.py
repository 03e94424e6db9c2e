"""The periods of a DAG's schedule, from one tick to the next, as Airflow itself reckons them.

Airflow is asked for each next tick, rather than a cron library: when clocks change, Airflow has rules of its own, and
only by these does each window begin where the one before it ended. The tick before cannot be asked for (in those
nights Airflow's step backwards does not undo its step forwards), so the ticks are walked towards the moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeAlias

import pendulum

from airflow_provider_honeyhive.models.window import Window, parse_time

#: Gives the first tick after a moment.
Following: TypeAlias = Callable[[datetime], datetime]

#: How far before a moment the walk towards it begins at first, and at most.
_FIRST_STRIDE, _LONGEST_STRIDE = timedelta(minutes=5), timedelta(days=36_600)

#: Ticks that a walk needs: the first may be none that Airflow takes, where the walk begins beside a change of clocks.
_ENOUGH_TICKS = 4

#: What the partition mappers that make periods of the calendar begin a period at.
_MAPPED_STARTS = {
    "StartOfHourMapper": "0 * * * *",
    "StartOfDayMapper": "0 0 * * *",
    "StartOfWeekMapper": "0 0 * * 1",
    "StartOfMonthMapper": "0 0 1 * *",
    "StartOfQuarterMapper": "0 0 1 */3 *",
    "StartOfYearMapper": "0 0 1 1 *",
}


class Cron(NamedTuple):
    """When a schedule ticks, in which time zone."""

    expression: str
    zone: Any


def period_before(timetable: Any, moment: datetime) -> Window | None:
    """Return the last whole period of a schedule that was over at a moment, None where it has no periods.

    :param timetable: of a DAG; only of Airflow's own it is known what their ticks stand for.
    :param moment: the tick of a scheduled run, or any time.
    """
    # A schedule of assets or time holds the one of time.
    timetable = getattr(timetable, "timetable", timetable)
    if not type(timetable).__module__.startswith("airflow."):
        return None
    dates = _public(timetable, "event_dates")
    if dates is not None:
        return _last_two([date for date in sorted(map(parse_time, dates)) if date <= moment])
    crons = _public(timetable, "timetables") or [timetable]
    delta, interval = _public(timetable, "delta"), _public(crons[0], "interval")
    if delta:
        return Window(parse_time(moment - (interval or delta)), parse_time(moment))
    if not all(_public(cron, "expression") for cron in crons):
        return None
    period = _walk(_following([_cron(one) for one in crons]), moment)
    return Window(parse_time(period.end - interval), period.end) if period and interval else period


def partition_period(timetable: Any, partition_date: datetime) -> Window | None:
    """Return the period that a partition stands for, None where its length cannot be known.

    The partitions of a cron schedule are dated by its ticks. With a negative ``run_offset`` that is a tick before the
    run's own, so the period that begins there is over. Otherwise it is the run's tick or a later one, and the period
    is the one that ends there.

    :param timetable: of the DAG.
    :param partition_date: of the run.
    """
    if not hasattr(timetable, "default_partition_mapper"):
        if (_public(timetable, "run_offset") or 0) >= 0:
            return period_before(timetable, partition_date)
        starts = [_cron(timetable)]
    else:
        mappers = [*timetable.partition_mapper_config.values(), timetable.default_partition_mapper]
        starts = list(dict.fromkeys(cron for mapper in mappers for cron in _mapped_crons(mapper)))
    return Window(parse_time(partition_date), _following(starts)(partition_date)) if len(starts) == 1 else None


def _mapped_crons(mapper: Any) -> Iterator[Cron]:
    """Yield what a partition mapper begins its periods at; those that say nothing of time yield nothing."""
    expression = _MAPPED_STARTS.get(type(mapper).__name__)
    if expression is not None:
        yield Cron(expression, mapper._timezone)
    # Those made of others: the one that gives the partition its key.
    inner = [getattr(mapper, name) for name in ("upstream_mapper", "downstream_mapper") if hasattr(mapper, name)]
    inner = inner[-1:] or list(getattr(mapper, "mappers", []))
    if type(mapper).__name__ == "ChainMapper":
        inner = inner[-1:]
    for one in inner:
        yield from _mapped_crons(one)


def _walk(following: Following, moment: datetime) -> Window | None:
    stride = _FIRST_STRIDE
    while True:
        ticks = list(_ticks(following, moment - stride, moment))
        if len(ticks) >= _ENOUGH_TICKS or stride > _LONGEST_STRIDE:
            return _last_two(ticks)
        stride *= 2


def _ticks(following: Following, begin: datetime, end: datetime) -> Iterator[datetime]:
    tick = following(begin)
    while tick <= end:
        yield tick
        tick = following(tick)


def _last_two(ticks: list[datetime]) -> Window | None:
    return Window(ticks[-2], ticks[-1]) if len(ticks) > 1 else None


def _following(crons: Iterable[Cron]) -> Following:
    """Return what gives the next tick of any of the crons."""
    # Here, because DAG parsing does not need Airflow's core.
    from airflow.timetables.base import DataInterval, TimeRestriction  # noqa: PLC0415
    from airflow.timetables.trigger import CronTriggerTimetable  # noqa: PLC0415

    timetables = [CronTriggerTimetable(cron.expression, timezone=cron.zone) for cron in crons]
    unbounded = TimeRestriction(earliest=None, latest=None, catchup=True)

    def following(moment: datetime) -> datetime:
        last = DataInterval.exact(pendulum.instance(moment))
        infos = [one.next_dagrun_info(last_automated_data_interval=last, restriction=unbounded) for one in timetables]
        return min(parse_time(info.run_after) for info in infos if info is not None)

    return following


def _cron(timetable: Any) -> Cron:
    return Cron(_public(timetable, "expression"), _public(timetable, "timezone") or "UTC")


def _public(timetable: Any, name: str) -> Any:
    """Return an attribute that is public in the task SDK of Airflow 3, and underscored in Airflow 2 and in the core."""
    found = getattr(timetable, name, None)
    return getattr(timetable, f"_{name}", None) if found is None else found
