"""The output path of a task: filled for its window, the folder of all its runs, what *Rendered Templates* show."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath
from upath import UPath

from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.models.window import Window
from airflow_provider_honeyhive.operators.honeyhive import HoneyHiveExportEventsOperator
from airflow_provider_honeyhive.operators.mapped import HoneyHiveCombineExportsOperator, HoneyHiveSplitWindowOperator
from airflow_provider_honeyhive.tasks.output_path import Used, fill_output_path, steady_folder
from airflow_provider_honeyhive.tasks.run_window import choose_window

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = Window(datetime(2026, 11, 22, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC))
FIRST_HOUR = Window(DAY.start, DAY.start + HOUR)


def export(output_path: Any, **arguments: Any) -> HoneyHiveExportEventsOperator:
    return HoneyHiveExportEventsOperator(task_id="export", output_path=output_path, **arguments)


def rendered(template: Any, path: Any) -> HoneyHiveExportEventsOperator:
    """Return a task as it is once Jinja has been rendered."""
    task = export(template)
    task.output_path = path
    return task


@pytest.mark.parametrize(
    "make",
    [
        export,
        lambda path: HoneyHiveSplitWindowOperator(task_id="split", output_path=path),
        lambda path: HoneyHiveCombineExportsOperator(task_id="combine", output_path=path, exports=[]),
    ],
)
@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("/data/{ds}/", r"\{ds\} is no placeholder; allowed in braces"),
        ("/data/{start.year}/", r"\{start.year\} is no placeholder"),
        ("/data/{start:%e}/", "%e is not allowed"),
        ("/data/{start:%H}/", "windows of other years would have the same path"),
        ("{start}/", "allowed: an absolute path"),
    ],
)
def test_a_literal_path_is_checked_when_the_dag_is_parsed(make, path, problem):
    with pytest.raises(InvalidArgumentError, match=problem):
        make(path)


def test_formats_with_slashes_and_objects_are_no_trouble_when_the_dag_is_parsed():
    export("/data/{start:%Y/%m/%d}.jsonl.gz", file_format="jsonl")
    with pytest.raises(InvalidArgumentError, match="parts cannot become one object"):
        HoneyHiveSplitWindowOperator(task_id="split", output_path="/data/{start:%Y/%m/%d}.jsonl.gz")


def test_jinja_and_placeholders_stand_side_by_side():
    task = export("/data/{{ team }}/{start:%Y-%m-%d}/")
    task.render_template_fields({"team": "a"})
    assert fill_output_path(task, "demo", DAY) == "/data/a/2026-11-22/"


@pytest.mark.parametrize(
    ("path", "filled"),
    [
        pytest.param(Path("/data/{start:%Y}/{window_id}"), Path(f"/data/2026/{DAY.id}"), id="pathlib"),
        pytest.param(UPath("memory://x/{start:%Y-%m-%d}/"), UPath("memory://x/2026-11-22/"), id="upath"),
        pytest.param(Path("/data/x"), Path("/data/x"), id="no placeholder"),
    ],
)
def test_paths_stay_paths(path, filled):
    found = fill_output_path(rendered(path, path), "demo", DAY)
    assert (found, type(found)) == (filled, type(path))


def test_an_object_storage_path_keeps_its_connection():
    path = ObjectStoragePath("file:///data/{start:%Y-%m-%d}/", conn_id="store")
    found = fill_output_path(rendered(path, path), "demo", DAY)
    assert (str(found).rstrip("/"), found.conn_id) == ("file://store@/data/2026-11-22", "store")


@pytest.mark.parametrize(
    "template",
    ["/data/{start:%Y-%m-%d}/", "{{ var.value.root }}/{start:%Y-%m-%d}/", "/{{ dag.dag_id }}/{start:%Y-%m-%d}/"],
)
def test_several_windows_of_one_path_are_told_at_the_first(template):
    with pytest.raises(InvalidArgumentError, match="names only the day of this window"):
        fill_output_path(rendered(template, "/data/{start:%Y-%m-%d}/"), "demo", FIRST_HOUR)


@pytest.mark.parametrize("template", ["/data/{{ run_id }}/{start:%Y-%m-%d}/", "{% if x %}a{% endif %}/", object()])
def test_jinja_and_other_tasks_may_tell_windows_apart(template):
    filled = fill_output_path(rendered(template, "/data/x/{start:%Y-%m-%d}/"), "demo", FIRST_HOUR)
    assert filled == "/data/x/2026-11-22/"


def test_the_path_of_a_part_is_left_as_the_split_has_filled_it():
    path = f"/data/{{x}}/_shards-{'0' * 16}/{FIRST_HOUR.id}/"
    assert fill_output_path(rendered(path, path), "demo", FIRST_HOUR) == path


@pytest.mark.parametrize(
    ("template", "variable", "folder"),
    [
        ("s3://b/{project}/{start:%Y-%m-%d}/", "", "s3://b/a%2Fb"),
        ("s3://b/x/{start:%Y/%m/%d}/{{ ds }}/", "", "s3://b/x"),
        ("s3://b/x/{{ ds }}/{start:%Y/%m/%d}/", "", "s3://b/x"),
        ("s3://b/x/run-{end}.jsonl", "", "s3://b/x"),
        ("{{ var.value.root }}/{window_id}/", "s3://b/root/", "s3://b/root"),
        ("{{ var.value.root }}/x/{window_id}/", "s3://b/{start:%Y}", "s3://b"),
        ("{{ var.value.root }}/x/{window_id}/", "s3://{start:%Y}", None),
        ("s3://{window_id}/x/", "", None),
        ("/{window_id}/", "", None),
    ],
)
def test_the_folder_of_all_runs_ends_before_the_first_placeholder_of_a_window(monkeypatch, template, variable, folder):
    monkeypatch.setenv("AIRFLOW_VAR_ROOT", variable)
    values = {"var": {"value": {"root": variable}}}
    assert steady_folder(export(template), "a/b", values) == folder


@pytest.mark.parametrize("path", ["/data/{start:%Y-%m-%d}/", "/data/{window_id}/", "/data/{{ ds }}/"])
def test_what_is_looked_back_at_may_be_told_apart_by_placeholders(path):
    export(path, lookback_windows=2)


@pytest.mark.parametrize("path", ["/data/", "/data/{project}/"])
def test_looking_back_needs_a_path_that_differs_by_window(path):
    with pytest.raises(InvalidArgumentError, match="output_path must be a folder that is another one for each window"):
        export(path, lookback_windows=2)


def context(run_id: str, *, at: datetime = NOON, conf: Any = None) -> Any:
    return {
        "dag": SimpleNamespace(timetable=None, max_active_runs=1),
        "dag_run": SimpleNamespace(run_after=at, conf=conf or {}, run_type="manual"),
        "ti": SimpleNamespace(dag_id="dag", task_id="export", run_id=run_id),
    }


MORNING = {"start_time": "2026-11-22T06:00:00Z", "end_time": "2026-11-22T12:00:00Z"}


def test_the_watermark_remembers_the_filled_path_of_each_run(tmp_path):
    path = f"{tmp_path}/{{project}}/{{window_id}}/"
    for run in (context("a", conf=MORNING), context("b", at=NOON + HOUR)):
        window, watermark = choose_window(export(path), run, "demo")
        if run["ti"].run_id == "a":
            watermark.advance(window)
    (file,) = (tmp_path / "demo").iterdir()
    places = {name: run.get("output_path") for name, run in json.loads(file.read_text())["runs"].items()}
    assert places == {"a": None, "b": f"{tmp_path}/demo/20261122T120000Z-20261122T130000Z/"}


def test_a_window_from_the_watermark_that_does_not_fit_to_the_path_is_not_remembered(tmp_path):
    path = f"{tmp_path}/{{start:%Y-%m-%d}}/"
    day = {"start_time": "2026-11-21T00:00:00Z", "end_time": "2026-11-22T00:00:00Z"}
    window, watermark = choose_window(export(path), context("a", conf=day), "demo")
    watermark.advance(window)
    with pytest.raises(InvalidArgumentError, match=r"names only the day .*use .* or \{window_id\}"):
        choose_window(export(path), context("b", at=NOON), "demo")
    (file,) = tmp_path.iterdir()
    assert list(json.loads(file.read_text())["runs"]) == ["a"]


def test_rendered_templates_show_what_is_used():
    task = export("/data/{start:%Y-%m-%d}/")
    Used("demo", DAY, Path("/data/2026-11-22")).show(task)
    assert (task.project, task.start_time, task.end_time, task.output_path) == (
        "demo",
        "2026-11-22T00:00:00.000Z",
        "2026-11-23T00:00:00.000Z",
        "/data/2026-11-22",
    )


def test_what_a_task_does_not_have_is_not_set():
    task = HoneyHiveExportEventsOperator(task_id="export", project="demo")
    Used(None, None, None).show(task)
    assert (task.project, task.start_time, task.output_path) == ("demo", None, None)
