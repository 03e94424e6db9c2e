"""Export one window with many tasks: split it, map the export over the parts, combine what they have exported.

.. code-block:: python

    split = HoneyHiveSplitWindowOperator(task_id="split", output_path=PATH, parts=8)
    export = HoneyHiveExportEventsOperator.partial(task_id="export", retries=3).expand_kwargs(split.output)
    HoneyHiveCombineExportsOperator(task_id="combine", output_path=PATH, exports=export.output)

What the export is to ask for (project, filters, …) is said to it and to the split; window and path to the split and
to the combination. How a window is split is in ``reading/sharding``, how parts are combined in ``export/combine``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive._compat import BaseOperator
from airflow_provider_honeyhive.api.connection_form import DEFAULT_CONNECTION
from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.models.layout import check_folder
from airflow_provider_honeyhive.models.options import (
    FAIL,
    MOST_SHARDS,
    ON_SHRINK,
    ON_UNMATCHED,
    WARN,
    check_choice,
    check_number,
)
from airflow_provider_honeyhive.models.window import format_time
from airflow_provider_honeyhive.tasks.arguments import (
    airflow_facts,
    as_plain_data,
    check_absolute,
    check_literals,
    is_literal,
    request_of,
    storage_path,
)
from airflow_provider_honeyhive.tasks.assets import ExportResultMixin, log_files
from airflow_provider_honeyhive.tasks.map_names import name_mapped_task
from airflow_provider_honeyhive.tasks.output_path import Used, example_path, fill_output_path
from airflow_provider_honeyhive.tasks.retry_policy import fail_if_permanent
from airflow_provider_honeyhive.tasks.run_window import run_window
from airflow_provider_honeyhive.tasks.templates import settle_templates, templates_of
from airflow_provider_honeyhive.tasks.when_empty import SUCCESS, check_when_empty, skip_if_empty

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_provider_honeyhive._compat import Context
    from airflow_provider_honeyhive.api.client import HoneyHiveClient
    from airflow_provider_honeyhive.hooks.honeyhive import HoneyHiveHook
    from airflow_provider_honeyhive.models.window import Window

DEFAULT_PARTS = 8


class _WholeWindowOperator(BaseOperator):
    """What the task before the exports and the one after them share: the whole window, and the folder for it."""

    _templates: dict[str, Any]
    overwrite_rtif_after_execution = True

    def __init__(
        self,
        *,
        output_path: Any,
        output_conn_id: str | None,
        start_time: Any,
        end_time: Any,
        honeyhive_conn_id: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.output_path = output_path
        self.output_path_template = output_path
        self.output_conn_id = output_conn_id
        self.start_time = start_time
        self.end_time = end_time
        self.honeyhive_conn_id = honeyhive_conn_id
        self._client: HoneyHiveClient | None = None
        check_literals(
            times={"start_time": start_time, "end_time": end_time},
            texts={"output_conn_id": output_conn_id, "honeyhive_conn_id": honeyhive_conn_id},
        )
        if is_literal(output_path):
            _folder(example_path(output_path))

    def execute(self, context: Context) -> Any:
        """Do the task; what no retry can mend fails it at once."""
        # Here, since DAG parsing needs none of what it brings.
        from airflow_provider_honeyhive.hooks.honeyhive import HoneyHiveHook  # noqa: PLC0415

        with fail_if_permanent():
            settle_templates(self, self._templates, context)
            hook = HoneyHiveHook(self.honeyhive_conn_id)
            with hook.get_conn() as client:
                self._client = client
                window = run_window(context, self.start_time, self.end_time)
                project = self._project(hook)
                folder = _folder(fill_output_path(self, project, window))
                used = Used(project, window, folder)
                used.tell()
                used.show(self)
                return self._run(context, hook, client, window, folder)

    def on_kill(self) -> None:
        """End soon."""
        if self._client is not None:
            self._client.stop()

    @abstractmethod
    def _project(self, hook: HoneyHiveHook) -> str | None:
        """Return the project that is exported."""

    @abstractmethod
    def _run(self, context: Context, hook: HoneyHiveHook, client: HoneyHiveClient, window: Window, folder: Any) -> Any:
        """Do what is the task's own, and return its result.

        :param window: the whole one.
        :param folder: for the whole export, with its placeholders filled.
        """


class HoneyHiveSplitWindowOperator(_WholeWindowOperator):
    """Split a window into parts of about as many events each, to map an export over them.

    Asks the server for counts, not for events. Returns a list of ``{"start_time", "end_time", "output_path"}``, oldest
    first, for ``HoneyHiveExportEventsOperator.partial(...).expand_kwargs(...)``; the paths lie in a folder whose name
    begins with ``_`` under ``output_path``. Where the server reports no usable totals the parts are of equal length.

    Without ``start_time`` and ``end_time`` the window is the run's own, as for the export.

    :param project: name of the project; default: the connection's extra ``project``. (templated)
    :param filters: the export's conditions, since only events that meet them count. (templated)
    :param start_time: inclusive: datetime (naive: UTC), ISO 8601 text, or Unix seconds or milliseconds;
        give both times or neither. (templated)
    :param end_time: exclusive, the same forms. (templated)
    :param evaluation_id: count only the events of this experiment run. (templated)
    :param output_path: the folder for the whole export; the placeholders of the export's ``output_path`` stand for the
        whole window. (templated)
    :param output_conn_id: Airflow connection of the object store; default: the store's own. (templated)
    :param parts: the most parts (1 to 1024; Airflow's ``[core] max_map_length`` must allow them); default 8.
    :param events_per_part: take fewer parts as long as none has many more events than this; default: always as many
        as ``parts`` says, where the events can be parted.
    :param honeyhive_conn_id: id of the HoneyHive connection. (templated)
    :raises InvalidArgumentError: a literal argument cannot be right (when the DAG is parsed).
    :raises AirflowFailException: what no retry mends: key, project, filters, arguments.
    :raises HoneyHiveError: what a retry may mend; see :mod:`airflow_provider_honeyhive.exceptions`.
    """

    template_fields: Sequence[str] = (
        "project",
        "filters",
        "start_time",
        "end_time",
        "evaluation_id",
        "output_path",
        "output_conn_id",
        "honeyhive_conn_id",
    )
    template_fields_renderers = {"filters": "json"}
    ui_color = "#fff4e0"

    def __init__(
        self,
        *,
        output_path: Any,
        project: str | None = None,
        filters: Any = (),
        start_time: Any = None,
        end_time: Any = None,
        evaluation_id: str | None = None,
        output_conn_id: str | None = None,
        parts: int = DEFAULT_PARTS,
        events_per_part: int | None = None,
        honeyhive_conn_id: str = DEFAULT_CONNECTION,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            output_path=output_path,
            output_conn_id=output_conn_id,
            start_time=start_time,
            end_time=end_time,
            honeyhive_conn_id=honeyhive_conn_id,
            **kwargs,
        )
        self.project = project
        self.filters = as_plain_data(filters)
        self.evaluation_id = evaluation_id
        self.parts = parts
        self.events_per_part = events_per_part
        check_number("parts", parts, 1, MOST_SHARDS)
        check_number("events_per_part", events_per_part, 1, None, optional=True)
        check_literals(filters=self.filters, times={}, texts={"project": project, "evaluation_id": evaluation_id})
        self._templates = templates_of(self)

    def _project(self, hook: HoneyHiveHook) -> str | None:
        return self.project or hook.settings.project

    def _run(
        self, context: Context, hook: HoneyHiveHook, client: HoneyHiveClient, window: Window, folder: Any
    ) -> list[dict[str, str]]:
        from airflow_provider_honeyhive.export.shards import shard_name, shards_folder, write_plan  # noqa: PLC0415
        from airflow_provider_honeyhive.reading.sharding import split_by_counts  # noqa: PLC0415

        request = request_of(
            hook.settings,
            project=self.project,
            filters=self.filters,
            evaluation_id=self.evaluation_id,
            window=window,
        )
        name_mapped_task(context, request.project, request.window)
        split = split_by_counts(client, request, self.parts, self.events_per_part)
        shards = shards_folder(request, client.settings.api_host, (context["ti"].dag_id, context["ti"].run_id))
        write_plan(storage_path(folder, self.output_conn_id), shards, split.total)
        return [
            {
                "start_time": format_time(shard.start),
                "end_time": format_time(shard.end),
                "output_path": f"{str(folder).rstrip('/')}/{shards}/{shard_name(shard)}/",
            }
            for shard in split.windows
        ]


class HoneyHiveCombineExportsOperator(ExportResultMixin, _WholeWindowOperator):
    """Publish what mapped exports have exported as one export, with one manifest over all.

    Checks that the parts cover the window exactly, were asked for alike and are there with all their files, and that
    they hold no fewer events than the server reported both when the window was split and now. Then their files go
    into ``output_path`` under the names that any export gives, the manifest is written, an earlier export's files and
    the parts are removed. Returns what the export operator returns.

    A failure publishes nothing and leaves the parts for a retry.

    :param output_path: the folder that was given to the split, with the same placeholders. (templated)
    :param exports: the result of the mapped export: ``export.output``. (templated)
    :param start_time: of the whole window, as given to the split. (templated)
    :param end_time: of the whole window. (templated)
    :param output_conn_id: Airflow connection of the object store; default: the store's own. (templated)
    :param replace: replace an earlier export of the same window; False: fail.
    :param when_empty: ``skip``: a window without events ends the task as skipped, after the empty export has been
        published; default ``success``.
    :param on_unmatched: what happens where a path of ``exclude_fields`` or ``redact`` matches nothing in any event of
        any part: ``warn`` (the default) in the log, or ``fail`` before anything is published.
    :param on_shrink: what happens where the published export holds events that the new one does not; see
        :class:`.HoneyHiveExportEventsOperator`. Default ``fail``.
    :param honeyhive_conn_id: id of the HoneyHive connection. (templated)
    :raises InvalidArgumentError: a literal argument cannot be right (when the DAG is parsed).
    :raises AirflowFailException: what no retry mends: parts that do not belong together, a destination that holds
        another export.
    :raises HoneyHiveError: what a retry may mend; see :mod:`airflow_provider_honeyhive.exceptions`.
    """

    template_fields: Sequence[str] = (
        "output_path",
        "exports",
        "start_time",
        "end_time",
        "output_conn_id",
        "honeyhive_conn_id",
    )
    template_fields_renderers = {"exports": "json"}
    ui_color = "#ffdfa6"

    def __init__(
        self,
        *,
        output_path: Any,
        exports: Any,
        start_time: Any = None,
        end_time: Any = None,
        output_conn_id: str | None = None,
        replace: bool = True,
        when_empty: str = SUCCESS,
        on_unmatched: str = WARN,
        on_shrink: str = FAIL,
        honeyhive_conn_id: str = DEFAULT_CONNECTION,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            output_path=output_path,
            output_conn_id=output_conn_id,
            start_time=start_time,
            end_time=end_time,
            honeyhive_conn_id=honeyhive_conn_id,
            **kwargs,
        )
        self.exports = exports
        self.replace = replace
        self.when_empty = when_empty
        check_when_empty(when_empty)
        self.on_unmatched = on_unmatched
        check_choice("on_unmatched", on_unmatched, ON_UNMATCHED)
        self.on_shrink = on_shrink
        check_choice("on_shrink", on_shrink, ON_SHRINK)
        self._templates = templates_of(self)

    def _project(self, hook: HoneyHiveHook) -> str | None:
        # What the parts are of; they may have been given another one than the connection's.
        return _project_of(self.exports)

    def _run(
        self, context: Context, hook: HoneyHiveHook, client: HoneyHiveClient, window: Window, folder: Any
    ) -> dict[str, Any]:
        from airflow_provider_honeyhive.export.combine import combine_exports  # noqa: PLC0415
        from airflow_provider_honeyhive.export.result import ExportResult, summarize  # noqa: PLC0415

        manifest = combine_exports(
            client,
            storage_path(folder, self.output_conn_id),
            _urls(self.exports),
            window,
            airflow=airflow_facts(context),
            replace=self.replace,
            on_unmatched=self.on_unmatched,
            on_shrink=self.on_shrink,
        )
        name_mapped_task(context, manifest.project, window)
        log_files(manifest)
        result, returned = ExportResult.of_files(manifest), summarize(manifest)
        self.report(context, result, hook.settings.app_url)
        skip_if_empty(self, context, result, returned)
        return returned


def _folder(output_path: Any) -> Any:
    """Return the path, which must be that of a folder.

    :raises InvalidArgumentError: it is one object, or relative, or climbs.
    """
    check_absolute(output_path)
    return check_folder(output_path, "parts cannot become one object")


def _project_of(exports: Iterable[Any]) -> str | None:
    """Return the project that the parts are of.

    :raises InvalidArgumentError: these are not the results of exports to files.
    """
    project = _results(exports)[0].get("project")
    return None if project is None else str(project)


def _urls(exports: Iterable[Any]) -> list[str]:
    """Return where the parts are.

    :raises InvalidArgumentError: these are not the results of exports to files.
    """
    return [str(one["output_path"]) for one in _results(exports)]


def _results(exports: Iterable[Any]) -> list[Mapping[str, Any]]:
    # Airflow gives a lazy sequence, which has no look at it but this.
    results = [] if exports is None else list(exports)
    if not results or not all(isinstance(one, Mapping) and "output_path" in one for one in results):
        raise InvalidArgumentError("exports", results, "allowed: the result of the mapped export, export.output")
    return results
