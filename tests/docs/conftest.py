"""What tests of pages share: an Airflow with a home of its own, and the sandbox that the examples speak to."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import sys
import tempfile
from typing import TYPE_CHECKING

import pytest

from airflow_provider_honeyhive.sandbox import Sandbox

from .documents import DAY_END, PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator

# Airflow reads its home when it is imported, which modules of tests do; it must not be the user's.
if "airflow" not in sys.modules:
    HOME = tempfile.mkdtemp(prefix="honeyhive-tests-")
    atexit.register(shutil.rmtree, HOME, ignore_errors=True)
    os.environ |= {"AIRFLOW_HOME": HOME, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """Serve the pages' project, reached by the default connection."""
    with Sandbox(count=300, end=DAY_END, project=PROJECT) as sandbox:
        connection = {"conn_type": "honeyhive", "host": sandbox.url, "password": sandbox.key}
        monkeypatch.setenv(
            "AIRFLOW_CONN_HONEYHIVE_DEFAULT", json.dumps({**connection, "extra": {"project": sandbox.project}})
        )
        yield sandbox
