"""Paths that are too long for a store are refused before events are read."""

from __future__ import annotations

import pytest

from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.export.lengths import check_lengths
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.models.layout import Layout
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.storage.azure import AzureStore
from airflow_provider_honeyhive.storage.gcs import GcsStore
from airflow_provider_honeyhive.storage.paths import path_problem
from airflow_provider_honeyhive.storage.s3 import S3Store
from tests.unit.export.test_exporter import DAY, DEMO, event_at
from tests.unit.storage.test_stores import bucket, s3  # noqa: F401 - fixtures

#: Bytes of a key, without the bucket.
LONGEST_KEY = 1024


@pytest.mark.parametrize("partition_by", [(), ("event_type",)])
def test_on_a_store_the_longest_path_is_taken_and_a_longer_one_refused(sandbox_with, client_of, bucket, partition_by):  # noqa: F811
    sandbox = sandbox_with([event_at(DAY.start, 1, event_type="\u8a9e" * 300)])
    options = ExportOptions(partition_by=partition_by)

    def export(size: int) -> Manifest:
        return export_events(client_of(sandbox), DEMO, bucket.path("a" * size), options)

    with pytest.raises(InvalidArgumentError, match="^output_path: .*give a shorter one") as caught:
        export(LONGEST_KEY - 1)
    assert not caught.value.retryable
    assert sandbox.requests == []
    longest = next(size for size in range(LONGEST_KEY, 0, -1) if fits(size, partition_by))
    assert export(longest).event_count == 1
    Manifest.read(bucket.path("a" * longest)).verify()
    with pytest.raises(InvalidArgumentError):
        export(longest + 1)


def fits(size: int, partition_by: tuple[str, ...]) -> bool:
    try:
        check_lengths(
            S3Store(None, f"b/{'a' * size}", "s3://b"), Layout("jsonl", "gzip", None), partition_by, looks_back=False
        )
    except InvalidArgumentError:
        return False
    return True


@pytest.mark.parametrize("kind", [S3Store, GcsStore, AzureStore])
def test_every_store_has_the_limit(kind):
    store = kind(None, "bucket/" + "\u8a9e" * 330, "url")
    with pytest.raises(InvalidArgumentError, match="the store takes 1,024"):
        check_lengths(store, Layout("jsonl", "gzip", None), (), looks_back=False)


def test_on_a_disk_the_name_of_one_object_leaves_room_for_its_manifest(sandbox, client_of, tmp_path):
    with pytest.raises(InvalidArgumentError, match="a disk takes 255"):
        export_events(client_of(sandbox), DEMO, tmp_path / f"{'a' * 240}.jsonl")
    assert sandbox.requests == []
    path = tmp_path / f"{'a' * 228}.jsonl"
    assert export_events(client_of(sandbox), DEMO, path).event_count == 300


@pytest.mark.parametrize("text", ["/data/{}/x", "file:///data/{}", "data/{}"])
def test_on_a_disk_no_name_is_longer_than_it_takes(text):
    assert path_problem(text.format("\u8a9e" * 85)) is None
    assert "256 bytes" in path_problem(text.format("\u8a9e" * 85 + "a"))
