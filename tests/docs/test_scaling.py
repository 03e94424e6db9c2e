"""The page on many workers: its DAG works, its tables are those of the operators."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from airflow_provider_honeyhive.models.options import MOST_SHARDS
from airflow_provider_honeyhive.operators import mapped

from .documents import Document, check_arguments, run_python

PAGE = Document("docs/scaling.md")
OPERATORS = ("HoneyHiveSplitWindowOperator", "HoneyHiveCombineExportsOperator")


@pytest.mark.parametrize(("name", "table"), zip(OPERATORS, PAGE.tables("Argument"), strict=True))
def test_the_tables_of_arguments_are_those_of_the_operators(name, table):
    check_arguments(table, getattr(mapped, name))


def test_the_dag_of_the_page_maps_the_export_between_split_and_combination():
    dag = run_python(PAGE.the("python"))["split"].dag

    assert {id_: task.downstream_task_ids for id_, task in dag.task_dict.items()} == {
        "split": {"export"},
        "export": {"combine"},
        "combine": set(),
    }
    assert dag.task_dict["export"].is_mapped


def test_its_numbers_are_those_of_the_code():
    assert f"1 to {MOST_SHARDS} " in PAGE.text


def test_its_settings_of_airflow_exist_with_these_defaults():
    import airflow

    text = (Path(airflow.__file__).parent / "config_templates" / "config.yml").read_text()
    for section, option, default in (
        ("scheduler", "task_instance_heartbeat_timeout", "300"),
        ("scheduler", "task_queued_timeout", "600.0"),
        ("core", "max_map_length", "1024"),
    ):
        assert f"[{section}] {option}`" in PAGE.text
        found = re.search(rf'^{section}:.*?^    {option}:.*?default: "([^"]+)"', text, re.DOTALL | re.MULTILINE)
        assert found, option
        assert found[1] == default
