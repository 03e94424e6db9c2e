"""Ids that come again are counted however far apart they are, and in bounded memory."""

from __future__ import annotations

import errno
import tempfile
import tracemalloc
from datetime import timedelta

import pytest

from airflow_provider_honeyhive.exceptions import DestinationError
from airflow_provider_honeyhive.export import repeated_ids
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.export.repeated_ids import RepeatedIds
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.sandbox import Behaviour

from .test_exporter import DAY, DEMO


def stored(name, after, **more):
    start = int((DAY.start + after).timestamp() * 1000)
    return {"event_id": name, "project": "demo", "start_time": start, **more}


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("behaviour", [{}, {"total": "absent"}, {"order": "random"}])
def test_an_id_that_comes_again_a_day_later_is_counted_and_warned_of(
    sandbox_with, client_of, tmp_path, caplog, behaviour, concurrency
):
    events = [stored(f"e{number}", timedelta(seconds=number)) for number in range(400)]
    events.append(stored("e0", timedelta(hours=22), outputs={"other": 1}))
    sandbox = sandbox_with(events, behaviour=Behaviour(**behaviour))
    options = ExportOptions(concurrency=concurrency, page_size=50)
    manifest = export_events(client_of(sandbox), DEMO, tmp_path / "out", options)
    assert (manifest.event_count, manifest.repeated_ids) == (401, 1)
    assert "1 events have an event_id that another event in these files has" in caplog.text


def test_without_repeated_ids_nothing_is_counted_or_said(sandbox, client, tmp_path, caplog):
    manifest = export_events(client, DEMO, tmp_path / "out")
    assert (manifest.event_count, manifest.repeated_ids) == (300, 0)
    assert "another event in these files" not in caplog.text


def test_a_slice_that_is_read_again_is_not_counted_twice():
    with RepeatedIds() as ids:
        ids.add(1, ["a", "b"])
        ids.add(2, ["b", "c"])
        ids.forget(1)
        ids.add(1, ["a", "c"])
        assert ids.count() == 1


@pytest.mark.parametrize("in_one_go", [1, 10, 1_000_000])
def test_numbers_texts_and_hashes_are_told_apart_in_any_share(monkeypatch, in_one_go):
    monkeypatch.setattr(repeated_ids, "IN_ONE_GO", in_one_go)
    with RepeatedIds() as ids:
        ids.add(1, [*range(50), *map(str, range(50)), *(bytes([number] * 16) for number in range(50))])
        assert ids.count() == 0
        ids.add(2, [7, "7", bytes([7] * 16), "7"])
        assert ids.count() == 4


def test_no_ids_need_no_file(monkeypatch):
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: pytest.fail("a file was made"))
    with RepeatedIds() as ids:
        ids.add(1, [])
        assert ids.count() == 0


def test_a_million_ids_are_counted_in_few_megabytes():
    with RepeatedIds() as ids:
        tracemalloc.start()
        for first in range(0, 1_000_000, 1_000):
            ids.add(first % 7, [f"id-{number}" for number in range(first, first + 1_000)])
        ids.add(8, ["id-0"])
        assert ids.count() == 1
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 30_000_000


def test_no_room_for_the_file_says_what_to_do(monkeypatch):
    def full():
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with RepeatedIds() as ids, pytest.raises(DestinationError, match="TMPDIR"):
        ids.add(1, ["a"])
