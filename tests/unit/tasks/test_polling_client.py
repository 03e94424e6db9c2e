"""One client as long as all goes well, a new one after an error, and never more retries than the fetcher wants."""

from __future__ import annotations

import pytest

from airflow_provider_honeyhive.exceptions import HoneyHiveAuthError, HoneyHiveServerError, InvalidArgumentError
from airflow_provider_honeyhive.sandbox import Fault
from airflow_provider_honeyhive.tasks.polling import PollingClient
from tests.unit.conftest import CONN_ID


def polling_client(*, most_retries=0, **arguments):
    return PollingClient(CONN_ID, most_retries=most_retries, **{"project": None, "filters": (), **arguments})


def total(client, request):
    return client.fetch_page(request, limit=1).total


def test_all_questions_go_over_one_connection(sandbox, connect):
    connect(sandbox)
    asked = polling_client()

    assert asked.ask(total) == asked.ask(total) == 301
    assert sandbox.connection_count == 1
    assert "apache-airflow/" in sandbox.requests[0].headers["user-agent"]


def test_after_an_error_the_connection_is_looked_up_again(sandbox, connect):
    connect(sandbox, key="hh_old")
    asked = polling_client()
    with pytest.raises(HoneyHiveAuthError):
        asked.ask(total)

    connect(sandbox)

    assert asked.ask(total) == 301


@pytest.mark.parametrize(
    ("of_the_connection", "most", "requests"), [("8", 0, 1), ("8", 1, 2), ("0", 5, 1)], ids=["none", "one", "fewer"]
)
def test_requests_are_not_sent_again_more_often_than_both_allow(sandbox, connect, of_the_connection, most, requests):
    connect(sandbox, max_retries=of_the_connection)
    sandbox.faults.extend([Fault.answer(503, retry_after=0)] * 9)

    with pytest.raises(HoneyHiveServerError):
        polling_client(most_retries=most).ask(total)
    assert len(sandbox.requests) == requests


def test_a_long_wait_is_left_to_whoever_asks_where_he_can_wait_elsewhere(sandbox, connect):
    connect(sandbox)
    sandbox.faults.append(Fault.answer(503, retry_after=61))

    with pytest.raises(HoneyHiveServerError) as caught:
        polling_client(most_retries=2, leaves_long_waits=True).ask(total)
    assert caught.value.retry_after == 61
    assert len(sandbox.requests) == 1


def test_the_project_is_that_of_the_connection_unless_one_is_given(sandbox, connect):
    connect(sandbox)

    assert polling_client().ask(lambda _, request: request.project) == "demo"
    assert polling_client(project="other").ask(lambda _, request: request.project) == "other"
    connect(sandbox, project=None)
    with pytest.raises(InvalidArgumentError, match="set the connection's extra 'project'"):
        polling_client().ask(total)


def test_closing_lets_what_is_being_asked_end(sandbox, connect):
    connect(sandbox)
    asked = polling_client()

    def question(client, request):
        asked.close()
        return client.is_stopped

    assert asked.ask(question) is True
    assert asked.ask(total) == 301
