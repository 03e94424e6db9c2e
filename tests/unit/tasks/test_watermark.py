"""Runs that continue each other: none of their windows overlap, none leaves a gap, each keeps its own."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_honeyhive.exceptions import DestinationTakenError, InvalidArgumentError
from airflow_provider_honeyhive.models.window import Window
from airflow_provider_honeyhive.tasks.state import FileState
from airflow_provider_honeyhive.tasks.watermark import MOST_RUNS, Watermark, watermark_key

START = datetime(2026, 11, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


class MemoryState:
    """Keeps what Airflow's state store would: JSON."""

    most_bytes = 65_535

    def __init__(self) -> None:
        self.text: str | None = None

    def load(self) -> Any:
        return None if self.text is None else json.loads(self.text)

    def save(self, data: dict[str, Any]) -> None:
        self.text = json.dumps(data)


@pytest.fixture
def store() -> MemoryState:
    """A store in which the time until 06:00 has been exported."""
    store = MemoryState()
    Watermark(store, "first").advance(Window(START, START + 6 * HOUR))
    return store


def at(hour: float) -> datetime:
    return START + timedelta(hours=hour)


def export(store: MemoryState, run_id: str, until: datetime) -> Window | None:
    window = Watermark(store, run_id).take(until)
    if window is not None:
        Watermark(store, run_id).advance(window)
    return window


def test_without_an_earlier_export_there_is_nothing_to_continue():
    store = MemoryState()
    assert Watermark(store, "run").take(START) is None
    assert store.text is None


def test_a_run_begins_where_the_last_published_one_ended(store):
    assert export(store, "a", at(8)) == Window(at(6), at(8))
    assert export(store, "b", at(9)) == Window(at(8), at(9))


def test_what_was_not_published_is_exported_by_the_next_run(store):
    Watermark(store, "failed").take(at(8))
    assert export(store, "next", at(9)) == Window(at(6), at(9))


def test_each_try_of_a_run_gets_the_same_window(store):
    first = Watermark(store, "run").take(at(8))
    assert Watermark(store, "run").take(at(8)) == first


def test_a_published_run_that_is_cleared_gets_its_window_again(store):
    windows = [export(store, "a", at(8)), export(store, "b", at(9))]
    assert [export(store, "a", at(8)), export(store, "b", at(9))] == windows
    assert export(store, "c", at(10)) == Window(at(9), at(10))


def test_a_failed_run_whose_time_a_later_one_has_exported_is_told_so(store):
    Watermark(store, "failed").take(at(8))
    export(store, "next", at(9))
    with pytest.raises(InvalidArgumentError, match=r"nothing is left.*T09:00.*dag_run\.conf"):
        Watermark(store, "failed").take(at(8))


def test_a_failed_run_takes_what_is_left_of_its_time(store):
    Watermark(store, "failed").take(at(8))
    Watermark(store, "given").advance(Window(at(5), at(7)))
    assert export(store, "failed", at(8)) == Window(at(7), at(8))


@pytest.mark.parametrize(
    ("given", "mark"),
    [
        pytest.param((0, 6), 6, id="the same again"),
        pytest.param((-48, -24), 6, id="long ago"),
        pytest.param((6, 8), 8, id="continues"),
        pytest.param((4, 8), 8, id="overlaps and goes on"),
        pytest.param((7, 8), 6, id="leaves a gap"),
    ],
)
def test_only_a_given_window_that_goes_on_from_it_moves_the_watermark(store, given, mark):
    Watermark(store, "given").advance(Window(*map(at, given)))
    assert export(store, "next", at(10)) == Window(at(mark), at(10))


@given(st.lists(st.tuples(st.integers(1, 100), st.integers(0, 3), st.booleans()), min_size=1, max_size=30))
def test_published_windows_meet_whatever_fails_and_is_tried_again(runs):
    store = MemoryState()
    Watermark(store, "first").advance(Window(START - HOUR, START))
    now, published = START, []
    for number, (minutes, tries, succeeds) in enumerate(runs):
        now += timedelta(minutes=minutes)
        for _ in range(tries):
            Watermark(store, str(number)).take(now)
        if succeeds:
            published.append(export(store, str(number), now))
    assert all(earlier.end == later.start for earlier, later in pairwise(published))
    assert not published or published[0].start == START


def test_so_many_runs_are_remembered_as_the_state_store_takes(store):
    for number in range(MOST_RUNS + 10):
        export(store, f"asset_triggered__2026-11-23T00:00:00.{number:06d}+00:00_AbCdEfGh", at(7 + number))
    assert len(json.loads(store.text)["runs"]) == MOST_RUNS
    assert len(store.text) < 65_536
    last = f"asset_triggered__2026-11-23T00:00:00.{MOST_RUNS + 9:06d}+00:00_AbCdEfGh"
    assert export(store, last, at(MOST_RUNS + 16)) == Window(at(MOST_RUNS + 15), at(MOST_RUNS + 16))


def test_a_file_keeps_it(tmp_path):
    store = FileState(f"{tmp_path}/exports/_watermark-key.json")
    assert store.load() is None
    Watermark(store, "first").advance(Window(START, at(6)))
    again = FileState(f"{tmp_path}/exports/_watermark-key.json")
    assert export(again, "run", at(8)) == Window(at(6), at(8))
    (file,) = (tmp_path / "exports").iterdir()
    assert file.name == "_watermark-key.json"
    assert file.read_text().startswith('{\n  "end_time": "2026-11-01T08:00:00.000000Z",\n  "runs": {\n    "first": {\n')


@pytest.mark.parametrize("content", [b"", b"[]", b"\x00\x01", b'{"runs": 5}'])
def test_a_file_that_holds_something_else_is_not_overwritten(tmp_path, content):
    file = tmp_path / "_watermark-key.json"
    file.write_bytes(content)
    watermark = Watermark(FileState(str(file)), "run")
    for use in (lambda: watermark.take(at(1)), lambda: watermark.advance(Window(START, at(1)))):
        with pytest.raises(DestinationTakenError, match=r"_watermark-key\.json"):
            use()
    assert file.read_bytes() == content


def test_keys_differ_by_whatever_is_asked():
    asked = ["dag", "task", "conn", "project", [{"field": "a"}], None]
    others = [[*asked[:place], "other", *asked[place + 1 :]] for place in range(len(asked))]
    assert len({watermark_key(one) for one in [asked, *others]}) == len(asked) + 1
    assert watermark_key(asked) == watermark_key(list(asked))
