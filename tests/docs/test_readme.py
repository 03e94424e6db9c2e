"""The README: its commands are told, its connection works, its results are those of other pages and of the code."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

from airflow_provider_honeyhive.api.settings import DEFAULT_API_URL
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.models import layout

from .documents import PROJECT, ROOT, Document, run_shell

PAGE = Document("README.md")
README = PAGE.text
the = PAGE.the
#: What the daily DAG returns, as its page says and as tests of its runs find.
RESULT = json.loads(Document("docs/operator.md").the("json", '"manifest_path"'))


# ------------------------------------------------------------------------------------------ snippets


def test_both_commands_are_on_the_first_screen():
    first_screen = "\n".join(README.splitlines()[:20])
    assert "make demo" in first_screen
    assert "make test" in first_screen


# ---------------------------------------------------------------------------------------- connection


def test_the_one_line_makes_a_connection_that_the_hook_accepts(sandbox, monkeypatch):
    from airflow_provider_honeyhive.hooks.honeyhive import HoneyHiveHook

    set_to = run_shell(
        the("bash", "$HH_PROJECT_API_KEY"), HH_PROJECT_API_KEY=sandbox.key, HH_DATA_PLANE_URL=sandbox.url
    )
    monkeypatch.setenv("AIRFLOW_CONN_HONEYHIVE_DEFAULT", set_to)

    hook = HoneyHiveHook()

    assert hook.settings.project == PROJECT
    connected, message = hook.test_connection()
    assert connected, message


def test_the_one_line_does_without_a_url(monkeypatch):
    from airflow_provider_honeyhive.hooks.honeyhive import HoneyHiveHook

    monkeypatch.setenv(
        "AIRFLOW_CONN_HONEYHIVE_DEFAULT", run_shell(the("bash", "$HH_PROJECT_API_KEY"), HH_PROJECT_API_KEY="hh_key")
    )

    assert HoneyHiveHook().settings.api_url == DEFAULT_API_URL
    assert f"`{DEFAULT_API_URL}`" in README


def test_the_extras_of_the_package_are_those_that_pip_is_told():
    with (ROOT / "pyproject.toml").open("rb") as file:
        extras = tomllib.load(file)["project"]["optional-dependencies"].keys() - {"dev", "lint", "readers"}
    (line,) = (line for line in the("bash", "pip install").splitlines() if "[" in line)
    assert set(re.findall(r"\w+", line.partition("of ")[2])) - {"or"} == extras


def test_whatever_the_page_links_to_is_in_the_source_distribution():
    with (ROOT / "pyproject.toml").open("rb") as file:
        included = tomllib.load(file)["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    targets = {target for target in re.findall(r"\]\(([^)#\s]+)", README) if "://" not in target}
    assert "example_dags/" in targets
    assert {target.partition("/")[0] for target in targets} <= set(included)


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
        assert folder.owns(part.path)
        assert part.path.startswith(folder.part_name(number, part.sha256, "").rpartition("-")[0])


def test_the_manifest_of_one_object_is_called_as_the_readme_says():
    _, one_object = layout.choose_layout(Path("day.jsonl.gz"))
    assert f"`{one_object.object_name}`" in README
    assert f"`{one_object.manifest_name}`" in README
