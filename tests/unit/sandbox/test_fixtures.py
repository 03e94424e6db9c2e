"""The fixtures that users of the package get."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from .wire import ask, event

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_honeyhive.sandbox import Sandbox


def test_a_sandbox_is_ready(honeyhive_sandbox: Sandbox) -> None:
    assert len(ask(honeyhive_sandbox).ids) == 301


def test_sandboxes_can_be_made_to_measure(
    honeyhive_sandbox_factory: Callable[..., Sandbox],
) -> None:
    one, two = honeyhive_sandbox_factory([event("a")]), honeyhive_sandbox_factory(count=3, key="hh_two")
    assert ask(one).ids == ["a"]
    assert len(ask(two, key="hh_two").ids) == 4
    assert one.url != two.url


#: Prints what an opted-out run of pytest has of the plugin and of Airflow, and fails where a DAG is to be run.
TEST = """
import os, sys

def test_nothing_was_imported():
    assert not [name for name in sys.modules if name.startswith(("airflow.", "airflow_provider_honeyhive.sandbox"))]
    assert "AIRFLOW_HOME" not in os.environ

def test_a_dag(honeyhive_run_dag):
    pass
"""


def test_without_the_option_nothing_is_imported_and_no_database_written(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(TEST)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)],
        env={name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed, 1 error" in done.stdout, done.stdout
    assert "set honeyhive_temporary_airflow = true in pytest.ini" in done.stdout
