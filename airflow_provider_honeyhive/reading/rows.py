"""What tells one row of the server from another."""

from __future__ import annotations

import threading
from collections import Counter
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_honeyhive.api.pages import Page


#: What tells a row of the server from others: event id and time (None: it has none); its content where several rows
#: have both alike; and a number from the second of those on that are the same in every byte.
RowKey: TypeAlias = "tuple[Any, ...]"


def has_twins(page: Page) -> bool:
    """Return whether several rows of an answer have the same id and time: servers may hold an event in several rows."""
    return len(set(zip(page.ids, page.times, strict=True))) < len(page)


def row_keys(page: Page, *, by_content: bool = False) -> list[RowKey]:
    """Return the key of each row of an answer.

    :param by_content: look at the content of each row, not only of those without a time.
    """
    keys: list[RowKey] = list(zip(page.ids, page.times, strict=True))
    if by_content or None in page.times:
        for place, (key, raw) in enumerate(zip(keys, page.raw_events, strict=True)):
            if by_content or key[1] is None:
                keys[place] = (*key, blake2b(raw, digest_size=8).hexdigest())
    if len(set(keys)) == len(keys):
        return keys
    count: Counter[RowKey] = Counter()
    for place, key in enumerate(keys):
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
