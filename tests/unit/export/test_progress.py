"""The log says how an export is getting on, at human pace."""

from __future__ import annotations

import logging
import threading

from airflow_provider_honeyhive.export.progress import INTERVAL_S, Progress


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def begun(total: int | None, done: int = 0) -> tuple[Clock, Progress]:
    clock = Clock()
    progress = Progress(clock=clock)
    # What is looked up before the first event is not reading.
    clock.now = 1_000.0
    progress.begin(total, done)
    return clock, progress


def test_a_line_names_events_bytes_rate_share_and_time_left():
    clock, progress = begun(40_000)
    progress.add(10_000, 25_000_000)
    clock.now += 20.0
    assert progress.line() == "10,000 events, 25.0 MB, 500 events/s, 25% done, about 1 min 00 s left"


def test_without_a_total_there_is_no_share():
    clock, progress = begun(None)
    progress.add(10, 1_000_000)
    clock.now += 2.0
    assert progress.line() == progress.summary() == "10 events, 1.0 MB, 5 events/s"


def test_what_an_earlier_try_has_staged_counts_for_the_share_and_not_for_the_rate():
    clock, progress = begun(40_000, done=20_000)
    progress.add(10_000, 25_000_000)
    clock.now += 20.0
    assert progress.line() == (
        "30,000 events (20,000 of them by an earlier try), 25.0 MB, 500 events/s, 75% done, about 20 s left"
    )


def test_hours_are_told_as_hours():
    clock, progress = begun(1_000_000)
    progress.add(1_000, 1_000)
    clock.now += 10.0
    assert progress.line().endswith("0% done, about 2 h 46 min left")


def test_more_events_than_the_server_reported_are_not_more_than_all():
    clock, progress = begun(100)
    progress.add(103, 1_000)
    clock.now += 1.0
    assert progress.line().endswith("100% done, about 0 s left")


def test_the_clock_stops_at_the_first_end():
    clock, progress = begun(None)
    progress.add(100, 1_000_000)
    clock.now += 10.0
    progress.end()
    clock.now += 90.0
    progress.end()
    assert progress.summary() == "100 events, 1.0 MB, 10 events/s"


def test_an_end_without_a_beginning_is_fine():
    progress = Progress(clock=Clock())
    progress.end()
    assert progress.summary() == "0 events, 0.0 MB, 0 events/s"


def test_the_log_gets_a_line_now_and_then_only(caplog):
    caplog.set_level(logging.INFO)
    clock, progress = begun(None)
    for _ in range(100):
        clock.now += INTERVAL_S / 10
        progress.show()
    assert len(caplog.records) == 10
    assert caplog.messages[0] == "Exporting: 0 events, 0.0 MB, 0 events/s"


def test_readers_count_side_by_side():
    _, progress = begun(None)

    def read() -> None:
        for _ in range(10_000):
            progress.add(1, 2)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert (progress.event_count, progress.size_bytes) == (40_000, 80_000)
