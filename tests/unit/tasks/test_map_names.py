"""What mapped tasks are called in Airflow's web interface."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import jinja2
import pytest

from airflow_provider_honeyhive.models.window import Window
from airflow_provider_honeyhive.tasks.map_names import name_mapped_task

WINDOW = Window(datetime(2026, 11, 22, tzinfo=UTC), datetime(2026, 11, 22, 3, 0, 0, 500, tzinfo=UTC))
SPAN = "2026-11-22T00:00:00Z to 2026-11-22T03:00:00.000500Z"


def name_of(project: str | None, window: Window | None, map_index: int | None = 0, template: str | None = None) -> Any:
    """Return what Airflow makes of the context: the name, None for the number."""
    context: dict[str, Any] = {"ti": SimpleNamespace(map_index=map_index), "map_index_template": template}
    name_mapped_task(context, project, window)
    if context["map_index_template"] is None:
        return None
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)  # noqa: S701 - as Airflow's
    return environment.from_string(context["map_index_template"]).render(context)


@pytest.mark.parametrize(
    ("project", "window", "name"),
    [
        ("demo", WINDOW, f"demo, {SPAN}"),
        (None, WINDOW, SPAN),
        ("demo", None, "demo"),
        ("{{ 1 + 1 }}", None, "{{ 1 + 1 }}"),
        ("a\nb", None, "a\\nb"),
    ],
)
def test_a_mapped_task_is_called_by_its_project_and_window(project, window, name):
    assert name_of(project, window) == name


def test_a_name_is_no_longer_than_airflow_keeps():
    assert len(name_of("x" * 1000, WINDOW)) <= 250


@pytest.mark.parametrize("map_index", [-1, None])
def test_a_task_that_is_not_mapped_has_no_such_name(map_index):
    assert name_of("demo", WINDOW, map_index) is None


def test_the_template_of_the_dags_author_stays():
    assert name_of("demo", WINDOW, template="mine") == "mine"
