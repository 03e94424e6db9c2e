"""The page on the operator: its tables and numbers are those of the code."""

from __future__ import annotations

import jinja2

from airflow_provider_honeyhive.export.result import MOST_FILES_LISTED
from airflow_provider_honeyhive.models import filters, options
from airflow_provider_honeyhive.models import request as models
from airflow_provider_honeyhive.models.output_path import WINDOW_PLACEHOLDERS, OutputPath
from airflow_provider_honeyhive.models.time_format import DIRECTIVES
from airflow_provider_honeyhive.models.window import Window

from .documents import Document, code, codes, run_python

PAGE = Document("docs/operator.md")


def test_numbers_are_those_of_the_code():
    text = " ".join(PAGE.text.split())
    assert f"With more than {MOST_FILES_LISTED:,} files, `files` is missing" in text
    assert f"`xcom_max_bytes` ({options.DEFAULT_XCOM_MAX_BYTES:,} bytes of JSON)" in text
    assert f"and warns above {options.LARGE_XCOM_BYTES:,}" in text


def test_the_placeholders_give_what_the_table_says():
    rows = {name: row[1] for row in PAGE.table("Placeholder") for name in codes(row[0])}
    assert {name.strip("{}").partition(":")[0] for name in rows} == {*WINDOW_PLACEHOLDERS, "project"}
    window = Window.parse("2026-11-22", "2026-11-23")
    for name in ("{start}", "{window_id}"):
        assert codes(rows[name])[-1] == OutputPath.parse(name).fill("my-project", window)
    assert " ".join(DIRECTIVES) in codes(rows["{start:%Y-%m-%d}"])


def test_a_literal_brace_is_written_as_the_page_says():
    (line,) = (line for line in PAGE.text.splitlines() if line.startswith("- For a literal brace"))
    printed = [jinja2.Template(text).render() for text in codes(line)]
    assert [OutputPath.parse(text).fill("my-project", None) for text in printed] == ["{", "}"]


def test_the_filters_are_read_as_the_page_says():
    from airflow.providers.common.compat.sdk import DAG

    from airflow_provider_honeyhive.operators.honeyhive import HoneyHiveExportEventsOperator

    with DAG("filters", schedule=None):
        task = HoneyHiveExportEventsOperator(
            task_id="export", filters=run_python(PAGE.the("python", "\nfilters = ["))["filters"]
        )

    task.render_template_fields({"params": {"slow_ms": 1000}})

    assert [(one.field, one.operator, one.value, one.type) for one in models.parse_filters(task.filters)] == [
        ("event_type", "is", "model", "string"),
        ("duration", "greater than", 1000, "number"),
        ("error", "exists", None, "string"),
        ("config.template", "contains", "Answer {{question}}", "string"),
    ]


def test_the_table_of_operators_is_that_of_the_filters():
    rows = {code(row[0]): tuple(codes(row[1])) for row in PAGE.table("Type")}
    assert rows == filters._OPERATORS


def test_texts_that_templates_give_are_read_as_json():
    for argument in ("filters", "projections"):
        assert f"`{argument}=" in PAGE.text
    request = models.ExportRequest.parse(
        filters='[{"field": "error", "operator": "exists"}]', projections='["event_name", "metadata"]'
    )
    assert [one.field for one in request.filters] == ["error"]
    assert request.projections == ("event_name", "metadata")
