"""Reads the chosen calls as conversations, into a temporary file: their order and their repetitions come later."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow import parquet as pq

from airflow_provider_honeyhive.builds.batches import batches
from airflow_provider_honeyhive.builds.newest_versions import quoted_text
from airflow_provider_honeyhive.conversations.json_texts import json_bytes
from airflow_provider_honeyhive.conversations.read import read_conversation
from airflow_provider_honeyhive.conversations.reasons import Unreadable
from airflow_provider_honeyhive.dataset.pipeline import Behind, ahead
from airflow_provider_honeyhive.dataset.queries import sql
from airflow_provider_honeyhive.storage.temporary import temporary_space

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import duckdb

    from airflow_provider_honeyhive.builds.stopping import BuildStop

_SCHEMA = pa.schema(
    [
        ("place", pa.int64()),
        # NULL where there is a conversation, and all others are NULL where there is none.
        ("reason", pa.string()),
        ("digest", pa.binary(16)),
        ("messages", pa.string()),
        ("tools", pa.string()),
        ("size", pa.int64()),
    ]
)

#: Bytes of messages that are held back, to be written at once.
_GROUP_BYTES = 16 * 1024**2


def read_conversations(connection: duckdb.DuckDBPyConnection, path: Path, stop: BuildStop) -> None:
    """Create the view ``conversations``: a row for each chosen call.

    :param connection: with the table ``chosen``.
    :param path: of the file that is written for it.
    :param stop: ends it.
    """
    with temporary_space():
        # Statistics of all columns would keep copies of the least and the greatest text.
        file = pq.ParquetWriter(
            path,
            _SCHEMA,
            compression="zstd",
            compression_level=1,
            use_dictionary=["reason"],
            write_statistics=["place"],
        )
    with file, Behind() as behind:
        rows: list[tuple[Any, ...]] = []
        size = 0
        for row in _read(connection, stop):
            rows.append(row)
            size += row[5] or 0
            if size >= _GROUP_BYTES:
                behind.call(_write, file, rows)
                rows, size = [], 0
        behind.call(_write, file, rows)
    connection.execute(
        "CREATE OR REPLACE TEMP VIEW conversations AS "
        f"FROM read_parquet({quoted_text(str(path))}, hive_partitioning = false)"
    )


def _read(connection: duckdb.DuckDBPyConnection, stop: BuildStop) -> Iterator[tuple[Any, ...]]:
    for batch in ahead(batches(connection, sql("contents"), stop)):
        for place, failed, inputs, outputs, config, metadata in zip(
            *(column.to_pylist() for column in batch.columns), strict=True
        ):
            found = read_conversation(inputs, outputs, config=config, metadata=metadata, failed=failed)
            if isinstance(found, Unreadable):
                yield place, found.reason.value, None, None, None, None
                continue
            messages = json_bytes(found.messages)
            tools = None if found.tools is None else json_bytes(found.tools)
            # JSON has no NUL, so nothing else has the same digest.
            digest = blake2b(b"%b\0%b" % (messages, tools or b""), digest_size=16)
            yield place, None, digest.digest(), messages, tools, len(messages) + len(tools or b"")


def _write(file: pq.ParquetWriter, rows: list[tuple[Any, ...]]) -> None:
    columns = zip(*rows, strict=True) if rows else [[]] * len(_SCHEMA)
    arrays = [pa.array(list(values), field.type) for values, field in zip(columns, _SCHEMA, strict=True)]
    with temporary_space():
        file.write_batch(pa.record_batch(arrays, schema=_SCHEMA))
