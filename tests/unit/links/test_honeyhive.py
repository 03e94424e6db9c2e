"""Addresses in HoneyHive's web app."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.links.honeyhive import events_url
from airflow_provider_honeyhive.models.window import format_time
from tests.unit.export import test_result

NOW = datetime(2026, 3, 11, 0, 5, tzinfo=UTC)
RESULT = replace(test_result.RESULT, project_id="peQ9-_5k")


@pytest.mark.parametrize(
    "app_url",
    [
        "https://app.us.honeyhive.ai",
        "https://app.us.honeyhive.ai/",
        "app.us.honeyhive.ai",
        " https://app.us.honeyhive.ai ",
    ],
)
def test_the_link_leads_to_the_projects_events(app_url):
    assert events_url(app_url, RESULT, NOW) == "https://app.us.honeyhive.ai/p/peQ9-_5k/traces/events?range=30d"


def test_a_path_below_the_host_stays():
    assert events_url("http://hive.local:8080/app", RESULT, NOW).startswith("http://hive.local:8080/app/p/peQ9-_5k/")


@pytest.mark.parametrize(
    ("age_days", "name"),
    [(0, "7d"), (1, "30d"), (23, "30d"), (24, "90d"), (83, "90d"), (84, "6m"), (174, "12m"), (354, "AllTime")],
)
def test_the_range_is_the_shortest_that_holds_the_window_for_a_week_to_come(age_days, name):
    result = replace(RESULT, start_time=format_time(NOW - timedelta(days=age_days)))
    assert events_url("https://app", result, NOW).endswith(f"?range={name}")


def test_all_of_time_is_shown_where_there_is_no_window():
    assert events_url("https://app", replace(RESULT, start_time=None), NOW).endswith("?range=AllTime")


def test_without_an_id_the_link_leads_to_the_app():
    assert events_url("https://app/", replace(RESULT, project_id=None), NOW) == "https://app"


def test_an_id_cannot_lead_elsewhere():
    url = events_url("https://app", replace(RESULT, project_id="../x?y#z"), NOW)
    assert url == "https://app/p/..%2Fx%3Fy%23z/traces/events?range=30d"


@pytest.mark.parametrize("app_url", ["javascript:alert(1)", "javascript://alert(1)", "ftp://app", "https://", "://app"])
def test_what_is_no_web_address_is_refused(app_url):
    with pytest.raises(InvalidArgumentError, match="app_url"):
        events_url(app_url, RESULT, NOW)
