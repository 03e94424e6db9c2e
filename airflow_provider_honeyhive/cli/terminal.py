"""What a command that exports does with where it was started from: the log, the progress, and Ctrl-C."""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Protocol

from airflow_provider_honeyhive.display import HIDDEN, LineFormatter, get_logger, lines_of, write_error
from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.export.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

    from airflow_provider_honeyhive.exceptions import HoneyHiveError


OK, FAILED, USAGE, AGAIN = 0, 1, 2, 3

INTERRUPTED, OUTPUT_CLOSED, TERMINATED = 130, 141, 143

#: Exit code -> what it means.
MEANINGS = {
    OK: "done",
    FAILED: "failed, and the same command will fail again; or verify found something wrong",
    USAGE: "wrong usage, or an option that cannot be right",
    AGAIN: "failed, and the same command may succeed later: an export goes on from what it has staged",
    INTERRUPTED: "stopped by SIGINT (Ctrl-C); an export goes on from there when it is run again",
    OUTPUT_CLOSED: "whoever read the output has gone",
    TERMINATED: "stopped by SIGTERM; an export goes on from there when it is run again",
}


def code_of(error: HoneyHiveError) -> int:
    """Return the exit code for an error."""
    if isinstance(error, InvalidArgumentError):
        return USAGE
    return AGAIN if error.retryable else FAILED


#: A connection, and a key by its beginning. Not the words that our own errors have in their place, nor a folder such
#: as ``hh_exports``.
_TYPED = re.compile(r"honeyhive:(?!//:KEY@)\S+|\bhh_(?:ingst_|fgdp_)?+(?:(?=\w*\d)\w{4,}|\w{17,})")


def tell_error(error: object) -> None:
    """Write why a command failed to stderr, without a key that was typed in a wrong place.

    :param error: or its text, which may repeat what was typed.
    """
    first, *facts = (_TYPED.sub(HIDDEN, line) for line in lines_of(error))
    write_error(f"error: {first}", *(f"  {fact}" for fact in facts))


def as_option(error: InvalidArgumentError, options: Mapping[str, str]) -> InvalidArgumentError:
    """Return the error with arguments named as the command line names them.

    :param options: name of an argument -> option.
    """
    return error.renamed(options.get(error.argument, error.argument), options)


def leave_output() -> None:
    """Write to stdout no more, since nobody reads it: Python flushes it once more at its end, and would complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Stoppable(Protocol):
    """What can be told to end soon: a client, or a build."""

    def stop(self) -> None:
        """End soon; return at once."""


class Signals:
    """Stops an export or a build at the first SIGINT or SIGTERM, so that it ends in order, and at once at the second.

    :param stoppable: what is to be stopped.
    """

    _NUMBERS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self, stoppable: Stoppable) -> None:
        self._stoppable = stoppable
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
        self._stoppable.stop()


@contextmanager
def reporting(*, quiet: bool) -> Iterator[Progress]:
    """Give what shows the progress on stderr: a bar on a terminal, else lines; and let the log go there, too."""
    if quiet or not sys.stderr.isatty():
        with telling(quiet=quiet):
            yield Progress()
        return
    from tqdm.contrib.logging import logging_redirect_tqdm  # noqa: PLC0415

    from airflow_provider_honeyhive.cli.progress_bar import ProgressBar  # noqa: PLC0415

    bar = ProgressBar(sys.stderr)
    # Lines of the log go above the bar.
    with _logging_to_stderr(logging.WARNING), logging_redirect_tqdm():
        try:
            yield bar
        finally:
            bar.end()


def telling(*, quiet: bool) -> AbstractContextManager[None]:
    """Let the log go to stderr: its warnings and what it says besides, or only errors."""
    return _logging_to_stderr(logging.ERROR if quiet else logging.INFO)


@contextmanager
def _logging_to_stderr(level: int) -> Iterator[None]:
    root, package = logging.root, get_logger(__package__.partition(".")[0])
    before = package.level
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(level)
    handler.setFormatter(LineFormatter("%(asctime)s %(levelname)s %(message)s"))
    with ExitStack() as stack:
        root.addHandler(handler)
        stack.callback(root.removeHandler, handler)
        package.setLevel(level)
        stack.callback(package.setLevel, before)
        yield
