"""Export a window of HoneyHive events from a DAG."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive._compat import AirflowFailException, BaseOperator, ObjectStoragePath
from airflow_provider_honeyhive.arguments import seconds_of, window_of
from airflow_provider_honeyhive.continuing import take_window
from airflow_provider_honeyhive.exceptions import HoneyHiveError, InvalidArgumentError
from airflow_provider_honeyhive.fields import check_fields
from airflow_provider_honeyhive.hooks.honeyhive import HoneyHiveHook
from airflow_provider_honeyhive.layout import choose_layout
from airflow_provider_honeyhive.options import (
    DEFAULT_CONCURRENCY,
    DEFAULT_MAX_FILE_SIZE,
    DEFAULT_XCOM_MAX_BYTES,
    ExportOptions,
    check_number,
    check_partitions,
)
from airflow_provider_honeyhive.windows import format_time, parse_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_honeyhive._compat import Context
    from airflow_provider_honeyhive.client import HoneyHiveClient
    from airflow_provider_honeyhive.manifest import AirflowFacts
    from airflow_provider_honeyhive.models import ExportRequest
    from airflow_provider_honeyhive.watermarks import Watermark
    from airflow_provider_honeyhive.windows import Window

#: Seconds that are not worth the way to the triggerer and back; also clocks that differ a little.
SHORT_WAIT_S = 30.0


class HoneyHiveExportEventsOperator(BaseOperator):
    """Export the events of a window, completely and once, to files or to XCom.

    Without ``start_time`` and ``end_time`` the window is that of the run: what its ``dag_run.conf`` or ``params``
    give, else its data interval, partition or period of the schedule. A run that has none of these (triggered by
    assets, or of a DAG without a schedule) continues where the last one that published has ended.

    With ``output_path`` the events go to files, newest first, each as the server sent it, and the task
    returns ``output_path``, ``manifest_path``, ``event_count``, ``size_bytes``, ``files``, ``start_time``,
    ``end_time`` and ``project``. Without it the task returns the events themselves, with what XCom cannot
    carry replaced (half a surrogate pair and NUL by U+FFFD, integers beyond 64 bits by text, NaN by None).

    :param project: name of the project; default: the connection's extra ``project``. (templated)
    :param filters: conditions that all must hold: EventFilter objects, dicts, or JSON texts of one or a
        list of them. (templated, inside lists and dicts too)
    :param start_time: inclusive: datetime (naive: UTC), ISO 8601 text, or Unix seconds or milliseconds;
        give both times or neither. (templated)
    :param end_time: exclusive, the same forms. (templated)
    :param delay: export a window only when it has been over for that long: timedelta or seconds; until then the
        task waits, without a worker slot. Default 0: a window that is not over yet is waited for, too.
    :param projections: top-level fields to keep; event_id, start_time, project and project_id always come
        too. Default: all fields. (templated)
    :param evaluation_id: export only the events of this experiment run. (templated)
    :param exclude_fields: dotted paths of what is taken out of each event before anything is written, such as
        ``inputs`` or ``outputs.content``; lists on the way are walked through. (templated)
    :param redact: the same paths, whose values are replaced by a keyed hash, so that joins survive; the key is
        the connection's extra ``redact_secret``. (templated)
    :param output_path: a folder, or one object where it ends in a suffix such as ``.jsonl.gz`` or ``.parquet``;
        anything that ``ObjectStoragePath`` takes. Make it different for each window. (templated)
    :param output_conn_id: Airflow connection of the object store; default: the store's own.
    :param file_format: ``jsonl``, ``csv``, ``json`` or ``parquet`` (needs the extra ``parquet``); default: by the
        suffix, else ``jsonl``.
    :param compression: ``gzip``, ``zstd`` or ``none``; for Parquet also ``snappy``, ``lz4`` and ``brotli``;
        default: by the suffix, else ``gzip``, for Parquet ``zstd``.
    :param partition_by: folders to sort the events into, such as ``event_date=2026-11-22``: a list of
        ``event_date`` (of ``start_time``, UTC) and ``event_type``; default: none.
    :param max_file_size: bytes on disk at which a part ends and the next begins; default 128 MiB. One
        object is never split.
    :param page_size: most events in one request (1 to 7500); default: what makes answers of about 16 MB.
    :param concurrency: slices of the window read at the same time, and so the most requests at once (1 to
        64); default 4.
    :param replace: replace an earlier export of the same window; False: refuse before any request.
    :param min_events: fail where the window holds fewer events; default: none are fine.
    :param xcom_max_bytes: without ``output_path``, the most bytes of JSON to return; default 5,000,000,
        since XCom values go through Airflow's database.
    :param honeyhive_conn_id: id of the HoneyHive connection. (templated)
    :raises InvalidArgumentError: a literal argument cannot be right (when the DAG is parsed).
    :raises AirflowFailException: what no retry mends: key, project, filters, arguments, a destination that
        holds another export.
    :raises HoneyHiveError: what a retry may mend; see :mod:`airflow_provider_honeyhive.exceptions`.
    """

    template_fields: Sequence[str] = (
        "project",
        "filters",
        "start_time",
        "end_time",
        "projections",
        "evaluation_id",
        "exclude_fields",
        "redact",
        "output_path",
        "honeyhive_conn_id",
    )
    template_fields_renderers = {"filters": "json", "projections": "json", "exclude_fields": "json", "redact": "json"}
    ui_color = "#ffe9c7"

    def __init__(
        self,
        *,
        project: str | None = None,
        filters: Any = (),
        start_time: Any = None,
        end_time: Any = None,
        delay: timedelta | float = 0,
        projections: Sequence[str] | str | None = None,
        evaluation_id: str | None = None,
        exclude_fields: Sequence[str] | str | None = None,
        redact: Sequence[str] | str | None = None,
        output_path: Any = None,
        output_conn_id: str | None = None,
        file_format: str | None = None,
        compression: str | None = None,
        partition_by: Sequence[str] | str | None = None,
        max_file_size: int = DEFAULT_MAX_FILE_SIZE,
        page_size: int | None = None,
        concurrency: int = DEFAULT_CONCURRENCY,
        replace: bool = True,
        min_events: int | None = None,
        xcom_max_bytes: int = DEFAULT_XCOM_MAX_BYTES,
        honeyhive_conn_id: str = HoneyHiveHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.project = project
        self.filters = _as_plain_data(filters)
        self.start_time = start_time
        self.end_time = end_time
        self.delay = delay
        self.projections = projections
        self.evaluation_id = evaluation_id
        self.exclude_fields = exclude_fields
        self.redact = redact
        self.output_path = output_path
        self.output_path_template = output_path
        self.output_conn_id = output_conn_id
        self.file_format = file_format
        self.compression = compression
        self.partition_by = partition_by
        self.max_file_size = max_file_size
        self.page_size = page_size
        self.concurrency = concurrency
        self.replace = replace
        self.min_events = min_events
        self.xcom_max_bytes = xcom_max_bytes
        self.honeyhive_conn_id = honeyhive_conn_id
        self._client: HoneyHiveClient | None = None
        self._watermark: Watermark | None = None
        self._check_literals()

    def execute(self, context: Context) -> Any:
        """Export, and return the summary of the files or the events themselves."""
        return self._export_or_fail(context)

    def resume(self, context: Context, event: Any = None) -> Any:
        """Export after a wait in the triggerer."""
        return self._export_or_fail(context)

    def on_kill(self) -> None:
        """End soon: what is staged stays for a retry, open uploads are aborted."""
        if self._client is not None:
            self._client.stop()

    def _export_or_fail(self, context: Context) -> Any:
        try:
            return self._export(context)
        except HoneyHiveError as error:
            if error.retryable:
                raise
            raise AirflowFailException(f"{type(error).__name__}: {error}") from error

    def _export(self, context: Context) -> Any:
        from airflow_provider_honeyhive.collecting import collect_events  # noqa: PLC0415
        from airflow_provider_honeyhive.export import export_events  # noqa: PLC0415
        from airflow_provider_honeyhive.summary import summarize  # noqa: PLC0415
        from airflow_provider_honeyhive.xcom import fit_for_xcom  # noqa: PLC0415

        options = self._options()
        hook = HoneyHiveHook(self.honeyhive_conn_id)
        request = self._request(context, hook)
        if request.window is not None:
            self._wait_until_past(request.window)
        with hook.get_conn() as client:
            self._client = client
            if self.output_path is None:
                events = collect_events(
                    client,
                    request,
                    max_bytes=self.xcom_max_bytes,
                    page_size=self.page_size,
                    min_events=self.min_events,
                )
                self.log.info(
                    "Returning %s events of project %s, window %s", f"{len(events):,}", request.project, request.window
                )
                return fit_for_xcom(events)
            path = _as_path(self.output_path, self.output_conn_id)
            manifest = export_events(client, request, path, options, _airflow_facts(context))
        if self._watermark is not None and request.window is not None:
            self._watermark.advance(request.window)
        return summarize(manifest, path)

    def _options(self) -> ExportOptions:
        check_number("xcom_max_bytes", self.xcom_max_bytes, 1, None)
        return ExportOptions(
            file_format=self.file_format,
            compression=self.compression,
            partition_by=(self.partition_by,) if isinstance(self.partition_by, str) else tuple(self.partition_by or ()),
            max_file_size=self.max_file_size,
            page_size=self.page_size,
            concurrency=self.concurrency,
            replace=self.replace,
            min_events=self.min_events,
        )

    def _request(self, context: Context, hook: HoneyHiveHook) -> ExportRequest:
        from airflow_provider_honeyhive.models import ExportRequest  # noqa: PLC0415

        project = self.project or hook.settings.project
        request = ExportRequest.parse(
            project=project,
            filters=self.filters,
            window=self._window(context, project),
            projections=self.projections,
            evaluation_id=self.evaluation_id,
            exclude_fields=self.exclude_fields,
            redact=self.redact,
            redact_secret=hook.settings.redact_secret,
        )
        if request.project is None:
            raise InvalidArgumentError("project", None, "give project, or set the connection's extra 'project'")
        return request

    def _window(self, context: Context, project: str | None) -> Window:
        if self.start_time in (None, "") and self.end_time in (None, ""):
            window, self._watermark = take_window(self, context, project)
            return window
        return window_of(self.start_time, self.end_time, context)

    def _wait_until_past(self, window: Window) -> None:
        moment = window.end + timedelta(seconds=seconds_of("delay", self.delay))
        left = (moment - datetime.now(UTC)).total_seconds()
        if left <= 0:
            return
        self.log.info("Waiting until %s to export the window %s", format_time(moment), window)
        if left > SHORT_WAIT_S:
            from airflow_provider_honeyhive.triggers.moment import HoneyHiveMomentTrigger  # noqa: PLC0415

            self.defer(trigger=HoneyHiveMomentTrigger(format_time(moment)), method_name="resume")
        time.sleep(left)

    def _check_literals(self) -> None:
        """Check what is known when the DAG is parsed; templates and results of other tasks are not."""
        self._options()
        seconds_of("delay", self.delay)
        for name in ("project", "evaluation_id", "honeyhive_conn_id"):
            value = getattr(self, name)
            if isinstance(value, int | float | list | tuple | dict):
                raise InvalidArgumentError(name, value, "allowed: a text")
        for name in ("start_time", "end_time"):
            if _is_literal(getattr(self, name)):
                parse_time(getattr(self, name), name)
        if _is_literal(self.filters) and self.filters:
            from airflow_provider_honeyhive.models import parse_filters  # noqa: PLC0415

            parse_filters(self.filters)
        check_fields(
            *(value if _is_literal(value) else None for value in (self.projections, self.exclude_fields, self.redact))
        )
        if _is_literal(self.output_path):
            _check_absolute(self.output_path)
            _, layout = choose_layout(self.output_path, self.file_format, self.compression)
            check_partitions(self._options().partition_by, layout)


def _is_literal(value: Any) -> bool:
    """Return whether the value is final: no template in it, nothing that another task will give."""
    if isinstance(value, str):
        return "{{" not in value and "{%" not in value and value != ""
    if isinstance(value, Mapping):
        return all(map(_is_literal_or_none, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_literal_or_none, value))
    return isinstance(value, int | float | date)


def _is_literal_or_none(value: Any) -> bool:
    return value is None or value == "" or _is_literal(value)


def _as_plain_data(filters: Any) -> Any:
    # Airflow renders templates in dicts, not in frozen models.
    if hasattr(filters, "to_wire"):
        return [filters.to_wire()]
    if isinstance(filters, list | tuple):
        return [item.to_wire() if hasattr(item, "to_wire") else item for item in filters]
    return filters


def _as_path(output_path: Any, conn_id: str | None) -> Any:
    """Return the path to write to, with its connection.

    :raises InvalidArgumentError: it is relative, or Airflow has no filesystem for its scheme.
    """
    _check_absolute(output_path)
    if isinstance(output_path, str):
        # Airflow 2.11 takes None for "no connection", also where the URL names one.
        output_path = ObjectStoragePath(output_path, **({} if conn_id is None else {"conn_id": conn_id}))
    try:
        _ = output_path.fs if hasattr(output_path, "protocol") else None
    except (ImportError, ValueError) as error:
        raise InvalidArgumentError(
            "output_path",
            str(output_path),
            f"this Airflow cannot write there: {error}. Install the store's extra: "
            "airflow-provider-honeyhive[s3], [gcs] or [azure]",
        ) from None
    return output_path


def _check_absolute(path: Any) -> None:
    # Relative to what? Each worker has a working directory of its own.
    if not str(path).startswith("/") and "://" not in str(path):
        raise InvalidArgumentError(
            "output_path", str(path), "allowed: an absolute path or a URL such as s3://bucket/folder/"
        )


def _airflow_facts(context: Context) -> AirflowFacts:
    from airflow_provider_honeyhive.manifest import AirflowFacts  # noqa: PLC0415

    ti = context["ti"]
    return AirflowFacts(
        dag_id=ti.dag_id,
        task_id=ti.task_id,
        run_id=ti.run_id,
        try_number=ti.try_number,
        map_index=getattr(ti, "map_index", None),
    )
