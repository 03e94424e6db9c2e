"""What operators that build share: where they read from and write to, and whom they tell of what they have built.

Light enough for DAG parsing: what reads exports is imported when a task runs.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive._compat import BaseOperator
from airflow_provider_honeyhive.display import get_logger
from airflow_provider_honeyhive.exceptions import NOT_SHOWN, Fact, InvalidArgumentError
from airflow_provider_honeyhive.models.layout import check_folder
from airflow_provider_honeyhive.models.options import check_number
from airflow_provider_honeyhive.models.window import Window, parse_bound
from airflow_provider_honeyhive.tasks.arguments import (
    airflow_facts,
    check_absolute,
    check_literals,
    is_literal,
    storage_path,
)
from airflow_provider_honeyhive.tasks.assets import MOST_FILES_SHOWN, log_group, shown_facts, tell_assets
from airflow_provider_honeyhive.tasks.build_lineage import build_lineage
from airflow_provider_honeyhive.tasks.map_names import name_mapped_task
from airflow_provider_honeyhive.tasks.output_path import Used, example_path, fill_output_path
from airflow_provider_honeyhive.tasks.retry_policy import fail_if_permanent
from airflow_provider_honeyhive.tasks.run_window import given_window, own_window, run_window
from airflow_provider_honeyhive.tasks.templates import settle_templates

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_honeyhive._compat import Context
    from airflow_provider_honeyhive.build_manifest import BuildManifest
    from airflow_provider_honeyhive.builds.sources import Sources
    from airflow_provider_honeyhive.builds.stopping import BuildStop

log = get_logger(__name__)

#: Bytes of memory that DuckDB uses at the most, before it spills to disk.
DEFAULT_MEMORY_LIMIT = "1GB"

#: Templated arguments of all operators that read exports.
SOURCE_FIELDS = (
    "export",
    "exports_folder",
    "start_time",
    "end_time",
    "last_exports",
    "exports_conn_id",
    "output_path",
    "output_conn_id",
)

_FILES = "a build has several files"

_EXPORT = (
    "give the result of an export to files, such as export.output, of several, or a path",
    Fact("An export without output_path has no files: it returns the events themselves"),
)


class BuildOperator(BaseOperator):
    """Builds files in a folder, and says so.

    :param output_path: the folder, with placeholders.
    :param output_conn_id: Airflow connection of its store.
    """

    overwrite_rtif_after_execution = True
    _templates: dict[str, Any]
    #: What the task has built; None: nothing yet.
    built: BuildManifest | None = None
    #: The tables that it has built it of; None: of exports.
    built_of: BuildManifest | None = None
    _stop: BuildStop | None = None

    def __init__(self, *, output_path: Any, output_conn_id: str | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.output_path = output_path
        self.output_path_template = output_path
        self.output_conn_id = output_conn_id
        check_literals(times={}, texts={"output_conn_id": output_conn_id})
        if is_literal(output_path):
            check_folder(example_path(output_path), _FILES)

    def on_kill(self) -> None:
        """End soon: nothing is published."""
        if self._stop is not None:
            self._stop.stop()

    def execute(self, context: Context) -> dict[str, Any]:
        """Build, and return what was built as plain facts; what no retry can mend fails the task at once."""
        from airflow_provider_honeyhive.builds.stopping import BuildStop  # noqa: PLC0415 - not for DAG parsing

        self._stop = BuildStop()
        with fail_if_permanent():
            settle_templates(self, self._templates, context)
            return self._execute(context)

    @abstractmethod
    def _execute(self, context: Context) -> dict[str, Any]:
        """Do what is the task's own, and return its result."""

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Return what the task has read and written; called by Airflow's OpenLineage provider.

        :param task_instance: of the task.
        """
        return build_lineage(self.built, self.built_of)

    def place(self, context: Context, project: str | None, window: Window | None) -> tuple[Used, Any]:
        """Return what the task uses, and the folder to write to; what is wrong with that is told before any work.

        :param project: that placeholders stand for.
        :param window: likewise.
        """
        # The windows of the last exports slide; what is built refuses the place of another window's build.
        filled = fill_output_path(self, project, window, may_be_longer=True)
        used = Used(project, window, check_folder(filled, _FILES))
        name_mapped_task(context, project, window)
        used.tell()
        return used, storage_path(used.output_path, self.output_conn_id)

    def tell(self, context: Context, used: Used, built: BuildManifest) -> dict[str, Any]:
        """Tell the log, assets and lineage what was built, and return it as plain facts.

        :param used: what :meth:`place` has returned.
        """
        self.built = built
        used.show(self)
        _log_files(built)
        summary = built.summary()
        # No lists and no objects: aliases of Airflow 2.11 could not carry them, and the manifest has them.
        facts = shown_facts({name: fact for name, fact in summary.items() if isinstance(fact, str | int | None)})
        tell_assets(self.outlets, context, facts, summary["output_path"], built.start_time)
        return summary


class ExportsBuildOperator(BuildOperator):
    """Builds of exports: of those that a task before it has made, or of those in a folder.

    :param export: result of an export, of several, or the path of one.
    :param exports_folder: a folder that holds exports at any depth.
    :param start_time: of the window whose exports are read, inclusive.
    :param end_time: likewise, exclusive.
    :param last_exports: how many exports are read, the last ones.
    :param exports_conn_id: Airflow connection of the store that the exports are in.
    :param memory_limit: most memory for DuckDB.
    :param temp_folder: where DuckDB spills to.
    """

    def __init__(
        self,
        *,
        export: Any,
        exports_folder: Any,
        start_time: Any,
        end_time: Any,
        last_exports: Any,
        exports_conn_id: str | None,
        memory_limit: str,
        temp_folder: str | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.export = export
        self.exports_folder = exports_folder
        self.start_time = start_time
        self.end_time = end_time
        self.last_exports = last_exports
        self.exports_conn_id = exports_conn_id
        self.memory_limit = memory_limit
        self.temp_folder = temp_folder
        self._check_sources()
        check_literals(
            times={"start_time": start_time, "end_time": end_time}, texts={"exports_conn_id": exports_conn_id}
        )

    def _execute(self, context: Context) -> dict[str, Any]:
        self._check_sources()
        sources = self._sources(context)
        used, place = self.place(context, sources.project, sources.window)
        count, events = len(sources.exports), sum(one.manifest.event_count for one in sources.exports)
        log.info("Reading %s export%s with %s events", f"{count:,}", "" if count == 1 else "s", f"{events:,}")
        options = {
            "memory_limit": self.memory_limit,
            "temp_folder": self.temp_folder,
            "airflow": airflow_facts(context),
            "stop": self._stop,
        }
        return self.tell(context, used, self.build(sources, place, **options))

    @abstractmethod
    def build(self, sources: Sources, place: Any, **options: Any) -> BuildManifest:
        """Build what is the task's own, and return its manifest.

        :param place: the folder to write to.
        :param options: that all builds take.
        """

    def _check_sources(self) -> None:
        """Check which exports are asked for: when the DAG is parsed, and once more with templates rendered."""
        given = [name for name in ("export", "exports_folder") if not _is_missing(getattr(self, name))]
        if len(given) != 1:
            raise InvalidArgumentError(
                "export",
                NOT_SHOWN,
                "give either export, such as export.output, or exports_folder, and not both",
            )
        chosen = [name for name in ("start_time", "end_time", "last_exports") if not _is_missing(getattr(self, name))]
        if given == ["export"] and chosen:
            raise InvalidArgumentError(chosen[0], getattr(self, chosen[0]), "leave it out: it is for exports_folder")
        if "last_exports" in chosen:
            if "start_time" in chosen:
                raise InvalidArgumentError("start_time", self.start_time, "leave it out, or last_exports")
            if isinstance(self.last_exports, int | float | list | dict):
                check_number("last_exports", self.last_exports, 1, None)
        elif len(chosen) == 1:
            raise InvalidArgumentError(chosen[0], getattr(self, chosen[0]), "give both start_time and end_time")
        if is_literal(self.exports_folder):
            check_absolute(self.exports_folder, "exports_folder")

    def _sources(self, context: Context) -> Sources:
        from airflow_provider_honeyhive.builds import sources  # noqa: PLC0415 - not for DAG parsing

        if not _is_missing(self.export):
            return sources.export_sources([self._manifest_path(one) for one in _results(self.export)])
        folder = self._path(self.exports_folder, "exports_folder")
        if _is_missing(self.last_exports):
            window = run_window(context, self.start_time, self.end_time)
            return sources.folder_sources(folder, window.start, window.end)
        return sources.folder_sources(folder, end=self._last_end(context), last=_whole_number(self.last_exports))

    def _last_end(self, context: Context) -> datetime | None:
        """Return when the last of the exports ends at the latest, so that a repeated run reads the same; None: now."""
        if not _is_missing(self.end_time):
            return parse_bound(self.end_time, "end_time")
        window = given_window(context) or own_window(context)
        return None if window is None else window.end

    def _manifest_path(self, result: Any) -> Any:
        """Return where the manifest of an export is, or the export where only its path is known."""
        if isinstance(result, Mapping):
            result = result.get("manifest_path")
            if not isinstance(result, str):
                raise InvalidArgumentError("export", NOT_SHOWN, *_EXPORT)
        return self._path(result, "export")

    def _path(self, path: Any, argument: str) -> Any:
        return storage_path(path, self.exports_conn_id, argument, "exports_conn_id")


def _results(export: Any) -> list[Any]:
    """Return the results of exports: of one, or of those that a task was mapped into."""
    # Those of mapped tasks come as a lazy sequence, which is no list.
    several = isinstance(export, Sequence) and not isinstance(export, str)
    results = list(export) if several else [export]
    if not results or not all(isinstance(one, str | Mapping) or hasattr(one, "joinpath") for one in results):
        raise InvalidArgumentError("export", NOT_SHOWN, *_EXPORT)
    return results


def _is_missing(value: Any) -> bool:
    # A template may have made an empty text of it.
    return value is None or value == ""


def _whole_number(value: Any) -> int:
    """Return what a template may have made a text of."""
    number = int(value) if isinstance(value, str) and value.strip().isdecimal() else value
    check_number("last_exports", number, 1, None)
    return int(number)


def _log_files(built: BuildManifest) -> None:
    with log_group(f"Files: {len(built.files):,}"):
        for file in built.files[:MOST_FILES_SHOWN]:
            # A page or a card lies in no folder, and has no rows.
            rows = f"{file.row_count:,} rows, " if "/" in file.path else ""
            log.info("%s: %s%s kB", file.path, rows, f"{file.size_bytes / 1e3:,.0f}")
        if len(built.files) > MOST_FILES_SHOWN:
            log.info("and %s more, which the manifest lists", f"{len(built.files) - MOST_FILES_SHOWN:,}")
