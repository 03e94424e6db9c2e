"""Run a DAG in this process, on either Airflow, and look at what became of its tasks."""

from __future__ import annotations

import gzip
import json
import threading
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow import __version__ as airflow_version
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.operators.honeyhive import HoneyHiveExportEventsOperator

from .conftest import DAY, DAY_END, HOME

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

AIRFLOW_2 = airflow_version.startswith("2.")
AIRFLOW_3_1 = airflow_version.startswith("3.1.")


@dataclass
class Run:
    """What became of a run.

    :param states: of its tasks by id; of mapped tasks by ``id[index]``.
    :param errors: exceptions that failed tasks for good, by task id.
    :param retried: exceptions after which tasks were tried again.
    """

    state: str
    states: dict[str, str]
    xcoms: dict[str, Any]
    errors: dict[str, BaseException]
    retried: list[BaseException] = field(default_factory=list)

    def result(self, task_id: str = "export") -> Any:
        """Return what a task returned; the run has to have succeeded."""
        assert self.state == "success", self.errors
        return self.xcoms[task_id]

    def refusal(self, task_id: str = "export") -> str:
        """Return what failed a task; it has to have failed the run, and at once."""
        assert (self.state, self.retried) == ("failed", [])
        return str(self.errors[task_id])


class KilledOnce(HoneyHiveExportEventsOperator):
    """Is killed a moment after it has begun, as Airflow does it: by on_kill."""

    killed = threading.Event()

    def execute(self, context: Any) -> Any:
        if not self.killed.is_set():
            self.killed.set()
            threading.Timer(3, self.on_kill).start()
        return super().execute(context)


def run_dag(
    dag: DAG,
    logical_date: datetime | None = DAY_END,
    *,
    conf: dict[str, Any] | None = None,
    succeeded: str | None = None,
) -> Run:
    """Run a DAG to its end, retries included.

    :param logical_date: of the run; for a daily schedule the end of the day to export, on both Airflows.
    :param succeeded: a task that does not run but counts as succeeded, such as one that waits for a person.
    """
    errors: dict[str, BaseException] = {}
    retried: list[BaseException] = []
    for task in dag.tasks:
        _on(task, "on_failure_callback", lambda context: errors.update({_name(context["ti"]): context["exception"]}))
        _on(task, "on_retry_callback", lambda context: retried.append(context["exception"]))
    if AIRFLOW_2:
        dag_run = dag.test(execution_date=logical_date, run_conf=conf, mark_success_pattern=succeeded)
    else:
        _register(dag)
        dag_run = dag.test(logical_date=logical_date, run_conf=conf, mark_success_pattern=succeeded)
    instances = dag_run.get_task_instances()
    return Run(
        state=str(dag_run.state),
        states={_name(ti): str(ti.state) for ti in instances},
        xcoms={_name(ti): ti.xcom_pull(task_ids=ti.task_id, map_indexes=ti.map_index) for ti in instances},
        errors=errors,
        retried=retried,
    )


def run_task(
    make: Callable[[], Any], logical_date: datetime | None = DAY_END, *, schedule: Any = "@daily", **arguments: Any
) -> Run:
    """Run a DAG that has only what ``make`` makes."""
    with DAG("system_test", schedule=schedule, start_date=DAY.replace(year=2025), catchup=False, **arguments) as dag:
        make()
    return run_dag(dag, logical_date)


def run_export(output: object = None, *, dag: dict[str, Any] | None = None, **arguments: Any) -> Run:
    """Run a DAG that has only an export: to a folder, or else to XCom, with room for a day of the sandbox."""
    path = {"xcom_max_bytes": 5_000_000} if output is None else {"output_path": f"{output}/"}
    return run_task(lambda: HoneyHiveExportEventsOperator(**{"task_id": "export", **path, **arguments}), **(dag or {}))


def dag_bag(path: Path) -> Any:
    """Return what Airflow finds in a DAG file or folder, which is to be sound."""
    bag = _dag_bags().DagBag(dag_folder=str(path))
    assert bag.import_errors == {}
    return bag


def ids_in(folder: str | Path) -> list[str]:
    """Return the ids of all events that the folder's manifest vouches for."""
    folder = Path(folder)
    lines: list[bytes] = []
    for part in Manifest.read(folder).files:
        data = (folder / part.path).read_bytes()
        lines += (gzip.decompress(data) if part.path.endswith(".gz") else data).splitlines()
    return [json.loads(line)["event_id"] for line in lines]


def _on(task: Any, name: str, callback: Callable[[Any], None]) -> None:
    # A mapped task keeps what its operator will get in a dict of its own.
    if hasattr(task, "partial_kwargs"):
        task.partial_kwargs[name] = [callback]
    else:
        setattr(task, name, [callback])


def _name(ti: Any) -> str:
    return ti.task_id if ti.map_index in (None, -1) else f"{ti.task_id}[{ti.map_index}]"


def _register(dag: DAG) -> None:
    # Airflow 3 runs only what its database knows.
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    bag = dag_bag(Path(HOME, "dags"))
    bag.bag_dag(dag)
    DagBundlesManager().sync_bundles_to_db()
    _dag_bags().sync_bag_to_db(bag, "dags-folder", None)


def _dag_bags() -> Any:
    return import_module("airflow.models.dagbag" if AIRFLOW_2 or AIRFLOW_3_1 else "airflow.dag_processing.dagbag")


if AIRFLOW_3_1:
    # There the callbacks of a DAG that is tested get a context without the exception, unlike those of a worker.
    from airflow.sdk.execution_time import task_runner

    _finalize = task_runner.finalize

    def _finalize_with_exception(ti: Any, state: Any, context: Any, log: Any, error: Any = None) -> None:
        context["exception"] = error
        _finalize(ti, state, context, log, error)

    task_runner.finalize = _finalize_with_exception
