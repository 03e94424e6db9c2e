"""What tells one row of the server from another."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, TypeAlias

from airflow_provider_honeyhive.models.content import is_id, is_name

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from airflow_provider_honeyhive.api.pages import Page


#: What tells a row of the server from others: event id and time (None: it has none); its content where several rows
#: have both alike; and a number from the second of those on that are the same in every byte.
RowKey: TypeAlias = "tuple[Any, ...]"


def has_twins(page: Page) -> bool:
    """Return whether several rows of an answer have the same id and time: servers may hold an event in several rows."""
    # Ids alone first, which are hardly ever the same: a pair for each row takes longer to make than all ids to compare.
    return len(set(page.ids)) < len(page) and len(set(zip(page.ids, page.times, strict=True))) < len(page)


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


def id_without_content(event_id: Hashable) -> Hashable:
    """Return what tells an event from others and is no text that somebody may have said: its id, or a hash of that."""
    if not isinstance(event_id, str) or is_id(event_id):
        return event_id
    return blake2b(event_id.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def without_content(page: Page, project: str | None) -> Page:
    """Return an answer whose ids and projects, which checkpoints and the manifest name, are ids and names.

    :param page: the answer; its events stay as they are.
    :param project: asked for; it may be any text.
    """

    def name_of(text: str | None) -> str | None:
        if text is None or text == project or is_name(text):
            return text
        return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()

    projects = frozenset((name_of(name), name_of(project_id)) for name, project_id in page.projects)
    return replace(page, ids=list(map(id_without_content, page.ids)), projects=projects)


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
