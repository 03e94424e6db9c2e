"""The SQL of a dataset, a file each, and the rows of a query in small batches."""

from __future__ import annotations

from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import duckdb

from airflow_provider_honeyhive import dataset, tables

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from airflow_provider_honeyhive.builds.stopping import BuildStop

#: How DuckDB's errors begin, as far as it matters which one it is.
_KINDS: dict[str, type[duckdb.Error]] = {
    "INTERRUPT Error": duckdb.InterruptException,
    "IO Error": duckdb.IOException,
    "Out of Memory Error": duckdb.OutOfMemoryException,
}

#: Rows of a batch: each may be of many megabytes.
BATCH_ROWS = 500


def sql(name: str) -> str:
    """Return the text of ``sql/<name>.sql``."""
    return files(dataset).joinpath("sql", f"{name}.sql").read_text("utf-8")


def sql_version() -> str:
    """Return the SHA-256 of all SQL that datasets are made by."""
    digest = sha256()
    for package in (tables, dataset):
        for file in sorted(files(package).joinpath("sql").iterdir(), key=lambda file: file.name):
            digest.update(file.read_bytes())
    return digest.hexdigest()


def batches(connection: duckdb.DuckDBPyConnection, query: str, stop: BuildStop) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a query while it runs; the connection is busy until the last one.

    :param stop: looked at before each batch.
    :raises ExportStoppedError: the build was stopped.
    """
    relation: Any = connection.sql(query)
    # The second is what the first was called before.
    read = getattr(relation, "to_arrow_reader", None) or relation.fetch_arrow_reader
    try:
        for batch in read(BATCH_ROWS):
            stop.check()
            yield batch
    except OSError as error:
        # Of what fails between two batches pyarrow has only a text, which may hold values of events.
        raise _KINDS.get(str(error).partition(":")[0], duckdb.Error)("reading rows of a query") from None


def count(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    """Return the only number of a query."""
    ((number,),) = connection.execute(query).fetchall()
    return int(number)
