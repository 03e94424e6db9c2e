"""What goes wrong in a store, said in one way: what was tried, where, and why it failed, without secrets."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow_provider_honeyhive.exceptions import DestinationError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Characters of a store's own message in an error.
LONGEST_REASON = 400
#: Queries carry signatures and the tokens of uploads, what stands before an ``@`` passwords of proxies.
_SECRET = re.compile(r"(?<=\?)[^\s'\"<>]+|(?<=//)[^\s'\"<>/@]+(?=@)")


@contextmanager
def failing(what: str, where: str) -> Iterator[None]:
    """Turn what a store raises into an error that says what could not be done, and where.

    :param what: a verb.
    :param where: a path or URL.
    :raises DestinationError: something was raised inside.
    """
    try:
        yield
    except DestinationError:
        raise
    except Exception as error:
        # Each store has its own tree of errors; all of them mean the same here.
        raise DestinationError(f"cannot {what} {where}: {type(error).__name__}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    line = "; ".join(part.strip() for part in _SECRET.sub("…", text).splitlines() if part.strip())
    return line if len(line) <= LONGEST_REASON else f"{line[:LONGEST_REASON]}…"
