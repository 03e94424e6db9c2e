"""The database of a build holds each event of the exports once, as Parquet exports have it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_honeyhive.builds.database import open_events, scratch
from airflow_provider_honeyhive.builds.sources import export_sources
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.export.result import summarize
from airflow_provider_honeyhive.models.layout import FORMATS
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.models.request import ExportRequest
from airflow_provider_honeyhive.models.window import Window

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_honeyhive.api.client import HoneyHiveClient
    from airflow_provider_honeyhive.manifest import Manifest

DAY = Window(datetime(2026, 11, 22, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC))


def export(client: Any, path: Path, window: Window = DAY, **options: Any) -> Manifest:
    return export_events(client, ExportRequest.parse(project="demo", window=window), path, ExportOptions(**options))


def rows_of(sources: Any, what: str = "*") -> list[Any]:
    with open_events(sources) as connection:
        return connection.execute(f"SELECT {what} FROM exported ORDER BY place").fetchall()


@pytest.mark.parametrize("file_format", list(FORMATS))
def test_every_format_gives_the_same_rows(client: HoneyHiveClient, tmp_path: Path, file_format: str) -> None:
    wanted = rows_of(export_sources(export(client, tmp_path / "parquet", file_format="parquet")))
    assert len(wanted) == 300
    for compression in FORMATS[file_format]:
        manifest = export(client, tmp_path / compression, file_format=file_format, compression=compression)
        assert rows_of(export_sources(summarize(manifest))) == wanted


def test_what_is_built_goes_into_a_folder_that_ends_with_the_connection(
    client: HoneyHiveClient, tmp_path: Path
) -> None:
    with open_events(export_sources(export(client, tmp_path / "parquet", file_format="parquet"))) as connection:
        folder = scratch(connection)
        connection.execute(f"COPY (FROM exported) TO '{folder}/a.parquet'")
        assert connection.cursor().execute("SELECT current_setting('TimeZone'), count(*) FROM exported").fetchall() == [
            ("UTC", 300)
        ]
    assert not folder.exists()
