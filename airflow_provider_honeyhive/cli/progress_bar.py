"""How the reading of an export is getting on, drawn as a bar on a terminal."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, TextIO

from tqdm import tqdm

from airflow_provider_honeyhive.export.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable


# Its thread would only watch over bars that are drawn too rarely; this one is drawn when told.
tqdm.monitor_interval = 0

_USUAL_COLUMNS = 80


class ProgressBar(Progress):
    """Draws events of the total, MB, rate and time left, in one line that is drawn over.

    :param stream: the terminal.
    :param clock: seconds, by default :func:`time.monotonic`.
    """

    def __init__(self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock=clock)
        self._stream = stream
        self._bar: tqdm[Any] | None = None

    def begin(self, total: int | None, done: int = 0) -> None:
        """Draw the bar for the first time."""
        super().begin(total, done)
        bar: tqdm[Any] = tqdm(
            total=total,
            initial=done,
            unit=" events",
            file=self._stream,
            ncols=_columns(self._stream),
            # Whoever calls show() sets the pace.
            mininterval=0,
            miniters=0,
        )
        self._bar = bar

    def show(self) -> None:
        """Draw the bar anew."""
        if self._bar is None:
            return
        # One look, for the readers go on counting.
        event_count = self.event_count
        if self._bar.total is not None:
            # Late events make it more than was reported; a bar beyond its end would lose its shape.
            self._bar.total = max(self._bar.total, event_count)
        self._bar.ncols = _columns(self._stream)
        self._bar.set_postfix_str(f"{self.size_bytes / 1e6:,.1f} MB", refresh=False)
        self._bar.update(event_count - int(self._bar.n))

    def end(self) -> None:
        """Leave the bar as it is in the end, and go to the next line."""
        super().end()
        if self._bar is not None:
            self.show()
            self._bar.close()
            self._bar = None


def _columns(stream: TextIO) -> int:
    # A terminal that was given no size says 0.
    try:
        return os.get_terminal_size(stream.fileno()).columns or _USUAL_COLUMNS
    except OSError:
        return _USUAL_COLUMNS
