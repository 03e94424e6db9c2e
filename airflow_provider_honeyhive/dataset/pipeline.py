"""Lets DuckDB and pyarrow, which need no lock of Python, work while Python reads conversations."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

_END: Any = object()


def ahead(items: Iterator[T]) -> Iterator[T]:
    """Yield what an iterator yields; another thread gets the next item meanwhile.

    :param items: used by that thread alone.
    """
    with ThreadPoolExecutor(1, "honeyhive-ahead") as pool:
        waiting = pool.submit(next, items, _END)
        while (item := waiting.result()) is not _END:
            waiting = pool.submit(next, items, _END)
            yield item


class Behind:
    """Calls functions in another thread, one after the other, as a context manager that ends when all are done.

    No more than one waits, so that what they are given does not fill the memory.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "honeyhive-behind")
        self._running: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.wait()
        finally:
            self._pool.shutdown()

    def call(self, function: Callable[..., None], *args: Any) -> None:
        """Let a function be called once the one before has ended.

        :raises BaseException: what the one before has raised.
        """
        self.wait()
        self._running = self._pool.submit(function, *args)

    def wait(self) -> None:
        """Wait for the last function.

        :raises BaseException: what it has raised.
        """
        running, self._running = self._running, None
        if running is not None:
            running.result()
