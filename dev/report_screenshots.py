"""Make docs/images/report-*.png: the page of the report on a day of generated events, as a browser shows it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from airflow_provider_honeyhive.api.client import HoneyHiveClient
from airflow_provider_honeyhive.api.settings import ClientSettings
from airflow_provider_honeyhive.builds.sources import export_sources
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.models.request import ExportRequest
from airflow_provider_honeyhive.models.window import Window
from airflow_provider_honeyhive.report.build import PAGE, write_report
from airflow_provider_honeyhive.sandbox import Sandbox
from airflow_provider_honeyhive.tables.build import build_tables

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
EVENTS = 25_000
DAY = Window(datetime(2026, 3, 10, tzinfo=UTC), datetime(2026, 3, 11, tzinfo=UTC))


class Picture(NamedTuple):
    """A picture of the top of the page.

    :param width: in pixels, as is the height.
    :param scheme: what Chromium calls the preferred colours: 0 is dark, 1 is light.
    """

    name: str
    width: int
    height: int
    scheme: int


PICTURES = (Picture("report-light-wide", 1400, 1360, 1), Picture("report-dark-narrow", 400, 1290, 0))


def main() -> int:
    """Make the pictures; return the exit code."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.stderr.write(f"None of these is installed: {', '.join(BROWSERS)}\n")
        return 1
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="honeyhive-screenshots-") as folder:
        page = make_page(Path(folder))
        for picture in PICTURES:
            take(browser, page, picture)
    return 0


def make_page(folder: Path) -> str:
    """Export a day of generated events, make tables of them, report on these, and return the page's address."""
    with Sandbox(count=EVENTS, start=DAY.start, end=DAY.end) as sandbox:
        settings = ClientSettings.parse(api_key=sandbox.key, api_url=sandbox.url)
        with HoneyHiveClient(settings) as client:
            request = ExportRequest(project=sandbox.project, window=DAY)
            exported = export_events(client, request, folder / "events", ExportOptions(file_format="parquet"))
    tables = build_tables(export_sources(exported), folder / "tables")
    report = write_report(tables, folder / "report", app_url="https://app.us.honeyhive.ai")
    return Path(*report.file_urls(PAGE)).as_uri()


def take(browser: str, page: str, picture: Picture) -> None:
    """Take one picture."""
    path = IMAGES / f"{picture.name}.png"
    subprocess.run(  # noqa: S603 - the browser that was found, with arguments from this file
        [
            browser,
            "--headless",
            # Chromium's own sandbox does not work for root.
            *(["--no-sandbox"] if os.geteuid() == 0 else []),
            "--hide-scrollbars",
            # Until the charts are drawn.
            "--virtual-time-budget=5000",
            f"--blink-settings=preferredColorScheme={picture.scheme}",
            f"--window-size={picture.width},{picture.height}",
            f"--screenshot={path}",
            page,
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )
    sys.stdout.write(f"{path.relative_to(ROOT)}: {path.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    sys.exit(main())
