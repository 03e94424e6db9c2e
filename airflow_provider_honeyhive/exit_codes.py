"""Exit codes of the command line, and which error gives which."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_honeyhive.exceptions import InvalidArgumentError

if TYPE_CHECKING:
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
