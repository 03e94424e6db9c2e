"""Stores for the tests below: the local disk and three servers on loopback, each reached by an Airflow connection."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

# Before anything of Airflow: it reads its home when it is imported.
from tests.system.conftest import airflow_database, connect, serve  # noqa: F401 - fixtures
from tests.unit.conftest import client_of, sandbox_with  # noqa: F401 - fixtures

# What Google's driver asks servers of another kind than the one that plays here would never be answered.
os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"
# A refusal is meant.
os.environ["AWS_MAX_ATTEMPTS"] = "1"
# A page of log for each request.
logging.getLogger("azure.core.pipeline.policies.http_logging_policy").setLevel(logging.WARNING)

from .exporter import Exporter  # noqa: E402
from .places import Place, make_bucket  # noqa: E402
from .servers import ALL_SERVERS, SERVERS, Server  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

os.environ["AIRFLOW_CONN_FILE"] = json.dumps({"conn_type": "file"})


@pytest.fixture(scope="session")
def server_of() -> Iterator[Callable[[str], Server]]:
    """Give a function that returns the server of a kind, started when it is first asked for."""
    started: dict[str, Server] = {}
    with ExitStack() as stack:

        def server_of(name: str) -> Server:
            if name not in started:
                started[name] = ALL_SERVERS[name]()
                stack.callback(started[name].stop)
                os.environ[f"AIRFLOW_CONN_{name.upper()}"] = json.dumps(started[name].connection())
            return started[name]

        yield server_of


def _place(name: str, server_of: Callable[[str], Server], tmp_path: Path) -> Iterator[Place]:
    if name == "file":
        yield Place(name, (tmp_path / "place").as_uri(), None)
        return
    place = make_bucket(server_of(name), name)
    yield place
    place.gate.let_all_through()


@pytest.fixture(params=["file", *SERVERS])
def place(request: pytest.FixtureRequest, server_of: Callable[[str], Server], tmp_path: Path) -> Iterator[Place]:
    """Give a new place on each kind of store."""
    yield from _place(request.param, server_of, tmp_path)


@pytest.fixture(params=[*SERVERS])
def bucket(request: pytest.FixtureRequest, server_of: Callable[[str], Server], tmp_path: Path) -> Iterator[Place]:
    """Give a new bucket on each kind of object store."""
    yield from _place(request.param, server_of, tmp_path)


@pytest.fixture
def drivers_do_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the drivers of the stores try again at once what they try again."""
    sleep = asyncio.sleep
    monkeypatch.setattr(asyncio, "sleep", lambda _: sleep(0))


@pytest.fixture(scope="module")
def exporter(server_of: Callable[[str], Server]) -> Iterator[Exporter]:
    """Give a starter of exports in processes of their own."""
    for name in ALL_SERVERS:
        # A connection is in the environment once its server runs, and the process takes it from there.
        server_of(name)
    exporter = Exporter()
    yield exporter
    exporter.close()
