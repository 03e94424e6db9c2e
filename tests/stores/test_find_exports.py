"""Finding exports takes a listing for all of them, and a request for each manifest that can matter."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_honeyhive.export.catalog import find_exports
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.models.export_facts import RequestFacts
from airflow_provider_honeyhive.storage.paths import open_store

MANIFEST = Manifest(
    project="demo",
    start_time="2026-01-01T00:00:00.000Z",
    end_time="2026-01-02T00:00:00.000Z",
    event_count=0,
    started_at="2026-11-22T06:00:00.000Z",
    finished_at="2026-11-22T06:00:00.000Z",
    file_format="jsonl",
    compression="gzip",
    request=RequestFacts(api_host="h"),
    files=[],
)
EXPORTS = 30
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(("since", "found"), [(None, EXPORTS), (-HOUR, EXPORTS), (HOUR, 0)])
def test_requests_are_for_pages_of_the_listing_and_for_manifests_that_matter(bucket, since, found):
    store = open_store(bucket.path("out"))
    for number in range(EXPORTS):
        store.put(f"2026/{number:02}/_manifest.json", MANIFEST.to_json())
        store.put(f"2026/{number:02}/event_date=2026-01-01/part-00000.jsonl.gz", b"")
    before = len(bucket.gate.requests)
    exports = list(find_exports(store, lambda manifest: True, since and datetime.now(UTC) + since))
    requests = bucket.gate.requests[before:]
    reads = [target for _, target in requests if "_manifest.json" in target and "list" not in target]
    assert len(exports) == found
    assert len(set(reads)) == found
    # Where the driver asks for the size of an object before it reads it.
    assert len(reads) <= 2 * found
    assert len(requests) - len(reads) == 1
