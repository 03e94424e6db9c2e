"""The page on testing: its tests pass, its tables are those of the sandbox."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from argparse import ArgumentParser

from _pytest.fixtures import FixtureFunctionDefinition

from airflow_provider_honeyhive import pytest_plugin
from airflow_provider_honeyhive.sandbox import Behaviour, Fault, Sandbox, command

from .documents import ROOT, Document, code, codes, literal_of, run_python, run_shell

PAGE = Document("docs/testing.md")


def test_the_test_with_the_factory_passes(honeyhive_sandbox_factory):
    run_python(PAGE.the("python", "def test_two_projects"))["test_two_projects"](honeyhive_sandbox_factory)


def test_the_connection_to_the_sandbox_is_that_of_its_command():
    parser = ArgumentParser()
    command.add_arguments(parser)
    words = PAGE.the("bash", "sandbox --port").split()
    assert words[:4] == ["python", "-m", "airflow_provider_honeyhive", "sandbox"]
    subprocess.run([sys.executable, *words[1:4], "--help"], cwd=ROOT, capture_output=True, check=True)
    given = parser.parse_args(words[4:])

    connection = json.loads(run_shell(PAGE.the("bash", "hh_sandbox").partition("\n")[0]))

    assert connection["host"] == f"http://{given.host}:{given.port}"
    assert connection["password"] == given.key
    assert connection["extra"] == {"project": given.project}


def test_the_number_of_events_is_that_of_the_fixture(honeyhive_sandbox):
    day = honeyhive_sandbox.event_ids(honeyhive_sandbox.start_time, honeyhive_sandbox.end_time)
    assert (len(day), len(honeyhive_sandbox.events())) == (300, 301)
    assert "300 events of yesterday, and one of 2024" in PAGE.text


def test_the_members_of_a_sandbox_are_there():
    with Sandbox(count=1) as sandbox:
        for row in PAGE.table("Member"):
            for name in codes(row[0]):
                found = getattr(sandbox, name.removesuffix("()"))
                assert callable(found) == name.endswith("()"), name


def test_the_table_of_fixtures_is_that_of_the_package():
    fixtures = {name for name, member in vars(pytest_plugin).items() if isinstance(member, FixtureFunctionDefinition)}
    assert {code(row[0]) for row in PAGE.table("Fixture")} == fixtures


def test_the_table_of_faults_is_that_of_the_code():
    rows = [code(row[0]) for row in PAGE.table("Fault")]
    makers = {name for name, member in vars(Fault).items() if isinstance(member, classmethod)}
    assert {call.removeprefix("Fault.").partition("(")[0] for call in rows} == makers
    for call in rows:
        assert isinstance(eval(call, {"Fault": Fault}), Fault)  # noqa: S307 - that is what is tested


def test_the_statements_of_the_text_work(honeyhive_sandbox):
    names = {"sandbox": honeyhive_sandbox, "Fault": Fault, "Behaviour": Behaviour}
    for statement in (
        "sandbox.faults.append(Fault.answer(503))",
        'sandbox.behaviour = Behaviour(cap=100, order="ties_random")',
    ):
        assert f"`{statement}`" in PAGE.text
        exec(statement, names)  # noqa: S102 - that is what is tested
    assert [fault.status for fault in honeyhive_sandbox.faults] == [503]


def test_the_table_of_behaviours_has_the_defaults_of_the_code():
    rows = {code(row[0]): literal_of(row[1]) for row in PAGE.table("Field")}
    fields = {one.name: one.default for one in dataclasses.fields(Behaviour)}
    assert rows == {name: fields[name] for name in rows}
    assert "`help(Behaviour)` lists" in PAGE.text
    assert all(f":param {name}:" in Behaviour.__doc__ for name in fields)
