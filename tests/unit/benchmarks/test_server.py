"""The benchmarks' server speaks the dialect that all contenders are measured against."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import requests

from airflow_provider_honeyhive.api.client import HoneyHiveClient
from airflow_provider_honeyhive.api.settings import ClientSettings
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.models.request import ExportRequest
from airflow_provider_honeyhive.models.window import Window
from benchmarks.check import WrongResultError, check_count, check_ids
from benchmarks.dataset import END, PROJECT, START, Dataset, Rendered, render
from benchmarks.server import BenchServer, Delays, select

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COUNT = 2500


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    return render(Dataset(COUNT, 500), tmp_path_factory.mktemp("bench"))


@pytest.fixture(params=[False, True], ids=["copied", "serialised"])
def server(rendered: Rendered, request: pytest.FixtureRequest) -> Iterator[BenchServer]:
    with BenchServer(rendered, serialise=request.param) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()
        server.memory.close()


def post(server: BenchServer, path: str = "/events/export", **body: Any) -> dict[str, Any]:
    answer = requests.post(server.url + path, json=body, timeout=30)
    answer.raise_for_status()
    return dict(answer.json())


def between(first: int, last: int) -> dict[str, str]:
    """Return a date range of two times in milliseconds."""
    low, high = (datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds") for ms in (first, last))
    return {"$gte": low, "$lte": high}


def test_pages_hold_every_event_once_newest_first(server: BenchServer, rendered: Rendered) -> None:
    pages = [post(server, limit=1000, page=page) for page in (1, 2, 3, 4)]
    events = [event for page in pages for event in page["events"]]
    assert [len(page["events"]) for page in pages] == [1000, 1000, 500, 0]
    assert {page["totalEvents"] for page in pages} == {COUNT}
    assert {event["event_id"].encode() for event in events} == rendered.event_ids()
    times = [event["start_time"] for event in events]
    assert times == sorted(times, reverse=True)
    assert all(START.timestamp() <= time / 1000 < END.timestamp() for time in times)


def test_a_range_includes_both_ends(server: BenchServer) -> None:
    times = [event["start_time"] for event in post(server, limit=COUNT)["events"]]
    newest, oldest = times[100], times[200]
    found = post(server, limit=COUNT, dateRange=between(oldest, newest))
    assert [event["start_time"] for event in found["events"]] == [t for t in times if oldest <= t <= newest]
    assert found["totalEvents"] == len(found["events"])
    assert post(server, dateRange=between(newest + 1, newest))["events"] == []


@pytest.mark.parametrize("body", [{"limit": 7501}, {"limit": 0}, {"page": 0}])
def test_what_is_out_of_range_is_refused(server: BenchServer, body: dict[str, int]) -> None:
    with pytest.raises(requests.HTTPError) as refused:
        post(server, **body)
    assert refused.value.response.status_code == 400
    assert server.stats.refused == 1


def test_it_counts_what_it_serves_until_reset(server: BenchServer) -> None:
    stats = server.stats
    # Many times, since the count must be right as soon as the answer is there.
    for number in range(1, 101):
        post(server, "/v1/events/export", limit=10)
        assert (stats.requests, stats.events, stats.peak_in_flight, stats.in_flight) == (number, 10 * number, 1, 0)
    post(server, "/reset")
    assert server.stats.requests == 0


def test_skipped_rows_cost_time_and_dates_do_not(rendered: Rendered) -> None:
    delays = Delays(answer=0.15, per_1000=0.04, per_1000_skipped=0.5)
    first, last, _, skipped = select(rendered, {"limit": 1000, "page": 3})
    assert delays.of(last - first, skipped) == pytest.approx(0.15 + 0.5 * 0.04 + 2 * 0.5)
    first, last, _, skipped = select(rendered, {"limit": 1000, "dateRange": {"$lte": "2026-03-02T09:00:00Z"}})
    assert skipped == 0


def test_sizes_are_about_what_was_asked_for(tmp_path: Path) -> None:
    for size in (500, 4300):
        rendered = render(Dataset(400, size), tmp_path)
        assert rendered.offsets[-1] / 400 == pytest.approx(size, rel=0.15)


def test_events_can_lie_one_a_day_or_in_one_millisecond(tmp_path: Path) -> None:
    year, moment = (render(Dataset(365, 500, spread=spread), tmp_path) for spread in ("year", "moment"))
    days = {datetime.fromtimestamp(-minus / 1000, UTC).date() for minus in year.minus_ms}
    assert len(days) == 365
    assert list(year.minus_ms) == sorted(year.minus_ms)
    assert len(set(moment.minus_ms)) == 1


def test_the_check_of_our_files_finds_every_difference(server: BenchServer, rendered: Rendered, tmp_path: Path) -> None:
    settings = ClientSettings.parse(api_key="hh_bench", api_url=server.url)
    with HoneyHiveClient(settings) as client:
        export_events(client, ExportRequest(project=PROJECT, window=Window(START, END)), tmp_path)
    served = rendered.event_ids()
    check_ids(tmp_path, served)
    check_count(tmp_path, COUNT)
    for wrong in (served - {min(served)}, served | {b"another"}):
        with pytest.raises(WrongResultError):
            check_ids(tmp_path, wrong)
    with pytest.raises(WrongResultError):
        check_count(tmp_path, COUNT + 1)
