"""One question asked of one connection again and again, by whoever waits for the answer to change."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, Self, TypeVar

from airflow_provider_honeyhive.models.window import format_time, parse_time
from airflow_provider_honeyhive.tasks.arguments import request_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_honeyhive.api.client import HoneyHiveClient
    from airflow_provider_honeyhive.models.request import ExportRequest


T = TypeVar("T")


class PollingClient:
    """A client and a request, made when they are first needed, and made anew after an error.

    So a key that has been replaced in the connection is used without a restart. Blocks: never to be asked
    in the triggerer's event loop.

    :param honeyhive_conn_id: id of the HoneyHive connection.
    :param most_retries: how often a request is sent again at most; the connection may say less. Whoever
        waits asks again anyway.
    :param leaves_long_waits: raise where the server asks for a wait of more than a minute, instead of waiting.
    :param arguments: of :func:`~airflow_provider_honeyhive.tasks.arguments.request_of`.
    """

    def __init__(
        self, honeyhive_conn_id: str, *, most_retries: int, leaves_long_waits: bool = False, **arguments: Any
    ) -> None:
        self._conn_id = honeyhive_conn_id
        self._most_retries = most_retries
        self._leaves_long_waits = leaves_long_waits
        self._arguments = arguments
        self._open: tuple[HoneyHiveClient, ExportRequest] | None = None

    def ask(self, question: Callable[[HoneyHiveClient, ExportRequest], T]) -> T:
        """Return what ``question`` makes of the client and the request.

        :raises HoneyHiveError: see :mod:`~airflow_provider_honeyhive.exceptions`.
        """
        try:
            if self._open is None:
                self._open = self._opened()
            return question(*self._open)
        except BaseException:
            self.close()
            raise

    def snapshot(self) -> tuple[Snapshot, ExportRequest]:
        """Return what the request's window holds now, and the request.

        :raises HoneyHiveError: see :mod:`~airflow_provider_honeyhive.exceptions`.
        """
        from airflow_provider_honeyhive.reading.counting import count_and_newest  # noqa: PLC0415

        return self.ask(lambda client, request: (Snapshot(*count_and_newest(client, request)), request))

    def close(self) -> None:
        """Close the connections, and let what is being asked end soon; safe to call from a signal handler."""
        if self._open is not None:
            client, _ = self._open
            self._open = None
            client.stop()
            client.close()

    def _opened(self) -> tuple[HoneyHiveClient, ExportRequest]:
        # Here, since DAG parsing needs none of what it brings.
        from airflow_provider_honeyhive.hooks.honeyhive import HoneyHiveHook, make_client  # noqa: PLC0415

        hook = HoneyHiveHook(self._conn_id)
        request = request_of(hook.settings, **self._arguments)
        retries = min(hook.settings.max_retries, self._most_retries)
        client = make_client(hook.settings, leaves_long_waits=self._leaves_long_waits, max_retries=retries)
        return client, request


@dataclass(frozen=True, slots=True)
class Snapshot:
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


@dataclass(frozen=True, slots=True)
class Unchanged:
    """A snapshot, and since when every further one has been the same."""

    snapshot: Snapshot
    since: datetime

    @classmethod
    def follow(cls, last: Self | None, snapshot: Snapshot, at: datetime) -> Self:
        """Return what is known after one more snapshot: ``last`` where nothing has changed."""
        return last if last is not None and last.snapshot == snapshot else cls(snapshot, at)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data, for whoever keeps it between two looks."""
        newest = self.snapshot.newest
        return {
            "event_count": self.snapshot.event_count,
            "newest": format_time(newest) if newest else None,
            "since": format_time(self.since),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Make it of what :meth:`to_json` returned."""
        newest = data["newest"]
        snapshot = Snapshot(int(data["event_count"]), parse_time(newest, "newest") if newest else None)
        return cls(snapshot, parse_time(data["since"], "since"))


@dataclass(frozen=True, slots=True)
class Condition:
    """What is waited for.

    :param min_events: the fewest events the window must hold.
    :param settled_for: seconds that its count and its newest event must have stayed the same; 0: any.
    """

    min_events: int
    settled_for: float = 0.0

    def is_reached(self, unchanged: Unchanged, at: datetime) -> bool:
        """Return whether the wait is over."""
        return unchanged.snapshot.event_count >= self.min_events and self.seconds_left(unchanged, at) <= 0

    def seconds_left(self, unchanged: Unchanged, at: datetime) -> float:
        """Return how much longer nothing may change."""
        return (unchanged.since + timedelta(seconds=self.settled_for) - at).total_seconds()

    def describe(self, unchanged: Unchanged, at: datetime) -> str:
        """Return in words what there is and what is missing."""
        count, newest = unchanged.snapshot.event_count, unchanged.snapshot.newest
        found = f"{count:,} events" + (f", the newest of {format_time(newest)}" if newest else "")
        if count < self.min_events:
            return f"{found}; waiting for at least {self.min_events:,}"
        if not self.settled_for:
            return found
        seconds = max(0.0, (at - unchanged.since).total_seconds())
        return f"{found}; unchanged for {seconds:.0f} of {self.settled_for:.0f} s"


#: Most calls at the same time, of all triggers of this provider in one triggerer.
THREADS = 8


@cache
def _pool() -> ThreadPoolExecutor:
    # Not the event loop's own pool: a server that hangs must not take the threads of other providers' triggers.
    return ThreadPoolExecutor(THREADS, thread_name_prefix="honeyhive")


async def in_thread(call: Callable[[], T]) -> T:
    """Return what ``call`` returns, while the event loop goes on."""
    # Here, because DAG parsing needs no threads.
    from asgiref.sync import sync_to_async  # noqa: PLC0415

    # Not asyncio.to_thread: Airflow 3.0 to 3.2 can look up a connection only in a thread that asgiref has made.
    return await sync_to_async(call, thread_sensitive=False, executor=_pool())()
