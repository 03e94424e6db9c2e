"""Who is above whom: any parents at all, and chains as deep as a hostile client makes them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_honeyhive.tables.tree import IN_CYCLE, NOBODY, depths_of, told_below


@st.composite
def forests(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """Draw the number of each event's parent, and whether the event tells something."""
    count = draw(st.integers(0, 12))
    numbers = st.integers(NOBODY, count - 1)
    return draw(st.lists(numbers, min_size=count, max_size=count)), draw(
        st.lists(st.integers(0, 1), min_size=count, max_size=count)
    )


def above(parents: list[int], event: int) -> list[int] | None:
    """Return the events above one, None where that never ends."""
    found: list[int] = []
    while (event := parents[event]) != NOBODY:
        if len(found) > len(parents):
            return None
        found.append(event)
    return found


@given(forests())
def test_any_parents(forest: tuple[list[int], list[int]]) -> None:
    parents, told = forest
    paths = [above(parents, event) for event in range(len(parents))]
    depths = depths_of(parents)
    assert list(depths) == [IN_CYCLE if path is None else len(path) for path in paths]
    below = {event for path, tells in zip(paths, told, strict=True) if tells for event in path or ()}
    assert list(told_below(parents, depths, told)) == [event in below for event in range(len(parents))]


def test_chains_of_any_length() -> None:
    count = 200_000
    for parents in ([NOBODY, *range(count - 1)], [*range(1, count), NOBODY]):
        depths = depths_of(parents)
        assert max(depths) == count - 1
        assert sum(told_below(parents, depths, [1] * count)) == count - 1
    assert set(depths_of([*range(1, count), 0])) == {IN_CYCLE}
