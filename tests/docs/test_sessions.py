"""The page on whole sessions: its numbers are those of the code. Its DAG runs in ``tests/system/test_sessions.py``."""

from __future__ import annotations

import pytest

from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.reading.session_reader import HELD_BYTES
from airflow_provider_honeyhive.reading.session_roots import LEAST_IN_A_GROUP, MOST_GROUPS
from airflow_provider_honeyhive.reading.slice_reader import READ_ATTEMPTS

from .documents import Document

PAGE = Document("docs/sessions.md")


def test_the_numbers_of_the_page_are_those_of_the_code():
    assert READ_ATTEMPTS == 3
    PAGE.check_sentences(
        [
            "read again, three times in all",
            f"groups, of {LEAST_IN_A_GROUP} sessions at the least and in {MOST_GROUPS} groups at the most",
            f"an answer or {HELD_BYTES // 10**6} MB at the most",
        ]
    )


def test_concurrency_goes_as_far_as_the_page_says():
    assert "`concurrency` up to 64 divides that" in PAGE.text
    ExportOptions(concurrency=64)
    with pytest.raises(InvalidArgumentError):
        ExportOptions(concurrency=65)
