"""Lets another thread, or the handler of a signal, end a build."""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from airflow_provider_honeyhive.exceptions import ExportStoppedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

#: Seconds between two interrupts: one that comes between two statements ends neither.
_EACH_S = 0.1


class BuildStop:
    """Ends a build once :meth:`stop` is called, whatever it is at."""

    def __init__(self) -> None:
        self._stopped = threading.Event()
        self._closed = threading.Event()

    @property
    def is_stopped(self) -> bool:
        """Whether somebody wants the build to end."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Let the build end with an error; returns at once."""
        self._stopped.set()

    def check(self) -> None:
        """Do nothing, but where the build is to end.

        :raises ExportStoppedError: it is.
        """
        if self.is_stopped:
            raise ExportStoppedError("the build was stopped; nothing was published")

    @contextmanager
    def interrupting(self, connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
        """Interrupt what the database is at inside, once the build is to end."""
        over = threading.Event()

        def watch() -> None:
            while not over.is_set():
                if self._stopped.wait(_EACH_S):
                    with suppress(Exception):  # it may just have been closed
                        connection.interrupt()
                    over.wait(_EACH_S)

        thread = threading.Thread(target=watch, name="honeyhive-stop", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
