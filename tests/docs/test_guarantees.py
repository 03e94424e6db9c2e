"""The page on guarantees: its numbers are the code's. The tests of its rows are in ``row_tests.toml``."""

from __future__ import annotations

import re
from datetime import timedelta
from importlib import import_module

import pytest

from airflow_provider_honeyhive.api import pages, retries
from airflow_provider_honeyhive.api.settings import ClientSettings
from airflow_provider_honeyhive.export import checkpoint, staging
from airflow_provider_honeyhive.models import options
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.reading import slice_reader
from airflow_provider_honeyhive.storage import paths
from airflow_provider_honeyhive.storage.azure import AzureStore
from airflow_provider_honeyhive.storage.base import UPLOAD_BLOCK
from airflow_provider_honeyhive.storage.gcs import GcsStore
from airflow_provider_honeyhive.storage.local import LocalStore
from airflow_provider_honeyhive.storage.object_store import ConditionalStore, FsspecStore
from airflow_provider_honeyhive.storage.s3 import S3Store

from .documents import Document, code, lasting

PAGE = Document("docs/guarantees.md")
SETTINGS = ClientSettings.parse(api_key="hh_x")
OPTIONS = ExportOptions()
#: What each limit is in the code, in the order of the page.
BOUNDS = {
    "Wait for data of the server": SETTINGS.timeout,
    "Repetitions of a failed request": SETTINGS.max_retries,
    "Longest wait between two attempts of a request": retries.MAX_BACKOFF_S,
    "Longest `Retry-After` for which other tasks wait": retries.LONGEST_RETRY_AFTER_S,
    "`Retry-After` above which an export task is deferred": retries.LONG_WAIT_S,
    "Longest deferred wait": retries.LONGEST_PAUSE_S,
    "One response, decompressed": SETTINGS.max_response_bytes,
    "Events in one response": pages.MOST_EVENTS,
    "Requests at once": OPTIONS.concurrency,
    "A data file": OPTIONS.max_file_size,
    "Bytes that wait in temporary files to become larger files": staging.MOST_HELD_BYTES,
    "Age of staged files that a retry uses": checkpoint.LONGEST_AGE,
    "Parts of a mapped export": options.MOST_SHARDS,
}
#: What sets those that are not fixed.
SET_BY = {
    "Wait for data of the server": "`timeout` of the connection",
    "Repetitions of a failed request": "`max_retries` of the connection",
    "One response, decompressed": "`max_response_bytes` of the connection",
    "Requests at once": "`concurrency` of the export",
    "A data file": "`max_file_size` of the export",
}


def test_the_lines_are_numbered_through_so_that_they_can_be_cited():
    numbers = re.findall(r"^(\d+)\. ", PAGE.text, re.MULTILINE)
    assert numbers == [str(number) for number in range(1, len(numbers) + 1)]


def store_named(place: tuple[str, str]) -> type:
    module, name = place
    return getattr(import_module(f"airflow_provider_honeyhive.storage.{module}"), name)


def test_what_the_lines_say_of_stores_is_what_these_do(tmp_path):
    conditional = {kind for kind in map(store_named, paths._STORES.values()) if issubclass(kind, ConditionalStore)}
    assert conditional == {S3Store, GcsStore, AzureStore}
    assert not FsspecStore(None, "", "").can_swap()
    assert LocalStore(tmp_path).can_swap()
    assert "S3, Google Cloud Storage, Azure and local disks support this" in PAGE.text
    assert "**Stores without conditional writes or file locks**" in PAGE.text


def test_every_limit_is_in_the_table():
    assert [row[0] for row in PAGE.table("Limit")] == list(BOUNDS)


@pytest.mark.parametrize("row", PAGE.table("Limit"), ids=lambda row: row[0])
def test_every_limit_is_the_one_in_the_code(row):
    limit, set_by, value = row
    found = BOUNDS[limit]
    found = found.total_seconds() if isinstance(found, timedelta) else found
    assert value == f"{found:,.1f}".removesuffix(".0")
    assert set_by == SET_BY.get(limit, "fixed")


def test_numbers_in_sentences_are_those_of_the_code():
    assert slice_reader.READ_ATTEMPTS == 3
    PAGE.check_sentences(
        [
            "it reads them again, three readings in all",
            f"continues from files staged less than {lasting(checkpoint.LONGEST_AGE)} ago",
            f"had fewer than {UPLOAD_BLOCK // 1024**2} MB of a time range",
            f"by default {lasting((SETTINGS.max_retries + 1) * SETTINGS.timeout)}.",
        ]
    )


def test_on_shrink_has_the_values_of_the_code():
    rows = PAGE.table("`on_shrink`", "What happens")
    values = [code(row[0]).strip('"') for row in rows]
    assert values == list(options.ON_SHRINK)
    assert [value for value, row in zip(values, rows, strict=True) if "(default)" in row[0]] == [OPTIONS.on_shrink]


def test_the_readme_leads_to_the_page():
    assert "(docs/guarantees.md)" in Document("README.md").text
