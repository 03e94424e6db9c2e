"""Lets another thread, or the handler of a signal, end a build."""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from airflow_provider_honeyhive.exceptions import ExportStoppedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

#: Seconds between two looks. Each interrupts again: what comes between two statements ends neither.
_EACH_S = 0.1


class BuildStop:
    """Ends a build once :meth:`stop` is called, whatever it is at."""

    def __init__(self) -> None:
        #: Whether somebody wants the build to end.
        self.is_stopped = False

    def stop(self) -> None:
        """Let the build end with an error; returns at once, and takes no lock, so that a signal's handler may call."""
        self.is_stopped = True

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
            while not over.wait(_EACH_S):
                if self.is_stopped:
                    with suppress(Exception):  # it may just be opened or closed
                        connection.interrupt()

        thread = threading.Thread(target=watch, name="honeyhive-stop", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
