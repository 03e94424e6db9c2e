"""Records tell events apart and show what has changed, whatever JSON allows; the newest record of an event counts."""

from __future__ import annotations

import json
import tracemalloc
from hashlib import blake2b, sha256

import msgspec
import pytest

from airflow_provider_honeyhive.exceptions import DestinationError
from airflow_provider_honeyhive.formats.content_index import (
    RECORD_BYTES,
    IndexFile,
    count_records,
    records_of,
)
from airflow_provider_honeyhive.formats.exported_content import ExportedContent
from tests.unit.api.odd_bytes import ODD_EVENTS

EVENT = b'{"event_id":"a","start_time":1,"metrics":{"x":1.5,"y":[1,2]},"feedback":{}}'


def identity(event: bytes) -> bytes:
    return records_of([event])[:16]


def content(event: bytes) -> bytes:
    return records_of([event])[16:]


def index_of(data: bytes, **other: object) -> IndexFile:
    facts = {
        "path": "_index-0.bin",
        "record_count": count_records(len(data)),
        "size_bytes": len(data),
        "sha256": sha256(data).hexdigest(),
    }
    return IndexFile(**{**facts, **other})


def exported(*exports: bytes, size: int = 10_000) -> ExportedContent:
    found = ExportedContent()
    for data in exports:
        chunks = (data[start : start + size] for start in range(0, len(data), size))
        found.add(chunks, index_of(data), "here")
    found.finish()
    return found


@pytest.mark.parametrize(
    "same",
    [
        b'{"feedback":{},"metrics":{"y":[1,2],"x":1.5},"start_time":1,"event_id":"a"}',
        b'{ "event_id" : "a", "start_time":1,"metrics":{"x":1.50,"y":[1, 2]},"feedback":{}}',
        b'{"event_id":"\\u0061","start_time":1,"metrics":{"x":15e-1,"y":[1,2]},"feedback":{}}',
    ],
    ids=["order of keys", "white space", "spelling"],
)
def test_how_an_event_is_written_does_not_matter(same):
    assert records_of([same]) == records_of([EVENT])


@pytest.mark.parametrize(
    "other",
    [
        b'{"event_id":"a","start_time":1,"metrics":{"x":1.5,"y":[2,1]},"feedback":{}}',
        b'{"event_id":"a","start_time":1,"metrics":{"x":1.5,"y":[1,2]},"feedback":{"rating":true}}',
        b'{"event_id":"a","start_time":2,"metrics":{"x":1.5,"y":[1,2]},"feedback":{}}',
        b'{"event_id":"a","start_time":1,"metrics":{"x":"1.5","y":[1,2]},"feedback":{}}',
        b'{"event_id":"a","start_time":1,"metrics":{"x":1.5,"y":[1,2]}}',
    ],
)
def test_what_an_event_says_does(other):
    assert identity(other) == identity(EVENT)
    assert content(other) != content(EVENT)


def test_events_are_told_apart_by_their_ids():
    ids = ['"a"', '"b"', '"1"', "1", "2", '"\\ud83d"', '"\\ud83e"', '"ü"']
    assert len({identity(b'{"event_id":%s}' % text.encode()) for text in ids}) == len(ids)


@pytest.mark.parametrize("event_id", ["", "null", "true", "1.5", '""', "[]"])
def test_events_without_an_id_are_told_apart_by_what_they_say(event_id):
    head = b'"event_id":%s,' % event_id.encode() if event_id and event_id != "true" else b""
    one, other = (b'{%s"inputs":"%s"}' % (head, text) for text in (b"x", b"y"))
    assert identity(one) != identity(other)
    assert identity(one) == identity(one.replace(b'":"', b'": "'))


@pytest.mark.parametrize("raw", ODD_EVENTS.values(), ids=ODD_EVENTS)
def test_every_odd_event_has_a_record_under_its_id(raw):
    assert len(records_of([raw])) == RECORD_BYTES
    assert identity(raw) == identity(b'{"event_id":"e"}')
    changed = raw[:-1] + b',"feedback":1}'
    assert identity(changed) == identity(raw)
    assert content(changed) != content(raw)


def test_an_id_of_any_number_of_digits_tells_events_apart():
    one, same, other = (
        records_of([b'{"event_id":%b,"a":%b}' % (b"7" * 5_000 + end, value)])
        for end, value in ((b"1", b"1"), (b"1", b"2"), (b"2", b"1"))
    )
    assert one[:16] == same[:16] != other[:16]


def test_integers_are_compared_to_64_bits_and_more_do_not_fail():
    number = 2**63 + 1
    one, other = (b'{"event_id":"a","n":%d}' % n for n in (number, number + 1))
    assert content(one) != content(other)
    assert len(records_of([b'{"event_id":"a","n":%d}' % 10**40])) == RECORD_BYTES


@pytest.mark.parametrize(
    "spellings",
    [
        ["500", "500.0", "5e2", "5E+2", "0.5e3", "500.00000"],
        ["0", "-0", "-0.0", "0e9", "0.0"],
        ["-12", "-12.0", "-1.2e1"],
        ["1.5", "1.50", "15e-1"],
        ["9007199254740993", "9007199254740993.0", "9007199254740993e0"],
        ["1000000000000000000", "1e18", "1000000000000000000.0"],
        ["18446744073709551615", "18446744073709551615.0"],
        ["-9223372036854775808", "-9223372036854775808.0"],
    ],
)
def test_the_spelling_of_a_number_does_not_matter(spellings):
    events = [b'{"event_id":"a","n":[%s]}' % text.encode() for text in spellings]
    assert len(set(map(content, events))) == 1


@pytest.mark.parametrize(
    "numbers",
    [
        ["500", "500.5", '"500"', "501", "-500", "true", "null"],
        ["0", "1", "false", "1e-300", "[]"],
        ["9007199254740992", "9007199254740993", "9007199254740994.0", "9007199254740991.0"],
        ["1e300", "2e300", "1e308", "1e400"],
        ["18446744073709551615", "18446744073709551614.0", "18446744073709551613"],
    ],
)
def test_other_numbers_are_other_contents(numbers):
    events = [b'{"event_id":"a","n":[%s]}' % text.encode() for text in numbers]
    assert len(set(map(content, events))) == len(numbers)


@pytest.mark.parametrize("number", ["500", "500.0", "1.5", "1e3", "-0.0"])
def test_records_of_the_first_release_can_still_be_made(number):
    event = b'{"n":%s,"event_id":"a"}' % number.encode()
    text = msgspec.json.encode(msgspec.json.decode(event), order="deterministic")
    assert records_of([event], as_spelled=True)[16:] == blake2b(text, digest_size=8).digest()


@pytest.mark.parametrize("size", [1, 23, 24, 1000])
def test_the_last_record_added_of_an_event_counts(size):
    events = [json.dumps({"event_id": f"e{number}"}).encode() for number in range(50)]
    newer = [json.dumps({"event_id": f"e{number}", "feedback": 1}).encode() for number in range(10)]
    with exported(records_of(events), records_of(newer), size=size) as found:
        asked = records_of([*newer, *events[10:], b'{"event_id":"unknown"}'])
        answers = list(found.contents_of(asked))
    assert [known for _, known in answers[:-1]] == [own for own, _ in answers[:-1]]
    assert answers[-1][1] is None


@pytest.mark.parametrize("cut", [0, 1])
def test_an_index_that_is_not_what_its_manifest_says_is_an_error(cut):
    data = records_of([EVENT] * 3)
    with ExportedContent() as found, pytest.raises(DestinationError):
        found.add([data[: -RECORD_BYTES + cut]], index_of(data), "here")


def test_memory_does_not_grow_with_the_number_of_events():
    def chunks(count: int):
        block = 10_000
        for start in range(0, count, block):
            yield b"".join(number.to_bytes(RECORD_BYTES) for number in range(start, start + block))

    digest = sha256()
    for chunk in chunks(200_000):
        digest.update(chunk)
    index = index_of(b"", size_bytes=200_000 * RECORD_BYTES, sha256=digest.hexdigest())
    tracemalloc.start()
    try:
        with ExportedContent() as found:
            found.add(chunks(200_000), index, "here")
            found.finish()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # A dict of as many ids takes 30 MB.
    assert peak < 5_000_000
