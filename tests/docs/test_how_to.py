"""The commands of the recipes; their DAGs are run by ``tests/system/test_page_dags.py``."""

from __future__ import annotations

import shlex

import pytest

from airflow_provider_honeyhive.cli import main as cli

from .documents import Document

PAGE = Document("docs/how-to.md")
COMMANDS = [one.text for one in PAGE.snippets("bash")]


def test_there_are_commands_of_both_airflows_and_one_of_the_package():
    assert [command.split()[:3] for command in COMMANDS] == [
        ["airflow", "backfill", "create"],
        ["airflow", "dags", "backfill"],
        ["python", "-m", "airflow_provider_honeyhive"],
    ]


@pytest.mark.parametrize("command", [text for text in COMMANDS if text.startswith("python")])
def test_a_command_of_the_package_is_understood(command):
    assert cli.build_parser().parse_args(shlex.split(command)[3:])


def test_the_path_that_is_verified_is_that_of_the_readme():
    assert "verify s3://my-bucket/honeyhive/`" in PAGE.text
    assert 'output_path="s3://my-bucket/honeyhive/' in Document("README.md").text
