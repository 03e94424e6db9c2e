"""Ctrl-C and what is printed beside the result."""

from __future__ import annotations

import io
import logging
import os
import re
import signal
import sys

import pytest

from airflow_provider_honeyhive.cli.progress_bar import ProgressBar
from airflow_provider_honeyhive.cli.terminal import Signals, reporting
from airflow_provider_honeyhive.export.progress import Progress
from tests.unit.test_display import HOSTILE

log = logging.getLogger("airflow_provider_honeyhive.somewhere")


@pytest.fixture(autouse=True)
def log_as_without_airflow(monkeypatch):
    """Take away the handlers of Airflow, which other tests import and a command does not."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])


class Client:
    stops = 0

    def stop(self) -> None:
        self.stops += 1


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_stops_the_client_the_second_ends_at_once(first):
    client = Client()
    with Signals(client) as signals:
        os.kill(os.getpid(), first)
        assert (client.stops, signals.received) == (1, first)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        assert signals.received == first


def test_afterwards_signals_mean_what_they_meant_before():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with Signals(Client()):
        assert signal.getsignal(signal.SIGTERM) != before[1]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.parametrize(
    ("quiet", "shown"),
    [(False, ["INFO here", "WARNING slow", "ERROR bad"]), (True, ["ERROR bad"])],
)
def test_without_a_terminal_the_log_is_the_progress(monkeypatch, quiet, shown):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with reporting(quiet=quiet) as progress:
        assert type(progress) is Progress
        log.debug("never")
        log.info("here")
        log.warning("slow")
        log.error("bad")
    log.error("over")
    # Behind the time.
    lines = [line.split(" ", 2)[2] for line in sys.stderr.getvalue().splitlines()]
    assert lines == shown


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_lines_of_other_libraries_are_shown_as_ours_are(monkeypatch, stream):
    monkeypatch.setattr(sys, "stderr", stream())
    with reporting(quiet=False):
        # Pytest reports the line as it was, in UTF-8.
        logging.getLogger("another").warning("%s //u:S3cr3t@h", HOSTILE.replace("\ud800", ""))
    lines = sys.stderr.getvalue().splitlines()
    assert [line.strip("\r").isprintable() for line in lines] == [True]
    assert "S3cr3t" not in lines[0]


def test_on_a_terminal_there_is_a_bar_and_warnings_stand_above_it(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with reporting(quiet=False) as progress:
        assert isinstance(progress, ProgressBar)
        progress.begin(100)
        log.info("here")
        log.warning("slow")
        progress.add(50, 1)
        progress.show()
    shown = sys.stderr.getvalue()
    assert "here" not in shown
    # In a line of its own, in place of the bar, which is drawn again below.
    assert re.search(r"\r[\d-]+ [\d:,]+ WARNING slow\n.*\| 50/100 \[", shown, re.DOTALL)
    assert shown.endswith("\n")


def test_quiet_draws_no_bar_on_a_terminal_either(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with reporting(quiet=True) as progress:
        progress.begin(100)
        progress.show()
    assert sys.stderr.getvalue() == ""


def test_a_bar_ends_also_when_the_export_fails(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())

    def export() -> None:
        with reporting(quiet=False) as progress:
            progress.begin(100)
            raise ValueError("failed")

    with pytest.raises(ValueError, match="failed"):
        export()
    assert sys.stderr.getvalue().endswith("\n")


def test_the_log_is_as_it_was_afterwards():
    root, package = logging.getLogger(), logging.getLogger("airflow_provider_honeyhive")
    before = (list(root.handlers), package.level)
    with reporting(quiet=False):
        assert list(root.handlers) != before[0]
    assert (list(root.handlers), package.level) == before
