"""What the test of a connection says of a project that HoneyHive has let it read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from airflow_provider_honeyhive.display import shown
from airflow_provider_honeyhive.exceptions import HoneyHiveAPIError, HoneyHiveConnectionError
from airflow_provider_honeyhive.models.request import ExportRequest
from airflow_provider_honeyhive.models.window import Window
from airflow_provider_honeyhive.reading.counting import describe

if TYPE_CHECKING:
    from airflow_provider_honeyhive.api.client import HoneyHiveClient

#: How many days are looked at, one request each, until there are events: only they show which project is read.
LOOKS = (1, 7, 30, 365)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a connection reads, in words.

    :param text: project and number of events.
    :param is_confirmed: there were events, which name their project.
    """

    text: str
    is_confirmed: bool


def look(client: HoneyHiveClient, project: str | None) -> Seen:
    """Look at the last day, and where it has no events further back.

    :param client: asks HoneyHive.
    :param project: name or id; None: that of the key.
    :raises WrongProjectError: the events are another project's.
    :raises HoneyHiveError: the last day could not be read. Of the looks further back, a failure ends the search alone.
    """
    now = datetime.now(UTC)
    empty, last = "", ""
    for days in LOOKS:
        period = "the last day" if days == 1 else f"the last {days} days"
        try:
            request = ExportRequest(project=project, window=Window(now - timedelta(days=days), now))
            name, count = describe(client, request)
        except (HoneyHiveAPIError, HoneyHiveConnectionError):
            if not empty:
                raise
            break
        if count != "0":
            named = shown(project or name or "of this key")
            return Seen(f"project {named}, {empty}{count} events in {period}", is_confirmed=True)
        empty, last = "0 events in the last day, ", period
    further = f"and none in {last}, " if last != "the last day" else ""
    named = shown(project or "of this key")
    return Seen(f"project {named}, {empty}{further}so the project could not be confirmed", is_confirmed=False)
