"""What a server's ``Retry-After`` may ask of whom. Light enough for DAG parsing."""

from __future__ import annotations

from airflow_provider_honeyhive.exceptions import HoneyHiveAPIError

#: Seconds that are waited on the spot, whoever waits; for more a task leaves its worker slot, where it can.
LONG_WAIT_S = 60.0
#: The most that is waited on the spot by those that have nowhere to go: command line, hook, notebook.
LONGEST_RETRY_AFTER_S = 300.0
#: The most that is waited in the triggerer, or between two tries of a task.
LONGEST_PAUSE_S = 3_600.0


def wait_asked_by(error: BaseException | None) -> float | None:
    """Return the seconds that the server asked to wait, None where it did not."""
    return error.retry_after if isinstance(error, HoneyHiveAPIError) else None


def asks_for_long_wait(error: BaseException | None) -> bool:
    """Return whether the server asked for more than is waited on the spot."""
    return (wait_asked_by(error) or 0.0) > LONG_WAIT_S


def pause_asked_by(error: BaseException | None) -> float:
    """Return the seconds that the server asked to wait, within reason; 0 where it did not."""
    return min(wait_asked_by(error) or 0.0, LONGEST_PAUSE_S)
