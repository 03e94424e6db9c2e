"""Runs the slices of an export side by side, and ends promptly whichever way it ends."""

from __future__ import annotations

import threading
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")

#: Seconds that readers get to put down what they hold once the export is over; one that waits for the
#: server's answer is not waited for.
GRACE_S = 5.0


def run_side_by_side(
    jobs: Sequence[Callable[[], T]],
    concurrency: int,
    stop: threading.Event,
    on_wait: Callable[[], None],
    interval: float,
) -> list[T]:
    """Return the jobs' results in order; the first error ends all.

    In daemon threads rather than an executor's: those would hold up the end of the process until a slow
    answer has come.

    :param jobs: what to run.
    :param concurrency: how many at the same time.
    :param stop: set when it is over; the jobs look at it.
    :param on_wait: called every ``interval`` seconds.
    """
    futures: list[Future[T]] = [Future() for _ in jobs]
    waiting = iter(zip(jobs, futures, strict=True))
    lock = threading.Lock()

    def work() -> None:
        while not stop.is_set():
            with lock:
                job, future = next(waiting, (None, None))
            if job is None or future is None:
                return
            try:
                future.set_result(job())
            except BaseException as error:  # noqa: BLE001 - raised again by whoever waits
                future.set_exception(error)

    threads = [
        threading.Thread(target=work, name=f"honeyhive-slice-{number}", daemon=True)
        for number in range(min(concurrency, len(jobs)))
    ]
    try:
        for thread in threads:
            thread.start()
        pending = set(futures)
        while pending:
            done, pending = wait(pending, timeout=interval, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
            if pending:
                on_wait()
    finally:
        stop.set()
        for thread in threads:
            thread.join(GRACE_S)
    return [future.result() for future in futures]
