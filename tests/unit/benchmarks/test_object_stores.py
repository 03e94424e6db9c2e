"""What a store was asked is counted from one question to the next."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

from benchmarks.object_stores import Meter, Traffic


def test_traffic_is_what_came_since_the_last_question() -> None:
    gate: Any = SimpleNamespace(uploaded=0, downloaded=0, requests=[])
    meter = Meter(cast("Any", gate))
    gate.uploaded, gate.downloaded, gate.requests = 10, 1, [("PUT", "/a")]
    assert meter.take() == Traffic(10, 1, Counter(PUT=1))
    gate.uploaded, gate.requests = 15, [*gate.requests, ("PUT", "/b"), ("GET", "/b")]
    assert meter.take() == Traffic(5, 0, Counter(PUT=1, GET=1))
    assert meter.take() == Traffic(0, 0, Counter())
