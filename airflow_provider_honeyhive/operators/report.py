"""Report on tables from a DAG: one page with charts that needs no network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive._compat import AirflowNotFoundException
from airflow_provider_honeyhive.api.connection_form import DEFAULT_CONNECTION
from airflow_provider_honeyhive.api.web_app import base_address
from airflow_provider_honeyhive.display import get_logger, quoted
from airflow_provider_honeyhive.exceptions import NOT_SHOWN, HoneyHiveError, InvalidArgumentError
from airflow_provider_honeyhive.models.layout import BUILDS
from airflow_provider_honeyhive.tasks.arguments import (
    airflow_facts,
    check_absolute,
    check_literals,
    is_literal,
    storage_path,
)
from airflow_provider_honeyhive.tasks.builds import BuildOperator
from airflow_provider_honeyhive.tasks.templates import templates_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_honeyhive._compat import Context

log = get_logger(__name__)

PAGE_NAME = str(BUILDS["report"])


class HoneyHiveReportOperator(BuildOperator):
    """Write a page about tables: cost, tokens, latency, errors, scores and sessions over their window.

    The page is one HTML file that loads nothing and works without a network. It shows names and numbers, never what was
    said. Published as tables are: a second run replaces the page of the same window. Needs the extra ``report``.

    Returns ``page``, the URL of the page, beside ``output_path``, ``manifest_path``, ``kind``, ``project``,
    ``start_time``, ``end_time``, ``event_count``, ``counts`` and ``files``.

    :param tables: what to report on: the result of :class:`.HoneyHiveBuildTablesOperator` (``tables=tables.output``),
        or the path of tables that it has built. (templated)
    :param tables_conn_id: Airflow connection of the store that the tables are in; default: the store's own. (templated)
    :param output_path: the folder for the page, with the placeholders of the export's ``output_path``: ``{start}``,
        ``{end}``, ``{window_id}`` and ``{project}`` are those of the tables. (templated)
    :param output_conn_id: Airflow connection of the store to write to; default: the store's own. (templated)
    :param honeyhive_conn_id: id of the HoneyHive connection, whose extra ``app_url`` lets the page link to sessions and
        events; without the connection, or its extra, there are no links. (templated)
    :raises InvalidArgumentError: a literal argument cannot be right (when the DAG is parsed).
    :raises AirflowFailException: what no retry mends: arguments, a destination that holds something else.
    :raises HoneyHiveError: what a retry may mend; see :mod:`airflow_provider_honeyhive.exceptions`.
    """

    template_fields: Sequence[str] = ("tables", "tables_conn_id", "output_path", "output_conn_id", "honeyhive_conn_id")
    template_fields_renderers = {"tables": "json"}
    ui_color = "#ffcc80"

    def __init__(
        self,
        *,
        tables: Any,
        tables_conn_id: str | None = None,
        output_path: Any,
        output_conn_id: str | None = None,
        honeyhive_conn_id: str = DEFAULT_CONNECTION,
        **kwargs: Any,
    ) -> None:
        super().__init__(output_path=output_path, output_conn_id=output_conn_id, **kwargs)
        self.tables = tables
        self.tables_conn_id = tables_conn_id
        self.honeyhive_conn_id = honeyhive_conn_id
        self._templates = templates_of(self)
        check_literals(times={}, texts={"tables_conn_id": tables_conn_id, "honeyhive_conn_id": honeyhive_conn_id})
        if is_literal(tables):
            self._tables_path()

    def _execute(self, context: Context) -> dict[str, Any]:
        from airflow_provider_honeyhive.build_manifest import BuildManifest  # noqa: PLC0415 - not for DAG parsing
        from airflow_provider_honeyhive.report.build import write_report  # noqa: PLC0415 - likewise

        path = storage_path(self._tables_path(), self.tables_conn_id, "tables", "tables_conn_id")
        self.built_of = tables = BuildManifest.read(path)
        used, place = self.place(context, tables.project, tables.window)
        built = write_report(tables, place, app_url=self._app_url(), airflow=airflow_facts(context), stop=self._stop)
        summary = self.tell(context, used, built)
        page = built.url(PAGE_NAME)
        log.info("Report: %s", page)
        if page.startswith(("file:", "/")):
            # Airflow's own pages cannot link to a worker's disk, browsers forbid it.
            log.info("From elsewhere, serve its folder on this machine: python -m http.server --directory %s", place)
        return {**summary, "page": page}

    def _tables_path(self) -> Any:
        """Return the path of the tables."""
        path = self.tables.get("manifest_path") if isinstance(self.tables, Mapping) else self.tables
        if not isinstance(path, str) and not hasattr(path, "joinpath"):
            raise InvalidArgumentError(
                "tables", NOT_SHOWN, "give the result of HoneyHiveBuildTablesOperator, such as tables.output, or a path"
            )
        check_absolute(path, "tables")
        return path

    def _app_url(self) -> str | None:
        """Return the address of HoneyHive's web app; None, and said in the log: the page has no links."""
        # Here, since DAG parsing needs none of what it brings.
        from airflow_provider_honeyhive.hooks.honeyhive import app_url_of  # noqa: PLC0415

        try:
            app_url = app_url_of(self.honeyhive_conn_id)
            if app_url is not None:
                return base_address(app_url)
            log.info("The page has no links to HoneyHive: the connection has no extra app_url")
        except AirflowNotFoundException:
            log.warning("The page has no links to HoneyHive: there is no connection %s", quoted(self.honeyhive_conn_id))
        except HoneyHiveError as error:
            # The report is worth more than links in it.
            log.warning("The page has no links to HoneyHive: the connection's extra %s", error)
        return None
