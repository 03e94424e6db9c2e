"""Where a slice ends, and what that costs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_provider_honeyhive.models.request import ExportRequest
from airflow_provider_honeyhive.reading.cursor import ReadAgainError
from airflow_provider_honeyhive.reading.fetcher import RangeFetcher, ReadStats
from airflow_provider_honeyhive.reading.proof import A_FEW
from airflow_provider_honeyhive.reading.slice_reader import SliceReader
from airflow_provider_honeyhive.reading.stream import ProvedReader
from tests.unit.model_server import ModelClient, Oddities
from tests.unit.reading.test_slice_reader_properties import BASE, WINDOW, assert_whole, read

EVENTS = {f"event-{number}": BASE + number * 100_000 for number in range(125)}


def test_an_answer_that_has_as_many_events_as_the_server_counts_is_the_last_one_asked_for():
    client = ModelClient(dict(EVENTS))
    assert_whole(client, EVENTS, read(client, 50))
    # For the total, and three for 50, 49 and 26 events besides one that shows again.
    assert [limit for _, _, limit in client.requests] == [2, 50, 50, 50]


class CutsWhatItCounts(ModelClient):
    """Cuts long answers, the first one last, and takes the number of what is left for the total."""

    def fetch_page(self, *args, limit=1000, **kwargs):
        answer = super().fetch_page(*args, limit=limit, **kwargs)
        if limit <= A_FEW:
            return answer
        left = slice(40 if len(self.requests) == 2 else 20)
        raws, ids, times = answer.raw_events[left], answer.ids[left], answer.times[left]
        return replace(answer, raw_events=raws, ids=ids, times=times, total=len(raws))


def test_a_total_that_is_only_the_number_of_a_cut_answer_is_not_trusted_twice():
    client = CutsWhatItCounts(dict(EVENTS))
    reader = ProvedReader(RangeFetcher(client, ExportRequest(), ReadStats(), 100), *WINDOW)  # type: ignore[arg-type]
    with pytest.raises(ReadAgainError, match="fewer events were read than the server reports"):
        list(reader.read())
    reader.start_over()
    assert_whole(client, EVENTS, [raw.decode() for batch in reader.read() for raw in batch.raw_events])


def test_whoever_cannot_read_again_asks_for_what_lies_below_such_an_answer():
    client = CutsWhatItCounts(dict(EVENTS))
    fetcher = RangeFetcher(client, ExportRequest(), ReadStats(), 100)  # type: ignore[arg-type]
    reader = ProvedReader(fetcher, *WINDOW, by_content=True)
    assert_whole(client, EVENTS, [raw.decode() for batch in reader.read() for raw in batch.raw_events])


def test_a_slice_that_has_been_read_keeps_only_rows_without_a_time_in_mind():
    client = ModelClient({**EVENTS, "untimed": None}, Oddities(untimed_everywhere="last"))
    reader = SliceReader(RangeFetcher(client, ExportRequest(), ReadStats(), 50), *WINDOW)  # type: ignore[arg-type]
    assert sum(len(batch.raw_events) for batch in reader.read()) == len(EVENTS) + 1
    assert reader.cursor.done
    assert {id_ for id_, *_ in reader.cursor.known} == {"untimed"}
