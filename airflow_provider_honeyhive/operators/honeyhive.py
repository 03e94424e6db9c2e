"""Export a window of HoneyHive events from a DAG."""

from __future__ import annotations

import time
import warnings
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive._compat import BaseOperator
from airflow_provider_honeyhive.api.connection_form import DEFAULT_CONNECTION
from airflow_provider_honeyhive.display import get_logger
from airflow_provider_honeyhive.exceptions import HoneyHiveError, InvalidArgumentError
from airflow_provider_honeyhive.models.fields import check_fields, check_include_content, parse_paths
from airflow_provider_honeyhive.models.layout import choose_layout
from airflow_provider_honeyhive.models.options import (
    DEFAULT_CONCURRENCY,
    DEFAULT_MAX_FILE_SIZE,
    DEFAULT_XCOM_MAX_BYTES,
    FAIL,
    WARN,
    ExportOptions,
    check_lookback,
    check_number,
    check_partitions,
)
from airflow_provider_honeyhive.models.window import LATEST, format_time
from airflow_provider_honeyhive.tasks.arguments import (
    LONGEST_SPAN_S,
    airflow_facts,
    as_plain_data,
    check_literals,
    check_task,
    is_literal,
    literal_or_none,
    request_of,
    seconds_of,
    storage_path,
)
from airflow_provider_honeyhive.tasks.assets import ExportResultMixin, log_files, log_returned
from airflow_provider_honeyhive.tasks.map_names import name_mapped_task
from airflow_provider_honeyhive.tasks.output_path import (
    Used,
    differs_by_window,
    example_path,
    fill_output_path,
    folder_to_look_back,
)
from airflow_provider_honeyhive.tasks.retry_policy import fail_if_permanent
from airflow_provider_honeyhive.tasks.run_window import choose_window, run_window
from airflow_provider_honeyhive.tasks.templates import settle_templates, templates_of
from airflow_provider_honeyhive.tasks.when_empty import SUCCESS, check_no_shard, check_when_empty, skip_if_empty
from airflow_provider_honeyhive.triggers.moment import BACKSTOP_S, HoneyHiveMomentTrigger, defer_if_asked, waits_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_honeyhive._compat import Context
    from airflow_provider_honeyhive.api.client import HoneyHiveClient
    from airflow_provider_honeyhive.export.result import ExportResult
    from airflow_provider_honeyhive.hooks.honeyhive import HoneyHiveHook
    from airflow_provider_honeyhive.models.request import ExportRequest
    from airflow_provider_honeyhive.models.window import Window
    from airflow_provider_honeyhive.tasks.watermark import Watermark

log = get_logger(__name__)

#: How long events may take until the API shows them; HoneyHive speaks of a few minutes.
DEFAULT_DELAY = timedelta(minutes=5)

#: Seconds that are not worth the way to the triggerer and back; also clocks that differ a little.
SHORT_WAIT_S = 30.0


class HoneyHiveExportEventsOperator(ExportResultMixin, BaseOperator):
    """Export the events of a window, completely and once, to files or to XCom.

    Without ``start_time`` and ``end_time`` the window is that of the run: what its ``dag_run.conf`` or ``params``
    give, else its data interval, partition or period of the schedule. A run that has none of these (triggered by
    assets, or of a DAG without a schedule) continues where the last one that published has ended.

    With ``output_path`` the events go to files, newest first, each as the server sent it, and the task
    returns ``output_path``, ``manifest_path``, ``event_count``, ``size_bytes``, ``files``, ``start_time``,
    ``end_time`` and ``project``. Without it the task returns the events themselves, with what XCom cannot
    carry replaced (half a surrogate pair and NUL by U+FFFD, integers beyond 64 bits by text, NaN by None).

    Where the server asks by ``Retry-After`` for more than a minute, the task waits without a worker slot, and then
    goes on from what is staged: in each try as often as ``max_retries`` of the connection says.

    :param project: name of the project; default: the connection's extra ``project``. (templated)
    :param filters: conditions that all must hold: EventFilter objects, dicts, or JSON texts of one or a
        list of them. (templated, inside lists and dicts too)
    :param start_time: inclusive: datetime (naive: UTC), ISO 8601 text, or Unix seconds or milliseconds;
        give both times or neither. (templated)
    :param end_time: exclusive, the same forms. (templated)
    :param delay: export a window only when it has been over for that long: timedelta or seconds; until then the
        task waits, without a worker slot. Default 5 minutes, in which HoneyHive takes in the last events of a window.
        A window that is not over yet is waited for also with 0.
    :param projections: top-level fields to keep; event_id, start_time, project and project_id always come
        too. Default: all fields. (templated)
    :param evaluation_id: export only the events of this experiment run. (templated)
    :param exclude_fields: dotted paths of what is taken out of each event before anything is written, such as
        ``inputs`` or ``outputs.content``; numbers on the way, such as indexes of lists, may be left out, and mean all
        then. (templated)
    :param redact: the same paths, whose values are replaced by a keyed hash, so that joins survive; the key is
        the connection's extra ``redact_secret``. (templated)
    :param include_content: False exports what was measured, not what was said: numbers, times, ids and names, no other
        text; ids of users and sessions as keyed hashes where the connection has a ``redact_secret``, else not at all.
        Default True.
    :param sessions: ``complete``: export whole sessions, those whose root event lies in the window and meets the
        filters, with all their events wherever they lie, so that no trace is cut; needs ``output_path``, and a request
        or two for each session. Default: the events of the window.
    :param output_path: a folder, or one object where it ends in a suffix such as ``.jsonl.gz`` or ``.parquet``;
        anything that ``ObjectStoragePath`` takes. Make it different for each window, by ``{start}``, ``{end}``, with
        formats such as ``{start:%Y-%m-%d}``, or ``{window_id}``: they and ``{project}`` are filled with what is
        exported. (templated)
    :param output_conn_id: Airflow connection of the object store; default: the store's own. (templated)
    :param file_format: ``jsonl``, ``csv``, ``json`` or ``parquet`` (needs the extra ``parquet``); default: by the
        suffix, else ``jsonl``. (templated)
    :param compression: ``gzip``, ``zstd`` or ``none``; for Parquet also ``snappy``, ``lz4`` and ``brotli``;
        default: by the suffix, else ``gzip``, for Parquet ``zstd``. (templated)
    :param partition_by: folders to sort the events into, such as ``event_date=2026-11-22``: a list of
        ``event_date`` (of ``start_time``, UTC) and ``event_type``; default: none.
    :param max_file_size: bytes on disk at which a part ends and the next begins; default 128 MiB. One
        object is never split.
    :param page_size: most events in one request (1 to 7500); default: what makes answers of about 16 MB.
    :param concurrency: slices of the window read at the same time, and so the most requests at once (1 to
        64); default 4.
    :param replace: replace an earlier export of the same window; False: refuse before any request.
    :param on_shrink: what happens where the published export holds events that the new one does not, or more of them,
        such as after HoneyHive has deleted them: ``fail`` (the default) before anything is replaced, ``keep`` the
        published one and succeed, or ``replace`` it. Only ``replace`` also replaces an export of other filters or
        fields.
    :param min_events: fail where the window holds fewer events; default: none are fine.
    :param when_empty: ``skip``: a window without events ends the task as skipped, after the empty export has been
        published; default ``success``.
    :param on_unmatched: what happens where a path of ``exclude_fields`` or ``redact`` matches nothing in any event:
        ``warn`` (the default) in the log, or ``fail`` before anything is published. Among mapped exports of a split
        window it has no effect: the combination decides.
    :param lookback_windows: how many times the window's length to read again behind it; what came late or changed since
        earlier runs of the task exported it becomes correction files beside the window's own. ``output_path`` must be
        a folder, and begin with one in which no template and no placeholder stands. Default 0.
    :param lookback: what ``lookback_windows`` was called before version 0.2; goes with the next one.
    :param trust_total: compare what was read with the number that the server reports, and fail where events are
        missing; False: where that number is no total of the window. Default: as the connection says, else True.
    :param xcom_max_bytes: without ``output_path``, the most bytes of JSON to return; default 1,000,000,
        since XCom values go through Airflow's database; from 49,344 on the log warns.
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
        "output_conn_id",
        "file_format",
        "compression",
        "honeyhive_conn_id",
    )
    template_fields_renderers = {"filters": "json", "projections": "json", "exclude_fields": "json", "redact": "json"}
    ui_color = "#ffe9c7"
    overwrite_rtif_after_execution = True

    def __init__(
        self,
        *,
        project: str | None = None,
        filters: Any = (),
        start_time: Any = None,
        end_time: Any = None,
        delay: timedelta | float = DEFAULT_DELAY,
        projections: Sequence[str] | str | None = None,
        evaluation_id: str | None = None,
        exclude_fields: Sequence[str] | str | None = None,
        redact: Sequence[str] | str | None = None,
        include_content: bool = True,
        sessions: str | None = None,
        output_path: Any = None,
        output_conn_id: str | None = None,
        file_format: str | None = None,
        compression: str | None = None,
        partition_by: Sequence[str] | str | None = None,
        max_file_size: int = DEFAULT_MAX_FILE_SIZE,
        page_size: int | None = None,
        concurrency: int = DEFAULT_CONCURRENCY,
        replace: bool = True,
        on_shrink: str = FAIL,
        min_events: int | None = None,
        when_empty: str = SUCCESS,
        on_unmatched: str = WARN,
        lookback_windows: int = 0,
        lookback: int | None = None,
        trust_total: bool | None = None,
        xcom_max_bytes: int = DEFAULT_XCOM_MAX_BYTES,
        honeyhive_conn_id: str = DEFAULT_CONNECTION,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.project = project
        self.filters = as_plain_data(filters)
        self.start_time = start_time
        self.end_time = end_time
        self.delay = delay
        self.projections = projections
        self.evaluation_id = evaluation_id
        self.exclude_fields = exclude_fields
        self.redact = redact
        self.include_content = include_content
        self.sessions = sessions
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
        self.on_shrink = on_shrink
        self.min_events = min_events
        self.when_empty = when_empty
        self.on_unmatched = on_unmatched
        self.lookback_windows = lookback_windows if lookback is None else _lookback_windows(lookback, lookback_windows)
        self.trust_total = trust_total
        self.xcom_max_bytes = xcom_max_bytes
        self.honeyhive_conn_id = honeyhive_conn_id
        self._client: HoneyHiveClient | None = None
        self._watermark: Watermark | None = None
        self._templates = templates_of(self)
        self._used = Used(None, None, None)
        self._check_literals()

    def execute(self, context: Context) -> Any:
        """Export, and return the summary of the files or the events themselves."""
        return self._export_or_defer(context)

    def resume(self, context: Context, event: Any = None) -> Any:
        """Export after a wait in the triggerer."""
        return self._export_or_defer(context, waits_of(event))

    def on_kill(self) -> None:
        """End soon: what is staged stays for a retry, open uploads are aborted."""
        if self._client is not None:
            self._client.stop()

    def _export_or_defer(self, context: Context, waits: int = 0) -> Any:
        with fail_if_permanent():
            settle_templates(self, self._templates, context)
            try:
                return self._export(context)
            except HoneyHiveError as error:
                if self._client is not None:
                    defer_if_asked(self, self._client, error, waits)
                self._used.show(self)
                raise

    def _export(self, context: Context) -> Any:
        from airflow_provider_honeyhive.export.exporter import export_events  # noqa: PLC0415
        from airflow_provider_honeyhive.export.result import ExportResult, summarize  # noqa: PLC0415
        from airflow_provider_honeyhive.export.xcom import collect_events, fit_for_xcom  # noqa: PLC0415
        from airflow_provider_honeyhive.hooks.honeyhive import HoneyHiveHook, make_client  # noqa: PLC0415

        options = self._options()
        check_no_shard(self.when_empty, self.output_path)
        hook = HoneyHiveHook(self.honeyhive_conn_id)
        if self.output_path is not None:
            # Before anything is remembered or asked.
            storage_path(self.output_path, self.output_conn_id)
        request = self._request(context, hook)
        filled = None if self.output_path is None else fill_output_path(self, request.project, request.window)
        path = None if filled is None else storage_path(filled, self.output_conn_id)
        name_mapped_task(context, request.project, request.window)
        if request.window is not None:
            self._wait_until_past(request.window)
        self._used = Used(request.project, request.window, filled)
        self._used.tell()
        with make_client(hook.settings, leaves_long_waits=True) as client:
            self._client = client
            if path is None:
                events = collect_events(
                    client,
                    request,
                    max_bytes=self.xcom_max_bytes,
                    page_size=self.page_size,
                    min_events=self.min_events,
                    on_unmatched=self.on_unmatched,
                    trust_total=self.trust_total,
                )
                log_returned(events, request)
                result = ExportResult.of_events(client.settings.api_host, request, events)
                return self._finish(context, hook, result, fit_for_xcom(events))
            manifest = export_events(
                client,
                request,
                path,
                options,
                airflow_facts(context),
                exports_folder=folder_to_look_back(self, request.project, context),
            )
        if self._watermark is not None and request.window is not None:
            self._watermark.advance(request.window)
        log_files(manifest)
        return self._finish(context, hook, ExportResult.of_files(manifest), summarize(manifest))

    def _finish(self, context: Context, hook: HoneyHiveHook, result: ExportResult, returned: Any) -> Any:
        self._used.show(self)
        self.report(context, result, hook.settings.app_url)
        skip_if_empty(self, context, result, returned)
        return returned

    def _options(self) -> ExportOptions:
        check_number("xcom_max_bytes", self.xcom_max_bytes, 1, None)
        return ExportOptions.of(self)

    def _request(self, context: Context, hook: HoneyHiveHook) -> ExportRequest:
        project = self.project or hook.settings.project
        return request_of(
            hook.settings,
            project=project,
            filters=self.filters,
            window=self._window(context, project),
            projections=self.projections,
            evaluation_id=self.evaluation_id,
            exclude_fields=self.exclude_fields,
            redact=self.redact,
            redact_secret=hook.settings.redact_secret,
            include_content=self.include_content,
            sessions=self.sessions,
        )

    def _window(self, context: Context, project: str | None) -> Window:
        if self.start_time in (None, "") and self.end_time in (None, ""):
            window, self._watermark = choose_window(self, context, project)
            return window
        return run_window(context, self.start_time, self.end_time)

    def _wait_until_past(self, window: Window) -> None:
        delay = timedelta(seconds=seconds_of("delay", self.delay))
        moment = min(window.end, LATEST - delay) + delay
        left = (moment - datetime.now(UTC)).total_seconds()
        if left <= 0:
            return
        log.info("Waiting until %s to export the window %s", format_time(moment), window)
        if left > SHORT_WAIT_S:
            # Where there is no triggerer the task fails, and a retry has nothing to wait for any more.
            self.defer(
                trigger=HoneyHiveMomentTrigger(format_time(moment)),
                method_name="resume",
                timeout=timedelta(seconds=min(left + BACKSTOP_S, LONGEST_SPAN_S)),
            )
        time.sleep(left)

    def _check_literals(self) -> None:
        """Check what is known when the DAG is parsed; templates and results of other tasks are not."""
        self._options()
        check_when_empty(self.when_empty, self.min_events)
        check_task(self.sessions, self.filters, self.output_path)
        seconds_of("delay", self.delay)
        check_literals(
            filters=self.filters,
            times={"start_time": self.start_time, "end_time": self.end_time},
            texts={
                name: getattr(self, name)
                for name in ("project", "evaluation_id", "output_conn_id", "honeyhive_conn_id")
            },
        )
        projections, excluded, redacted = (
            parse_paths(name, literal_or_none(value))
            for name, value in (
                ("projections", self.projections),
                ("exclude_fields", self.exclude_fields),
                ("redact", self.redact),
            )
        )
        check_fields(projections, excluded, redacted)
        check_include_content(self.include_content)
        if is_literal(self.output_path):
            file_format, compression = (literal_or_none(value) for value in (self.file_format, self.compression))
            # Which compressions there are depends on the format, which a template may give.
            fits = file_format is not None or self.file_format is None
            _, layout = choose_layout(example_path(self.output_path), file_format, compression if fits else None)
            check_partitions(self._options().partition_by, layout, excluded, redacted)
            check_lookback(self.lookback_windows, layout)
        if self.lookback_windows and not differs_by_window(self.output_path):
            raise InvalidArgumentError(
                "lookback_windows",
                self.lookback_windows,
                "output_path must be a folder that is another one for each window",
            )


def _lookback_windows(lookback: int, lookback_windows: int) -> int:
    """Return what the argument's former name says, and warn of it."""
    if lookback_windows:
        raise InvalidArgumentError("lookback", lookback, "leave it out: lookback_windows says the same")
    warnings.warn("lookback is called lookback_windows now: rename the argument", DeprecationWarning, stacklevel=2)
    return lookback
