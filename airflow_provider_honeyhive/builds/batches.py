"""The rows of a query in small batches, for what Python does with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb

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


def batches(
    connection: duckdb.DuckDBPyConnection, query: str, stop: BuildStop | None = None
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a query while it runs; the connection is busy until the last one.

    :param stop: looked at before each batch; None: nobody stops the build.
    :raises ExportStoppedError: the build was stopped.
    """
    relation: Any = connection.sql(query)
    # The second is what the first was called before.
    read = getattr(relation, "to_arrow_reader", None) or relation.fetch_arrow_reader
    try:
        for batch in read(BATCH_ROWS):
            if stop is not None:
                stop.check()
            yield batch
    except OSError as error:
        # Of what fails between two batches pyarrow has only a text, which may hold values of events.
        raise _KINDS.get(str(error).partition(":")[0], duckdb.Error)("reading rows of a query") from None
