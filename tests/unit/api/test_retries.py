"""When a request is sent again, how long that waits, and when it is given up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from airflow_provider_honeyhive.api.retries import LONG_WAIT_S, LONGEST_RETRY_AFTER_S, is_heavy, retrying
from airflow_provider_honeyhive.exceptions import (
    AnswerTooLargeError,
    ExportStoppedError,
    HoneyHiveAPIError,
    HoneyHiveAuthError,
    HoneyHiveConnectionError,
    HoneyHiveError,
    HoneyHiveRateLimitError,
    HoneyHiveRequestError,
    HoneyHiveResponseError,
    HoneyHiveServerError,
)
from airflow_provider_honeyhive.models.request import ExportRequest
from airflow_provider_honeyhive.sandbox import Fault

DEMO = ExportRequest(project="demo")


class Call:
    """Fails with these errors, one after the other, then answers; notes waits and retries."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.count = 0
        self.waits: list[float] = []
        self.retries = 0

    def __call__(self) -> str:
        self.count += 1
        if self.errors:
            raise self.errors.pop(0)
        return "answer"

    def made(self, **changed) -> str:
        arguments = {"max_retries": 8, "total_time": 2_700.0, "may_shrink": False, "leaves_long_waits": False}
        return retrying(self, **{**arguments, **changed}, sleep=self.waits.append, on_retry=self._note)

    def _note(self) -> None:
        self.retries += 1


def asking_for(seconds: float | None, kind: type[HoneyHiveAPIError] = HoneyHiveRateLimitError, status: int = 429):
    return kind("later", status_code=status, retry_after=seconds)


@pytest.mark.parametrize(
    "error",
    [
        HoneyHiveConnectionError("reset"),
        HoneyHiveRateLimitError("slower"),
        HoneyHiveServerError("failed", status_code=503),
        HoneyHiveResponseError("no JSON"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_may_pass_is_tried_again_after_a_wait_that_is_counted(error):
    call = Call(error)
    assert call.made() == "answer"
    assert call.count == 2
    assert call.retries == len(call.waits) == 1


@pytest.mark.parametrize(
    "error",
    [
        HoneyHiveAuthError("no"),
        HoneyHiveRequestError("no", status_code=400),
        HoneyHiveConnectionError("certificate", retryable=False),
        AnswerTooLargeError("bomb"),
        ExportStoppedError("stopped"),
        ValueError("none of ours"),
    ],
    ids=lambda error: f"{type(error).__name__}",
)
def test_what_will_not_pass_is_raised_at_once_and_counts_no_attempts(error):
    call = Call(error)
    with pytest.raises(type(error)) as caught:
        call.made()
    assert caught.value is error
    assert call.count == 1
    assert call.waits == []


@pytest.mark.parametrize(("status", "kind"), [(429, HoneyHiveRateLimitError), (503, HoneyHiveServerError)])
def test_the_last_error_names_the_number_of_tries(sandbox, client_of, status, kind):
    sandbox.faults.extend([Fault.answer(status)] * 5)
    with pytest.raises(kind, match="gave up after 4 attempts") as caught:
        client_of(sandbox, max_retries=3).fetch_page(DEMO)
    assert caught.value.retryable
    assert len(sandbox.requests) == 4


def test_no_wait_ends_after_the_total_time():
    call = Call(*[asking_for(50)] * 9)
    with pytest.raises(HoneyHiveRateLimitError):
        call.made(total_time=30.0)
    assert call.waits == []


# ----------------------------------------------------------------------------------------- heavy pages


@pytest.mark.parametrize("status", [408, 413, 500, 502, 504])
def test_a_smaller_page_may_help_a_server_that_fails_on_one(status):
    assert is_heavy(HoneyHiveServerError("failed", status_code=status))


@pytest.mark.parametrize(
    ("error", "heavy"),
    [
        (HoneyHiveConnectionError("silent", timed_out=True), True),
        (HoneyHiveConnectionError("reset"), False),
        (AnswerTooLargeError("large"), True),
        (HoneyHiveResponseError("HTML"), False),
        (HoneyHiveServerError("busy", status_code=503), False),
        (HoneyHiveRateLimitError("slower", status_code=429), False),
        (HoneyHiveError("else"), False),
    ],
    ids=str,
)
def test_of_other_errors_only_time_outs_and_large_answers_are_heavy(error, heavy):
    assert is_heavy(error) is heavy


@pytest.mark.parametrize(("seconds", "heavy"), [(None, True), (LONG_WAIT_S, True), (LONG_WAIT_S + 1, False)])
def test_a_server_that_asks_to_come_back_in_minutes_has_not_failed_on_the_size(seconds, heavy):
    assert is_heavy(asking_for(seconds, HoneyHiveServerError, 502)) is heavy
    # This one says that it is the size.
    assert is_heavy(asking_for(seconds, HoneyHiveRequestError, 413))


def test_a_heavy_page_is_left_to_the_reader_after_two_tries(sandbox, client):
    sandbox.faults.extend([Fault.answer(502)] * 9)
    with pytest.raises(HoneyHiveServerError):
        client.fetch_page(DEMO, limit=100)
    assert len(sandbox.requests) == 2


def test_a_page_that_cannot_shrink_is_tried_as_often_as_any():
    call = Call(*[asking_for(None, HoneyHiveServerError, 502)] * 4)
    assert call.made(may_shrink=False) == "answer"
    with pytest.raises(HoneyHiveServerError, match="2 attempts"):
        Call(*[asking_for(None, HoneyHiveServerError, 502)] * 4).made(may_shrink=True)


# ---------------------------------------------------------------------------------------------- waits


@pytest.mark.parametrize(
    ("header", "low", "high"),
    [
        ("7", 7, 7),
        ("0", 0, 1),
        ("99999999", LONGEST_RETRY_AFTER_S, LONGEST_RETRY_AFTER_S),
        (lambda: format_datetime(datetime.now(UTC) + timedelta(seconds=200), usegmt=True), 100, 200),
        ("soon", 1, 2),
        ("-5", 0, 1),
        ("nan", 1, 2),
        ("inf", 1, LONGEST_RETRY_AFTER_S),
        ("9" * 5_000, 1, LONGEST_RETRY_AFTER_S),
        ("1e400", 1, LONGEST_RETRY_AFTER_S),
        ("Mon, 01 Jan 2024 00:00:00 +99999999999999999999", 1, 2),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", 1, 2),
    ],
)
def test_retry_after_is_obeyed_in_every_form_within_bounds(sandbox, client, header, low, high):
    sandbox.faults.append(Fault.answer(429, headers={"Retry-After": header() if callable(header) else header}))
    client.fetch_page(DEMO)
    (wait,) = client.waits
    assert low <= wait <= high


def test_waits_grow_with_jitter_up_to_a_minute(sandbox, client_of):
    sandbox.faults.extend([Fault.answer(503)] * 10)
    client = client_of(sandbox, max_retries=10)
    client.fetch_page(DEMO)
    assert all(min(2.0**number, 60) <= wait <= 61 for number, wait in enumerate(client.waits))
    assert client.waits[-1] >= 60


@pytest.mark.parametrize("seconds", [LONG_WAIT_S + 1, 120, 10**9, float("inf")])
def test_a_long_wait_is_left_to_whom_can_wait_elsewhere(sandbox, client_of, seconds):
    sandbox.faults.append(Fault.answer(429, retry_after=seconds))
    client = client_of(sandbox, leaves_long_waits=True)
    with pytest.raises(HoneyHiveRateLimitError) as caught:
        client.fetch_page(DEMO)
    assert caught.value.retry_after == seconds
    assert "gave up" not in str(caught.value)
    assert client.waits == []
    assert len(sandbox.requests) == 1


@pytest.mark.parametrize("seconds", [None, 0, 5, LONG_WAIT_S])
def test_a_short_wait_is_left_to_nobody(seconds):
    call = Call(asking_for(seconds))
    assert call.made(leaves_long_waits=True) == "answer"
    assert call.waits == [pytest.approx(seconds or 0, abs=2)]
