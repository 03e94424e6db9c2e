"""Where the windows of runs that have none of their own begin: at the end of the last one that was published.

Knows nothing of Airflow. Kept is one small JSON object for each task and request: the end of the last published
window, and the windows of the last runs, so that a run which is tried or cleared again gets the same one. Whether a
window was published is decided by the manifest where it was to go: a run that died before it could note it here has
published all the same. Whoever calls this sees to it that the runs of one task come one after the other.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pydantic import model_validator

from airflow_provider_honeyhive.display import get_logger
from airflow_provider_honeyhive.exceptions import (
    DestinationError,
    DestinationTakenError,
    Fact,
    HoneyHiveError,
    InvalidArgumentError,
)
from airflow_provider_honeyhive.models.filters import parse_filters
from airflow_provider_honeyhive.models.layout import choose_layout
from airflow_provider_honeyhive.models.stored import StoredFile, StoredModel, TimeText
from airflow_provider_honeyhive.models.window import Window, format_time, parse_time
from airflow_provider_honeyhive.storage.base import failing
from airflow_provider_honeyhive.storage.paths import open_store
from airflow_provider_honeyhive.tasks.arguments import storage_path
from airflow_provider_honeyhive.tasks.output_path import TaskWithPath, fill_output_path, steady_folder
from airflow_provider_honeyhive.tasks.state import AssetState, FileState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from airflow_provider_honeyhive._compat import Context
    from airflow_provider_honeyhive.tasks.state import StateStore


log = get_logger(__name__)


class ExportTask(TaskWithPath, Protocol):
    """What a watermark needs to know of the task that exports."""

    outlets: list[Any]
    inlets: list[Any]
    honeyhive_conn_id: str
    filters: Any
    evaluation_id: str | None
    output_conn_id: str | None


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
    key = watermark_key([context["ti"].dag_id, context["ti"].task_id, *asked, *_output_of_many(task, context)])
    store = _asset_state(task, context, key) or _file_state(task, context, project, key)
    hindrances = []
    if context["dag"].max_active_runs != 1:
        hindrances.append("two runs of the DAG must not be at work at once: set its max_active_runs=1")
    if task.output_path is None:
        hindrances.append("only what is exported to files is known to be published: give output_path")
    elif store is None:
        hindrances.append(
            "there is no place to remember it: begin output_path with a folder in which no template and no placeholder "
            "stands, or, on Airflow 3.3, give the task an asset as its outlet"
        )
    if hindrances or store is None:
        raise NoWatermarkError("; ".join(hindrances))

    def place(window: Window) -> str:
        return str(fill_output_path(task, project, window))

    return Watermark(store, context["ti"].run_id, place, task.output_conn_id)


def _output_of_many(task: ExportTask, context: Context) -> list[str]:
    """Return what tells the output of a mapped task from those of the same task and request; nothing of all others."""
    template, map_index = task.output_path_template, getattr(context["ti"], "map_index", -1)
    if map_index is None or map_index < 0:
        return []
    shared = getattr(getattr(context["dag"], "task_dict", {}).get(context["ti"].task_id), "partial_kwargs", {})
    if hasattr(template, "iter_references"):  # the argument of a mapped group of tasks
        return [str(task.output_path)]
    if "map_index" in str(template):
        return [str(template), str(map_index)]
    return [] if "output_path" in shared else [str(template)]


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


def _file_state(task: ExportTask, context: Context, project: str | None, key: str) -> StateStore | None:
    """Return the state in the folder that all runs share; None where there is none."""
    folder = None if task.output_path is None else steady_folder(task, project, context)
    return None if folder is None else FileState(f"{folder}/_watermark-{key}.json", task.output_conn_id)


#: Runs whose windows are remembered; all of them fit into the 64 KiB that Airflow's asset state store takes.
MOST_RUNS = 100


class RememberedWindow(StoredModel):
    """The window that a run was given.

    :param published: its events are known to have been published.
    :param output_path: where they are to be published, as long as that is not known.
    :param output_conn_id: Airflow connection of that store.
    """

    start_time: TimeText
    end_time: TimeText
    published: bool
    output_path: str | None = None
    output_conn_id: str | None = None

    @model_validator(mode="after")
    def _is_window(self) -> RememberedWindow:
        Window.parse(self.start_time, self.end_time)
        return self

    @property
    def window(self) -> Window:
        """The window."""
        return Window.parse(self.start_time, self.end_time)

    def has_manifest(self) -> bool:
        """Return whether there is a manifest of exactly this window where it was to be published.

        What a try that died has begun there is finished first.

        :raises DestinationError: the place cannot be read.
        """
        # Here, because the sensor needs none of it.
        from airflow_provider_honeyhive.export.recovery import recover  # noqa: PLC0415

        if self.output_path is None:
            return False
        with failing("open", self.output_path):
            folder, layout = choose_layout(storage_path(self.output_path, self.output_conn_id))
        manifest = recover(open_store(folder), layout).manifest
        return manifest is not None and (manifest.start_time, manifest.end_time) == (self.start_time, self.end_time)


class WatermarkState(StoredFile):
    """What is kept of a task's exports of one request.

    :param end_time: the watermark: everything before it is published; None where nothing is.
    :param runs: windows of the last runs, by run id.
    """

    KIND: ClassVar[str] = "watermark"

    end_time: TimeText | None = None
    runs: dict[str, RememberedWindow] = {}

    @property
    def end(self) -> datetime | None:
        """The watermark."""
        return None if self.end_time is None else parse_time(self.end_time)

    def with_run(self, run_id: str, window: Window, output_path: str, output_conn_id: str | None) -> WatermarkState:
        """Return this with the window that a run is about to publish there."""
        start, end = map(format_time, (window.start, window.end))
        known = self.runs.get(run_id)
        if known is not None and known.published and (known.start_time, known.end_time) == (start, end):
            return self
        return self._with(
            run_id,
            RememberedWindow(
                start_time=start,
                end_time=end,
                published=False,
                output_path=output_path,
                output_conn_id=output_conn_id,
            ),
        )

    def with_published(self, run_id: str, window: Window) -> WatermarkState:
        """Return this once a run's window is published.

        The watermark is set by the first window, and moved by one that begins at it or before and ends behind it.
        """
        start, end = map(format_time, (window.start, window.end))
        state = self._with(run_id, RememberedWindow(start_time=start, end_time=end, published=True))
        return state.model_copy(update={"end_time": end}) if self.is_moved_by(window) else state

    def is_moved_by(self, window: Window) -> bool:
        """Return whether a window that is published sets or moves the watermark."""
        return self.end is None or window.start <= self.end < window.end

    def within(self, most_bytes: int) -> WatermarkState:
        """Return this with as many runs as its store takes; of too many the earliest go."""
        last = sorted(self.runs, key=lambda run_id: self.runs[run_id].window.end)[-MOST_RUNS:]
        while True:
            state = self.model_copy(update={"runs": {run_id: self.runs[run_id] for run_id in last}})
            if len(last) <= 1 or len(json.dumps(state.to_plain())) <= most_bytes:
                return state
            del last[0]

    def to_plain(self) -> dict[str, Any]:
        """Return this as plain data."""
        return {**self.model_dump(exclude_none=True), self.VERSION_KEY: self.VERSION}

    def _with(self, run_id: str, window: RememberedWindow) -> WatermarkState:
        return self.model_copy(update={"runs": {**self.runs, run_id: window}})


class Watermark:
    """The watermark of a task, as one of its runs uses it.

    :param store: where it is kept.
    :param run_id: of the run.
    :param place: gives where the run publishes a window.
    :param output_conn_id: Airflow connection of that store; None: the store's own.
    """

    def __init__(
        self, store: StateStore, run_id: str, place: Callable[[Window], str], output_conn_id: str | None = None
    ) -> None:
        self._store = store
        self._run_id = run_id
        self._place = place
        self._output_conn_id = output_conn_id

    def take(self, until: datetime) -> Window | None:
        """Return the run's window, from the watermark on, and keep it for the run's further tries.

        First the watermark is moved over the windows of runs that have published, but died before they could say so.

        :param until: end of the window, the same at each try.
        :returns: None where nothing was published yet.
        :raises InvalidArgumentError: a later run has already exported that time.
        :raises DestinationError: whether an earlier run has published cannot be told, since its place cannot be read.
        """
        state = self._change(lambda state: self._taken(_settled(state, self._has_manifest), until))
        run = state.runs.get(self._run_id)
        return None if run is None else run.window

    def _taken(self, state: WatermarkState, until: datetime) -> WatermarkState:
        mark, run = state.end, state.runs.get(self._run_id)
        if run is not None and (run.published or mark is None or mark <= run.window.start):
            return self._with_run(state, run.window)
        if mark is None:
            return state
        if until <= mark:
            raise InvalidArgumentError(
                "start_time",
                None,
                "nothing is left for this run: mark it as a success, or give a run its times",
                Fact(f"It was triggered at {format_time(until)}: others exported everything up to {format_time(mark)}"),
                Fact(
                    'To export some time again, trigger a run with the dag_run.conf {"start_time":..., "end_time":...}'
                ),
            )
        return self._with_run(state, Window(mark, until))

    def _with_run(self, state: WatermarkState, window: Window) -> WatermarkState:
        return state.with_run(self._run_id, window, self._place(window), self._output_conn_id)

    def keep(self, window: Window) -> None:
        """Keep a window that the run was given otherwise, before it is published.

        :param window: that the run is about to publish.
        """
        self._change(lambda state: self._with_run(state, window))

    def advance(self, window: Window) -> None:
        """Take note that the run's window is published; see :meth:`WatermarkState.with_published`.

        :param window: what the run has published.
        """
        state = self._change(lambda state: state.with_published(self._run_id, window))
        if state.end is not None and window.start > state.end:
            log.warning("The watermark stays at %s, since this run's window %s begins later", state.end_time, window)
        else:
            log.info("The next run without a window of its own begins at %s", state.end_time)

    def _change(self, step: Callable[[WatermarkState], WatermarkState]) -> WatermarkState:
        """Replace the state by what a step makes of it, and return that."""
        changed = WatermarkState()

        def make(data: Any) -> dict[str, Any] | None:
            nonlocal changed
            state = self._read(data)
            changed = step(state).within(self._store.most_bytes)
            return None if changed == state else changed.to_plain()

        self._store.change(make)
        return changed

    def _read(self, data: Any) -> WatermarkState:
        try:
            state = WatermarkState() if data is None else WatermarkState.check(data, str(self._store))
        except DestinationTakenError:
            raise
        except DestinationError as error:
            raise DestinationTakenError(
                "remove the watermark to begin again: it cannot be read", *error.lines
            ) from None
        return state

    def _has_manifest(self, run: RememberedWindow) -> bool:
        """Return whether the run has published, from its own place alone.

        :raises DestinationTakenError: it must not be looked at.
        :raises DestinationError: it cannot be read.
        """
        if run.output_path is not None and not self._store.may_name(run.output_path):
            raise DestinationTakenError(f"remove {self._store}: it names a place outside of its own folder")
        return run.has_manifest()


def _settled(state: WatermarkState, has_manifest: Callable[[RememberedWindow], bool]) -> WatermarkState:
    """Return the state with the watermark moved over all windows that have been published.

    :param has_manifest: looks at the place of a run.
    :raises DestinationError: where one of them was to be published cannot be read.
    """
    for run_id, run in sorted(state.runs.items(), key=lambda item: item[1].window.end):
        if not state.is_moved_by(run.window):
            continue
        try:
            published = run.published or has_manifest(run)
        except HoneyHiveError as error:
            raise (DestinationError if error.retryable else DestinationTakenError)(
                "make the output_path of an earlier run readable, or give this run its start_time and end_time",
                f"Cannot tell whether the run {run_id} has published its window, in {run.output_path}",
                "Or trigger a run with the dag_run.conf "
                f'{{"start_time": "{state.end_time or run.start_time}", "end_time": ...}}',
                *error.lines,
            ) from None
        if published:
            log.info("The run %s has published its window %s: the watermark moves on", run_id, run.window)
            state = state.with_published(run_id, run.window)
    return state


def watermark_key(facts: Sequence[Any]) -> str:
    """Return a short digest of the task and of all that decides which events it exports.

    :param facts: anything that JSON can say.
    """
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
