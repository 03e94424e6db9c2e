"""A client for these tests: one request, one answer, no opinion about either."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive.sandbox.data.traces import project_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_honeyhive.sandbox import Sandbox

LEGACY, EXPORT, SEARCH = "/events/export", "/v1/events/export", "/v1/events/search"
PROJECT_SEARCH = f"/v1/projects/{project_id('demo')}/events/search"

#: Stands for the sandbox's own key of the kind that today's server takes on a path.
OWN_KEY = "own"

#: The least that each dialect asks for.
MINIMAL: dict[str, dict[str, Any]] = {
    LEGACY: {"project": "demo", "filters": []},
    EXPORT: {},
    SEARCH: {},
    PROJECT_SEARCH: {},
}


@dataclass(frozen=True)
class Reply:
    """One answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)

    @property
    def ids(self) -> list[str]:
        """Ids of the events, in their order."""
        return [event["event_id"] for event in self.json["events"]]


def ask(
    sandbox: Sandbox,
    path: str = SEARCH,
    body: Mapping[str, Any] | bytes | None = None,
    *,
    key: str | None = OWN_KEY,
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """Send one request on a connection of its own; dict bodies get what the dialect requires."""
    sent = body if isinstance(body, bytes) else json.dumps({**MINIMAL.get(path, {}), **(body or {})}).encode()
    if key == OWN_KEY:
        key = sandbox.data_plane_key if path == PROJECT_SEARCH else sandbox.key
    auth = {} if key is None else {"Authorization": f"Bearer {key}"}
    connection = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=10)
    try:
        connection.request(method, path, sent, {"Content-Type": "application/json", **auth, **(headers or {})})
        answer = connection.getresponse()
        return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def event(event_id: str, start_time: Any = 1_000_000, **fields: Any) -> dict[str, Any]:
    """Make a small event."""
    return {"event_id": event_id, "start_time": start_time, **fields}
