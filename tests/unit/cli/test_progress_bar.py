"""A terminal shows a bar: events of the total, MB, rate, time left."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import struct
import termios
import threading

import pytest
from tqdm import TMonitor

from airflow_provider_honeyhive.cli.progress_bar import ProgressBar


def frames(stream: io.StringIO) -> list[str]:
    """Return what was drawn, the latest last."""
    return [frame.strip() for frame in stream.getvalue().split("\r") if frame.strip()]


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def test_the_bar_tells_events_of_the_total_mb_rate_and_time_left(stream):
    bar = ProgressBar(stream)
    bar.begin(400)
    bar.add(100, 2_500_000)
    bar.show()
    shown = frames(stream)[-1]
    assert shown.startswith("25%|")
    assert "| 100/400 [" in shown
    assert "<" in shown
    assert "events/s" in shown
    assert shown.endswith("2.5 MB]")


def test_it_begins_where_an_earlier_try_ended(stream):
    ProgressBar(stream).begin(400, done=300)
    assert "| 300/400 [" in frames(stream)[-1]


def test_without_a_total_it_counts(stream):
    bar = ProgressBar(stream)
    bar.begin(None)
    bar.add(100, 2_500_000)
    bar.show()
    assert frames(stream)[-1].startswith("100 events [")


def test_more_events_than_the_server_reported_leave_it_a_bar(stream):
    bar = ProgressBar(stream)
    bar.begin(100)
    bar.add(103, 1_000)
    bar.show()
    assert "| 103/103 [" in frames(stream)[-1]


def test_each_show_draws_and_nothing_else_does(stream):
    bar = ProgressBar(stream)
    bar.show()
    assert not frames(stream)
    bar.begin(400)
    for _ in range(50):
        bar.add(1, 1)
    assert len(frames(stream)) == 1
    for _ in range(3):
        bar.show()
    assert len(frames(stream)) == 4


def test_the_end_shows_the_last_count_and_leaves_the_line(stream):
    bar = ProgressBar(stream)
    bar.begin(400)
    bar.add(400, 1_000)
    bar.end()
    bar.end()
    assert "| 400/400 [" in frames(stream)[-1]
    assert stream.getvalue().endswith("\n")
    bar.show()
    assert stream.getvalue().endswith("\n")


def test_an_end_without_a_beginning_draws_nothing(stream):
    ProgressBar(stream).end()
    assert stream.getvalue() == ""


def test_no_thread_watches_over_it(stream):
    ProgressBar(stream).begin(400)
    assert not any(isinstance(thread, TMonitor) for thread in threading.enumerate())


@pytest.mark.parametrize(("columns", "drawn"), [(60, 60), (120, 120), (0, 80)])
def test_it_fills_the_terminal_also_one_that_says_no_size(columns, drawn):
    reading_end, writing_end = pty.openpty()
    fcntl.ioctl(writing_end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with os.fdopen(writing_end, "w") as terminal:
        bar = ProgressBar(terminal)
        bar.begin(400)
        line = os.read(reading_end, 10_000).decode().strip("\r\n")
    os.close(reading_end)
    assert len(line) == drawn
