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
from typing import TYPE_CHECKING, Any

import pytest

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
    "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
    "HONEYHIVE_EXAMPLE_OUTPUT": f"{HOME}/examples",
}

from airflow_provider_honeyhive.sandbox import Sandbox  # noqa: E402

#: Long past, so that it is the end of a day on whatever day the tests run.
DAY = datetime(2026, 3, 10, tzinfo=UTC)
DAY_END = datetime(2026, 3, 11, tzinfo=UTC)
KEY = "hh_key_of_the_system_tests"


@pytest.fixture(scope="session", autouse=True)
def airflow_database() -> None:
    """Make Airflow's database."""
    from airflow.utils import db

    db.initdb()


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


@pytest.fixture
def sandbox(serve: Callable[..., Sandbox]) -> Sandbox:
    """Serve 300 events of :data:`DAY`, reached by the default connection."""
    return serve()


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """A folder to export to that does not exist yet."""
    return tmp_path / "export"
