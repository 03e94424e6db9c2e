"""When a task leaves its worker slot for a wait that the server asks for, and when it stays and fails."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_honeyhive.api.client import HoneyHiveClient
from airflow_provider_honeyhive.api.retries import LONG_WAIT_S, LONGEST_PAUSE_S
from airflow_provider_honeyhive.api.settings import ClientSettings
from airflow_provider_honeyhive.exceptions import (
    HoneyHiveConnectionError,
    HoneyHiveRateLimitError,
    HoneyHiveServerError,
)
from airflow_provider_honeyhive.triggers import moment as coming_back
from airflow_provider_honeyhive.triggers.moment import BACKSTOP_S, defer_if_asked, waits_of

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Task:
    """Notes how it is deferred; an operator raises there."""

    def __init__(self) -> None:
        self.log = logging.getLogger("airflow.task")
        self.deferred: list[dict[str, Any]] = []

    def defer(self, **arguments: Any) -> None:
        self.deferred.append(arguments)


@pytest.fixture(autouse=True)
def at_noon(monkeypatch):
    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return NOW

    monkeypatch.setattr(coming_back, "datetime", Clock)


@pytest.fixture
def client():
    with HoneyHiveClient(ClientSettings.parse(api_key="hh_x", max_retries=2)) as client:
        yield client


@pytest.mark.parametrize("kind", [HoneyHiveRateLimitError, HoneyHiveServerError])
@pytest.mark.parametrize(("asked", "pause"), [(61, 61), (3_000, 3_000), (10**9, LONGEST_PAUSE_S)])
def test_a_long_wait_is_deferred_until_then_at_most_for_an_hour(client, kind, asked, pause):
    task = Task()

    defer_if_asked(task, client, kind("later", retry_after=asked), waits=0)

    (deferred,) = task.deferred
    assert deferred["trigger"].moment == (NOW + timedelta(seconds=pause)).isoformat().replace("+00:00", ".000Z")
    assert deferred["method_name"] == "resume"
    assert waits_of(deferred["trigger"].event) == 1
    # A wait whose triggerer is gone ends, too.
    assert deferred["timeout"] == timedelta(seconds=pause + BACKSTOP_S)
    assert client.is_stopped


@pytest.mark.parametrize(
    "error",
    [
        HoneyHiveRateLimitError("later"),
        HoneyHiveRateLimitError("later", retry_after=LONG_WAIT_S),
        HoneyHiveConnectionError("reset"),
    ],
    ids=["unsaid", "short", "no answer"],
)
def test_where_no_long_wait_is_asked_for_the_task_stays(client, error):
    task = Task()

    defer_if_asked(task, client, error, waits=0)

    assert task.deferred == []
    assert not client.is_stopped


def test_a_try_waits_as_often_as_a_request_is_sent_again_and_the_error_then_says_how_often(client):
    task, error = Task(), HoneyHiveRateLimitError("later", retry_after=120)

    defer_if_asked(task, client, error, waits=1)
    assert [waits_of(deferred["trigger"].event) for deferred in task.deferred] == [2]

    defer_if_asked(task, client, error, waits=2)
    assert len(task.deferred) == 1
    assert "gave up after 3 attempts" in str(error)


@pytest.mark.parametrize("event", [None, "2026-11-23T12:00:00Z", {}], ids=repr)
def test_after_any_other_wait_a_try_has_not_waited(event):
    assert waits_of(event) == 0


def test_the_log_says_what_happens(client, caplog):
    with caplog.at_level(logging.WARNING, "airflow.task"):
        defer_if_asked(Task(), client, HoneyHiveRateLimitError("slow down", retry_after=120), waits=0)

    (said,) = [record.getMessage() for record in caplog.records]
    assert "going on at 2026-11-23T12:02:00" in said
    assert "in 120 s, from what is staged" in said
    assert "wait 1 of at most 2" in said
    assert "HoneyHiveRateLimitError: slow down" in said
