"""Tables of exports: made in a database, checked, and published with a manifest."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive.builds.database import open_events
from airflow_provider_honeyhive.builds.publication import LocalFile, claim_build
from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.tables.columns import MEASUREMENTS, TABLES

if TYPE_CHECKING:
    import os
    from collections.abc import Collection, Sequence
    from pathlib import Path

    import duckdb

    from airflow_provider_honeyhive.build_manifest import BuildManifest
    from airflow_provider_honeyhive.builds.sources import Sources
    from airflow_provider_honeyhive.builds.stopping import BuildStop
    from airflow_provider_honeyhive.models.export_facts import AirflowFacts

#: Tables that have a row for each event.
_ROW_AN_EVENT = ("events", "edges")


def build_tables(
    sources: Sources,
    output_path: Any,
    *,
    measurements: Sequence[str] = (),
    memory_limit: str = "1GB",
    temp_folder: str | os.PathLike[str] | None = None,
    airflow: AirflowFacts | None = None,
    stop: BuildStop | None = None,
) -> BuildManifest:
    """Make tables of exports and publish them: whole or not at all, the same bytes for the same exports.

    :param sources: the exports.
    :param output_path: a folder; anything path-like, or a text.
    :param measurements: more names in ``metrics`` that are measurements and no scores; ``*`` stands for anything.
    :param memory_limit: of DuckDB, such as ``1GB``; what is more goes to the temporary folder.
    :param temp_folder: where the temporary folder is made; None: where the system has such.
    :param airflow: the task that asks for it.
    :param stop: lets another thread end the build.
    :return: the manifest, in its place.
    :raises InvalidArgumentError: DuckDB or pyarrow is not installed; or an argument cannot be right.
    :raises DestinationTakenError: the place holds something else.
    :raises DestinationError: an export cannot be read, or is not the one that was published; or a store fails.
    :raises ExportStoppedError: the build was stopped.
    """
    claim = claim_build(output_path, "tables", **sources.about(), airflow=airflow)
    with open_events(sources, memory_limit=memory_limit, temp_folder=temp_folder, stop=stop) as connection:
        # Here, because they need DuckDB and pyarrow.
        from pyarrow import parquet  # noqa: PLC0415

        from airflow_provider_honeyhive.tables.steps import sql_version  # noqa: PLC0415

        files = [
            LocalFile(path, name=name, folder=name, row_count=parquet.read_metadata(path).num_rows)
            for name, paths in create_tables(connection, measurements=measurements).items()
            for path in paths
        ]
        counts = _counts(connection, files)
        settings = {"measurements": list(measurements), "sql_version": sql_version()}
        return claim.publish(files, sources=sources.facts(), settings=settings, counts=counts, stop=stop)


def create_tables(
    connection: duckdb.DuckDBPyConnection, *, measurements: Sequence[str] = (), only: Collection[str] | None = None
) -> dict[str, list[Path]]:
    """Make tables as Parquet files in the temporary folder of a build, and a view of the name of each.

    What a table is made of can be made by its name, too: see :mod:`.steps`.

    :param connection: of :func:`~airflow_provider_honeyhive.builds.database.open_events`.
    :param measurements: more names in ``metrics`` that are measurements and no scores; ``*`` stands for anything.
    :param only: the names of the tables and steps to make; None: all tables.
    :return: the files of each, tables first, in the order of :data:`~.columns.TABLES`.
    :raises InvalidArgumentError: ``measurements`` is a text, or has something that is no name.
    """
    if isinstance(measurements, str) or not all(isinstance(name, str) and name for name in measurements):
        raise InvalidArgumentError("measurements", measurements, "allowed: a list of names, with * for anything")
    # Here, because it needs DuckDB and pyarrow.
    from airflow_provider_honeyhive.tables.steps import Steps  # noqa: PLC0415

    steps = Steps(connection, _pattern([*MEASUREMENTS, *measurements]))
    wanted = TABLES if only is None else sorted(only, key=[*TABLES, *only].index)
    return {name: steps.make(name) for name in wanted}


def _pattern(names: Sequence[str]) -> str:
    return "|".join(".*".join(map(re.escape, name.split("*"))) for name in names)


def _counts(connection: duckdb.DuckDBPyConnection, files: Sequence[LocalFile]) -> dict[str, int]:
    """Return ``event_count``, and the rows of each table.

    :raises RuntimeError: a table lacks events; that is a mistake in its SQL.
    """
    ((event_count,),) = connection.execute("SELECT count(*) FROM exported").fetchall()
    counts = {name: sum(file.row_count for file in files if file.name == name) for name in TABLES}
    for name in _ROW_AN_EVENT:
        if counts[name] != event_count:
            raise RuntimeError(f"{name} has {counts[name]} rows of {event_count} events")
    return {"event_count": event_count, **counts}
