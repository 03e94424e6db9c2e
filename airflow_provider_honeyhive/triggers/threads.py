"""Blocking calls beside the triggerer's event loop."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

#: Most calls at the same time, of all triggers of this provider in one triggerer.
THREADS = 8


@cache
def _pool() -> ThreadPoolExecutor:
    # Not the event loop's own pool: a server that hangs must not take the threads of other providers' triggers.
    return ThreadPoolExecutor(THREADS, thread_name_prefix="honeyhive")


async def in_thread(call: Callable[[], T]) -> T:
    """Return what ``call`` returns, while the event loop goes on."""
    # Here, because DAG parsing needs no threads.
    from asgiref.sync import sync_to_async  # noqa: PLC0415

    # Not asyncio.to_thread: Airflow 3.0 to 3.2 can look up a connection only in a thread that asgiref has made.
    return await sync_to_async(call, thread_sensitive=False, executor=_pool())()
