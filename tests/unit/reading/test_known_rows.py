"""Rows that were taken are told apart exactly, however few bytes each takes."""

from __future__ import annotations

import tracemalloc
from itertools import count
from types import SimpleNamespace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_honeyhive.export.stored_cursor import _dump_keys, _load_keys
from airflow_provider_honeyhive.models.request import ExportRequest
from airflow_provider_honeyhive.models.window import FIRST_US, LAST_US, SECOND_US
from airflow_provider_honeyhive.reading import known_rows
from airflow_provider_honeyhive.reading.fetcher import RangeFetcher, ReadStats
from airflow_provider_honeyhive.reading.known_rows import KnownRows
from airflow_provider_honeyhive.reading.slice_reader import SliceReader
from airflow_provider_honeyhive.reading.unordered import _Shown
from tests.unit.model_server import ModelClient, Oddities
from tests.unit.reading.test_slice_reader_properties import BASE, WINDOW

UUIDS = st.integers(0, 3).map(lambda number: str(UUID(int=0xABCDEF << 104 | number)))

#: Ids, many of which are nearly the same.
IDS = st.one_of(
    UUIDS,
    UUIDS.map(str.upper),
    UUIDS.map(lambda id_: id_.replace("-", "")),
    UUIDS.map(lambda id_: f"{id_} "),
    UUIDS.map(lambda id_: id_[:8] + " " + id_[9:]),
    UUIDS.map(lambda id_: id_.replace("0", "\N{ARABIC-INDIC DIGIT ZERO}")),
    UUIDS.map(lambda id_: UUID(id_).bytes),
    UUIDS.map(lambda id_: UUID(id_).bytes + bytes(8)),
    st.integers(0, 3),
    st.sampled_from(["a", "", "\ud83d"]),
)
TIMES = st.sampled_from([None, 0, 1, -1, FIRST_US, LAST_US, 2**63])
KEYS = st.one_of(
    st.tuples(IDS, TIMES),
    st.tuples(IDS, TIMES, st.sampled_from([1, 2, "0123456789abcdef"])),
)


@pytest.fixture(autouse=True)
def packed_soon(monkeypatch):
    monkeypatch.setattr(known_rows, "MOST_UNPACKED", 5)


@given(st.lists(KEYS, max_size=30), st.lists(KEYS, max_size=30), st.lists(KEYS, max_size=30))
def test_they_are_what_a_set_would_be_and_a_copy_stays_as_it_was(first, second, third):
    rows, wanted = KnownRows(first), set(first)
    copy, at_first = rows.copy(), set(first)
    for key in second:
        rows.add(key)
        wanted.add(key)
    assert rows == wanted
    assert copy == at_first
    for key in third:
        copy.add(key)
    assert copy == at_first | set(third)
    assert rows == wanted
    keys = first + second + third
    assert rows - set(third) == wanted - set(third)
    assert list(rows.find(keys)) == [key in wanted for key in keys]
    assert rows == wanted


@given(st.lists(KEYS, max_size=30))
def test_a_checkpoint_brings_back_the_same_rows(keys):
    keys = [key for key in keys if key[1] != 2**63]  # no time that an event may have
    assert _load_keys(_dump_keys(KnownRows(keys))) == set(keys)


def test_a_checkpoint_takes_32_characters_for_a_row_with_a_uuid():
    keys = KnownRows((str(UUID(int=number)), number) for number in range(1_000))
    assert len(_dump_keys(keys)) == 1_000 * 32 + len('[""]')


@pytest.mark.parametrize("text", ['["A"]', '["AAAA"]', '["' + "A" * 31 + '*"]', '["' + "f" * 32 + '"]'])
def test_packed_rows_that_are_none_are_refused(text):
    with pytest.raises(ValueError, match=r"allowed|base64|padding"):
        _load_keys(text)


def test_rows_that_a_range_has_shown_are_those_taken_of_it_those_known_before_and_those_of_nobody():
    state = SimpleNamespace(cursor=SimpleNamespace(known=KnownRows([("before", 1), ("also before", 1)])))
    shown = _Shown(state)  # type: ignore[arg-type]
    assert len(shown) == 0
    state.cursor.known.add(("taken", 1))
    shown.update([("before", 1), ("taken", 1), ("of another slice", None)])
    assert len(shown) == 3
    assert shown.issuperset([("taken", 1), ("of another slice", None), ("before", 1)])
    assert not shown.issuperset([("also before", 1)])
    assert not shown.issuperset([("new", 1)])
    shown.update([("before", 1), ("taken", 1), ("of another slice", None)])
    assert len(shown) == 3
    assert shown.has_others


def test_a_row_that_another_slice_has_given_up_and_this_one_takes_then_counts_once() -> None:
    state = SimpleNamespace(cursor=SimpleNamespace(known=KnownRows()))
    shown = _Shown(state)  # type: ignore[arg-type]
    shown.update([("of another slice", None)])
    state.cursor.known.add(("of another slice", None))
    shown.update([("of another slice", None)])
    assert len(shown) == 1
    assert not shown.has_others


@pytest.mark.parametrize("order", ["desc", "ties_random"])
def test_reading_goes_on_from_any_position_in_a_crowded_millisecond(order):
    events = {str(UUID(int=number)): BASE + SECOND_US for number in range(100)}

    def reader_of(cursor=None):
        client = ModelClient(dict(events), Oddities(order=order), seed=1)
        return SliceReader(RangeFetcher(client, ExportRequest(), ReadStats(), 10), *WINDOW, cursor)

    position, taken, positions = None, set(), 0
    for number in count(1):
        got = []
        batches = reader_of().read()
        for _, batch in zip(range(number), batches, strict=False):
            got += batch.ids
            position = batch.position
        if next(batches, None) is None:
            break
        positions += 1
        assert position is not None
        taken = set(got)
        rest = [id_ for batch in reader_of(position).read() for id_ in batch.ids]
        assert sorted([*got, *rest]) == sorted(events)
        assert taken.isdisjoint(rest)
    assert positions >= 8


def test_the_position_of_each_answer_takes_no_room_of_its_own(monkeypatch):
    monkeypatch.setattr(known_rows, "MOST_UNPACKED", 1_000)
    events = {str(UUID(int=number)): BASE + SECOND_US for number in range(20_000)}
    client = ModelClient(events)
    reader = SliceReader(RangeFetcher(client, ExportRequest(), ReadStats(), 500), *WINDOW)
    positions = []
    tracemalloc.start()
    try:
        for batch in reader.read():
            positions.append(batch.position)
            del batch
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [len(position.known) for position in positions[-2:]] == [19_500, 20_000]
    # 64 bytes for a row, and some 50 for its place: sets of their own would take 20 times that.
    assert size < 20_000 * 400
