"""EventFilter."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from math import isfinite
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator

from airflow_provider_honeyhive.exceptions import NOT_SHOWN, Fact, InvalidArgumentError
from airflow_provider_honeyhive.models.fields import NOT_JSON
from airflow_provider_honeyhive.models.window import parse_time, wire_time

FilterType: TypeAlias = Literal["string", "number", "boolean", "datetime"]

Operator: TypeAlias = Literal[
    "is",
    "is not",
    "contains",
    "not contains",
    "greater than",
    "less than",
    "after",
    "before",
    "exists",
    "not exists",
]

_OPERATORS: dict[str, tuple[str, ...]] = {
    "string": ("is", "is not", "contains", "not contains", "exists", "not exists"),
    "number": ("is", "is not", "greater than", "less than", "exists", "not exists"),
    "boolean": ("is", "exists", "not exists"),
    "datetime": ("is", "is not", "after", "before", "exists", "not exists"),
}

_VALUELESS = ("exists", "not exists")

_TYPE_OF_OPERATOR = {
    "greater than": "number",
    "less than": "number",
    "after": "datetime",
    "before": "datetime",
    "contains": "string",
    "not contains": "string",
}


class EventFilter(BaseModel):
    """One condition on events; all filters of a request must hold (the API knows no "or").

    :param field: name of a field, dotted for nested ones (``metadata.cost``).
    :param operator: ``is``, ``is not``, ``contains``, ``not contains``, ``greater than``, ``less than``,
        ``after``, ``before``, ``exists`` or ``not exists``.
    :param value: text, number, boolean or None; texts are read as the filter's type, since templates
        always give text. Not used by ``exists`` and ``not exists``.
    :param type: ``string``, ``number``, ``boolean`` or ``datetime``; by default what operator and value
        suggest. string allows is, is not, contains, not contains; number allows is, is not, greater
        than, less than; boolean allows is; datetime allows is, is not, after, before; exists and
        not exists fit every type.
    :raises pydantic.ValidationError: operator and type do not fit, or the value is not of the type.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    field: str
    operator: Operator
    value: bool | int | float | str | datetime | None = None
    type: FilterType = "string"

    @model_validator(mode="before")
    @classmethod
    def _infer_type(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or data.get("type") is not None:
            return data
        return {**data, "type": _inferred_type(data.get("operator"), data.get("value"))}

    @field_validator("field")
    @classmethod
    def _field_not_empty(cls, field: str) -> str:
        if not field.strip():
            raise ValueError("the name of a field is needed, such as 'event_type' or 'metadata.cost'")
        return field

    @model_validator(mode="after")
    def _fits(self) -> EventFilter:
        allowed = _OPERATORS[self.type]
        if self.operator not in allowed:
            raise ValueError(
                f"operator {self.operator!r} does not fit type {self.type!r}; allowed: {', '.join(allowed)}"
            )
        if self.operator not in _VALUELESS:
            # Frozen for everybody else: the value takes its final form once, here.
            object.__setattr__(self, "value", _typed_value(self.type, self.value))
        return self

    def to_wire(self) -> dict[str, Any]:
        """Return the filter as the API takes it; ``type`` is always there, as export requires it."""
        return {"field": self.field, "operator": self.operator, "value": self.value, "type": self.type}


def _inferred_type(operator: Any, value: Any) -> str:
    if operator in _TYPE_OF_OPERATOR:
        return _TYPE_OF_OPERATOR[operator]
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "datetime" if isinstance(value, datetime) else "string"


def _typed_value(kind: str, value: Any) -> Any:
    if value is None:
        return None
    if kind == "datetime":
        return wire_time(parse_time(value, "value"))
    if kind == "boolean":
        return _boolean(value)
    if kind == "number":
        return _number(value)
    if isinstance(value, str) or type(value) is int:
        # Of an id made of digits a DAG that renders native objects makes a number.
        return str(value)
    raise ValueError(f"value {value!r} is not a text, but type is 'string'; allowed: a text or None")


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    words = {"true": True, "false": False}
    if isinstance(value, str) and value.strip().lower() in words:
        return words[value.strip().lower()]
    raise ValueError(f"value {value!r} is not a boolean; allowed: true or false")


def _number(value: Any) -> int | float:
    if isinstance(value, str):
        for kind in (int, float):
            with suppress(ValueError):
                return _number(kind(value))
    if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value):
        return value
    raise ValueError(f"value {value!r} is not a number")


def parse_filters(value: Any) -> tuple[EventFilter, ...]:
    """Return ``value`` as filters.

    :param value: None, an :class:`EventFilter`, a dict, a JSON text, or a list of any of these.
    :raises InvalidArgumentError: names the filter by its index.
    """
    try:
        return tuple(_parsed("filters", value))
    except RecursionError:
        raise InvalidArgumentError("filters", NOT_SHOWN, "it nests too many lists: give one flat list") from None


def _parsed(argument: str, value: Any) -> Iterable[EventFilter]:
    for place, item in _flatten(argument, _from_json(argument, value)):
        if isinstance(item, EventFilter):
            yield item
            continue
        if not isinstance(item, Mapping):
            raise InvalidArgumentError(place, item, "allowed: an EventFilter, a dict, or a JSON text of them")
        try:
            found = EventFilter.model_validate(dict(item))
        except ValidationError as error:
            raise InvalidArgumentError(place, dict(item), _reasons(error)) from None
        yield found


def _flatten(argument: str, value: Any) -> Iterable[tuple[str, Any]]:
    if value is None:
        return
    if isinstance(value, list | tuple):
        for number, item in enumerate(value):
            inner = f"{argument}[{number}]"
            yield from _flatten(inner, _from_json(inner, item))
        return
    yield argument, value


def _from_json(argument: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if not value.strip():
        return None
    try:
        return json.loads(value)
    except ValueError as error:
        raise InvalidArgumentError(argument, value, NOT_JSON, Fact(f"Where it fails: {error}")) from None


def _reasons(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc'][:1]) + ': ' if problem['loc'] else ''}"
        f"{problem['msg'].removeprefix('Value error, ').replace(chr(10), '. ')}"
        for problem in error.errors(include_url=False, include_context=False)
    )
