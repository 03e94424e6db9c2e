"""What is asked of HoneyHive: filters, date ranges, requests. Frozen, checked when made, free of I/O.

Names, operators and types are those of the API's ``POST /events/export`` (OpenAPI files 1.1.0 and 1.9.0).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError, field_validator, model_validator

from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.fields import FieldRules
from airflow_provider_honeyhive.sessions import Sessions, check_root_filters, check_sessions
from airflow_provider_honeyhive.windows import Window, parse_time

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
    if isinstance(value, str):
        return value
    raise ValueError(f"value {value!r} is not a text, but type is 'string'; allowed: a text or None")


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    words = {"true": True, "false": False}
    if isinstance(value, str) and value.strip().lower() in words:
        return words[value.strip().lower()]
    raise ValueError(f"value {value!r} is not a boolean; allowed: true or false")


def _number(value: Any) -> int | float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        for kind in (int, float):
            try:
                return kind(value)
            except ValueError:
                continue
    raise ValueError(f"value {value!r} is not a number")


def wire_time(value: datetime) -> str:
    """Return a UTC time as the API's date ranges and filters say it: ISO 8601 to the millisecond."""
    return value.strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03d}Z"


class DateRange(BaseModel):
    """The time range of one request, inclusive at both ends (as the API documents it).

    :param start: datetime, ISO text, or Unix seconds or milliseconds; naive means UTC.
    :param end: the same, not before ``start``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: datetime
    end: datetime

    @field_validator("start", "end", mode="before")
    @classmethod
    def _utc(cls, value: Any, info: Any) -> datetime:
        return parse_time(value, info.field_name)

    @model_validator(mode="after")
    def _in_order(self) -> DateRange:
        if self.end < self.start:
            raise ValueError(f"end {self.end.isoformat()} is before start {self.start.isoformat()}")
        return self


class ExportRequest(BaseModel):
    """What one export asks for.

    :param project: name or id of the project; None leaves it to the key.
    :param filters: conditions, all of which must hold.
    :param window: the half-open window; None means all of time.
    :param projections: top-level fields to keep; None keeps all.
    :param evaluation_id: restricts to the events of one experiment run.
    :param exclude_fields: paths of what is taken out of each event.
    :param redact: paths of what is replaced by a keyed hash.
    :param redact_secret: the key of these hashes.
    :param sessions: ``complete``: all events of each session whose root event lies in the window, and meets the
        filters; None: the events that do.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    project: str | None = None
    filters: tuple[EventFilter, ...] = ()
    window: Window | None = None
    projections: tuple[str, ...] | None = None
    evaluation_id: str | None = None
    exclude_fields: tuple[str, ...] = ()
    redact: tuple[str, ...] = ()
    redact_secret: SecretStr | None = None
    sessions: Sessions = None

    @classmethod
    def parse(
        cls,
        *,
        project: Any = None,
        filters: Any = (),
        window: Window | None = None,
        projections: Any = None,
        evaluation_id: Any = None,
        exclude_fields: Any = None,
        redact: Any = None,
        redact_secret: SecretStr | str | None = None,
        sessions: Any = None,
    ) -> ExportRequest:
        """Make a request of arguments as users and templates write them.

        :param filters: :class:`EventFilter` objects, dicts, or JSON texts of one or a list of them.
        :param projections: names of fields, or a JSON text of a list of them.
        :param exclude_fields: paths such as ``outputs.content``, or a JSON text of a list of them.
        :param redact: the same.
        :param redact_secret: of the connection.
        :param sessions: ``complete`` or None.
        :raises InvalidArgumentError: names the argument, what came and what is allowed.
        """
        rules = FieldRules.parse(
            projections=projections, exclude_fields=exclude_fields, redact=redact, redact_secret=redact_secret
        )
        parsed = parse_filters(filters)
        if check_sessions(sessions) is not None:
            check_root_filters(parsed)
        return cls(
            project=_optional_text("project", project),
            filters=parsed,
            window=window,
            projections=rules.projections,
            evaluation_id=_optional_text("evaluation_id", evaluation_id),
            exclude_fields=rules.exclude_fields,
            redact=rules.redact,
            redact_secret=rules.redact_secret,
            sessions=sessions,
        )

    @property
    def rules(self) -> FieldRules:
        """What to do to each event; with the projections, since not every server keeps to them."""
        return FieldRules(
            projections=self.projections,
            exclude_fields=self.exclude_fields,
            redact=self.redact,
            redact_secret=self.redact_secret,
        )


def parse_filters(value: Any) -> tuple[EventFilter, ...]:
    """Return ``value`` as filters.

    :param value: None, an :class:`EventFilter`, a dict, a JSON text, or a list of any of these.
    :raises InvalidArgumentError: names the filter by its index.
    """
    found: list[EventFilter] = []
    for place, item in _flatten("filters", _from_json("filters", value)):
        if isinstance(item, EventFilter):
            found.append(item)
            continue
        if not isinstance(item, Mapping):
            raise InvalidArgumentError(place, item, "allowed: an EventFilter, a dict, or a JSON text of them")
        try:
            found.append(EventFilter.model_validate(dict(item)))
        except ValidationError as error:
            raise InvalidArgumentError(place, dict(item), _reasons(error)) from None
    return tuple(found)


def _flatten(place: str, value: Any) -> Iterable[tuple[str, Any]]:
    if value is None:
        return
    if isinstance(value, list | tuple):
        for number, item in enumerate(value):
            inner = f"{place}[{number}]"
            yield from _flatten(inner, _from_json(inner, item))
        return
    yield place, value


def _from_json(argument: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if not value.strip():
        return None
    try:
        return json.loads(value)
    except ValueError as error:
        raise InvalidArgumentError(argument, value, f"a text must be JSON, but it is not: {error}") from None


def _reasons(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc'][:1]) + ': ' if problem['loc'] else ''}"
        f"{problem['msg'].removeprefix('Value error, ')}"
        for problem in error.errors(include_url=False, include_context=False)
    )


def _optional_text(argument: str, value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidArgumentError(argument, value, "allowed: a text")
    return value.strip() or None
