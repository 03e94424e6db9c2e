"""The contenders are found by name, and left out where the machine has not what they need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.commands import contender

if TYPE_CHECKING:
    import pytest


def test_a_contender_whose_program_is_not_installed_is_missing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert contender("curl-igzip").missing == "igzip"
    assert contender("curl-gzip").missing is None
