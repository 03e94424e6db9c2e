"""The command line: one line, then serves until told to stop."""

from __future__ import annotations

import argparse
import http.client
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime

import pytest

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
            rf"project_id={project_id('shop')} data_plane_key=hh_fgdp_\w+ events=21 "
            r"window=2026-05-01T00:00:00\+00:00/2026-05-02T00:00:00\+00:00\n",
            line,
        )
        if not found:
            process.kill()
        assert found, line
        connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=5)
        for path, status in (("/v1/events/search", 200), ("/events/export", 404)):
            connection.request("POST", path, b"{}", {"Authorization": "Bearer hh_mine"})
            answer = connection.getresponse()
            answer.read()
            assert answer.status == status
        process.send_signal(number)
        rest = process.stdout.read()
    assert process.returncode == 0
    assert rest == "1 POST /v1/events/search -> 200, 21 events\n2 POST /events/export -> 404, 0 events\n"


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
