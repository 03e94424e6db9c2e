"""What a window holds at one look. Light enough for DAG parsing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive.models.window import format_time

if TYPE_CHECKING:
    from datetime import datetime

if TYPE_CHECKING:
    from airflow_provider_honeyhive.models.request import ExportRequest


@dataclass(frozen=True, slots=True)
class Observation:
    """What a window holds at one moment.

    :param event_count: number of its events.
    :param newest: ``start_time`` of the newest of them; None where there is none.
    """

    event_count: int
    newest: datetime | None

    def result(self, request: ExportRequest) -> dict[str, Any]:
        """Return what a sensor hands on: facts that fit into XCom."""
        window = request.window
        return {
            "event_count": self.event_count,
            "newest": format_time(self.newest) if self.newest else None,
            "start_time": format_time(window.start) if window else None,
            "end_time": format_time(window.end) if window else None,
            "project": request.project,
        }
