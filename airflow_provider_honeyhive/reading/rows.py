"""What tells one row of the server from another."""

from __future__ import annotations

import threading
from collections import Counter
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_honeyhive.api.pages import Page


#: What tells a row of the server from others: event id, time (None: it has none), and a number from the second of those
#: on that have both alike, in the order in which the server shows them. An id alone would not do: servers may hold one
#: id in several rows.
RowKey: TypeAlias = "tuple[Any, ...]"


def row_keys(page: Page) -> list[RowKey]:
    """Return the key of each row of an answer."""
    keys: list[RowKey] = list(zip(page.ids, page.times, strict=True))
    if len(set(keys)) == len(keys):
        return keys
    count: Counter[RowKey] = Counter()
    for place, key in enumerate(keys):
        if count[key]:
            keys[place] = (*key, count[key])
        count[key] += 1
    return keys


def keys_by_content(page: Page, contents: dict[RowKey, list[bytes]]) -> list[RowKey]:
    """Return the key of each row of an answer, where rows with the same id and time come in several answers.

    :param contents: of such rows, in the order in which the answers show them; learns those of this one.
    """
    keys: list[RowKey] = list(zip(page.ids, page.times, strict=True))
    for place, (key, raw) in enumerate(zip(keys, page.raw_events, strict=True)):
        content, there = blake2b(raw, digest_size=8).digest(), contents.setdefault(key, [])
        if content not in there:
            there.append(content)
        if number := there.index(content):
            keys[place] = (*key, number)
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
