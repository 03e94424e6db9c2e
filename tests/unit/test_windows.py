"""Points and spans of time."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.windows import SECOND_US, Window, from_micros, run_window, to_micros

DAY = Window(datetime(2026, 11, 22, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC))
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
        (10**25, None),
    ],
)
def test_every_form_of_time_is_read_to_the_microsecond_towards_the_past(value, expected):
    assert to_micros(value) == expected


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


def context(**timetable: object) -> dict[str, object]:
    tick = timetable.pop("tick", DAY.end)
    return {
        "data_interval_start": tick,
        "data_interval_end": tick,
        "dag": SimpleNamespace(timetable=SimpleNamespace(**timetable)),
    }


def test_a_data_interval_with_a_length_is_the_window():
    assert run_window({"data_interval_start": DAY.start, "data_interval_end": DAY.end}) == DAY


@pytest.mark.parametrize("names", [("expression", "timezone"), ("_expression", "_timezone")])
def test_a_cron_tick_ends_the_period_of_the_schedule(names):
    assert run_window(context(**dict(zip(names, ("0 0 * * *", "UTC"), strict=True)))) == DAY


def test_a_manual_run_between_ticks_takes_the_last_whole_period():
    assert run_window(context(expression="0 0 * * *", timezone="UTC", tick=DAY.end + timedelta(hours=15))) == DAY


def test_a_delta_schedule_ends_at_the_run():
    window = run_window(context(delta=timedelta(hours=6)))
    assert window == Window(DAY.end - timedelta(hours=6), DAY.end)


@pytest.mark.parametrize(
    ("tick", "start"),
    [
        (datetime(2026, 10, 25, 23, tzinfo=UTC), datetime(2026, 10, 24, 22, tzinfo=UTC)),
        (datetime(2026, 3, 29, 22, tzinfo=UTC), datetime(2026, 3, 28, 23, tzinfo=UTC)),
    ],
)
def test_a_local_day_has_25_or_23_hours_when_clocks_change(tick, start):
    assert run_window(context(expression="0 0 * * *", timezone="Europe/Berlin", tick=tick)) == Window(start, tick)


@pytest.mark.parametrize("run", [{}, {"data_interval_start": DAY.end, "data_interval_end": DAY.end}, context()])
def test_a_run_without_a_window_names_the_remedies(run):
    with pytest.raises(InvalidArgumentError, match=r"start_time and end_time.*CronDataIntervalTimetable"):
        run_window(run)
