"""The bytes of an answer are held once, however they come; one larger than is worth its memory is not read."""

from __future__ import annotations

import random
import threading

import msgspec
import pytest

from airflow_provider_honeyhive.api.bodies import BodyBuffer, SpareMemory
from airflow_provider_honeyhive.exceptions import AnswerTooLargeError
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.reading import page_size
from tests.unit.export.test_exporter import DAY, DEMO, GENERATED, event_at, ids_of


@pytest.mark.parametrize("announced", [0, 5, 3_000_000, 9_000_000])
def test_bytes_come_out_as_they_went_in_whatever_was_announced(announced):
    chunks = [random.Random(number).randbytes(400_000 + number) for number in range(8)]
    body = BodyBuffer(announced)
    for chunk in chunks:
        body.append(chunk)
    assert bytes(body.view()) == b"".join(chunks)
    assert body.size == sum(map(len, chunks))


def test_a_view_outlives_the_body():
    body = BodyBuffer(3)
    body.append(b"abc")
    view = body.view()[1:]
    del body
    assert bytes(view) == b"bc"


def body_of(data, spare, announced=0):
    body = BodyBuffer(announced, spare=spare)
    body.append(data)
    return body.view()


def test_the_next_body_has_the_memory_of_the_last_one_where_nobody_looks_at_that():
    spare = SpareMemory()
    first = body_of(b"first", spare)
    memory = first.obj
    del first
    second = body_of(b"2nd" * 1_000_000, spare)
    assert second.obj is memory
    assert bytes(second) == b"2nd" * 1_000_000


@pytest.mark.parametrize("look", [lambda view: view, lambda view: view[1:], msgspec.Raw])
def test_a_body_that_somebody_looks_at_stays_as_it_was(look):
    spare = SpareMemory()
    seen = look(body_of(b"first", spare))
    before = bytes(seen)
    for number in range(3):
        body_of(b"%d" % number * 5, spare)
    assert bytes(seen) == before


def test_an_event_stays_as_it_was_whatever_its_reader_asks_for_next(sandbox_with, client_of):
    client = client_of(sandbox_with(count=300, **GENERATED))
    page = client.fetch_page(DEMO, limit=100)
    before = [bytes(raw) for raw in page.raw_events]
    assert len(client.fetch_page(DEMO, page=2, limit=100)) == 100
    event = page.raw_events[50]
    del page
    assert len(client.fetch_page(DEMO, page=3, limit=100)) == 100
    assert bytes(event) == before[50]


def test_memory_is_kept_for_the_same_thread_and_only_where_it_is_little():
    spare = SpareMemory()
    body_of(b"of another thread", spare)
    others = []
    thread = threading.Thread(target=lambda: others.append(spare.take()))
    thread.start()
    thread.join()
    assert others == [None]
    assert spare.take() is not None
    body_of(b"large", spare, announced=100_000_000)
    assert spare.take() is None


def test_a_larger_answer_than_allowed_is_refused_by_what_it_announces(sandbox_with, client_of):
    client = client_of(sandbox_with(count=300, **GENERATED))
    with pytest.raises(AnswerTooLargeError, match="larger than 10000 bytes"):
        client.fetch_page(DEMO, limit=300, max_bytes=10_000)
    assert len(client.fetch_page(DEMO, limit=300, max_bytes=10_000_000)) == 300


def test_pages_of_events_that_grow_huge_are_asked_for_in_smaller_ones(sandbox_with, client_of, tmp_path, monkeypatch):
    """The first events are small, so that pages are long; then come some of 200 times the size."""
    monkeypatch.setattr(page_size, "LEAST_TARGET_BYTES", 100_000)
    monkeypatch.setattr(page_size, "TARGET_BYTES", 100_000)
    sandbox = sandbox_with(count=0)
    start = DAY.start.timestamp() * 1000
    sandbox.add(event_at(start + 1_000_000 + number, number, text="x" * 100) for number in range(1_000))
    sandbox.add(event_at(start + number, 2_000 + number, text="x" * 20_000) for number in range(200))
    expected = sandbox.event_ids(DAY.start, DAY.end)
    export_events(client_of(sandbox), DEMO, tmp_path / "out", ExportOptions(concurrency=1))
    assert sorted(ids_of(tmp_path / "out")) == sorted(expected)
