"""What a task has exported, as those are told who watch Airflow: assets, lineage, the link to HoneyHive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from airflow_provider_honeyhive.manifest import MOST_FILES_LISTED
from airflow_provider_honeyhive.models.window import format_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airflow_provider_honeyhive.manifest import Manifest
    from airflow_provider_honeyhive.models.request import ExportRequest


class ExportResult(Struct, frozen=True, kw_only=True):
    """What was read, and what became of it; never an event's content.

    :param api_host: host of the API.
    :param project: that was asked for.
    :param project_id: HoneyHive's id of it, as the events say; None where they do not.
    :param start_time: start of the window, inclusive, ISO 8601 in UTC; None: all of time.
    :param end_time: end of the window, exclusive.
    :param event_count: events exported.
    :param manifest: of the files that were written; None: the events are the task's result.
    """

    api_host: str
    project: str | None
    project_id: str | None
    start_time: str | None
    end_time: str | None
    event_count: int
    manifest: Manifest | None = None

    @classmethod
    def of_files(cls, manifest: Manifest) -> ExportResult:
        """Return what a published export is.

        :param manifest: of the export, just published or read from its place.
        """
        return cls(
            api_host=manifest.request.api_host,
            project=manifest.project,
            project_id=_project_id(manifest.project, ((one.name, one.id) for one in manifest.project_names)),
            start_time=manifest.start_time,
            end_time=manifest.end_time,
            event_count=manifest.event_count,
            manifest=manifest,
        )

    @classmethod
    def of_events(cls, api_host: str, request: ExportRequest, events: Sequence[Mapping[str, Any]]) -> ExportResult:
        """Return what an export is whose events are the task's result.

        :param api_host: host of the API.
        :param request: what was asked.
        :param events: decoded.
        """
        window = request.window
        names = ((event.get("project"), event.get("project_id")) for event in events[:1])
        return cls(
            api_host=api_host,
            project=request.project,
            project_id=_project_id(request.project, names),
            start_time=format_time(window.start) if window else None,
            end_time=format_time(window.end) if window else None,
            event_count=len(events),
        )


def _project_id(project: str | None, names: Iterable[tuple[str | None, str | None]]) -> str | None:
    """Return the id that the events give the project; the one beside its name first."""
    known = sorted(((name, one) for name, one in names if isinstance(one, str)), key=lambda pair: pair[0] != project)
    return known[0][1] if known else None


def summarize(manifest: Manifest) -> dict[str, Any]:
    """Return what was published, and where, as plain data; where it looked back, what that has brought, too.

    With more than :data:`.MOST_FILES_LISTED` files there are no lists of them at all: whoever needs one fails, instead
    of reading a part for the whole. ``Manifest.read(manifest_path).file_urls`` always has all.

    :param manifest: of the export, just published or read from its place.
    """
    summary = {
        "output_path": manifest.url(),
        "manifest_path": manifest.manifest_url,
        "event_count": manifest.event_count,
        "reported_total": manifest.reported_total,
        "size_bytes": manifest.size_bytes,
        "file_count": len(manifest.files),
        "file_format": manifest.file_format,
        "compression": manifest.compression,
        "files": manifest.file_urls,
        "start_time": manifest.start_time,
        "end_time": manifest.end_time,
        "project": manifest.project,
    }
    if manifest.lookback is not None:
        summary |= {
            "late_count": manifest.lookback.late_count,
            "changed_count": manifest.lookback.changed_count,
            "correction_files": manifest.correction_urls,
            "exported_at": manifest.finished_at,
        }
    if len(manifest.files) + len(manifest.corrections) > MOST_FILES_LISTED:
        for name in ("files", "correction_files"):
            summary.pop(name, None)
    return summary
