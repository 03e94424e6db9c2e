"""Whole sessions from a DAG: none is cut at midnight, none comes twice, and a killed task goes on."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_honeyhive.exceptions import ExportStoppedError, InvalidArgumentError
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.operators.honeyhive import HoneyHiveExportEventsOperator
from airflow_provider_honeyhive.operators.mapped import HoneyHiveCombineExportsOperator, HoneyHiveSplitWindowOperator
from airflow_provider_honeyhive.sandbox import Fault
from airflow_provider_honeyhive.sandbox.data.traces import generate_events
from tests.docs.documents import Document, run_python

from .conftest import DAY, DAY_END
from .running import KilledOnce, ids_in, run_dag, run_task

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_honeyhive.sandbox import Sandbox

DAYS = [DAY_END, DAY_END + timedelta(days=1)]


@pytest.fixture
def traces(serve: Callable[..., Sandbox]) -> Sandbox:
    """Serve sessions around two midnights, many of which cross one."""
    near = timedelta(seconds=40)
    return serve(
        [
            event
            for seed, midnight in enumerate([DAY, *DAYS])
            for event in generate_events(400, seed=seed, start=midnight - near, end=midnight + near)
        ]
    )


def sessions_of(sandbox: Sandbox, end: Any) -> dict[str, list[str]]:
    """Return the events of the sessions that begin in the day before ``end``, by session."""
    inside = sandbox.event_ids(end - timedelta(days=1), end)
    found: dict[str, list[str]] = {}
    for event in sandbox.events():
        found.setdefault(event.decoded()["session_id"], []).append(event.event_id)
    return {name: ids for name, ids in found.items() if name in inside}


def whole(sandbox: Sandbox, end: Any) -> Counter[str]:
    return Counter(event_id for ids in sessions_of(sandbox, end).values() for event_id in ids)


def export(output: Path, cls: Any = HoneyHiveExportEventsOperator, **arguments: Any) -> Any:
    return cls(task_id="export", sessions="complete", output_path=f"{output}/", **arguments)


def asked_for(requests: list[Any]) -> list[str]:
    """Return the sessions that requests asked for."""
    filters = [item for request in requests for item in request.body["filters"]]
    return [item["value"] for item in filters if item["field"] == "session_id"]


def test_daily_runs_export_each_session_once_and_whole(traces, output):
    for end in DAYS:
        cut = whole(traces, end).keys() - traces.event_ids(end - timedelta(days=1), end)
        assert cut, "no session crosses this midnight"

        run = run_task(lambda end=end: export(output / f"{end:%d}"), end)

        assert run.state == "success", run.errors
        folder = output / f"{end:%d}"
        assert Counter(ids_in(folder)) == whole(traces, end)
        manifest = Manifest.read(folder)
        manifest.verify()
        assert manifest.session_count == len(sessions_of(traces, end))
        assert run.xcoms["export"]["event_count"] == manifest.event_count == manifest.reported_total


def test_a_killed_task_goes_on_from_the_sessions_it_has_staged(traces, output):
    KilledOnce.killed.clear()
    silent = 45
    traces.fault_at[silent] = Fault.delayed(60)

    run = run_task(lambda: export(output, KilledOnce, concurrency=1, retries=1, retry_delay=timedelta()))

    assert run.state == "success", run.errors
    assert [type(error) for error in run.retried] == [ExportStoppedError]
    assert Counter(ids_in(output)) == whole(traces, DAY_END)
    assert not list(output.glob("_staging-*"))
    first = {*asked_for([request for request in traces.requests if request.number <= silent])}
    second = {*asked_for([request for request in traces.requests if request.number > silent])}
    assert len(first) > 30
    assert len(first & second) <= 16, "more than a group of sessions was read again"


def test_mapped_tasks_export_whole_sessions_together(traces, output):
    with DAG("many_sessions", schedule="@daily", start_date=DAY.replace(year=2025), catchup=False) as dag:
        split = HoneyHiveSplitWindowOperator(task_id="split", parts=4, output_path=str(output))
        exports = HoneyHiveExportEventsOperator.partial(task_id="export", sessions="complete").expand_kwargs(
            split.output
        )
        HoneyHiveCombineExportsOperator(task_id="combine", output_path=str(output), exports=exports.output)

    run = run_dag(dag)

    assert len(run.result("split")) == 4
    assert Counter(ids_in(output)) == whole(traces, DAY_END)
    manifest = Manifest.read(output)
    manifest.verify()
    assert manifest.session_count == len(sessions_of(traces, DAY_END))
    assert {path.name for path in output.iterdir()} == {"_manifest.json", *(part.path for part in manifest.files)}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"sessions": "all", "output_path": "/exports/"}, "sessions"),
        ({"sessions": "complete"}, "sessions"),
        (
            {
                "sessions": "complete",
                "output_path": "/exports/",
                "filters": [{"field": "event_type", "operator": "is", "value": "model"}],
            },
            "filters",
        ),
    ],
    ids=["no such choice", "to XCom", "no root can meet the filter"],
)
def test_what_cannot_be_meant_is_refused_when_the_dag_is_parsed(arguments, named):
    with pytest.raises(InvalidArgumentError, match=named):
        HoneyHiveExportEventsOperator(task_id="export", **arguments)


def test_the_dag_of_the_page_exports_the_sessions_of_production(traces, output):
    snippet = Document("docs/sessions.md").the("python", "sessions=")
    names = run_python(snippet.replace("s3://my-bucket/", f"{output}/").replace("2026, 11, 1", "2025, 1, 1"))

    run = run_dag(names["export"].dag)

    assert run.state == "success", run.errors
    sources = {event.event_id: event.decoded()["source"] for event in traces.events()}
    sessions = sessions_of(traces, DAY_END)
    wanted = Counter(id_ for name, ids in sessions.items() if sources[name] == "production" for id_ in ids)
    assert Counter(ids_in(output / "traces" / f"date={DAY:%Y-%m-%d}")) == wanted
    assert wanted.total() < whole(traces, DAY_END).total()
