"""The button that leads from a task to HoneyHive, as Airflow's web server finds it."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import DAG
from airflow.providers_manager import ProvidersManager
from airflow.serialization import serialized_objects

from airflow_provider_honeyhive.links.honeyhive import HoneyHiveEventsLink
from airflow_provider_honeyhive.operators.honeyhive import HoneyHiveExportEventsOperator
from airflow_provider_honeyhive.operators.mapped import HoneyHiveCombineExportsOperator, HoneyHiveSplitWindowOperator

from .conftest import DAY, KEY
from .running import run_dag

if TYPE_CHECKING:
    from collections.abc import Callable

APP = "https://app.us.honeyhive.ai"
NAME = HoneyHiveEventsLink().name
NUMBERS = count()
#: Airflow 3.2 has renamed it.
Serializer = getattr(serialized_objects, "DagSerialization", None) or serialized_objects.SerializedDAG


@pytest.fixture
def run_linked(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], dict[str, list[str]]]:
    """Run a DAG, and return the links of its tasks, as they are found with the DAG that the web server has."""
    from airflow.models import TaskInstance
    from airflow.utils.session import create_session

    def run_linked(make: Callable[[], Any]) -> dict[str, list[str]]:
        # Each its own, because the API of Airflow 3.1 does not notice that a DAG has changed.
        dag_id = f"linked_{next(NUMBERS)}"
        with DAG(dag_id, schedule="@daily", start_date=DAY.replace(year=2025), catchup=False) as dag:
            make()
        assert run_dag(dag).state == "success"
        # Not in a scheduler, which is what the run was in, and which has no use for links.
        monkeypatch.setattr(Serializer, "_load_operator_extra_links", True)
        known = Serializer.from_dict(Serializer.to_dict(dag))
        links: dict[str, list[str]] = {}
        with create_session() as session:
            for ti in session.query(TaskInstance).filter_by(dag_id=dag_id):
                task = known.get_task(ti.task_id)
                if NAME in task.extra_links:
                    links.setdefault(ti.task_id, []).append(task.get_extra_links(ti, NAME) or "")
        return links

    return run_linked


def link_to(sandbox: Any) -> str:
    # The range depends on the day on which the test runs.
    return f"{APP}/p/{sandbox.project_id}/traces/events?range="


def test_the_link_of_files_leads_to_the_projects_events(sandbox, connect, run_linked, output):
    connect(sandbox, app_url=APP)
    links = run_linked(lambda: HoneyHiveExportEventsOperator(task_id="export", output_path=f"{output}/"))
    (url,) = links["export"]
    assert url.startswith(link_to(sandbox))
    assert KEY not in url


def test_the_link_of_events_that_are_the_result_too(sandbox, connect, run_linked):
    connect(sandbox, app_url=f"{APP}/")
    (url,) = run_linked(lambda: HoneyHiveExportEventsOperator(task_id="export", xcom_max_bytes=5_000_000))["export"]
    assert url.startswith(link_to(sandbox))


def test_mapped_tasks_have_a_link_each_and_the_combination_too(sandbox, connect, run_linked, output):
    connect(sandbox, app_url=APP)

    def make() -> None:
        split = HoneyHiveSplitWindowOperator(task_id="split", parts=2, output_path=f"{output}/")
        exports = HoneyHiveExportEventsOperator.partial(task_id="export").expand_kwargs(split.output)
        HoneyHiveCombineExportsOperator(task_id="combine", output_path=f"{output}/", exports=exports.output)

    links = run_linked(make)
    assert {task_id: len(urls) for task_id, urls in links.items()} == {"export": 2, "combine": 1}
    assert all(url.startswith(link_to(sandbox)) for urls in links.values() for url in urls)


@pytest.mark.parametrize("extra", [{}, {"app_url": ""}, {"app_url": "javascript:alert(1)"}])
def test_without_an_address_of_the_app_there_is_no_link(sandbox, connect, run_linked, output, extra):
    connect(sandbox, **extra)
    links = run_linked(lambda: HoneyHiveExportEventsOperator(task_id="export", output_path=f"{output}/"))
    assert links == {"export": [""]}


def test_airflow_knows_the_link():
    name = f"{HoneyHiveEventsLink.__module__}.{HoneyHiveEventsLink.__name__}"
    assert name in ProvidersManager().extra_links_class_names
