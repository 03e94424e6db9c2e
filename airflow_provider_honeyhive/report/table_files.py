"""The tables of a build as views of a database: their files on this machine, the bytes checked."""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack, closing, contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from airflow_provider_honeyhive.builds.stopping import BuildStop
from airflow_provider_honeyhive.exceptions import DestinationError
from airflow_provider_honeyhive.storage.local import LocalStore
from airflow_provider_honeyhive.storage.temporary import temporary_space

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_honeyhive.build_manifest import BuildManifest, BuiltFile
    from airflow_provider_honeyhive.storage.base import Store

#: The tables that a report is made of.
READ = ("events", "sessions", "model_calls", "scores", "edges")

#: Of DuckDB; what is more goes to the temporary folder.
MEMORY_LIMIT = "1GB"

#: In the temporary folder: the files of the tables, what is made of them, what DuckDB spills.
_TABLES, _OUTPUT, _SPILL = "tables", "output", "spill"


@contextmanager
def open_tables(
    tables: BuildManifest, stop: BuildStop | None = None
) -> Iterator[tuple[duckdb.DuckDBPyConnection, Path]]:
    """Open a database that has a view for each table of :data:`READ`, and a folder for files that are made of them.

    Both are in a temporary folder, which is gone in the end. An error of DuckDB inside becomes one that shows nothing
    of what is in the tables.

    :param tables: the build that has them.
    :param stop: lets another thread end what happens inside; None: nobody does.
    :raises DestinationError: a table is missing; or a file cannot be read, or is not the one that was built; or DuckDB
        fails.
    :raises ExportStoppedError: it was stopped.
    """
    stop = stop or BuildStop()
    with ExitStack() as stack:
        with temporary_space():
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="honeyhive-report-")))
            for part in (_TABLES, _OUTPUT):
                (folder / part).mkdir()
        views = _fetch_all(tables, folder / _TABLES, stop)
        try:
            connection = stack.enter_context(closing(duckdb.connect(config=_config(folder))))
            stack.enter_context(stop.interrupting(connection))
            connection.execute("SET TimeZone = 'UTC'")
            for name, paths in views.items():
                connection.read_parquet([str(path) for path in paths]).create_view(name)
            yield connection, folder / _OUTPUT
        except duckdb.Error as error:
            stop.check()
            # Without its text, which may hold values of events.
            raise DestinationError(
                _advice(error), f"Of {tables.manifest_url} DuckDB says {type(error).__name__}"
            ) from None


def _advice(error: duckdb.Error) -> str:
    if isinstance(error, duckdb.OutOfMemoryException | duckdb.IOException):
        return "the report cannot be made: free space for temporary files, or report on tables of a shorter time"
    return "the report cannot be made of tables that are not as this version builds them: build the tables again"


def _config(folder: Path) -> dict[str, Any]:
    return {
        "memory_limit": MEMORY_LIMIT,
        "temp_directory": str(folder / _SPILL),
        # One order of additions, so that the same tables give the same numbers, up to their last digits.
        "threads": 1,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }


def _fetch_all(tables: BuildManifest, folder: Path, stop: BuildStop) -> dict[str, list[Path]]:
    store, _ = tables.place
    found: dict[str, list[Path]] = {}
    for name in READ:
        files = [file for file in tables.files if file.name == name]
        if not files:
            raise DestinationError(f"there is no table {name} in {tables.manifest_url}: build the tables again")
        found[name] = [folder / f"{name}-{number}.parquet" for number in range(len(files))]
        for file, path in zip(files, found[name], strict=True):
            _fetch(store, file, path, stop)
    return found


def _fetch(store: Store, file: BuiltFile, target: Path, stop: BuildStop) -> None:
    """Give a file a second name in the folder, or copy it there; its bytes are compared either way."""
    digest = sha256()
    if _linked(store, file, target):
        for chunk in store.chunks(file.path):
            stop.check()
            digest.update(chunk)
    else:
        with temporary_space(), target.open("wb") as sink:
            for chunk in store.chunks(file.path):
                stop.check()
                digest.update(chunk)
                sink.write(chunk)
    if digest.hexdigest() != file.sha256:
        raise DestinationError(
            "a file of the tables is not the one that was built: build the tables again",
            f"{store.url(file.path)}: its SHA-256 is {digest.hexdigest()}, not {file.sha256}",
        )


def _linked(store: Store, file: BuiltFile, target: Path) -> bool:
    if isinstance(store, LocalStore):
        # The file stays also where another build replaces this one meanwhile. On another disk this fails.
        with suppress(OSError):
            os.link(os.path.realpath(store.url(file.path)), target)
            return True
    return False
