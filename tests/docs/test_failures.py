"""The page on troubleshooting: messages, statuses and errors are those of the code, its snippet runs."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import airflow_provider_honeyhive
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

from .documents import Document, code, codes, lasting, run_python

PAGE = Document("docs/failures.md")
STATUSES = PAGE.table("HTTP status", "What the client does")
SENT_AGAIN = "sends the request again"


def texts_of_code() -> list[str]:
    """Return all texts of the package, each f-string in pieces."""
    sources = Path(airflow_provider_honeyhive.__file__).parent.rglob("*.py")
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in sources]
    nodes = (node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return [node.value for node in nodes if isinstance(node.value, str)]


def test_messages_are_those_of_the_code():
    texts = texts_of_code()
    rows = PAGE.table("Log", "What it means")
    seen = [span for log, _, to_do in rows for span in (*codes(log), *re.findall(r"`([^`]+ …)`", to_do))]
    assert len(seen) > len(rows)
    for span in seen:
        # What comes before the first colon of an HTTP error is made of its status.
        for piece in re.sub(r"^HTTP \d+: ", "", span).split("…"):
            assert any(piece in text for text in texts), piece


def error_of(status: int) -> HoneyHiveAPIError:
    settings = ClientSettings.parse(api_key="hh_KEY")
    return api_error(status, {}, b'{"success": false, "message": "m"}', "https://hh.example", settings)


def done_about(status: int) -> str:
    error = error_of(status)
    if not error.retryable:
        return "asks for a smaller page" if is_heavy(error) else "fails at once"
    if is_heavy(error):
        return f"{SENT_AGAIN}, then asks for a smaller page"
    return f"{SENT_AGAIN}, and fewer requests at once for a while" if status in _TOO_MANY else SENT_AGAIN


@pytest.mark.parametrize("status", sorted({*range(400, 600)} - {405}))
def test_every_status_is_treated_as_the_page_says(status):
    others = "others below 500" if status < 500 else "others from 500"
    named = [done for cell, done in STATUSES if str(status) in codes(cell)]
    assert done_about(status) == (named or [done for cell, done in STATUSES if others in cell])[0]


def test_every_error_is_there_in_the_order_of_the_code():
    found = [code(row[0]) for row in PAGE.table("Error", "Retried")]
    made = [
        name
        for name, kind in vars(exceptions).items()
        if isinstance(kind, type) and issubclass(kind, HoneyHiveError) and kind is not HoneyHiveError
    ]
    assert found == made


@pytest.mark.parametrize("row", PAGE.table("Error", "Retried"), ids=lambda row: code(row[0]))
def test_each_error_is_retried_as_the_page_says(row):
    name, retried, meaning = row
    error = HoneyHiveError.__new__(vars(exceptions)[code(name)])
    assert retried.startswith("yes" if error.retryable else "no")
    assert meaning


def test_the_one_exception_to_its_class_is_told():
    said = [row for row in PAGE.table("Error", "Retried") if "unless" in row[1]]
    assert [code(row[0]) for row in said] == ["HoneyHiveConnectionError"]
    assert not exceptions.HoneyHiveConnectionError("certificate", retryable=False).retryable


def test_errors_after_which_a_retry_begins_anew_are_told():
    kinds = [kind for kind in vars(exceptions).values() if isinstance(kind, type) and issubclass(kind, HoneyHiveError)]
    errors = [HoneyHiveError.__new__(kind) for kind in kinds]
    anew = [type(error).__name__ for error in errors if error.retryable and not _retry_goes_on(error)]
    told = re.search(r"After (`\w+`) and (`\w+`) it reads the whole window\.", " ".join(PAGE.text.split()))
    assert told is not None
    assert [code(name) for name in told.groups()] == anew


def test_numbers_in_sentences_are_those_of_the_code():
    first, longest = retries.FIRST_BACKOFF_S, retries.MAX_BACKOFF_S
    assert READ_ATTEMPTS == 3
    PAGE.check_sentences(
        [
            "in three readings",
            f"else {first:g} s, {2 * first:g} s, {4 * first:g} s and so on, up to {lasting(longest)}.",
            f"staged less than {lasting(checkpoint.LONGEST_AGE)} ago",
            f"If `Retry-After` is longer than {lasting(retries.LONG_WAIT_S)}, the export task",
            f"It waits at most {lasting(retries.LONGEST_PAUSE_S)} each time",
            f"Everything else waits, up to {lasting(retries.LONGEST_RETRY_AFTER_S)}.",
            f"starts then, at the latest after {lasting(retries.LONGEST_PAUSE_S)}.",
        ]
    )


def test_the_snippet_makes_a_task_with_the_policy():
    text = PAGE.the("python", "HoneyHiveRetryPolicy()").replace("    count_errors()", "    counted = count_errors()")
    task = run_python(text, "failures.md")["counted"].operator
    assert isinstance(task.retry_policy, HoneyHiveRetryPolicy)
    assert task.retries == 5


def test_the_policy_decides_as_the_page_says():
    assert "A permanent error fails at once. After a `Retry-After`" in " ".join(PAGE.text.split())
    policy = HoneyHiveRetryPolicy()
    errors = [
        exceptions.HoneyHiveAuthError("no"),
        HoneyHiveRateLimitError("later", retry_after=7_200),
        ValueError("else"),
    ]
    assert [policy.evaluate(error, 1, 3).action.value for error in errors] == ["fail", "retry", "default"]
