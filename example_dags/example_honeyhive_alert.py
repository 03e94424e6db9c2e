"""Run as soon as something goes wrong: on failed events, low scores and thumbs-down, without a schedule.

Three watchers look for new events of their kinds once a minute; what each finds starts a run, which fetches just
those events. Feedback comes days after its event, so the watcher of thumbs-down looks back a week. Each watcher has
an asset and a DAG of its own: on Airflow 3.1, what a second watcher finds while the scheduler is making a DAG's
run can be left to that DAG's next run, which may be long in coming.

An announcement may come twice where the triggerer dies at the wrong moment, with the same ``batch`` both times: what
must happen only once, such as paging somebody, can be keyed by it.

Needs a triggerer, and the connection ``honeyhive_default`` with an API key and, in its extra ``project``, the
project's name. Before Airflow 3.3 also ``HONEYHIVE_EXAMPLE_STATE``, a folder such as ``s3://bucket/watch`` for what
the watchers have seen, which Airflow keeps by itself from then on. Airflow 2 has no asset watchers; this file defines
no DAG there.
"""

from __future__ import annotations

import logging
import os
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Asset, task

from airflow_provider_honeyhive.models import EventFilter
from airflow_provider_honeyhive.operators.honeyhive import HoneyHiveExportEventsOperator
from airflow_provider_honeyhive.triggers.honeyhive import HoneyHiveNewEventsTrigger

try:
    from airflow.sdk import AssetWatcher
except ImportError:
    AssetWatcher = None

STATE = os.environ.get("HONEYHIVE_EXAMPLE_STATE")
POLL_INTERVAL = float(os.environ.get("HONEYHIVE_EXAMPLE_POLL_INTERVAL", "60"))

WATCHED = {
    "failed": (EventFilter(field="error", operator="exists"), timedelta(hours=1)),
    "low_score": (EventFilter(field="metrics.Answer Faithfulness", operator="less than", value=3), timedelta(days=1)),
    "thumbs_down": (EventFilter(field="feedback.rating", operator="is", value=False), timedelta(days=7)),
}

log = logging.getLogger(__name__)


@task
def announcements(triggering_asset_events: Any = None) -> list[dict[str, Any]]:
    """Return what to export, for each announcement that led to this run."""
    payloads = [event.extra["payload"] for events in triggering_asset_events.values() for event in events]
    for payload in payloads:
        log.warning("%d new events from %s on", payload["event_count"], payload["oldest"])
    return [{name: payload[name] for name in ("filters", "start_time", "end_time")} for payload in payloads]


@task
def alert(batches: list[list[dict[str, Any]]]) -> list[str]:
    """Log each event; an alert would go out here."""
    events = {event["event_id"]: event for batch in batches for event in batch}
    for event in events.values():
        log.warning("%s in session %s", event["event_name"], event["session_id"])
    return sorted(events)


def watched(name: str, condition: EventFilter, lookback: timedelta) -> Asset:
    """Return an asset that is updated by what its watcher finds."""
    trigger = HoneyHiveNewEventsTrigger(
        filters=condition,
        lookback=lookback,
        poll_interval=POLL_INTERVAL,
        state_path=f"{STATE}/{name}.json" if STATE else None,
    )
    return Asset(f"honeyhive_{name}", watchers=[AssetWatcher(name=name, trigger=trigger)])


if AssetWatcher is not None:
    for name, what in WATCHED.items():
        with DAG(
            f"example_honeyhive_alert_{name}",
            schedule=[watched(name, *what)],
            start_date=datetime(2025, 1, 1, tzinfo=UTC),
            catchup=False,
            doc_md=__doc__,
            tags=["honeyhive", "example"],
        ):
            # These events are there already, so nothing is to be waited for.
            events = HoneyHiveExportEventsOperator.partial(task_id="events", delay=0, retries=3).expand_kwargs(
                announcements()
            )
            alert(events.output)
