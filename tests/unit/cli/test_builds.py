"""The commands that build: which exports they read, what they print, how they fail."""

from __future__ import annotations

import json
import os
import re
import signal

import pytest

from airflow_provider_honeyhive.build_manifest import BuildManifest
from airflow_provider_honeyhive.builds.stopping import BuildStop
from airflow_provider_honeyhive.cli.main import main
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.models.request import ExportRequest
from airflow_provider_honeyhive.models.window import Window
from tests.unit.programs import last_line_of


@pytest.fixture
def exports(client, tmp_path):
    """Publish exports of two days, and return the folder that they are in."""
    for day in (Window.parse("2026-11-22", "2026-11-23"), Window.parse("2026-11-23", "2026-11-24")):
        place = tmp_path / "exports" / f"{day.start:%Y-%m-%d}"
        export_events(client, ExportRequest.parse(project="demo", window=day), place, ExportOptions())
    return tmp_path / "exports"


def run(capsys, *words):
    """Run a command; return its exit code, and what it has printed."""
    code = main(list(map(str, words)))
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_tables_of_one_export_go_where_placeholders_say(capsys, exports, tmp_path):
    output = f"{tmp_path}/tables/" + "{project}/{start:%Y-%m-%d}"
    code, out, err = run(capsys, "tables", "--exports", exports / "2026-11-22", "--output", output)
    assert code == 0, err
    built = BuildManifest.read(tmp_path / "tables" / "demo" / "2026-11-22")
    assert out.startswith(
        "Built tables of 1 export of project demo, window [2026-11-22T00:00:00.000Z, 2026-11-23T00:00"
    )
    assert f"in {built.url()}: rows: events: 300, " in out
    assert "INFO" in err


@pytest.mark.parametrize(
    ("names", "options", "count"),
    [
        (["2026-11-22"], [], 1),
        (["2026-11-22", "2026-11-23"], [], 2),
        (["."], ["--last", 1], 1),
        (["."], ["--last", 7, "--end", "2026-11-23"], 1),
        (["."], ["--start", "2026-11-22", "--end", "2026-11-24"], 2),
    ],
)
def test_exports_are_named_or_found_in_a_folder(capsys, exports, tmp_path, names, options, count):
    words = ["--exports", *(exports / name for name in names), *options, "--output", tmp_path / "tables"]
    code, out, err = run(capsys, "tables", *words, "--json", "--quiet")
    assert (code, err) == (0, "")
    built = BuildManifest.read(tmp_path / "tables")
    assert len(built.sources) == count
    assert json.loads(out) == built.summary()


def test_a_report_and_training_files_are_told_in_a_line(capsys, exports, tmp_path):
    day = exports / "2026-11-22"
    assert run(capsys, "tables", "--exports", day, "--output", tmp_path / "tables")[0] == 0
    code, out, _ = run(capsys, "report", "--tables", tmp_path / "tables", "--output", tmp_path / "report")
    assert (code, out) == (0, f"Report: {tmp_path}/report/report.html\n")
    code, out, _ = run(
        capsys,
        "dataset",
        "--exports",
        day,
        "--rows",
        "sessions",
        "--test-share",
        0.5,
        "--output",
        tmp_path / "training",
    )
    assert code == 0
    assert out.startswith("Built training files of 1 export of project demo, ")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--exports", "a", "--start", "2026-11-22"], "--end: got None; give both"),
        (["--exports", "a", "b", "--last", "1"], "--exports: got .*give one folder"),
        (["--exports", "a", "--last", "1", "--start", "2026-11-22"], "--start: got .*leave it out, or --last"),
        (["--exports", "a", "--last", "0"], "--last: got 0"),
        (["--exports", "~/a"], "--exports: got '~/a'"),
    ],
)
def test_options_that_do_not_fit_are_named(capsys, words, text):
    code, out, err = run(capsys, "tables", *words, "--output", "/built")
    assert (code, out) == (2, "")
    assert re.search(text, err)


def test_one_object_is_no_place(capsys, exports, tmp_path):
    code, _, err = run(capsys, "tables", "--exports", exports / "2026-11-22", "--output", tmp_path / "tables.parquet")
    assert code == 2
    assert "--output: got" in err
    assert "allowed: a folder" in err


def test_what_is_not_there_may_be_there_later(capsys, tmp_path):
    code, _, err = run(capsys, "report", "--tables", tmp_path / "tables", "--output", tmp_path / "report")
    assert code == 3
    assert "there is no manifest of a build" in err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("command", ["tables", "dataset"])
def test_a_signal_ends_a_build_in_order(capsys, monkeypatch, exports, tmp_path, command, number, code):
    check = BuildStop.check

    def check_after_a_signal(self):
        if not self.is_stopped:
            os.kill(os.getpid(), number)
        check(self)

    monkeypatch.setattr(BuildStop, "check", check_after_a_signal)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    words = ["--exports", exports / "2026-11-22", "--output", tmp_path / "built", "--temp-folder", scratch, "--quiet"]
    found, out, err = run(capsys, command, *words)
    assert (found, out) == (code, "")
    assert err == f"stopped by {number.name}; nothing was published\n"
    assert not list(scratch.iterdir())
    assert not (tmp_path / "built").exists() or not list((tmp_path / "built").iterdir())


def test_builds_do_without_libraries_that_their_extra_does_not_bring(exports, tmp_path):
    program = """
import sys
sys.modules |= dict.fromkeys(("airflow", "numpy", "pandas", "polars"))
from airflow_provider_honeyhive.builds.stopping import BuildStop
from airflow_provider_honeyhive.cli.main import main
exports, folder = sys.argv[1:]
for words in (
    ["tables", "--exports", exports, "--output", f"{folder}/tables"],
    ["dataset", "--exports", exports, "--output", f"{folder}/dataset"],
    ["report", "--tables", f"{folder}/tables", "--output", f"{folder}/report"],
):
    assert main(words) == 0, words
"""
    assert last_line_of(program, str(exports / "2026-11-22"), str(tmp_path)) == f"Report: {tmp_path}/report/report.html"


@pytest.mark.parametrize("command", ["tables", "dataset", "report"])
def test_help_imports_nothing_that_only_the_command_needs(command):
    program = """
import json, sys
from airflow_provider_honeyhive.builds.stopping import BuildStop
from airflow_provider_honeyhive.cli.main import main
try:
    main([sys.argv[1], "--help"])
except SystemExit as end:
    assert not end.code
print(json.dumps(sorted(sys.modules)))
"""
    loaded = set(json.loads(last_line_of(program, command)))
    assert not {"airflow", "altair", "duckdb", "pyarrow", "requests"} & loaded
