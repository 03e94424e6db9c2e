"""What tells one row of the server from another."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_honeyhive.api.pages import Page


#: What tells a row of the server from others: event id and time (None: it has none), and a number from the second of
#: those on that have both alike. An id alone would not do: servers may hold one id in several rows.
RowKey: TypeAlias = "tuple[Any, ...]"


def row_keys(page: Page, earlier: Counter[RowKey] | None = None, again: int = 0) -> list[RowKey]:
    """Return the key of each row of an answer.

    :param earlier: rows, by id and time, in earlier answers that this one goes on from; it learns those of this
        answer. None: this answer alone counts.
    :param again: how many of its rows, at the beginning, are in the earlier answers.
    """
    keys: list[RowKey] = list(zip(page.ids, page.times, strict=True))
    if earlier is None and len(set(keys)) == len(keys):
        return keys
    count = Counter() if earlier is None else earlier
    for place, key in enumerate(keys[again:], again):
        if count[key]:
            keys[place] = (*key, count[key])
        count[key] += 1
    return keys


class SharedKeys:
    """Rows that any of several threads has taken."""

    def __init__(self) -> None:
        self._keys: set[RowKey] = set()
        self._lock = threading.Lock()

    def is_first(self, key: RowKey) -> bool:
        """Remember a row, and return whether nobody had taken it."""
        with self._lock:
            before = len(self._keys)
            self._keys.add(key)
            return len(self._keys) > before

    def add(self, keys: Iterable[RowKey]) -> None:
        """Remember rows."""
        with self._lock:
            self._keys.update(keys)

    def remove(self, keys: Iterable[RowKey]) -> None:
        """Forget rows."""
        with self._lock:
            self._keys.difference_update(keys)
