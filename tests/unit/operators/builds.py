"""What operators have built, without building it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from airflow_provider_honeyhive.build_manifest import BuildManifest, BuiltFile, SourceFacts
from airflow_provider_honeyhive.models.layout import BUILD_MANIFESTS
from airflow_provider_honeyhive.storage.local import LocalStore

TIMES = {"started_at": "2026-11-23T00:00:01.000Z", "finished_at": "2026-11-23T00:00:02.000Z"}
WINDOW = {"start_time": "2026-11-22T00:00:00.000Z", "end_time": "2026-11-23T00:00:00.000Z"}


TI = SimpleNamespace(dag_id="d", task_id="t", run_id="r", try_number=1, map_index=-1)


def context(**more: Any) -> Any:
    """Return what a task is executed with."""
    return {"ti": TI, "outlet_events": {}, **more}


def source(manifest_path: str = "/exports/day/_manifest.json", **facts: Any) -> SourceFacts:
    """Return an export that something was made of."""
    wanted = {"manifest_sha256": "0" * 64, "event_count": 300, "finished_at": TIMES["finished_at"], **facts}
    return SourceFacts(manifest_path=manifest_path, **wanted)


def file_of(name: str, path: str | None = None, row_count: int = 40) -> BuiltFile:
    """Return a file of a build."""
    path = path or f"{name}/part-00000-{'0' * 12}.parquet"
    return BuiltFile(path=path, name=name, row_count=row_count, size_bytes=1_500_000, sha256="0" * 64)


def built(folder: str, kind: str = "tables", **facts: Any) -> BuildManifest:
    """Return the manifest of a build in a folder."""
    manifest = BuildManifest(
        **{
            "kind": kind,
            "project": "demo",
            **WINDOW,
            **TIMES,
            "sources": [source()],
            "engine": "duckdb 2.0.0",
            "files": [file_of("events", row_count=300), file_of("sessions")],
            **facts,
        }
    )
    place = LocalStore(Path(folder.removeprefix("file://")))
    return manifest.placed(place, next(name for name, one in BUILD_MANIFESTS.items() if one == kind))
