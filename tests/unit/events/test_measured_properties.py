"""Whatever an event holds and however it is written: of its texts only those of the table are left, and every number.

A reference of its own making says what must be left, on parsed events and by the table alone.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_honeyhive.events.masking import Masker
from airflow_provider_honeyhive.models.content import TABLE, Treatment, is_id, is_key, is_name, time_in
from airflow_provider_honeyhive.models.fields import FieldRules
from tests.unit.events.test_masking_properties import (
    KEY,
    NUMBERS,
    OTHERS,
    Pairs,
    as_bytes,
    hash_of,
    parsed,
    texts,
    writable,
)
from tests.unit.property_settings import thoroughly

thorough = thoroughly(600)

PATHS = [path.removesuffix("[]") for path in TABLE]
NAMES = sorted({name for path in PATHS for name in path.split(".")})

keys = st.one_of(
    st.sampled_from((*PATHS, *NAMES, "metrics", "evaluations", "outputs", "a", "My Score", "\ud83d")),
    st.sampled_from(PATHS).map(lambda path: path.partition(".")[2] or path),
    texts,
)
scalars = st.one_of(
    texts,
    st.sampled_from(("gpt-4o", "Ada Lovelace", "100.0", "2024-04-01 22:38:19", "two\nlines", "x" * 300)),
    st.sampled_from([("raw", text) for text in (*NUMBERS, *OTHERS)]),
)


def objects_of(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Pairs]:
    return st.lists(st.tuples(keys, values), max_size=5).map(Pairs)


values = st.recursive(scalars, lambda inner: st.one_of(objects_of(inner), st.lists(inner, max_size=4)), max_leaves=16)


def _around(path: str, value: Any) -> Any:
    for name in reversed(path.split(".")):
        value = Pairs([(name, value)])
    return value


def _members_of(field: str) -> st.SearchStrategy[Pairs]:
    tails = [path.partition(".")[2] for path in PATHS if path.startswith(f"{field}.")]
    members = st.tuples(st.sampled_from(tails), values)
    return st.lists(st.one_of(members, st.tuples(keys, values)), min_size=1, max_size=5).map(
        lambda pairs: Pairs([(field, Pairs(pairs))])
    )


#: Objects within objects at the paths of the table, and keys with dots beside one another.
at_paths = st.one_of(
    st.tuples(st.sampled_from(PATHS), values).map(lambda pair: _around(*pair)),
    *map(_members_of, ("metadata", "config", "user_properties")),
)
events = st.one_of(
    objects_of(values), st.lists(at_paths, min_size=1, max_size=4).map(lambda many: Pairs(chain.from_iterable(many)))
)

BY_NAMES = {
    (*path.removesuffix("[]").split("."), *([None] if path.endswith("[]") else [])): treatment
    for path, (treatment, _) in TABLE.items()
}
GONE = object()


def left_of(value: Any, names: tuple[str | None, ...], *, named: bool, secret: bool) -> Any:
    """Say what must be left of a parsed value, :data:`GONE` where nothing is."""
    treatment = BY_NAMES.get(names)
    if any(BY_NAMES.get(names[:count]) is Treatment.HASHED for count in range(len(names) + 1)):
        return GONE if value is None or value == "" or not secret else hash_of(as_bytes(writable(value)))
    nothing = None if treatment is Treatment.TIME else GONE
    if isinstance(value, Pairs):
        members = [
            (key, left_of(member, (*names, *key.split(".")), named=_of_evaluators(names, key), secret=secret))
            for key, member in value
            if is_key(key, named=named)
        ]
        return Pairs(member for member in members if member[1] is not GONE) or nothing
    if isinstance(value, list):
        elements = [left_of(element, (*names, None), named=False, secret=secret) for element in value]
        return [element for element in elements if element is not GONE] or nothing
    if not isinstance(value, str):
        return nothing if value is None else value
    if treatment is Treatment.NAME and is_name(value):
        return value
    if treatment is Treatment.TIME:
        return time_in(value)
    if treatment is Treatment.ID and value:
        return value if is_id(value) else hash_of(as_bytes(value)) if secret else GONE
    return GONE


def _of_evaluators(names: tuple[str | None, ...], key: str) -> bool:
    return not names and key in ("metrics", "evaluations")


@thorough
@given(events, st.one_of(st.none(), st.randoms(use_true_random=False)), st.booleans())
def test_what_is_left_is_what_the_table_says(event, random, secret):
    raw = as_bytes(event, random)
    rules = FieldRules.parse(include_content=False, redact_secret=KEY if secret else None)
    wanted = left_of(parsed(raw), (), named=False, secret=secret)
    assert parsed(Masker(rules).apply(raw)) == (Pairs() if wanted is GONE else wanted)
