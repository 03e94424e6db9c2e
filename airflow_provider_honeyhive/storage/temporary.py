"""What happens where temporary files cannot be written."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow_provider_honeyhive.exceptions import DestinationError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def temporary_space(*kinds: type[Exception]) -> Iterator[None]:
    """Say what to do where the machine has no room for a temporary file.

    :param kinds: of errors that say so, beside those of the system.
    :raises DestinationError: one could not be made, written or read.
    """
    failures: tuple[type[Exception], ...] = (OSError, *kinds)
    try:
        yield
    except failures as error:
        reason = getattr(error, "strerror", None) or error
        raise DestinationError(
            f"cannot use a temporary file: free space there, or let TMPDIR name a folder that has some: {reason}"
        ) from None
