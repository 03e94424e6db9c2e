"""The wire dialects as data: what each endpoint is called, takes and answers. Sends nothing itself.

Source: the vendor's OpenAPI files 1.1.0 (March 2026) to 1.17.0 (November 2026), the page of ``POST /events/export``,
and the vendor's own clients. Of the paths with a project's id only the pattern is known, so both are tried.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from msgspec import Struct
from msgspec.structs import replace

from airflow_provider_honeyhive.api.keys import CLASSIC, KeyKind
from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.models.fields import ALWAYS_PROJECTED
from airflow_provider_honeyhive.models.window import wire_time

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_honeyhive.models.request import ExportRequest


class DateRange(NamedTuple):
    """The time range of one request, inclusive at both ends (as the API documents it), in UTC."""

    start: datetime
    end: datetime


AUTO = "auto"


class Endpoint(Struct, frozen=True):
    """One way to ask for events.

    :param name: what logs, errors and manifests call it.
    :param path: below the API's base URL; ``{project}`` stands for the project, which today's servers take as its id.
    :param range_keys: names of the inclusive bounds in ``dateRange``.
    :param max_limit: most events it gives in one answer.
    :param sends_project: ``project`` belongs in the body.
    :param projects: it can leave out fields (``projections``).
    """

    name: str
    path: str
    range_keys: tuple[str, str]
    max_limit: int
    sends_project: bool
    projects: bool

    @property
    def has_project_in_path(self) -> bool:
        """Whether the path names the project."""
        return "{project}" in self.path

    @property
    def needs_project(self) -> bool:
        """Whether nothing can be asked without naming the project."""
        return self.name == "legacy" or self.has_project_in_path

    def url_path(self, project: str | None) -> str:
        """Return the path for a request of ``project``.

        :raises InvalidArgumentError: it would lead out of the project's path.
        """
        if self.has_project_in_path and project in (".", ".."):
            raise InvalidArgumentError("project", project, "allowed: the id or name of a project")
        return self.path.replace("{project}", quote(project or "", safe=""))

    def body(self, request: ExportRequest, date_range: DateRange | None, *, page: int, limit: int) -> dict[str, Any]:
        """Return the JSON body of one request."""
        body: dict[str, Any] = {"filters": [item.to_wire() for item in request.filters]}
        if self.sends_project and request.project is not None:
            body["project"] = request.project
        if date_range is not None:
            bounds = (wire_time(date_range.start), wire_time(date_range.end))
            body["dateRange"] = dict(zip(self.range_keys, bounds, strict=True))
        if request.projections is not None and self.projects:
            body["projections"] = list(dict.fromkeys((*request.projections, *ALWAYS_PROJECTED)))
        if request.evaluation_id is not None:
            body["evaluation_id"] = request.evaluation_id
        return {**body, "limit": limit, "page": page}


_EXPORT = Endpoint("export", "/v1/events/export", ("$gte", "$lte"), 7500, sends_project=True, projects=True)

_SEARCH = Endpoint("search", "/v1/events/search", ("start_time", "end_time"), 1000, sends_project=False, projects=False)

#: In the order in which ``auto`` tries those that the kind of key can ask: the ones that name the project and give
#: large pages first.
ENDPOINTS: dict[str, Endpoint] = {
    "export": _EXPORT,
    "search": _SEARCH,
    "legacy": replace(_EXPORT, name="legacy", path="/events/export"),
    "project-export": replace(
        _EXPORT, name="project-export", path="/v1/projects/{project}/events/export", sends_project=False
    ),
    "project-search": replace(_SEARCH, name="project-search", path="/v1/projects/{project}/events/search"),
}

SETTINGS = f"allowed: {AUTO!r}, {', '.join(map(repr, ENDPOINTS))}, or a path beginning with '/'"


def candidates(setting: str, kind: KeyKind = CLASSIC) -> tuple[Endpoint, ...]:
    """Return the endpoints that the connection's ``endpoint`` setting stands for, in order of preference.

    A path speaks the dialect of the endpoint it resembles: search where it ends in ``/search``, else export.

    :param setting: of the connection.
    :param kind: of the key, which decides what ``auto`` stands for.
    :raises InvalidArgumentError: no such endpoint, or one that refuses every key of this kind.
    """
    if setting == AUTO:
        return tuple(one for one in ENDPOINTS.values() if one.has_project_in_path == kind.takes_project_id)
    if setting in ENDPOINTS:
        # The reverse is left to the server: older ones take any key by the project's path.
        if kind.takes_project_id and not ENDPOINTS[setting].has_project_in_path:
            raise InvalidArgumentError(
                "endpoint",
                setting,
                f"leave it empty: a {kind.name} ({kind.prefix}…) reads only by paths with the project's id",
            )
        return (ENDPOINTS[setting],)
    if setting.startswith("/"):
        alike = _SEARCH if setting.rstrip("/").endswith("/search") else _EXPORT
        return (replace(alike, name=setting, path=setting),)
    raise InvalidArgumentError("endpoint", setting, SETTINGS)
