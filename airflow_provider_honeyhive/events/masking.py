"""Takes fields out of the JSON text of an event, or replaces them, and leaves every other byte as it was."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from airflow_provider_honeyhive.events.keyed_hash import key_id, redacted
from airflow_provider_honeyhive.events.scan import member_spans, objects_in_list
from airflow_provider_honeyhive.models.fields import ALWAYS_PROJECTED

if TYPE_CHECKING:
    from airflow_provider_honeyhive.events.raw import RawEvent
    from airflow_provider_honeyhive.models.fields import FieldRules


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


class Masker:
    """Applies rules to one event after the other; threads may share it.

    :param rules: what to keep, take out and replace.
    """

    def __init__(self, rules: FieldRules) -> None:
        kept = None if rules.projections is None else frozenset((*rules.projections, *ALWAYS_PROJECTED))
        self._root = _Node(only=kept)
        for path in rules.exclude_fields:
            self._root.plant(path, Action.EXCLUDE)
        for path in rules.redact:
            self._root.plant(path, Action.REDACT)
        self._key = rules.redact_secret.get_secret_value().encode() if rules.redact_secret else b""
        self._redacted = partial(redacted, key=self._key)
        self._active = rules.active
        self._redacts = bool(rules.redact)

    @property
    def key_id(self) -> str | None:
        """What tells the key of the hashes from others without showing it: exports with the same id join."""
        return key_id(self._key) if self._redacts and self._key else None

    def apply(self, raw: RawEvent) -> RawEvent:
        """Return one event without what the rules take out; every other byte stays as it was.

        A member is taken out with the comma and the white space that part it from its neighbour.

        :param raw: the JSON text of one event, as :mod:`~airflow_provider_honeyhive.api.pages` gives it: from the
            brace that opens it to the one that closes it. Without rules it is what comes back.
        :raises HoneyHiveResponseError: it cannot be read as an object, so nothing of it may pass.
        """
        return self._masked(bytes(raw)) if self._active else raw

    def _masked(self, raw: bytes) -> bytes:
        edits: list[Edit] = []
        self._edit_object(raw, 0, len(raw), self._root, edits)
        return _spliced(raw, edits) if edits else raw

    def _edit_object(self, raw: bytes, start: int, end: int, node: _Node, edits: list[Edit]) -> None:
        # Recursion ends with the path: each object on the way is another name of it.
        kept = False
        cut_from: int | None = None
        last_end = start
        for key, key_start, value_start, value_end in member_spans(raw, start, end):
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
