"""An export in OpenLineage's words."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

pytest.importorskip("airflow.providers.openlineage")

from openlineage.client.serde import Serde

from airflow_provider_honeyhive.export.result import ExportResult
from airflow_provider_honeyhive.formats.columns import COLUMNS
from airflow_provider_honeyhive.models.export_facts import RequestFacts
from airflow_provider_honeyhive.tasks.assets import ExportResultMixin
from airflow_provider_honeyhive.tasks.lineage import dataset_name, operator_lineage
from tests.unit.export.test_result import manifest
from tests.unit.test_display import HOSTILE

from .test_assets import RESULT, result_of


def plain(dataset):
    return Serde.to_dict(dataset)


def test_the_input_is_the_window_of_the_project():
    (found,) = map(plain, operator_lineage(result_of(bytes_read=700, events_without_time=2)).inputs)
    assert (found["namespace"], found["name"]) == ("honeyhive://api.example.com", "demo")
    metrics = found["inputFacets"]["dataQualityMetrics"]
    assert (metrics["rowCount"], metrics["bytes"]) == (5, 700)
    assert metrics["columnMetrics"]["start_time"]["nullCount"] == 2
    condition = found["inputFacets"]["subset"]["inputCondition"]
    assert condition["operator"] == "AND"
    assert [
        (side["left"]["field"], side["comparison"], side["right"]["value"])
        for side in (condition["left"], condition["right"])
    ] == [
        ("start_time", "GREATER_EQUAL_THAN", "2026-03-10T00:00:00.000Z"),
        ("start_time", "LESS_THAN", "2026-03-11T00:00:00.000Z"),
    ]


def test_the_output_is_the_folder_with_counts():
    (found,) = map(plain, operator_lineage(RESULT).outputs)
    assert (found["namespace"], found["name"]) == ("s3://bucket", "day")
    statistics = found["outputFacets"]["outputStatistics"]
    assert (statistics["rowCount"], statistics["size"], statistics["fileCount"]) == (5, 60, 2)
    assert (found["facets"]["storage"]["storageLayer"], found["facets"]["storage"]["fileFormat"]) == ("s3", "parquet")


@pytest.mark.parametrize("file_format", ["parquet", "csv"])
def test_tables_have_their_columns(file_format):
    (found,) = map(plain, operator_lineage(result_of(file_format=file_format)).outputs)
    fields = [(field["name"], field["type"]) for field in found["facets"]["schema"]["fields"]]
    assert fields == [(column.name, column.kind.value) for column in COLUMNS]


@pytest.mark.parametrize("file_format", ["jsonl", "json"])
def test_files_of_whole_events_have_no_columns(file_format):
    (found,) = map(plain, operator_lineage(result_of(file_format=file_format)).outputs)
    assert "schema" not in found["facets"]


def test_events_that_are_the_result_are_no_output():
    lineage = operator_lineage(replace(RESULT, manifest=None))
    (found,) = map(plain, lineage.inputs)
    assert "bytes" not in found["inputFacets"]["dataQualityMetrics"]
    assert lineage.outputs == []


@pytest.mark.parametrize(
    "result",
    [
        replace(RESULT, start_time=None, end_time=None),
        result_of(request=RequestFacts(project="demo", api_host="api.example.com", sessions="complete")),
    ],
)
def test_all_of_time_and_whole_sessions_are_no_subset(result):
    (found,) = map(plain, operator_lineage(result).inputs)
    assert "subset" not in found["inputFacets"]


def test_a_client_without_subsets_still_gets_the_rest(monkeypatch):
    from openlineage.client import generated

    name = "base_subset_dataset"
    monkeypatch.delattr(generated, name, raising=False)
    monkeypatch.setitem(sys.modules, f"{generated.__name__}.{name}", None)
    (found,) = map(plain, operator_lineage(RESULT).inputs)
    assert set(found["inputFacets"]) == {"dataQualityMetrics"}


def test_a_task_that_has_exported_nothing_has_no_datasets():
    lineage = ExportResultMixin().get_openlineage_facets_on_complete(None)
    assert (lineage.inputs, lineage.outputs) == ([], [])


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("s3://bucket/honeyhive/2026-03-10/", ("s3://bucket", "honeyhive/2026-03-10")),
        ("s3://bucket/a b.jsonl.gz", ("s3://bucket", "a b.jsonl.gz")),
        ("s3://bucket/a?b#c", ("s3://bucket", "a?b#c")),
        ("gs://bucket", ("gs://bucket", "/")),
        (
            "abfss://container@account.dfs.core.windows.net/day",
            ("abfss://container@account.dfs.core.windows.net", "day"),
        ),
        ("/data/day/", ("file", "/data/day")),
        ("file:///data/day", ("file", "/data/day")),
        ("file:///data/a?b#c", ("file", "/data/a?b#c")),
    ],
)
def test_datasets_are_called_as_openlineage_calls_them(url, name):
    assert dataset_name(url) == name


def test_names_of_others_may_be_shown():
    bucket = SimpleNamespace(url=lambda name="": f"sftp://u:S3cr3t@host/{HOSTILE}{name}")
    result = ExportResult.of_files(manifest(project=HOSTILE).placed(bucket, "_manifest.json"))
    lineage = operator_lineage(replace(result, api_host=f"u:S3cr3t@host{HOSTILE}"))
    names = [text for dataset in (*lineage.inputs, *lineage.outputs) for text in (dataset.namespace, dataset.name)]
    assert names[2].startswith("sftp://***@host")
    assert all(map(str.isprintable, names))
    assert "S3cr3t" not in str(names)


def test_a_container_of_azure_is_no_user():
    url = "abfs://container@account.dfs.core.windows.net/day"
    assert dataset_name(url) == ("abfs://container@account.dfs.core.windows.net", "day")
