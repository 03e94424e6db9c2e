"""The page on whole sessions: its numbers are those of the code. Its DAG runs in ``tests/system/test_sessions.py``."""

from __future__ import annotations

import pytest

from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.reading.slice_reader import READ_ATTEMPTS

from .documents import Document

PAGE = Document("docs/sessions.md")


def test_a_session_is_read_as_often_as_the_page_says():
    assert READ_ATTEMPTS == 3
    assert "three times at most" in PAGE.text


def test_concurrency_goes_as_far_as_the_page_says():
    assert "raise `concurrency` up to 64." in " ".join(PAGE.text.split())
    ExportOptions(concurrency=64)
    with pytest.raises(InvalidArgumentError):
        ExportOptions(concurrency=65)
