"""A build in OpenLineage's words."""

from __future__ import annotations

import pytest

pytest.importorskip("airflow.providers.openlineage")

from openlineage.client.serde import Serde

from airflow_provider_honeyhive.builds.database import open_events
from airflow_provider_honeyhive.builds.sources import export_sources
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.models.request import ExportRequest
from airflow_provider_honeyhive.models.window import Window
from airflow_provider_honeyhive.operators.tables import HoneyHiveBuildTablesOperator
from airflow_provider_honeyhive.tables.build import create_tables
from airflow_provider_honeyhive.tables.columns import TABLES
from airflow_provider_honeyhive.tasks.build_lineage import TAKEN_AS_THEY_ARE, build_lineage
from tests.unit.operators.builds import built, file_of, source


def plain(dataset):
    return Serde.to_dict(dataset)


def named(datasets):
    return [(one.namespace, one.name) for one in datasets]


def test_exports_are_read_and_a_folder_for_each_table_is_written():
    sources = [
        source("/exports/day/_manifest.json"),
        source("s3://bucket/day.jsonl.gz.manifest.json"),
        source("s3://bucket/other/_manifest.json"),
    ]
    lineage = build_lineage(built("/tables/day", sources=sources))
    assert named(lineage.inputs) == [
        ("file", "/exports/day"),
        ("s3://bucket", "day.jsonl.gz"),
        ("s3://bucket", "other"),
    ]
    assert named(lineage.outputs) == [("file", "/tables/day/events"), ("file", "/tables/day/sessions")]


def test_a_report_reads_what_the_tables_have_written_and_is_one_thing():
    tables = built("/tables/day")
    files = [file_of("page", "report.html", row_count=0), file_of("by_model", "tables/by_model-00000-0.parquet")]
    lineage = build_lineage(built("/report/day", "report", files=files), tables)
    assert named(lineage.inputs) == named(build_lineage(tables).outputs)
    (output,) = map(plain, lineage.outputs)
    assert (output["name"], output["facets"]["storage"]["fileFormat"]) == ("/report/day", "html")
    assert output["outputFacets"]["outputStatistics"]["fileCount"] == 2
    assert "schema" not in output["facets"]


def test_a_split_of_a_dataset_is_one_thing_and_the_card_is_no_data():
    files = [
        file_of("train", f"train/lines-00000-{'0' * 12}.jsonl"),
        file_of("train_parquet", f"train/part-00000-{'0' * 12}.parquet"),
        file_of("train", f"train/lines-00001-{'0' * 12}.jsonl"),
        file_of("card", "README.md", row_count=0),
    ]
    (output,) = map(plain, build_lineage(built("/training/day", "dataset", files=files)).outputs)
    assert output["name"] == "/training/day/train"
    assert output["facets"]["storage"]["fileFormat"] == "jsonl"
    statistics = output["outputFacets"]["outputStatistics"]
    assert (statistics["rowCount"], statistics["size"], statistics["fileCount"]) == (80, 4_500_000, 3)


def test_tables_have_their_documented_columns():
    files = [file_of(name) for name in TABLES]
    for output in map(plain, build_lineage(built("/tables/day", files=files)).outputs):
        name = output["name"].rpartition("/")[2]
        fields = [(field["name"], field["type"]) for field in output["facets"]["schema"]["fields"]]
        assert fields == [(column.name, column.type) for column in TABLES[name]]


def test_columns_that_are_taken_as_they_are_are_traced_to_each_export():
    sources = [source("/exports/one/_manifest.json"), source("/exports/two/_manifest.json")]
    files = [file_of(name) for name in TABLES]
    outputs = {
        output["name"]: output
        for output in map(plain, build_lineage(built("/t", files=files, sources=sources)).outputs)
    }
    fields = outputs["/t/events"]["facets"]["columnLineage"]["fields"]
    assert tuple(fields) == TAKEN_AS_THEY_ARE
    for column, of in fields.items():
        assert [(one["name"], one["field"]) for one in of["inputFields"]] == [
            ("/exports/one", column),
            ("/exports/two", column),
        ]
        for one in of["inputFields"]:
            assert [(how["type"], how["subtype"]) for how in one["transformations"]] == [("DIRECT", "IDENTITY")]
    assert [name for name, output in outputs.items() if "columnLineage" in output["facets"]] == ["/t/events"]


def test_these_columns_hold_what_the_exports_hold(client, tmp_path):
    columns = ", ".join(TAKEN_AS_THEY_ARE)
    request = ExportRequest.parse(project="demo", window=Window.parse("2026-11-22", "2026-11-23"))
    exported = export_events(client, request, tmp_path, ExportOptions(file_format="parquet"))
    with open_events(export_sources(exported)) as connection:
        create_tables(connection)
        differing = f"(SELECT {columns} FROM exported EXCEPT ALL SELECT {columns} FROM events)"
        assert connection.execute(f"SELECT count(*) FROM {differing}").fetchall() == [(0,)]
        assert connection.execute("SELECT count(*) FROM events").fetchall() == [(300,)]


def test_a_task_that_has_built_nothing_has_no_datasets():
    task = HoneyHiveBuildTablesOperator(task_id="t", export="/a", output_path="/b/")
    lineage = task.get_openlineage_facets_on_complete(None)
    assert (lineage.inputs, lineage.outputs) == ([], [])
