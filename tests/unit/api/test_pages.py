"""Whatever JSON allows, and some of what it does not, comes through byte by byte."""

from __future__ import annotations

import json
import re
import tracemalloc

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_honeyhive.api.pages import _PLACES, MOST_EVENTS, _large_decoder, decode_page
from airflow_provider_honeyhive.events.raw import check_json, load_event
from airflow_provider_honeyhive.exceptions import HoneyHiveResponseError
from airflow_provider_honeyhive.export.xcom import fit_for_xcom
from tests.unit.api.odd_bytes import DIGITS, ODD_EVENTS
from tests.unit.property_settings import thoroughly


@pytest.mark.parametrize("raw", ODD_EVENTS.values(), ids=ODD_EVENTS)
def test_an_event_stays_the_bytes_the_server_sent(raw):
    page = decode_page(b'{"events":[{"event_id":"first"},' + raw + b'],"totalEvents":7}', 10)
    assert bytes(page.raw_events[1]) == raw
    assert page.ids == ["first", "e"]
    assert page.times == [None, 1_000]
    assert (page.total, page.limit) == (7, 10)


def test_a_pretty_printed_answer_loses_its_white_space_and_nothing_else():
    events = [{"event_id": "e\n1", "a": [1, {"b": ' x \\ " y '}], "c": {}}, {"event_id": "\ud83d"}]
    pretty = json.dumps({"count": 2, "events": events}, indent=2).encode()
    page = decode_page(pretty.replace(b"\n", b"\r\n"), 10)
    assert [json.loads(raw) for raw in page.raw_events] == events
    assert all(b"\n" not in raw and b"\r" not in raw for raw in page.raw_events)
    assert page.raw_events[0] == json.dumps(events[0], separators=(",", ":")).encode()
    assert page.total == 2


@pytest.mark.parametrize(
    "times", ["1711000000000", '"2024-03-21 05:46:40"', '"2024-03-21T05:46:40.000Z"', "1711000000000.0"]
)
def test_the_time_of_an_event_is_read_in_every_form(times):
    assert decode_page(b'{"events":[{"start_time":%s}]}' % times.encode(), 1).times == [1_711_000_000_000_000]


def test_events_without_an_id_are_told_apart_by_their_content():
    ids = decode_page(b'{"events":[{"a":1},{"a":2},{"a":1},{"event_id":"","a":3},{"event_id":{},"a":4}]}', 9).ids
    assert ids[0] == ids[2]
    assert len(set(ids)) == 4


@pytest.mark.parametrize("place", [b'"t":"a%cb"', b'"t":{"u":["a%cb"]}', b'"a%cb":1', b'"t": "\\"%c" \t, "n":NaN'])
@pytest.mark.parametrize("character", range(0x20))
def test_raw_control_characters_in_a_string_are_escaped(character, place):
    raw = b'{"event_id":"e","start_time":1,' + place % character + b"}"
    page = decode_page(b'{"events":[{"event_id":"first"}\n,' + raw + b"]}", 10)
    (written,) = page.raw_events[1:]
    assert re.search(rb"[\x00-\x1f]", written) is None
    assert repr(json.loads(written)) == repr(json.loads(raw, strict=False))
    assert page.ids == ["first", "e"]


def test_an_id_with_a_raw_line_break_is_the_same_as_with_its_escape():
    ids = [decode_page(b'{"events":[{"event_id":"a%sb"}]}' % text, 1).ids for text in (b"\n", b"\\n")]
    assert ids[0] == ids[1] == ["a\nb"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"events":[{"event_id":"a\\\nb"}]}', "cannot be read"),
        (b"", "0 bytes"),
        (b"[]", "expected '{'"),
        (b'{"events":null}', "is null, not a list, with no total"),
        (b'{"events":null,"totalEvents":null}', "is null, not a list, with no total"),
        (b'{"events":null,"totalEvents":1200}', "is null, not a list, with a total of 1,200"),
        (b'{"totalEvents":2,"count":0,"events":null}', "is null, not a list, with a total of 2"),
        (b'{"events":{},"totalEvents":0}', "no list"),
        (b'{"events":"null","totalEvents":0}', "no list"),
        (b'{"events":[null],"totalEvents":0}', "not an object"),
        (b'{"totalEvents":0}', "no list"),
        (b"{}", "nothing that is known"),
        (b'{"error":"secret content"}', "but 'error'"),
        (b'{"events":[{"event_id":"a"', "value at byte 11 ends too early"),
        (b'{"events":[1]}', "not an object"),
        (b'{"events":[' + b"[" * 100_000 + b"]" * 100_000 + b"]}", "not an object"),
        (b'{"events":[{"a":' + b"[" * 100_000, "ends too early"),
        (b'{"other":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "but 'other'"),
        (b"<!DOCTYPE html><html>Sign in</html>", "web page"),
    ],
)
def test_what_is_no_page_of_events_is_described_without_its_content(body, message):
    with pytest.raises(HoneyHiveResponseError, match=message) as caught:
        decode_page(body, 10)
    assert "secret content" not in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        b'{"events":null,"totalEvents":0}',
        b' { "totalEvents" : 0 , "events" : null } ',
        b'{"events":null,"count":0.0}',
        b'{"events":[],"totalEvents":0}',
    ],
)
def test_no_events_are_an_empty_page_written_as_a_list_or_as_null(body):
    page = decode_page(body, 10)
    assert (len(page), page.total, page.size_bytes) == (0, 0, len(body))


@pytest.mark.parametrize(
    "total",
    [
        "null",
        '"many"',
        "-1",
        "1.5",
        "true",
        "{}",
        "1e308",
        "1e400",
        "NaN",
        "-Infinity",
        str(10**400),
        str(2**63),
        DIGITS.decode(),
        "[" * 9_000 + "]" * 9_000,
    ],
)
@pytest.mark.parametrize("events", ["", '{"odd":NaN}'])
def test_a_total_that_is_no_number_of_events_is_none(total, events):
    assert decode_page(f'{{"events":[{events}],"count":{total}}}'.encode(), 1).total is None


@pytest.mark.parametrize(("total", "number"), [("0", 0), ("7.0", 7), ("1e3", 1000), (str(2**63 - 1), 2**63 - 1)])
@pytest.mark.parametrize("events", ["", '{"odd":NaN}'])
def test_a_total_is_any_whole_number(total, number, events):
    assert decode_page(f'{{"events":[{events}],"count":{total}}}'.encode(), 1).total == number


@pytest.mark.parametrize("name", ["event_id", "start_time", "project", "other"])
@pytest.mark.parametrize("odd", ["", ',"odd":NaN'])
def test_an_integer_of_any_length_is_read_and_a_text_where_python_makes_no_number_of_it(name, odd):
    raw = b'{"%b":%b%b}' % (name.encode(), DIGITS, odd.encode())
    page = decode_page(b'{"events":[{"%b":1},' % name.encode() + raw + b"]}", 10)
    assert bytes(page.raw_events[1]) == raw
    assert page.times == [1_000 if name == "start_time" else None, None]
    assert len(set(page.ids)) == 2
    assert fit_for_xcom(page.events[1])[name] == fit_for_xcom(load_event(raw))[name] == DIGITS.decode()


@pytest.mark.parametrize("odd", ["", '{"odd":NaN},'])
def test_more_events_than_any_page_has_are_refused_however_few_were_asked_for(odd):
    most = odd + "{}," * (MOST_EVENTS - bool(odd) - 1)
    assert len(decode_page(f'{{"events":[{most}{{}}]}}'.encode(), 1)) == MOST_EVENTS
    with pytest.raises(HoneyHiveResponseError, match="it has more than 20,000 events"):
        decode_page(f'{{"events":[{most}{{}},{{}}]}}'.encode(), 7_500)


MANY = 100_000

#: Answers of nothing but small values, and where those are.
MANY_VALUES = {
    "events": b'{"events":[%b]}',
    "what is no event": b'{"events":[{},%b]}',
    "another member": b'{"other":[%b],"events":[{}]}',
    "the total": b'{"events":[{}],"totalEvents":[%b]}',
    "a member of an event": b'{"events":[{"other":[%b]}]}',
    "the project": b'{"events":[{"project":[%b]}]}',
    "an event with line breaks": b'{"events":[{"other":\n[%b]}]}',
    "an event with a raw control character": b'{"events":[{"other":["\x01",%b]}]}',
    "an event with what is no number": b'{"events":[{"project":[%b],"odd":NaN}]}',
    "an event with half an emoji": b'{"events":[{"event_id":[%b],"odd":"\\ud83d"}]}',
    "an answer with half an emoji": b'{"other":[%b],"events":[{"odd":"\\ud83d"}]}',
}


def make_decoders() -> None:
    """They are made once, and are no part of what an answer takes."""
    for places in _PLACES:
        _large_decoder(places)


@pytest.mark.parametrize("value", [b"{}", b"[]", b"1", b"null", b'""', b'{"a":[]}'])
@pytest.mark.parametrize("place", MANY_VALUES.values(), ids=MANY_VALUES)
def test_an_answer_of_many_small_values_takes_no_more_memory_than_some_copies_of_it(place, value):
    body = place % b",".join([value] * MANY)
    make_decoders()
    tracemalloc.start()
    try:
        decode_page(body, 1_000)
    except HoneyHiveResponseError:
        pass
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 4 * len(body) + 4_000_000


@pytest.mark.parametrize("value", [b"{}", b"1"])
def test_a_small_answer_of_many_small_values_takes_little_memory_too(value):
    body = b'{"events":[%b]}' % b",".join([value] * (2**17 // (len(value) + 1) - 10))
    tracemalloc.start()
    with pytest.raises(HoneyHiveResponseError):
        decode_page(body, 1_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 6_000_000


def test_a_small_answer_needs_nothing_that_is_made_for_large_ones():
    _large_decoder.cache_clear()
    assert len(decode_page(b'{"events":[%b]}' % b",".join([b'{"text":"%b"}' % (b"x" * 10_000)] * 10), 10)) == 10
    assert _large_decoder.cache_info().currsize == 0


def test_an_answer_of_many_names_takes_no_more_memory_than_a_few():
    body = b"{%b}" % b",".join(b'"%d":1' % number for number in range(200_000))
    make_decoders()
    tracemalloc.start()
    with pytest.raises(HoneyHiveResponseError, match='no list "events" but'):
        decode_page(body, 1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_events_of_millions_of_numbers_are_read():
    event = b'{"event_id":"%d","vector":[' + b",".join([b"0.25"] * 1_536) + b"]}"
    events = [event % number for number in range(2_000)]
    page = decode_page(b'{"events":[' + b",".join(events) + b'],"totalEvents":2000}', 2_000)
    assert list(map(bytes, page.raw_events)) == events
    assert (page.total, page.ids[-1]) == (2_000, "1999")


def test_names_of_what_came_instead_of_a_page_are_few_short_and_on_one_line():
    names = ["a\x1b[31m\n\u202e", "b" * 500, *"cdefghijklmn"]
    with pytest.raises(HoneyHiveResponseError) as caught:
        decode_page(json.dumps(dict.fromkeys(names, 1)).encode(), 1)
    text = str(caught.value)
    assert text.isprintable()
    assert "31m" not in text, "no identifier: it may be content"
    assert "b" * 39 + "\\u2026" in text
    assert len(text) < 400


def is_json(text):
    try:
        json.loads(text.decode("utf-8", "surrogateescape"), strict=False)
    except ValueError:
        return False
    return True


def is_checked(text):
    try:
        check_json(text)
    except ValueError:
        return False
    return True


#: Pieces of JSON, whole and broken, and of what is none.
PIECES = [
    *(bytes([number]) for number in b'{}[],:"\\ \n\t\x00\x0b\x1f\x7f\x80\xff\xe2-+.0eEtfn'),
    *(b"12", b"-0", b"1.5", b"1e5", b"true", b"false", b"null", b"NaN", b"Infinity", b"-Infinity", b"-NaN", b"nan"),
    *(
        rb"\ud83d",
        rb"\uDE00",
        rb"\uD8",
        rb"\\ud83d",
        rb"\u00e9",
        rb"\/",
        rb"\x",
        "é😀".encode(),
        b'"a"',
        b'{"a":',
        b'"b":1',
    ),
]


@thoroughly(300)
@given(
    st.lists(st.sampled_from(PIECES), max_size=8).map(b"".join), st.sampled_from([b"%b", b'"%b"', b'{"a":%b}', b"[%b]"])
)
@example(b"NaN", b"1%b")
@example(b"Infinity", b"--%b")
@example(rb"\NaN", b'"%b"')
@example(b"\x0b", b"[%b]")
@example(b"\xef\xbb\xbf1", b"%b")
def test_what_is_checked_is_what_python_takes_for_json(text, place):
    whole = place % text
    assert is_checked(whole) == is_json(whole)


@pytest.mark.parametrize("more", [b' {"events":[{"event_id":"e"}]}', b"</html>", b"}", b"\x00"])
def test_a_page_with_more_behind_its_end_is_none(more):
    with pytest.raises(HoneyHiveResponseError, match="something stands behind its end"):
        decode_page(b'{"events":[]}' + more, 1)
    assert len(decode_page(b'{"events":[]} \n', 1)) == 0


def test_keys_of_an_answer_that_may_be_content_are_in_no_error():
    with pytest.raises(HoneyHiveResponseError) as caught:
        decode_page(b'{"error_code":1,"Ada Lovelace is ill":true}', 1)
    assert "Ada" not in str(caught.value)
    assert "error_code" in str(caught.value)
