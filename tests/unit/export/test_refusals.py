"""A key that is refused in the middle of an export ends it: no 404, on whatever page, is the end of the data."""

from __future__ import annotations

import pytest

from airflow_provider_honeyhive.exceptions import HoneyHiveAuthError, HoneyHiveRefusedError
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.reading.counting import count_events
from airflow_provider_honeyhive.reading.stream import iter_batches
from airflow_provider_honeyhive.sandbox import Behaviour, Fault

from .test_exporter import DAY, published
from .test_proof import KINDS, by_kind, traffic

ODDITIES = {
    "sorted": {},
    "unsorted": {"order": "random"},
    "capped": {"cap": 7},
    "no total": {"total": "absent"},
    "untimed everywhere": {"untimed_everywhere": "last"},
}


@by_kind
@pytest.mark.parametrize("odd", ODDITIES.values(), ids=ODDITIES)
@pytest.mark.parametrize("status", [401, 404])
def test_a_refusal_at_any_request_of_an_export_fails_it_at_once(sandbox_with, client_of, tmp_path, kind, odd, status):
    sandbox = sandbox_with(traffic(), behaviour=Behaviour(**odd))
    options = ExportOptions(concurrency=1, page_size=20)
    export_events(client_of(sandbox), KINDS[kind], tmp_path / "whole", options)
    count = len(sandbox.requests)
    # Each request of a long export is much like its neighbours.
    for at in sorted({*range(1, min(count, 25) + 1), *range(count - 5, count + 1)}):
        sandbox.fault_at = {len(sandbox.requests) + at: Fault.answer(status)}
        before = len(sandbox.requests)
        with pytest.raises(HoneyHiveRefusedError if status == 404 else HoneyHiveAuthError):
            export_events(client_of(sandbox), KINDS[kind], tmp_path / f"out-{at}", options)
        assert len(sandbox.requests) == before + at, "it asked again"
        assert not published(tmp_path / f"out-{at}")


@pytest.mark.parametrize("odd", ODDITIES.values(), ids=ODDITIES)
def test_neither_iteration_nor_count_ends_with_a_refusal(sandbox_with, client_of, odd):
    sandbox = sandbox_with(traffic(), behaviour=Behaviour(**odd))
    client = client_of(sandbox)
    request = KINDS["events"].model_copy(update={"window": DAY})
    for read in (lambda: list(iter_batches(client, request, 20)), lambda: count_events(client, request)):
        before = len(sandbox.requests)
        read()
        for at in range(1, len(sandbox.requests) - before + 1):
            sandbox.fault_at = {len(sandbox.requests) + at: Fault.answer(404)}
            with pytest.raises(HoneyHiveRefusedError):
                read()
