"""Waits for a point in time off the worker."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive._compat import BaseTrigger, TriggerEvent
from airflow_provider_honeyhive.windows import parse_time

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

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
