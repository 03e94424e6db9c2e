"""What the tests of datasets share: exports of a sandbox, and what is built of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_honeyhive.builds.sources import export_sources
from airflow_provider_honeyhive.dataset.build import build_dataset
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.models.request import ExportRequest
from airflow_provider_honeyhive.models.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_honeyhive.build_manifest import BuildManifest
    from airflow_provider_honeyhive.builds.sources import Sources

DAY = Window(datetime(2026, 11, 22, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC))


@pytest.fixture
def exported(sandbox_with: Callable[..., Any], client_of: Callable[..., Any], tmp_path: Path) -> Callable[..., Sources]:
    """Give a function that exports events of one day, as Parquet; without any: those that a sandbox makes."""

    def export(events: list[Any] | None = None, name: str = "export", **request: Any) -> Sources:
        made = {} if events is None else {"count": 0, "documented_event": False}
        sandbox = sandbox_with(events, start=DAY.start, end=DAY.end, **made)
        asked = ExportRequest.parse(project="demo", window=DAY, **request)
        manifest = export_events(client_of(sandbox), asked, tmp_path / name, ExportOptions(file_format="parquet"))
        return export_sources(manifest)

    return export


def build(sources: Sources, path: Path, **options: Any) -> BuildManifest:
    """Build a dataset of some exports."""
    return build_dataset(sources, path, **options)


def lines_of(manifest: BuildManifest, *names: str) -> list[dict[str, Any]]:
    """Return the rows of JSON Lines of a dataset's splits, in their order."""
    return [
        json.loads(line)
        for file in manifest.files
        if file.name in (names or ("train", "test"))
        for line in manifest.place[0].get(file.path).splitlines()
    ]
