"""Watches for new events: looks every so often, and announces what is new once its state is safe.

The order makes that nothing is lost, whenever the triggerer dies: the announcement is saved, then given to
Airflow, and taken out of the state when Airflow has it. After a death in between the very same announcement
is made again; its ``batch`` tells.
"""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive.api.retries import pause_asked_by
from airflow_provider_honeyhive.display import described, get_logger, place_of
from airflow_provider_honeyhive.exceptions import HoneyHiveError
from airflow_provider_honeyhive.models.window import FIRST_US, SECOND_US, format_time, from_micros
from airflow_provider_honeyhive.tasks.polling import in_thread
from airflow_provider_honeyhive.triggers.watch_state import WatchState, is_shortened, look, without_pending

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Sequence

    from airflow_provider_honeyhive.tasks.polling import PollingClient
    from airflow_provider_honeyhive.tasks.state import StateStore


log = get_logger(__name__)


class Opening:
    """The first item of the stream: Airflow gives the asset's store to the trigger, and the producer needs it."""

    def __init__(self) -> None:
        self._store: asyncio.Future[StateStore] = asyncio.get_running_loop().create_future()

    def give(self, store: StateStore) -> None:
        """Answer with the store."""
        if not self._store.done():
            self._store.set_result(store)

    async def store(self) -> StateStore:
        """Wait for the answer."""
        return await self._store


class WatchProducer:
    """Feeds announcements into a stream; what :class:`airflow.triggers.shared_stream.SharedStreamProducer` is.

    :param watch: makes the watcher of a store.
    """

    def __init__(self, watch: Callable[[StateStore], Watch]) -> None:
        self._make_watch = watch
        self._watch: Watch | None = None

    async def open_stream(self) -> AsyncIterator[tuple[Any, Watch | None]]:
        """Yield the opening, then announcements, each with the watcher that waits for its confirmation."""
        opening = Opening()
        yield opening, None
        self._watch = watch = self._make_watch(await opening.store())
        async for announcement in watch.announcements():
            yield announcement, watch

    async def advance(self, batch: Sequence[Any]) -> None:
        """Confirm what Airflow has stored.

        What it could not store is announced again: Airflow starts the trigger anew then.
        """
        for watch, outcome in batch:
            if watch is not None and outcome.is_clean:
                watch.confirm()

    def get_advance_lane(self, broker_payload: Any) -> Hashable:
        """Return the one lane there is."""
        return None

    async def aclose(self) -> None:
        """Let what is being asked end soon."""
        if self._watch is not None:
            self._watch.close()


def now_us() -> int:
    """Return microseconds since 1970."""
    return time.time_ns() // 1_000


class Watch:
    """One watcher at work.

    :param polling_client: what to ask.
    :param store: keeps the state.
    :param filters: of the announcements.
    :param begin: microseconds since 1970 from which on events count, for a watcher without a state; None: now. Older
        ones count where they come to match later.
    :param poll_interval: seconds between two looks.
    :param lookback: seconds in which late events are looked for.
    :param clock: microseconds since 1970.
    :param sleep: waits for seconds.
    """

    def __init__(
        self,
        polling_client: PollingClient,
        store: StateStore,
        *,
        filters: list[dict[str, Any]],
        begin: int | None,
        poll_interval: float,
        lookback: float,
        clock: Callable[[], int] = now_us,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._polling_client = polling_client
        self._store = store
        self._filters = filters
        self._begin = begin
        self._poll_interval = poll_interval
        self._lookback = int(lookback * SECOND_US)
        self._clock = clock
        self._sleep = sleep
        self._state: WatchState | None = None
        self._saved_since = 0
        self._taken = asyncio.Event()

    async def announcements(self) -> AsyncIterator[dict[str, Any]]:
        """Yield what is new, each time after the last announcement was confirmed. Never ends, never raises."""
        while True:
            pause = await self._safely(self._look)
            if self._state is not None and self._state.pending is not None:
                yield self._state.pending
                await self._taken.wait()
                self._taken.clear()
                self._state = without_pending(self._state)
                save = partial(self._save, self._state)
                while await self._safely(save):
                    await self._sleep(self._poll_interval)
            await self._sleep(max(self._poll_interval, pause))

    def confirm(self) -> None:
        """Take note that Airflow has stored the last announcement."""
        self._taken.set()

    def close(self) -> None:
        """Let what is being asked end soon."""
        self._polling_client.close()

    async def _safely(self, step: Callable[[], Awaitable[None]]) -> float:
        """Do one step; where it fails, log why and return how many seconds to wait at least, else 0."""
        try:
            await step()
        except HoneyHiveError as error:
            level = logging.WARNING if error.retryable else logging.ERROR
            log.log(level, "Watching goes on after %s", described(error))
            return max(self._poll_interval, pause_asked_by(error))
        except Exception as error:  # noqa: BLE001
            # Raising would end the watcher, and Airflow would start it again at once, over and over.
            log.error("Watching goes on after %s (raised at %s)", described(error), place_of(error))
            return self._poll_interval
        return 0.0

    async def _look(self) -> None:
        if self._state is None:
            self._state = await self._begun()
        before = self._state
        if before.pending is not None:
            return
        now = self._clock()
        limits = {"now": now, "lookback": self._lookback}
        state = await in_thread(
            lambda: self._polling_client.ask(
                lambda client, request: look(client, request, before, most_bytes=self._store.most_bytes, **limits)
            )
        )
        if is_shortened(state, before=before, **limits):
            log.warning(
                "More matching events within the lookback than can be remembered (%d): looking for late events only "
                "from %s on. Let the filters match fewer events, or shorten lookback",
                len(state.seen),
                format_time(from_micros(state.since)),
            )
        marked = before.begin is not None and state.begin is None
        if marked or state.pending is not None or state.since - self._saved_since >= self._lookback:
            await self._save(state)
            self._saved_since = state.since
        # Not before it is saved: an announcement that is not safe is not made.
        self._state = state

    async def _begun(self) -> WatchState:
        """Return the saved state, or begin: the beginning is saved, too, so that a restart does not move it."""
        data = await in_thread(self._store.load)
        if data is not None:
            latest = max(self._clock(), self._begin or 0)
            state = WatchState.from_json(data, self._filters, where=str(self._store), latest=latest)
        else:
            begin = self._clock() if self._begin is None else self._begin
            # What matches later than it happened, such as a trace that people rate, may be that much older.
            state = WatchState(max(begin - self._lookback, FIRST_US), begin=begin)
            await self._save(state)
        self._saved_since = state.since
        new_since = format_time(from_micros(state.since if state.begin is None else state.begin))
        log.info("Watching for events from %s on; %d are known", new_since, len(state.seen))
        return state

    async def _save(self, state: WatchState) -> None:
        await in_thread(lambda: self._store.save(state.to_json()))
