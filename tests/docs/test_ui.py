"""The page on the web interface: the link and the number of files are those of the code."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from airflow_provider_honeyhive.links.honeyhive import events_url
from airflow_provider_honeyhive.tasks.assets import MOST_FILES_SHOWN
from tests.unit.export.test_result import RESULT

from .documents import Document

PAGE = Document("docs/ui.md")


def test_the_form_of_the_link_is_the_one_that_is_made():
    (form,) = re.findall(r"`(\{app_url\}/[^`]+)`", PAGE.text)
    made = events_url("https://app", RESULT, datetime(2026, 3, 11, tzinfo=UTC))
    assert made.startswith(form.format(**{"app_url": "https://app", "project id": "id-of-demo"}).rstrip("…"))


def test_the_number_of_files_in_the_log_is_the_one_on_the_page():
    assert f"(at most {MOST_FILES_SHOWN}:" in PAGE.text
