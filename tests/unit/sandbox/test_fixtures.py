"""The fixtures that users import in their own conftest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_honeyhive.sandbox.fixtures import honeyhive_sandbox, honeyhive_sandbox_factory

from .wire import ask, event

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_honeyhive.sandbox import Sandbox

__all__ = ["honeyhive_sandbox", "honeyhive_sandbox_factory"]


def test_a_sandbox_is_ready(honeyhive_sandbox: Sandbox) -> None:
    assert len(ask(honeyhive_sandbox).ids) == 301


def test_sandboxes_can_be_made_to_measure(
    honeyhive_sandbox_factory: Callable[..., Sandbox],
) -> None:
    one, two = honeyhive_sandbox_factory([event("a")]), honeyhive_sandbox_factory(count=3, key="hh_two")
    assert ask(one).ids == ["a"]
    assert len(ask(two, key="hh_two").ids) == 4
    assert one.url != two.url
