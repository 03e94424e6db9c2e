"""Folders named after what is exported, kind of run by kind of run, in a real Airflow."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AssetAlias, ObjectStoragePath, task

from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.operators.honeyhive import HoneyHiveExportEventsOperator
from airflow_provider_honeyhive.operators.mapped import HoneyHiveCombineExportsOperator, HoneyHiveSplitWindowOperator

from .conftest import DAY, DAY_END
from .running import AIRFLOW_2, Run, ids_in, run_dag

HOUR = timedelta(hours=1)
BY_DAY = "date={start:%Y-%m-%d}"
AIRFLOW_3_ONLY = pytest.mark.skipif(AIRFLOW_2, reason="Airflow 2 gives each run a logical date and a data interval")


def run(
    path: Any,
    logical_date: datetime | None = DAY_END,
    *,
    conf: Any = None,
    schedule: Any = "@daily",
    dag: dict[str, Any] | None = None,
    **task: Any,
) -> Run:
    """Run a DAG of one export."""
    arguments = {"start_date": DAY.replace(year=2025), "catchup": False, "max_active_runs": 1, **(dag or {})}
    with DAG("paths", schedule=schedule, **arguments) as made:
        HoneyHiveExportEventsOperator(**{"task_id": "export", "output_path": path, **task})
    return run_dag(made, logical_date, conf=conf)


def folders(output: Any) -> list[str]:
    return sorted(found.name for found in output.iterdir() if not found.name.startswith("_"))


def test_a_folder_is_called_after_the_day_of_the_data(sandbox, output):
    done = run(f"{output}/{BY_DAY}/")

    assert done.result()["output_path"] == f"{output}/date=2026-03-10"
    assert sorted(ids_in(output / "date=2026-03-10")) == sorted(sandbox.event_ids(DAY, DAY_END))


def test_days_that_are_run_afterwards_have_a_folder_each(serve, output):
    serve(start=DAY - 24 * HOUR, end=DAY_END + 24 * HOUR)

    for day in (DAY, DAY_END, DAY_END + 24 * HOUR):
        assert run(f"{output}/{BY_DAY}/", day).state == "success"

    assert folders(output) == ["date=2026-03-09", "date=2026-03-10", "date=2026-03-11"]


def test_the_times_of_the_conf_name_the_folder(serve, output):
    serve(start=DAY - 48 * HOUR, end=DAY_END)
    conf = {"start_time": "2026-03-08T00:00:00Z", "end_time": "2026-03-09T00:00:00Z"}

    assert run(f"{output}/{BY_DAY}/", conf=conf).result()["output_path"] == f"{output}/date=2026-03-08"


@AIRFLOW_3_ONLY
def test_a_run_by_hand_without_a_logical_date_has_a_folder(serve, output):
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    serve(start=today - 48 * HOUR, end=today + 24 * HOUR)

    done = run(f"{output}/{BY_DAY}/", None)

    assert done.result()["output_path"] == f"{output}/date={today - 24 * HOUR:%F}"


def test_runs_that_continue_one_another_are_told_apart_by_both_bounds(sandbox, output):
    first = {"start_time": DAY.isoformat(), "end_time": DAY_END.isoformat()}
    runs = [
        run(f"{output}/{{project}}/{{window_id}}/", None, schedule=None, conf=conf, delay=0)
        for conf in (first, None, None)
    ]

    windows = [Manifest.read(done.result()["output_path"]) for done in runs]
    assert [one.start_time for one in windows[1:]] == [one.end_time for one in windows[:-1]]
    names = folders(output / "demo")
    assert [f"{output}/demo/{name}" for name in names] == [done.result()["output_path"] for done in runs]
    assert names[0] == "20260310T000000Z-20260311T000000Z"


def test_an_hour_in_the_folder_of_a_day_fails_at_once_and_asks_the_server_nothing(sandbox, output):
    done = run(f"{output}/{BY_DAY}/", schedule="@hourly", retries=2)

    for said in ("names only the day", "{start:%Y-%m-%dT%H}", "{window_id}", "2026-03-10T23:00:00.000Z"):
        assert said in done.refusal()
    assert sandbox.requests == []
    assert not output.exists()


def test_an_hour_in_a_folder_of_its_own_passes(sandbox, output):
    done = run(f"{output}/{BY_DAY}/hour={{start:%H}}/", schedule="@hourly")

    assert done.result()["output_path"] == f"{output}/date=2026-03-10/hour=23"


def test_jinja_is_rendered_first(sandbox, output):
    path = ObjectStoragePath(f"file://{output}/{{{{ params.team }}}}/{BY_DAY}/")
    done = run(path, dag={"params": {"team": "a"}})

    assert done.state == "success", done.errors
    assert sorted(ids_in(output / "a" / "date=2026-03-10")) == sorted(sandbox.event_ids(DAY, DAY_END))


def test_a_placeholder_that_a_variable_brings_is_checked_before_the_first_request(sandbox, monkeypatch):
    monkeypatch.setenv("AIRFLOW_VAR_EXPORTS", "/data/{ds}/")

    assert "{ds} is no placeholder" in run("{{ var.value.exports }}").refusal()
    assert sandbox.requests == []


def test_earlier_days_are_looked_back_at_in_the_folder_before_the_placeholders(sandbox, output):
    assert run(f"{output}/{{start:%Y/%m/%d}}/", DAY_END - 24 * HOUR, lookback_windows=1).state == "success"
    sandbox.add([{"event_id": "late", "project": "demo", "start_time": "2026-03-09T12:00:00Z"}])

    done = run(f"{output}/{{start:%Y/%m/%d}}/", lookback_windows=1)

    assert done.result()["late_count"] == 1


def test_parts_lie_under_the_folder_of_the_whole_window(sandbox, output):
    path = f"{output}/{{project}}/{BY_DAY}/"
    with DAG("paths", schedule="@daily", start_date=DAY.replace(year=2025), catchup=False) as dag:
        split = HoneyHiveSplitWindowOperator(task_id="split", output_path=path, parts=3)
        exports = HoneyHiveExportEventsOperator.partial(task_id="export").expand_kwargs(split.output)
        HoneyHiveCombineExportsOperator(task_id="combine", output_path=path, exports=exports.output)
    done = run_dag(dag)

    folder = output / "demo" / "date=2026-03-10"
    assert done.result("combine")["output_path"] == str(folder)
    assert all(part["output_path"].startswith(f"{folder}/_shards-") for part in done.xcoms["split"])
    assert sorted(ids_in(folder)) == sorted(sandbox.event_ids(DAY, DAY_END))


def test_parts_go_where_the_split_says_also_where_braces_stand_in_the_path(sandbox, output, monkeypatch):
    monkeypatch.setenv("AIRFLOW_VAR_EXPORTS", f"{output}/{{{{x}}}}/{{window_id}}/")
    path = "{{ var.value.exports }}"
    with DAG("paths", schedule="@daily", start_date=DAY.replace(year=2025), catchup=False) as dag:
        split = HoneyHiveSplitWindowOperator(task_id="split", output_path=path, parts=2)
        exports = HoneyHiveExportEventsOperator.partial(task_id="export").expand_kwargs(split.output)
        HoneyHiveCombineExportsOperator(task_id="combine", output_path=path, exports=exports.output)
    done = run_dag(dag)

    assert done.result("combine")["output_path"] == f"{output}/{{x}}/20260310T000000Z-20260311T000000Z"


def test_mapped_projects_have_a_folder_each(serve, connect, output):
    for number, name in enumerate(("a/b", "a%2Fb")):
        connect(serve(project=name), f"team_{number}", project=name)
    with DAG("paths", schedule="@daily", start_date=DAY.replace(year=2025), catchup=False) as dag:
        HoneyHiveExportEventsOperator.partial(
            task_id="export", output_path=f"{output}/{{project}}/{BY_DAY}.jsonl.gz"
        ).expand(honeyhive_conn_id=["team_0", "team_1"])
    done = run_dag(dag)

    assert done.state == "success", done.errors
    for folder in ("a%2Fb", "a%252Fb"):
        data = gzip.decompress((output / folder / "date=2026-03-10.jsonl.gz").read_bytes())
        assert len([json.loads(line) for line in data.splitlines()]) == 300


@pytest.mark.skipif(AIRFLOW_2, reason="dag.test() of Airflow 2 does not register an alias that a task has as an inlet")
def test_the_asset_and_later_tasks_see_the_filled_path(sandbox, output):
    with DAG("paths", schedule="@daily", start_date=DAY.replace(year=2025), catchup=False) as dag:
        export = HoneyHiveExportEventsOperator(
            task_id="export", output_path=f"{output}/{BY_DAY}/", outlets=[AssetAlias("exports")]
        )

        @task(inlets=[AssetAlias("exports")])
        def read(exported: dict[str, Any], **context: Any) -> list[str]:
            (event,) = context["inlet_events"][AssetAlias("exports")]
            return [exported["output_path"], event.extra["output_path"], event.asset.uri]

        read(export.output)
    done = run_dag(dag)

    folder = f"{output}/date=2026-03-10"
    assert done.result("read")[:2] == [folder, folder]
    assert done.result("read")[2].endswith("/date%3D2026-03-10") or done.result("read")[2] == f"file://{folder}"


@AIRFLOW_3_ONLY
def test_rendered_templates_show_project_window_and_path_as_used(sandbox, output):
    from airflow.models.renderedtifields import RenderedTaskInstanceFields
    from airflow.utils.session import create_session

    run(f"{output}/{{project}}/{BY_DAY}/").result()

    with create_session() as session:
        shown = (
            session.query(RenderedTaskInstanceFields)
            .filter_by(dag_id="paths", task_id="export")
            .order_by(RenderedTaskInstanceFields.run_id.desc())
            .first()
            .rendered_fields
        )
    assert {name: shown[name] for name in ("project", "start_time", "end_time", "output_path")} == {
        "project": "demo",
        "start_time": "2026-03-10T00:00:00.000Z",
        "end_time": "2026-03-11T00:00:00.000Z",
        "output_path": f"{output}/demo/date=2026-03-10/",
    }


def test_the_log_says_project_window_and_path_as_used(sandbox, output, capfd, caplog):
    caplog.set_level("INFO")

    run(f"{output}/{{project}}/{BY_DAY}/").result()

    logged = caplog.text + "".join(capfd.readouterr())
    assert (
        "Project demo, window [2026-03-10T00:00:00.000Z, 2026-03-11T00:00:00.000Z), "
        f"output_path {output}/demo/date=2026-03-10/"
    ) in logged
