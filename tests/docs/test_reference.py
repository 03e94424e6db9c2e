"""The reference has every argument, with the default and the templating of the code."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import airflow_provider_honeyhive
from airflow_provider_honeyhive.models import layout
from airflow_provider_honeyhive.models.filters import EventFilter
from airflow_provider_honeyhive.provider_info import get_provider_info

from .documents import NO, ROOT, YES, Document, check_arguments, code, codes, default_in, literal_of

PAGE = Document("docs/reference.md")
#: Classes that have no table here, and where they are told of.
ELSEWHERE = {
    "HoneyHiveSplitWindowOperator": "docs/scaling.md",
    "HoneyHiveCombineExportsOperator": "docs/scaling.md",
    "HoneyHiveEventsTrigger": "docs/reference.md",
    "HoneyHiveMomentTrigger": "docs/reference.md",
}
#: Classes each of whose arguments has a row of its own.
WITH_TABLES = (
    "HoneyHiveExportEventsOperator",
    "HoneyHiveBuildTablesOperator",
    "HoneyHiveReportOperator",
    "HoneyHiveEventsSensor",
    "HoneyHiveNewEventsTrigger",
)
CALLS = ("export_events", "iter_events", "count_events")


def table_of(heading: str) -> list[list[str]]:
    (table,) = PAGE.section(f"`{heading}`").tables()
    return table


def rows_of(heading: str) -> list[list[str]]:
    return table_of(heading)[1:]


def classes() -> dict[str, type]:
    """Return the classes that Airflow is told of, and the hook."""
    info = get_provider_info()
    modules = [
        module
        for kind in ("hooks", "operators", "sensors", "triggers")
        for entry in info[kind]
        for module in entry["python-modules"]
    ]
    return {
        name: found
        for module in modules
        for name, found in vars(importlib.import_module(module)).items()
        if inspect.isclass(found) and found.__module__ == module and not name.startswith("_")
    }


def test_every_class_that_airflow_is_told_of_is_told_of():
    for name in classes():
        page = ELSEWHERE.get(name)
        assert (f"`{name}`" in Document(page).text) if page else f"\n## `{name}`\n" in PAGE.text, name


@pytest.mark.parametrize("name", WITH_TABLES)
def test_arguments_are_those_of_the_code(name):
    assert ("Templated" in table_of(name)[0]) == hasattr(classes()[name], "template_fields")
    check_arguments(table_of(name), classes()[name])


def test_the_dataset_takes_the_arguments_of_the_tables_and_its_own():
    header, *shared = table_of("HoneyHiveBuildTablesOperator")
    shared = [row for row in shared if code(row[0]) != "measurements"]
    # The limits of DuckDB come last.
    rows = [*shared[:-2], *rows_of("HoneyHiveBuildDatasetOperator"), *shared[-2:]]
    check_arguments([header, *rows], classes()["HoneyHiveBuildDatasetOperator"])


def test_the_calls_of_the_hook_take_what_the_table_says():
    hook = classes()["HoneyHiveHook"]
    wanted: dict[str, tuple[Any, list[str]]] = {}
    signatures = {call: inspect.signature(getattr(hook, call)).parameters for call in CALLS}
    for parameters in signatures.values():
        for name, parameter in parameters.items():
            if name != "self":
                takers = [YES if name in signatures[call] else NO for call in CALLS]
                wanted[name] = (parameter.default, takers)
    rows = {code(row[0]): (literal_of(row[1]), row[2:5]) for row in rows_of("HoneyHiveHook")}
    assert rows == wanted
    made_with = inspect.signature(hook.__init__).parameters["honeyhive_conn_id"].default
    assert f'`HoneyHiveHook(honeyhive_conn_id="{made_with}")`' in PAGE.text


def test_the_fields_of_a_filter_are_those_of_the_code():
    rows = {code(row[0]): default_in(row[1]) for row in rows_of("EventFilter")}
    wanted = {
        name: "required" if field.is_required() else field.default for name, field in EventFilter.model_fields.items()
    }
    assert rows == wanted


@pytest.mark.parametrize(
    ("argument", "names"),
    [
        ("file_format", layout.FILE_FORMATS),
        ("compression", layout.COMPRESSIONS),
        ("partition_by", layout.PARTITION_KEYS),
    ],
)
def test_the_table_of_the_export_names_what_its_arguments_take(argument, names):
    (meaning,) = (row[4] for row in rows_of("HoneyHiveExportEventsOperator") if code(row[0]) == argument)
    assert set(codes(meaning)) == set(names)


def test_every_import_that_is_shown_is_that_of_its_section():
    for name in (*WITH_TABLES, "HoneyHiveBuildDatasetOperator", "HoneyHiveHook"):
        assert f"`from {classes()[name].__module__} import {name}`" in PAGE.section(f"`{name}`").text


def test_every_variable_of_the_environment_is_in_the_table():
    sources = [
        *Path(airflow_provider_honeyhive.__file__).parent.rglob("*.py"),
        *(ROOT / "example_dags").glob("*.py"),
        ROOT / "scripts" / "demo.py",
    ]
    text = "".join(path.read_text(encoding="utf-8") for path in sources)
    wanted = set(re.findall(r'"((?:HH|HONEYHIVE)_[A-Z_]+|AIRFLOW_CONN_HONEYHIVE_DEFAULT)"', text))
    assert {code(row[0]) for row in PAGE.table("Variable")} == wanted
