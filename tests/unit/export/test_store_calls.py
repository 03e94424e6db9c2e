"""How often an export asks its store: not more often for each partition or for each export that is there already."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.models.request import ExportRequest
from airflow_provider_honeyhive.models.window import Window
from airflow_provider_honeyhive.storage import lease
from airflow_provider_honeyhive.storage.object_store import FsspecStore

if TYPE_CHECKING:
    from collections.abc import Callable

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def listings(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count the listings of any object store."""
    counted: Counter[str] = Counter()
    listed = FsspecStore._list

    def count(store: FsspecStore, folder: str) -> Any:
        counted["all"] += 1
        return listed(store, folder)

    monkeypatch.setattr(FsspecStore, "_list", count)
    monkeypatch.setattr(lease, "SETTLE_S", 0.0)  # nobody else is there to be waited for
    return counted


@pytest.mark.parametrize("again", [False, True], ids=["first", "replacement"])
def test_listings_do_not_grow_with_the_partitions(
    sandbox_with: Callable[..., Any], client_of: Callable[..., Any], listings: Counter[str], again: bool
) -> None:
    asked = []
    for days in (2, 40):
        window = Window(START, START + timedelta(days=days))
        sandbox = sandbox_with(count=days * 10, start=window.start, end=window.end)
        path = f"memory://{uuid4().hex}/out"
        options = ExportOptions(partition_by=("event_date", "event_type"))
        request = ExportRequest(project="demo", window=window)
        for _ in range(1 + again):
            listings.clear()
            manifest = export_events(client_of(sandbox), request, path, options)
        assert len(manifest.files) >= days
        asked.append(listings["all"])
    assert asked[1] <= asked[0] + 2


def test_listings_do_not_grow_with_the_objects_that_are_there(
    sandbox_with: Callable[..., Any], client_of: Callable[..., Any], listings: Counter[str]
) -> None:
    sandbox = sandbox_with(count=200, start=START, end=START + timedelta(hours=20))
    folder = f"memory://{uuid4().hex}"
    asked = []
    for hour in range(20):
        listings.clear()
        window = Window(START + timedelta(hours=hour), START + timedelta(hours=hour + 1))
        export_events(client_of(sandbox), ExportRequest(project="demo", window=window), f"{folder}/{hour}.jsonl.gz")
        asked.append(listings["all"])
    assert max(asked) <= min(asked) + 1
