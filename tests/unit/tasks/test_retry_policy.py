"""What Airflow does after an error, by the retry policy; before Airflow 3.3 by the classes of errors alone."""

from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.sdk import RetryAction

from airflow_provider_honeyhive import _compat
from airflow_provider_honeyhive.api.retries import LONGEST_PAUSE_S
from airflow_provider_honeyhive.exceptions import (
    HoneyHiveAuthError,
    HoneyHiveConnectionError,
    HoneyHiveRateLimitError,
    HoneyHiveServerError,
    IncompleteExportError,
    InvalidArgumentError,
)
from airflow_provider_honeyhive.tasks import retry_policy
from airflow_provider_honeyhive.tasks.retry_policy import HoneyHiveRetryPolicy
from tests.unit.programs import modules_loaded_by


def decide(error: BaseException):
    return HoneyHiveRetryPolicy().evaluate(error, try_number=1, max_tries=3, context=None)


@pytest.mark.parametrize("kind", [HoneyHiveRateLimitError, HoneyHiveServerError])
@pytest.mark.parametrize(("asked", "delay"), [(4, 4), (90.5, 90.5), (10**9, LONGEST_PAUSE_S)])
def test_the_next_try_begins_when_the_server_says(kind, asked, delay):
    decision = decide(kind("later", retry_after=asked))

    assert decision.action is RetryAction.RETRY
    assert decision.retry_delay == timedelta(seconds=delay)
    assert f"after {delay:g} s" in decision.reason


@pytest.mark.parametrize(
    "error",
    [
        HoneyHiveAuthError("no", status_code=401),
        InvalidArgumentError("project", 1, "allowed: a text"),
        HoneyHiveConnectionError("certificate", retryable=False),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_no_retry_mends_fails_at_once(error):
    decision = decide(error)

    assert decision.action is RetryAction.FAIL
    assert type(error).__name__ in decision.reason


@pytest.mark.parametrize(
    "error",
    [
        HoneyHiveRateLimitError("later"),
        HoneyHiveServerError("later", retry_after=0),
        HoneyHiveConnectionError("reset"),
        IncompleteExportError(2, 1),
        ValueError("none of ours"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_rest_is_left_to_the_tasks_own_retries(error):
    assert decide(error).action is RetryAction.DEFAULT


def test_importing_it_imports_nothing_that_only_requests_need():
    loaded = modules_loaded_by(
        "import airflow_provider_honeyhive.tasks.retry_policy",
        after="from airflow.providers.common.compat.sdk import BaseHook, BaseOperator, ObjectStoragePath\n"
        "import airflow.triggers.base",
    )
    assert not {"requests", "tenacity", "msgspec", "pyarrow", "airflow_provider_honeyhive.api.client"} & loaded


def test_it_survives_serialization():
    data = HoneyHiveRetryPolicy().serialize()

    assert data == {"__type": "airflow_provider_honeyhive.tasks.retry_policy.HoneyHiveRetryPolicy"}
    assert isinstance(HoneyHiveRetryPolicy.deserialize(data), _compat.RetryPolicy)


def test_airflow_without_retry_policies_is_told(monkeypatch):
    monkeypatch.setattr(retry_policy, "HAS_RETRY_POLICIES", False)

    with pytest.raises(_compat.AirflowOptionalProviderFeatureException, match="came with Airflow 3.3; leave out"):
        HoneyHiveRetryPolicy()
