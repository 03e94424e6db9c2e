"""The log of requests: what came and what became of it, never the key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class LoggedRequest:
    """One request and what became of it.

    :param number: 1 for the first request that arrived. The log is in the order of the answers.
    :param body: the JSON object sent; ``None``: not one.
    :param headers: names in lower case, without ``authorization``.
    :param authorized: whether the key was one that reads.
    :param status: of the answer; 0: the connection was reset instead.
    :param event_count: events in the answer.
    :param fault: kind of the fault it met, if any.
    """

    number: int
    method: str
    path: str
    body: dict[str, Any] | None
    headers: dict[str, str]
    authorized: bool
    status: int
    event_count: int
    fault: str | None = None
