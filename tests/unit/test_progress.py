"""The log says how an export is getting on, at human pace."""

from __future__ import annotations

import logging

from airflow_provider_honeyhive.progress import INTERVAL_S, Progress


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_line_names_events_bytes_rate_share_and_time_left():
    clock = Clock()
    progress = Progress(40_000, clock=clock)
    progress.add(10_000, 25_000_000)
    clock.now = 20.0
    assert progress.line() == "10,000 events, 25.0 MB, 500 events/s, 25% done, about 1 min 00 s left"


def test_without_a_total_there_is_no_share():
    clock = Clock()
    progress = Progress(clock=clock)
    progress.add(10, 1_000_000)
    clock.now = 2.0
    assert progress.line() == progress.summary() == "10 events, 1.0 MB, 5 events/s"


def test_hours_are_told_as_hours():
    clock = Clock()
    progress = Progress(1_000_000, clock=clock)
    progress.add(1_000, 1_000)
    clock.now = 10.0
    assert progress.line().endswith("0% done, about 2 h 46 min left")


def test_the_log_gets_a_line_now_and_then_only(caplog):
    caplog.set_level(logging.INFO)
    clock = Clock()
    progress = Progress(clock=clock)
    for _ in range(100):
        clock.now += INTERVAL_S / 10
        progress.log()
    assert len(caplog.records) == 10
