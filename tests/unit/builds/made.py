"""Exports for the tests of builds, made without a server: any events, in any format, published at any time."""

from __future__ import annotations

import hashlib
import io
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive.builds.database import open_events
from airflow_provider_honeyhive.events.raw import time_of
from airflow_provider_honeyhive.formats.datafile import CorrectionFile, PartFile
from airflow_provider_honeyhive.formats.encoder import serializer
from airflow_provider_honeyhive.formats.parquet import ParquetFile, to_record_batch
from airflow_provider_honeyhive.formats.text import empty_file, frame
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.models.export_facts import LookbackFacts, RequestFacts
from airflow_provider_honeyhive.models.layout import FORMATS, MANIFEST_NAME, Layout
from airflow_provider_honeyhive.models.window import format_time, from_micros

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from airflow_provider_honeyhive.builds.sources import Sources

DAY = datetime(2026, 11, 22, tzinfo=UTC)
HOUR = timedelta(hours=1)
ONE_DAY = 24 * HOUR


def event(event_id: Any, time: datetime | None = DAY, **more: Any) -> bytes:
    """Return the JSON text of an event; without a time where that is None."""
    start = {} if time is None else {"start_time": int(time.timestamp() * 1000)}
    return json.dumps({"event_id": event_id, "session_id": "s", **start, **more}).encode()


def make_export(
    folder: Path,
    events: Sequence[bytes],
    start: datetime = DAY,
    end: datetime | None = None,
    *,
    kind: str = "parquet",
    compression: str | None = None,
    corrections: Sequence[bytes] = (),
    finished: datetime | None = None,
    files: int = 1,
    project: str | None = "demo",
    **request: Any,
) -> Manifest:
    """Publish an export of events in a folder.

    :param start: of its window.
    :param end: of its window; None: a day later.
    :param corrections: events that go to correction files.
    :param finished: when it was published; None: at the end of its window.
    :param files: how many data files the events go to.
    :param request: facts of the request.
    """
    end = end or start + ONE_DAY
    layout = Layout(kind, compression or next(iter(FORMATS[kind])), None)
    folder.mkdir(parents=True, exist_ok=True)
    each = -(-len(events) // files)
    parts = [
        PartFile(**_write(folder, layout, number, events[number * each : (number + 1) * each]))
        for number in range(files if events else 0)
    ]
    corrected = [
        CorrectionFile(reason="late", **_write(folder, layout, len(parts), corrections, "_corrections/reason=late"))
        for _ in range(bool(corrections))
    ]
    lookback = LookbackFacts(
        windows=2, start_time=format_time(start - 2 * ONE_DAY), end_time=format_time(start), late_count=len(corrections)
    )
    manifest = Manifest(
        project=project,
        start_time=format_time(start),
        end_time=format_time(end),
        event_count=len(events),
        started_at=format_time(end),
        finished_at=format_time(finished or end),
        file_format=layout.file_format,
        compression=layout.compression,
        request=RequestFacts(project=project, api_host="honeyhive.test", **request),
        files=parts,
        corrections=corrected,
        lookback=lookback if corrections else None,
    )
    (folder / MANIFEST_NAME).write_bytes(manifest.to_json())
    return Manifest.read(folder)


def _write(folder: Path, layout: Layout, number: int, events: Sequence[bytes], partition: str = "") -> dict[str, Any]:
    data = data_of(layout, events)
    digest = hashlib.sha256(data).hexdigest()
    name = layout.part_name(number, digest, "writer", partition)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)
    times = [time for time in map(time_of, events) if time is not None]
    return {
        "path": name,
        "event_count": len(events),
        "size_bytes": len(data),
        "sha256": digest,
        "min_start_time": format_time(from_micros(min(times))) if times else None,
        "max_start_time": format_time(from_micros(max(times))) if times else None,
        "events_without_time": len(events) - len(times),
    }


def data_of(layout: Layout, events: Sequence[bytes]) -> bytes:
    """Return the bytes of a data file."""
    if layout.file_format == "parquet":
        sink = io.BytesIO()
        with ParquetFile(sink, layout.compression, {}) as file:
            file.write([to_record_batch(events)[0]])
        return sink.getvalue()
    if not events:
        return empty_file(layout)
    around = frame(layout)
    half = len(events) // 2
    blocks = [serializer(layout)(block)[0] for block in (events[:half], events[half:]) if block]
    return around.head + around.between.join(blocks) + around.tail


def rows_of(sources: Sources, what: str = "* EXCLUDE (export_number)") -> list[Any]:
    """Return the rows of ``exported`` in the order of the exports."""
    with open_events(sources) as connection:
        return connection.execute(f"SELECT {what} FROM exported ORDER BY place").fetchall()


def ids_of(sources: Sources) -> list[str]:
    """Return the ids of ``exported``."""
    return [event_id for (event_id,) in rows_of(sources, "event_id")]


def said_of(sources: Sources) -> dict[str, str]:
    """Return the ``event_name`` of each id of ``exported``; each id is there once."""
    rows = rows_of(sources, "event_id, event_name")
    assert len({event_id for event_id, _ in rows}) == len(rows)
    return dict(rows)


def compressed(kinds: Iterable[str]) -> list[tuple[str, str]]:
    """Return these formats, each with all its compressions."""
    return [(kind, compression) for kind in kinds for compression in FORMATS[kind]]
