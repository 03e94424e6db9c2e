"""Waits for events off the worker, and watches for new ones."""

from __future__ import annotations

import asyncio
import hashlib
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive._compat import (
    HAS_ASSET_WATCHERS,
    HAS_STATE_STORES,
    AirflowOptionalProviderFeatureException,
    BaseEventTrigger,
    BaseTrigger,
    TriggerEvent,
)
from airflow_provider_honeyhive.api.connection_form import DEFAULT_CONNECTION
from airflow_provider_honeyhive.api.retries import pause_asked_by
from airflow_provider_honeyhive.display import described, get_logger
from airflow_provider_honeyhive.exceptions import HoneyHiveError, InvalidArgumentError
from airflow_provider_honeyhive.models.filters import parse_filters
from airflow_provider_honeyhive.models.window import Window, format_time, parse_bound, parse_time, to_micros
from airflow_provider_honeyhive.tasks.arguments import as_plain_data, check_absolute, check_literals, seconds_of
from airflow_provider_honeyhive.tasks.polling import Condition, PollingClient, Unchanged, in_thread
from airflow_provider_honeyhive.tasks.state import AssetState, FileState
from airflow_provider_honeyhive.triggers.watch import Opening, Watch, WatchProducer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Hashable
    from datetime import timedelta

    from airflow_provider_honeyhive.tasks.state import StateStore

log = get_logger(__name__)

DEFAULT_POLL_INTERVAL_S = 60.0
DEFAULT_LOOKBACK_S = 3_600.0
#: Airflow 3.0 to 3.2 give an event trigger no word that its event has been stored; they take events from
#: triggers about once a second.
HANDED_OVER_S = 10.0


class HoneyHiveEventsTrigger(BaseTrigger):
    """Wait until a window holds enough events and has settled: what a deferred sensor leaves to the triggerer.

    Yields one event: ``{"status": "success", "result": {...}}``, or ``status`` ``timeout``, ``failed`` (no
    retry mends it) or ``error``, with a ``message``. Errors that may pass are logged, and the next look is the
    retry. Never raises, and never blocks the event loop. All it knows at the start is in its arguments, and the
    deadline is a point in time, so that a restart of the triggerer neither shortens nor prolongs the wait.

    :param project: name of the project; None: the connection's.
    :param filters: dicts as EventFilter takes them.
    :param start_time: of the window, inclusive: ISO 8601 text.
    :param end_time: exclusive.
    :param evaluation_id: count only the events of this experiment run.
    :param min_events: the fewest events to wait for.
    :param settled_for: seconds without a change of count and newest event; 0: none.
    :param poke_interval: seconds between two looks.
    :param deadline: when to give up: ISO 8601 text.
    :param honeyhive_conn_id: id of the HoneyHive connection.
    :param still: what the sensor saw last, as ``Unchanged.to_json`` returns it.
    """

    def __init__(
        self,
        *,
        project: str | None,
        filters: list[dict[str, Any]],
        start_time: str,
        end_time: str,
        evaluation_id: str | None,
        min_events: int,
        settled_for: float,
        poke_interval: float,
        deadline: str,
        honeyhive_conn_id: str,
        still: dict[str, Any] | None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.project = project
        self.filters = filters
        self.start_time = start_time
        self.end_time = end_time
        self.evaluation_id = evaluation_id
        self.min_events = min_events
        self.settled_for = settled_for
        self.poke_interval = poke_interval
        self.deadline = deadline
        self.honeyhive_conn_id = honeyhive_conn_id
        self.still = still

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments, plain data all of them."""
        names = (
            "project",
            "filters",
            "start_time",
            "end_time",
            "evaluation_id",
            "min_events",
            "settled_for",
            "poke_interval",
            "deadline",
            "honeyhive_conn_id",
            "still",
        )
        return _class_path(self), {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until there is something to say."""
        try:
            payload = await self._wait()
        except HoneyHiveError as error:
            payload = {"status": "failed", "message": described(error)}
        except Exception as error:  # noqa: BLE001 - on Airflow 2.11 dag.test() starts a trigger that raises for ever
            payload = {"status": "error", "message": described(error)}
        yield _event(payload)

    async def _wait(self) -> dict[str, Any]:
        deadline = parse_time(self.deadline, "deadline")
        polling_client = PollingClient(
            self.honeyhive_conn_id,
            most_retries=0,
            project=self.project,
            filters=self.filters,
            window=Window.parse(self.start_time, self.end_time),
            evaluation_id=self.evaluation_id,
        )
        try:
            while True:
                payload, pause = await self._look(polling_client)
                left = (deadline - datetime.now(UTC)).total_seconds()
                if payload["status"] != "timeout" or left <= 0:
                    return payload
                log.info("Window [%s, %s): %s", self.start_time, self.end_time, payload["message"])
                # The last look is at the deadline.
                await asyncio.sleep(min(max(self.poke_interval, pause), left))
        finally:
            polling_client.close()

    async def _look(self, polling_client: PollingClient) -> tuple[dict[str, Any], float]:
        """Return what to say if this were the last look, and how many seconds the server asked to wait."""
        try:
            snapshot, request = await in_thread(polling_client.snapshot)
        except HoneyHiveError as error:
            if not error.retryable:
                raise
            return {"status": "timeout", "message": described(error)}, pause_asked_by(error)
        condition, now = Condition(self.min_events, self.settled_for), datetime.now(UTC)
        last = Unchanged.from_json(self.still) if self.still else None
        unchanged = Unchanged.follow(last, snapshot, now)
        self.still = unchanged.to_json()
        if condition.is_reached(unchanged, now):
            return {"status": "success", "result": snapshot.result(request)}, 0.0
        return {"status": "timeout", "message": condition.describe(unchanged, now)}, 0.0


class HoneyHiveNewEventsTrigger(BaseEventTrigger):
    """Fire when events that match the filters appear; for an ``AssetWatcher`` (Airflow 3).

    Each look that finds events which were not there before makes one asset event, whose
    ``extra["payload"]`` has ``event_count``, ``event_ids`` (at most 100) and ``event_ids_left_off``, ``oldest``
    and ``newest`` (their ``start_time``); ``project``, ``filters``, ``start_time`` and ``end_time`` (the smallest
    window that holds them) for an export of them; and ``batch``, which is the same for the same events.

    What has been seen is kept where a restart does not reach it, and an event counts as announced only when
    Airflow has stored it. So no event is missed; one announcement may be repeated, with the same ``batch``,
    where the triggerer dies in the second between Airflow's storing it and the note of that.

    Events that come late, or match late, such as those that people rate days later, are found as long as their
    ``start_time`` is within ``lookback``; also those from before the watcher began, whose first look takes note of what
    matches already. Each look reads the matching events of that time, so let the filters match few events.

    :param project: name of the project; default: the connection's extra ``project``.
    :param filters: conditions that all must hold: EventFilter objects, dicts, or JSON texts of them. Needed,
        since nobody wants a run for every event.
    :param evaluation_id: watch only the events of this experiment run.
    :param start_time: events from then on are new, when the watcher starts for the first time; default: from its
        start on. Older ones are new where they match only later. A fixed time, since a trigger that is different at
        each parsing of the DAG never gets going.
    :param lookback: how long after its ``start_time`` an event may appear: timedelta or seconds; default one
        hour.
    :param poll_interval: seconds between two looks, or a timedelta; default 60.
    :param state_path: file to keep the state in, anything that ``ObjectStoragePath`` takes, one for each
        watcher; default: Airflow's asset state store, which Airflow before 3.3 does not have.
    :param honeyhive_conn_id: id of the HoneyHive connection.
    :raises InvalidArgumentError: an argument cannot be right (when the DAG is parsed).
    :raises AirflowOptionalProviderFeatureException: on Airflow 2, which has no asset watchers.
    """

    def __init__(
        self,
        *,
        project: str | None = None,
        filters: Any,
        evaluation_id: str | None = None,
        start_time: Any = None,
        lookback: timedelta | float = DEFAULT_LOOKBACK_S,
        poll_interval: timedelta | float = DEFAULT_POLL_INTERVAL_S,
        state_path: Any = None,
        honeyhive_conn_id: str = DEFAULT_CONNECTION,
    ) -> None:
        if not HAS_ASSET_WATCHERS:
            raise AirflowOptionalProviderFeatureException(
                "HoneyHiveNewEventsTrigger is for asset watchers, which came with Airflow 3.0; on Airflow 2 use "
                "HoneyHiveEventsSensor in a scheduled DAG"
            )
        super().__init__()  # type: ignore[no-untyped-call]
        texts = {"project": project, "evaluation_id": evaluation_id, "honeyhive_conn_id": honeyhive_conn_id}
        check_literals(texts=texts, times={})
        if state_path is None and not HAS_STATE_STORES:
            raise InvalidArgumentError(
                "state_path", None, "needed before Airflow 3.3, which brought a store for what a watcher has seen"
            )
        self.project = project
        self.filters = _canonical(filters)
        self.evaluation_id = evaluation_id
        self.start_time = None if start_time is None else format_time(parse_bound(start_time, "start_time"))
        self.lookback = seconds_of("lookback", lookback, above_zero=True)
        self.poll_interval = seconds_of("poll_interval", poll_interval, above_zero=True)
        self.state_path = None if state_path is None else str(state_path)
        if self.state_path is not None:
            check_absolute(self.state_path, "state_path", "s3://bucket/watch.json")
        self.honeyhive_conn_id = honeyhive_conn_id

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments: texts and numbers, which Airflow compares at each parsing."""
        names = ("project", "filters", "evaluation_id", "start_time", "lookback", "poll_interval", "state_path")
        return _class_path(self), {name: getattr(self, name) for name in (*names, "honeyhive_conn_id")}

    # ------------------------------------------------------- from Airflow 3.3 on: Airflow says what it has stored

    def shared_stream_key(self) -> Hashable:
        """Return a key of this trigger's own: nothing is shared, but only streams are told what is stored."""
        return json.dumps(self.serialize(), sort_keys=True)

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> Any:
        """Return what looks for new events, and hears when Airflow has stored an announcement."""
        return WatchProducer(cls(**kwargs).watch)

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Any]) -> AsyncIterator[TriggerEvent]:
        """Hand over the store that Airflow has given to this trigger, then fire for each announcement."""
        async for item in shared_stream:
            if isinstance(item, Opening):
                item.give(self._store())
            else:
                yield _event(item)

    # ------------------------------------------------------------------------------------------ before Airflow 3.3

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Fire for each announcement, and take it for stored after a while."""
        watch = self.watch(self._store())
        try:
            async for announcement in watch.announcements():
                yield _event(announcement)
                await asyncio.sleep(HANDED_OVER_S)
                watch.confirm()
        finally:
            watch.close()

    def watch(self, store: StateStore) -> Watch:
        """Return the watcher of these arguments."""
        polling_client = PollingClient(
            self.honeyhive_conn_id,
            most_retries=0,
            project=self.project,
            filters=self.filters,
            evaluation_id=self.evaluation_id,
        )
        return Watch(
            polling_client,
            store,
            filters=json.loads(self.filters),
            begin=to_micros(self.start_time),
            poll_interval=self.poll_interval,
            lookback=self.lookback,
        )

    def _store(self) -> StateStore:
        # What is asked, and of whom, but not how often: the state goes on where only that changes.
        asked = [self.honeyhive_conn_id, self.project, self.filters, self.evaluation_id]
        watcher = hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]
        if self.state_path is not None:
            return FileState(self.state_path, watcher=watcher, argument="state_path")
        accessors = getattr(self, "asset_state_store", None)
        if accessors is None:
            raise InvalidArgumentError("state_path", None, "needed where the trigger is not that of an AssetWatcher")
        return AssetState(accessors, f"honeyhive-watch-{watcher}")


def _canonical(filters: Any) -> str:
    """Return filters as one JSON text, the same for the same filters.

    :raises InvalidArgumentError: they cannot be right, or there are none.
    """
    parsed = parse_filters(as_plain_data(filters))
    if not parsed:
        raise InvalidArgumentError("filters", filters, "at least one is needed, or every event would fire")
    return json.dumps([item.to_wire() for item in parsed])


def _event(payload: dict[str, Any]) -> TriggerEvent:
    return TriggerEvent(payload)  # type: ignore[no-untyped-call]


def _class_path(trigger: BaseTrigger) -> str:
    return f"{type(trigger).__module__}.{type(trigger).__qualname__}"
