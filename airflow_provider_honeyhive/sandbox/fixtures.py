"""Pytest fixtures: test your own DAGs against a sandbox.

In your ``conftest.py``::

    from airflow_provider_honeyhive.sandbox.fixtures import honeyhive_sandbox, honeyhive_sandbox_factory
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from airflow_provider_honeyhive.sandbox.server import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def honeyhive_sandbox() -> Iterator[Sandbox]:
    """Serve a few hundred events of yesterday; ``.url``, ``.key`` and ``.project`` say where and what."""
    with Sandbox(count=300) as sandbox:
        yield sandbox


@pytest.fixture
def honeyhive_sandbox_factory() -> Iterator[Callable[..., Sandbox]]:
    """Start sandboxes made with the arguments of :class:`.Sandbox`; all stop after the test."""
    with ExitStack() as stack:

        def start(*args: object, **kwargs: object) -> Sandbox:
            return stack.enter_context(Sandbox(*args, **kwargs))  # type: ignore[arg-type]

        yield start
