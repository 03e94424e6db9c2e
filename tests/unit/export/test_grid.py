"""The lines along which a window may be cut depend on the window and its number of events alone."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_honeyhive.export.slice_queue import CELLS_OF_UNKNOWN, MOST_CELLS, Grid
from airflow_provider_honeyhive.models.window import MILLISECOND_US, SECOND_US, Window, from_micros

START = 1_700_000_000 * SECOND_US

windows = st.builds(
    lambda start, length: Window(from_micros(START + start), from_micros(START + start + length)),
    st.integers(0, 3 * SECOND_US),
    st.one_of(st.integers(1, 10 * SECOND_US), st.integers(SECOND_US, 10**6 * SECOND_US)),
)
totals = st.one_of(st.none(), st.integers(0, 10**7))


@given(window=windows, total=totals, parts=st.integers(1, 64))
def test_a_split_window_is_covered_newest_first_along_lines(window, total, parts):
    grid = Grid.over(window, total)
    ranges = grid.split(window, parts)
    assert 1 <= len(ranges) <= parts
    assert ranges[0][1] == window.end_us
    assert ranges[-1][0] == window.start_us
    assert all(newer[0] == older[1] for newer, older in pairwise(ranges))
    assert all(start < end for start, end in ranges)
    assert all((start - grid.origin_us) % grid.width_us == 0 for start, _ in ranges[:-1])


@given(window=windows, total=totals, share=st.floats(0, 1))
def test_a_line_lies_inside_and_as_near_as_any(window, total, share):
    grid = Grid.over(window, total)
    low, high = window.start_us, window.end_us
    time = low + int((high - low) * share)
    line = grid.line_near(time, low, high)
    if line is None:
        assert grid.cell(low) == grid.cell(high - 1)
        return
    assert low < line < high
    assert grid.cell(line) == grid.cell(line - 1) + 1
    others = [line - grid.width_us, line + grid.width_us]
    assert all(abs(line - time) <= abs(other - time) for other in others if low < other < high)


@given(window=windows, total=totals)
def test_lines_are_times_that_the_wire_can_say(window, total):
    grid = Grid.over(window, total)
    unit = SECOND_US if grid.width_us >= SECOND_US else MILLISECOND_US
    assert grid.width_us % unit == grid.origin_us % unit == 0


@pytest.mark.parametrize(
    ("total", "cells"),
    [(0, 1), (50, 1), (100, 1), (800, 8), (801, 8), (901, 16), (10**9, MOST_CELLS), (None, CELLS_OF_UNKNOWN)],
)
def test_the_more_events_the_more_cells(total, cells):
    window = Window(from_micros(START), from_micros(START + 86_400 * SECOND_US))
    assert Grid.over(window, total).width_us == -(-86_400 // cells) * SECOND_US


def test_all_of_time_has_one_cell():
    grid = Grid.over(None, 10**6)
    assert grid.cell(0) == grid.cell(10**17) == 0
