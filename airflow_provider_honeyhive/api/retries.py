"""When a request that failed is sent again, how long that waits, and when it is given up.

One policy for all requests. It knows the errors of :mod:`~airflow_provider_honeyhive.exceptions`, nothing of HTTP.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tenacity

from airflow_provider_honeyhive.display import get_logger
from airflow_provider_honeyhive.exceptions import (
    AnswerTooLargeError,
    ExportStoppedError,
    HoneyHiveAPIError,
    HoneyHiveConnectionError,
    HoneyHiveError,
)

if TYPE_CHECKING:
    from collections.abc import Callable


log = get_logger(__name__)

#: Seconds that are waited on the spot, whoever waits; for more a task leaves its worker slot, where it can.
LONG_WAIT_S = 60.0

#: The most that is waited on the spot by those that have nowhere to go: command line, hook, notebook.
LONGEST_RETRY_AFTER_S = 300.0

#: The most that is waited in the triggerer, or between two tries of a task.
LONGEST_PAUSE_S = 3_600.0


def wait_asked_by(error: BaseException | None) -> float | None:
    """Return the seconds that the server asked to wait, None where it did not."""
    return error.retry_after if isinstance(error, HoneyHiveAPIError) else None


def asks_for_long_wait(error: BaseException | None) -> bool:
    """Return whether the server asked for more than is waited on the spot."""
    return (wait_asked_by(error) or 0.0) > LONG_WAIT_S


def pause_asked_by(error: BaseException | None) -> float:
    """Return the seconds that the server asked to wait, within reason; 0 where it did not."""
    return min(wait_asked_by(error) or 0.0, LONGEST_PAUSE_S)


#: Seconds between two tries: doubled each time, with as much jitter as the first wait, up to a minute.
FIRST_BACKOFF_S = 1.0

MAX_BACKOFF_S = 60.0

#: How often a page that looks too heavy for the server is asked for before the reader asks for less.
HEAVY_PAGE_TRIES = 2

#: What a server answers that found a page too heavy, or that has other troubles.
_MAY_BE_HEAVY = (408, 500, 502, 504)


def is_heavy(error: BaseException | None) -> bool:
    """Return whether a smaller page may help: 413, a time-out, or the server failing on the request.

    A server that fails and asks to come back in minutes has not failed on the size.
    """
    if isinstance(error, HoneyHiveConnectionError):
        return error.timed_out
    if isinstance(error, HoneyHiveAPIError):
        return error.status_code == 413 or (error.status_code in _MAY_BE_HEAVY and not asks_for_long_wait(error))
    return isinstance(error, AnswerTooLargeError)


def retrying(
    *,
    max_retries: int,
    total_time: float,
    may_shrink: bool,
    leaves_long_waits: bool,
    sleep: Callable[[float], None],
    on_retry: Callable[[], None],
) -> tenacity.Retrying:
    """Return what calls a function again and again: it returns the answer, or raises the last error.

    That error is a HoneyHiveError, and knows the number of attempts.

    :param max_retries: how often it is called again at most.
    :param total_time: seconds from the first call after which no wait ends.
    :param may_shrink: leave a page that looks too heavy to the caller, who can ask for less.
    :param leaves_long_waits: raise at once where the server asks for more than a minute, for a caller who can wait
        elsewhere. Otherwise it is waited for, up to ``LONGEST_RETRY_AFTER_S``.
    :param sleep: waits for seconds.
    :param on_retry: called before each wait.
    """

    def before_wait(state: tenacity.RetryCallState) -> None:
        on_retry()
        wait = state.next_action.sleep if state.next_action else 0.0
        log.warning("Try %d failed, next one in %.1f s: %s", state.attempt_number, wait, _error_of(state))

    stops: list[Callable[[tenacity.RetryCallState], bool]] = [
        tenacity.stop_after_attempt(max_retries + 1),
        tenacity.stop_before_delay(total_time),
    ]
    if may_shrink:
        stops.append(_is_heavy_again)
    if leaves_long_waits:
        stops.append(lambda state: asks_for_long_wait(_error_of(state)))
    return tenacity.Retrying(
        sleep=sleep,
        retry=tenacity.retry_if_exception(_may_pass),
        wait=_wait,
        stop=lambda state: any(stop(state) for stop in stops),
        before_sleep=before_wait,
        retry_error_callback=_raise_last,
    )


def _error_of(state: tenacity.RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, HoneyHiveError) and error.retryable and not isinstance(error, ExportStoppedError)


def _is_heavy_again(state: tenacity.RetryCallState) -> bool:
    return is_heavy(_error_of(state)) and state.attempt_number >= HEAVY_PAGE_TRIES


_backoff = tenacity.wait_exponential_jitter(initial=FIRST_BACKOFF_S, max=MAX_BACKOFF_S, jitter=FIRST_BACKOFF_S)


def _wait(state: tenacity.RetryCallState) -> float:
    asked = wait_asked_by(_error_of(state))
    wait = _backoff(state)
    return wait if asked is None else max(min(asked, LONGEST_RETRY_AFTER_S), min(wait, FIRST_BACKOFF_S))


def _raise_last(state: tenacity.RetryCallState) -> Any:
    error = _error_of(state)
    if isinstance(error, HoneyHiveError):
        error.attempts = state.attempt_number
        raise error
    raise RuntimeError("a retry ended without an error")  # pragma: no cover - tenacity's contract
