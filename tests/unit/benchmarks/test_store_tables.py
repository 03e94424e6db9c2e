"""The report has a row for each export into a store, and says of one that failed why."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.store_tables import STORE_TABLES

RUN: dict[str, Any] = {
    "store": "s3",
    "label": "Parquet",
    "concurrency": 4,
    "wall_s": 2.0,
    "user_s": 1.0,
    "system_s": 0.5,
    "peak_mb": 123.4,
    "published": 16_000_000,
    "uploaded": 16_800_000,
    "downloaded": 160_000,
    "requests": 21,
    "methods": {"PUT": 20, "GET": 1},
    "files": 2,
    "slices": 3,
    "error": None,
}


def test_a_run_shows_its_bytes_and_requests_beside_what_is_allowed() -> None:
    text = STORE_TABLES["stores"]({"commit": "abc", "runs": [RUN]})
    cells = "| s3 | Parquet | 4 | 2.00 | 1.50 | 123 | 16.0 | 1.05 | 0.01 | 21 (20 PUT, 1 GET) | 26 | 2 | 3 |"
    assert cells in text.splitlines()


def test_a_run_that_failed_says_why() -> None:
    runs = [{"store": "gcs", "label": "JSONL", "concurrency": 1, "error": "one\n| two"}]
    assert "| gcs | JSONL | 1 | **failed**: one \\| two |" in STORE_TABLES["stores"]({"commit": "abc", "runs": runs})


@pytest.mark.parametrize("name", STORE_TABLES)
def test_what_could_not_be_measured_says_so(name: str) -> None:
    assert "**failed**: no server" in STORE_TABLES[name]({"error": "no server"})


def test_the_time_after_the_last_answer_is_shown() -> None:
    measured = {**RUN, "events": 1000, "reading_s": 1.25, "tail_s": 0.75, "commit": "abc"}
    assert "| from there to the manifest, s | 0.75 |" in STORE_TABLES["overlap"](measured).splitlines()


def test_processor_times_of_starting_are_medians_in_milliseconds() -> None:
    measured = {"commit": "abc", "runs": 3, "cpu_s": {"export": [0.3, 0.5, 0.4], "imports": [0.2, 0.2, 0.2]}}
    assert "| export of ten events | 400 (300 to 500) |" in STORE_TABLES["start"](measured).splitlines()
