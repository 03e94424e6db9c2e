"""Takes fields out of the JSON text of an event, or replaces them, and leaves every other byte as it was."""

from __future__ import annotations

from enum import Enum, auto
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from airflow_provider_honeyhive.events.keyed_hash import key_id, redacted
from airflow_provider_honeyhive.events.scan import (
    after_scalars,
    after_value,
    end_of_value,
    first_inside,
    member_at,
    member_spans,
    nested_too_deeply,
)
from airflow_provider_honeyhive.models.fields import ALWAYS_PROJECTED, is_number

if TYPE_CHECKING:
    from airflow_provider_honeyhive.events.raw import RawEvent
    from airflow_provider_honeyhive.models.fields import FieldRules


#: From where to where, and what comes instead.
Edit: TypeAlias = tuple[int, int, bytes]

#: Objects in objects that are read by msgspec, which is fastest but reads all of what is in an object again for each
#: object in it. Deeper ones are read once, from left to right.
QUICK_LEVELS = 8

#: Lists and objects in each other that are walked through: each takes about 150 bytes of memory meanwhile.
MOST_LEVELS = 1_000_000

#: Keys that are looked up once for all events, and the most characters of one: what bounds the memory they take.
MOST_STEPS = 10_000
LONGEST_STEP = 200


class Action(Enum):
    """What happens to a value."""

    EXCLUDE = auto()
    REDACT = auto()


class _Node(msgspec.Struct, eq=False):
    """A name on the way down.

    :param action: what happens to the value.
    :param number: of the path that ends here, in the order of the rules.
    :param children: what paths name next.
    """

    action: Action | None = None
    number: int | None = None
    children: dict[str, _Node] = msgspec.field(default_factory=dict)

    def plant(self, path: str, action: Action, number: int) -> None:
        node = self
        for name in path.split("."):
            node = node.children.setdefault(name, _Node())
        node.action, node.number = action, number


class _Place:
    """How far paths have come with a value: since they may leave numbers out, several names may be reached at once.

    :param nodes: what is reached.
    :ivar action: what happens to the value: what one path takes out, no other one replaces.
    :ivar numbers: of the paths that end here.
    :ivar by_index: whether a path names an element of a list next, or what looks like one.
    :ivar steps: what is reached by keys that have come before, None where that is nothing.
    """

    __slots__ = ("action", "by_index", "nodes", "numbers", "steps")

    def __init__(self, nodes: frozenset[_Node]) -> None:
        self.nodes = nodes
        actions = [node.action for node in nodes]
        self.action = next((action for action in Action if action in actions), None)
        self.numbers = [node.number for node in nodes if node.number is not None]
        self.by_index = any(is_number(name) for node in nodes for name in node.children)
        self.steps: dict[str, _Place | None] = {}


_LEFT_OUT = _Place(frozenset({_Node(Action.EXCLUDE)}))

#: Stands for what is reached by a key that has not come before.
_UNKNOWN = _Place(frozenset())


class Masker:
    """Applies rules to one event after the other; threads may share it.

    :param rules: what to keep, take out and replace.
    """

    def __init__(self, rules: FieldRules) -> None:
        self._kept = None if rules.projections is None else frozenset((*rules.projections, *ALWAYS_PROJECTED))
        root = _Node()
        for number, path in enumerate(rules.paths):
            action = Action.EXCLUDE if number < len(rules.exclude_fields) else Action.REDACT
            root.plant(path, action, number)
        self._top = _Place(frozenset({root}))
        self._places: dict[frozenset[_Node], _Place] = {}
        self._room = MOST_STEPS
        self._key = rules.redact_secret.get_secret_value().encode() if rules.redact_secret else b""
        self._redacted = partial(redacted, key=self._key)
        self._active = rules.active
        self._measures = not rules.include_content
        self._redacts = bool(rules.redact) or self._measures
        if self._measures:
            # Here, since its patterns take a while to compile, and most exports need none of them.
            from airflow_provider_honeyhive.events.measured import measured  # noqa: PLC0415

            self._measured = measured

    @property
    def key_id(self) -> str | None:
        """What tells the key of the hashes from others without showing it: exports with the same id join."""
        return key_id(self._key) if self._redacts and self._key else None

    def apply(self, raw: RawEvent, matched: set[int] | None = None) -> RawEvent:
        """Return one event without what the rules take out; every other byte stays as it was.

        A member of an object, or an element of a list, is taken out with the comma and the white space that part it
        from its neighbour.

        :param raw: the JSON text of one event, as :mod:`~airflow_provider_honeyhive.api.pages` gives it: from the
            brace that opens it to the one that closes it. Without rules it is what comes back.
        :param matched: gets the numbers of the paths, in the order of ``rules.paths``, that led to a value here.
        :raises HoneyHiveResponseError: it cannot be read as an object, so nothing of it may pass.
        """
        return self._masked(bytes(raw), set() if matched is None else matched) if self._active else raw

    def _masked(self, raw: bytes, matched: set[int]) -> bytes:
        event = _Event(raw, [], matched)
        self._edit_object(event, 0, len(raw), self._top)
        masked = _spliced(raw, event.edits) if event.edits else raw
        if not self._measures:
            return masked
        return self._measured(masked, self._redacted if self._key else None, _hashes(event.edits))

    def _edit_object(self, event: _Event, start: int, end: int, place: _Place, depth: int = 0) -> None:
        # Run for each member there is: nothing is called for those that no path names.
        raw, steps, edits = event.raw, place.steps, event.edits
        kept = False
        cut_from: int | None = None
        last_end = start
        for key, key_start, value_start, value_end in member_spans(raw, start, end):
            found = steps.get(key, _UNKNOWN)
            if found is _UNKNOWN:
                found = self._step(place, key)
            if found is not None and found.action is Action.EXCLUDE:
                # With the comma before it, or with the one after it where nothing is kept before.
                if kept:
                    edits.append((last_end, value_end, b""))
                elif cut_from is None:
                    cut_from = key_start
                event.matched.update(found.numbers)
            else:
                if cut_from is not None:
                    edits.append((cut_from, key_start, b""))
                    cut_from = None
                kept = True
                if found is not None:
                    self._edit_value(event, value_start, value_end, found, depth)
            last_end = value_end
        if cut_from is not None:
            edits.append((cut_from, last_end, b""))

    def _edit_value(self, event: _Event, start: int, end: int, place: _Place, depth: int) -> None:
        raw = event.raw
        if place.action is Action.REDACT:
            event.matched.update(place.numbers)
            event.edits.append((start, end, self._redacted(raw[start:end])))
        elif raw.startswith(b"{", start) and depth < QUICK_LEVELS:
            self._edit_object(event, start, end, place, depth + 1)
        elif raw.startswith((b"{", b"["), start):
            self._walk(event, start, place, depth)

    def _walk(self, event: _Event, start: int, place: _Place, depth: int) -> None:
        """Edit a list or an object, reading each byte of it once, and without recursion but into objects."""
        raw, edits = event.raw, event.edits
        levels = [_Level(raw, start, place, edits)]
        at, ends = first_inside(raw, start)
        while True:
            level = levels[-1]
            if ends:
                level.close()
                levels.pop()
                if not levels:
                    return
                level = levels[-1]
                level.last_end = at = at + 1
            else:
                if level.index is not None and not level.place.by_index:
                    at = after_scalars(raw, at)
                found, value_start = self._next(level, raw, at)
                if found is not None and found.action is None and _is_walked(raw, value_start, depth):
                    if len(levels) == MOST_LEVELS:
                        raise nested_too_deeply(MOST_LEVELS)
                    level.keep(at)
                    levels.append(_Level(raw, value_start, found, edits))
                    at, ends = first_inside(raw, value_start)
                    continue
                value_end = end_of_value(raw, value_start)
                if found is not None and found.action is Action.EXCLUDE:
                    level.take_out(at, value_end)
                    event.matched.update(found.numbers)
                else:
                    level.keep(at)
                    if found is not None:
                        self._edit_value(event, value_start, value_end, found, depth)
                level.last_end = at = value_end
            at, ends = after_value(raw, at, in_list=level.index is not None)

    def _next(self, level: _Level, raw: bytes, at: int) -> tuple[_Place | None, int]:
        """Return what is reached by the member or element that begins at a place, and where its value begins."""
        if level.index is None:
            key, value_start = member_at(raw, at)
            found = level.place.steps.get(key, _UNKNOWN)
            return self._step(level.place, key) if found is _UNKNOWN else found, value_start
        level.index += 1
        if not level.place.by_index:
            return level.place, at
        return self._place_of(self._reached(level.place, str(level.index - 1))), at

    def _step(self, place: _Place, key: str) -> _Place | None:
        """Return what is reached by a key, and know it from now on."""
        is_left_out = place is self._top and self._kept is not None and key not in self._kept
        found = _LEFT_OUT if is_left_out else self._place_of(self._reached(place, key))
        if len(key) <= LONGEST_STEP:
            self._take_room()
            place.steps[key] = found
        return found

    def _place_of(self, nodes: frozenset[_Node]) -> _Place | None:
        if not nodes:
            return None
        place = self._places.get(nodes)
        if place is None:
            self._take_room()
            place = self._places[nodes] = _Place(nodes)
        return place

    def _take_room(self) -> None:
        if self._room <= 0:
            for known in (self._top, *self._places.copy().values()):
                known.steps = {}
            self._places, self._room = {}, MOST_STEPS
        self._room -= 1

    def _reached(self, place: _Place, key: str) -> frozenset[_Node]:
        """Return what is reached by a key, piece by piece; where paths end with it, only where they end."""
        nodes = place.nodes
        ended: set[_Node] = set()
        for piece in key.split("."):
            found = frozenset(node.children[piece] for node in nodes if piece in node.children)
            # A path without this number goes on from where it is; but its first name is that of a field.
            nodes = found | nodes if is_number(piece) and nodes is not self._top.nodes else found
            if not nodes:
                break
            ended.update(node for node in nodes if node.action is not None)
        return frozenset(ended) or nodes


class _Event(msgspec.Struct):
    """One event, its edits from left to right, and the numbers of the paths that led to something."""

    raw: bytes
    edits: list[Edit]
    matched: set[int]


class _Level:
    """An object or a list that is being walked through, and what is cut out of it.

    :param start: where it begins.
    :param place: how far paths have come with it.
    :param edits: get what is cut out.
    :ivar index: of the next element of a list, None for an object.
    """

    __slots__ = ("cut_from", "edits", "index", "kept", "last_end", "place")

    def __init__(self, raw: bytes, start: int, place: _Place, edits: list[Edit]) -> None:
        self.place = place
        self.edits = edits
        self.index = 0 if raw.startswith(b"[", start) else None
        self.kept = False
        self.cut_from: int | None = None
        self.last_end = start

    def take_out(self, start: int, end: int) -> None:
        if self.kept:
            self.edits.append((self.last_end, end, b""))
        elif self.cut_from is None:
            self.cut_from = start

    def keep(self, start: int) -> None:
        if self.cut_from is not None:
            self.edits.append((self.cut_from, start, b""))
            self.cut_from = None
        self.kept = True

    def close(self) -> None:
        if self.cut_from is not None:
            self.edits.append((self.cut_from, self.last_end, b""))


def _is_walked(raw: bytes, start: int, depth: int) -> bool:
    return raw.startswith(b"[", start) or (raw.startswith(b"{", start) and depth >= QUICK_LEVELS)


def _hashes(edits: list[Edit]) -> set[int]:
    """Return where in the spliced text the hashes begin."""
    found: set[int] = set()
    moved = 0
    for start, end, instead in edits:
        if instead.startswith(b'"'):
            found.add(start + moved)
        moved += len(instead) - (end - start)
    return found


def _spliced(raw: bytes, edits: list[Edit]) -> bytes:
    pieces: list[bytes] = []
    at = 0
    for start, end, instead in edits:
        pieces += (raw[at:start], instead)
        at = end
    pieces.append(raw[at:])
    return b"".join(pieces)
