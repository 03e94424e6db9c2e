"""Whatever the server does: every event that was there during the whole read comes out, and none twice."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import assume, example, given
from hypothesis import strategies as st

from airflow_provider_honeyhive.exceptions import DateRangeIgnoredError, IncompleteExportError
from airflow_provider_honeyhive.models.request import ExportRequest
from airflow_provider_honeyhive.models.window import SECOND_US
from airflow_provider_honeyhive.reading.cursor import ReadAgainError
from airflow_provider_honeyhive.reading.fetcher import RangeFetcher, ReadStats
from airflow_provider_honeyhive.reading.slice_reader import READ_ATTEMPTS
from airflow_provider_honeyhive.reading.stream import ProvedReader
from tests.unit.model_server import ModelClient, Oddities
from tests.unit.property_settings import thoroughly

BASE = 1_700_000_000 * SECOND_US
SPAN = 20 * SECOND_US
WINDOW = (BASE, BASE + SPAN)
thorough = thoroughly(400)


def times_at(step: int) -> st.SearchStrategy[int]:
    """Times within and around the window, on multiples of ``step`` microseconds, often tied."""
    anywhere = st.integers(-2 * SECOND_US // step, (SPAN + 2 * SECOND_US) // step)
    crowded = st.integers(5 * SECOND_US // step, 5 * SECOND_US // step + 3)
    edges = st.sampled_from([0, -1, 1, SPAN // step, SPAN // step - 1, SPAN // step + 1])
    return st.one_of(anywhere, crowded, edges).map(lambda value: BASE + value * step)


def event_sets(step: int, most: int = 60) -> st.SearchStrategy[dict[str, int | None]]:
    return st.lists(times_at(step), max_size=most).map(
        lambda times: {f"event-{number}": time for number, time in enumerate(times)}
    )


def many_times(seed: int) -> list[int]:
    """Times like those of :func:`times_at`, none twice; drawn here, since hypothesis takes long to draw that many."""
    chance = random.Random(seed)
    notable = [0, -1, 1, SPAN // 1_000, SPAN // 1_000 - 1, SPAN // 1_000 + 1, 5_000, 5_001, 5_002, 5_003]
    anywhere = chance.sample(range(-2_000, SPAN // 1_000 + 2_000), chance.randint(70, 110))
    times = list({*anywhere, *chance.sample(notable, chance.randint(0, len(notable)))})
    chance.shuffle(times)
    return [BASE + time * 1_000 for time in times]


def read(client: ModelClient, page_size: int | None = None) -> list[str]:
    """Read the window as an export does, and return the ids in the order they came."""
    reader = ProvedReader(RangeFetcher(client, ExportRequest(), ReadStats(), page_size), BASE, BASE + SPAN)  # type: ignore[arg-type]
    for _ in range(READ_ATTEMPTS):
        try:
            return [raw.decode() for batch in reader.read() for raw in batch.raw_events]
        except ReadAgainError as error:
            incomplete = error.incomplete
            reader.start_over()
    raise incomplete


def assert_whole(client: ModelClient, before: dict[str, int | None], got: list[str]) -> None:
    everything = {**before, **client.events}
    assert len(got) == len(set(got)), "an event came twice"
    wanted = {id_ for id_ in client.existed_throughout if BASE <= everything[id_] < BASE + SPAN}  # type: ignore[operator]
    assert wanted <= set(got), f"lost {sorted(wanted - set(got))[:5]}"


@thorough
@given(
    events=st.sampled_from([1, 100, 1_000, SECOND_US]).flatmap(event_sets),
    page_size=st.sampled_from([1, 2, 3, 5, 10, 100]),
    cap=st.sampled_from([None, 2, 3, 7]),
    order=st.sampled_from(["desc", "ties_random"]),
    total=st.sampled_from(["total", "page", "absent", "low"]),
    past_end=st.sampled_from(["empty", "repeat", "error"]),
    bounds=st.sampled_from([{}, {"truncate_bounds": True}, {"exclusive_end": True}]),
    seed=st.integers(0, 1000),
)
def test_a_quiet_server_is_read_exactly(events, page_size, cap, order, total, past_end, bounds, seed):
    # One event at a time, in changing order, without a total: nothing can tell when all were seen.
    assume(order == "desc" or page_size > 1)
    oddities = Oddities(cap=cap, order=order, total=total, past_end=past_end, **bounds)
    client = ModelClient(dict(events), oddities, seed)
    try:
        got = read(client, page_size)
    except IncompleteExportError:
        # Nor where more of them share a time than a page has: that it is refused is right.
        assert order == "ties_random"
        assert total != "total"
        assert max(Counter(events.values()).values()) > min(page_size, cap or page_size)
        return
    assert_whole(client, events, got)
    assert all(BASE <= events[id_] < BASE + SPAN for id_ in got)


@thorough
@given(
    events=st.sampled_from([1_000, SECOND_US]).flatmap(lambda step: event_sets(step, 80)),
    page_size=st.sampled_from([5, 10, 50]),
    cap=st.sampled_from([None, 7, 20]),
    order=st.sampled_from(["desc", "ties_random"]),
    total=st.sampled_from(["total", "absent"]),
    inserts=st.integers(0, 1),
    seed=st.integers(0, 1000),
)
def test_late_events_neither_lose_nor_repeat_any(events, page_size, cap, order, total, inserts, seed):
    client = ModelClient(dict(events), Oddities(cap=cap, order=order, total=total, inserts=inserts), seed, WINDOW)
    assert_whole(client, events, read(client, page_size))


@thorough
@given(
    times=st.integers(0, 2**32).map(many_times),
    page_size=st.sampled_from([10, 50]),
    total=st.sampled_from(["total", "absent"]),
    deletes=st.integers(0, 2),
    inserts=st.integers(0, 2),
    seed=st.integers(0, 1000),
)
# A row of the first page goes when the second one is asked for, and the only row there moves to the first.
@example(times=many_times(118), page_size=10, total="total", deletes=1, inserts=2, seed=163)
def test_deletions_lose_no_other_event(times, page_size, total, deletes, inserts, seed):
    events = {f"event-{number}": time for number, time in enumerate(times)}
    client = ModelClient(dict(events), Oddities(total=total, deletes=deletes, inserts=inserts), seed, WINDOW)
    try:
        got = read(client, page_size)
    except IncompleteExportError:
        # One deleted before it was read and one new where all was read look like one lost.
        assert deletes
        assert inserts
    else:
        assert_whole(client, events, got)


@thorough
@given(
    events=st.sampled_from([1_000, SECOND_US]).flatmap(event_sets),
    page_size=st.sampled_from([5, 10, 100]),
    cap=st.sampled_from([None, 5, 7]),
    order=st.sampled_from(["asc", "random"]),
    total=st.sampled_from(["total", "page"]),
    seed=st.integers(0, 1000),
)
def test_unsorted_answers_are_read_exactly(events, page_size, cap, order, total, seed):
    assume(total == "total" or cap is None)
    client = ModelClient(dict(events), Oddities(cap=cap, order=order, total=total), seed)
    assert_whole(client, events, read(client, page_size))


@thorough
@given(
    events=event_sets(1_000),
    page_size=st.sampled_from([2, 5, 100]),
    ignores_filters=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_a_server_that_ignores_date_range_is_read_by_filters_or_refused(events, page_size, ignores_filters, seed):
    oddities = Oddities(ignore_date_range=True, ignore_time_filters=ignores_filters)
    client = ModelClient(dict(events), oddities, seed)
    try:
        got = read(client, page_size)
    except DateRangeIgnoredError:
        assert ignores_filters
        return
    assert_whole(client, events, got)


def test_thousands_of_events_in_one_millisecond_in_changing_order():
    events = {f"event-{number}": BASE + SECOND_US for number in range(5_000)}
    events |= {f"later-{number}": BASE + SECOND_US + number * 1_000 for number in range(1, 500)}
    client = ModelClient(dict(events), Oddities(order="ties_random", total="absent"))
    assert sorted(read(client)) == sorted(events)


def test_reading_takes_one_request_a_page_and_one_more():
    events = {f"event-{number}": BASE + number * 1_000 for number in range(20_000)}
    client = ModelClient(dict(events))
    assert len(read(client, page_size=1_000)) == 20_000
    assert len(client.requests) <= 20 * 1.1 + 1
