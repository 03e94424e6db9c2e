"""The names of mapped tasks in Airflow's web interface: what each one is about, instead of 0, 1, 2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive.display import shown
from airflow_provider_honeyhive.models.window import format_time

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_honeyhive.models.window import Window

#: The key of the context that the template names.
NAME_KEY = "honeyhive_map_name"

#: Characters of a project in a name; Airflow 2.11 keeps 250 of the whole.
LONGEST_PROJECT = 150


def name_mapped_task(context: Any, project: str | None, window: Window | None) -> None:
    """Name a mapped task by its project and window, unless the DAG's author gave it a ``map_index_template``.

    Airflow shows the name when the task has ended. It takes it from the context, which is the only way for an operator:
    of a mapped one, Airflow reads ``map_index_template`` before it makes the operator.

    :param context: of the task.
    :param project: that it is about; None: all that the key can read.
    :param window: that it is about; None: all of time.
    """
    index = getattr(context.get("ti"), "map_index", None)
    if index is None or index < 0 or context.get("map_index_template") is not None:
        return
    words = [] if project is None else [shown(project, LONGEST_PROJECT)]
    words += [] if window is None else [f"{_short(window.start)} to {_short(window.end)}"]
    # By its key: in a template of its own, a project's name could be one, too.
    context[NAME_KEY], context["map_index_template"] = ", ".join(words), f"{{{{ {NAME_KEY} }}}}"


def _short(time: datetime) -> str:
    return format_time(time).replace(".000Z", "Z")
