"""The database of a build: DuckDB over the events of its exports, the newest version of each."""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive.builds.newest_versions import create_exported, quoted_text
from airflow_provider_honeyhive.builds.stopping import BuildStop
from airflow_provider_honeyhive.display import get_logger, place_of
from airflow_provider_honeyhive.exceptions import NOT_SHOWN, DestinationError, InvalidArgumentError
from airflow_provider_honeyhive.storage.temporary import temporary_space

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import duckdb

    from airflow_provider_honeyhive.builds.sources import Sources

log = get_logger(__name__)

#: In the temporary folder of a build: the database, the data files as Parquet, what DuckDB spills, what is built.
_DATABASE, _STORED, _SPILL, _OUTPUT = _FOLDERS = ("database", "stored", "spill", "output")

_MEMORY_LIMIT = re.compile(r"(\d+(?:\.\d+)?) *([KMGT])i?B", re.IGNORECASE)

#: Bytes of memory for each thread: with less, a sort of events of 4 kB ran out of memory.
_BYTES_A_THREAD = 250_000_000


@contextmanager
def open_events(
    sources: Sources,
    *,
    memory_limit: str = "1GB",
    temp_folder: str | os.PathLike[str] | None = None,
    stop: BuildStop | None = None,
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database in which ``exported`` holds the events of exports, the newest version of each.

    It has the columns of :data:`~airflow_provider_honeyhive.formats.columns.COLUMNS` as Parquet exports have them;
    ``place``, a number for each event in the order in which they stand in the exports, the same for the same exports;
    and ``export_number``, the index of its export. Times are in UTC. SQL can reach no file but those of the build, no
    network and no extension. All of it is in a temporary folder, which is gone in the end.

    An error of DuckDB inside becomes one that shows nothing of events.

    :param sources: the exports.
    :param memory_limit: of DuckDB, such as ``1GB``; what is more goes to the temporary folder. There is one thread for
        each 250 MB, but no more than processors.
    :param temp_folder: where the temporary folder is made, which needs about the size of the exports; None: where the
        system has such.
    :param stop: lets another thread end the build.
    :raises InvalidArgumentError: DuckDB or pyarrow is not installed; or there is no such folder or limit.
    :raises DestinationError: a data file cannot be read, or is not the one that was exported; or DuckDB fails.
    :raises ExportStoppedError: the build was stopped.
    """
    try:
        # Here, because only builds need them.
        import duckdb  # noqa: PLC0415

        from airflow_provider_honeyhive.builds.parquet_files import gather  # noqa: PLC0415
    except ImportError as error:
        raise InvalidArgumentError(
            "export", NOT_SHOWN, f"a build needs {error.name}: install airflow-provider-honeyhive[tables]"
        ) from None
    most_threads = _threads_for(memory_limit)
    if temp_folder is not None and not Path(temp_folder).is_dir():
        raise InvalidArgumentError("temp_folder", str(temp_folder), "there is no such folder on this machine")
    stop = stop or BuildStop()
    with ExitStack() as stack:
        with temporary_space():
            name = stack.enter_context(
                tempfile.TemporaryDirectory(prefix="honeyhive-build-", dir=temp_folder, ignore_cleanup_errors=True)
            )
            folder = Path(os.path.realpath(name))
            for part in _FOLDERS:
                (folder / part).mkdir()
        outside = gather(sources, folder / _STORED, stop)
        path = str(folder / _DATABASE / "build.duckdb")
        try:
            with (
                closing(duckdb.connect(path, config=_config(folder, memory_limit))) as connection,
                stop.interrupting(connection),
            ):
                _set(connection, folder, outside, most_threads)
                create_exported(connection, sources, folder / _STORED)
                yield connection
        except duckdb.Error as error:
            stop.check()
            log.debug("DuckDB has raised %s at %s", type(error).__name__, place_of(error))
            # Without its text, which may hold values of events.
            raise DestinationError(_advice(error), f"DuckDB says {type(error).__name__}") from None


def scratch(connection: duckdb.DuckDBPyConnection) -> Path:
    """Return the temporary folder for files that a build makes, empty at first.

    :param connection: of :func:`open_events`.
    """
    ((path,),) = connection.execute(
        "SELECT path FROM duckdb_databases() WHERE database_name = current_database()"
    ).fetchall()
    return Path(path).parents[1] / _OUTPUT


def _threads_for(memory_limit: Any) -> int:
    found = _MEMORY_LIMIT.fullmatch(memory_limit.strip()) if isinstance(memory_limit, str) else None
    if found is None:
        raise InvalidArgumentError("memory_limit", memory_limit, "allowed: a text such as '1GB' or '500MB'")
    limit = float(found[1]) * 1000 ** ("KMGT".index(found[2].upper()) + 1)
    return max(1, int(limit / _BYTES_A_THREAD))


def _advice(error: duckdb.Error) -> str:
    kind = type(error).__name__
    if kind == "OutOfMemoryException":
        return (
            "the build needs more memory or temporary space: raise memory_limit, or give a temp_folder with more room"
        )
    if kind == "IOException":
        return (
            "the build cannot use its temporary files: free space in temp_folder, or give another one; then try again"
        )
    return "the build failed in DuckDB: this is probably a mistake of this provider, report it"


def _config(folder: Path, memory_limit: str) -> dict[str, Any]:
    return {
        "memory_limit": memory_limit.strip(),
        "temp_directory": str(folder / _SPILL),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }


def _set(connection: duckdb.DuckDBPyConnection, folder: Path, outside: Sequence[Path], most_threads: int) -> None:
    """Let SQL reach no file but those of the build, no network and no extension, and change no setting."""
    ((processors,),) = connection.execute("SELECT current_setting('threads')").fetchall()
    connection.execute(f"SET threads = {min(processors, most_threads)}")
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    # Each by itself: of allowed folders, DuckDB 1.3 looks only at the one whose name sorts right before that of a file.
    inside = [f"{folder / name}/" for name in _FOLDERS]
    connection.execute(f"SET allowed_directories = [{', '.join(map(quoted_text, inside))}]")
    connection.execute(f"SET allowed_paths = [{', '.join(quoted_text(str(path)) for path in outside)}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
