"""What an export says of itself when it is done: an operator's XCom value, the command line's last line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive.layout import choose_layout
from airflow_provider_honeyhive.stores import open_store

if TYPE_CHECKING:
    from airflow_provider_honeyhive.manifest import Manifest


def summarize(manifest: Manifest, path: Any) -> dict[str, Any]:
    """Return what was published, and where, as plain data; where it looked back, what that has brought, too.

    :param manifest: of the export.
    :param path: ``output_path``, path-like.
    """
    folder, layout = choose_layout(path)
    store = open_store(folder)
    summary = {
        "output_path": store.url(layout.object_name or ""),
        "manifest_path": store.url(layout.manifest_name),
        "event_count": manifest.event_count,
        "size_bytes": manifest.size_bytes,
        "files": [store.url(part.path) for part in manifest.files],
        "start_time": manifest.start_time,
        "end_time": manifest.end_time,
        "project": manifest.project,
    }
    if manifest.lookback is None:
        return summary
    return summary | {
        "late_count": manifest.lookback.late_count,
        "changed_count": manifest.lookback.changed_count,
        "correction_files": [store.url(part.path) for part in manifest.corrections],
        "exported_at": manifest.finished_at,
    }
