"""However slices are cut while they are read, every event comes out once."""

from __future__ import annotations

import random
import threading

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from airflow_provider_honeyhive.export.slice_queue import Grid, Slice, SliceQueue
from airflow_provider_honeyhive.models.request import ExportRequest
from airflow_provider_honeyhive.models.window import SECOND_US
from airflow_provider_honeyhive.reading.cursor import ReadAgainError
from airflow_provider_honeyhive.reading.fetcher import RangeFetcher, ReadStats
from airflow_provider_honeyhive.reading.slice_reader import READ_ATTEMPTS, SliceReader
from tests.unit.model_server import ModelClient, Oddities
from tests.unit.reading.test_slice_reader_properties import BASE, SPAN, WINDOW, assert_whole, event_sets, thorough


class Reading:
    """One slice being read, an answer at a time."""

    def __init__(self, fetcher: RangeFetcher, start: int, end: int) -> None:
        self.fetcher, self.end = fetcher, end
        self.reader = SliceReader(fetcher, start, end)
        self.got: list[str] = []
        self.readings = 1
        self._batches = self.reader.read()

    def step(self) -> bool:
        """Take one answer; return whether there may be more."""
        try:
            batch = next(self._batches, None)
        except ReadAgainError as error:
            if self.readings == READ_ATTEMPTS:
                raise error.incomplete from error
            self.readings += 1
            self.reader.start_over()
            self.got = []
            self._batches = self.reader.read()
            return True
        self.got += [] if batch is None else [raw.decode() for raw in batch.raw_events]
        return batch is not None

    def cut(self, time: int) -> Reading | None:
        start = self.reader.state.start
        if self.reader.state.give_away_below(time) is None:
            return None
        return Reading(self.fetcher, start, time)


@thorough
@given(
    events=st.sampled_from([1, 1_000, SECOND_US]).flatmap(lambda step: event_sets(step, 80)),
    page_size=st.sampled_from([1, 2, 5, 10]),
    order=st.sampled_from(["desc", "ties_random"]),
    total=st.sampled_from(["total", "absent", "page"]),
    bounds=st.sampled_from([{}, {"truncate_bounds": True}, {"exclusive_end": True}]),
    inserts=st.integers(0, 1),
    unit=st.sampled_from([1, 1_000, SECOND_US]),
    seed=st.integers(0, 1000),
)
def test_slices_cut_at_any_time_by_any_number_of_readers_lose_and_double_nothing(
    events, page_size, order, total, bounds, inserts, unit, seed
):
    assume(order == "desc" or page_size > 1)
    # With one new event for each answer of one event there is no end.
    assume(not inserts or (order == "desc" and page_size >= 5))
    client = ModelClient(dict(events), Oddities(order=order, total=total, inserts=inserts, **bounds), seed, WINDOW)
    fetcher = RangeFetcher(client, ExportRequest(), ReadStats(), page_size)  # type: ignore[arg-type]
    chance = random.Random(seed)
    going_on = [Reading(fetcher, BASE, BASE + SPAN)]
    everyone = list(going_on)
    while going_on:
        one = chance.choice(going_on)
        if chance.random() < 0.3 and len(everyone) < 8:
            piece = one.cut((BASE + chance.randrange(SPAN)) // unit * unit)
            if piece is not None:
                everyone.append(piece)
                going_on.append(piece)
        elif not one.step():
            going_on.remove(one)
    for one in everyone:
        assert all(
            one.reader.state.start <= time < one.end for time in (everything_of(client, events)[id_] for id_ in one.got)
        )
    assert_whole(client, events, [id_ for one in everyone for id_ in one.got])


def everything_of(client: ModelClient, before: dict[str, int | None]) -> dict[str, int]:
    return {**before, **client.events}  # type: ignore[dict-item]


def test_what_is_left_of_a_slice_is_guessed_by_the_total_of_what_is_left():
    # One event a second; after the first answer the lower half goes to nobody.
    client = ModelClient({f"event-{second}": BASE + second * SECOND_US for second in range(20)})
    one = Reading(RangeFetcher(client, ExportRequest(), ReadStats(), 5), BASE, BASE + SPAN)  # type: ignore[arg-type]
    one.step()
    assert one.reader.state.give_away_below(BASE + SPAN // 2) is not None
    while one.step():
        pass
    assert len(one.got) == 10
    assert one.reader.state.events_left == 0


class FakeReader:
    """A reader that says how much it has left."""

    def __init__(self, start: int, end: int, events_left: float) -> None:
        self.state = self
        self.start, self.end, self.events_left = start, end, events_left

    @property
    def unread(self) -> tuple[int, int]:
        return self.start, self.end


def slice_of(number: int, start: int, end: int, events_left: float) -> Slice:
    return Slice(number, end, FakeReader(start, end, events_left))  # type: ignore[arg-type]


@pytest.fixture
def never() -> threading.Event:
    return threading.Event()


@pytest.mark.parametrize(
    ("left", "pages"),
    [(2 * 20, 1), (3 * 20, 1), (3 * 20 + 1, 2), (4 * 20, 2), (5 * 20, 2), (5 * 20 + 1, 3), (1_000, 25)],
)
def test_of_the_largest_rest_half_of_the_pages_are_given_away_as_whole_ones(never, left, pages):
    cuts = []

    def cut(busy: Slice, time: int) -> Slice:
        cuts.append((busy.number, time))
        return slice_of(9, busy.reader.state.start, time, 10)

    share = SliceQueue([slice_of(0, 500_000, 900_000, 30), slice_of(1, 0, 500_000, left)], Grid(0, 1), cut, lambda: 20)
    assert [share.next(never).number for _ in range(3)] == [0, 1, 9]
    ((number, line),) = cuts
    assert number == 1
    # Of events spread evenly, as many as fit in so many pages, and hardly fewer.
    assert pages - 0.05 * pages < line / 500_000 * left / 20 < pages
    assert [piece.number for piece in share.slices] == [0, 1, 9]


def test_what_is_not_worth_it_is_not_cut_and_the_end_is_told(never):
    share = SliceQueue([slice_of(0, 0, 500, 39)], Grid(0, 10), lambda *_: pytest.fail("cut"), lambda: 20)
    piece = share.next(never)
    thread = threading.Timer(0.05, share.finished, [piece])
    thread.start()
    assert share.next(never) is None
    thread.join()


def test_a_slice_without_a_line_in_it_is_not_cut(never):
    share = SliceQueue([slice_of(0, 0, 500, 100)], Grid(0, 1_000), lambda *_: pytest.fail("cut"), lambda: 20)
    piece = share.next(never)
    threading.Timer(0.05, share.finished, [piece]).start()
    assert share.next(never) is None


def test_whoever_waits_for_work_ends_when_all_is_over(never):
    share = SliceQueue([slice_of(0, 0, 500, 10)], Grid(0, 10), lambda *_: None, lambda: 20)
    share.next(never)
    threading.Timer(0.05, never.set).start()
    assert share.next(never) is None
