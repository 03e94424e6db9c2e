"""The page on windows: its DAG keeps a watermark, its templates render, its numbers are those of the code."""

from __future__ import annotations

import json
import re
import tomllib
from types import SimpleNamespace

import jinja2
import pytest

from airflow_provider_honeyhive.models.output_path import WINDOW_PLACEHOLDERS, OutputPath
from airflow_provider_honeyhive.models.time_format import DIRECTIVES
from airflow_provider_honeyhive.models.window import Window
from airflow_provider_honeyhive.operators.honeyhive import SHORT_WAIT_S
from airflow_provider_honeyhive.tasks.output_path import steady_template
from airflow_provider_honeyhive.tasks.run_window import given_window
from airflow_provider_honeyhive.tasks.watermark import MOST_RUNS

from .documents import ROOT, Document, codes, lasting, run_python

PAGE = Document("docs/windows.md")
RENDERED = {
    "{{ run_id }}": "scheduled__2026-11-23",
    "{{ partition_key }}": "2026-11-22T00:00:00",
}


def test_each_run_that_is_tested_has_its_row():
    files = ("tests/system/test_run_windows.py", "tests/live/test_run_windows.py")
    with (ROOT / "tests" / "docs" / "row_tests.toml").open("rb") as file:
        rows = tomllib.load(file)[PAGE.path.relative_to(ROOT).as_posix()]["The run"]
    tests = {
        f"{name}::{test}"
        for name in files
        for test in re.findall(r"^def (test_\w+)", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert {test for named in rows.values() for test in named} == tests


def test_the_numbers_of_the_page_are_those_of_the_code():
    PAGE.check_sentences(
        [f"remembers the last {MOST_RUNS} runs", f"Waits of less than {lasting(SHORT_WAIT_S)} stay in the worker"]
    )


def test_the_dag_of_the_page_has_one_run_at_a_time_and_a_folder_for_its_watermark():
    dag = run_python(PAGE.the("python").replace("):\n", ") as dag:\n", 1))["dag"]
    assert dag.max_active_runs == 1
    assert steady_template(dag.get_task("export").output_path_template) == "s3://my-bucket/honeyhive"


def test_the_times_that_runs_are_triggered_with_are_windows():
    found = re.findall(r"--conf '(\{.*?\})'", PAGE.text)
    assert len(found) == 2
    for conf in found:
        assert given_window({"dag_run": SimpleNamespace(conf=json.loads(conf)), "params": {}}) is not None


def test_the_placeholders_give_what_the_table_says():
    rows = {name: row[1] for row in PAGE.table("Placeholder") for name in codes(row[0])}
    assert {name.strip("{}").partition(":")[0] for name in rows} == {*WINDOW_PLACEHOLDERS, "project"}
    window = Window.parse("2026-11-22", "2026-11-23")
    for name in ("{start}", "{window_id}"):
        assert codes(rows[name])[-1] == OutputPath.parse(name).fill("my-project", window)
    assert " ".join(DIRECTIVES) in codes(rows["{start:%Y-%m-%d}"])


def test_a_literal_brace_is_written_as_the_page_says():
    (line,) = (line for line in PAGE.text.splitlines() if line.startswith("- For a literal brace"))
    in_dags, on_the_command_line = codes(line)[:2], codes(line)[2:]
    printed = [jinja2.Template(text).render() for text in in_dags]
    assert printed == on_the_command_line
    assert [OutputPath.parse(text).fill("my-project", None) for text in printed] == ["{", "}"]


def test_each_template_that_the_page_advises_is_rendered_here():
    (advice,) = re.findall(r"works too, for example (.*?)\. Do not", " ".join(PAGE.prose.split()))
    assert re.findall(r"`({{ .*? }})`", advice) == list(RENDERED)


@pytest.mark.parametrize(("template", "rendered"), RENDERED.items())
def test_a_template_renders(template, rendered):
    from airflow.providers.common.compat.sdk import DAG

    from airflow_provider_honeyhive.operators.honeyhive import HoneyHiveExportEventsOperator

    with DAG("templates", schedule=None):
        task = HoneyHiveExportEventsOperator(task_id="export", output_path=f"/export/{template}/")

    task.render_template_fields({"run_id": "scheduled__2026-11-23", "partition_key": "2026-11-22T00:00:00"})

    assert task.output_path == f"/export/{rendered}/"
