"""The window of a run, whatever kind of run it is: scheduled, by hand, of a partition, triggered by assets.

Of Airflow it knows the shape of a task's context. Only a run that has no window of its own depends on earlier ones, by
:mod:`.watermark`; all others may be repeated, caught up and run side by side.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive.display import get_logger
from airflow_provider_honeyhive.exceptions import Fact, InvalidArgumentError
from airflow_provider_honeyhive.models.window import (
    MILLISECOND_US,
    TIMES,
    Window,
    both_given,
    format_time,
    from_micros,
    parse_time,
    to_micros,
)
from airflow_provider_honeyhive.tasks.schedule import partition_period, period_before

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_honeyhive._compat import Context
    from airflow_provider_honeyhive.tasks.watermark import ExportTask, Watermark


log = get_logger(__name__)

_BY_ASSETS = {"asset_triggered", "dataset_triggered"}

_OWN = "the run's own, by its data interval, partition or schedule"

#: Other names for the times of a window -> the one that is asked for in a ``dag_run.conf``.
_OTHER_NAMES = {"from": "start_time", "since": "start_time", "end": "end_time", "to": "end_time", "until": "end_time"}

_REMEDIES = (
    'Trigger the run with the dag_run.conf {"start_time": ..., "end_time": ...}; or give the task start_time and '
    "end_time (both templated); or schedule the DAG with a cron expression, a timedelta, CronDataIntervalTimetable or "
    "CronTriggerTimetable(interval=...), whose runs have windows of their own"
)


def choose_window(task: ExportTask, context: Context, project: str | None) -> tuple[Window, Watermark | None]:
    """Return the window of an export that has no times, and the watermark to advance when it is published, if any.

    The window that the run was given, else its own, else from the watermark on.

    :param task: with its templates rendered.
    :param context: of the task.
    :param project: that is exported.
    :raises InvalidArgumentError: there is no window; the message names the remedies.
    """
    # Here, since DAG parsing needs none of what it brings.
    from airflow_provider_honeyhive.tasks.watermark import NoWatermarkError, open_watermark  # noqa: PLC0415

    window = given_window(context)
    if window is not None:
        # The log has said where it comes from.
        watermark = _watermark_unless_scheduled(task, context, project)
        if watermark is not None:
            watermark.keep(window)
        return window, watermark
    window = own_window(context)
    if window is not None:
        _tell(window, _OWN)
        return window, None
    try:
        watermark = open_watermark(task, context, project)
    except NoWatermarkError as error:
        raise no_window(f"It cannot continue where an earlier run has ended: {error}") from None
    until = triggered_at(context)
    window = None if until is None else watermark.take(_whole_milliseconds(until))
    if window is None:
        raise no_window(
            "It would continue where an earlier run has ended, but none has exported anything yet: give the first run "
            "its times"
        )
    _tell(window, "it continues where the last export of this task ended, until the run was triggered")
    return window, watermark


def _tell(window: Window, source: str) -> None:
    log.info("The window is %s: %s", window, source)


def _whole_milliseconds(moment: datetime) -> datetime:
    # Towards the past, as far as the API can tell times apart; the next window begins there.
    micros = to_micros(moment) or 0
    return from_micros(micros - micros % MILLISECOND_US)


def _watermark_unless_scheduled(task: ExportTask, context: Context, project: str | None) -> Watermark | None:
    """Return the watermark that a run with given times starts or moves; none where runs have windows of their own."""
    from airflow_provider_honeyhive.tasks.watermark import NoWatermarkError, open_watermark  # noqa: PLC0415 - as above

    try:
        return None if own_window(context) else open_watermark(task, context, project)
    except (InvalidArgumentError, NoWatermarkError):
        return None


def run_window(context: Mapping[str, Any], start_time: Any = None, end_time: Any = None) -> Window:
    """Return the window of both times; without any the one that the run was given, else its own.

    :param context: the task's context.
    :param start_time: that the task was given, rendered.
    :param end_time: likewise.
    :raises InvalidArgumentError: only one is given, they are no window, or the run has none; then the message names
        the remedies.
    """
    window = _window_of(start_time, end_time, TIMES)
    if window is not None:
        _tell(window, "start_time and end_time of the task")
        return window
    window = given_window(context)
    if window is not None:
        return window
    window = own_window(context)
    if window is None:
        raise no_window()
    _tell(window, _OWN)
    return window


def given_window(context: Mapping[str, Any]) -> Window | None:
    """Return the window that whoever triggered the run has given, None where nobody has.

    :param context: ``start_time`` and ``end_time`` are looked for in its ``dag_run.conf``, then in its ``params``.
    :raises InvalidArgumentError: only one of them is there, or they are no window.
    """
    conf = getattr(context.get("dag_run"), "conf", None)
    for source, values in (("dag_run.conf", conf), ("params", context.get("params"))):
        if not isinstance(values, Mapping):
            continue
        start_name, end_name = (f'{source}["{name}"]' for name in TIMES)
        window = _window_of(values.get("start_time"), values.get("end_time"), (start_name, end_name))
        if window is not None:
            _tell(window, f"start_time and end_time of {source}")
            return window
        if values is conf:
            _warn_of_slips(conf)
    return None


def _warn_of_slips(conf: Mapping[str, Any]) -> None:
    """Warn of names in a ``dag_run.conf`` that are like those asked for, since nothing is made of them."""
    for name in map(str, conf):
        alike = [_OTHER_NAMES.get(name.lower()), *get_close_matches(name.lower(), TIMES, n=1)]
        asked = next(filter(None, alike), None)
        if asked is not None and name not in TIMES:
            log.warning("This task makes nothing of %s in dag_run.conf: did you mean %s?", repr(name), asked)


def _window_of(start_time: Any, end_time: Any, names: tuple[str, str]) -> Window | None:
    """Return the window of two times, None where there is neither; a template may have made an empty text of one."""
    given = both_given(start_time, end_time, names, missing=(None, ""))
    return Window.parse(start_time, end_time, names) if given else None


def own_window(context: Mapping[str, Any]) -> Window | None:
    """Return the window that belongs to a run by its schedule, None where there is none.

    Its data interval, where that has a length. Else, of a partitioned run, the partition's period. Else the last
    whole period of the DAG's schedule that was over at the run's tick, or when the run was triggered; runs that assets
    have triggered have none.

    :raises InvalidArgumentError: the run is of a partition whose period cannot be known.
    """
    start, end = context.get("data_interval_start"), context.get("data_interval_end")
    if start is not None and end is not None and parse_time(start) < parse_time(end):
        return Window.parse(start, end)
    timetable = getattr(context.get("dag"), "timetable", None)
    partition_date = context.get("partition_date")
    if partition_date is not None:
        window = partition_period(timetable, partition_date)
        if window is None:
            raise _no_period(format_time(parse_time(partition_date)))
        return window
    run = context.get("dag_run")
    run_type = getattr(run, "run_type", None)
    if getattr(run_type, "value", run_type) in _BY_ASSETS:
        return None
    moment = end or triggered_at(context)
    period = None if moment is None else period_before(timetable, moment)
    partition_key = getattr(run, "partition_key", None)
    if period is not None and partition_key is not None:
        # Airflow 3.2 does not say which date the key stands for; it need not be that of the run.
        raise _no_period(partition_key)
    return period


def triggered_at(context: Mapping[str, Any]) -> datetime | None:
    """Return when the run was triggered, the same at each try of it, in UTC; None where the context does not say.

    Airflow 2.11 says it only by the data interval or the logical date.
    """
    run = context.get("dag_run")
    found = getattr(run, "run_after", None) or context.get("data_interval_end") or context.get("logical_date")
    return None if found is None else parse_time(found)


def no_window(
    why: str = "Only HoneyHiveExportEventsOperator can continue where an earlier run has ended",
) -> InvalidArgumentError:
    """Return the error for a run that has no window, with the remedies.

    :param why: it cannot continue where an earlier run has ended either.
    """
    return InvalidArgumentError(
        "start_time",
        None,
        "this run has no window of its own: give it start_time and end_time",
        Fact("It has no data interval and no partition, and its DAG no schedule with periods"),
        Fact(why),
        Fact(_REMEDIES),
    )


def _no_period(partition: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        "start_time",
        None,
        "give the task both times: what time this run's partition is cannot be told",
        Fact(
            f"This run is of the partition {partition}, but what time that is cannot be told by the DAG's schedule: "
            "only cron schedules and the StartOf...Mappers of Airflow 3.3 say it"
        ),
        Fact(
            'Such as start_time="{{ partition_date }}" and '
            'end_time="{{ partition_date + macros.timedelta(days=1) }}"; or trigger the run with the dag_run.conf '
            '{"start_time": ..., "end_time": ...}'
        ),
    )
