"""Build tables of exports from a DAG: events, sessions, model calls, scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive.tasks.builds import DEFAULT_MEMORY_LIMIT, SOURCE_FIELDS, ExportsBuildOperator
from airflow_provider_honeyhive.tasks.templates import templates_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_honeyhive.build_manifest import BuildManifest
    from airflow_provider_honeyhive.builds.sources import Sources


class HoneyHiveBuildTablesOperator(ExportsBuildOperator):
    """Build Parquet tables of exports: a row for each event, session, model call and score.

    Reads exactly the files that the exports' manifests name, and the newest version of each event. The tables are
    published whole or not at all, and replace those that an earlier run has built of the same window. DuckDB builds
    them: needs the extra ``tables``.

    Returns ``output_path``, ``manifest_path``, ``kind``, ``project``, ``start_time``, ``end_time``, ``event_count``,
    ``counts``, and ``files`` by table.

    :param export: what to build of: the result of an export to files (``export=export.output``), of a mapped one, or
        the path of an export. (templated)
    :param exports_folder: instead of it, a folder that holds exports at any depth. (templated)
    :param start_time: with ``exports_folder``: build of the exports of this window; inclusive, the forms are those of
        the export. Default, as ``end_time``: the window of the run. (templated)
    :param end_time: end of that window, exclusive. (templated)
    :param last_exports: with ``exports_folder``, instead of a window: build of so many exports, the last ones that end
        by ``end_time``; default of that: the end of the run's window, else now. (templated)
    :param exports_conn_id: Airflow connection of the store that the exports are in; default: the store's own.
        (templated)
    :param output_path: the folder for the tables, with the placeholders of the export's ``output_path``: ``{start}``,
        ``{end}``, ``{window_id}`` and ``{project}`` are those of what is read. (templated)
    :param output_conn_id: Airflow connection of the store to write to; default: the store's own. (templated)
    :param measurements: names of metrics that are measurements and no scores, beside those that are known.
    :param memory_limit: most memory for DuckDB, such as ``2GB``; what needs more goes to disk. Default 1 GB.
    :param temp_folder: local folder for that, and for exports from an object store; default: the system's.
    :raises InvalidArgumentError: a literal argument cannot be right (when the DAG is parsed).
    :raises AirflowFailException: what no retry mends: arguments, exports that do not belong together, a destination
        that holds something else.
    :raises HoneyHiveError: what a retry may mend; see :mod:`airflow_provider_honeyhive.exceptions`.
    """

    template_fields: Sequence[str] = SOURCE_FIELDS
    template_fields_renderers = {"export": "json"}
    ui_color = "#ffe3b3"

    def __init__(
        self,
        *,
        export: Any = None,
        exports_folder: Any = None,
        start_time: Any = None,
        end_time: Any = None,
        last_exports: Any = None,
        exports_conn_id: str | None = None,
        output_path: Any,
        output_conn_id: str | None = None,
        measurements: Sequence[str] = (),
        memory_limit: str = DEFAULT_MEMORY_LIMIT,
        temp_folder: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            export=export,
            exports_folder=exports_folder,
            start_time=start_time,
            end_time=end_time,
            last_exports=last_exports,
            exports_conn_id=exports_conn_id,
            output_path=output_path,
            output_conn_id=output_conn_id,
            memory_limit=memory_limit,
            temp_folder=temp_folder,
            **kwargs,
        )
        self.measurements = measurements
        self._templates = templates_of(self)

    def build(self, sources: Sources, place: Any, **options: Any) -> BuildManifest:
        """Build the tables."""
        from airflow_provider_honeyhive.tables.build import build_tables  # noqa: PLC0415 - not for DAG parsing

        return build_tables(sources, place, measurements=self.measurements, **options)
