"""Fields without a column cost little, and what becomes of them does not depend on how they were found."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_honeyhive.formats import tokens
from airflow_provider_honeyhive.formats.columns import COLUMN_NAMES, FIELD_NAMES
from airflow_provider_honeyhive.formats.rows import to_rows
from airflow_provider_honeyhive.formats.text import to_csv
from tests.unit.odd_events import ODD_EVENTS, random_events, usual_events
from tests.unit.property_settings import thoroughly

if TYPE_CHECKING:
    from collections.abc import Sequence

thorough = thoroughly(300)

#: Names that mean something to Python, to msgspec, to the code, or to JSON.
NAMES = (
    "",
    "a.b",
    "a b",
    "%b",
    "class",
    "self",
    "__class__",
    "__dict__",
    "__struct_fields__",
    "unknown_0",
    "extra",
    "not_json",
    "not_utf8",
    "Event_id",
    "é",
    "名",
    "😀",
    "\x7f",
    "\u2028",
    'a"b',
    "a\\b",
    "a\nb",
    "x" * 201,
)
VALUES = ("1", "null", '"text"', '{"a":[1,{}]}', '{"not_json":"x"}', '[{"not_utf8":"x"}]', "1E400", '"\\ud83d"')


@pytest.fixture
def read_singly(monkeypatch) -> list[int]:
    """Return the numbers of the rows that are taken apart one by one, as that happens."""
    rows = []

    def split_one(raw: bytes, row: int, left: tokens.Leftovers) -> Any:
        rows.append(row)
        return original(raw, row, left)

    original = tokens._split_one
    monkeypatch.setattr(tokens, "_split_one", split_one)
    return rows


def cells_of(raw_events: Sequence[bytes]) -> tuple[Any, Any]:
    """Return all cells as they are written, and what did not fit."""
    rows = to_rows(raw_events)
    cells = {name: [_plain(value) for value in rows.values[name]] for name in COLUMN_NAMES}
    return cells, dict(rows.misfits)


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, str | int | float | list) else bytes(value)


def singly(raw_events: Sequence[bytes]) -> tuple[Any, Any]:
    """Return the same where each event is taken apart by itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokens, "_learn_names", lambda sample: None)
        return cells_of(raw_events)


def with_fields(count: int = 200, **fields: Any) -> list[bytes]:
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))[1:].encode()
    return [raw[:-1] + b"," + text for raw in usual_events(count)]


members = st.tuples(
    st.sampled_from(NAMES).map(json.dumps)
    | st.sampled_from(NAMES).map(lambda name: json.dumps(name, ensure_ascii=False))
    | st.sampled_from(FIELD_NAMES).map(json.dumps),
    st.sampled_from(VALUES),
)


@st.composite
def batches(draw: st.DrawFn) -> list[bytes]:
    """Draw events that share some fields, in any order, and have others of their own; here and there anything."""
    shared = draw(st.lists(members, max_size=6))
    found = []
    for usual in usual_events(draw(st.sampled_from((1, 3, 40)))):
        own = draw(st.lists(members, max_size=2)) if draw(st.integers(0, 9)) == 0 else []
        mixed = draw(st.permutations([*shared, *own])) if draw(st.booleans()) else [*shared, *own]
        text = "".join(f",{name}:{value}" for name, value in mixed).encode()
        found.append(usual[:-1] + text + b"}")
    odd = draw(st.lists(st.sampled_from(list(ODD_EVENTS.values())), max_size=2))
    return [*odd, *found] if draw(st.booleans()) else [*found, *odd]


@thorough
@given(batches() | random_events)
def test_the_cells_are_the_same_bytes_as_of_events_taken_apart_one_by_one(raw_events):
    assert cells_of(raw_events) == singly(raw_events)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [1, {"not_json": "x"}, "%b"])
def test_any_name_is_in_extra_with_its_value(name, value):
    raw_events = with_fields(40, **{name: value, "other": 2})
    cells, misfits = cells_of(raw_events)
    assert (cells, misfits) == singly(raw_events)
    assert not misfits
    assert set(map(len, map(json.loads, cells["extra"]))) == {2}


def test_events_with_five_unknown_fields_are_taken_apart_together(read_singly):
    fields = {"workspace_id": "w", "org": {"id": "o"}, "schema": 3, "tags": ["a"], "is_root": True}
    cells, _ = cells_of(with_fields(**fields))
    assert not read_singly
    assert list(map(json.loads, cells["extra"])) == [fields] * 200


def test_some_events_with_unknown_fields_leave_the_others_with_nothing_over(read_singly):
    raw_events = [b for pair in zip(with_fields(100, new=1), usual_events(100), strict=True) for b in pair]
    cells, _ = cells_of(raw_events)
    assert not read_singly
    assert cells["extra"] == [b'{"new":1}', None] * 100


def test_evaluations_have_a_column(read_singly):
    scores = {"helpfulness": {"score": 0.833, "explanation": "it did"}}
    plain = [raw for raw in usual_events() if b'"evaluations"' not in raw]
    raw_events = [raw[:-1] + b',"evaluations":' + json.dumps(scores).encode() + b"}" for raw in plain]
    cells, misfits = cells_of(raw_events)
    assert not read_singly
    assert not misfits
    assert list(map(json.loads, cells["evaluations"])) == [scores] * len(plain)
    assert cells["extra"] == [None] * len(plain)
    assert COLUMN_NAMES[COLUMN_NAMES.index("metrics") + 1] == "evaluations"


def test_only_the_odd_ones_among_many_are_taken_apart_one_by_one(read_singly):
    raw_events = with_fields(100, new=1)
    raw_events[50] = b'{"event_name":"x","event_name":"y","new":2}'
    raw_events[60] = b'{"event_id": "e", "rare": 3}'
    cells, misfits = cells_of(raw_events)
    assert read_singly == [50, 60]
    assert cells["extra"][49:52] == [b'{"new":1}', b'{"event_name":"x","event_name":"y","new":2}', b'{"new":1}']
    assert (cells["event_id"][60], cells["extra"][60]) == ("e", b'{"rare":3}')
    assert (cells, misfits) == singly(raw_events)


def test_unknown_fields_stand_before_what_does_not_fit():
    raw_events = [b'{"event_id":"e","error":5,"zoo":2,"new":1}'] * 40
    cells, misfits = cells_of(raw_events)
    assert (cells, misfits) == singly(raw_events)
    assert set(cells["extra"]) == {b'{"new":1,"zoo":2,"error":5}'}
    assert misfits == {"error": 40}


def test_names_that_no_two_events_share_are_not_learned(read_singly):
    raw_events = [raw[:-1] + b',"n%d":1}' % number for number, raw in enumerate(usual_events())]
    assert cells_of(raw_events) == singly(raw_events)
    assert len(read_singly) == 400
    assert tokens._learn_names(raw_events[:10]) is None


def test_no_more_than_64_names_are_learned():
    raw_events = with_fields(40, **{f"n{number:03d}": number for number in range(100)})
    assert tokens._learn_names(raw_events) is None
    assert len(tokens._learn_names(with_fields(40, **{f"n{number:03d}": 1 for number in range(64)}))) == 64
    assert cells_of(raw_events) == singly(raw_events)


def test_csv_has_unknown_fields_in_the_last_cell():
    data, _ = to_csv(with_fields(40, new="x"))
    assert all(line.endswith(b',"{""new"":""x""}"') for line in data.removesuffix(b"\r\n").split(b"\r\n"))
