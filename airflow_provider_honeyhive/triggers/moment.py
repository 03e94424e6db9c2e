"""Waits for a point in time off the worker."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive._compat import BaseTrigger, TriggerEvent
from airflow_provider_honeyhive.api.retries import asks_for_long_wait, pause_asked_by
from airflow_provider_honeyhive.display import described, get_logger
from airflow_provider_honeyhive.models.window import format_time, parse_time

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow_provider_honeyhive._compat import BaseOperator
    from airflow_provider_honeyhive.api.client import HoneyHiveClient
    from airflow_provider_honeyhive.exceptions import HoneyHiveError


log = get_logger(__name__)

#: Seconds beyond the end of a wait after which Airflow ends it where there is no triggerer.
BACKSTOP_S = 300.0


def defer_if_asked(task: BaseOperator, client: HoneyHiveClient, error: HoneyHiveError, waits: int) -> None:
    """Defer the task until the server wants to be asked again; return where that would not help.

    It would not help where no retry mends the error, where the server did not ask for a long wait, or where the task
    has waited as often in this try as the client may send a request again (``max_retries`` of the connection). The
    error then says how often.

    :param task: goes on with its method ``resume(context, event)``.
    :param client: that met the error; it is stopped, so that no other thread asks on.
    :param error: what it met.
    :param waits: how often this try of the task has waited already.
    """
    if not error.retryable or not asks_for_long_wait(error):
        return
    most = client.settings.max_retries
    if waits >= most:
        error.attempts += waits
        return

    client.stop()
    pause = pause_asked_by(error)
    moment = format_time(datetime.now(UTC) + timedelta(seconds=pause))
    log.warning(
        "HoneyHive asks for a long wait: going on at %s, in %.0f s, from what is staged; until then without a worker "
        "slot (wait %d of at most %d). %s",
        *(moment, pause, waits + 1, most, described(error)),
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


#: Seconds slept at a time, so that a clock that is set is noticed.
LONGEST_SLEEP_S = 60.0


class HoneyHiveMomentTrigger(BaseTrigger):
    """Fire at a point in time, or at once where that is past; a restart of the triggerer changes nothing.

    :param moment: ISO 8601 text.
    :param event: what to fire with, plain data; default: the moment.
    """

    def __init__(self, moment: str, event: Any = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.moment = moment
        self.event = event

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {"moment": self.moment, "event": self.event}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, then fire once."""
        moment = parse_time(self.moment, "moment")
        while (left := (moment - datetime.now(UTC)).total_seconds()) > 0:
            await asyncio.sleep(min(left, LONGEST_SLEEP_S))
        yield TriggerEvent(self.moment if self.event is None else self.event)  # type: ignore[no-untyped-call]
