"""What fields that have no column cost where events become Parquet and CSV.

The sandbox's events, once as they are and once with fields that HoneyHive may add, become files in memory, by blocks as
an export makes them. Processor time, since nothing is waited for.
"""

from __future__ import annotations

import io
import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive.export.open_file import ROW_GROUP_BYTES
from airflow_provider_honeyhive.formats.encoder import serializer
from airflow_provider_honeyhive.formats.parquet import ParquetFile, to_record_batch
from airflow_provider_honeyhive.models.layout import Layout
from airflow_provider_honeyhive.sandbox.data.traces import generate_events

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

EVENTS = 20_000
BLOCK_BYTES = 1024**2
DAY = {"start": datetime(2026, 1, 1, tzinfo=UTC), "end": datetime(2026, 1, 2, tzinfo=UTC)}
UNKNOWN = {
    "workspace_id": "2a97516c354b68848cdbd8f5",
    "organization": {"id": "5f0c", "name": "Example"},
    "schema_version": 3,
    "tags": ["a", "b"],
    "is_root": True,
}
FIELDS: dict[str, dict[str, Any]] = {
    "none": {},
    "`evaluations`": {"evaluations": {"faithfulness": {"score": 4, "at": 1711000000000}}},
    "one unknown": dict(list(UNKNOWN.items())[:1]),
    "five unknown": UNKNOWN,
}


def measure(runs: int, count: int = EVENTS) -> dict[str, Any]:
    """Return the least processor time of each case and format, in seconds.

    :param runs: how often each is measured; they alternate.
    :param count: of events.
    """
    events = generate_events(count, seed=5, **DAY)
    plain = [{name: value for name, value in event.items() if name != "evaluations"} for event in events]
    blocks = {name: _blocks([event | more for event in plain]) for name, more in FIELDS.items()}
    seconds: dict[str, dict[str, float]] = {name: {} for name in FIELDS}
    for _ in range(runs):
        for name, batches in blocks.items():
            for file_format, write in _WRITERS.items():
                begun = time.process_time()
                write(batches)
                spent = time.process_time() - begun
                seconds[name][file_format] = min(spent, seconds[name].get(file_format, spent))
    return {"events": count, "seconds": seconds}


def _blocks(events: Sequence[dict[str, Any]]) -> list[list[bytes]]:
    found: list[list[bytes]] = [[]]
    size = 0
    for event in events:
        raw = json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()
        found[-1].append(raw)
        size += len(raw)
        if size >= BLOCK_BYTES:
            found.append([])
            size = 0
    return [block for block in found if block]


def _write_parquet(blocks: list[list[bytes]]) -> None:
    with ParquetFile(io.BytesIO(), "zstd", {}) as file:
        batches: list[Any] = []
        for block in blocks:
            batches.append(to_record_batch(block)[0])
            if sum(batch.nbytes for batch in batches) >= ROW_GROUP_BYTES:
                file.write(batches)
                batches = []
        if batches:
            file.write(batches)


def _write_csv(blocks: list[list[bytes]]) -> None:
    serialize = serializer(Layout("csv", "gzip", None))
    for block in blocks:
        serialize(block)


_WRITERS: dict[str, Callable[[list[list[bytes]]], None]] = {"parquet": _write_parquet, "csv": _write_csv}
