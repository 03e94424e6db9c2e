"""Which window an export task takes: that of its run, or the one that continues where an earlier run has ended.

Of Airflow it knows the shape of a task and of its context, and how an asset keeps a state.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive._compat import ObjectStoragePath
from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.run_windows import given_window, no_window, own_window, triggered_at
from airflow_provider_honeyhive.windows import MILLISECOND_US, from_micros, to_micros

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_honeyhive._compat import Context
    from airflow_provider_honeyhive.operators.honeyhive import HoneyHiveExportEventsOperator
    from airflow_provider_honeyhive.watermarks import Watermark
    from airflow_provider_honeyhive.windows import Window

_TEMPLATE = re.compile(r"{{.*?}}|{%.*?%}", re.DOTALL)
#: Those that give the same in each run.
_STEADY = re.compile(r"{{\s*(var|conn|dag)\.")


def take_window(
    task: HoneyHiveExportEventsOperator, context: Context, project: str | None
) -> tuple[Window, Watermark | None]:
    """Return the window of a task that has no times, and the watermark to advance when it is published, if any.

    :param task: with its templates rendered.
    :param context: of the task.
    :param project: that is exported.
    :raises InvalidArgumentError: there is no window; the message names the remedies.
    """
    given = given_window(context)
    if given is not None:
        return given, _watermark_unless_scheduled(task, context, project)
    own = own_window(context)
    if own is not None:
        return own, None
    watermark = _open_watermark(task, context, project)
    until = triggered_at(context)
    window = None if until is None else watermark.take(_whole_milliseconds(until))
    if window is None:
        raise no_window(
            "It would continue where an earlier run has ended, but none has exported anything yet: give the first run "
            "its times"
        )
    return window, watermark


def _whole_milliseconds(moment: datetime) -> datetime:
    # Towards the past, as far as the API can tell times apart; the next window begins there.
    micros = to_micros(moment) or 0
    return from_micros(micros - micros % MILLISECOND_US)


def _watermark_unless_scheduled(
    task: HoneyHiveExportEventsOperator, context: Context, project: str | None
) -> Watermark | None:
    """Return the watermark that a run with given times starts or moves; none where runs have windows of their own."""
    try:
        return None if own_window(context) else _open_watermark(task, context, project)
    except InvalidArgumentError:
        return None


def _open_watermark(task: HoneyHiveExportEventsOperator, context: Context, project: str | None) -> Watermark:
    """Return the task's watermark.

    :raises InvalidArgumentError: it cannot have one.
    """
    from airflow_provider_honeyhive.models import parse_filters  # noqa: PLC0415
    from airflow_provider_honeyhive.watermarks import Watermark, watermark_key  # noqa: PLC0415

    filters = [one.to_wire() for one in parse_filters(task.filters)]
    asked = [task.honeyhive_conn_id, project, filters, task.evaluation_id]
    key = watermark_key([context["ti"].dag_id, context["ti"].task_id, *asked])
    place = _AssetPlace.of(task, context, key) or _file_place(task, context, key)
    hindrances = []
    if context["dag"].max_active_runs != 1:
        hindrances.append("two runs of the DAG must not be at work at once: set its max_active_runs=1")
    if task.output_path is None:
        hindrances.append("only what is exported to files is known to be published: give output_path")
    elif place is None:
        hindrances.append(
            "there is no place to remember it: begin output_path with a folder in which no template stands, or, on "
            "Airflow 3.3, give the task an asset as its outlet"
        )
    if hindrances or place is None:
        raise no_window(f"It cannot continue where an earlier run has ended: {'; '.join(hindrances)}")
    return Watermark(place, context["ti"].run_id)


class _AssetPlace:
    """Airflow's own store beside one of the task's assets (Airflow 3.3 and later).

    :param store: of the asset.
    :param key: tells tasks and requests apart.
    """

    def __init__(self, store: Any, key: str) -> None:
        self._store = store
        self._key = f"honeyhive-watermark-{key}"

    def __str__(self) -> str:
        return f"{self._key} of {self._store!r}"

    @classmethod
    def of(cls, task: HoneyHiveExportEventsOperator, context: Context, key: str) -> _AssetPlace | None:
        """Return the place beside the task's first outlet that is an asset, else inlet; None where there is none."""
        stores: Any = context.get("asset_state_store")
        for asset in (*task.outlets, *task.inlets) if stores is not None else ():
            try:
                return cls(stores[asset], key)
            except (KeyError, TypeError):
                # Aliases have no state.
                continue
        return None

    def load(self) -> Any:
        """Return the object, None where there is none."""
        return self._store.get(self._key)

    def save(self, data: dict[str, Any]) -> None:
        """Replace the object."""
        self._store.set(self._key, data)


def _file_place(task: HoneyHiveExportEventsOperator, context: Context, key: str) -> Any:
    from airflow_provider_honeyhive.stores import open_store  # noqa: PLC0415
    from airflow_provider_honeyhive.watermarks import FilePlace  # noqa: PLC0415

    folder = steady_folder(str(task.output_path_template))
    if folder is None:
        return None
    path = ObjectStoragePath(task.render_template(folder, context), conn_id=task.output_conn_id)
    return FilePlace(open_store(path), key)


def steady_folder(template: str) -> str | None:
    """Return the folder of a path that is the same in each run, None where it has none.

    :param template: the path before it is rendered. Only ``var``, ``conn`` and ``dag`` give the same in each run.
    """
    changing = (found.start() for found in _TEMPLATE.finditer(template) if not _STEADY.match(found[0]))
    folder = template[: next(changing, len(template))].rpartition("/")[0]
    return folder if folder.partition("://")[2] or ("://" not in template and folder) else None
