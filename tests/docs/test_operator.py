"""The page on the operator: its tables and numbers are those of the code."""

from __future__ import annotations

from airflow_provider_honeyhive.export.result import MOST_FILES_LISTED
from airflow_provider_honeyhive.models import filters, options
from airflow_provider_honeyhive.models import request as models

from .documents import Document, code, codes, run_python

PAGE = Document("docs/operator.md")


def test_numbers_are_those_of_the_code():
    text = " ".join(PAGE.text.split())
    assert f"With more than {MOST_FILES_LISTED:,} files, `files` is missing" in text
    assert f"`xcom_max_bytes` ({options.DEFAULT_XCOM_MAX_BYTES:,} bytes of JSON)" in text
    assert f"and warns above {options.LARGE_XCOM_BYTES:,}" in text


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
