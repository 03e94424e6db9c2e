"""Who may read what: keys, and what each dialect does with a project that is not the key's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .answers import Refusal
from .traces import project_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .behaviour import Behaviour
    from .dialects import Dialect, Query

INGESTION_KEY = "hh_ingst_"


def bearer(header: str) -> str:
    """Return the key of an ``Authorization`` header; empty: none."""
    scheme, _, token = header.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def project_of(token: str, keys: Mapping[str, str], behaviour: Behaviour) -> str:
    """Return the project that a key reads.

    :raises Refusal: 401 for no key or an unknown one, 403 for one that may not read.
    """
    if token.startswith(INGESTION_KEY):
        raise Refusal(403, "Ingestion keys cannot read events")
    if token in behaviour.forbidden_keys:
        raise Refusal(403, "The API key lacks the scope to read events")
    if token not in keys:
        raise Refusal(401, "Invalid API key" if token else "Missing API key")
    return keys[token]


def check_project(dialect: Dialect, query: Query, in_path: str | None, of_key: str, behaviour: Behaviour) -> None:
    """Compare the project asked for with the key's, where the dialect looks at all.

    :param in_path: the project that the path names, by name or id.
    :raises Refusal: 404 in the vendor's JSON, not the router's.
    """
    asked = {
        "legacy": query.project,
        "export": query.project if behaviour.export_checks_project else None,
        "search": None,
        "project-search": in_path,
    }[dialect.name]
    if asked is not None and asked not in {of_key, project_id(of_key)}:
        raise Refusal(404, "Project not found")
