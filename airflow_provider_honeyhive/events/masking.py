"""Takes fields out of the JSON text of an event, or replaces them, and leaves every other byte as it was."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from airflow_provider_honeyhive.events.redaction import redacted
from airflow_provider_honeyhive.events.scan import members, objects_in_list

if TYPE_CHECKING:
    from collections.abc import Iterable


#: From where to where, and what comes instead.
Edit: TypeAlias = tuple[int, int, bytes]


class Action(Enum):
    """What happens to a value."""

    EXCLUDE = auto()
    REDACT = auto()


@dataclass
class _Node:
    """A field on the way down.

    :param action: what happens to its value.
    :param children: the fields below it that rules name.
    :param only: the only fields below it that are kept; None keeps all.
    """

    action: Action | None = None
    children: dict[str, _Node] = field(default_factory=dict)
    only: frozenset[str] | None = None

    def plant(self, path: str, action: Action) -> None:
        node = self
        for name in path.split("."):
            node = node.children.setdefault(name, _Node())
        node.action = action

    def step(self, key: str) -> _Node | None:
        """Return what the rules say of the member ``key``; None: nothing, and nothing of what is in it."""
        if self.only is not None and key not in self.only:
            return _EXCLUDED
        node = self.children.get(key)
        if node is None and "." in key:
            node = self
            for name in key.split("."):
                node = node.children.get(name)
                if node is None or node.action is not None:
                    break
        return node


_EXCLUDED = _Node(Action.EXCLUDE)


class Editor:
    """Applies rules that have been checked to one event after the other; may be shared by threads.

    :param kept: the only top-level fields to keep; None keeps all.
    :param exclude_fields: paths of what to take out.
    :param redact: paths of what to replace.
    :param key: the secret of the hashes.
    """

    def __init__(
        self, kept: frozenset[str] | None, exclude_fields: Iterable[str], redact: Iterable[str], key: bytes
    ) -> None:
        self._root = _Node(only=kept)
        for path in exclude_fields:
            self._root.plant(path, Action.EXCLUDE)
        for path in redact:
            self._root.plant(path, Action.REDACT)
        self._redacted = partial(redacted, key=key)

    def edit(self, raw: bytes) -> bytes:
        """Return ``raw`` with the rules applied.

        :raises HoneyHiveResponseError: it is not the text of one object.
        """
        edits: list[Edit] = []
        self._edit_object(raw, 0, len(raw), self._root, edits)
        return _spliced(raw, edits) if edits else raw

    def _edit_object(self, raw: bytes, start: int, end: int, node: _Node, edits: list[Edit]) -> None:
        # Recursion ends with the path: each object on the way is another name of it.
        kept = False
        cut_from: int | None = None
        last_end = start
        for key, key_start, value_start, value_end in members(raw, start, end):
            child = node.step(key)
            if child is not None and child.action is Action.EXCLUDE:
                # With the comma before it, or with the one after it where nothing is kept before.
                if kept:
                    edits.append((last_end, value_end, b""))
                elif cut_from is None:
                    cut_from = key_start
            else:
                if cut_from is not None:
                    edits.append((cut_from, key_start, b""))
                    cut_from = None
                kept = True
                if child is not None:
                    self._edit_value(raw, value_start, value_end, child, edits)
            last_end = value_end
        if cut_from is not None:
            edits.append((cut_from, last_end, b""))

    def _edit_value(self, raw: bytes, start: int, end: int, node: _Node, edits: list[Edit]) -> None:
        if node.action is Action.REDACT:
            edits.append((start, end, self._redacted(raw[start:end])))
        elif raw.startswith(b"{", start):
            self._edit_object(raw, start, end, node, edits)
        elif raw.startswith(b"[", start):
            for object_start, object_end in objects_in_list(raw, start):
                self._edit_object(raw, object_start, object_end, node, edits)


def _spliced(raw: bytes, edits: list[Edit]) -> bytes:
    pieces: list[bytes] = []
    at = 0
    for start, end, instead in edits:
        pieces += (raw[at:start], instead)
        at = end
    pieces.append(raw[at:])
    return b"".join(pieces)
