"""Where the windows of runs that have none of their own begin: at the end of the last one that was published.

Knows nothing of Airflow. Kept is one small JSON object for each task and request: the end of the last published
window, and the windows of the last runs, so that a run which is tried or cleared again gets the same one. Whoever
calls this sees to it that the runs of one task come one after the other.
"""

from __future__ import annotations

import hashlib
import json
import logging
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from airflow_provider_honeyhive.exceptions import DestinationTakenError, InvalidArgumentError
from airflow_provider_honeyhive.windows import Window, format_time, parse_time

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from airflow_provider_honeyhive.stores import Store

log = logging.getLogger(__name__)

#: Runs whose windows are remembered; all of them fit into the 64 KiB that Airflow's asset state store takes.
MOST_RUNS = 100


class Place(Protocol):
    """Keeps one JSON object, whole or not at all."""

    def load(self) -> Any:
        """Return the object, None where there is none."""

    def save(self, data: dict[str, Any]) -> None:
        """Replace the object."""


class FilePlace:
    """A file in a folder of any store.

    :param store: the folder.
    :param key: tells tasks and requests apart.
    """

    def __init__(self, store: Store, key: str) -> None:
        self._store = store
        self._name = f"_watermark-{key}.json"

    def __str__(self) -> str:
        return self._store.url(self._name)

    def load(self) -> Any:
        """Return the file's object; bytes that are no JSON are returned as they are."""
        raw = self._store.get(self._name)
        try:
            return None if raw is None else json.loads(raw)
        except ValueError:
            return raw

    def save(self, data: dict[str, Any]) -> None:
        """Replace the file."""
        self._store.put(self._name, json.dumps(data, indent=2).encode())


class Given(BaseModel):
    """The window that a run was given.

    :param published: its events have been published.
    """

    model_config = ConfigDict(frozen=True)

    start_time: str
    end_time: str
    published: bool

    @classmethod
    def of(cls, window: Window, *, published: bool) -> Given:
        """Return what is kept of a run's window."""
        return cls(start_time=format_time(window.start), end_time=format_time(window.end), published=published)


class Kept(BaseModel):
    """What is kept of a task's exports of one request.

    :param end_time: the watermark: everything before it is published; None where nothing is.
    :param runs: windows of the last runs, by run id.
    """

    model_config = ConfigDict(frozen=True)

    end_time: str | None = None
    runs: dict[str, Given] = {}

    @property
    def end(self) -> datetime | None:
        """The watermark."""
        return None if self.end_time is None else parse_time(self.end_time)

    def with_run(self, run_id: str, given: Given) -> Kept:
        """Return this with a run's window; of too many the earliest go."""
        runs = {**self.runs, run_id: given}
        last = sorted(runs, key=lambda one: runs[one].end_time)[-MOST_RUNS:]
        return self.model_copy(update={"runs": {one: runs[one] for one in last}})


class Watermark:
    """The watermark of a task, as one of its runs uses it.

    :param place: where it is kept.
    :param run_id: of the run.
    """

    def __init__(self, place: Place, run_id: str) -> None:
        self._place = place
        self._run_id = run_id

    def take(self, until: datetime) -> Window | None:
        """Return the run's window, from the watermark on, and keep it for the run's further tries.

        :param until: end of the window, the same at each try.
        :returns: None where nothing was published yet.
        :raises InvalidArgumentError: a later run has already exported that time.
        """
        kept = self._load()
        mark, given = kept.end, kept.runs.get(self._run_id)
        if given is not None:
            window = Window.parse(given.start_time, given.end_time)
            if given.published or mark is None or mark <= window.start:
                return window
        if mark is None:
            return None
        if until <= mark:
            raise InvalidArgumentError(
                "start_time",
                None,
                f"nothing is left for this run, which was triggered at {format_time(until)}: other runs have exported "
                f"everything up to {format_time(mark)}. Mark it as a success, or, to export some time again, trigger "
                'a run with the dag_run.conf {"start_time": ..., "end_time": ...}',
            )
        window = Window(mark, until)
        self._save(kept.with_run(self._run_id, Given.of(window, published=False)))
        return window

    def advance(self, window: Window) -> None:
        """Take note that the run's window is published.

        The watermark is set by the first window, and moved by one that begins at it or before and ends behind it.

        :param window: what the run has published.
        """
        kept = self._load()
        mark = kept.end
        if mark is None or window.start <= mark < window.end:
            kept = kept.model_copy(update={"end_time": format_time(window.end)})
            log.info("The next run without a window of its own begins at %s", kept.end_time)
        elif window.start > mark:
            log.warning("The watermark stays at %s, since this run's window %s begins later", kept.end_time, window)
        self._save(kept.with_run(self._run_id, Given.of(window, published=True)))

    def _load(self) -> Kept:
        data = self._place.load()
        try:
            return Kept() if data is None else Kept.model_validate(data)
        except ValidationError:
            raise DestinationTakenError(
                f"{self._place} holds no watermark of this provider; remove it to begin again"
            ) from None

    def _save(self, kept: Kept) -> None:
        self._place.save(kept.model_dump())


def watermark_key(facts: Sequence[Any]) -> str:
    """Return a short digest of the task and of all that decides which events it exports.

    :param facts: anything that JSON can say.
    """
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
