"""Those who read tables of a build find what is in them: DuckDB, Polars, pandas and pyarrow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb
import pandas as pd
import polars as pl
import pytest
from pyarrow import parquet as pq

from airflow_provider_honeyhive.builds.sources import export_sources
from airflow_provider_honeyhive.sandbox.data.traces import generate_events
from airflow_provider_honeyhive.tables.build import build_tables
from airflow_provider_honeyhive.tables.columns import TABLES
from tests.unit.builds.made import DAY, ONE_DAY, make_export
from tests.unit.odd_events import ODD_EVENTS, compact

if TYPE_CHECKING:
    from airflow_provider_honeyhive.build_manifest import BuildManifest


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> BuildManifest:
    folder = tmp_path_factory.mktemp("built")
    events = [*generate_events(300, seed=5, start=DAY, end=DAY + ONE_DAY), *ODD_EVENTS.values()]
    raw = [event if isinstance(event, bytes) else compact(event) for event in events]
    return build_tables(export_sources(make_export(folder / "export", raw)), folder / "tables")


@pytest.mark.parametrize("name", TABLES)
def test_all_read_the_same_rows(built: BuildManifest, name: str) -> None:
    files = built.file_urls(name)
    wanted: list[dict[str, Any]] = [row for file in files for row in pq.read_table(file).to_pylist()]
    assert wanted
    assert pl.read_parquet(files).to_dicts() == wanted
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        relation = connection.read_parquet(files)
        rows = [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]
    assert rows == wanted
    frame = pd.concat(map(pd.read_parquet, files))
    assert list(frame.columns) == list(wanted[0])
    assert [int(count) for count in frame.count()] == [
        sum(row[column] is not None for row in wanted) for column in wanted[0]
    ]
