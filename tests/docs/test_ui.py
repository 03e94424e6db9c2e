"""The page on the web interface: the link and the number of files are those of the code."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from airflow_provider_honeyhive.export.result import ExportResult
from airflow_provider_honeyhive.links.honeyhive import events_url
from airflow_provider_honeyhive.tasks.assets import MOST_FILES_SHOWN

from .documents import Document

PAGE = Document("docs/ui.md")


def test_the_form_of_the_link_is_the_one_that_is_made():
    result = ExportResult(
        api_host="api.example.com",
        project="demo",
        project_id="id-of-demo",
        start_time="2026-03-10T00:00:00.000000Z",
        end_time="2026-03-11T00:00:00.000000Z",
        event_count=5,
    )
    (form,) = re.findall(r"`(\{app_url\}/[^`]+)`", PAGE.text)
    made = events_url("https://app", result, datetime(2026, 3, 11, tzinfo=UTC))
    assert made.startswith(form.format(**{"app_url": "https://app", "project id": "id-of-demo"}).rstrip("…"))


def test_the_number_of_files_in_the_log_is_the_one_on_the_page():
    assert f"(at most {MOST_FILES_SHOWN}:" in PAGE.text
