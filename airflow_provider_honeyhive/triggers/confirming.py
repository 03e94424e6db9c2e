"""How Airflow 3.3 tells a watcher that an announcement is stored: as the producer of a stream of its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Hashable, Sequence

    from airflow_provider_honeyhive.triggers.watch import Watch
    from airflow_provider_honeyhive.triggers.watch_stores import WatchStore


class Opening:
    """The first item of the stream: Airflow gives the asset's store to the trigger, and the producer needs it."""

    def __init__(self) -> None:
        self._store: asyncio.Future[WatchStore] = asyncio.get_running_loop().create_future()

    def give(self, store: WatchStore) -> None:
        """Answer with the store."""
        if not self._store.done():
            self._store.set_result(store)

    async def store(self) -> WatchStore:
        """Wait for the answer."""
        return await self._store


class WatchProducer:
    """Feeds announcements into a stream; what :class:`airflow.triggers.shared_stream.SharedStreamProducer` is.

    :param watch: makes the watcher of a store.
    """

    def __init__(self, watch: Callable[[WatchStore], Watch]) -> None:
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
