"""Where the windows of runs that have none of their own begin: at the end of the last one that was published.

Knows nothing of Airflow. Kept is one small JSON object for each task and request: the end of the last published
window, and the windows of the last runs, so that a run which is tried or cleared again gets the same one. Whoever
calls this sees to it that the runs of one task come one after the other.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from airflow_provider_honeyhive.exceptions import DestinationTakenError, InvalidArgumentError
from airflow_provider_honeyhive.models.filters import parse_filters
from airflow_provider_honeyhive.models.window import Window, format_time, parse_time
from airflow_provider_honeyhive.tasks.state import AssetState, FileState

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from airflow_provider_honeyhive._compat import Context
    from airflow_provider_honeyhive.tasks.state import StateStore


log = logging.getLogger(__name__)

_TEMPLATE = re.compile(r"{{.*?}}|{%.*?%}", re.DOTALL)

#: Those that give the same in each run.
_STEADY = re.compile(r"{{\s*(var|conn|dag)\.")


class ExportTask(Protocol):
    """What a watermark needs to know of the task that exports."""

    outlets: list[Any]
    inlets: list[Any]
    honeyhive_conn_id: str
    filters: Any
    evaluation_id: str | None
    output_path: Any
    output_path_template: Any
    output_conn_id: str | None

    def render_template(self, content: Any, context: Context) -> Any:
        """Return a template with the values of the run in it."""


class NoWatermarkError(Exception):
    """A task cannot have a watermark; the text says what hinders it."""


def open_watermark(task: ExportTask, context: Context, project: str | None) -> Watermark:
    """Return the task's watermark.

    :param task: with its templates rendered.
    :param context: of the task.
    :param project: that is exported.
    :raises NoWatermarkError: it cannot have one.
    """
    filters = [one.to_wire() for one in parse_filters(task.filters)]
    asked = [task.honeyhive_conn_id, project, filters, task.evaluation_id]
    key = watermark_key([context["ti"].dag_id, context["ti"].task_id, *asked])
    store = _asset_state(task, context, key) or _file_state(task, context, key)
    hindrances = []
    if context["dag"].max_active_runs != 1:
        hindrances.append("two runs of the DAG must not be at work at once: set its max_active_runs=1")
    if task.output_path is None:
        hindrances.append("only what is exported to files is known to be published: give output_path")
    elif store is None:
        hindrances.append(
            "there is no place to remember it: begin output_path with a folder in which no template stands, or, on "
            "Airflow 3.3, give the task an asset as its outlet"
        )
    if hindrances or store is None:
        raise NoWatermarkError("; ".join(hindrances))
    return Watermark(store, context["ti"].run_id)


def _asset_state(task: ExportTask, context: Context, key: str) -> StateStore | None:
    """Return the state beside the task's first outlet that is an asset, else inlet; None where there is none."""
    accessors: Any = context.get("asset_state_store")
    for asset in (*task.outlets, *task.inlets) if accessors is not None else ():
        try:
            return AssetState(accessors[asset], f"honeyhive-watermark-{key}")
        except (KeyError, TypeError):
            # Aliases have no state.
            continue
    return None


def _file_state(task: ExportTask, context: Context, key: str) -> StateStore | None:
    """Return the state in the folder that all runs share; None where there is none."""
    folder = steady_folder(str(task.output_path_template))
    if folder is None:
        return None
    # A rendered folder may end in a slash.
    folder = task.render_template(folder, context).rstrip("/")
    return FileState(f"{folder}/_watermark-{key}.json", task.output_conn_id)


def steady_folder(template: str) -> str | None:
    """Return the folder of a path that is the same in each run, None where it has none.

    :param template: the path before it is rendered. Only ``var``, ``conn`` and ``dag`` give the same in each run.
    """
    changing = (found.start() for found in _TEMPLATE.finditer(template) if not _STEADY.match(found[0]))
    folder = template[: next(changing, len(template))].rpartition("/")[0]
    return folder if folder.partition("://")[2] or ("://" not in template and folder) else None


#: Runs whose windows are remembered; all of them fit into the 64 KiB that Airflow's asset state store takes.
MOST_RUNS = 100


class RememberedWindow(BaseModel):
    """The window that a run was given.

    :param published: its events have been published.
    """

    model_config = ConfigDict(frozen=True)

    start_time: str
    end_time: str
    published: bool

    @classmethod
    def of(cls, window: Window, *, published: bool) -> RememberedWindow:
        """Return what is kept of a run's window."""
        return cls(start_time=format_time(window.start), end_time=format_time(window.end), published=published)


class WatermarkState(BaseModel):
    """What is kept of a task's exports of one request.

    :param end_time: the watermark: everything before it is published; None where nothing is.
    :param runs: windows of the last runs, by run id.
    """

    model_config = ConfigDict(frozen=True)

    end_time: str | None = None
    runs: dict[str, RememberedWindow] = {}

    @property
    def end(self) -> datetime | None:
        """The watermark."""
        return None if self.end_time is None else parse_time(self.end_time)

    def with_run(self, run_id: str, window: RememberedWindow) -> WatermarkState:
        """Return this with a run's window; of too many the earliest go."""
        runs = {**self.runs, run_id: window}
        last = sorted(runs, key=lambda one: runs[one].end_time)[-MOST_RUNS:]
        return self.model_copy(update={"runs": {one: runs[one] for one in last}})


class Watermark:
    """The watermark of a task, as one of its runs uses it.

    :param store: where it is kept.
    :param run_id: of the run.
    """

    def __init__(self, store: StateStore, run_id: str) -> None:
        self._store = store
        self._run_id = run_id

    def take(self, until: datetime) -> Window | None:
        """Return the run's window, from the watermark on, and keep it for the run's further tries.

        :param until: end of the window, the same at each try.
        :returns: None where nothing was published yet.
        :raises InvalidArgumentError: a later run has already exported that time.
        """
        state = self._load()
        mark, run = state.end, state.runs.get(self._run_id)
        if run is not None:
            window = Window.parse(run.start_time, run.end_time)
            if run.published or mark is None or mark <= window.start:
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
        self._save(state.with_run(self._run_id, RememberedWindow.of(window, published=False)))
        return window

    def advance(self, window: Window) -> None:
        """Take note that the run's window is published.

        The watermark is set by the first window, and moved by one that begins at it or before and ends behind it.

        :param window: what the run has published.
        """
        state = self._load()
        mark = state.end
        if mark is None or window.start <= mark < window.end:
            state = state.model_copy(update={"end_time": format_time(window.end)})
            log.info("The next run without a window of its own begins at %s", state.end_time)
        elif window.start > mark:
            log.warning("The watermark stays at %s, since this run's window %s begins later", state.end_time, window)
        self._save(state.with_run(self._run_id, RememberedWindow.of(window, published=True)))

    def _load(self) -> WatermarkState:
        data = self._store.load()
        try:
            return WatermarkState() if data is None else WatermarkState.model_validate(data)
        except ValidationError:
            raise DestinationTakenError(
                f"{self._store} holds no watermark of this provider; remove it to begin again"
            ) from None

    def _save(self, state: WatermarkState) -> None:
        self._store.save(state.model_dump())


def watermark_key(facts: Sequence[Any]) -> str:
    """Return a short digest of the task and of all that decides which events it exports.

    :param facts: anything that JSON can say.
    """
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
