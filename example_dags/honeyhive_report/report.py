"""An export in Parquet files -> its report, in a folder: a Parquet file for each table, and the page."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive.storage.paths import open_store
from honeyhive_report.page import render_page
from honeyhive_report.tables import TABLES, make_tables, rows

if TYPE_CHECKING:
    from airflow_provider_honeyhive.manifest import Manifest

PAGE = "report.html"


def write_report(manifest: Manifest, events: Any, folder: Any) -> dict[str, Any]:
    """Write the report, and return where: ``page``, and ``tables`` by name.

    A second report replaces the first one's files one by one, the page last.

    :param manifest: of the export.
    :param events: the export's folder, path-like.
    :param folder: where the report goes, path-like.
    :raises ValueError: the export is not in Parquet, or its files do not hold the events that the manifest counts.
    """
    if manifest.file_format != "parquet":
        raise ValueError(f"{events} is an export in {manifest.file_format}; the report reads Parquet")
    parts = [events / part.path for part in manifest.files]
    store = open_store(folder)
    with (
        closing(make_tables(parts, manifest.start_time, manifest.end_time)) as connection,
        TemporaryDirectory(prefix="honeyhive-report-") as scratch,
    ):
        (summary,) = rows(connection, "SELECT events FROM summary")
        if summary["events"] != manifest.event_count:
            raise ValueError(f"the files hold {summary['events']} events, their manifest says {manifest.event_count}")
        page = render_page(connection, manifest.project)
        for name in TABLES:
            file = Path(scratch, f"{name}.parquet")
            connection.table(name).write_parquet(str(file))
            store.put(file.name, file.read_bytes())
    store.put(PAGE, page.encode())
    return {"page": _link(store.url(PAGE)), "tables": {name: store.url(f"{name}.parquet") for name in TABLES}}


def _link(url: str) -> str:
    # What a browser opens when it is pasted.
    return url if "://" in url else Path(url).absolute().as_uri()
