"""Which project's events a key may read by which path, and how each generation of servers says no.

Today's servers answer every refusal with the same 404 and do not say what is wrong; older ones say 401, 403 or 404.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_honeyhive.sandbox.answers import Refusal
from airflow_provider_honeyhive.sandbox.data.traces import project_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_honeyhive.sandbox.behaviour import Behaviour
    from airflow_provider_honeyhive.sandbox.dialects import Dialect, Query


#: What data plane keys begin with. Every key that begins neither so nor as one of ``CANNOT_READ`` is a classic one.
DATA_PLANE_KEY = "hh_fgdp_"

#: What the keys that never read events begin with, and how older servers refuse them.
CANNOT_READ = {"hh_ingst_": "Ingestion keys cannot read events", "hh_fgcp_": "Control plane keys cannot read events"}

#: Stands for the project of a key that reads all of them.
EVERY_PROJECT = "*"


def bearer(header: str) -> str:
    """Return the key of an ``Authorization`` header; empty: none."""
    scheme, _, token = header.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def projects_of(token: str, keys: Mapping[str, str], behaviour: Behaviour, dialect: Dialect) -> list[str]:
    """Return the projects that a key reads by a path, at least one.

    :param token: the key.
    :param keys: the keys that are known, and the project of each.
    :raises Refusal: the key is unknown, may not read, or reads by other paths.
    """
    is_data_plane, is_today = token.startswith(DATA_PLANE_KEY), behaviour.generation == "today"
    for prefix, message in CANNOT_READ.items():
        if token.startswith(prefix):
            raise _refusal(behaviour, 403, message)
    if token in behaviour.forbidden_keys:
        raise _refusal(behaviour, 403, "The API key lacks the scope to read events")
    if token not in keys or (is_data_plane and not is_today):
        raise _refusal(behaviour, 401, "Invalid API key" if token else "Missing API key")
    if is_today and is_data_plane != dialect.has_project_in_path:
        raise _refusal(behaviour, 404, "")
    projects = [name for name in keys.values() if name != EVERY_PROJECT]
    return projects if keys[token] == EVERY_PROJECT else [keys[token]]


def chosen_project(projects: list[str], query: Query, in_path: str | None, behaviour: Behaviour) -> str:
    """Return the project that a request reads, of those that its key reads.

    :param in_path: the project that the path names: today by its id alone.
    :raises Refusal: it names another one, where the dialect looks at what it names.
    """
    export_looks = behaviour.export_checks_project and query.project is not None
    looks_at_body = {"legacy": True, "export": export_looks}.get(query.dialect.name, False)
    if in_path is None and not looks_at_body:
        return projects[0]
    asked = query.project if in_path is None else in_path
    by_id_alone = in_path is not None and behaviour.generation == "today"
    for project in projects:
        if asked == project_id(project) or (asked == project and not by_id_alone):
            return project
    raise _refusal(behaviour, 404, "Project not found")


def _refusal(behaviour: Behaviour, status: int, message: str) -> Refusal:
    return Refusal(404, "Not found") if behaviour.generation == "today" else Refusal(status, message)
