"""What the page says of where its numbers are from: the exports, and what of their events it cannot show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive.models.window import parse_time
from airflow_provider_honeyhive.report.forms import count, moment, show, text
from airflow_provider_honeyhive.report.lists import MOST_ROWS, Lines

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from airflow_provider_honeyhive.build_manifest import BuildManifest

#: Columns of the table ``summary`` that say what is missing, and how the page calls them.
_COVERAGE = {
    "Events without a session": "events_without_session",
    "Events without a time, which no chart over time shows": "events_without_time",
    "Events that began outside of the window, which no chart over time shows": "events_outside_window",
    "Events whose parent is not among them": "orphans",
    "Events in a circle of parents, or below one": "events_in_cycles",
}


def sentence(tables: BuildManifest) -> str:
    """Return how many exports the tables are made of, of which events, and until when these were published.

    :param tables: the build that has the tables.
    """
    sources = tables.sources
    if not sources:
        return "Made of no export"
    events = sum(source.event_count for source in sources)
    exports = "one export" if len(sources) == 1 else f"{count(len(sources))} exports"
    last = _when(max(parse_time(source.finished_at) for source in sources))
    return (
        f"Made of {exports} with {count(events)} events, {'the last one ' if len(sources) > 1 else ''}published {last}"
    )


def exports(tables: BuildManifest) -> Lines:
    """Return the list of exports.

    :param tables: the build that has the tables.
    """
    found = [
        [text(source.manifest_path), count(source.event_count), _when(parse_time(source.finished_at))]
        for source in tables.sources
    ]
    return Lines(
        title="Exports",
        headings=["Manifest", "Events", "Published, UTC"],
        rows=found[:MOST_ROWS],
        hidden=max(0, len(found) - MOST_ROWS),
        elsewhere="the manifest of the tables",
        kinds=["text", "", ""],
        absent="There are none.",
    )


def coverage(summary: Mapping[str, Any]) -> Lines:
    """Return the list of what the numbers leave out.

    :param summary: the row of that table.
    """
    found = [[name, show(summary[column], count)] for name, column in _COVERAGE.items()]
    return Lines(title="Coverage", headings=["What", "Number"], rows=found, hidden=0, elsewhere="", kinds=["text", ""])


def _when(time: datetime) -> str:
    return moment(time.timestamp() * 1000)
