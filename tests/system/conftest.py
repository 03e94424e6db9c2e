"""A real Airflow for the tests below: its own home, its own database, tasks run in this process."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import sys
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

if any(name == "airflow" or name.startswith("airflow.") for name in sys.modules):
    raise pytest.UsageError("tests/system needs a process of its own: Airflow reads its home when it is imported")

HOME = tempfile.mkdtemp(prefix="honeyhive-tests-")
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
os.makedirs(f"{HOME}/dags")
for name in [name for name in os.environ if name.startswith("AIRFLOW_")]:
    del os.environ[name]
os.environ |= {
    "AIRFLOW_HOME": HOME,
    "AIRFLOW__CORE__DAGS_FOLDER": f"{HOME}/dags",
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "0",
    # Under the same name the next test may have another DAG.
    "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",
    "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
    "HONEYHIVE_EXAMPLE_OUTPUT": f"{HOME}/examples",
}

from airflow_provider_honeyhive.sandbox import Behaviour, Sandbox  # noqa: E402

#: Long past, so that it is the end of a day on whatever day the tests run.
DAY = datetime(2026, 3, 10, tzinfo=UTC)
DAY_END = datetime(2026, 3, 11, tzinfo=UTC)
KEY = "hh_key_of_the_system_tests"
#: What the S3 on loopback is asked with; it takes any.
ACCESS = {"aws_access_key_id": "access", "aws_secret_access_key": "secret", "region_name": "us-east-1"}


@pytest.fixture(scope="session", autouse=True)
def airflow_database() -> None:
    """Make Airflow's database."""
    from airflow.utils import db

    db.initdb()


@pytest.fixture(scope="session", autouse=True)
def one_execution_api() -> None:
    """Let all tasks share the API that they are run by in this process.

    Airflow 3.1 makes it anew for each task, which takes seconds; later ones keep it.
    """
    try:
        from airflow.sdk.execution_time import supervisor
    except ImportError:  # Airflow 2 has none
        return
    if not hasattr(supervisor.in_process_api_server, "cache_clear"):
        supervisor.in_process_api_server = lru_cache(maxsize=1)(supervisor.in_process_api_server)


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set a connection to a sandbox, the default one unless said otherwise."""

    def connect(sandbox: Sandbox, conn_id: str = "honeyhive_default", *, key: str | None = None, **extra: Any) -> None:
        connection = {
            "conn_type": "honeyhive",
            "host": sandbox.url,
            "password": key or sandbox.key,
            "extra": {"project": sandbox.project, **extra},
        }
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))

    return connect


@pytest.fixture
def serve(connect: Callable[..., None]) -> Iterator[Callable[..., Sandbox]]:
    """Start a sandbox that the default connection reaches; by default with 300 events of :data:`DAY`."""
    with ExitStack() as stack:

        def serve(events: Iterable[Any] | None = None, **arguments: Any) -> Sandbox:
            given = {"count": 300, "start": DAY, "end": DAY_END, "key": KEY, **arguments}
            sandbox = stack.enter_context(Sandbox(events, **given))
            connect(sandbox)
            return sandbox

        yield serve


#: A server of each generation, and the endpoints that it has.
WAYS = [
    *(("today", name) for name in ("export", "search", "legacy", "project-export", "project-search")),
    *(("older", name) for name in ("export", "search", "legacy", "project-search")),
]


@pytest.fixture
def serve_by(serve: Callable[..., Sandbox], connect: Callable[..., None]) -> Callable[..., Sandbox]:
    """Start a sandbox with one endpoint, and connect to it as its generation takes keys and projects there."""

    def start(
        generation: Any, endpoint: str, events: Iterable[Any] | None = None, *, count: int = 300, **oddities: Any
    ) -> Sandbox:
        behaviour = Behaviour(generation=generation, endpoints=frozenset({endpoint}), **oddities)
        sandbox = serve(events, count=count, behaviour=behaviour)
        if endpoint.startswith("project-") and generation == "today":
            connect(sandbox, key=sandbox.data_plane_key, project=sandbox.project_id)
        elif endpoint.startswith("project-"):
            connect(sandbox, endpoint=endpoint)
        return sandbox

    return start


@pytest.fixture
def sandbox(serve: Callable[..., Sandbox]) -> Sandbox:
    """Serve 300 events of :data:`DAY`, reached by the default connection."""
    return serve()


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """A folder to export to that does not exist yet."""
    return tmp_path / "export"


@pytest.fixture(scope="session")
def s3() -> Iterator[Any]:
    """Start an S3 on loopback, one for all: Airflow keeps a connection's file system for the life of the process."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield boto3.client("s3", endpoint_url=f"http://{host}:{port}", **ACCESS)
    server.stop()


@pytest.fixture
def bucket(s3: Any, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """Make a bucket of the test's own, reached by the connection ``store``."""
    extra = {"endpoint_url": s3.meta.endpoint_url, "region_name": ACCESS["region_name"]}
    connection = {"conn_type": "aws", "login": "access", "password": "secret", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_STORE", json.dumps(connection))
    name = f"bucket-{abs(hash(request.node.nodeid))}"
    s3.create_bucket(Bucket=name)
    return name
