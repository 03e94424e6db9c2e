"""Events for the tests of tabular files: usual ones, odd ones by hand, random ones; and what makes two equal."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

from airflow_provider_honeyhive.formats.columns import COLUMN_NAMES, FIELD_NAMES
from airflow_provider_honeyhive.models.window import to_micros
from airflow_provider_honeyhive.sandbox.data.traces import SEED_EVENT, generate_events

#: By name: the JSON text of an event.
ODD_EVENTS = {
    "empty": b"{}",
    "all null": json.dumps(dict.fromkeys(SEED_EVENT)).encode(),
    "unknown fields": b'{"event_id":"e","new":{"a":[1,{}]},"other":null}',
    "fields named like columns": b'{"extra":1,"sent_as":"text","event":{"a":2}}',
    "fields named like what wraps": b'{"not_json":"x","not_utf8":{"a":1},"event_id":"e"}',
    "only a field named like what wraps": b'{"not_json":"{}"}',
    "values that look wrapped": b'{"new":{"not_json":"\\"x"},"error":{"not_utf8":"y"},"other":{"not_json":7}}',
    "a name that is empty": b'{"":1,"event_id":"e"}',
    "escapes in a known name": b'{"\\u0065rror":"bad","event_id":"e"}',
    "escapes in an unknown name": b'{"a\\nb\\"":1}',
    "a name in Chinese": '{"名":1,"event_id":"e"}'.encode(),
    "white space": b'{ "event_id" : "e" ,\t"inputs" : { "a" : [ 1 , 2 ] } , "duration" : 1.5 }',
    "a known name twice": b'{"event_name":"x","event_name":"y","duration":1,"duration":"no"}',
    "an unknown name twice": b'{"a":1,"b":2,"a":3}',
    "a name twice in a map": b'{"metrics":{"a":1,"a":2}}',
    "a text for duration": b'{"duration":"824 ms"}',
    "numbers for texts": b'{"event_id":7,"event_name":5,"error":{"message":"m"}}',
    "a duration beyond 64 bits": b'{"duration":123456789012345678901234567890}',
    "a duration beyond double": b'{"duration":1E400}',
    "a duration below double": b'{"duration":1e-400}',
    "a duration with an exponent beyond all bounds": b'{"duration":1e-99999999999999999999}',
    "a duration with more digits than double": b'{"duration":824.80560000000000001}',
    "an integer that double rounds": b'{"duration":9007199254740993}',
    "durations that fit": b'{"duration":824.8056000000001}',
    "a duration of minus zero": b'{"duration":-0.0}',
    "numbers of any size in maps": b'{"metrics":{"a":123456789012345678901234567890,"b":1E400,"c":0.1234567890123456}}',
    "half an emoji in a text": b'{"error":"cut \\ud83d","event_id":"e"}',
    "half an emoji in a map": b'{"outputs":{"content":"cut \\ud83d"},"event_id":"e"}',
    "the other half": b'{"outputs":{"content":"\\ude00 cut"},"other":"\\ude00"}',
    "halves the wrong way round": b'{"outputs":"\\ude00\\ud83d\\ud83d\\ude00"}',
    "no half at all": b'{"outputs":"\\\\ud83d \\ud7ff \\ue000","error":"\\ud83d\\ude00"}',
    "half an emoji in a list": b'{"children_ids":["a","\\ud83d"]}',
    "half an emoji in an unknown name": b'{"\\ud83d":1,"event_id":"e"}',
    "half an emoji in a name twice": b'{"outputs":1,"outputs":"\\ud83d","outputs":2}',
    "no number": b'{"metrics":{"a":NaN,"b":-Infinity,"c":"NaN"},"duration":Infinity,"new":NaN}',
    "bytes that are no UTF-8": b'{"inputs":{"t":"\xff\xfe"},"event_name":"\xc3\x28","event_id":"e"}',
    "bytes that are no UTF-8 in a name": b'{"\xff":1,"inputs":{"t":"\xff"}}',
    "bytes that are no UTF-8 beside those that are": '{"new":"ä'.encode() + b'\xff"}',
    "a raw control character": b'{"error":"a\x01b","inputs":{"t":"a\x01b"}}',
    "NUL": b'{"error":"a\\u0000b"}',
    "an object for a list": b'{"children_ids":{"a":1}}',
    "numbers in a list": b'{"children_ids":["a",1]}',
    "null in a list": b'{"children_ids":["a",null,""]}',
    "other values than maps": b'{"inputs":"text","outputs":[1],"config":1,"metadata":true,"metrics":"null"}',
    "empty texts": b'{"event_id":"","error":"","inputs":"","children_ids":[]}',
    "line ends and quotes": b'{"error":"a\\r\\nb,\\"c\\"","event_name":","}',
    "no times": b'{"start_time":"soon","end_time":true}',
    "times beyond all calendars": b'{"start_time":-99999999999999,"end_time":123456789012345678901234567890}',
    "texts of such times": b'{"start_time":"-99999999999999","end_time":"0001-01-01T00:00:00+02:00"}',
    "a time with half an emoji": b'{"start_time":"\\ud83d"}',
    "a time twice": b'{"start_time":1711000000000,"start_time":"2024-03-21 05:46:40"}',
}

#: Unix times by their size: milliseconds, microseconds, nanoseconds, in microseconds.
UNITS = ((10**14, 10**3), (10**17, 1), (10**20, Fraction(1, 1000)))
#: The year 1, and the year 10000.
FIRST_DAY, FIRST_DAY_BEYOND = -62_135_596_800_000_000, 253_402_300_800_000_000

#: How times are written, and whether microseconds say all of it.
TIMES = {
    "1711000000000": True,
    "1711000000000.5": True,
    "1711000000000.123": True,
    "1711000000000.0": True,
    "0": True,
    "1711000000": True,
    "1711000000.25": True,
    "-5": True,
    "1711000000000001": True,
    "1711000000000001000": True,
    "1711000000000001001": False,
    "1711000000000.12345": False,
    '"2024-03-21 05:46:40"': True,
    '"2024-03-21T05:46:40Z"': True,
    '"2024-03-21T05:46:40.000Z"': True,
    '"2024-03-21T05:46:40.000001+00:00"': True,
    '"2024-03-21 05:46:40.5"': True,
    '"0001-01-01T00:00:00Z"': True,
    '"9999-12-31T23:59:59.999999Z"': True,
    '"2024-03-21T07:46:40+02:00"': True,
    '"2024-03-21T05:46:40.123456789Z"': False,
    '"2024-03-21"': True,
    '" 2024-03-21 05:46:40"': True,
    '"1711000000000"': True,
    '"20240321"': True,
    '"1711000000000001001"': False,
    '"1711000000000.1234"': False,
    '"1711000000000001.5"': False,
    '"-1711000000000.0005"': False,
}


def usual_events(count: int = 200) -> list[bytes]:
    """Return events as the sandbox makes them, on one line each."""
    start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    return [compact(event) for event in generate_events(count, seed=5, start=start, end=end)]


def compact(event: dict[str, Any]) -> bytes:
    """Return an event without white space."""
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()


def value_of(raw: bytes) -> Any:
    """Return what a JSON text says: names with all their values, numbers exactly, bytes that are no UTF-8 too."""
    return json.loads(
        raw.decode("utf-8", "surrogateescape"),
        strict=False,
        object_pairs_hook=_by_name,
        parse_int=_number,
        parse_float=_number,
        parse_constant=lambda name: ("constant", name),
    )


def told_of(raw: bytes) -> Any:
    """Return what tables must tell of an event: all values, times as instants, nothing of its fields that are null."""
    told = {}
    for name, values in value_of(raw).items():
        if name not in FIELD_NAMES or values != (None,):
            instant = _instant_of(values[0]) if name in ("start_time", "end_time") and len(values) == 1 else None
            told[name] = values if instant is None else instant
    return told


def _instant_of(value: Any) -> Fraction | None:
    """Return the microseconds since 1970 exactly; None: it is no time."""
    text = value.strip() if isinstance(value, str) else ""
    if re.fullmatch(r"[+-]?[0-9]{1,20}(\.[0-9]{1,20})?", text) and not re.fullmatch("[0-9]{8}", text):
        value = Decimal(text)
    if isinstance(value, Decimal):
        unit = next((unit for below, unit in UNITS if abs(value) < below), None)
        found = None if unit is None else Fraction(value) * unit
    elif text:
        micros = _micros_of(text)
        finer = re.search(r"[.,]\d{6}(\d+)", text)
        found = None if micros is None else micros + (Fraction(f"0.{finer[1]}") if finer else 0)
    else:
        found = None
    return found if found is not None and FIRST_DAY <= found < FIRST_DAY_BEYOND else None


def _micros_of(text: str) -> int | None:
    try:
        return to_micros(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        return None


def _number(text: str) -> Any:
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent beyond all bounds
        return ("number", text)


def _by_name(pairs: list[tuple[str, Any]]) -> dict[str, tuple[Any, ...]]:
    found: dict[str, tuple[Any, ...]] = {}
    for name, value in pairs:
        found[name] = (*found.get(name, ()), value)
    return found


# ------------------------------------------------------------------------------------- random events

_CHARACTERS = st.characters(codec=None) | st.sampled_from('\ud83d\ude00\x00\x01\x1f"\\/{}[],:\u2028é😀NaN')


@st.composite
def _strings(draw: st.DrawFn, alphabet: st.SearchStrategy[str] = _CHARACTERS) -> str:
    """Draw the text of a JSON string, here and there with raw control characters or bytes that are no UTF-8."""
    text = json.dumps(draw(st.text(alphabet, max_size=8)), ensure_ascii=draw(st.booleans()))
    return (
        text + "" if draw(st.integers(0, 9)) else text[:-1] + draw(st.sampled_from(("\x01", "\udcff", "\\ud83d"))) + '"'
    )


_numbers = st.from_regex(r"\A-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?\Z")
_constants = st.sampled_from(("null", "true", "false", "NaN", "Infinity", "-Infinity", "{}", "[]", '""'))
_zones = st.sampled_from(("", "Z", "+00:00", "+02:00"))
_clocks = st.builds(lambda time, zone: json.dumps(f"{time}{zone}"), st.datetimes(), _zones)
#: JSON texts of times in all forms, and of some that are none.
time_texts = st.sampled_from(list(TIMES)) | st.integers(-(10**20), 10**20).map(str) | _clocks | _numbers
_leaves = _constants | _numbers | _strings() | time_texts
_spaces = st.sampled_from(("", "", " "))


@st.composite
def _objects(draw: st.DrawFn, names: st.SearchStrategy[str], values: st.SearchStrategy[str]) -> str:
    pairs = draw(st.lists(st.tuples(names, values), max_size=8))
    space = draw(_spaces)
    return "{" + f",{space}".join(f"{name}:{space}{value}" for name, value in pairs) + "}"


_values = st.recursive(
    _leaves,
    lambda inner: st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]") | _objects(_strings(), inner),
    max_leaves=6,
)
_names = st.sampled_from((*COLUMN_NAMES, "event")).map(json.dumps) | _strings()


@st.composite
def _written(draw: st.DrawFn) -> bytes:
    # Halves of surrogate pairs can only be bytes that are no UTF-8 here.
    return draw(_objects(_names, _values)).encode("utf-8", "surrogatepass")


random_events = st.lists(
    _written() | st.sampled_from([*ODD_EVENTS.values(), *usual_events(20)]), min_size=1, max_size=8
)
