"""Writing the report of an export: all of it in one folder, and only of an export that is whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.models.options import ExportOptions
from tests.unit.export.test_exporter import DEMO, GENERATED

# First, because it is what finds the report.
from .test_tables import ROOT  # isort: skip

from honeyhive_report import report, tables  # isort: skip

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def exported(sandbox_with, client_of, tmp_path) -> Path:
    """Export 300 events in several files."""
    options = ExportOptions(file_format="parquet", max_file_size=50_000, page_size=50)
    folder = tmp_path / "events"
    manifest = export_events(client_of(sandbox_with(**GENERATED)), DEMO, folder, options)
    assert len(manifest.files) > 1
    return folder


def test_the_page_and_a_file_for_each_table_are_in_one_folder(exported, tmp_path):
    folder = tmp_path / "new" / "report"

    written = report.write_report(Manifest.read(exported), exported, folder)

    assert written["page"] == (folder / "report.html").as_uri()
    assert written["tables"] == {name: str(folder / f"{name}.parquet") for name in tables.TABLES}
    assert {path.name for path in folder.iterdir()} == {"report.html", *(f"{name}.parquet" for name in tables.TABLES)}
    assert pq.read_table(folder / "summary.parquet").to_pylist()[0]["events"] == 300
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "22 Nov 2026, 00:00 to 23 Nov 2026, 00:00 UTC" in page
    assert len(page.encode()) < 2_000_000


def test_files_that_do_not_hold_what_their_manifest_counts_are_refused(exported, tmp_path):
    manifest = Manifest.read(exported)
    fewer = manifest.model_copy(update={"files": manifest.files[1:]})

    with pytest.raises(ValueError, match=r"the files hold \d+ events, their manifest says 300"):
        report.write_report(fewer, exported, tmp_path / "report")

    assert not (tmp_path / "report").exists()


def test_an_export_in_another_format_is_refused(client, tmp_path):
    folder = tmp_path / "events"
    manifest = export_events(client, DEMO, folder)

    with pytest.raises(ValueError, match="is an export in jsonl; the report reads Parquet"):
        report.write_report(manifest, folder, tmp_path / "report")


def test_the_report_can_be_copied_without_the_tests_and_scripts():
    sources = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "example_dags" / "honeyhive_report").glob("*.py")
    )
    assert "tests" not in sources
    assert "scripts" not in sources
