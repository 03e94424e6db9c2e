"""The database of a build: DuckDB over the events of its exports, the newest version of each."""

from __future__ import annotations

import os
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive.exceptions import NOT_SHOWN, InvalidArgumentError
from airflow_provider_honeyhive.formats.columns import COLUMN_NAMES
from airflow_provider_honeyhive.models.window import format_time
from airflow_provider_honeyhive.storage.temporary import temporary_space

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import duckdb

    from airflow_provider_honeyhive.builds.sources import Sources

#: In the temporary folder of a build: the database, the data files as Parquet, what DuckDB spills, what is built.
_DATABASE, _STORED, _SPILL, _OUTPUT = "build.duckdb", "exported", "spill", "output"


@contextmanager
def open_events(
    sources: Sources, *, memory_limit: str = "1GB", temp_folder: str | os.PathLike[str] | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database in which ``exported`` holds the events of exports, the newest version of each.

    It has the columns of :data:`~airflow_provider_honeyhive.formats.columns.COLUMNS` as Parquet exports have them;
    ``place``, a number for each event in the order in which they stand in the exports, the same for the same exports;
    and ``export_number``, the index of its export. All else is in a temporary folder, which is gone in the end.

    :param sources: the exports.
    :param memory_limit: of DuckDB, such as ``1GB``; what is more goes to the temporary folder.
    :param temp_folder: where the temporary folder is made; None: where the system has such.
    :raises InvalidArgumentError: DuckDB or pyarrow is not installed; or there is no such folder or limit.
    :raises DestinationError: a data file cannot be read, or is not the one that was exported; or DuckDB fails.
    """
    try:
        # Here, because only builds need them.
        import duckdb  # noqa: PLC0415

        from airflow_provider_honeyhive.builds.parquet_files import gather  # noqa: PLC0415
    except ImportError as error:
        raise InvalidArgumentError(
            "export", NOT_SHOWN, f"a build needs {error.name}: install airflow-provider-honeyhive[tables]"
        ) from None

    with temporary_space():
        made = tempfile.TemporaryDirectory(prefix="honeyhive-build-", dir=temp_folder)
    with made as name:
        folder = Path(os.path.realpath(name))
        for part in (_STORED, _SPILL, _OUTPUT):
            (folder / part).mkdir()
        outside = gather(sources, folder / _STORED, lambda: None)
        with closing(duckdb.connect(str(folder / _DATABASE), config=_config(folder, memory_limit))) as connection:
            _create(connection, sources, folder)
            _lock(connection, folder, outside)
            yield connection


def scratch(connection: duckdb.DuckDBPyConnection) -> Path:
    """Return the temporary folder for files that a build makes, empty at first.

    :param connection: of :func:`open_events`.
    """
    ((path,),) = connection.execute(
        "SELECT path FROM duckdb_databases() WHERE database_name = current_database()"
    ).fetchall()
    return Path(path).parent / _OUTPUT


def _config(folder: Path, memory_limit: str) -> dict[str, Any]:
    return {
        "memory_limit": memory_limit,
        "temp_directory": str(folder / _SPILL),
        "threads": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }


def _lock(connection: duckdb.DuckDBPyConnection, folder: Path, outside: Sequence[Path]) -> None:
    """Let SQL reach no file but those of the build, no network and no extension, and change no setting."""
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    connection.execute(f"SET allowed_directories = [{_text(f'{folder}/')}]")
    connection.execute(f"SET allowed_paths = [{', '.join(_text(str(path)) for path in outside)}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _create(connection: duckdb.DuckDBPyConnection, sources: Sources, folder: Path) -> None:
    files = sources.data_files()
    columns = ", ".join(f'"{name}"' for name in COLUMN_NAMES)
    # The empty file that follows belongs to none.
    export_numbers = [*(file.export_number for file in files), 0]
    set_numbers = [*(file.set_number for file in files), 0]
    connection.execute(
        f"""
        CREATE VIEW stored AS
        SELECT
            {columns},
            substring(filename, -len('00000000.parquet'), 8)::BIGINT AS file_number,
            (file_number << 32) + file_row_number AS place,
        FROM read_parquet({_text(f"{folder / _STORED}/*.parquet")}, filename = true, file_row_number = true)
        """  # noqa: S608 - names and numbers of this package
    )
    connection.execute(
        f"""
        CREATE TABLE superseded AS
        WITH repeated AS (
            -- Hashes take less memory than ids; two ids of one hash do no harm.
            SELECT hash(event_id) AS id_hash FROM stored WHERE event_id <> '' GROUP BY ALL HAVING count(*) > 1
        )
        SELECT place FROM stored
        WHERE event_id <> '' AND hash(event_id) IN (SELECT id_hash FROM repeated)
        QUALIFY row_number() OVER (
            PARTITION BY event_id ORDER BY ({set_numbers})[file_number + 1] DESC, place
        ) > 1
        """  # noqa: S608 - names and numbers of this package
    )
    conditions = []
    if connection.execute("SELECT count(*) FROM superseded").fetchone() != (0,):
        conditions.append("place NOT IN (SELECT place FROM superseded)")
    if sources.cut and sources.window is not None:
        start, end = (_text(format_time(time)) for time in (sources.window.start, sources.window.end))
        conditions.append(f"start_time >= {start}::TIMESTAMPTZ AND start_time < {end}::TIMESTAMPTZ")
    connection.execute(
        f"""
        CREATE VIEW exported AS
        SELECT {columns}, place, ({export_numbers})[file_number + 1]::INTEGER AS export_number
        FROM stored {"WHERE " if conditions else ""}{" AND ".join(conditions)}
        """  # noqa: S608 - names and numbers of this package
    )
