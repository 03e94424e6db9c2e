"""Addresses in HoneyHive's web app."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from urllib.parse import quote

import pytest
from msgspec.structs import replace

from airflow_provider_honeyhive.api.web_app import LONGEST_ID
from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.links.honeyhive import HoneyHiveEventsLink, events_url
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


@pytest.mark.parametrize("project_id", ["", ".", "..", " . ", "a\nb", "\u202ea", "\ud800", "x" * (LONGEST_ID + 1)])
def test_what_can_be_no_id_leads_to_the_app(project_id):
    assert events_url("https://app", replace(RESULT, project_id=project_id), NOW) == "https://app"


@pytest.mark.parametrize("project_id", ["a b", "é漢", "javascript:alert(1)", "%2e%2e", "<b>", '"x', "x" * LONGEST_ID])
def test_an_odd_id_is_quoted(project_id):
    url = events_url("https://app", replace(RESULT, project_id=project_id), NOW)
    assert url == f"https://app/p/{quote(project_id, safe='')}/traces/events?range=30d"


NO_WEB_ADDRESSES = [
    *("javascript:alert(1)", "javascript://alert(1)", "ftp://app", "https://", "://app", "data:text/html,x"),
    *("https://user:S3cr3t@app", "https://S3cr3t@app", "https://app\n.evil", "https://app/\u202e", "https://a b"),
    *("https://good\\@evil", 'https://app/"onclick', "https://app/<b>", "java\nscript:alert(1)", "https://app:x"),
]


@pytest.mark.parametrize("app_url", NO_WEB_ADDRESSES)
def test_what_is_no_web_address_is_refused(app_url):
    with pytest.raises(InvalidArgumentError, match="app_url") as caught:
        events_url(app_url, RESULT, NOW)
    assert "S3cr3t" not in str(caught.value)


@pytest.mark.parametrize("stored", [*NO_WEB_ADDRESSES, None, 7, {"url": "https://app"}])
def test_what_another_task_has_put_in_the_place_of_the_link_is_no_link(monkeypatch, stored):
    from airflow.providers.common.compat import sdk

    monkeypatch.setattr(sdk, "XCom", SimpleNamespace(get_value=lambda **_: stored), raising=False)
    assert HoneyHiveEventsLink().get_link(object(), ti_key=None) == ""
