"""The page on guarantees: its numbers are the code's. The tests of its hazards are in ``row_tests.toml``."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from airflow_provider_honeyhive import display
from airflow_provider_honeyhive.api import (
    concurrency,
    connection_form,
    connections,
    failures,
    pages,
    retries,
    transport,
)
from airflow_provider_honeyhive.api.settings import ClientSettings
from airflow_provider_honeyhive.export import checkpoint, extract_window, staging, threads
from airflow_provider_honeyhive.formats import datafile, parquet
from airflow_provider_honeyhive.models import fields, layout, options
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.reading import page_size, slice_reader, unordered
from airflow_provider_honeyhive.storage import base, lease, paths
from airflow_provider_honeyhive.storage.azure import AzureStore
from airflow_provider_honeyhive.storage.gcs import GcsStore
from airflow_provider_honeyhive.storage.local import LocalStore
from airflow_provider_honeyhive.storage.object_store import ConditionalStore, FsspecStore
from airflow_provider_honeyhive.storage.s3 import S3Store

from .documents import Document, lasting

PAGE = Document("docs/guarantees.md")
SETTINGS = ClientSettings.parse(api_key="hh_x")
OPTIONS = ExportOptions()
#: What each bound is in the code, in the order of the page.
BOUNDS = {
    "Silence of the server": SETTINGS.timeout,
    "Taking up a connection": SETTINGS.connect_timeout,
    "How often a failed request is sent again": SETTINGS.max_retries,
    "First wait between two tries, doubled each time": retries.FIRST_BACKOFF_S,
    "Longest wait of its own accord": retries.MAX_BACKOFF_S,
    "Longest wait on the spot that a server's `Retry-After` can ask for": retries.LONGEST_RETRY_AFTER_S,
    "`Retry-After` beyond which an export task gives up its worker slot": retries.LONG_WAIT_S,
    "Longest wait for which it does": retries.LONGEST_PAUSE_S,
    "Tries of a page that may be too heavy, before smaller ones are asked for (413: one)": retries.HEAVY_PAGE_TRIES,
    "Redirects of one request": transport._MOST_REDIRECTS,
    "One answer, decompressed": SETTINGS.max_response_bytes,
    "On the wire twice as many bytes, and besides": transport.WIRE_MARGIN,
    "Headers of an answer": connections.LARGEST_HEAD,
    "Body of a redirect or a refusal, as far as it is read": transport.LARGEST_ERROR_BODY,
    "Events in one answer, at the most": pages.MOST_EVENTS,
    "Bytes that an answer aims for": page_size.TARGET_BYTES,
    "Events in the first pages": page_size.FIRST_LIMIT,
    "Readings of a window before it is incomplete": slice_reader.READ_ATTEMPTS,
    "Passes through one time, at the most": unordered.MOST_PASSES,
    "Those in the same order, before what comes twice in one counts as several rows": unordered.SAME_PASSES,
    "Slices read at once, and so requests": OPTIONS.concurrency,
    "Events for which another slice is worth it": extract_window.EVENTS_WORTH_A_SLICE,
    "A data file on disk": OPTIONS.max_file_size,
    "Events that are compressed at once": staging.BLOCK_BYTES,
    "A row group of Parquet, in memory": parquet.ROW_GROUP_BYTES,
    "Part of an upload held in memory": base.UPLOAD_BLOCK,
    "Age of the newest file that a retry goes on from": checkpoint.LONGEST_AGE,
    "Parts of a window, at the most": options.MOST_SHARDS,
    "Characters of the secret of hashes, at the least": fields.SHORTEST_KEY,
    "Age at which a lease that has not changed is taken over": lease.LEASE_S,
    "Longest wait for a lease": lease.PATIENCE_S,
    "How often a running task looks whether it is to stop": concurrency.TICK_S,
    "What readers get to put things down at the end": threads.GRACE_S,
    "A manifest, checkpoint or other small file that is read back": layout.LARGEST_FILE,
    "Characters of a file's name in it": layout.LONGEST_NAME,
    "One event in a data file, as `verify` reads it": datafile.LONGEST_ROW,
    "Characters of a server's message in an error": failures._LONGEST_MESSAGE,
    "Characters of a store's message in an error": base.LONGEST_REASON,
    "Characters of one value in an error": display.LONGEST_VALUE,
    "Problems that one error lists": display.MOST_LISTED,
    "Characters of an error, and of a line of the command line": display.LONGEST_ERROR,
    "Characters of one value in a log line": display.LONGEST_ARGUMENT,
}
#: What sets those that are not fixed.
SET_BY = {
    "Silence of the server": "`timeout` of the connection",
    "How often a failed request is sent again": "`max_retries` of the connection",
    "One answer, decompressed": "`max_response_bytes` of the connection",
    "Slices read at once, and so requests": "`concurrency` of the export",
    "A data file on disk": "`max_file_size` of the export",
}


def test_the_lines_are_numbered_through_so_that_they_can_be_cited():
    numbers = re.findall(r"^(\d+)\. ", PAGE.text, re.MULTILINE)
    assert numbers == [str(number) for number in range(1, len(numbers) + 1)]


def test_what_the_lines_say_of_stores_is_what_these_do(tmp_path):
    conditional = {kind for kind in paths._STORES.values() if issubclass(kind, ConditionalStore)}
    assert conditional == {S3Store, GcsStore, AzureStore}
    assert "S3, Google Cloud Storage and Azure check this themselves" in PAGE.text
    assert not FsspecStore(None, "", "").can_swap()
    assert "other object stores" in PAGE.text
    assert LocalStore(tmp_path).can_swap()
    assert "on a local disk a lock of the kernel does" in PAGE.text


def test_every_bound_is_in_the_table():
    assert [row[0] for row in PAGE.table("Bound")] == list(BOUNDS)


@pytest.mark.parametrize("row", PAGE.table("Bound"), ids=lambda row: row[0])
def test_every_bound_is_the_one_in_the_code(row):
    bound, set_by, value = row
    found = BOUNDS[bound]
    found = found.total_seconds() if isinstance(found, timedelta) else found
    assert value == f"{found:,.1f}".removesuffix(".0")
    assert set_by == SET_BY.get(bound, "fixed")


def test_numbers_in_sentences_are_those_of_the_code():
    assert slice_reader.READ_ATTEMPTS == 3
    assert transport.WIRE_FACTOR == 2
    # An event of the largest answer that a connection can allow, with all of its quotes doubled.
    assert datafile.LONGEST_ROW == 2 * connection_form.MOST_MAX_RESPONSE_BYTES
    PAGE.check_sentences(
        [
            "are read again, three readings in all",
            f"if the newest is less than {lasting(checkpoint.LONGEST_AGE)} old",
            f"but in {unordered.MOST_PASSES} passes at most",
            f"There a lease of {lease.LEASE_S:g} s stands for",
            f"obeyed up to {lasting(retries.LONGEST_RETRY_AFTER_S)};",
            f"`Retry-After` is longer than {lasting(retries.LONG_WAIT_S)}, in an export task",
            f"gives up its worker slot, at most for {lasting(retries.LONGEST_PAUSE_S)}",
            f"Waits double with jitter, up to {lasting(retries.MAX_BACKOFF_S)}",
            f"Nothing was staged for more than {lasting(checkpoint.LONGEST_AGE)}",
            f"at most {failures._LONGEST_MESSAGE} characters of it",
            f"refused at {SETTINGS.max_response_bytes / 1024**2:g} MiB, decompressed",
            f"At most {transport.LARGEST_ERROR_BODY / 1024:g} KiB of it are read",
            f"more than {pages.MOST_EVENTS:,} events are refused",
            "to a worker with 512 MB of memory",  # as the test of that row has
            f"of more than {display.MOST_LISTED} their number",
            f"by default {lasting((SETTINGS.max_retries + 1) * SETTINGS.timeout)}, or would have",
        ]
    )


def test_readme_and_page_know_each_other():
    assert "(docs/guarantees.md)" in Document("README.md").text
    assert "(../README.md)" in PAGE.text
