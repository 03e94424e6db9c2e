"""What the log says of an export that has been published."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_honeyhive.display import get_logger
from airflow_provider_honeyhive.export.shrink_check import tell_replaced

if TYPE_CHECKING:
    from airflow_provider_honeyhive.manifest import Manifest


log = get_logger(__name__)


def log_published(manifest: Manifest, summary: str, manifest_url: str) -> None:
    """Log what was published, and what is odd about it.

    :param manifest: of the export.
    :param summary: how many events of how many bytes were read, and how quickly.
    :param manifest_url: path or URL of the manifest.
    """
    log.info(
        "Published %s; files on disk: %d, %.1f MB; manifest: %s",
        summary,
        len(manifest.files),
        manifest.size_bytes / 1e6,
        manifest_url,
    )
    tell_replaced(manifest.replaced)
    if manifest.repeated_ids:
        log.warning(
            "%s events have an event_id that another event in these files has: the server holds several rows of it",
            f"{manifest.repeated_ids:,}",
        )
    if manifest.events_without_time:
        log.warning(
            "%s of the events have no start_time that can be read: they are in the files (partition NULL)",
            f"{manifest.events_without_time:,}",
        )
    if manifest.lookback is not None:
        log.info(
            "Corrections of earlier exports: %d events came late, %d changed",
            manifest.lookback.late_count,
            manifest.lookback.changed_count,
        )
