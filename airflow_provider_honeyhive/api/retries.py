"""When a request that failed is sent again, how long that waits, and when it is given up.

One policy for all requests. It knows the errors of :mod:`~airflow_provider_honeyhive.exceptions`, nothing of HTTP.
"""

from __future__ import annotations

import itertools
import random
import time
from typing import TYPE_CHECKING, TypeVar

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


Answer = TypeVar("Answer")

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
    call: Callable[[], Answer],
    *,
    max_retries: int,
    total_time: float,
    may_shrink: bool,
    leaves_long_waits: bool,
    sleep: Callable[[float], None],
    on_retry: Callable[[], None],
) -> Answer:
    """Call a function again and again; return its answer, or raise the last error.

    An error that it was called again for knows the number of attempts.

    :param call: what to call.
    :param max_retries: how often it is called again at most.
    :param total_time: seconds from the first call after which no wait ends.
    :param may_shrink: leave a page that looks too heavy to the caller, who can ask for less.
    :param leaves_long_waits: raise at once where the server asks for more than a minute, for a caller who can wait
        elsewhere. Otherwise it is waited for, up to ``LONGEST_RETRY_AFTER_S``.
    :param sleep: waits for seconds.
    :param on_retry: called before each wait.
    :raises HoneyHiveError: it will not pass, or has not.
    """
    begun = time.monotonic()
    for attempt in itertools.count(1):
        try:
            return call()
        except HoneyHiveError as error:
            if not error.retryable or isinstance(error, ExportStoppedError):
                raise
            wait = _wait(error, attempt)
            if (
                attempt > max_retries
                or time.monotonic() - begun + wait >= total_time
                or (may_shrink and attempt >= HEAVY_PAGE_TRIES and is_heavy(error))
                or (leaves_long_waits and asks_for_long_wait(error))
            ):
                error.attempts = attempt
                raise
            log_line = str(error)
        on_retry()
        log.warning("Try %d failed, next one in %.1f s: %s", attempt, wait, log_line)
        sleep(wait)
    raise AssertionError  # pragma: no cover - it counts without end


def _wait(error: HoneyHiveError, attempt: int) -> float:
    # As many doublings as get to the longest wait, since the number of one more may be too large.
    doubled: float = FIRST_BACKOFF_S * 2 ** min(attempt - 1, 10)
    wait = min(doubled + random.uniform(0, FIRST_BACKOFF_S), MAX_BACKOFF_S)  # noqa: S311 - no secret
    asked = wait_asked_by(error)
    return wait if asked is None else max(min(asked, LONGEST_RETRY_AFTER_S), min(wait, FIRST_BACKOFF_S))
