"""From an Airflow connection to HoneyHive's events."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic import JsonValue  # noqa: TC002 - see Time

from airflow_provider_honeyhive._compat import AirflowNotFoundException, BaseHook, airflow_version
from airflow_provider_honeyhive.api import connection_form
from airflow_provider_honeyhive.api.base_url import base_url
from airflow_provider_honeyhive.api.pages import Page  # noqa: TC001 - see Time
from airflow_provider_honeyhive.api.settings import ClientSettings
from airflow_provider_honeyhive.display import get_logger, quoted, write_line
from airflow_provider_honeyhive.events.masking import Masker
from airflow_provider_honeyhive.events.raw import load_event
from airflow_provider_honeyhive.exceptions import (
    NOT_SHOWN,
    HoneyHiveAuthError,
    HoneyHiveConnectionError,
    HoneyHiveError,
    HoneyHiveRefusedError,
    HoneyHiveRequestError,
    InvalidArgumentError,
)
from airflow_provider_honeyhive.models.filters import EventFilter
from airflow_provider_honeyhive.models.options import check_number
from airflow_provider_honeyhive.models.request import ExportRequest
from airflow_provider_honeyhive.models.window import Window, both_given, parse_bound, to_micros

if TYPE_CHECKING:
    from airflow_provider_honeyhive.api.client import HoneyHiveClient
    from airflow_provider_honeyhive.hooks.connection_test import Seen

#: Not the hook's own, which outside a task is printed nowhere.
log = get_logger(__name__)

# What makes tools for agents of methods reads these hints at run time. Some of it knows plain lists and dicts alone,
# which therefore come first.

#: A point in time: ISO 8601 text, datetime (naive: UTC), or Unix seconds or milliseconds.
Time: TypeAlias = str | int | float | datetime

_Value: TypeAlias = str | int | float | bool | None

_Filter: TypeAlias = EventFilter | Mapping[str, _Value | datetime] | str

#: Conditions that all must hold.
Filters: TypeAlias = list[dict[str, _Value]] | Sequence[_Filter] | _Filter | None

#: Names or paths of fields.
Names: TypeAlias = list[str] | Sequence[str] | None


class HoneyHiveHook(BaseHook):
    """Reads events of HoneyHive with the key of an Airflow connection.

    The connection: password = API key; host = base URL of the API (with or without a scheme; default
    ``https://api.dp1.us.honeyhive.ai``); extras ``project``, ``endpoint``, ``timeout`` (s),
    ``max_retries``, ``verify``, ``proxy``, ``app_url``, ``redact_secret``, ``allow_http``.

    :param honeyhive_conn_id: id of the connection.
    """

    conn_name_attr = "honeyhive_conn_id"
    default_conn_name = connection_form.DEFAULT_CONNECTION
    conn_type = connection_form.CONNECTION_TYPE
    hook_name = connection_form.HOOK_NAME

    # Airflow before 3.2 honours these only when they are defined on the class itself.
    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, object]:
        """Return the connection form's fields for the extras."""
        return connection_form.form_widgets()

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, object]:
        """Return the connection form's hidden fields, labels and placeholders."""
        return connection_form.field_behaviour()

    def __init__(self, honeyhive_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.honeyhive_conn_id = honeyhive_conn_id

    @cached_property
    def settings(self) -> ClientSettings:
        """The connection's settings, checked.

        :raises HoneyHiveAuthError: there is no key, or one that cannot read.
        :raises InvalidArgumentError: a field of the connection cannot be right.
        """
        try:
            connection = self.get_connection(self.honeyhive_conn_id)
        except AirflowNotFoundException:
            # Not for good: Airflow says the same where it could not ask its own database or the secrets backend.
            raise AirflowNotFoundException(
                f"correct honeyhive_conn_id, or create the connection: Airflow has no {quoted(self.honeyhive_conn_id)}"
            ) from None
        found = _extra_of(connection)
        extras = {name: found.get(name) for name in connection_form.EXTRA_FIELDS}
        url = base_url(connection.host, connection.schema, connection.port)
        source = f"of connection {quoted(self.honeyhive_conn_id)}"
        return ClientSettings.parse(api_key=connection.password, key_source=source, api_url=url, **extras)

    @cached_property
    def _client(self) -> HoneyHiveClient:
        return make_client(self.settings)

    def get_conn(self) -> HoneyHiveClient:
        """Return the client; one for the life of the hook."""
        return self._client

    def test_connection(self) -> tuple[bool, str]:
        """Ask for the events of the last day, of more days where there are none, and say how that went.

        That it went well is also in the log, or printed: Airflow's command line, which switches logs off, tells no more
        than that.
        """
        try:
            seen = self._look(self.settings.project)
        except HoneyHiveError as error:
            return False, f"{_KINDS.get(type(error), 'HoneyHive')}: {self._what_it_reads(error)}{error}"
        except AirflowNotFoundException:
            return (
                False,
                f"{_UNREADABLE}: Airflow has none with the id {quoted(self.honeyhive_conn_id)}, or cannot read it",
            )
        message = f"Connected: {seen.text}"
        level = logging.INFO if seen.is_confirmed else logging.WARNING
        if log.isEnabledFor(level):
            log.log(level, "%s", message)
        else:
            write_line(message)
        return True, message

    def _look(self, project: str | None, **changes: Any) -> Seen:
        from airflow_provider_honeyhive.hooks.connection_test import look  # noqa: PLC0415

        # A person is waiting: no retries.
        changes = {"max_retries": 0, "timeout": min(self.settings.timeout, 60), **changes}
        with make_client(self.settings, **changes) as client:
            return look(client, project)

    def _what_it_reads(self, error: HoneyHiveError) -> str:
        """Return that the key is good, where HoneyHive has refused it or the project; empty: that cannot be told."""
        is_open = isinstance(error, HoneyHiveRefusedError) and not self.settings.key_kind.takes_project_id
        if not is_open or self.settings.project is None:
            return ""
        try:
            # This endpoint takes no project: a key that it accepts is a good one.
            found = self._look(None, endpoint="search").text
        except HoneyHiveError:
            return ""
        asked = f"asked without {quoted(self.settings.project)}"
        return f"the key is good, so check the project: Connected: {found}, {asked}. "

    def export_events(
        self,
        project: str | None = None,
        filters: Filters = (),
        *,
        start_time: Time | None = None,
        end_time: Time | None = None,
        projections: Names = None,
        exclude_fields: Names = None,
        redact: Names = None,
        include_content: bool = True,
        evaluation_id: str | None = None,
        page: int = 1,
        limit: int = 1000,
    ) -> Page:
        """Send one export call and return its page: ``page.events``, ``page.total``.

        Both times are inclusive here, as in the API. A page says nothing about completeness; to read a
        window use :meth:`iter_events` or the operator.

        :param project: name of the project; default: the connection's.
        :param filters: EventFilter objects, dicts, or JSON texts of them.
        :param start_time: datetime (naive: UTC), ISO text, or Unix seconds or milliseconds.
        :param end_time: the same; both or neither.
        :param projections: top-level fields to keep.
        :param exclude_fields: dotted paths of what to take out of each event.
        :param redact: paths of what to replace by a hash with the connection's ``redact_secret``.
        :param include_content: False gives what was measured alone: numbers, times, ids and names, no other text.
        :param evaluation_id: id of an experiment run.
        :param page: number of the page, from 1.
        :param limit: most events in the page; the endpoint's own maximum (7500 or 1000) caps it.
        :raises InvalidArgumentError: an argument cannot be right.
        :raises WrongProjectError: the key belongs to another project.
        :raises HoneyHiveError: the call failed.
        """
        from airflow_provider_honeyhive.reading.fetcher import RangeFetcher, ReadStats  # noqa: PLC0415

        check_number("page", page, 1, None)
        check_number("limit", limit, 1, 7500)
        request = self._request(
            project,
            filters,
            None,
            evaluation_id,
            projections=projections,
            exclude_fields=exclude_fields,
            redact=redact,
            include_content=include_content,
        )
        low = high = None
        if both_given(start_time, end_time):
            start, end = parse_bound(start_time, "start_time"), parse_bound(end_time, "end_time")
            if end < start:
                raise InvalidArgumentError("end_time", end.isoformat(), f"not before start_time, {start.isoformat()}")
            low, high = to_micros(start), to_micros(end)
        found = RangeFetcher(self.get_conn(), request, ReadStats()).fetch(low, high, page=page, limit=limit)
        return replace(found, raw_events=list(map(Masker(request.rules).apply, found.raw_events)))

    def iter_events(
        self,
        project: str | None = None,
        filters: Filters = (),
        start_time: Time | None = None,
        end_time: Time | None = None,
        *,
        projections: Names = None,
        exclude_fields: Names = None,
        redact: Names = None,
        include_content: bool = True,
        evaluation_id: str | None = None,
        page_size: int | None = None,
    ) -> Iterator[dict[str, JsonValue]]:
        """Yield every event of ``[start_time, end_time)`` once, in constant memory.

        After the last one, the log warns of paths that matched nothing in any event.

        :param project: name of the project; default: the connection's.
        :param filters: EventFilter objects, dicts, or JSON texts of them.
        :param start_time: inclusive; datetime (naive: UTC), ISO text, or Unix seconds or milliseconds.
        :param end_time: exclusive; both or neither; neither means all of time.
        :param projections: top-level fields to keep; event_id, start_time and project always come too.
        :param exclude_fields: dotted paths of what to take out of each event.
        :param redact: paths of what to replace by a hash with the connection's ``redact_secret``.
        :param include_content: False gives what was measured alone: numbers, times, ids and names, no other text.
        :param evaluation_id: id of an experiment run.
        :param page_size: most events in one request; default: by the size of the answers.
        :raises IncompleteExportError: not all could be read; begin again.
        :raises HoneyHiveError: see :mod:`airflow_provider_honeyhive.exceptions`.
        """
        from airflow_provider_honeyhive.export.unmatched import tell_unmatched  # noqa: PLC0415
        from airflow_provider_honeyhive.reading.stream import iter_batches  # noqa: PLC0415

        window = _window(start_time, end_time)
        request = self._request(
            project,
            filters,
            window,
            evaluation_id,
            projections=projections,
            exclude_fields=exclude_fields,
            redact=redact,
            include_content=include_content,
        )
        masker = Masker(request.rules)
        matched: set[int] = set()
        count = 0
        for batch in iter_batches(self.get_conn(), request, page_size):
            count += len(batch.raw_events)
            for raw in batch.raw_events:
                yield load_event(masker.apply(raw, matched))
        tell_unmatched(request.rules.unmatched(matched) if count else ())

    def count_events(
        self,
        project: str | None = None,
        filters: Filters = (),
        start_time: Time | None = None,
        end_time: Time | None = None,
        *,
        evaluation_id: str | None = None,
    ) -> int:
        """Return how many events ``[start_time, end_time)`` holds.

        Two small requests where the server reports a total; where it does not, the events are read and
        counted.

        :param project: name of the project; default: the connection's.
        :param filters: EventFilter objects, dicts, or JSON texts of them.
        :param start_time: inclusive; both or neither.
        :param end_time: exclusive.
        :param evaluation_id: id of an experiment run.
        :raises HoneyHiveError: see :mod:`airflow_provider_honeyhive.exceptions`.
        """
        from airflow_provider_honeyhive.reading.counting import count_events  # noqa: PLC0415

        request = self._request(project, filters, _window(start_time, end_time), evaluation_id)
        return count_events(self.get_conn(), request)

    def _request(
        self,
        project: str | None,
        filters: Filters,
        window: Window | None,
        evaluation_id: str | None,
        **fields: Any,
    ) -> ExportRequest:
        return ExportRequest.parse(
            project=project or self.settings.project,
            filters=filters,
            window=window,
            evaluation_id=evaluation_id,
            **fields,
            redact_secret=self.settings.redact_secret,
        )


def make_client(settings: ClientSettings, *, leaves_long_waits: bool = False, **changes: Any) -> HoneyHiveClient:
    """Return a client that names this Airflow to the server.

    :param settings: of the connection.
    :param leaves_long_waits: raise at once where the server asks for a wait of more than a minute.
    :param changes: fields of the settings that differ.
    """
    from airflow_provider_honeyhive.api.client import HoneyHiveClient  # noqa: PLC0415

    return HoneyHiveClient(
        settings.model_copy(update=changes),
        user_agent=f"apache-airflow/{airflow_version}",
        leaves_long_waits=leaves_long_waits,
    )


_UNREADABLE = "Connection"

_KINDS: dict[type[HoneyHiveError], str] = {
    HoneyHiveAuthError: "API key",
    HoneyHiveConnectionError: "No connection",
    HoneyHiveRefusedError: "API key, project or id",
    HoneyHiveRequestError: "Host or path",
    InvalidArgumentError: "Connection field",
}


def app_url_of(honeyhive_conn_id: str) -> str | None:
    """Return the connection's extra ``app_url``; None where it has none. Needs no key.

    :param honeyhive_conn_id: id of the connection.
    :raises AirflowNotFoundException: there is no such connection.
    :raises InvalidArgumentError: its extra is no JSON object.
    """
    app_url = _extra_of(BaseHook.get_connection(honeyhive_conn_id)).get("app_url")
    return None if app_url in (None, "") else str(app_url)


def _extra_of(connection: Any) -> dict[str, Any]:
    problem = InvalidArgumentError("extra", NOT_SHOWN, "the connection's extra must be a JSON object")
    try:
        # Of what is no JSON Airflow 3 makes an empty object, with a traceback in the log, and all extras would be lost.
        json.loads(connection.extra or "{}")
        # Hides what sounds secret from the log.
        found = connection.extra_dejson
    except (TypeError, ValueError, RecursionError):
        raise problem from None
    if not isinstance(found, dict):
        raise problem
    return found


def _window(start_time: Time | None, end_time: Time | None) -> Window | None:
    return Window.parse(start_time, end_time) if both_given(start_time, end_time) else None
