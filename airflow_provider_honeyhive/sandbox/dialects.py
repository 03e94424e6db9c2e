"""The dialects of the read API as data, and the checks a request must pass in each."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from airflow_provider_honeyhive.sandbox.answers import Refusal
from airflow_provider_honeyhive.sandbox.filters import TYPES, Filter, parse_filter
from airflow_provider_honeyhive.sandbox.times import to_us

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_honeyhive.sandbox.behaviour import Behaviour


@dataclass(frozen=True)
class Dialect:
    """One way to ask for events.

    :param path: pattern of the route; a group ``project`` is the project's name or id.
    :param date_keys: names of the two ends in ``dateRange``.
    :param max_limit: a larger ``limit`` is refused.
    :param total_key: name of the number beside the events.
    :param required: keys that the body must have.
    :param both_dates: whether ``dateRange`` must have both ends.
    :param types: types of filters.
    :param type_required: whether a filter must say its type.
    :param projections: whether the answer can be narrowed to some fields.
    :param can_ignore_order: whether ``ignore_order`` means anything.
    :param members: all that the body may have on today's servers; None: anything.
    """

    name: str
    path: re.Pattern[str]
    date_keys: tuple[str, str]
    max_limit: int
    total_key: str
    required: tuple[str, ...] = ()
    both_dates: bool = True
    types: frozenset[str] = TYPES
    type_required: bool = False
    projections: bool = False
    can_ignore_order: bool = False
    members: frozenset[str] | None = None

    @property
    def has_project_in_path(self) -> bool:
        """Whether the path names the project."""
        return "project" in self.path.groupindex


DEFAULT_LIMIT = 1000

_LEGACY = Dialect(
    name="legacy",
    path=re.compile(r"/events/export"),
    date_keys=("$gte", "$lte"),
    max_limit=7500,
    total_key="totalEvents",
    required=("project", "filters"),
    both_dates=False,
    types=TYPES | {"id"},
    type_required=True,
    projections=True,
    can_ignore_order=True,
)

_EXPORT = Dialect(
    name="export",
    path=re.compile(r"/v1/events/export"),
    date_keys=("$gte", "$lte"),
    max_limit=7500,
    total_key="count",
    type_required=True,
    projections=True,
    can_ignore_order=True,
)

_SEARCH = Dialect(
    name="search",
    path=re.compile(r"/v1/events/search"),
    date_keys=("start_time", "end_time"),
    max_limit=1000,
    total_key="count",
    members=frozenset({"filters", "dateRange", "evaluation_id", "limit", "page"}),
)

#: Of the paths with a project's id only the pattern is known.
DIALECTS: tuple[Dialect, ...] = (
    _LEGACY,
    _EXPORT,
    _SEARCH,
    replace(_EXPORT, name="project-export", path=re.compile(r"/v1/projects/(?P<project>[^/]+)/events/export")),
    replace(_SEARCH, name="project-search", path=re.compile(r"/v1/projects/(?P<project>[^/]+)/events/search")),
)


@dataclass(frozen=True)
class Query:
    """A request that has passed the checks.

    :param start: beginning of the date range, inclusive, in microseconds since the epoch.
    :param end: its end, inclusive.
    :param project: the project the body names, whatever that is worth.
    """

    dialect: Dialect
    filters: tuple[Filter, ...] = ()
    start: int | None = None
    end: int | None = None
    limit: int = DEFAULT_LIMIT
    page: int = 1
    projections: tuple[str, ...] | None = None
    ignore_order: bool = False
    evaluation_id: str | None = None
    project: str | None = None


def route(path: str, endpoints: frozenset[str]) -> tuple[Dialect, str | None] | None:
    """Find the dialect of a path among those that exist, and the project that the path names."""
    for dialect in DIALECTS:
        match = dialect.path.fullmatch(path)
        if match and dialect.name in endpoints:
            project = match.groupdict().get("project")
            return dialect, None if project is None else unquote(project)
    return None


def parse_query(dialect: Dialect, body: Mapping[str, Any], behaviour: Behaviour) -> Query:
    """Check a body against a dialect; members the dialect does not know are ignored, unless it lists those it knows.

    :raises Refusal: 400, naming what is wrong.
    """
    if behaviour.generation == "today" and dialect.members is not None:
        unknown = sorted(body.keys() - dialect.members)
        if unknown:
            raise Refusal(400, f"Unrecognized keys: {', '.join(unknown)}")
    for key in dialect.required:
        if key not in body:
            raise Refusal(400, f"{key}: required")
    start, end = _date_range(dialect, body)
    return Query(
        dialect=dialect,
        filters=tuple(
            parse_filter(raw, f"filters[{n}]", types=dialect.types, type_required=dialect.type_required)
            for n, raw in enumerate(_typed(body, "filters", list, []))
        ),
        start=start,
        end=end,
        limit=_whole(body, "limit", DEFAULT_LIMIT, behaviour.max_limit or dialect.max_limit),
        page=_whole(body, "page", 1, None),
        projections=_projections(body) if dialect.projections else None,
        ignore_order=_typed(body, "ignore_order", bool, False) and dialect.can_ignore_order,
        evaluation_id=_typed(body, "evaluation_id", str, None),
        project=_typed(body, "project", str, None) if "project" in dialect.required else _named(body),
    )


def _typed(body: Mapping[str, Any], key: str, kind: type, default: Any) -> Any:
    if key in body and not isinstance(body[key], kind):
        raise Refusal(400, f"{key}: expected {kind.__name__}, got {body[key]!r}")
    return body.get(key, default)


def _named(body: Mapping[str, Any]) -> str | None:
    project = body.get("project")
    return project if isinstance(project, str) else None


def _whole(body: Mapping[str, Any], key: str, default: int, most: int | None) -> int:
    value = body.get(key, default)
    # The vendor's 0.2 client sends 1000.0.
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        raise Refusal(400, f"{key}: expected a whole number, got {value!r}")
    if value < 1:
        raise Refusal(400, f"{key}: must be at least 1, got {value!r}")
    if most is not None and value > most:
        raise Refusal(400, f"{key}: must be at most {most}, got {value!r}")
    return int(value)


def _projections(body: Mapping[str, Any]) -> tuple[str, ...] | None:
    fields = _typed(body, "projections", list, None)
    if fields is None:
        return None
    if not all(isinstance(field, str) for field in fields):
        raise Refusal(400, "projections: expected a list of strings")
    # An empty list asks for nothing in particular.
    return tuple(fields) or None


def _date_range(dialect: Dialect, body: Mapping[str, Any]) -> tuple[int | None, int | None]:
    if "dateRange" not in body:
        return None, None
    asked = _typed(body, "dateRange", dict, None)
    ends: list[int | None] = []
    for key in dialect.date_keys:
        if key not in asked and dialect.both_dates:
            raise Refusal(400, f"dateRange.{key}: required")
        end = to_us(asked.get(key))
        if end is None and key in asked:
            raise Refusal(400, f"dateRange.{key}: {asked[key]!r} is not a date")
        ends.append(end)
    return ends[0], ends[1]
