"""The page on the command line: its commands run against the sandbox, its tables are those of the code."""

from __future__ import annotations

import argparse
import inspect
import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from airflow_provider_honeyhive.build_manifest import BuildManifest
from airflow_provider_honeyhive.cli import export as export_command
from airflow_provider_honeyhive.cli import main as cli
from airflow_provider_honeyhive.cli.terminal import MEANINGS
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.operators.dataset import HoneyHiveBuildDatasetOperator
from airflow_provider_honeyhive.operators.report import HoneyHiveReportOperator
from airflow_provider_honeyhive.operators.tables import HoneyHiveBuildTablesOperator
from airflow_provider_honeyhive.sandbox import Sandbox

from .documents import DAY, DAY_END, PROJECT, ROOT, Document, code, codes

if TYPE_CHECKING:
    from pathlib import Path

PAGE = Document("docs/command-line.md")
#: Command -> the operator that does the same.
BUILDS = {
    "tables": HoneyHiveBuildTablesOperator,
    "dataset": HoneyHiveBuildDatasetOperator,
    "report": HoneyHiveReportOperator,
}


@pytest.fixture
def run(tmp_path: Path):
    """Give a function that runs a block of the page in an empty folder, against a sandbox of the page's project."""
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    python = bin_folder / "python"
    # No link: it would lose the packages of this Python's environment.
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    with Sandbox(count=300, end=DAY_END, project=PROJECT, key="hh_KEY") as sandbox:

        def run(text: str, **env: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                ["/bin/bash", "-euc", text],
                env={
                    "PATH": f"{bin_folder}:{os.environ['PATH']}",
                    "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}",
                    "HH_DATA_PLANE_URL": sandbox.url,
                    **env,
                },
                cwd=tmp_path,
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
            )

        run.sandbox = sandbox
        yield run


def test_the_first_block_exports_a_day_and_verifies_it(run, tmp_path):
    done = run(PAGE.the("bash", "verify out\n"))

    assert done.returncode == 0, done.stderr
    assert Manifest.read(tmp_path / "out/2026-11-22").event_count == len(run.sandbox.event_ids(DAY, DAY_END))
    assert "exports: 1, events: 300," in done.stdout


def test_the_block_with_many_options_exports_what_they_say(run, tmp_path):
    done = run(PAGE.the("bash", "--partition-by"), HH_PROJECT_API_KEY="hh_KEY")

    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert set(result) == set(json.loads(Document("docs/operator.md").the("json", '"manifest_path"')))
    manifest = Manifest.read(tmp_path / "out/failed-model-calls")
    assert manifest.event_count == result["event_count"]
    assert (manifest.file_format, manifest.partition_by) == ("parquet", ["event_type"])
    assert manifest.request.exclude_fields == ["inputs", "outputs.content"]
    assert [one["field"] for one in manifest.request.filters] == ["event_type", "error"]
    assert (manifest.start_time, manifest.end_time) == ("2026-11-22T06:00:00.000Z", "2026-11-22T12:00:00.000Z")


def test_the_block_for_cron_exports_yesterday(run, tmp_path):
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)

    done = run(PAGE.the("bash", "date -u"), HH_PROJECT_API_KEY="hh_KEY")

    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "nightly").iterdir()
    manifest = Manifest.read(folder)
    assert folder.name == f"{midnight - timedelta(days=1):%Y-%m-%d}"
    assert manifest.end_time == f"{midnight:%Y-%m-%d}T00:00:00.000Z"
    assert done.stderr == ""


def test_the_blocks_that_verify_find_what_is_wrong(run, tmp_path):
    assert run(PAGE.the("bash", "verify out\n")).returncode == 0
    verify = PAGE.the("bash", "--allow-gaps")
    assert run(verify).returncode == 0
    (part,) = (tmp_path / "out/2026-11-22").glob("part-*")
    part.write_bytes(part.read_bytes()[:-1])

    done = run(verify)

    assert done.returncode == 1
    assert "FAILED" in done.stdout


def test_the_block_that_builds_leaves_tables_a_page_and_training_files(run, tmp_path):
    assert run(PAGE.the("bash", "verify out\n")).returncode == 0

    done = run(PAGE.the("bash", "tables --exports"))

    assert done.returncode == 0, done.stderr
    kinds = {path.parent.name: path.name for path in (tmp_path / "built").glob("*/_*.json")}
    assert kinds == {"tables": "_tables.json", "report": "_report.json", "training": "_dataset.json"}
    for name in kinds:
        BuildManifest.read(tmp_path / "built" / name).verify()
    tables, page, training = done.stdout.splitlines()
    assert tables.startswith("Built tables of 1 export of project my-project, window [2026-11-22T00:00:00.000Z, ")
    assert page == f"Report: {(tmp_path / 'built' / 'report' / 'report.html')}"
    assert training.startswith("Built training files of 1 export")


def test_the_block_that_cleans_up_removes_what_is_old_and_nothing_else(run, tmp_path):
    names = [f"2026-11-22/_staging-0123456{number}-01234567-00000000" for number in range(2)]
    old, young = (tmp_path / "out" / name / "plan.json" for name in names)
    for path in (old, young):
        path.parent.mkdir(parents=True)
        path.write_text("{}")
    os.utime(old, (0, 0))

    done = run(PAGE.the("bash", "cleanup out\n"))

    assert done.returncode == 0, done.stderr
    assert [line.partition(",")[0] for line in done.stdout.splitlines()] == [
        f"would remove {names[0]}",
        "leftovers: 1",
        f"removed {names[0]}",
        "leftovers: 1",
    ]
    assert young.exists()
    assert not old.parent.exists()


def test_the_sandbox_of_the_page_serves(tmp_path):
    words = PAGE.the("bash", "sandbox --port").split()
    words[words.index("--port") + 1] = "0"
    with subprocess.Popen(
        [sys.executable, *words[1:]],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            line = process.stdout.readline()
            # All that it says before it waits: it would end otherwise where nobody reads on.
            while not process.stdout.readline().startswith("curl "):
                assert process.poll() is None
        finally:
            process.terminate()
    assert re.match(r"HoneyHive sandbox url=http://127\.0\.0\.1:\d+ project=demo key=hh_sandbox project_id=\w+ ", line)
    assert process.returncode == 0


# ---------------------------------------------------------------------------------------------- tables


def options_of(command: str) -> dict[str, argparse.Action]:
    parser = cli.build_parser()
    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    actions = commands.choices[command]._actions
    return {name: action for action in actions for name in action.option_strings if name not in ("-h", "--help")}


def rows_in(heading: str) -> dict[str, list[str]]:
    """Return the rows of all tables of options in a section."""
    tables = PAGE.section(f"`{heading}`").tables()
    return {code(row[0]): row for _, *rows in tables for row in rows if row[0].startswith("`--")}


@pytest.mark.parametrize("command", ["verify", "cleanup", "sandbox"])
def test_every_option_is_in_a_table(command):
    assert set(rows_in(command)) == set(options_of(command))


def test_options_of_the_export_are_in_the_table_or_named_as_the_arguments():
    rows = {name: codes(row[1])[0] for name, row in rows_in("export").items() if row[1].startswith("`")}
    named = {option: argument for argument, option in export_command._OPTIONS.items()}
    switches = {"--no-content": "include_content=False", "--no-replace": "replace=False"}
    named |= {**switches, "--no-trust-total": "trust_total=False"}
    alike = {f"--{argument.replace('_', '-')}": argument for argument in named.values()}
    assert rows.items() <= named.items()
    assert (named.items() - rows.items()) <= alike.items()
    assert set(options_of("export")) == {*named, *rows_in("export")}


@pytest.mark.parametrize(("command", "kind"), BUILDS.items())
def test_options_of_builds_are_in_the_table_or_named_as_the_arguments(command, kind):
    told = rows_in("export") | rows_in("tables`, `dataset`, `report")
    rows = {name: codes(row[1])[:1] for name, row in told.items() if row[1].startswith("`")}
    # What no argument is: where the export's table says it, or the builds'.
    rows |= {name: [] for name in told.keys() - rows.keys()}
    arguments = set(inspect.signature(inspect.unwrap(kind.__init__)).parameters)
    for option in options_of(command):
        named = rows.get(option, [option.removeprefix("--").replace("-", "_")])
        assert set(named) <= arguments, option


def test_every_option_in_the_table_of_builds_is_one():
    assert set(rows_in("tables`, `dataset`, `report")) <= {option for name in BUILDS for option in options_of(name)}


@pytest.mark.parametrize("command", ["cleanup", "sandbox"])
def test_defaults_are_those_of_the_table(command):
    for name, row in rows_in(command).items():
        if row[1].startswith("`"):
            assert str(options_of(command)[name].default) == code(row[1]), name


def test_the_table_of_exit_codes_is_that_of_the_code():
    assert {int(row[0]): row[1] for row in PAGE.table("Code")} == MEANINGS
