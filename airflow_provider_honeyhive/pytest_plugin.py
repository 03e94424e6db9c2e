"""Pytest fixtures to test your own DAGs against a sandbox; pytest finds them where this package is installed.

Nothing happens, and nothing else is imported, before a test asks for a fixture. But with the option
``honeyhive_temporary_airflow = true`` in ``pytest.ini`` the run gets an Airflow home of its own, which goes with it.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from airflow_provider_honeyhive.sandbox import Sandbox

_OPTION = "honeyhive_temporary_airflow"

_HOME = pytest.StashKey[str]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.addini(_OPTION, "give the run an Airflow home of its own, which goes with it", type="bool", default=False)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Choose Airflow's home before any file of the tests can import Airflow, which reads it once."""
    if not early_config.getini(_OPTION):
        return
    if "airflow" in sys.modules:
        raise pytest.UsageError(f"{_OPTION}: Airflow is imported already, so its home cannot be chosen any more")
    early_config.stash[_HOME] = home = tempfile.mkdtemp(prefix="airflow-of-tests-")
    os.environ |= {"AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the home."""
    home = config.stash.get(_HOME, None)
    if home is not None:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def honeyhive_sandbox(honeyhive_sandbox_factory: Callable[..., Sandbox]) -> Sandbox:
    """Serve a few hundred events of yesterday; ``.url``, ``.key`` and ``.project`` say where and what."""
    return honeyhive_sandbox_factory(count=300)


@pytest.fixture
def honeyhive_sandbox_factory() -> Iterator[Callable[..., Sandbox]]:
    """Start sandboxes made with the arguments of ``Sandbox``; all stop after the test."""
    from airflow_provider_honeyhive.sandbox import Sandbox  # noqa: PLC0415

    with ExitStack() as stack:

        def start(*args: Any, **kwargs: Any) -> Sandbox:
            return stack.enter_context(Sandbox(*args, **kwargs))

        yield start


@pytest.fixture
def honeyhive_connection(honeyhive_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """Make the connection ``honeyhive_default`` lead to the sandbox, and give the sandbox."""
    connection = {
        "conn_type": "honeyhive",
        "host": honeyhive_sandbox.url,
        "password": honeyhive_sandbox.key,
        "extra": {"project": honeyhive_sandbox.project},
    }
    monkeypatch.setenv("AIRFLOW_CONN_HONEYHIVE_DEFAULT", json.dumps(connection))
    return honeyhive_sandbox


@pytest.fixture(scope="session")
def honeyhive_run_dag(pytestconfig: pytest.Config) -> Callable[[Any, datetime], Any]:
    """Give a function that runs a DAG in this process: ``honeyhive_run_dag(dag, logical_date)``, a DAG run.

    Needs ``honeyhive_temporary_airflow = true``, since it writes into Airflow's database, which it makes first.
    """
    if pytestconfig.stash.get(_HOME, None) is None:
        raise pytest.UsageError(f"set {_OPTION} = true in pytest.ini, or Airflow's own database would be written")
    from airflow.utils import db  # noqa: PLC0415

    db.initdb()
    return _run_dag


def _run_dag(dag: Any, logical_date: datetime) -> Any:
    from airflow import __version__ as airflow_version  # noqa: PLC0415

    if airflow_version.startswith("2."):
        return dag.test(execution_date=logical_date)
    # Airflow 3 runs only DAGs in its database.
    from airflow.dag_processing.bundles.manager import DagBundlesManager  # noqa: PLC0415

    try:
        from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db  # noqa: PLC0415
    except ImportError:  # Airflow 3.1
        from airflow.models.dagbag import DagBag, sync_bag_to_db  # type: ignore[no-redef]  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        bag = DagBag(dag_folder=folder)
    bag.bag_dag(dag)
    DagBundlesManager().sync_bundles_to_db()  # type: ignore[no-untyped-call]
    sync_bag_to_db(bag, "dags-folder", None)
    return dag.test(logical_date=logical_date)
