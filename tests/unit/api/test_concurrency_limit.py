"""No more requests at once than allowed; fewer after the server objects, growing again slowly."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from airflow_provider_honeyhive.api.concurrency import GROW_AFTER, ConcurrencyLimit
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.sandbox import Behaviour, Fault
from tests.unit.export.test_exporter import DAY, DEMO, GENERATED, ids_of

if TYPE_CHECKING:
    from airflow_provider_honeyhive.api.client import HoneyHiveClient


def never() -> bool:
    return False


def ask(gate: ConcurrencyLimit, *, too_many: bool = False) -> None:
    with gate.one(never) as answered:
        answered(too_many)


def limits_of(client: HoneyHiveClient) -> list[tuple[ConcurrencyLimit, int]]:
    """Note, after each answer to the client from now on, the limit its request was under and how many it allows."""
    seen: list[tuple[ConcurrencyLimit, int]] = []
    fetch = client.fetch_page

    def watched(*args, **kwargs):
        page = fetch(*args, **kwargs)
        seen.append((kwargs["concurrency"], kwargs["concurrency"].allowed))
        return page

    client.fetch_page = watched  # type: ignore[method-assign]
    return seen


def test_who_is_one_too_many_waits_until_another_is_done():
    gate = ConcurrencyLimit(1)
    order: list[str] = []
    inside, asked = threading.Event(), threading.Event()

    def second() -> None:
        asked.set()
        with gate.one(never):
            order.append("second")

    with gate.one(never):
        thread = threading.Thread(target=second)
        thread.start()
        assert asked.wait(10)
        assert not inside.wait(0.05)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]


def test_who_waits_goes_on_when_it_is_stopped():
    gate = ConcurrencyLimit(1)
    with gate.one(never), gate.one(lambda: True):
        pass


def test_a_refusal_halves_and_never_goes_below_one():
    gate = ConcurrencyLimit(8)
    seen = []
    for _ in range(5):
        ask(gate, too_many=True)
        seen.append(gate.allowed)
    assert seen == [4, 2, 1, 1, 1]


def test_requests_that_are_refused_together_count_as_one_refusal():
    gate = ConcurrencyLimit(8)
    with ExitStack() as stack:
        together = [stack.enter_context(gate.one(never)) for _ in range(8)]
        for answered in together:
            answered(True)
    assert gate.allowed == 4


def test_it_grows_by_one_at_a_time_up_to_the_most():
    gate = ConcurrencyLimit(4)
    ask(gate, too_many=True)
    grown = []
    for _ in range(GROW_AFTER * 2 + GROW_AFTER * 3 + GROW_AFTER * 4):
        ask(gate)
        grown.append(gate.allowed)
    assert grown[GROW_AFTER * 2 - 2 : GROW_AFTER * 2] == [2, 3]
    assert grown[GROW_AFTER * 5 - 2 : GROW_AFTER * 5] == [3, 4]
    assert grown[-1] == 4


@pytest.mark.parametrize("concurrency", [1, 3, 8])
def test_an_export_never_has_more_requests_at_once_than_its_concurrency(sandbox_with, client_of, tmp_path, concurrency):
    sandbox = sandbox_with(count=3_000, behaviour=Behaviour(latency=0.01), **GENERATED)
    options = ExportOptions(page_size=100, concurrency=concurrency)
    export_events(client_of(sandbox), DEMO, tmp_path / "out", options)
    assert sandbox.peak_in_flight <= concurrency
    assert sandbox.peak_in_flight > 1 or concurrency == 1


@pytest.mark.parametrize("status", [429, 503])
def test_after_too_many_requests_an_export_sends_fewer_at_once_and_is_whole(sandbox_with, client_of, tmp_path, status):
    sandbox = sandbox_with(count=3_000, behaviour=Behaviour(latency=0.02), **GENERATED)
    expected = sandbox.event_ids(DAY.start, DAY.end)
    client = client_of(sandbox)
    seen = limits_of(client)
    # The glance passes, then the readers' first requests are refused.
    sandbox.faults.extend([Fault(), *[Fault.answer(status)] * 3])
    export_events(client, DEMO, tmp_path / "out", ExportOptions(page_size=100, concurrency=8))
    assert sorted(ids_of(tmp_path / "out")) == sorted(expected)
    lowest = min(allowed for _, allowed in seen)
    assert lowest <= 4
    assert seen[-1][0].allowed > lowest
    assert len({limit for limit, _ in seen}) == 1, "all readers of an export share the limit"


def test_exports_with_one_client_at_once_have_each_their_own_limit(sandbox_with, client_of, tmp_path):
    sandbox = sandbox_with(count=3_000, behaviour=Behaviour(latency=0.01), **GENERATED)
    client = client_of(sandbox)
    seen = limits_of(client)
    exports = [
        threading.Thread(
            target=export_events,
            args=(client, DEMO, tmp_path / str(most), ExportOptions(page_size=100, concurrency=most)),
        )
        for most in (1, 4)
    ]
    for export in exports:
        export.start()
    for export in exports:
        export.join()
    assert sorted(limit.allowed for limit in {limit for limit, _ in seen}) == [1, 4]
    assert 1 < sandbox.peak_in_flight <= 5


def test_roots_and_sessions_of_an_export_share_the_limit(client, tmp_path):
    seen = limits_of(client)
    export_events(client, DEMO.model_copy(update={"sessions": "complete"}), tmp_path / "out")
    assert len({limit for limit, _ in seen}) == 1
