"""The ``output_path`` of a task: placeholders filled with what it exports, and the folder that all its runs share."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from airflow_provider_honeyhive.display import get_logger
from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.models.layout import is_shards_folder
from airflow_provider_honeyhive.models.output_path import WINDOW_PLACEHOLDERS, OutputPath
from airflow_provider_honeyhive.models.window import format_time
from airflow_provider_honeyhive.tasks.arguments import check_absolute, is_literal, storage_path

if TYPE_CHECKING:
    from airflow_provider_honeyhive._compat import Context
    from airflow_provider_honeyhive.models.window import Window


log = get_logger(__name__)

_JINJA = re.compile(r"{{.*?}}|{%.*?%}", re.DOTALL)

#: What may give another text in another run, the Jinja of :data:`_STEADY` aside.
_CHANGING = re.compile(rf"{_JINJA.pattern}|{{(?:{'|'.join(WINDOW_PLACEHOLDERS)})\b", re.DOTALL)

#: Jinja that gives the same in each run.
_STEADY = re.compile(r"{{\s*(var|conn|dag)\.")

_SCHEME_ONLY = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/*")


class TaskWithPath(Protocol):
    """What has to be known of a task that writes files.

    :param output_path: with Jinja rendered.
    :param output_path_template: as it is in the DAG.
    """

    output_path: Any
    output_path_template: Any

    def render_template(self, content: Any, context: Context) -> Any:
        """Return a template with the values of the run in it."""


def example_path(output_path: Any) -> Any:
    """Return a path that is known when the DAG is parsed, its placeholders filled with an example, to check it.

    :param output_path: without Jinja.
    :raises InvalidArgumentError: it is relative, a placeholder is none, or windows of other years have the same path.
    """
    check_absolute(output_path)
    if _is_filled(str(output_path)):
        return output_path
    path = OutputPath.parse(str(output_path))
    path.check()
    return path.example()


def differs_by_window(output_path: Any) -> bool:
    """Return whether the path of a task can be another one for another window.

    :param output_path: as it is in the DAG.
    """
    if output_path is None:
        return False
    return not is_literal(str(output_path)) or OutputPath.parse(str(output_path)).names_windows


def fill_output_path(
    task: TaskWithPath, project: str | None, window: Window | None, *, may_be_longer: bool = False
) -> Any:
    """Return where a task writes to: its path with the placeholders filled, path-like where it was.

    :param task: with its templates rendered.
    :param project: that is exported.
    :param window: that is exported, and not a part of it.
    :param may_be_longer: than what the path names, such as a week by its last day.
    :raises InvalidArgumentError: a placeholder is none, or the window does not fit to what the path says of it.
    """
    path = task.output_path
    text = str(path)
    if _is_filled(text):
        return path
    others_differ = may_be_longer or _jinja_differs(task.output_path_template)
    filled = OutputPath.parse(text).fill(project, window, others_differ=others_differ)
    if isinstance(path, str):
        return filled
    if filled == text:
        return path
    if hasattr(path, "serialize"):
        # As Airflow itself renders an ObjectStoragePath, which keeps its connection so.
        return path.deserialize({**path.serialize(), "path": filled}, path.__version__)
    return type(path)(filled, **getattr(path, "storage_options", {}))


def _is_filled(path: str) -> bool:
    """Return whether a path is that of a part: the split has filled it for the whole window; no brace is special."""
    return any(map(is_shards_folder, path.split("/")))


def _jinja_differs(template: Any) -> bool:
    """Return whether another run may have another path, whatever its window is."""
    if not isinstance(template, str | PurePath) and not hasattr(template, "storage_options"):
        # The result of another task.
        return True
    return any(not _STEADY.match(found[0]) for found in _JINJA.finditer(str(template)))


def folder_to_look_back(task: Any, project: str | None, context: Context) -> Any:
    """Return the folder in which the exports of all runs are, None where nothing is looked back at.

    :param task: with its ``lookback_windows``.
    :param project: that is exported.
    :raises InvalidArgumentError: there is no such folder.
    """
    if not task.lookback_windows:
        return None
    folder = steady_folder(task, project, context)
    if folder is None:
        raise InvalidArgumentError(
            "lookback_windows",
            task.lookback_windows,
            "output_path must begin with a folder in which no template and no placeholder stands, where earlier "
            "exports are",
        )
    return storage_path(folder, task.output_conn_id)


def steady_folder(task: TaskWithPath, project: str | None, context: Context) -> str | None:
    """Return the folder of a task's path that is the same in each run, None where it has none.

    :param project: that is exported.
    """
    folder = steady_template(str(task.output_path_template))
    if folder is None:
        return None
    # A variable may end in a slash, and may hold placeholders.
    rendered = task.render_template(folder, context).rstrip("/")
    return _folder_or_none(OutputPath.parse(f"{rendered}/").folder_of_all(project))


def steady_template(template: str) -> str | None:
    """Return what gives the folder of a path that is the same in each run, None where it has none.

    :param template: the path as it is in the DAG. Of Jinja only ``var``, ``conn`` and ``dag`` give the same in each
        run, of placeholders only ``{project}``.
    """
    changing = (found.start() for found in _CHANGING.finditer(template) if not _STEADY.match(found[0]))
    return _folder_or_none(template[: next(changing, len(template))].rpartition("/")[0])


def _folder_or_none(text: str) -> str | None:
    return text if text and not _SCHEME_ONLY.fullmatch(text) else None


class Used(NamedTuple):
    """What a task exports, and where to: its arguments may have left that to the run.

    :param project: that it asks for.
    :param window: that it exports; None: all of time.
    :param output_path: with its placeholders filled; None: the events are the task's result.
    """

    project: str | None
    window: Window | None
    output_path: Any

    def tell(self) -> None:
        """Log it, also for Airflow 2.11, whose *Rendered Templates* stay as they were before the task began."""
        log.info("Project %s, window %s, output_path %s", *self)

    def show(self, task: Any) -> None:
        """Let *Rendered Templates* show it, which Airflow 3 stores once more at the end of the task.

        :param task: with ``overwrite_rtif_after_execution``; not to be deferred any more.
        """
        used = {"project": self.project, "output_path": None if self.output_path is None else str(self.output_path)}
        if self.window is not None:
            used |= {"start_time": format_time(self.window.start), "end_time": format_time(self.window.end)}
        for name, value in used.items():
            if name in task.template_fields and value is not None:
                setattr(task, name, value)
