"""The page on failures: its tables are those of the code, its snippet runs."""

from __future__ import annotations

import pytest

from airflow_provider_honeyhive import exceptions
from airflow_provider_honeyhive.api import retries
from airflow_provider_honeyhive.api.failures import api_error
from airflow_provider_honeyhive.api.retries import is_heavy
from airflow_provider_honeyhive.api.settings import ClientSettings
from airflow_provider_honeyhive.api.transport import _TOO_MANY
from airflow_provider_honeyhive.exceptions import HoneyHiveAPIError, HoneyHiveError, HoneyHiveRateLimitError
from airflow_provider_honeyhive.export import checkpoint
from airflow_provider_honeyhive.export.exporter import _retry_goes_on
from airflow_provider_honeyhive.reading.slice_reader import READ_ATTEMPTS
from airflow_provider_honeyhive.tasks.retry_policy import HoneyHiveRetryPolicy
from airflow_provider_honeyhive.triggers import moment

from .documents import Document, code, lasting, run_python

PAGE = Document("docs/failures.md")
FEWER = ", and fewer requests at once for a while"


def error_of(status: int) -> HoneyHiveAPIError:
    settings = ClientSettings.parse(api_key="hh_KEY")
    return api_error(status, {}, b'{"success": false, "message": "m"}', "https://hh.example", settings)


def done_about(error: HoneyHiveAPIError) -> str:
    if not error.retryable:
        return "a smaller page is asked for" if is_heavy(error) else "given up"
    rest = FEWER if error.status_code in _TOO_MANY else ""
    return f"sent again{', then a smaller page is asked for' if is_heavy(error) else rest}"


def test_the_table_of_statuses_is_what_the_client_does():
    rows = {int(code(status)): (code(error), done) for status, error, done in PAGE.table("HTTP status", "Error")}
    assert list(rows) == sorted(rows)
    assert rows == {status: (type(error_of(status)).__name__, done_about(error_of(status))) for status in rows}


@pytest.mark.parametrize("status", sorted({*range(400, 600)} - {401, 403, 404, 405, 413, 429}))
def test_no_status_is_treated_otherwise_than_the_page_says(status):
    named = {int(code(row[0])) for row in PAGE.table("HTTP status", "Error")}
    if status not in named:
        assert done_about(error_of(status)) == ("sent again" if status >= 500 else "given up")


def test_every_error_is_there_in_the_order_of_the_code():
    found = [code(row[0]) for row in PAGE.table("Error", "What it means")]
    made = [
        name
        for name, kind in vars(exceptions).items()
        if isinstance(kind, type) and issubclass(kind, HoneyHiveError) and kind is not HoneyHiveError
    ]
    assert found == made


@pytest.mark.parametrize("row", PAGE.table("Error", "What it means"), ids=lambda row: code(row[0]))
def test_each_error_is_retried_and_leaves_what_is_staged_as_the_page_says(row):
    name, _, retried, staged, remedy = row
    error = HoneyHiveError.__new__(vars(exceptions)[code(name)])
    assert retried.startswith("yes" if error.retryable else "no")
    assert staged == ("stays" if _retry_goes_on(error) else "goes")
    assert remedy


def test_the_one_exception_to_its_class_is_told():
    said = [row for row in PAGE.table("Error", "What it means") if "unless" in row[2]]
    assert [code(row[0]) for row in said] == ["HoneyHiveConnectionError"]
    assert not exceptions.HoneyHiveConnectionError("certificate", retryable=False).retryable


def test_numbers_in_sentences_are_those_of_the_code():
    first, longest = retries.FIRST_BACKOFF_S, retries.MAX_BACKOFF_S
    assert READ_ATTEMPTS == 3
    PAGE.check_sentences(
        [
            "three readings in all",
            f"{lasting(retries.LONGEST_PAUSE_S)} each time | | A task that has failed",
            f"without it {first:g} s, {2 * first:g} s, {4 * first:g} s and so on, up to {lasting(longest)}, with some",
            f"Up to {lasting(retries.LONG_WAIT_S)} is waited on the spot",
            f"asked again after {lasting(retries.LONGEST_PAUSE_S)} at the latest",
            f"{lasting(moment.BACKSTOP_S)} after its time Airflow fails the task",
            f"A `Retry-After` of more than {lasting(retries.LONG_WAIT_S)} |",
            f"is deferred, at most {lasting(retries.LONGEST_PAUSE_S)} each time",
            f"is waited for, up to {lasting(retries.LONGEST_RETRY_AFTER_S)} |",
            f"is waited for up to {lasting(retries.LONGEST_PAUSE_S)}, in the triggerer",
            f"at the latest after {lasting(retries.LONGEST_PAUSE_S)} |",
            f"staged something less than {lasting(checkpoint.LONGEST_AGE)} ago",
        ]
    )


def test_the_snippet_makes_a_task_with_the_policy():
    text = PAGE.the("python", "HoneyHiveRetryPolicy()").replace("    count_errors()", "    counted = count_errors()")
    task = run_python(text, "failures.md")["counted"].operator
    assert isinstance(task.retry_policy, HoneyHiveRetryPolicy)
    assert task.retries == 5


def test_the_policy_decides_as_its_table_says():
    rows = PAGE.table("The try failed with", "The next try")
    policy = HoneyHiveRetryPolicy()
    errors = [
        exceptions.HoneyHiveAuthError("no"),
        HoneyHiveRateLimitError("later", retry_after=7_200),
        ValueError("else"),
    ]
    actions = [policy.evaluate(error, 1, 3).action.value for error in errors]
    assert actions == ["fail", "retry", "default"]
    assert len(rows) == len(actions)
