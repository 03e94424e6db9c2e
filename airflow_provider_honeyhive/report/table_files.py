"""The tables of a build as views of a database: their files on this machine, the bytes checked."""

from __future__ import annotations

import os
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING

from airflow_provider_honeyhive.exceptions import DestinationError
from airflow_provider_honeyhive.storage.local import LocalStore
from airflow_provider_honeyhive.storage.temporary import temporary_space

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

    from airflow_provider_honeyhive.build_manifest import BuildManifest, BuiltFile
    from airflow_provider_honeyhive.storage.base import Store

#: The tables that a report is made of.
READ = ("events", "sessions", "model_calls", "scores", "edges")


def load_tables(connection: duckdb.DuckDBPyConnection, tables: BuildManifest, folder: Path) -> None:
    """Give a database a view for each table of :data:`READ`.

    :param connection: of a database.
    :param tables: the build that has them.
    :param folder: an empty one on this machine, which stays as long as the database is used.
    :raises DestinationError: a table is missing, or a file cannot be read, or is not the one that was built.
    """
    store, _ = tables.place
    for name in READ:
        files = [file for file in tables.files if file.name == name]
        if not files:
            raise DestinationError(f"there is no table {name} in {tables.manifest_url}: build the tables again")
        paths = [folder / f"{name}-{number}.parquet" for number in range(len(files))]
        for file, path in zip(files, paths, strict=True):
            _fetch(store, file, path)
        connection.read_parquet([str(path) for path in paths]).create_view(name)


def _fetch(store: Store, file: BuiltFile, target: Path) -> None:
    """Give a file a second name in the folder, or copy it there; its bytes are compared either way."""
    digest = sha256()
    if _linked(store, file, target):
        for chunk in store.chunks(file.path):
            digest.update(chunk)
    else:
        with temporary_space(), target.open("wb") as sink:
            for chunk in store.chunks(file.path):
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
