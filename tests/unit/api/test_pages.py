"""Whatever JSON allows, and some of what it does not, comes through byte by byte."""

from __future__ import annotations

import json
import re

import pytest

from airflow_provider_honeyhive.api.pages import decode_page
from airflow_provider_honeyhive.exceptions import HoneyHiveResponseError

ODD_EVENTS = {
    "a 30-digit integer": b'{"event_id":"e","start_time":1,"n":123456789012345678901234567890}',
    "a 17-digit float": b'{"event_id":"e","start_time":1,"n":0.12345678901234567}',
    "an exponent": b'{"event_id":"e","start_time":1,"n":1E400}',
    "escapes as they are": b'{"event_id":"e","start_time":1,"t":"\\u00e9\\/\\t\\u2028"}',
    "line separators as they are": '{"event_id":"e","start_time":1,"t":"\u2028\u2029"}'.encode(),
    "half an emoji": b'{"event_id":"e","start_time":1,"t":"cut \\ud83d"}',
    "the other half": b'{"event_id":"e","start_time":1,"t":"\\ude00 cut"}',
    "half an emoji in a key": b'{"event_id":"e","start_time":1,"\\ud83d":1}',
    "duplicate keys": b'{"event_id":"e","start_time":1,"a":1,"a":2}',
    "no number": b'{"event_id":"e","start_time":1,"n":NaN,"m":-Infinity}',
    "bytes that are no UTF-8": b'{"event_id":"e","start_time":1,"t":"\xff\xfe"}',
    "unknown fields": b'{"event_id":"e","start_time":1,"new_in_2027":{"a":[1,{}]}}',
    "50,000 levels": b'{"event_id":"e","a":' + b'[{"b":' * 25_000 + b'"}]"' + b"}]" * 25_000 + b',"start_time":1}',
    "a text of 3 MB": b'{"event_id":"e","start_time":1,"t":"' + b"x" * 3_000_000 + b'"}',
}


@pytest.mark.parametrize("raw", ODD_EVENTS.values(), ids=ODD_EVENTS)
def test_an_event_stays_the_bytes_the_server_sent(raw):
    page = decode_page(b'{"events":[{"event_id":"first"},' + raw + b'],"totalEvents":7}', 10)
    assert page.raw_events[1] == raw
    assert page.ids == ["first", "e"]
    assert page.times == [None, 1_000_000]
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
        (b'{"events":null}', "no list"),
        (b'{"error":"secret content"}', "but 'error'"),
        (b'{"events":[{"event_id":"a"', "offset 26"),
        (b'{"events":[1]}', "not an object"),
        (b'{"events":[' + b"[" * 100_000 + b"]" * 100_000 + b"]}", "not an object"),
        (b'{"events":[{"a":' + b"[" * 100_000, "ends too early"),
        (b'{"other":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b"<!DOCTYPE html><html>Sign in</html>", "web page"),
    ],
)
def test_what_is_no_page_of_events_is_described_without_its_content(body, message):
    with pytest.raises(HoneyHiveResponseError, match=message) as caught:
        decode_page(body, 10)
    assert "secret content" not in str(caught.value)


@pytest.mark.parametrize("total", ["null", '"many"', "-1", "1.5", "true", "{}"])
def test_a_total_that_is_no_number_is_none(total):
    assert decode_page(b'{"events":[],"count":%s}' % total.encode(), 1).total is None
