"""Every way in which events can be asked for: a server of each generation, by each endpoint that it has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from airflow_provider_honeyhive.models.request import ExportRequest
    from airflow_provider_honeyhive.sandbox import Sandbox

_TODAYS = ("export", "search", "legacy", "project-export", "project-search")
_OLDER = ("export", "search", "legacy", "project-search")

#: Gives a test ``generation`` and ``endpoint``.
by_every_way = pytest.mark.parametrize(
    ("generation", "endpoint"), [*(("today", name) for name in _TODAYS), *(("older", name) for name in _OLDER)]
)


def asking(sandbox: Sandbox, endpoint: str, request: ExportRequest) -> tuple[dict[str, Any], ExportRequest]:
    """Return the settings of a client that asks a sandbox by an endpoint, and the request as it has to be there.

    Today's paths of projects take a data plane key and an id; older ones took any key and a name, and had to be named.
    """
    if not endpoint.startswith("project-"):
        return {}, request
    if sandbox.behaviour.generation == "older":
        return {"endpoint": endpoint}, request
    return {"api_key": sandbox.data_plane_key}, request.model_copy(update={"project": sandbox.project_id})
