"""The page on guarantees: its numbers are the code's. The tests of its hazards are in ``row_tests.toml``."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from airflow_provider_honeyhive.api import client, concurrency, failures, retries, transport
from airflow_provider_honeyhive.api.settings import ClientSettings
from airflow_provider_honeyhive.export import checkpoint, extract_window, lock, shards, staging, threads
from airflow_provider_honeyhive.formats import parquet
from airflow_provider_honeyhive.models import fields, options
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.reading import page_size, slice_reader, unordered
from airflow_provider_honeyhive.storage import base

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
    "One answer, decompressed": client.LARGEST_ANSWER,
    "Bytes that an answer aims for": page_size.TARGET_BYTES,
    "Events in the first pages": page_size.FIRST_LIMIT,
    "Readings of a slice before it is incomplete": slice_reader.READ_ATTEMPTS,
    "Passes through one time that bring nothing new": unordered.IDLE_PASSES,
    "Slices read at once, and so requests": OPTIONS.concurrency,
    "Events for which another slice is worth it": extract_window.EVENTS_WORTH_A_SLICE,
    "A data file on disk": OPTIONS.max_file_size,
    "Events that are compressed at once": staging.BLOCK_BYTES,
    "A row group of Parquet, in memory": parquet.ROW_GROUP_BYTES,
    "Part of an upload held in memory": base.UPLOAD_BLOCK,
    "Age of what a retry goes on from": checkpoint.LONGEST_AGE,
    "Age of parts that a combination of another run removes": shards.LONGEST_AGE,
    "Parts of a window, at the most": options.MOST_SHARDS,
    "Characters of the secret of hashes, at the least": fields.SHORTEST_KEY,
    "Age at which another run's lock is taken over": lock.LOCK_S,
    "How often a running task looks whether it is to stop": concurrency.TICK_S,
    "What readers get to put things down at the end": threads.GRACE_S,
    "Characters of a server's message in an error": failures._LONGEST_MESSAGE,
}
#: What sets those that are not fixed.
SET_BY = {
    "Silence of the server": "`timeout` of the connection",
    "How often a failed request is sent again": "`max_retries` of the connection",
    "Slices read at once, and so requests": "`concurrency` of the export",
    "A data file on disk": "`max_file_size` of the export",
}


def test_there_are_ten_lines():
    assert re.findall(r"^(\d+)\. ", PAGE.text, re.MULTILINE) == [str(number) for number in range(1, 11)]


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
    PAGE.check_sentences(
        [
            "is read again, three times in all",
            f"staged less than {lasting(checkpoint.LONGEST_AGE)} ago",
            f"after {unordered.IDLE_PASSES} passes without anything new",
            f"only where there is none, and for {lasting(lock.LOCK_S)}",
            f"obeyed up to {lasting(retries.LONGEST_RETRY_AFTER_S)};",
            f"`Retry-After` is longer than {lasting(retries.LONG_WAIT_S)}, in an export task",
            f"gives up its worker slot, at most for {lasting(retries.LONGEST_PAUSE_S)}",
            f"Waits double with jitter, up to {lasting(retries.MAX_BACKOFF_S)}",
            f"staged is older than {lasting(checkpoint.LONGEST_AGE)}",
            f"taken over after {lasting(lock.LOCK_S)}",
            f"They go after {lasting(shards.LONGEST_AGE)}",
            f"at most {failures._LONGEST_MESSAGE} characters of it",
            f"Refused at {client.LARGEST_ANSWER / 1024**3:g} GiB, decompressed",
            f"by default {lasting((SETTINGS.max_retries + 1) * SETTINGS.timeout)}, or would have",
        ]
    )


def test_readme_and_page_know_each_other():
    assert "(docs/guarantees.md)" in Document("README.md").text
    assert "(../README.md)" in PAGE.text
