"""The sandbox: projects, keys, a log of requests, and a server on loopback around them."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from airflow_provider_honeyhive.sandbox.access import EVERY_PROJECT, bearer, chosen_project, projects_of
from airflow_provider_honeyhive.sandbox.answers import Answer, Refusal, dump_json, no_route
from airflow_provider_honeyhive.sandbox.behaviour import Behaviour
from airflow_provider_honeyhive.sandbox.data.traces import SEED_EVENT, iter_events, project_id
from airflow_provider_honeyhive.sandbox.dialects import parse_query, route
from airflow_provider_honeyhive.sandbox.handler import NO_FAULT, Server
from airflow_provider_honeyhive.sandbox.paging import answer_query
from airflow_provider_honeyhive.sandbox.store import EventStore, StoredEvent, late_events, stored, victims
from airflow_provider_honeyhive.sandbox.times import datetime_us

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from airflow_provider_honeyhive.sandbox.faults import Fault


@dataclass(frozen=True)
class LoggedRequest:
    """One request and what became of it.

    :param number: 1 for the first request that arrived. The log is in the order of the answers.
    :param body: the JSON object sent; ``None``: not one.
    :param headers: names in lower case, without ``authorization``.
    :param authorized: whether the key was one that reads.
    :param status: of the answer; 0: the connection was reset instead.
    :param event_count: events in the answer.
    :param fault: kind of the fault it met, if any.
    """

    number: int
    method: str
    path: str
    body: dict[str, Any] | None
    headers: dict[str, str]
    authorized: bool
    status: int
    event_count: int
    fault: str | None = None


class _Request(NamedTuple):
    number: int
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Sandbox:
    """A HoneyHive server on loopback. Use it as a context manager, or call :meth:`start` and :meth:`close`.

    :param events: what it serves: dicts, bytes (served exactly so) or :class:`.StoredEvent`; default:
        ``count`` generated events in each project, and the documentation's own event in the default one.
        Dicts go to the project they name if some key reads it, else to the default project.
    :param count: of generated events in each project.
    :param seed: of everything random.
    :param start: beginning of the generated window; default: yesterday, UTC.
    :param end: its end, exclusive; default: a day after ``start``.
    :param project: the default project.
    :param key: its API key, a classic one.
    :param data_plane_key: a data plane key that reads all projects, by their ids.
    :param keys: further keys, and the project that each reads.
    :param host: address to serve on.
    :param port: 0: any free one.
    :param behaviour: how it answers; may be replaced while serving.
    :param tls: files of certificate (chain) and key; serves https.
    :param documented_event: whether the documentation's own event, of 2024, comes with the generated ones.
    """

    def __init__(
        self,
        events: Iterable[dict[str, Any] | bytes | StoredEvent] | None = None,
        *,
        count: int = 2000,
        seed: int = 0,
        start: datetime | None = None,
        end: datetime | None = None,
        project: str = "demo",
        key: str = "hh_sandbox",
        data_plane_key: str = "hh_fgdp_Sandbox0Sandbox1Sandbox2_secret",
        keys: Mapping[str, str] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        behaviour: Behaviour | None = None,
        tls: tuple[str, str] | None = None,
        documented_event: bool = True,
    ) -> None:
        self.project = project
        self.key = key
        self.data_plane_key = data_plane_key
        self.keys = {key: project, data_plane_key: EVERY_PROJECT, **(keys or {})}
        self.behaviour = behaviour or Behaviour()
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        self.start_time = start or (end - timedelta(days=1) if end else today - timedelta(days=1))
        self.end_time = end or self.start_time + timedelta(days=1)
        #: Faults for the next requests, one each.
        self.faults: deque[Fault] = deque()
        #: Faults by request number; they come before :attr:`faults`.
        self.fault_at: dict[int, Fault] = {}
        self.requests: list[LoggedRequest] = []
        #: Called with each request once it is answered.
        self.on_request: Callable[[LoggedRequest], None] | None = None
        #: Ids of events that came and went by ``insert_per_request`` and ``delete_per_request``.
        self.inserted: set[str] = set()
        self.deleted: set[str] = set()
        self.peak_in_flight = 0
        self._in_flight = 0
        self._number = 0
        self._lock = threading.Lock()
        self._random = Random(seed)
        self._address = (host, port)
        self._tls = tls
        self._server: Server | None = None
        self._stopped = threading.Event()
        self._stores = {name: EventStore() for name in self.keys.values() if name != EVERY_PROJECT}
        if events is not None:
            self.add(events)
            return
        window = {"start": self.start_time, "end": self.end_time}
        for place, name in enumerate(self._stores):
            self.add(iter_events(count, seed=seed + place, project=name, **window), name)
        if documented_event:
            self.add([SEED_EVENT], project)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> Self:
        """Serve in the background."""
        if self._server is None:
            self._server = Server(self._address, self.handle, lambda: self.behaviour.gzip, self._tls)
            self._stopped.clear()
            threading.Thread(
                target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name="sandbox", daemon=True
            ).start()
        return self

    def close(self) -> None:
        """Stop serving and cut all connections."""
        self._stopped.set()
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
            server.cut_connections()

    def serve_forever(self) -> None:
        """Serve until :meth:`stop` is called."""
        with self:
            self._stopped.wait()

    def stop(self) -> None:
        """Let :meth:`serve_forever` return; safe in a signal handler."""
        self._stopped.set()

    @property
    def _serving(self) -> Server:
        if self._server is None:
            raise RuntimeError("the sandbox is not serving: use it as a context manager, or call start()")
        return self._server

    @property
    def port(self) -> int:
        """The port it serves on."""
        return int(self._serving.server_address[1])

    @property
    def url(self) -> str:
        """Base URL, without a slash at its end."""
        return f"{'https' if self._tls else 'http'}://{self._address[0]}:{self.port}"

    @property
    def project_id(self) -> str:
        """The opaque id of the default project."""
        return project_id(self.project)

    @property
    def connection_count(self) -> int:
        """TCP connections accepted so far."""
        return self._serving.connection_count

    def events(self, project: str | None = None) -> list[StoredEvent]:
        """Return what a project (default: the default project) holds now, oldest first."""
        return self._stores[project or self.project].events()

    def event_ids(
        self, start: datetime | None = None, end: datetime | None = None, *, project: str | None = None
    ) -> set[str]:
        """Return the ids of a project's events in ``[start, end)``; ``None``: no bound."""
        first = None if start is None else datetime_us(start)
        last = None if end is None else datetime_us(end) - 1
        return {event.event_id for event in self._stores[project or self.project].between(first, last)}

    def add(
        self, events: Iterable[dict[str, Any] | bytes | StoredEvent], project: str | None = None
    ) -> list[StoredEvent]:
        """Add events, also while serving.

        :param project: where to; default: the project that a dict names if some key reads it, else the
            default project.
        """
        look = self.behaviour
        by_project: dict[str, list[StoredEvent]] = {}
        for event in events:
            named = event.get("project") if isinstance(event, dict) else None
            place = project or (named if named in self._stores else self.project)
            new = stored(event, time_format=look.time_format, drop_project=look.drop_project_field)
            by_project.setdefault(place, []).append(new)
        for place, new_events in by_project.items():
            self._stores[place].add(new_events)
        return [event for new_events in by_project.values() for event in new_events]

    def delete(self, event_ids: Iterable[str]) -> None:
        """Delete events from all projects, also while serving."""
        gone = frozenset(event_ids)
        for store in self._stores.values():
            store.delete(gone)

    def update(self, event_id: str, changes: Mapping[str, Any], *, project: str | None = None) -> None:
        """Change an event, also while serving, as HoneyHive's API does: objects are merged, other values replaced.

        :param changes: new values by the names of fields, such as ``{"feedback": {"rating": True}}``. A new
            ``start_time`` does not move the event to another window.
        :param project: the event's; default: the default project.
        :raises KeyError: if the project has no such event.
        """
        self._stores[project or self.project].update(event_id, changes)

    def handle(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[Answer, Fault]:
        """Answer one request, without the wire.

        :param headers: names in lower case.
        :return: the answer, and the fault to send it with.
        """
        with self._lock:
            self._number += 1
            number = self._number
            self._in_flight += 1
            self.peak_in_flight = max(self.peak_in_flight, self._in_flight)
            fault = self.fault_at.pop(number, None) or (self.faults.popleft() if self.faults else NO_FAULT)
        try:
            answer = self._logged_answer(_Request(number, method, path, headers, body), fault)
            time.sleep(fault.delay)
        finally:
            with self._lock:
                self._in_flight -= 1
        return answer, fault

    def _logged_answer(self, request: _Request, fault: Fault) -> Answer:
        behaviour = self.behaviour
        if behaviour.before_request is not None:
            behaviour.before_request(self, request.number)
        token = bearer(request.headers.get("authorization", ""))
        body = _json(request.body)
        try:
            answer = _scripted(fault) or self._answer(request, token, body, fault)
        except Refusal as refusal:
            answer = refusal.answer()
        logged = LoggedRequest(
            number=request.number,
            method=request.method,
            path=request.path,
            body=body if isinstance(body, dict) else None,
            headers={name: value for name, value in request.headers.items() if name != "authorization"},
            authorized=token in self.keys and token not in behaviour.forbidden_keys,
            status=0 if fault.kind == "reset" else answer.status,
            event_count=answer.event_count,
            fault=None if fault is NO_FAULT else fault.kind,
        )
        self.requests.append(logged)
        if self.on_request is not None:
            self.on_request(logged)
        return answer

    def _answer(self, request: _Request, token: str, body: Any, fault: Fault) -> Answer:
        behaviour = self.behaviour
        found = route(request.path.partition("?")[0], behaviour.endpoints)
        if found is None or request.method != "POST":
            return no_route(behaviour.router_404, request.method, request.path, path_exists=found is not None)
        dialect, project_in_path = found
        projects = projects_of(token, self.keys, behaviour, dialect)
        if not isinstance(body, dict):
            raise Refusal(400, "Request body is not a JSON object")
        query = parse_query(dialect, body, behaviour)
        project = chosen_project(projects, query, project_in_path, behaviour)
        store = self._stores[project]
        if request.number > 1:
            self._churn(store, project)
        if fault.kind == "empty":
            store = EventStore()
        return answer_query(store, query, behaviour, self._random, lose=behaviour.lose_per_answer + fault.lose)

    def _churn(self, store: EventStore, project: str) -> None:
        inserts, deletes = self.behaviour.insert_per_request, self.behaviour.delete_per_request
        if not inserts and not deletes:
            return
        with self._lock:
            gone = {event.event_id for event in victims(store, deletes, self._random)}
            store.delete(gone)
            self.deleted |= gone
            late = self.add(late_events(store, inserts, self._random, project), project)
            self.inserted |= {event.event_id for event in late}


def _json(body: bytes) -> Any:
    if not body:
        return {}
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _scripted(fault: Fault) -> Answer | None:
    if fault.kind != "answer":
        return None
    body = fault.body.encode() if isinstance(fault.body, str) else fault.body
    return Answer(fault.status, body if isinstance(body, bytes) else dump_json(body), fault.headers)
