"""Filters: checked as each dialect does, and evaluated on decoded events."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_honeyhive.sandbox.answers import Refusal
from airflow_provider_honeyhive.sandbox.times import to_us

PRESENCE = frozenset({"exists", "not exists"})

#: Operators that fit a type. ``id`` is what the vendor's 0.2 client calls a string that identifies.
OPERATORS_BY_TYPE: dict[str, frozenset[str]] = {
    "string": frozenset({"is", "is not", "contains", "not contains"}) | PRESENCE,
    "number": frozenset({"is", "is not", "greater than", "less than"}) | PRESENCE,
    "boolean": frozenset({"is"}) | PRESENCE,
    "datetime": frozenset({"is", "is not", "after", "before"}) | PRESENCE,
    "id": frozenset({"is", "is not"}) | PRESENCE,
}
OPERATORS = frozenset().union(*OPERATORS_BY_TYPE.values())
TYPES = frozenset(OPERATORS_BY_TYPE) - {"id"}


def text(value: Any) -> str | None:
    """Read a value as text: what is not a string, as its JSON."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def number(value: Any) -> float | None:
    """Read a value as a number; a boolean is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value


def boolean(value: Any) -> bool | None:
    """Read a value as a boolean."""
    return value if isinstance(value, bool) else None


def number_asked(value: Any) -> float | None:
    """Read a filter's number: the vendor's clients can only send it as text."""
    if not isinstance(value, str):
        return number(value)
    try:
        parsed = float(value)
    except ValueError:
        return None
    return parsed if math.isfinite(parsed) else None


def boolean_asked(value: Any) -> bool | None:
    """Read a filter's boolean, also as text."""
    return {"true": True, "false": False}.get(value) if isinstance(value, str) else boolean(value)


#: How an event's value, and a filter's, become comparable; ``None`` is what cannot.
OF_EVENT: dict[str, Callable[[Any], Any]] = {
    "string": text,
    "id": text,
    "number": number,
    "boolean": boolean,
    "datetime": to_us,
}
OF_FILTER = {**OF_EVENT, "number": number_asked, "boolean": boolean_asked}

COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "is": lambda have, want: bool(have == want),
    "is not": lambda have, want: bool(have != want),
    "contains": lambda have, want: have is not None and want in have,
    "not contains": lambda have, want: have is None or want not in have,
    "greater than": lambda have, want: have is not None and have > want,
    "less than": lambda have, want: have is not None and have < want,
    "after": lambda have, want: have is not None and have > want,
    "before": lambda have, want: have is not None and have < want,
}


def lookup(value: Any, path: str) -> Any:
    """Return what is at a dotted path (list positions are numbers); ``None`` where there is nothing."""
    while True:
        if isinstance(value, dict) and path in value:
            return value[path]
        head, _, path = path.partition(".")
        if isinstance(value, dict) and head in value:
            value = value[head]
        elif isinstance(value, list) and head.isdecimal() and int(head) < len(value):
            value = value[int(head)]
        else:
            return None
        if not path:
            return value


@dataclass(frozen=True)
class Filter:
    """One condition, checked; ``value`` is comparable already (times in microseconds)."""

    field: str
    operator: str
    type: str
    value: Any

    def matches(self, event: Any) -> bool:
        """Say whether a decoded event meets the condition."""
        found = lookup(event, self.field)
        if self.operator in PRESENCE:
            return (found is not None) is (self.operator == "exists")
        return COMPARE[self.operator](OF_EVENT[self.type](found), self.value)

    @property
    def time_bounds(self) -> tuple[int | None, int | None] | None:
        """Both ends, inclusive, if this condition is a range of ``start_time``; else ``None``."""
        if (self.field, self.type) != ("start_time", "datetime") or self.value is None:
            return None
        return {
            "after": (self.value + 1, None),
            "before": (None, self.value - 1),
            "is": (self.value, self.value),
        }.get(self.operator)


def parse_filter(raw: Any, where: str, *, types: frozenset[str], type_required: bool) -> Filter:
    """Check one filter of a request.

    :param where: its place in the request, for messages.
    :param types: the types that the dialect knows.
    :param type_required: whether a filter must say its type.
    :raises Refusal: 400, naming what is wrong.
    """
    if not isinstance(raw, Mapping):
        raise Refusal(400, f"{where}: expected object")
    field, operator, kind = raw.get("field"), raw.get("operator"), raw.get("type")
    if not isinstance(field, str) or not field:
        raise Refusal(400, f"{where}.field: expected a non-empty string")
    if not isinstance(operator, str) or operator not in OPERATORS:
        raise Refusal(400, f"{where}.operator: {operator!r} is not one of {sorted(OPERATORS)}")
    if "value" not in raw:
        raise Refusal(400, f"{where}.value: required")
    value = raw["value"]
    if isinstance(value, dict | list):
        raise Refusal(400, f"{where}.value: expected string, number, boolean or null")
    if kind is None and not type_required and "type" not in raw:
        kind = _guess_type(operator, value)
    if not isinstance(kind, str) or kind not in types:
        raise Refusal(400, f"{where}.type: {kind!r} is not one of {sorted(types)}")
    if operator not in OPERATORS_BY_TYPE[kind]:
        raise Refusal(400, f"{where}.operator: {operator!r} does not fit type {kind!r}")
    if operator in PRESENCE:
        return Filter(field, operator, kind, None)
    wanted = OF_FILTER[kind](value)
    if wanted is None and (value is not None or operator not in {"is", "is not"}):
        raise Refusal(400, f"{where}.value: {value!r} does not fit type {kind!r} and operator {operator!r}")
    return Filter(field, operator, kind, wanted)


def _guess_type(operator: str, value: Any) -> str:
    fitting = [kind for kind in ("string", "number", "boolean", "datetime") if operator in OPERATORS_BY_TYPE[kind]]
    if len(fitting) > 1 and not isinstance(value, str):
        readable = [kind for kind in fitting if OF_EVENT[kind](value) is not None and kind != "string"]
        return (readable or fitting)[0]
    return fitting[0]
