"""How many events are asked for at once."""

from __future__ import annotations

import pytest

from airflow_provider_honeyhive.reading.page_size import (
    LARGE_EVENTS,
    LARGE_EVENTS_BESIDE_UPLOADS,
    LEAST_TARGET_BYTES,
    STRETCH,
    TARGET_BYTES,
    TOGETHER_BYTES,
    PageSizer,
)

MOST = 7_500


def sizer(
    event_bytes: int, readers: int = 4, page_size: int | None = None, *, beside_uploads: bool = False
) -> PageSizer:
    """Return one that has seen enough answers to know the size of events."""
    one = PageSizer(page_size, readers)
    if beside_uploads:
        one.leave_memory()
    for _ in range(4):
        one.learn(one.limit, one.limit * event_bytes, MOST)
    return one


@pytest.mark.parametrize(
    ("event_bytes", "readers", "limit"),
    [
        (4_000, 1, TARGET_BYTES // 4_000),
        (4_000, 4, TOGETHER_BYTES // 4 // 4_000),
        (100, 4, MOST),
        # Ten would do, but each answer repeats one event.
        (1_000_000, 4, LARGE_EVENTS),
        (3_000_000, 4, TARGET_BYTES // 3_000_000),
        (100_000_000, 4, 1),
    ],
)
def test_pages_follow_bytes(event_bytes, readers, limit):
    assert sizer(event_bytes, readers).limit == limit


@pytest.mark.parametrize(
    ("event_bytes", "limit"), [(4_000, LEAST_TARGET_BYTES // 4_000), (1_000_000, LARGE_EVENTS_BESIDE_UPLOADS)]
)
def test_pages_are_smaller_beside_uploads(event_bytes, limit):
    assert sizer(event_bytes, 8, beside_uploads=True).limit == limit < sizer(event_bytes, 8).limit


@pytest.mark.parametrize("pages", [1.1, 1.25, 3.4, 4.9, 17.99])
def test_pages_become_a_little_longer_so_that_no_small_rest_needs_one_of_its_own(pages):
    one = sizer(4_000)
    left, asked = int(pages * one.limit), 0
    while left > 0:
        limit = one.limit_for(left)
        assert limit <= one.limit * STRETCH
        left -= limit
        asked += 1
    assert asked == (int(pages) if pages / int(pages) <= STRETCH else int(pages) + 1)


@pytest.mark.parametrize("pages", [0.0, 0.5, 1.0, 1.3, 1.9, 2.0, 2.6])
def test_pages_keep_their_size_where_that_spares_none(pages):
    one = sizer(4_000)
    assert one.limit_for(pages * one.limit) == one.limit


def test_no_page_is_longer_than_the_user_said():
    one = sizer(4_000, page_size=100)
    assert one.limit_for(110) == one.limit == 100
