"""The README says what the code does: its snippets run, its tables and examples are those of the code."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
import tomllib
from argparse import ArgumentParser
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_honeyhive import exceptions, layout, models
from airflow_provider_honeyhive.connection_form import EXTRA_FIELDS
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.sandbox import Fault, Sandbox, command
from airflow_provider_honeyhive.sandbox.fixtures import honeyhive_sandbox
from airflow_provider_honeyhive.settings import DEFAULT_API_URL, ClientSettings

from .documents import ROOT, Document, code, codes, literal_of, run_python

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["honeyhive_sandbox"]

PAGE = Document("README.md")
README = PAGE.text
the, table = PAGE.the, PAGE.table
PROJECT = "my-project"
#: The window that the README's examples speak of.
DAY = datetime(2026, 11, 22, tzinfo=UTC)
DAY_END = DAY + timedelta(days=1)


def run_shell(text: str, **env: str) -> str:
    """Run a block that sets the connection, and return what it set."""
    script = f'set -eu\n{text}\nprintf %s "$AIRFLOW_CONN_HONEYHIVE_DEFAULT"'
    return subprocess.run(
        ["/bin/bash", "-c", script], env={"PATH": os.environ["PATH"], **env}, capture_output=True, text=True, check=True
    ).stdout


@pytest.fixture(scope="module", autouse=True)
def airflow_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep an Airflow that is imported here away from the user's own."""
    with pytest.MonkeyPatch.context() as patch:
        if "airflow" not in sys.modules:
            patch.setenv("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
            patch.setenv("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
        import airflow  # noqa: F401 - reads its home now

        yield


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """Serve the README's project, reached by the default connection."""
    with Sandbox(count=300, end=DAY_END, project=PROJECT) as sandbox:
        connection = {"conn_type": "honeyhive", "host": sandbox.url, "password": sandbox.key}
        monkeypatch.setenv(
            "AIRFLOW_CONN_HONEYHIVE_DEFAULT", json.dumps({**connection, "extra": {"project": sandbox.project}})
        )
        yield sandbox


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


@pytest.mark.parametrize("snippet", PAGE.snippets("python"), ids=str)
def test_python_compiles_and_fits_the_page(snippet):
    compile(snippet.text, "README.md", "exec")
    assert max(map(len, snippet.text.splitlines())) <= 120


@pytest.mark.parametrize("snippet", PAGE.snippets("bash"), ids=str)
def test_shell_is_sound(snippet):
    subprocess.run(["/bin/bash", "-n", "-c", snippet.text], check=True)


@pytest.mark.parametrize("snippet", PAGE.snippets("json"), ids=str)
def test_json_is_json(snippet):
    json.loads(snippet.text)


def test_both_commands_are_on_the_first_screen():
    first_screen = "\n".join(README.splitlines()[:20])
    assert "make demo" in first_screen
    assert "make test" in first_screen


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_every_make_target_exists(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE))
    assert named
    assert named <= targets


def test_every_import_of_the_package_works():
    for match in re.finditer(r"^from (airflow_provider_honeyhive[\w.]*) import (\w+)", README, re.MULTILINE):
        run_python(match[0])


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


def test_the_table_of_extras_is_that_of_the_connection():
    rows = {code(row[0]): literal_of(row[1]) for row in table("Extra")}
    assert rows == {name: ClientSettings.model_fields[name].default for name in EXTRA_FIELDS}


def test_the_connection_to_the_sandbox_is_that_of_its_command():
    parser = ArgumentParser()
    command.add_arguments(parser)
    words = the("bash", "sandbox --port").split()
    assert words[:4] == ["python", "-m", "airflow_provider_honeyhive", "sandbox"]
    subprocess.run([sys.executable, *words[1:4], "--help"], cwd=ROOT, capture_output=True, check=True)
    given = parser.parse_args(words[4:])

    connection = json.loads(run_shell(the("bash", "hh_sandbox").partition("\n")[0]))

    assert connection["host"] == f"http://{given.host}:{given.port}"
    assert connection["password"] == given.key
    assert connection["extra"] == {"project": given.project}


# ------------------------------------------------------------------------------------------- operator


def test_the_extras_of_the_package_are_those_that_pip_is_told():
    with (ROOT / "pyproject.toml").open("rb") as file:
        extras = tomllib.load(file)["project"]["optional-dependencies"].keys() - {"dev"}
    (line,) = (line for line in the("bash", "pip install").splitlines() if "[" in line)
    assert set(re.findall(r"\w+", line.partition("of ")[2])) - {"or"} == extras


def test_the_table_of_arguments_is_that_of_the_operator():
    from airflow_provider_honeyhive.operators.honeyhive import HoneyHiveExportEventsOperator as Operator

    signature = inspect.signature(inspect.unwrap(Operator.__init__)).parameters
    wanted = {
        name: (parameter.default, "yes" if name in Operator.template_fields else "no")
        for name, parameter in signature.items()
        if name not in ("self", "kwargs")
    }
    rows = {code(row[0]): (literal_of(row[2]), row[3]) for row in table("Argument")}

    assert rows == wanted
    assert list(rows) == list(wanted)
    assert set(Operator.template_fields) <= rows.keys()


@pytest.mark.parametrize(
    ("argument", "names"),
    [
        ("file_format", layout.FILE_FORMATS),
        ("compression", layout.COMPRESSIONS),
        ("partition_by", layout.PARTITION_KEYS),
    ],
)
def test_the_table_of_arguments_names_what_they_take(argument, names):
    (meaning,) = (row[4] for row in table("Argument") if code(row[0]) == argument)
    assert set(codes(meaning)) == set(names)


def test_the_daily_dag_exports_the_day_that_the_readme_says(sandbox, dag_of):
    dag = dag_of(the("python", '"@daily"'))
    (task,) = dag.tasks

    # As Airflow 3 runs it: an interval without length, at the tick.
    result = execute(task, dag, data_interval_start=DAY_END, data_interval_end=DAY_END)

    example = json.loads(the("json", '"manifest_path"'))
    assert result.keys() == example.keys()
    assert result["output_path"].endswith("/honeyhive/2026-11-23")
    for key in ("start_time", "end_time", "project"):
        assert result[key] == example[key]
    assert result["event_count"] == len(sandbox.event_ids(DAY, DAY_END))
    assert sorted(path.name for path in Path(result["output_path"]).iterdir()) == sorted(
        ["_manifest.json", *(Path(file).name for file in result["files"])]
    )


def test_the_dag_by_hand_exports_the_window_of_its_params(sandbox, dag_of):
    dag = dag_of(the("python", "params="))
    (task,) = dag.tasks

    result = execute(task, dag, params={name: param.value for name, param in dag.params.items()})

    assert result["start_time"] == "2026-11-01T00:00:00.000000Z"
    assert result["end_time"] == "2026-11-08T00:00:00.000000Z"
    assert result["output_path"].endswith("/from-2026-11-01-to-2026-11-08")


@pytest.mark.parametrize(
    ("template", "rendered"),
    [
        ("{{ data_interval_end | ds }}", "2026-11-23"),
        ("{{ macros.ds_add(data_interval_end | ds, -1) }}", "2026-11-22"),
        ("{{ data_interval_end | ts_nodash }}", "20261123T000000"),
        ("{{ run_id }}", "scheduled__2026-11-23"),
        ("{{ dag_run.run_after | ds }}", "2026-11-23"),
    ],
)
def test_the_templates_for_paths_render(template, rendered):
    from airflow.providers.common.compat.sdk import DAG
    from airflow.sdk.execution_time import macros

    from airflow_provider_honeyhive.operators.honeyhive import HoneyHiveExportEventsOperator

    assert f"`{template}`" in README
    with DAG("templates", schedule=None):
        task = HoneyHiveExportEventsOperator(task_id="export", output_path=f"/export/{template}/")

    dag_run = SimpleNamespace(run_after=DAY_END)
    context = {"data_interval_end": DAY_END, "dag_run": dag_run, "run_id": "scheduled__2026-11-23", "macros": macros}
    task.render_template_fields(context)

    assert task.output_path == f"/export/{rendered}/"


# -------------------------------------------------------------------------------------------- filters


def test_the_filters_are_read_as_the_readme_says():
    from airflow.providers.common.compat.sdk import DAG

    from airflow_provider_honeyhive.operators.honeyhive import HoneyHiveExportEventsOperator

    with DAG("filters", schedule=None):
        task = HoneyHiveExportEventsOperator(
            task_id="export", filters=run_python(the("python", "filters = ["))["filters"]
        )

    task.render_template_fields({"params": {"slow_ms": 1000}})

    assert [(one.field, one.operator, one.value, one.type) for one in models.parse_filters(task.filters)] == [
        ("event_type", "is", "model", "string"),
        ("duration", "greater than", 1000, "number"),
        ("error", "exists", None, "string"),
        ("config.template", "contains", "Answer {{question}}", "string"),
    ]


def test_the_table_of_operators_is_that_of_the_filters():
    rows = {code(row[0]): tuple(codes(row[1])) for row in table("Type")}
    assert rows == models._OPERATORS


# -------------------------------------------------------------------------------------------- results


def test_the_manifest_the_result_and_the_tree_agree():
    example = Document("docs/formats.md").the("json", '"schema_version"')
    manifest = Manifest.from_json(example.encode(), "formats.md")
    result = json.loads(the("json", '"manifest_path"'))
    names = [part.path for part in manifest.files]

    assert manifest.event_count == sum(part.event_count for part in manifest.files) == result["event_count"]
    assert manifest.size_bytes == result["size_bytes"]
    assert [result[key] for key in ("project", "start_time", "end_time")] == [
        manifest.project,
        manifest.start_time,
        manifest.end_time,
    ]
    assert [f"{result['output_path']}/{name}" for name in names] == result["files"]
    assert re.findall(r"── (\S+)", the("text", "_manifest.json")) == [layout.MANIFEST_NAME, *names]
    _, folder = layout.choose_layout(Path("2026-11-23"))
    for number, part in enumerate(manifest.files):
        assert part.path == folder.part_name(number, part.sha256)


def test_the_manifest_of_one_object_is_called_as_the_readme_says():
    _, one_object = layout.choose_layout(Path("day.jsonl.gz"))
    assert f"`{one_object.object_name}`" in README
    assert f"`{one_object.manifest_name}`" in README


# --------------------------------------------------------------------------------------- hook, errors


def test_the_hooks_three_calls_work(sandbox, capsys):
    made = run_python(the("python", "hook.iter_events"))

    ids = sandbox.event_ids(DAY, DAY_END)
    assert len(made["page"].events) == 100
    assert made["page"].total == len(sandbox.events())
    assert made["count"] == len(ids)
    assert set(capsys.readouterr().out.split()) >= ids


def test_the_table_of_calls_names_what_the_hook_has():
    from airflow_provider_honeyhive.hooks.honeyhive import HoneyHiveHook

    for row in table("Call"):
        parameters = inspect.signature(getattr(HoneyHiveHook, code(row[0]))).parameters
        assert {"project", "filters", "start_time", "end_time", "evaluation_id"} <= parameters.keys()
        assert ({"projections", "exclude_fields", "redact"} <= parameters.keys()) == (code(row[0]) != "count_events")


def test_the_table_of_errors_names_all_and_says_which_are_retried():
    bases = (exceptions.HoneyHiveError, exceptions.HoneyHiveAPIError)
    wanted = {
        name: kind.retryable
        for name, kind in inspect.getmembers(exceptions, inspect.isclass)
        if issubclass(kind, exceptions.HoneyHiveError) and kind not in bases
    }
    rows = {code(row[0]): row[2] for row in table("Error")}
    assert {name: said.partition(",")[0] == "yes" for name, said in rows.items()} == wanted
    assert {said.partition(",")[0] for said in rows.values()} == {"yes", "no"}


def test_every_error_named_exists():
    named = set(re.findall(r"`(\w+Error)`", README))
    assert named
    assert {name for name in named if not hasattr(exceptions, name)} == set()


def test_the_test_for_users_passes(honeyhive_sandbox, monkeypatch):
    test = run_python(the("python", "def test_"))["test_every_event_is_read"]

    test(honeyhive_sandbox, monkeypatch)

    assert honeyhive_sandbox.requests


def test_faults_are_set_as_the_readme_says(sandbox):
    statement = "sandbox.faults.append(Fault.answer(503))"
    assert f"`{statement}`" in README
    exec(statement, {"sandbox": sandbox, "Fault": Fault})  # noqa: S102
    assert [fault.status for fault in sandbox.faults] == [503]
