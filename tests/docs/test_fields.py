"""The page on fields: its snippets work, its tables are those of the code, its hashes are the exporter's."""

from __future__ import annotations

import inspect
import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from airflow_provider_honeyhive.cli import main as cli
from airflow_provider_honeyhive.events.keyed_hash import canonical, redacted
from airflow_provider_honeyhive.events.masking import Masker
from airflow_provider_honeyhive.formats.rows import to_rows
from airflow_provider_honeyhive.models.fields import ALWAYS_PROJECTED, KEPT_FIELDS, SHORTEST_KEY, FieldRules

from .documents import Document, code, codes, run_python

if TYPE_CHECKING:
    from pathlib import Path

PAGE = Document("docs/fields.md")
SECRET = "a-long-random-secret"
ARGUMENTS = ("projections", "exclude_fields", "redact")


def test_the_table_of_arguments_names_those_of_operator_hook_and_command():
    from airflow_provider_honeyhive.hooks.honeyhive import HoneyHiveHook
    from airflow_provider_honeyhive.operators.honeyhive import HoneyHiveExportEventsOperator

    rows = {code(row[0]): code(row[1]) for row in PAGE.table("Argument")}
    assert tuple(rows) == ARGUMENTS
    for function in (
        inspect.unwrap(HoneyHiveExportEventsOperator.__init__),
        HoneyHiveHook.export_events,
        HoneyHiveHook.iter_events,
    ):
        assert set(ARGUMENTS) <= inspect.signature(function).parameters.keys()
    words = ["export", "--start", "x", "--end", "x", "--output", "x"]
    cli.build_parser().parse_args([*words, *(word for option in rows.values() for word in (option, "x"))])
    (always,) = (codes(row[2]) for row in PAGE.table("Argument") if code(row[0]) == "projections")
    assert tuple(always) == ALWAYS_PROJECTED


def test_the_task_of_the_page_is_accepted():
    from airflow.providers.common.compat.sdk import DAG

    with DAG("fields", schedule=None) as dag:
        run_python(PAGE.the("python", "exclude_fields="))

    (task,) = dag.tasks
    assert task.redact == ["user_properties.email"]


@pytest.mark.parametrize("row", PAGE.table("Event", "Path"), ids=lambda row: row[1])
def test_paths_lead_where_the_table_says(row):
    event, path, left = map(code, row)
    assert Masker(FieldRules(exclude_fields=(path,))).apply(event.encode()).decode() == left


def test_the_table_of_fields_that_stay_is_that_of_the_code():
    assert [code(row[0]) for row in PAGE.table("Field")] == list(KEPT_FIELDS)


def test_a_hash_in_a_column_without_texts_is_in_extra():
    rules = FieldRules.parse(redact=["duration", "end_time", "children_ids", "error", "inputs"], redact_secret=SECRET)
    raw = Masker(rules).apply(b'{"duration":1.5,"end_time":1795391987777,"children_ids":["a"],"error":"e","inputs":{}}')
    rows = to_rows([raw])
    assert set(rows.misfits) == {"duration", "end_time", "children_ids"}
    assert all(f"`{name}`" in PAGE.text for name in rows.misfits)
    assert set(json.loads(rows.values["extra"][0])) == set(rows.misfits)


@pytest.mark.parametrize("text", ["ada@example.com", 'q " \\ \n \x01', "ü 😀", ""])
def test_the_functions_hashes_are_the_exporters(text):
    function = run_python(PAGE.the("python", "def redacted"))["redacted"]
    assert redacted(json.dumps(text).encode(), SECRET.encode()).decode() == json.dumps(function(text, SECRET))


def test_the_shells_hash_is_the_exporters(tmp_path: Path):
    script = PAGE.the("bash", "openssl dgst")
    found = subprocess.run(
        ["/bin/bash", "-c", script],
        env={"PATH": "/usr/bin:/bin", "HH_REDACT_SECRET": SECRET},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    assert f'"hh_redacted:{found}"'.encode() == redacted(b'"ada@example.com"', SECRET.encode())


def test_the_canonical_texts_are_those_that_the_page_shows():
    shown = PAGE.text.rpartition("keep all their digits: ")[2]
    assert list(map(canonical, (b"824.80560", b'[ "a", "\\u0062" ]', b'{"b":true, "a":1.0}'))) == [
        text.encode() for text in codes(shown)
    ]


def test_its_numbers_are_those_of_the_code():
    assert f"at least {SHORTEST_KEY} characters" in PAGE.text
    assert "32 hexadecimal digits" in PAGE.text
    assert len(redacted(b"1", b"k")) == len('"hh_redacted:"') + 32
