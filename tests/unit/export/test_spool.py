"""What waits on this machine comes back as it was."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_provider_honeyhive.export import spool
from airflow_provider_honeyhive.export.spool import Spool

DATA = random.Random(3).randbytes(300_000)


@pytest.fixture(params=[1, 10**9], ids=["on the disk", "in memory"])
def filled(request, monkeypatch):
    monkeypatch.setattr(spool, "BYTES_IN_MEMORY", request.param)
    monkeypatch.setattr(spool, "PIECE_BYTES", 1_000)
    filled = Spool()
    for at in range(0, len(DATA), 7_777):
        filled.write(DATA[at : at + 7_777])
    return filled


def test_bytes_are_taken_from_the_beginning_and_added_at_the_end(filled):
    taken = b"".join(filled.take(100_001))
    filled.write(b"more")
    assert taken == DATA[:100_001]
    assert filled.size_bytes == len(DATA) - 100_001 + 4
    assert b"".join(filled.chunks()) == b"".join(filled.take(filled.size_bytes)) == DATA[100_001:] + b"more"
    assert (filled.size_bytes, list(filled.chunks())) == (0, [])


def test_several_threads_read_the_same_bytes_at_the_same_time(filled):
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda _: b"".join(filled.chunks()), range(40)))
    assert set(read) == {DATA}
