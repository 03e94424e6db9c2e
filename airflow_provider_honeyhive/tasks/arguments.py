"""What the operator, the sensor and the event trigger take alike: checks of literals, and the request made of them.

Light enough for DAG parsing. Of Airflow it only knows the shape of a task's context.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive._compat import AirflowNotFoundException, BaseHook, ObjectStoragePath
from airflow_provider_honeyhive.display import get_logger, shown
from airflow_provider_honeyhive.exceptions import NOT_SHOWN, Fact, InvalidArgumentError
from airflow_provider_honeyhive.models.window import parse_bound
from airflow_provider_honeyhive.storage.paths import LOCAL_PROTOCOLS, check_path
from airflow_provider_honeyhive.tasks.templates import has_template

if TYPE_CHECKING:
    from airflow_provider_honeyhive.api.settings import ClientSettings
    from airflow_provider_honeyhive.models.export_facts import AirflowFacts
    from airflow_provider_honeyhive.models.request import ExportRequest

log = get_logger(__name__)


def is_literal(value: Any) -> bool:
    """Return whether the value is final: no template in it, nothing that another task will give."""
    if isinstance(value, str):
        return not has_template(value) and value != ""
    if isinstance(value, Mapping):
        return all(map(_is_literal_or_none, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_literal_or_none, value))
    return isinstance(value, int | float | date)


def _is_literal_or_none(value: Any) -> bool:
    return value is None or value == "" or is_literal(value)


def literal_or_none(value: Any) -> Any:
    """Return the value where it is final, else None; see :func:`is_literal`."""
    return value if is_literal(value) else None


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
    :param times: arguments that bound a window, by name.
    :param texts: arguments that are texts, by name.
    :raises InvalidArgumentError: one of them cannot be right.
    """
    for name, value in texts.items():
        if isinstance(value, int | float | list | tuple | dict):
            raise InvalidArgumentError(name, value, "allowed: a text")
    for name, value in times.items():
        if is_literal(value):
            parse_bound(value, name)
    if is_literal(filters) and filters:
        # Models are imported where there is something to check: making them is much of what DAG parsing would take.
        from airflow_provider_honeyhive.models.filters import parse_filters  # noqa: PLC0415

        parse_filters(filters)


#: A hundred years, so that no time to which it is added leaves the calendar.
LONGEST_SPAN_S = 36_500 * 86_400.0


def seconds_of(argument: str, value: Any, *, above_zero: bool = False) -> float:
    """Return a span of time in seconds.

    :param value: timedelta, or a number of seconds.
    :param above_zero: zero is too short.
    :raises InvalidArgumentError: it is neither, too short, or more than a hundred years.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(value, timedelta) or is_number:
        seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
        if 0 < seconds <= LONGEST_SPAN_S or (seconds == 0 and not above_zero):
            return seconds
    bound = "above 0" if above_zero else "from 0 on"
    raise InvalidArgumentError(
        argument, value, f"allowed: a timedelta, or a number of seconds, {bound}, of at most 100 years"
    )


def request_of(settings: ClientSettings, *, project: Any, **arguments: Any) -> ExportRequest:
    """Return the request of these arguments, for the connection's project unless one is given.

    :param settings: of the connection.
    :param arguments: see :meth:`~airflow_provider_honeyhive.models.request.ExportRequest.parse`.
    :raises InvalidArgumentError: one of them cannot be right, or there is no project.
    """
    from airflow_provider_honeyhive.models.request import ExportRequest  # noqa: PLC0415 - not for DAG parsing

    request = ExportRequest.parse(project=project or settings.project, **arguments)
    if request.project is None:
        raise InvalidArgumentError(
            "project",
            None,
            "give project, or set the connection's extra 'project'",
            *([Fact(f"The connection: {settings.connection_name}")] if settings.connection_name else []),
            Fact("A data plane key (hh_fgdp_…) takes the project's id, other keys its name"),
        )
    _tell_filters(request)
    return request


#: Most characters of a filter's value in the log.
_LONGEST_IN_LOG = 60


def _tell_filters(request: ExportRequest) -> None:
    """Log what the export is restricted to, and warn of fields that events do not have."""
    from airflow_provider_honeyhive.formats.columns import FIELD_COLUMNS  # noqa: PLC0415 - not for DAG parsing

    if request.evaluation_id is not None:
        log.info("Only events of the experiment run %s", request.evaluation_id)
    known = {column.name for column in FIELD_COLUMNS}
    for item in request.filters:
        value = "" if item.operator in ("exists", "not exists") else shown(repr(item.value), _LONGEST_IN_LOG)
        log.info("Only events whose %s %s %s (%s)", item.field, item.operator, value, item.type)
        name = item.field.partition(".")[0]
        if name not in known:
            alike = get_close_matches(name, known, n=1)
            log.warning(
                "The filter on %s may match nothing: events have no field %s%s",
                repr(item.field),
                name,
                f"; did you mean {alike[0]}?" if alike else "",
            )


def airflow_facts(context: Mapping[str, Any]) -> AirflowFacts:
    """Return which task, run and try this is, as manifests name it."""
    from airflow_provider_honeyhive.models.export_facts import AirflowFacts  # noqa: PLC0415 - not for DAG parsing

    ti = context["ti"]
    return AirflowFacts(
        dag_id=ti.dag_id,
        task_id=ti.task_id,
        run_id=ti.run_id,
        try_number=ti.try_number,
        map_index=getattr(ti, "map_index", None),
    )


def storage_path(
    output_path: Any, conn_id: str | None, argument: str = "output_path", conn_argument: str = "output_conn_id"
) -> Any:
    """Return the path of a file or folder, with its connection.

    :param output_path: a text, or path-like.
    :param conn_id: of the store; None: the one that a URL may name, else the store's own.
    :param argument: that holds the path.
    :param conn_argument: that holds the connection.
    :raises InvalidArgumentError: it is relative or not the place that was meant, Airflow has no filesystem for its
        scheme, or there is no such connection.
    """
    check_absolute(output_path, argument)
    scheme, separator, rest = str(output_path).partition("://")
    wanted = conn_id or _own_connection(output_path)
    if isinstance(output_path, str):
        # As ObjectStoragePath takes it.
        wanted = wanted or rest.partition("/")[0].rpartition("@")[0]
    if wanted and separator and scheme not in LOCAL_PROTOCOLS:
        _check_connection(wanted, conn_argument if conn_id else argument)
    try:
        if isinstance(output_path, str):
            output_path = to_path(output_path, conn_id)
        _ = output_path.fs if hasattr(output_path, "protocol") else None
    except (ImportError, ValueError) as error:
        raise InvalidArgumentError(
            argument,
            str(output_path),
            f"this Airflow cannot write there: {error}. Install the store's extra: "
            "airflow-provider-honeyhive[s3], [gcs] or [azure]",
        ) from None
    return output_path


def _own_connection(path: Any) -> str | None:
    """Return the connection that a path object brings; Airflow 2.11 has it among the options of the store."""
    found: str | None = getattr(path, "conn_id", None) or getattr(path, "storage_options", {}).get("conn_id")
    return found


def _check_connection(conn_id: str, argument: str) -> None:
    """Refuse a connection that is not there: without it some file systems take the worker's own credentials."""
    try:
        BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise InvalidArgumentError(
            argument,
            # A URL may have a user and a password there.
            NOT_SHOWN if ":" in conn_id else conn_id,
            "there is no such Airflow connection: create it, or correct its id; without an id the worker's own "
            "credentials are used",
        ) from None


def to_path(text: str, conn_id: str | None) -> ObjectStoragePath:
    """Return the path of a text, with its connection.

    :param conn_id: of the store; None or empty: the one that a URL may name, else the store's own.
    """
    # Airflow 2.11 takes None for "no connection", also where the URL names one.
    return ObjectStoragePath(text, **({"conn_id": conn_id} if conn_id else {}))


def check_absolute(path: Any, argument: str = "output_path", example: str = "s3://bucket/folder/") -> None:
    """Refuse a relative path, and one that is not the place that was meant.

    :param argument: that holds it.
    :param example: of a URL that is allowed.
    :raises InvalidArgumentError: it is one.
    """
    check_path(str(path), argument)
    # Relative to what? Each worker, and each triggerer, has a working directory of its own.
    if not str(path).startswith("/") and "://" not in str(path):
        raise InvalidArgumentError(argument, str(path), f"allowed: an absolute path or a URL such as {example}")


def check_task(sessions: Any, filters: Any, output_path: Any) -> None:
    """Check what is known of a task when the DAG is parsed.

    :param filters: as :func:`~airflow_provider_honeyhive.tasks.arguments.as_plain_data` gives them.
    :raises InvalidArgumentError: no such choice, roots cannot meet the filters, or the events would go to XCom.
    """
    if sessions is None:
        return
    # Here, as above.
    from airflow_provider_honeyhive.models.filters import parse_filters  # noqa: PLC0415
    from airflow_provider_honeyhive.models.request import check_root_filters, check_sessions  # noqa: PLC0415

    check_sessions(sessions)
    if output_path is None:
        raise InvalidArgumentError("sessions", sessions, "allowed only with output_path: whole sessions go to files")
    if filters and is_literal(filters):
        check_root_filters(parse_filters(filters))
