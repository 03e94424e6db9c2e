"""Runs what reads in threads of its own, so that a signal finds the main thread free to act."""

from __future__ import annotations

import threading
import time
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_honeyhive.api.concurrency import TICK_S
from airflow_provider_honeyhive.exceptions import ExportStoppedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


T = TypeVar("T")

#: Seconds that readers get to put down what they hold once the export is over; one that waits for the
#: server's answer is not waited for.
GRACE_S = 2.0


def run_in_threads(
    jobs: Sequence[Callable[[], T]],
    stop: threading.Event,
    is_stopped: Callable[[], bool],
    on_wait: Callable[[], None],
) -> list[T]:
    """Run each job in a thread, return their results; the first error ends all, and so does being stopped.

    In daemon threads rather than an executor's: those would hold up the end of the process until a slow
    answer has come.

    :param jobs: what to run.
    :param stop: set when it is over; the jobs look at it.
    :param is_stopped: whether somebody wants it to end.
    :param on_wait: called every half second.
    :raises ExportStoppedError: somebody does.
    """
    futures: list[Future[T]] = [Future() for _ in jobs]

    def work(job: Callable[[], T], future: Future[T]) -> None:
        try:
            future.set_result(job())
        except BaseException as error:  # noqa: BLE001 - raised again by whoever waits
            future.set_exception(error)
        finally:
            del future  # else the error would keep itself

    threads = [
        threading.Thread(target=work, args=pair, name=f"honeyhive-reader-{number}", daemon=True)
        for number, pair in enumerate(zip(jobs, futures, strict=True))
    ]
    try:
        for thread in threads:
            thread.start()
        pending = set(futures)
        while pending:
            done, pending = wait(pending, timeout=TICK_S, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
            if pending and is_stopped():
                raise ExportStoppedError("the export was stopped; what is staged waits for a retry")
            on_wait()
    except BaseException:
        # An error keeps this frame, and by these itself: what readers held would wait for the collector.
        futures, pending, done, future = [], set(), set(), None
        raise
    finally:
        stop.set()
        until = time.monotonic() + GRACE_S
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
    return [future.result() for future in futures]
