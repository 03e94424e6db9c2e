"""What the operator, the sensor and the event trigger take alike: checks of literals, and the request made of them.

Light enough for DAG parsing. Of Airflow it only knows the shape of a task's context.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.run_windows import run_window
from airflow_provider_honeyhive.windows import Window, parse_time

if TYPE_CHECKING:
    from airflow_provider_honeyhive.hooks.honeyhive import HoneyHiveHook
    from airflow_provider_honeyhive.manifest import AirflowFacts
    from airflow_provider_honeyhive.models import ExportRequest


def is_literal(value: Any) -> bool:
    """Return whether the value is final: no template in it, nothing that another task will give."""
    if isinstance(value, str):
        return "{{" not in value and "{%" not in value and value != ""
    if isinstance(value, Mapping):
        return all(map(_is_literal_or_none, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_literal_or_none, value))
    return isinstance(value, int | float | date)


def _is_literal_or_none(value: Any) -> bool:
    return value is None or value == "" or is_literal(value)


def as_plain_data(filters: Any) -> Any:
    """Return filters with each EventFilter as a dict: Airflow renders templates in those, not in frozen models."""
    if hasattr(filters, "to_wire"):
        return [filters.to_wire()]
    if isinstance(filters, list | tuple):
        return [item.to_wire() if hasattr(item, "to_wire") else item for item in filters]
    return filters


def check_literals(*, filters: Any = (), times: Mapping[str, Any], texts: Mapping[str, Any]) -> None:
    """Check what is known when the DAG is parsed; templates and results of other tasks are not.

    :param filters: as :func:`as_plain_data` gives them.
    :param times: arguments that are times, by name.
    :param texts: arguments that are texts, by name.
    :raises InvalidArgumentError: one of them cannot be right.
    """
    for name, value in texts.items():
        if isinstance(value, int | float | list | tuple | dict):
            raise InvalidArgumentError(name, value, "allowed: a text")
    for name, value in times.items():
        if is_literal(value):
            parse_time(value, name)
    if is_literal(filters) and filters:
        from airflow_provider_honeyhive.models import parse_filters  # noqa: PLC0415

        parse_filters(filters)


def seconds_of(argument: str, value: Any, *, above_zero: bool = False) -> float:
    """Return a span of time in seconds.

    :param value: timedelta, or a number of seconds.
    :param above_zero: zero is too short.
    :raises InvalidArgumentError: it is neither, or too short.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(value, timedelta) or is_number:
        seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
        if math.isfinite(seconds) and (seconds > 0 or (seconds == 0 and not above_zero)):
            return seconds
    bound = "above 0" if above_zero else "from 0 on"
    raise InvalidArgumentError(argument, value, f"allowed: a timedelta, or a number of seconds, {bound}")


def window_of(start_time: Any, end_time: Any, context: Mapping[str, Any]) -> Window:
    """Return the window of both times, or without any the run's own.

    :raises InvalidArgumentError: only one is given, they are no window, or the run has none of its own.
    """
    given = {"start_time": start_time, "end_time": end_time}
    missing = [name for name, value in given.items() if value in (None, "")]
    if not missing:
        return Window.parse(start_time, end_time)
    if len(missing) == 1:
        raise InvalidArgumentError(missing[0], given[missing[0]], "give both start_time and end_time, or neither")
    return run_window(context)


def request_of(hook: HoneyHiveHook, *, project: Any, **arguments: Any) -> ExportRequest:
    """Return the request of these arguments, for the connection's project unless one is given.

    :param arguments: see :meth:`~airflow_provider_honeyhive.models.ExportRequest.parse`.
    :raises InvalidArgumentError: one of them cannot be right, or there is no project.
    """
    from airflow_provider_honeyhive.models import ExportRequest  # noqa: PLC0415

    request = ExportRequest.parse(project=project or hook.settings.project, **arguments)
    if request.project is None:
        raise InvalidArgumentError("project", None, "give project, or set the connection's extra 'project'")
    return request


def airflow_facts(context: Mapping[str, Any]) -> AirflowFacts:
    """Return which task, run and try this is, as manifests name it."""
    from airflow_provider_honeyhive.manifest import AirflowFacts  # noqa: PLC0415

    ti = context["ti"]
    return AirflowFacts(
        dag_id=ti.dag_id,
        task_id=ti.task_id,
        run_id=ti.run_id,
        try_number=ti.try_number,
        map_index=getattr(ti, "map_index", None),
    )
