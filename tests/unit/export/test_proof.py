"""No server makes an export a success that lacks events: from the sandbox over HTTP to files, by what goes wrong.

Rows are compared by their bytes, so that one event in two rows counts twice.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_honeyhive.exceptions import (
    HoneyHiveError,
    HoneyHiveRequestError,
    HoneyHiveServerError,
    IncompleteExportError,
)
from airflow_provider_honeyhive.export import extract_window, slice_queue
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.models.request import ExportRequest
from airflow_provider_honeyhive.models.window import Window
from airflow_provider_honeyhive.reading.counting import count_and_newest, count_events
from airflow_provider_honeyhive.reading.stream import iter_batches
from airflow_provider_honeyhive.sandbox import Behaviour, Fault
from airflow_provider_honeyhive.sandbox.answers import dump_json
from airflow_provider_honeyhive.sandbox.store import StoredEvent

from .test_exporter import DAY, DEMO, event_at, lines, published

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from airflow_provider_honeyhive.manifest import Manifest
    from airflow_provider_honeyhive.sandbox import Sandbox
    from airflow_provider_honeyhive.sandbox.server import LoggedRequest

KINDS = {"events": DEMO, "sessions": DEMO.model_copy(update={"sessions": "complete"})}
MILLISECOND = timedelta(milliseconds=1)
NOON = DAY.start + timedelta(hours=12)
#: After so many requests of an export the sandbox refuses the key: what does not come to an end fails at once.
ENOUGH_REQUESTS = 4_000

by_kind = pytest.mark.parametrize("kind", KINDS)
by_concurrency = pytest.mark.parametrize("concurrency", [1, 4])
by_total = pytest.mark.parametrize("total", ["events_total", "absent"])


def event(session: int, number: int, time: datetime | None, **more: Any) -> dict[str, Any]:
    """Make an event of a session; number 0 is its root."""
    name = f"session-{session:03}"
    kind = "model" if number else "session"
    made = event_at(time or NOON, session_id=name, event_type=kind, **more)
    made["event_id"] = f"{name}-{number}" if number else name
    return made if time else {**made, "start_time": None}


def traffic(sessions: int = 24, each: int = 5, *, pad: int = 0) -> list[dict[str, Any]]:
    """Return events of sessions that lie in the day as a whole: window and sessions hold the same rows.

    :param pad: each event is up to so many bytes larger.
    """
    chance = Random(0)
    step = (DAY.end - DAY.start) / (sessions + 1)
    return [
        event(session, number, DAY.start + session * step + number * 50 * MILLISECOND, pad="x" * chance.randint(0, pad))
        for session in range(sessions)
        for number in range(each)
    ]


def held(sandbox: Sandbox) -> Counter[bytes]:
    """Return the rows that the sandbox holds for the day, with those that have no time."""
    first, last = DAY.start_us, DAY.end_us
    return Counter(each.raw for each in sandbox.events() if each.time_us is None or first <= each.time_us < last)


@pytest.fixture(params=["sliced", "shared"])
def slicing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read these small windows in several slices from the start, as large ones are, or share them on the way."""
    monkeypatch.setattr(slice_queue, "EVENTS_IN_A_CELL", 5)
    if request.param == "sliced":
        monkeypatch.setattr(extract_window, "EVENTS_WORTH_A_SLICE", 20)


@pytest.fixture
def serve(sandbox_with: Callable[..., Sandbox]) -> Callable[..., Sandbox]:
    """Give a function that serves events."""
    return lambda events, **behaviour: sandbox_with(events, behaviour=Behaviour(**behaviour))


@pytest.fixture
def export(client_of: Callable[..., Any], tmp_path: Path) -> Callable[..., Manifest]:
    """Give a function that exports the day to a folder."""

    def run(sandbox: Sandbox, kind: str = "events", to: str = "out", retries: int = 3, **options: Any) -> Manifest:
        enough = len(sandbox.requests) + ENOUGH_REQUESTS

        def refuse(sandbox: Sandbox, number: int) -> None:
            if number > enough:
                sandbox.behaviour = replace(sandbox.behaviour, forbidden_keys=frozenset(sandbox.keys))

        sandbox.behaviour = replace(sandbox.behaviour, before_request=refuse)
        client = client_of(sandbox, max_retries=retries)
        return export_events(client, KINDS[kind], tmp_path / to, ExportOptions(**options))

    return run


@pytest.fixture
def assert_whole(tmp_path: Path) -> Callable[..., None]:
    """Give a function that compares an export with the sandbox."""

    def check(manifest: Manifest, sandbox: Sandbox, to: str = "out") -> None:
        rows = Counter(lines(tmp_path / to))
        assert rows == held(sandbox)
        assert manifest.event_count == rows.total()

    return check


@pytest.fixture
def whole_or_told(
    export: Callable[..., Manifest], assert_whole: Callable[..., None]
) -> Callable[..., IncompleteExportError | None]:
    """Give a function that exports, and returns the error where that is not whole."""

    def attempt(sandbox: Sandbox, *args: Any, **kwargs: Any) -> IncompleteExportError | None:
        try:
            manifest = export(sandbox, *args, **kwargs)
        except IncompleteExportError as error:
            return error
        assert_whole(manifest, sandbox)
        return None

    return attempt


# --------------------------------------------------------------------------------------------- losses


@by_kind
@by_concurrency
@pytest.mark.usefixtures("slicing")
def test_one_empty_answer_is_read_again(serve, export, assert_whole, kind, concurrency):
    sandbox = serve(traffic(), latency=0.001)
    for at in (1, 2, 3, 4, 6, 9):
        sandbox.fault_at = {len(sandbox.requests) + at: Fault.empty()}
        assert_whole(export(sandbox, kind, concurrency=concurrency, page_size=10), sandbox)


@by_kind
@by_concurrency
def test_a_window_that_fits_one_answer_is_not_lost_with_it(serve, export, assert_whole, kind, concurrency):
    sandbox = serve(traffic(sessions=1))
    for at in range(1, 6):
        sandbox.fault_at = {len(sandbox.requests) + at: Fault.empty()}
        assert_whole(export(sandbox, kind, concurrency=concurrency), sandbox)


@by_kind
@pytest.mark.usefixtures("slicing")
@pytest.mark.parametrize("concurrency", [1, 4, 8])
def test_an_answer_that_lacks_events_is_read_again(serve, export, assert_whole, kind, concurrency):
    sandbox = serve(traffic(sessions=36), latency=0.002)
    for at in (2, 3, 5, 8):
        sandbox.fault_at = {len(sandbox.requests) + at: Fault.losing(3)}
        assert_whole(export(sandbox, kind, concurrency=concurrency, page_size=10), sandbox)


@by_kind
@by_concurrency
@pytest.mark.usefixtures("slicing")
@pytest.mark.parametrize("loss", [{"lose_per_answer": 2}, {"total": "wrong", "wrong_total": 35}], ids=str)
def test_what_stays_lost_is_told_with_the_numbers_of_the_window(
    serve, export, whole_or_told, tmp_path, kind, concurrency, loss
):
    # Few, since the last reading of answers that never show all takes many requests.
    sandbox = serve(traffic(sessions=6))
    export(sandbox, kind)
    before = published(tmp_path)
    sandbox.behaviour = replace(sandbox.behaviour, latency=0.001, **loss)
    reported = loss.get("wrong_total", 30)
    told = whole_or_told(sandbox, kind, concurrency=concurrency, page_size=10)
    assert told or reported == 30, "more was reported than there is"
    if told:
        assert published(tmp_path) == before
        assert told.received < told.expected
        # Where sessions are read, there is no total of all their events.
        assert kind == "sessions" or (told.expected, told.received >= 15) == (reported, True)


# ------------------------------------------------------------------------------- answers cut by bytes


@by_concurrency
def test_two_empty_answers_one_after_the_other_are_no_empty_window(serve, export, assert_whole, concurrency):
    sandbox = serve(traffic(sessions=2))
    sandbox.fault_at = {number: Fault.empty() for number in (1, 2)}
    assert_whole(export(sandbox, concurrency=concurrency), sandbox)


@by_kind
@by_concurrency
@by_total
@pytest.mark.parametrize("cut_bytes", [1, 900, 6_000])
def test_answers_that_are_cut_by_bytes_give_every_event(
    serve, export, assert_whole, kind, concurrency, total, cut_bytes
):
    events = traffic(pad=2_000)
    # In each tenth session two events at the same time.
    events += [event(session, 9, DAY.start + session * (DAY.end - DAY.start) / 25) for session in range(0, 24, 10)]
    sandbox = serve(events, cut_bytes=cut_bytes, total=total)
    assert_whole(export(sandbox, kind, concurrency=concurrency), sandbox)


@by_kind
@by_concurrency
def test_events_at_one_time_that_bytes_cut_are_whole_or_told(serve, whole_or_told, kind, concurrency):
    chance = Random(1)
    ties = [event(3, 10 + number, NOON, pad="x" * chance.randint(0, 2_000)) for number in range(60)]
    sandbox = serve([*traffic(), *ties], cut_bytes=6_000, cap_affects_offset=False)
    told = whole_or_told(sandbox, kind, concurrency=concurrency)
    assert told is None or kind == "sessions" or (told.expected, told.received < 180) == (180, True)


# ---------------------------------------------------------------------------- ranges that are ignored


@by_kind
@by_total
@pytest.mark.usefixtures("slicing")
@pytest.mark.parametrize("concurrency", [1, 4, 8])
def test_a_server_without_date_ranges_is_read_by_filters_at_any_concurrency(
    serve, export, assert_whole, kind, total, concurrency
):
    older = [event(200 + number, 0, DAY.start - number * MILLISECOND) for number in range(1, 31)]
    sandbox = serve([*traffic(), *older], ignore_date_range=True, total=total, latency=0.003)
    for number in range(2):
        to = f"out-{number}"
        assert_whole(export(sandbox, kind, to, concurrency=concurrency, page_size=10), sandbox, to)


# ------------------------------------------------------------------------------ events without a time


@by_kind
@by_concurrency
@by_total
@pytest.mark.usefixtures("slicing")
@pytest.mark.parametrize("place", ["first", "last"])
@pytest.mark.parametrize("untimed", [3, 90])
def test_events_without_a_time_in_every_range_come_once(
    serve, export, assert_whole, kind, concurrency, total, place, untimed
):
    events = [*traffic(), *(event(5, 10 + number, None) for number in range(untimed))]
    sandbox = serve(events, cap=30, untimed_everywhere=place, total=total, latency=0.001)
    manifest = export(sandbox, kind, concurrency=concurrency)
    assert_whole(manifest, sandbox)
    assert manifest.events_without_time == untimed
    # Three pages of them are with each of some pages, and each session is asked for once or twice.
    assert len(sandbox.requests) < 300


@by_kind
@by_concurrency
@by_total
def test_events_without_a_time_do_not_show_that_answers_meet(serve, export, assert_whole, kind, concurrency, total):
    events = [*traffic(), *(event(5, 10 + number, None) for number in range(3))]
    sandbox = serve(events, untimed_everywhere="first", truncate_bounds="second", total=total)
    assert_whole(export(sandbox, kind, concurrency=concurrency, page_size=10), sandbox)


# --------------------------------------------------------------------------------- one id in two rows


@by_kind
@by_concurrency
@by_total
@pytest.mark.parametrize("later", [timedelta(0), 300 * MILLISECOND, timedelta(hours=1)], ids=str)
def test_one_id_in_two_rows_is_two_rows(serve, export, assert_whole, kind, concurrency, total, later):
    events = traffic()
    twins = [
        event(session, 3, DAY.start + session * (DAY.end - DAY.start) / 25 + 150 * MILLISECOND + later, row=2)
        for session in (2, 11, 20)
    ]
    sandbox = serve([*events, *twins], total=total, latency=0.001)
    manifest = export(sandbox, kind, concurrency=concurrency, page_size=10)
    assert_whole(manifest, sandbox)
    assert manifest.repeated_ids == 3


@by_kind
@by_concurrency
@by_total
def test_one_id_in_two_rows_among_more_events_at_one_time_than_a_page(
    serve, export, assert_whole, kind, concurrency, total
):
    ties = [event(3, 10 + number % 40, NOON, row=number // 40) for number in range(50)]
    sandbox = serve([*traffic(), *ties], total=total)
    manifest = export(sandbox, kind, concurrency=concurrency, page_size=10)
    assert_whole(manifest, sandbox)
    assert manifest.repeated_ids == 10


@by_kind
@by_total
def test_rows_that_are_the_same_in_every_byte_are_two_rows(serve, export, assert_whole, kind, total):
    sandbox = serve([*traffic(), *traffic()[30:33]], total=total)
    manifest = export(sandbox, kind)
    assert_whole(manifest, sandbox)
    assert manifest.repeated_ids == 3


@by_total
def test_whoever_iterates_gets_both_rows(serve, client_of, total):
    twins = [event(4, 3, NOON, row=2), event(5, 3, NOON, row=2)]
    sandbox = serve([*traffic(), *twins], total=total)
    client = client_of(sandbox)
    rows = Counter(bytes(raw) for batch in iter_batches(client, DEMO, page_size=10) for raw in batch.raw_events)
    assert rows == held(sandbox)
    assert count_events(client, DEMO) == rows.total()


# ------------------------------------------------------------------ more events at one time than a page


@by_kind
@by_concurrency
@by_total
def test_pages_that_count_as_asked_for_have_no_holes(serve, export, assert_whole, kind, concurrency, total):
    ties = [event(3, 10 + number, NOON) for number in range(130)]
    sandbox = serve([*traffic(), *ties], cap=25, cap_affects_offset=False, total=total)
    assert_whole(export(sandbox, kind, concurrency=concurrency), sandbox)


@by_kind
@by_concurrency
@by_total
def test_a_refusal_after_a_full_page_is_no_end(serve, export, tmp_path, kind, concurrency, total):
    ties = [event(3, 10 + number, NOON) for number in range(130)]
    sandbox = serve([*traffic(), *ties], max_offset=60, past_end="error", total=total)
    with pytest.raises(HoneyHiveError) as told:
        export(sandbox, kind, concurrency=concurrency, page_size=10)
    assert isinstance(told.value, IncompleteExportError | HoneyHiveRequestError)
    assert published(tmp_path) == {}


@by_kind
@by_concurrency
def test_a_total_tells_of_events_beyond_what_page_numbers_reach(serve, export, tmp_path, kind, concurrency):
    ties = [event(3, 10 + number, NOON) for number in range(130)]
    sandbox = serve([*traffic(), *ties], max_offset=60)
    with pytest.raises(IncompleteExportError) as told:
        export(sandbox, kind, concurrency=concurrency, page_size=10)
    assert kind == "sessions" or (told.value.expected, 120 <= told.value.received < 250) == (250, True)
    assert published(tmp_path) == {}


# ----------------------------------------------------------------------------- what a retry goes on from


@by_kind
@by_concurrency
def test_a_retry_knows_that_answers_are_not_sorted(serve, export, assert_whole, kind, concurrency):
    oldest = [event(0, 10 + number, DAY.start) for number in range(40)]
    sandbox = serve([*traffic(sessions=12), *oldest], order="asc", total="absent")
    for at in range(2, 30, 4):
        to = f"out-{at}"
        sandbox.fault_at = {len(sandbox.requests) + at: Fault.answer(503)}
        try:
            manifest = export(sandbox, kind, to, retries=0, concurrency=concurrency, page_size=20)
        except HoneyHiveServerError:
            manifest = export(sandbox, kind, to, concurrency=concurrency, page_size=20)
        assert_whole(manifest, sandbox, to)


@by_concurrency
@pytest.mark.parametrize("last", [50, 40, 20, 4])
def test_a_session_whose_root_changes_between_attempts_is_exported_once(serve, export, tmp_path, concurrency, last):
    # Their roots have ids of their own, so that the earliest event of type "session" is the root.
    events = [{**each, "event_id": f"{each['event_id']}-row"} for each in traffic(sessions=60, each=4)]
    step = (DAY.end - DAY.start) / 61
    # Once the root of session 1 has gone, this one is: among the newest, which are read first.
    events.append({**event(1, 0, DAY.start + 59 * step), "event_id": "later-root"})
    sandbox = serve(events)

    def interrupt(request: LoggedRequest) -> None:
        if f"session-{last:03}" in str(request.body):
            sandbox.on_request = None
            sandbox.faults.append(Fault.answer(503))

    sandbox.on_request = interrupt
    with pytest.raises(HoneyHiveServerError):
        export(sandbox, "sessions", retries=0, concurrency=concurrency)
    sandbox.delete(["session-001-row"])
    throughout = held(sandbox)
    # This one makes session 58, which was read first, one of the oldest.
    sandbox.add([{**event(58, 0, DAY.start + step / 2), "event_id": "earlier-root"}])
    export(sandbox, "sessions", concurrency=concurrency)
    rows = Counter(lines(tmp_path / "out"))
    assert [row for row, count in rows.items() if count > 1] == []
    assert [row for row in throughout if row not in rows] == []


# ---------------------------------------------------------------------------- totals that cannot be one


@by_kind
@by_concurrency
def test_a_total_that_ignores_the_window_is_told_with_its_remedy(
    serve, export, assert_whole, tmp_path, kind, concurrency
):
    older = [event(200 + number, 0, DAY.start - number * MILLISECOND) for number in range(1, 31)]
    sandbox = serve([*traffic(), *older], total="all")
    with pytest.raises(IncompleteExportError, match="trust_total=False") as told:
        export(sandbox, kind, concurrency=concurrency, page_size=10)
    assert kind == "sessions" or (told.value.expected, told.value.received) == (150, 120)
    assert published(tmp_path) == {}
    manifest = export(sandbox, kind, concurrency=concurrency, page_size=10, trust_total=False)
    assert_whole(manifest, sandbox)
    assert manifest.total_trusted is False


@by_kind
@by_concurrency
def test_a_total_that_changes_from_answer_to_answer_is_not_for_ever(
    serve, export, assert_whole, whole_or_told, kind, concurrency
):
    sandbox = serve(traffic(), total="random")
    told = whole_or_told(sandbox, kind, concurrency=concurrency, page_size=10)
    assert told is None or "trust_total=False" in str(told)
    manifest = export(sandbox, kind, concurrency=concurrency, page_size=10, trust_total=False)
    assert_whole(manifest, sandbox)


@by_kind
@by_concurrency
def test_a_total_that_ends_at_a_number_is_in_nobodys_way(serve, export, assert_whole, kind, concurrency):
    sandbox = serve(traffic(), total_cap=40)
    manifest = export(sandbox, kind, concurrency=concurrency, page_size=10)
    assert_whole(manifest, sandbox)
    assert manifest.total_trusted is True


# ----------------------------------------------------------------------------------------------- costs


def large(number: int, size: int, time: datetime, **more: Any) -> StoredEvent:
    """Return an event of so many bytes, without a copy more than that."""
    head = dump_json(event(number, 0, time) | more)
    return StoredEvent(head[:-1] + b',"pad":"' + b"x" * size + b'"}', f"{number}", int(time.timestamp() * 1e6))


@by_concurrency
def test_events_of_nine_megabytes_cost_few_requests_and_bytes(serve, export, concurrency):
    size, count = 9_000_000, 10
    sandbox = serve([large(number, size, NOON + number * timedelta(minutes=1)) for number in range(count)])
    manifest = export(sandbox, concurrency=concurrency)
    assert manifest.event_count == count
    assert len(sandbox.requests) <= 3 * count
    assert manifest.bytes_read <= 3 * count * size


@by_concurrency
def test_large_sessions_take_one_request_each_where_the_total_proves_it(serve, export, concurrency):
    size, count = 400_000, 12
    sandbox = serve(
        [
            large(100 * number + place, size, NOON + number * timedelta(minutes=1), **facts)
            for number in range(count)
            for place in range(4)
            for facts in [{"session_id": f"s-{number}", "event_id": f"s-{number}" + f"-{place}" * (place > 0)}]
            for facts in [facts | {"event_type": "model" if place else "session"}]
        ]
    )
    manifest = export(sandbox, "sessions", concurrency=concurrency)
    assert (manifest.event_count, manifest.session_count) == (4 * count, count)
    assert len(sandbox.requests) <= count + 10
    assert manifest.bytes_read <= 1.5 * 4 * count * size


@pytest.mark.parametrize("cut_off", [timedelta(0), MILLISECOND], ids=["whole seconds", "milliseconds"])
@pytest.mark.parametrize("on_the_end", [1, 2])
def test_events_on_the_end_of_the_window_are_counted_off_by_few_requests(serve, client_of, cut_off, on_the_end):
    window = Window(DAY.start, DAY.end - cut_off)
    step = (window.end_us - window.start_us) // 50_000 // 1000 * 1000
    times = [window.start_us + number * step for number in range(50_000)] + [window.end_us] * on_the_end
    sandbox = serve(
        [
            StoredEvent(b'{"event_id":"%d","start_time":%d}' % (number, time // 1000), str(number), time)
            for number, time in enumerate(times)
        ]
    )
    client, request = client_of(sandbox), ExportRequest(project="demo", window=window)
    assert count_events(client, request) == 50_000
    assert len(sandbox.requests) <= 3
    count, newest = count_and_newest(client, request)
    assert (count, newest) == (50_000, window.start + timedelta(microseconds=49_999 * step))
    assert len(sandbox.requests) <= 6
