"""The parts of a window cover it exactly whatever the server says, and evenly where it says the truth."""

from __future__ import annotations

import logging
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.models.request import ExportRequest
from airflow_provider_honeyhive.models.window import MILLISECOND_US, SECOND_US, Window, from_micros
from airflow_provider_honeyhive.reading import sharding
from airflow_provider_honeyhive.reading.sharding import TOLERANCE, Split, split_by_counts
from airflow_provider_honeyhive.sandbox import Behaviour, Fault
from tests.unit.export.test_exporter import DAY, DEMO, GENERATED, event_at
from tests.unit.model_server import ModelClient, Oddities
from tests.unit.ways import asking, by_every_way

from .test_slice_reader_properties import BASE, thorough

#: Events at these shares of the day: evenly, most of them in the evening, most of them in one minute.
EVEN = [number / 4_000 for number in range(4_000)]
EVENING = [number / 500 for number in range(500)] + [0.8 + number / 40_000 for number in range(3_500)]
BURST = [number / 100 for number in range(100)] + [0.4 + number / 3_900 / 1_440 for number in range(3_900)]


def events_at(shares: list[float], window: Window = DAY) -> dict[str, int | None]:
    length = window.end_us - window.start_us
    return {f"e{n}": (window.start_us + int(share * length)) // 1000 * 1000 for n, share in enumerate(shares)}


def split(client: ModelClient, parts: int, window: Window = DAY, events_per_part: int | None = None) -> Split:
    return split_by_counts(client, ExportRequest(window=window), parts, events_per_part)  # type: ignore[arg-type]


def counts(client: ModelClient, windows: tuple[Window, ...]) -> list[int]:
    times = [time for time in client.events.values() if time is not None]
    return [sum(part.start_us <= time < part.end_us for time in times) for part in windows]


def assert_tiles(windows: tuple[Window, ...], whole: Window, parts: int) -> None:
    assert 1 <= len(windows) <= parts
    assert (windows[0].start, windows[-1].end) == (whole.start, whole.end)
    assert all(earlier.end == later.start for earlier, later in pairwise(windows))
    assert all(part.start < part.end for part in windows)


@st.composite
def cases(draw: st.DrawFn) -> tuple[ModelClient, Window, int]:
    """A server, a window of any length and place, and a number of parts."""
    start = BASE + draw(st.integers(-SECOND_US, SECOND_US))
    window = Window(from_micros(start), from_micros(start + draw(st.integers(1, 40 * SECOND_US))))
    unit = draw(st.sampled_from([1, MILLISECOND_US, SECOND_US]))
    anywhere = st.integers((window.start_us - SECOND_US) // unit, (window.end_us + SECOND_US) // unit)
    crowded = st.sampled_from(
        [window.start_us // unit, window.end_us // unit, (window.start_us + 5 * SECOND_US) // unit]
    )
    times = draw(st.lists(st.one_of(anywhere, crowded).map(lambda value: value * unit), max_size=60))
    oddities = Oddities(
        total=draw(st.sampled_from(["total", "page", "absent", "low"])),
        truncate_bounds=draw(st.booleans()),
        exclusive_end=draw(st.booleans()),
        ignore_date_range=draw(st.booleans()),
        order=draw(st.sampled_from(["desc", "asc", "random"])),
        inserts=draw(st.integers(0, 3)),
        deletes=draw(st.integers(0, 3)),
    )
    events = {f"e{number}": time for number, time in enumerate(times)}
    client = ModelClient(events, oddities, seed=draw(st.integers(0, 5)), span=(window.start_us, window.end_us))
    return client, window, draw(st.integers(1, 20))


@thorough
@given(cases())
def test_the_parts_cover_the_window_whatever_the_server_says(case):
    client, window, parts = case
    assert_tiles(split(client, parts, window).windows, window, parts)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 40_000), max_size=200), st.integers(1, 12))
def test_no_part_of_a_truthful_server_is_without_events(offsets, parts):
    window = Window(from_micros(BASE), from_micros(BASE + 40 * SECOND_US))
    events = {f"e{number}": BASE + offset * MILLISECOND_US for number, offset in enumerate(offsets)}
    client = ModelClient({id_: time for id_, time in events.items() if time < window.end_us})

    made = split(client, parts, window)

    assert_tiles(made.windows, window, parts)
    if len(client.events) != 1:
        assert made.total == len(client.events)
    assert all(counts(client, made.windows)) or len(made.windows) == 1


@pytest.mark.parametrize("shares", [EVEN, EVENING, BURST], ids=["even", "evening", "burst"])
@pytest.mark.parametrize("parts", [2, 3, 8, 16])
def test_the_parts_hold_about_as_many_events_each_wherever_they_lie(shares, parts):
    client = ModelClient(events_at(shares))

    made = split(client, parts)

    assert_tiles(made.windows, DAY, parts)
    assert made.total == 4_000
    wanted = 4_000 / parts
    assert all(abs(count - wanted) <= 2 * TOLERANCE * wanted + 1 for count in counts(client, made.windows))


@pytest.mark.parametrize(
    ("shares", "most"), [(EVEN, 40), (EVENING, 60), (BURST, 110)], ids=["even", "evening", "burst"]
)
def test_few_questions_are_asked_each_for_one_event_or_two(shares, most):
    client = ModelClient(events_at(shares))
    split(client, 32)
    assert len(client.requests) <= most
    assert {limit for _, _, limit in client.requests} <= {1, 2}


def test_after_many_questions_what_is_known_must_do(monkeypatch):
    monkeypatch.setattr(sharding, "QUESTIONS_FOR_A_PART", 2)
    client = ModelClient(events_at(BURST))
    assert_tiles(split(client, 8).windows, DAY, 8)
    assert len(client.requests) <= 8 * 2 + 1


def test_events_of_one_millisecond_are_one_part():
    client = ModelClient(dict.fromkeys((f"e{n}" for n in range(2_000)), DAY.start_us + 12_345_678_000))
    assert split(client, 8) == Split((DAY,), 2_000)


def test_bounds_lie_on_whole_seconds_where_that_is_fine_enough():
    windows = split(ModelClient(events_at(EVENING)), 8).windows
    assert all(part.start_us % SECOND_US == 0 for part in windows)


def test_bounds_lie_on_milliseconds_within_a_second_that_holds_too_much():
    noon = DAY.start_us + 43_200 * SECOND_US
    client = ModelClient({f"e{n}": noon + n // 4 * MILLISECOND_US for n in range(4_000)})

    windows = split(client, 4).windows

    assert all(900 <= count <= 1_100 for count in counts(client, windows))
    assert all(part.start_us % MILLISECOND_US == 0 for part in windows)
    assert all(noon < part.start_us < noon + SECOND_US for part in windows[1:])


def test_a_millisecond_that_holds_most_is_a_part_of_its_own():
    noon = DAY.start_us + 43_200 * SECOND_US
    events = events_at([number / 1_000 for number in range(1_000)])
    client = ModelClient(events | {f"noon{number}": noon for number in range(9_000)})

    windows = split(client, 5).windows

    assert_tiles(windows, DAY, 3)
    assert any(part.start_us <= noon < part.end_us for part in windows)


def test_no_events_are_one_part():
    client = ModelClient({})
    assert split(client, 8) == Split((DAY,), 0)
    assert len(client.requests) == 1


def test_one_event_is_one_part():
    assert split(ModelClient(events_at([0.5])), 8) == Split((DAY,), 1)


def test_one_part_is_the_whole_window_and_its_total():
    client = ModelClient(events_at(EVEN))
    assert split(client, 1) == Split((DAY,), 4_000)
    assert len(client.requests) == 1


@pytest.mark.parametrize(("events_per_part", "parts"), [(1_000, 4), (999, 5), (100, 6), (4_000, 1), (10**6, 1)])
def test_there_are_no_more_parts_than_events_per_part_asks_for(events_per_part, parts):
    assert len(split(ModelClient(events_at(EVEN)), 6, events_per_part=events_per_part).windows) == parts


def test_events_outside_the_window_do_not_count():
    outside = {f"o{n}": time for n, time in enumerate([DAY.start_us - 1000, DAY.end_us, DAY.end_us + 1000] * 500)}
    client = ModelClient(events_at(EVEN) | outside)
    made = split(client, 4)
    assert made.total == 4_000
    assert all(950 <= count <= 1_050 for count in counts(client, made.windows))


@pytest.mark.parametrize("total", ["absent", "page"])
def test_without_a_usable_total_the_window_is_split_by_time_and_the_log_says_so(total, caplog):
    client = ModelClient(events_at(BURST), Oddities(total=total))
    with caplog.at_level(logging.WARNING):
        made = split(client, 4)
    assert made == Split(DAY.split(4), None)
    assert "no usable total" in caplog.text


def test_a_number_that_is_the_same_for_every_question_is_no_total(sandbox_with, client_of, caplog):
    sandbox = sandbox_with(behaviour=Behaviour(total="wrong", wrong_total=12_345), **GENERATED)
    with caplog.at_level(logging.WARNING):
        made = split_by_counts(client_of(sandbox), DEMO, 4)
    assert made == Split(DAY.split(4), None)
    assert "do not add up" in caplog.text


@by_every_way
@pytest.mark.parametrize(
    "odd", [{}, {"truncate_bounds": "second"}, {"exclusive_end": True}, {"ignore_date_range": True}]
)
def test_every_dialect_is_split_evenly(sandbox_with, client_of, generation, endpoint, odd):
    behaviour = Behaviour(generation=generation, endpoints=frozenset([endpoint]), **odd)
    sandbox = sandbox_with(count=4_000, behaviour=behaviour, **GENERATED)
    settings, request = asking(sandbox, endpoint, DEMO)

    made = split_by_counts(client_of(sandbox, **settings), request, 4)

    assert_tiles(made.windows, DAY, 4)
    found = [len(sandbox.event_ids(part.start, part.end)) for part in made.windows]
    assert sum(found) == 4_000
    assert all(900 <= count <= 1_100 for count in found)


def test_only_what_the_request_asks_for_counts(sandbox_with, client_of):
    morning = [event_at(DAY.start_us // 1000 + n, n, event_type="tool") for n in range(500)]
    noon = DAY.start_us // 1000 + 43_200_000
    later = [event_at(noon + n * 1000, 1000 + n, event_type="model") for n in range(1_000)]
    request = ExportRequest.parse(
        project="demo", window=DAY, filters=[{"field": "event_type", "operator": "is", "value": "model"}]
    )

    made = split_by_counts(client_of(sandbox_with([*morning, *later])), request, 2)

    assert made.total == 1_000
    assert abs(made.windows[0].end_us // 1000 - noon - 500_000) <= 50_000


def test_a_passing_fault_is_sent_again(sandbox_with, client_of):
    sandbox = sandbox_with(count=2_000, **GENERATED)
    sandbox.fault_at[3] = Fault.answer(503)
    assert len(split_by_counts(client_of(sandbox), DEMO, 4).windows) == 4


@pytest.mark.parametrize(
    ("arguments", "name"),
    [({"parts": 0}, "parts"), ({"parts": 1_025}, "parts"), ({"parts": 2, "events_per_part": 0}, "events_per_part")],
)
def test_numbers_out_of_range_are_refused_before_any_question(arguments, name):
    client = ModelClient({})
    with pytest.raises(InvalidArgumentError, match=name):
        split_by_counts(client, ExportRequest(window=DAY), **arguments)
    assert client.requests == []


def test_all_of_time_cannot_be_split():
    with pytest.raises(InvalidArgumentError, match="window"):
        split_by_counts(ModelClient({}), ExportRequest(), 2)
