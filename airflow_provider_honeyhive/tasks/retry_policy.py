"""When Airflow tries a task again that asks HoneyHive, and when not."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn, Self

from airflow_provider_honeyhive._compat import (
    HAS_RETRY_POLICIES,
    AirflowFailException,
    AirflowOptionalProviderFeatureException,
    RetryDecision,
    RetryPolicy,
)
from airflow_provider_honeyhive.api.retries import pause_asked_by
from airflow_provider_honeyhive.display import LONGEST_ERROR, described_in_lines, get_logger, shown
from airflow_provider_honeyhive.exceptions import HoneyHiveError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

log = get_logger(__name__)


@contextmanager
def fail_if_permanent() -> Iterator[None]:
    """Fail the task at once, without Airflow's retries, where no retry mends the error.

    The log says why in lines of its own; the traceback that Airflow adds is not that of the error.

    :raises AirflowFailException: what no retry mends.
    :raises HoneyHiveError: what a retry may mend.
    """
    try:
        yield
        return
    except HoneyHiveError as error:
        if error.retryable:
            raise
        lines = described_in_lines(error)
    # Outside of the handler, and so without the traceback of the error: it says all there is to know.
    fail_for_good(lines)


def fail_for_good(lines: Iterable[str]) -> NoReturn:
    """Fail the task without Airflow's retries, after the log has said why.

    :param lines: what is wrong and what to do, then facts.
    :raises AirflowFailException: always.
    """
    told = [shown(line, LONGEST_ERROR) for line in lines]
    for line in told:
        log.error("%s", line)
    message = "\n".join(told)
    raise AirflowFailException(message) from None


class HoneyHiveRetryPolicy(RetryPolicy):
    """Try a task again when the server says, and not at all where that would not help (Airflow 3.3 and later).

    For any task that asks HoneyHive, such as a ``@task`` with the hook: ``retry_policy=HoneyHiveRetryPolicy()``.

    - A ``HoneyHiveError`` that no retry mends fails the task at once, whatever ``retries`` says. This provider's
      operators and sensor see to that by themselves, on every Airflow.
    - Where the server said by ``Retry-After`` when to come back, the next try begins then, at the latest after an
      hour, instead of after ``retry_delay``.
    - Everything else is left to ``retries``, ``retry_delay`` and what else the task has.

    It never gives a task more tries than ``retries`` does. No operator uses it unless told to, since it takes
    precedence over the task's own ``retry_delay``.

    :raises AirflowOptionalProviderFeatureException: on Airflow before 3.3, which has no retry policies.
    """

    def __init__(self) -> None:
        if not HAS_RETRY_POLICIES:
            raise AirflowOptionalProviderFeatureException(
                "HoneyHiveRetryPolicy is for retry policies, which came with Airflow 3.3; leave out retry_policy here: "
                "the operators fail at once on what no retry mends, and obey Retry-After, without it"
            )

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,
        max_tries: int,
        context: Mapping[str, Any] | None = None,
    ) -> RetryDecision:
        """Decide by the error of the try that failed."""
        if isinstance(exception, HoneyHiveError) and not exception.retryable:
            return RetryDecision.fail(f"no retry mends {type(exception).__name__}")
        wait = pause_asked_by(exception)
        if not wait:
            return RetryDecision.default()
        return RetryDecision.retry(timedelta(seconds=wait), f"HoneyHive asked to come back after {wait:g} s")

    def serialize(self) -> dict[str, Any]:
        """Return the class path: there is nothing else to it."""
        return {"__type": f"{type(self).__module__}.{type(self).__qualname__}"}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Self:
        """Return the policy."""
        return cls()
