"""What a command that exports does with where it was started from: the log, the progress, and Ctrl-C."""

from __future__ import annotations

import logging
import signal
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_honeyhive.client import HoneyHiveClient
    from airflow_provider_honeyhive.progress import Progress


class Signals:
    """Stops an export at the first SIGINT or SIGTERM, so that it ends in order; at the second it ends at once."""

    _NUMBERS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self, client: HoneyHiveClient) -> None:
        self._client = client
        #: The signal that came first.
        self.received: int | None = None

    def __enter__(self) -> Signals:
        self._before = {number: signal.signal(number, self._receive) for number in self._NUMBERS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, _frame: object) -> None:
        if self.received is not None:
            raise KeyboardInterrupt
        self.received = number
        self._client.stop()


@contextmanager
def reporting(*, quiet: bool) -> Iterator[Progress]:
    """Give what shows the progress on stderr: a bar on a terminal, else lines; and let the log go there, too."""
    if quiet or not sys.stderr.isatty():
        from airflow_provider_honeyhive.progress import Progress  # noqa: PLC0415

        with _logging_to_stderr(logging.ERROR if quiet else logging.INFO):
            yield Progress()
        return
    from tqdm.contrib.logging import logging_redirect_tqdm  # noqa: PLC0415

    from airflow_provider_honeyhive.progress_bar import ProgressBar  # noqa: PLC0415

    bar = ProgressBar(sys.stderr)
    # Lines of the log go above the bar.
    with _logging_to_stderr(logging.WARNING), logging_redirect_tqdm():
        try:
            yield bar
        finally:
            bar.end()


@contextmanager
def _logging_to_stderr(level: int) -> Iterator[None]:
    root, package = logging.getLogger(), logging.getLogger(__package__)
    before = package.level
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(level)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    with ExitStack() as stack:
        root.addHandler(handler)
        stack.callback(root.removeHandler, handler)
        package.setLevel(level)
        stack.callback(package.setLevel, before)
        yield
