"""What the unit tests share: a sandbox, and clients of it that do not wait."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_honeyhive.api.client import HoneyHiveClient
from airflow_provider_honeyhive.api.settings import ClientSettings
from airflow_provider_honeyhive.export import slice_queue, threads
from airflow_provider_honeyhive.formats import compression
from airflow_provider_honeyhive.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEY = "hh_sandbox"
#: Of :func:`connect`.
CONN_ID = "honeyhive_of_the_tests"


@pytest.fixture(scope="session", autouse=True)
def short_ticks() -> Iterator[None]:
    """Let readers that wait for work look more often whether there is none: else each failure takes half a second."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (slice_queue, threads):
            patch.setattr(module, "TICK_S", 0.01)
        yield


@pytest.fixture(scope="session", autouse=True)
def same_gzip_bytes() -> Iterator[None]:
    """Compress with the standard library: ISA-L does not always give the same bytes for the same events."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compression, "_ISAL", None)
        yield


@pytest.fixture
def sandbox_with() -> Iterator[Callable[..., Sandbox]]:
    """Give a function that starts sandboxes."""
    started: list[Sandbox] = []

    def start(*args: Any, **kwargs: Any) -> Sandbox:
        kwargs.setdefault("count", 300)
        sandbox = Sandbox(*args, **kwargs)
        sandbox.start()
        started.append(sandbox)
        return sandbox

    yield start
    for sandbox in started:
        sandbox.close()


@pytest.fixture
def sandbox(sandbox_with: Callable[..., Sandbox]) -> Sandbox:
    """Serve 300 events of 22 November 2026 and the one that every sandbox begins with."""
    return sandbox_with(start=datetime(2026, 11, 22, tzinfo=UTC), end=datetime(2026, 11, 23, tzinfo=UTC))


@pytest.fixture
def client_of() -> Iterator[Callable[..., HoneyHiveClient]]:
    """Give a function that makes clients; their waits are recorded in ``client.waits``."""
    made: list[HoneyHiveClient] = []

    def make(sandbox: Sandbox, *, leaves_long_waits: bool = False, **settings: Any) -> HoneyHiveClient:
        waits: list[float] = []
        values = {"api_key": KEY, "api_url": sandbox.url, **settings}
        client = HoneyHiveClient(
            ClientSettings.parse(**values), leaves_long_waits=leaves_long_waits, sleep=waits.append
        )
        client.waits = waits  # type: ignore[attr-defined]
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()


@pytest.fixture
def client(sandbox: Sandbox, client_of: Callable[..., HoneyHiveClient]) -> HoneyHiveClient:
    """Give a client of :func:`sandbox`."""
    return client_of(sandbox)


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Sandbox]:
    """Give a function that sets Airflow's connection :data:`CONN_ID` to a sandbox; what is None is left out."""

    def connect(sandbox: Sandbox, *, key: str = KEY, **extra: Any) -> Sandbox:
        connection = {"conn_type": "honeyhive", "host": sandbox.url, "password": key}
        extra = {name: value for name, value in {"project": sandbox.project, **extra}.items() if value is not None}
        monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", json.dumps({**connection, "extra": extra}))
        return sandbox

    return connect
