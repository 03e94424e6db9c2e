"""What is tested is what pip has installed: the wheel, or in a development environment the sources."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "airflow_provider_honeyhive"


@pytest.fixture
def installed() -> Path:
    """Return where pip says that the package is."""
    try:
        url = json.loads(distribution(PACKAGE.replace("_", "-")).read_text("direct_url.json") or "{}")
    except PackageNotFoundError:
        pytest.skip("the package is not installed here, but found on the path: make test installs it")
    editable = url.get("dir_info", {}).get("editable")
    return Path(ROOT if editable else sysconfig.get_path("purelib"), PACKAGE)


def test_the_package_under_test_is_the_installed_one(installed):
    module = sys.modules[PACKAGE]
    assert Path(module.__file__).parent == installed


def test_processes_that_tests_start_have_the_same_one(installed):
    program = f"import {PACKAGE}; print({PACKAGE}.__file__)"
    for folder in (ROOT, "/"):
        done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=True)
        assert Path(done.stdout.strip()).parent == installed
