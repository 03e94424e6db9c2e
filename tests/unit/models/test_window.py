"""Points and spans of time."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.models.window import (
    EARLIEST,
    LATEST,
    SECOND_US,
    Window,
    event_micros,
    format_time,
    from_micros,
    parse_bound,
    parse_time,
    to_micros,
    wire_time,
)

DAY = Window(datetime(2026, 11, 22, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC))
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
micros = st.integers(0, 4_000_000_000 * SECOND_US)


@given(micros)
def test_a_time_survives_the_way_through_text(value):
    assert to_micros(from_micros(value).isoformat()) == value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1711000000000, 1711000000000000),
        (1711000000000.001, 1711000000000001),
        (1711000000000.25, 1711000000000250),
        (1711000000, 1711000000000000),
        (1711000000000000, 1711000000000000),
        (1711000000000000999, 1711000000000000),
        ("1711000000000", 1711000000000000),
        ("2024-04-01 22:38:19", 1712011099000000),
        ("2024-04-01T22:38:19.123456789Z", 1712011099123456),
        ("20240401", 1711929600000000),
        (None, None),
        (True, None),
        ({}, None),
        ("yesterday", None),
        ("2024-04-01 22:38:19 UTC", 1712011099000000),
        ("2024-04-01 22:38:19.5 +00:00", 1712011099500000),
        ("2024-04-01 22:38 +0200", 1712003880000000),
        ("2024-04-01 22:38:19.123456789 +0000 UTC", 1712011099123456),
        ("2024-04-01T22:38:19Z UTC", None),
        ("2024-04-01 UTC", None),
        ("2024-04-01 -05:00", None),
        ("0001-01-01T00:00:00+02:00", None),
        ("9999-12-31T23:59:59-02:00", None),
        (10**25, None),
        (-99_999_999_999, None),
        ("-99999999999.5", None),
        (-62_135_596_800, -62_135_596_800 * SECOND_US),
    ],
)
def test_every_form_of_time_is_read_to_the_microsecond_towards_the_past(value, expected):
    assert to_micros(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0),
        (86_400_000, 86_400 * SECOND_US),
        ("86400000.5", 86_400 * SECOND_US + 500),
        (31_536_000_000, 31_536_000 * SECOND_US),
        (-86_400_000, -86_400 * SECOND_US),
        (-62_135_596_800_000, -62_135_596_800 * SECOND_US),
        (-62_135_596_800_001, None),
        (1711000000000, 1711000000000000),
        (1711000000000000, 1711000000000000),
        (1711000000000000999, 1711000000000000),
        ("20240401", 1711929600000000),
        ("2024-04-01T22:38:19Z", 1712011099000000),
        (True, None),
        (None, None),
    ],
)
def test_small_numbers_are_milliseconds_in_events_and_seconds_nowhere(value, expected):
    assert event_micros(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        NOON,
        NOON.replace(tzinfo=None),
        NOON.astimezone(timezone(timedelta(hours=5, minutes=30))),
        "2026-11-22T12:00:00Z",
        "2026-11-22T13:00:00+01:00",
        "2026-11-22 12:00:00",
        "20261122T120000",
        NOON.timestamp(),
        int(NOON.timestamp()),
        int(NOON.timestamp() * 1000),
        str(int(NOON.timestamp())),
        str(int(NOON.timestamp() * 1000)),
    ],
)
def test_every_form_of_time_becomes_utc(value):
    assert parse_time(value) == NOON
    assert parse_time(value).tzinfo is UTC


def test_pendulum_is_a_form_of_time():
    pendulum = pytest.importorskip("pendulum")
    assert parse_time(pendulum.datetime(2026, 11, 22, 12)) == NOON


@pytest.mark.parametrize(
    "value", ["soon", "", True, None, float("nan"), float("inf"), 1e30, [], "2026-13-01", -99_999_999_999]
)
def test_what_is_no_time_is_refused_by_name(value):
    with pytest.raises(InvalidArgumentError, match=r"start: got .*allowed: a datetime"):
        parse_time(value, "start")


@given(micros, st.integers(1, 10 * 86_400 * SECOND_US), st.integers(1, 64))
def test_slices_cover_the_window_without_gap_or_overlap(start, length, parts):
    window = Window(from_micros(start), from_micros(start + length))
    slices = window.split(parts)
    assert 1 <= len(slices) <= parts
    assert (slices[0].start, slices[-1].end) == (window.start, window.end)
    assert all(earlier.end == later.start for earlier, later in itertools.pairwise(slices))
    assert all(part.start < part.end for part in slices)
    assert all(part.start_us % SECOND_US == 0 for part in slices[1:])


def test_a_window_must_not_be_empty_or_backwards():
    for end in (DAY.start, DAY.start - timedelta(seconds=1)):
        with pytest.raises(InvalidArgumentError, match="end_time.*after start_time"):
            Window.parse(DAY.start, end)


@pytest.mark.parametrize(("year", "text"), [(1, "0001"), (42, "0042"), (999, "0999"), (1970, "1970"), (9999, "9999")])
def test_every_text_of_a_time_has_four_digits_for_the_year(year, text):
    time = datetime(year, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
    assert wire_time(time) == f"{text}-01-02T03:04:05.678Z"
    assert format_time(time) == f"{text}-01-02T03:04:05.678901Z"


@pytest.mark.parametrize(
    ("micros", "text"), [(0, "00.000"), (120_000, "00.120"), (1, "00.000001"), (999_990, "00.999990")]
)
def test_times_have_microseconds_only_where_they_have_some(micros, text):
    assert format_time(from_micros(micros)) == f"1970-01-01T00:00:{text}Z"


@pytest.mark.parametrize(
    "value",
    [
        LATEST.max,
        LATEST.max.replace(tzinfo=UTC),
        LATEST.min,
        LATEST.min.replace(tzinfo=UTC),
        "9999-12-31T23:59:59Z",
        "0001-01-01",
        LATEST + timedelta(microseconds=1),
        EARLIEST - timedelta(microseconds=1),
    ],
)
def test_a_bound_that_no_request_could_be_rounded_to_is_refused_with_those_that_can(value):
    with pytest.raises(InvalidArgumentError, match="when: .*from 0001-01-02T.* to 9999-12-31T00"):
        parse_bound(value, "when")
    with pytest.raises(InvalidArgumentError, match="start_time|end_time"):
        Window.parse(*sorted([value, "2026-01-01"], key=to_micros))


def test_the_first_and_the_last_bound_make_a_window():
    window = Window.parse(EARLIEST, LATEST)
    assert (window.start, window.end) == (EARLIEST, LATEST)


@pytest.mark.parametrize(("start", "end"), [(20261122, 20261123), ("20261122", "20261123"), (20261122.0, 20261123.0)])
def test_eight_digits_are_a_day_as_a_number_and_as_a_text(start, end):
    assert Window.parse(start, end) == DAY


@pytest.mark.parametrize("value", [2026, 202611, "202611", 20261122.5, 202611220600, "202611220600", -5, 946684799])
def test_a_number_that_would_be_a_unix_time_before_2000_is_refused_as_a_date_that_lost_its_form(value):
    with pytest.raises(InvalidArgumentError, match="before the year 2000"):
        parse_bound(value, "start_time")


@pytest.mark.parametrize("value", [20261322, "20261322", 20260230])
def test_eight_digits_that_are_no_day_are_refused(value):
    with pytest.raises(InvalidArgumentError, match="start_time"):
        parse_bound(value, "start_time")


@pytest.mark.parametrize(
    ("value", "text"), [(0, "1970-01-01"), (946684800, "2000-01-01"), (1795305600, "2026-11-22"), ("0", "1970-01-01")]
)
def test_other_numbers_are_unix_times(value, text):
    assert format_time(parse_bound(value, "start_time")).startswith(text)


def test_times_before_2000_can_be_asked_for_as_texts():
    assert format_time(parse_bound("1971-02-03", "start_time")) == "1971-02-03T00:00:00.000Z"
