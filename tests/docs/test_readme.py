"""The README says what the code does: its snippets run, its tables and examples are those of the code."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_honeyhive.api.settings import DEFAULT_API_URL
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.models import layout

from .documents import DAY, DAY_END, PROJECT, ROOT, Document, run_shell

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = Document("README.md")
README = PAGE.text
the = PAGE.the
#: What the daily DAG returns, as its page says.
RESULT = json.loads(Document("docs/operator.md").the("json", '"manifest_path"'))


@pytest.fixture
def dag_of(tmp_path: Path) -> Callable[[str], Any]:
    """Give a function that has Airflow import a snippet, its bucket a folder, and returns its one DAG."""
    from airflow.dag_processing.dagbag import DagBag

    def make(text: str) -> Any:
        local = text.replace("s3://my-bucket", str(tmp_path))
        assert local != text
        file = tmp_path / "dag.py"
        file.write_text(local)
        bag = DagBag(dag_folder=str(file), collect_dags=False)
        bag.process_file(str(file))
        assert bag.import_errors == {}
        (dag,) = bag.dags.values()
        return dag

    return make


def execute(task: Any, dag: Any, **context: Any) -> Any:
    ti = SimpleNamespace(dag_id=dag.dag_id, task_id=task.task_id, run_id="run", try_number=1, map_index=-1)
    context = {"dag": dag, "ti": ti, "run_id": ti.run_id, **context}
    task.render_template_fields(context)
    return task.execute(context)


# ------------------------------------------------------------------------------------------ snippets


def test_both_commands_are_on_the_first_screen():
    first_screen = "\n".join(README.splitlines()[:20])
    assert "make demo" in first_screen
    assert "make test" in first_screen


# ---------------------------------------------------------------------------------------- connection


def test_the_one_line_makes_a_connection_that_the_hook_accepts(sandbox, monkeypatch):
    from airflow_provider_honeyhive.hooks.honeyhive import HoneyHiveHook

    set_to = run_shell(the("bash", "$HH_API_KEY"), HH_API_KEY=sandbox.key, HH_API_URL=sandbox.url)
    monkeypatch.setenv("AIRFLOW_CONN_HONEYHIVE_DEFAULT", set_to)

    hook = HoneyHiveHook()

    assert hook.settings.project == PROJECT
    connected, message = hook.test_connection()
    assert connected, message


def test_the_one_line_does_without_a_url(monkeypatch):
    from airflow_provider_honeyhive.hooks.honeyhive import HoneyHiveHook

    monkeypatch.setenv("AIRFLOW_CONN_HONEYHIVE_DEFAULT", run_shell(the("bash", "$HH_API_KEY"), HH_API_KEY="hh_key"))

    assert HoneyHiveHook().settings.api_url == DEFAULT_API_URL
    assert f"`{DEFAULT_API_URL}`" in README


def test_the_extras_of_the_package_are_those_that_pip_is_told():
    with (ROOT / "pyproject.toml").open("rb") as file:
        extras = tomllib.load(file)["project"]["optional-dependencies"].keys() - {"dev"}
    (line,) = (line for line in the("bash", "pip install").splitlines() if "[" in line)
    assert set(re.findall(r"\w+", line.partition("of ")[2])) - {"or"} == extras


def test_the_daily_dag_exports_the_day_that_the_readme_says(sandbox, dag_of):
    dag = dag_of(the("python", '"@daily"'))
    (task,) = dag.tasks

    # As Airflow 3 runs it: an interval without length, at the tick.
    result = execute(task, dag, data_interval_start=DAY_END, data_interval_end=DAY_END)

    assert result.keys() == RESULT.keys()
    assert result["output_path"].endswith("/honeyhive/2026-11-23")
    for key in ("start_time", "end_time", "project"):
        assert result[key] == RESULT[key]
    assert result["event_count"] == len(sandbox.event_ids(DAY, DAY_END))
    assert sorted(path.name for path in Path(result["output_path"]).iterdir()) == sorted(
        ["_manifest.json", *(Path(file).name for file in result["files"])]
    )


# -------------------------------------------------------------------------------------------- results


def test_the_manifest_the_result_and_the_tree_agree():
    example = Document("docs/formats.md").the("json", '"schema_version"')
    manifest = Manifest.from_json(example.encode(), "formats.md")
    names = [part.path for part in manifest.files]

    assert manifest.event_count == sum(part.event_count for part in manifest.files) == RESULT["event_count"]
    assert manifest.size_bytes == RESULT["size_bytes"]
    assert [RESULT[key] for key in ("project", "start_time", "end_time")] == [
        manifest.project,
        manifest.start_time,
        manifest.end_time,
    ]
    assert [f"{RESULT['output_path']}/{name}" for name in names] == RESULT["files"]
    assert re.findall(r"── (\S+)", the("text", "_manifest.json")) == [layout.MANIFEST_NAME, *names]
    _, folder = layout.choose_layout(Path("2026-11-23"))
    for number, part in enumerate(manifest.files):
        assert part.path == folder.part_name(number, part.sha256)


def test_the_manifest_of_one_object_is_called_as_the_readme_says():
    _, one_object = layout.choose_layout(Path("day.jsonl.gz"))
    assert f"`{one_object.object_name}`" in README
    assert f"`{one_object.manifest_name}`" in README
