"""The command line: one line, then serves until told to stop."""

from __future__ import annotations

import argparse
import http.client
import json
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from airflow_provider_honeyhive.sandbox import Sandbox, command
from airflow_provider_honeyhive.sandbox.command import add_arguments
from airflow_provider_honeyhive.sandbox.data.traces import project_id
from tests.unit.programs import modules_loaded_by

COMMAND = [sys.executable, "-m", "airflow_provider_honeyhive.sandbox"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_serves_and_stops_on_a_signal(number: signal.Signals) -> None:
    options = ["--events", "20", "--project", "shop", "--key", "hh_mine", "--endpoints", "search,export", "--verbose"]
    with subprocess.Popen([*COMMAND, *options, "--start", "2026-05-01"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        line = process.stdout.readline()
        found = re.fullmatch(
            r"HoneyHive sandbox url=http://127\.0\.0\.1:(\d+) project=shop key=hh_mine "
            rf"project_id={project_id('shop')} data_plane_key=hh_fgdp_\w+ events=20 "
            r"window=2026-05-01T00:00:00\+00:00/2026-05-02T00:00:00\+00:00\n",
            line,
        )
        if not found:
            process.kill()
        assert found, line
        uses = [process.stdout.readline() for _ in range(6)]
        connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=5)
        for path, status in (("/v1/events/search", 200), ("/events/export", 404)):
            connection.request("POST", path, b"{}", {"Authorization": "Bearer hh_mine"})
            answer = connection.getresponse()
            answer.read()
            assert answer.status == status
        process.send_signal(number)
        rest = process.stdout.read()
    assert process.returncode == 0
    assert [use[0] for use in uses] == ["#", "e", "#", "e", "#", "c"]
    assert rest == "1 POST /v1/events/search -> 200, 20 events\n2 POST /events/export -> 404, 0 events\n"


def served(*options: str) -> tuple[subprocess.Popen[str], list[str]]:
    """Start a sandbox; return it and the lines that it prints at first."""
    process = subprocess.Popen([*COMMAND, *options], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    return process, [process.stdout.readline() for _ in range(7)]


def test_what_it_prints_at_first_can_be_pasted_into_a_shell() -> None:
    process, (_, *lines) = served("--events", "30", "--project", "it's", "--key", "hh_'mine")
    try:
        show = 'printf "%s\\n" "$AIRFLOW_CONN_HONEYHIVE_DEFAULT" "$HH_API_URL" "$HH_API_KEY"'
        script = "\n".join([*lines, show])
        done = subprocess.run(
            ["/bin/bash", "-eu", "-c", script], capture_output=True, text=True, check=True, timeout=60
        )
    finally:
        process.terminate()
        process.communicate(timeout=30)
    page, _, rest = done.stdout.rpartition("}{")
    page, rest = (page + "}", "{" + rest) if page else done.stdout.split("\n", 1)
    connection, url, key = rest.splitlines()
    found = json.loads(connection)
    assert (found["host"], found["password"], found["extra"]) == (url, key, {"project": "it's"})
    assert key == "hh_'mine"
    assert len(json.loads(page)["events"]) == 1


def test_events_arrive_while_it_serves_and_a_line_says_how_many() -> None:
    process, _ = served("--events", "30", "--live", "5/min", "--late", "100%", "--feedback", "100%")
    assert process.stdout
    line = process.stdout.readline()
    process.terminate()
    process.communicate(timeout=30)
    found = re.fullmatch(r"\d\d:\d\d:\d\d arrived: events=(\d+) sessions=1 late=(\d+) feedback=(\d+)\n", line)
    assert found, line
    assert found[1] == found[2] == found[3]
    assert process.returncode == 0


def test_the_log_of_requests_does_not_grow_for_days(monkeypatch: pytest.MonkeyPatch) -> None:
    logs = []
    monkeypatch.setattr(command, "KEPT_REQUESTS", 2)
    monkeypatch.setattr(command.signal, "signal", lambda *_: None)

    def serve(sandbox: Sandbox) -> None:
        for _ in range(5):
            sandbox.handle("POST", "/events/export", {}, b"{}")
            logs.append([request.number for request in sandbox.requests])

    monkeypatch.setattr(Sandbox, "serve_forever", serve)
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert command.run(parser.parse_args(["--events", "1"])) == 0
    assert logs == [[1], [1, 2], [2, 3], [3, 4], [4, 5]]


@pytest.mark.parametrize("option", ["--late", "--feedback"])
def test_shares_of_what_does_not_arrive_are_refused(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert command.run(parser.parse_args([option, "2%"])) == 2
    assert capsys.readouterr().err == f"error: {option} needs --live, such as --live 5/min\n"


@pytest.mark.parametrize(("text", "per_second"), [("5/s", 5), ("30/min", 0.5), ("1.8/hour", 0.0005), ("6000/min", 100)])
def test_rates_are_events_per_second_minute_or_hour(text: str, per_second: float) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert parser.parse_args(["--live", text]).live == pytest.approx(per_second)


@pytest.mark.parametrize(
    ("option", "text", "error"),
    [
        *(("--live", text, "not a rate: write a number above 0") for text in ("5", "-1/min", "0/s", "101/s", "5/day")),
        *(("--late", text, "not a share: write a number from 0 to 100") for text in ("200%", "0.02", "-1%", "100.5%")),
        ("--feedback", "many", "not a share"),
        ("--events", "-1", "not a number of events"),
    ],
)
def test_bad_numbers_are_refused_with_how_to_write_them(
    option: str, text: str, error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    with pytest.raises(SystemExit):
        parser.parse_args([f"{option}={text}"])
    assert f"argument {option}: {error}" in capsys.readouterr().err


@pytest.mark.parametrize("options", [["--start", "soon"], ["--endpoints", "serch"], ["--events", "many"]])
def test_bad_options_are_refused(options: list[str]) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(options)


def test_times_without_a_zone_are_utc() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert parser.parse_args(["--end", "2026-05-01"]).end == datetime(2026, 5, 1, tzinfo=UTC)


def test_the_sandbox_needs_the_standard_library_only() -> None:
    loaded = modules_loaded_by("import airflow_provider_honeyhive.sandbox.command")
    packages = {name.partition(".")[0] for name in loaded}
    assert packages - sys.stdlib_module_names == {"airflow_provider_honeyhive"}
    ours = {name for name in loaded if name.startswith("airflow_p") and ".sandbox" not in name}
    assert ours == {"airflow_provider_honeyhive", "airflow_provider_honeyhive.display"}
