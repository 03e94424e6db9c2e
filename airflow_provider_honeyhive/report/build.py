"""The tables of a build -> their report: one HTML page, and a Parquet file for each table of its own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive.api import web_app
from airflow_provider_honeyhive.build_manifest import BuildManifest
from airflow_provider_honeyhive.builds.publication import LocalFile, claim_build
from airflow_provider_honeyhive.exceptions import NOT_SHOWN, InvalidArgumentError
from airflow_provider_honeyhive.storage.temporary import temporary_space

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

    from airflow_provider_honeyhive.builds.stopping import BuildStop
    from airflow_provider_honeyhive.models.export_facts import AirflowFacts

#: What the page is called in the manifest, among the tables.
PAGE = "page"

#: Where the tables of the report are, beside the page.
FOLDER = "tables"


def write_report(
    tables: Any,
    output_path: Any,
    *,
    app_url: str | None = None,
    airflow: AirflowFacts | None = None,
    stop: BuildStop | None = None,
) -> BuildManifest:
    """Write the report of tables, and return its manifest: whole or not at all, in place of an earlier one.

    :param tables: the build of tables: its manifest, the path of that or of its folder, or the result of the task or
        command that built them.
    :param output_path: folder for ``report.html`` and the report's own tables; anything path-like.
    :param app_url: base URL of HoneyHive's web app, for a link to the project's events; None: no link.
    :param airflow: of the task, for the manifest.
    :param stop: lets another thread end it; None: nobody does.
    :raises InvalidArgumentError: ``tables`` names no build of tables, or ``app_url`` is no address of a web page; or
        what reports need is not installed.
    :raises DestinationTakenError: the place holds something else, or a report of another project or window.
    :raises DestinationError: a file of the tables cannot be read, or is not the one that was built; or the report
        cannot be written.
    :raises ExportStoppedError: it was stopped.
    """
    built = _tables_of(tables)
    if app_url:
        # It has to be an address before anything is read.
        web_app.base_address(app_url)
    about = {"project": built.project, "start_time": built.start_time, "end_time": built.end_time}
    claim = claim_build(output_path, "report", **about, airflow=airflow)
    try:
        # Here, because only reports need them.
        from airflow_provider_honeyhive.report.page import render_page  # noqa: PLC0415
        from airflow_provider_honeyhive.report.table_files import open_tables  # noqa: PLC0415
        from airflow_provider_honeyhive.report.tables import TABLES, make_tables, rows, sql_version  # noqa: PLC0415
    except ImportError as error:
        raise InvalidArgumentError(
            "tables", NOT_SHOWN, f"a report needs {error.name}: install airflow-provider-honeyhive[report]"
        ) from None

    with open_tables(built, stop) as (connection, folder):
        make_tables(connection, built.start_time, built.end_time)
        page = render_page(connection, built, _link(connection, built, app_url))
        (summary,) = rows(connection, "SELECT events, sessions, model_calls, scores, errors FROM summary")
        files = [_write_page(folder, page), *(_write_table(connection, folder, table) for table in TABLES)]

        settings = {
            "tables_path": built.manifest_url,
            "tables_sha256": sha256(built.to_json()).hexdigest(),
            "app_url": app_url,
            "sql_version": sql_version(),
        }
        return claim.publish(files, sources=built.sources, settings=settings, counts=summary, stop=stop)


def _tables_of(tables: Any) -> BuildManifest:
    if isinstance(tables, Mapping):
        # What a task or a command returns.
        tables = tables.get("manifest_path")
    if tables is None or (isinstance(tables, str) and not tables.strip()):
        raise InvalidArgumentError("tables", NOT_SHOWN, "allowed: the result of a task that builds tables, or its path")
    built = tables if isinstance(tables, BuildManifest) else BuildManifest.read(tables)
    if built.kind != "tables":
        raise InvalidArgumentError("tables", built.manifest_url, f"it is a build of kind {built.kind!r}, not of tables")
    return built


def _link(connection: duckdb.DuckDBPyConnection, tables: BuildManifest, app_url: str | None) -> str | None:
    """Return the address of the project's events in HoneyHive, of the app itself where there are several projects."""
    if not app_url:
        return None
    found = connection.table("events").filter("project_id <> ''").project("project_id").distinct().limit(2).fetchall()
    project_id = found[0][0] if len(found) == 1 else None
    return web_app.events_url(app_url, project_id, tables.start_time, datetime.now(UTC))


def _write_page(folder: Path, page: str) -> LocalFile:
    path = folder / "report.html"
    with temporary_space():
        # A project's name may hold half a character, which a file cannot.
        path.write_text(page, encoding="utf-8", errors="replace")
    return LocalFile(path, PAGE, stem=path.stem, suffix=path.suffix)


def _write_table(connection: duckdb.DuckDBPyConnection, folder: Path, name: str) -> LocalFile:
    path = folder / f"{name}.parquet"
    table = connection.table(name)
    table.write_parquet(str(path))
    ((count,),) = table.aggregate("count(*)").fetchall()
    return LocalFile(path, name, FOLDER, name, ".parquet", count)
