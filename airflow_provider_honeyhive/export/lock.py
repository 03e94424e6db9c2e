"""A lock on a place, as a file in it, so that no two exports publish there at the same time."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive.exceptions import DestinationError

if TYPE_CHECKING:
    from airflow_provider_honeyhive.export.destination import Destination


#: Seconds after which the lock of somebody else counts as left by one that died.
LOCK_S = 3600.0


class PublishLock:
    """The lock of one export on its place, as a context manager.

    :param place: where it publishes.
    :param task: that publishes, for the errors of others.

    Entering it raises DestinationError where another export holds the lock.
    """

    def __init__(self, place: Destination, task: str) -> None:
        self._place = place
        self._task = task
        self._name = f"_publishing-{place.layout.manifest_name.lstrip('_')}"

    def __enter__(self) -> PublishLock:
        place = self._place
        mine = {"staging": place.staging, "writer": place.writer, "task": self._task, "since": time.time()}
        data = json.dumps(mine).encode()
        if not place.store.put_new(self._name, data):
            held = self._holder()
            if held.get("staging") != place.staging and time.time() - held.get("since", 0) < LOCK_S:
                raise DestinationError(
                    f"{held.get('task')} is publishing to {place.url()} at the same time; this one leaves it alone"
                )
            # Of an earlier try of this export, or of one that died long ago.
            place.store.put(self._name, data)
        return self

    def __exit__(self, *_: object) -> None:
        if self.is_held:
            self._place.store.delete(self._name)

    @property
    def is_held(self) -> bool:
        """Whether this export still holds the lock: another try of it may take it over, after an hour any export."""
        return self._holder().get("writer") == self._place.writer

    def _holder(self) -> dict[str, Any]:
        try:
            held = json.loads(self._place.store.get(self._name) or b"{}")
        except ValueError:
            return {}
        return held if isinstance(held, dict) else {}
