"""Where the server asks for a long wait, a task leaves its worker slot and comes back then."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive.retry_after import asks_for_long_wait, pause_asked_by
from airflow_provider_honeyhive.windows import format_time

if TYPE_CHECKING:
    from airflow_provider_honeyhive._compat import BaseOperator
    from airflow_provider_honeyhive.client import HoneyHiveClient
    from airflow_provider_honeyhive.exceptions import HoneyHiveError

#: Seconds beyond the end of a wait after which Airflow ends it where there is no triggerer.
BACKSTOP_S = 300.0


def come_back_if_asked(task: BaseOperator, client: HoneyHiveClient, error: HoneyHiveError, waits: int) -> None:
    """Defer the task until the server wants to be asked again; return where that would not help.

    That is, where the server did not ask for a long wait, or the task has waited as often in this try as the client
    may send a request again (``max_retries`` of the connection). The error then says how often.

    :param task: goes on with its method ``resume(context, event)``.
    :param client: that met the error; it is stopped, so that no other thread asks on.
    :param error: what it met.
    :param waits: how often this try of the task has waited already.
    """
    if not asks_for_long_wait(error):
        return
    most = client.settings.max_retries
    if waits >= most:
        error.attempts += waits
        return
    from airflow_provider_honeyhive.triggers.moment import HoneyHiveMomentTrigger  # noqa: PLC0415

    client.stop()
    pause = pause_asked_by(error)
    moment = format_time(datetime.now(UTC) + timedelta(seconds=pause))
    task.log.warning(
        "HoneyHive asks for a long wait: going on at %s, in %.0f s, from what is staged; until then without a worker "
        "slot (wait %d of at most %d). %s: %s",
        *(moment, pause, waits + 1, most, type(error).__name__, error),
    )
    task.defer(
        # In the event, since "airflow dags test" leaves out arguments of the method.
        trigger=HoneyHiveMomentTrigger(moment, {"waits": waits + 1}),
        method_name="resume",
        timeout=timedelta(seconds=pause + BACKSTOP_S),
    )


def waits_of(event: Any) -> int:
    """Return how often a task has waited in this try, as the event of its trigger says."""
    return int(event.get("waits", 0)) if isinstance(event, Mapping) else 0
