"""The command line, as it is typed: exports, verification, exit codes, help; without Airflow."""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_honeyhive import __version__
from airflow_provider_honeyhive.api.connection_form import DEFAULT_API_URL
from airflow_provider_honeyhive.cli import main as cli
from airflow_provider_honeyhive.cli.connection import KEY_VARIABLES, URL_VARIABLES
from airflow_provider_honeyhive.cli.terminal import MEANINGS
from airflow_provider_honeyhive.exceptions import DestinationError
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.models.export_facts import ProjectName
from airflow_provider_honeyhive.models.layout import FORMATS
from airflow_provider_honeyhive.sandbox import Behaviour, Fault
from airflow_provider_honeyhive.storage.local import LocalStore
from tests.unit.export.test_exporter import DAY, GENERATED, ids
from tests.unit.programs import last_line_of
from tests.unit.said import SHAPES, Speaker, heard
from tests.unit.storage.test_stores import bucket, s3  # noqa: F401 - fixtures

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_honeyhive.sandbox import Sandbox

KEY = "hh_sandbox"
COMMAND = [sys.executable, "-m", "airflow_provider_honeyhive"]
WINDOW = ["--start", "2026-11-22", "--end", "2026-11-23"]


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*KEY_VARIABLES, *URL_VARIABLES, "AIRFLOW_CONN_HONEYHIVE_DEFAULT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def serve(sandbox_with: Callable[..., Sandbox], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Sandbox]:
    """Give a function that starts a sandbox, and sets the environment to it."""

    def serve(*args: Any, **kwargs: Any) -> Sandbox:
        sandbox = sandbox_with(*args, **{**GENERATED, **kwargs})
        monkeypatch.setenv("HH_API_KEY", KEY)
        monkeypatch.setenv("HH_API_URL", sandbox.url)
        return sandbox

    return serve


@pytest.fixture
def sandbox(serve: Callable[..., Sandbox]) -> Sandbox:
    """Serve 300 events of the day, and set the environment to them."""
    return serve()


def export(output: Path | str, *more: str, project: str = "demo") -> int:
    return cli.main(["export", "--project", project, *WINDOW, "--output", str(output), *more])


def actions(command: str) -> list[argparse.Action]:
    parser = cli.build_parser()
    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return commands.choices[command]._actions


def help_of(*words: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as caught:
        cli.main([*words, "--help"])
    assert caught.value.code == 0
    return " ".join(capsys.readouterr().out.split())


# -------------------------------------------------------------------------------------------- help


@pytest.mark.parametrize("command", ["export", "verify", "cleanup", "sandbox"])
def test_every_option_is_in_the_help_with_its_meaning(command, capsys):
    text = help_of(command, capsys=capsys)
    for action in actions(command):
        assert action.help
        for name in action.option_strings or [action.metavar]:
            assert name in text


@pytest.mark.parametrize("command", ["export", "verify", "cleanup"])
def test_every_option_says_its_default_or_that_it_is_required(command):
    for action in actions(command):
        if action.option_strings and "--help" not in action.option_strings:
            assert ("(required)" in action.help) == action.required, action.option_strings
            assert action.required or "(default: " in action.help, action.option_strings


def test_numbers_and_names_in_the_help_are_the_codes(capsys):
    text = help_of("export", capsys=capsys)
    for fact in (
        "(default: 128MiB)",
        "1 to 64 (default: 4)",
        "1 to 7500",
        "else jsonl)",
        "else the first of the format)",
        DEFAULT_API_URL,
        *(f"for {name} {', '.join(compressions)}" for name, compressions in FORMATS.items()),
    ):
        assert fact in text
    for name in ("HH_API_KEY", "HH_API_URL", "AIRFLOW_CONN_HONEYHIVE_DEFAULT"):
        assert name in text


@pytest.mark.parametrize("words", [[], ["export"], ["verify"], ["cleanup"]])
def test_every_exit_code_is_in_the_help(words, capsys):
    text = help_of(*words, capsys=capsys)
    for code, meaning in MEANINGS.items():
        assert f" {code} {meaning}" in text


def test_it_tells_its_version(capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"{__version__}\n"


# ------------------------------------------------------------------------------------ what is loaded


def modules_after(*commands: list[str]) -> set[str]:
    """Return the top-level modules that a process has loaded after commands."""
    code = (
        "import json, sys\n"
        "from airflow_provider_honeyhive.cli.main import main\n"
        "for command in json.loads(sys.argv[1]):\n"
        "    try: assert main(command) == 0\n"
        "    except SystemExit: pass\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))\n"
    )
    return set(json.loads(last_line_of(code, json.dumps(commands))))


def test_help_and_version_load_nothing_heavy():
    loaded = modules_after(["--version"], ["--help"], ["export", "--help"], ["verify", "--help"], ["cleanup", "--help"])
    assert not loaded & {"airflow", "pyarrow", "pydantic", "requests", "msgspec", "tenacity", "tqdm", "fsspec", "upath"}


def test_no_command_loads_airflow_or_pyarrow(sandbox, tmp_path):
    output = str(tmp_path / "out")
    command = ["export", "--project", "demo", *WINDOW, "--output", output]
    loaded = modules_after(command, ["verify", output], [*command[:-1], f"file://{output}/again"])
    assert "requests" in loaded
    assert not loaded & {"airflow", "pyarrow", "pandas"}


# ------------------------------------------------------------------------------------------- export


def test_an_export_lands_and_its_last_line_says_what_it_is(sandbox, tmp_path, capsys):
    assert export(tmp_path / "out") == 0
    assert Counter(ids(tmp_path / "out")) == Counter(sandbox.event_ids(DAY.start, DAY.end))
    size = Manifest.read(tmp_path / "out").size_bytes / 1e6
    assert capsys.readouterr().out == (
        "Exported 300 events of project demo, window [2026-11-22T00:00:00.000Z, 2026-11-23T00:00:00.000Z), "
        f"to {tmp_path / 'out'}: files: 1, {size:.1f} MB\n"
    )


@pytest.mark.parametrize("name", ["out", "day.jsonl"])
def test_json_says_what_the_operator_returns(sandbox, tmp_path, capsys, name):
    assert export(tmp_path / name, "--json") == 0
    manifest = Manifest.read(tmp_path / name)
    folder = tmp_path / "out" if name == "out" else tmp_path
    assert json.loads(capsys.readouterr().out) == {
        "output_path": str(tmp_path / name),
        "manifest_path": str(tmp_path / ("out/_manifest.json" if name == "out" else "day.jsonl.manifest.json")),
        "event_count": 300,
        "reported_total": 300,
        "size_bytes": manifest.size_bytes,
        "file_count": 1,
        "file_format": "jsonl",
        "compression": "gzip" if name == "out" else "none",
        "files": [str(folder / part.path) for part in manifest.files],
        "start_time": "2026-11-22T00:00:00.000Z",
        "end_time": "2026-11-23T00:00:00.000Z",
        "project": "demo",
    }


def test_placeholders_in_the_path_are_filled(sandbox, tmp_path, capsys):
    assert export(f"{tmp_path}/{{project}}/{{start:%Y/%m}}/until-{{end:%Y-%m-%d}}/{{{{x}}}}/", "--json") == 0
    folder = tmp_path / "demo" / "2026" / "11" / "until-2026-11-23" / "{x}"
    assert json.loads(capsys.readouterr().out)["output_path"] == str(folder)
    assert len(ids(folder)) == 300


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("{ds}", "{ds} is no placeholder; allowed in braces: {start} and {end}"),
        ("{start:%Y-%m}", "it names only the month of this window, and the next one would have the same path"),
    ],
)
def test_a_path_that_placeholders_cannot_fill_is_an_error_before_the_first_request(
    sandbox, tmp_path, capsys, path, problem
):
    output = f"{tmp_path}/{path}/"
    assert export(output) == 2
    error = capsys.readouterr().err
    assert "--output: got" in error
    assert problem in error
    assert sandbox.requests == []


def test_conditions_fields_and_experiment_go_over_the_wire(sandbox, tmp_path):
    status = export(
        tmp_path / "out",
        *("--filter", '{"field": "event_type", "operator": "is", "value": "model"}'),
        *("--filter", '[{"field": "duration", "operator": "greater than", "value": 5}]'),
        *("--projection", "inputs", "--projection", "outputs"),
        *("--evaluation-id", "run-1"),
    )
    assert status == 0
    body = sandbox.requests[0].body
    assert [(item["field"], item["operator"], item["value"]) for item in body["filters"]] == [
        ("event_type", "is", "model"),
        ("duration", "greater than", 5),
    ]
    assert {"inputs", "outputs"} <= set(body["projections"])
    assert body["evaluation_id"] == "run-1"
    facts = Manifest.read(tmp_path / "out").request
    assert (facts.projections, facts.evaluation_id, len(facts.filters)) == (["inputs", "outputs"], "run-1", 2)


def test_numbers_reach_the_export(serve, tmp_path):
    sandbox = serve(count=3_000, behaviour=Behaviour(latency=0.01))
    assert export(tmp_path / "out", "--page-size", "150", "--concurrency", "2", "--max-file-size", "200kB") == 0
    assert max(request.body["limit"] for request in sandbox.requests) == 150
    assert sandbox.peak_in_flight == 2
    sizes = [part.size_bytes for part in Manifest.read(tmp_path / "out").files]
    assert len(sizes) > 1
    assert max(sizes) <= 220_000


def test_format_and_compression_are_those_asked_for(sandbox, tmp_path):
    assert export(tmp_path / "out", "--format", "jsonl", "--compression", "none") == 0
    (part,) = Manifest.read(tmp_path / "out").files
    assert part.path.endswith(".jsonl")


@pytest.mark.parametrize("output", ["{}/out", "{}/sub/../out", "../{name}/out", "out", "file://{}/out"])
def test_output_may_be_written_in_every_way_a_shell_knows(sandbox, tmp_path, monkeypatch, capsys, output):
    monkeypatch.chdir(tmp_path)
    output = output.format(tmp_path, name=tmp_path.name)
    assert export(output) == 0
    assert len(ids(tmp_path / "out")) == 300
    assert cli.main(["verify", output]) == 0


def test_the_project_may_be_the_connection_s(sandbox, tmp_path, capsys):
    arguments = ["export", *WINDOW, "--output", str(tmp_path / "out")]
    assert cli.main([*arguments, "--connection-uri", "honeyhive://?project=demo"]) == 0
    assert cli.main(arguments) == 2
    assert "error: --project: got None; give it, or a connection with the extra 'project'" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["--connection-uri", "AIRFLOW_CONN_HONEYHIVE_DEFAULT"])
def test_a_connection_brings_key_url_and_extras(sandbox_with, tmp_path, monkeypatch, form):
    sandbox = sandbox_with(key="hh_a/b", **GENERATED)
    place = sandbox.url.removeprefix("http://")
    uri = f"honeyhive://:hh_a%2Fb@{place}/http?endpoint=search"
    monkeypatch.setenv("AIRFLOW_CONN_HONEYHIVE_DEFAULT", uri)
    assert export(tmp_path / "out", *(["--connection-uri", uri] if form.startswith("--") else [])) == 0
    assert {request.path for request in sandbox.requests} == {"/v1/events/search"}


def test_it_writes_to_an_object_store_and_verifies_there(sandbox, bucket, monkeypatch):  # noqa: F811
    for name, value in (
        ("ENDPOINT_URL", bucket.s3.meta.endpoint_url),
        ("ACCESS_KEY_ID", "a"),
        ("SECRET_ACCESS_KEY", "b"),
    ):
        monkeypatch.setenv(f"AWS_{name}", value)
    folder = f"{bucket.shown_url}/out"
    url = f"{folder}/2026-11-22/"
    exported = subprocess.run(
        [*COMMAND, "export", "--project", "demo", *WINDOW, "--output", url, "--quiet", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (exported.returncode, exported.stderr) == (0, "")
    assert json.loads(exported.stdout)["manifest_path"] == f"{url}_manifest.json"
    verified = subprocess.run([*COMMAND, "verify", folder], capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stderr) == (0, "")
    assert verified.stdout.startswith(f"ok     {folder}/2026-11-22: 300 events in 1 files, [2026-11-22T00")


# --------------------------------------------------------------------------------------- exit codes


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--start", "soon"], "error: --start: got 'soon'; allowed: a datetime"),
        (["--exclude", "inputs", "--projection", "inputs"], "got 'inputs'; --projection asks to keep this field"),
        (
            ["--exclude", "metadata.page_size", "--redact", "metadata.page_size"],
            "--redact: got 'metadata.page_size'; --exclude takes out 'metadata.page_size': what",
        ),
        (["--end", "2026-11-21"], "error: --end: got '2026-11-21T00:00:00.000Z'; it must be after --start, 2026-11"),
        (["--filter", "{}", "--filter", "{"], "error: --filter (number 1): got {}; field: Field required"),
        (["--filter", '{"field": "a", "operator": "exists"}', "--filter", "{"], "error: --filter (number 2): got '{'"),
        (["--filter", "[1]"], "error: --filter (number 1[0]): got 1; allowed: an EventFilter, a dict"),
        (["--filter", ""], "argument --filter: must not be empty"),
        (["--projection", " "], "argument --projection: must not be empty"),
        (["--project", ""], "argument --project: must not be empty"),
        (["--evaluation-id", ""], "argument --evaluation-id: must not be empty"),
        (["--output", ""], "argument --output: must not be empty"),
        (["--output", "x.csv.gz2", "--format", "xml"], "argument --format: invalid choice: (not shown) (choose from"),
        (["--output", "x.zip"], "error: --output: "),
        (
            ["--output", "x.jsonl", "--compression", "gzip"],
            "error: --compression: got 'gzip'; --output ends in '.jsonl'",
        ),
        (["--output", "nowhere://x"], "error: --output: got 'nowhere://x'; it cannot be reached: "),
        (["--output", "s3://bucket/../x"], "error: --output: got 's3://bucket/../x'; it must not climb"),
        (["--concurrency", "65"], "error: --concurrency: got 65; allowed: a whole number from 1 to 64"),
        (["--concurrency", "many"], "argument --concurrency: invalid int value: (not shown)"),
        (["--page-size", "0"], "error: --page-size: got 0; allowed: a whole number from 1 to 7500"),
        (["--min-events", "-1"], "error: --min-events: got -1; allowed: a whole number from 0 on"),
        (["--on-unmatched", "error"], "argument --on-unmatched: invalid choice: (not shown) (choose from"),
        (["--max-file-size", "0"], "error: --max-file-size: got 0; allowed: a whole number from 1 on"),
        (["--max-file-size", "1TB"], "argument --max-file-size: no size; allowed: bytes"),
        (["--colour"], "unrecognized arguments: --colour"),
        (["--start-time", "2026-11-22"], "unrecognized arguments: --start-time"),
        (["--conn", "x"], "unrecognized arguments: --conn"),
    ],
)
def test_wrong_usage_is_two_names_the_option_and_asks_nobody(sandbox, tmp_path, monkeypatch, capsys, more, message):
    monkeypatch.chdir(tmp_path)
    try:
        code = export(tmp_path / "out", *more)
    except SystemExit as wrong:
        code = wrong.code
    assert code == 2
    assert message in capsys.readouterr().err
    assert not sandbox.requests
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1000", 1_000),
        ("1000B", 1_000),
        ("500kB", 500_000),
        ("5 MB", 5_000_000),
        ("1.5GB", 1_500_000_000),
        ("64kib", 65_536),
        ("128MiB", 134_217_728),
        ("2GiB", 2_147_483_648),
    ],
)
def test_sizes_may_have_units(text, size):
    arguments = ["export", *WINDOW, "--output", "x", "--max-file-size", text]
    assert cli.build_parser().parse_args(arguments).max_file_size == size


def test_no_key_is_wrong_usage(tmp_path, capsys):
    assert export(tmp_path / "out") == 2
    assert capsys.readouterr().err.startswith("error: HH_PROJECT_API_KEY: got None; set it")


@pytest.mark.parametrize("endpoint", ["project-export", "project-search"])
def test_a_data_plane_key_and_an_id_are_all_it_takes(serve, tmp_path, monkeypatch, endpoint):
    sandbox = serve(behaviour=Behaviour(endpoints=frozenset([endpoint])))
    monkeypatch.delenv("HH_API_KEY")
    monkeypatch.setenv("HH_DATA_PLANE_API_KEY", sandbox.data_plane_key)
    assert export(tmp_path / "out", project=sandbox.project_id) == 0
    manifest = Manifest.read(tmp_path / "out")
    assert (manifest.event_count, manifest.project, manifest.request.endpoint) == (300, sandbox.project_id, endpoint)
    assert manifest.project_names == [ProjectName(name="demo", id=sandbox.project_id)]


@pytest.mark.parametrize(
    ("generation", "said"), [("today", "HTTP 404: check the API key"), ("older", "HTTP 401: the API key")]
)
def test_a_refused_key_is_named_by_its_variable(serve, tmp_path, monkeypatch, capsys, generation, said):
    serve(behaviour=Behaviour(generation=generation))
    monkeypatch.setenv("HH_PROJECT_API_KEY", "hh_wrong")
    assert export(tmp_path / "out") == 1
    assert f"{said} of HH_PROJECT_API_KEY" in capsys.readouterr().err


@pytest.mark.parametrize("key", ["hh_wrong", "hh_ingst_x"])
def test_a_key_that_may_not_read_is_one(sandbox, tmp_path, monkeypatch, capsys, key):
    monkeypatch.setenv("HH_API_KEY", key)
    assert export(tmp_path / "out") == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert "error: " in output.err
    assert key not in output.err.replace("hh_ingst_…", "")


def test_a_destination_that_is_taken_is_one_and_asks_nobody(sandbox, tmp_path, capsys):
    assert export(tmp_path / "out") == 0
    sandbox.requests.clear()
    assert export(tmp_path / "out", "--no-replace") == 1
    assert export(tmp_path / "out", "--start", "2026-11-21") == 1
    assert capsys.readouterr().err.count("error: ") == 2
    assert not sandbox.requests


def test_a_second_export_of_the_same_window_replaces_the_first(sandbox, tmp_path):
    assert export(tmp_path / "out") == export(tmp_path / "out") == 0
    assert cli.main(["verify", str(tmp_path / "out")]) == 0


@pytest.mark.parametrize("fault", [Fault.answer(503), Fault.reset(), Fault.answer(429)], ids=["503", "reset", "429"])
def test_what_may_pass_is_three_and_the_same_command_succeeds_later(sandbox, tmp_path, capsys, fault):
    sandbox.faults.append(fault)
    command = [tmp_path / "out", "--connection-uri", "honeyhive://?max_retries=0"]
    assert export(*command) == 3
    assert "error: " in capsys.readouterr().err
    assert export(*command) == 0


def test_too_few_events_are_three_since_more_may_come(sandbox, tmp_path, capsys):
    assert export(tmp_path / "out", "--min-events", "301") == 3
    assert "at least 301" in capsys.readouterr().err
    assert export(tmp_path / "out", "--min-events", "300") == 0


def test_a_path_that_matches_nothing_is_warned_of_or_is_one_and_publishes_nothing(sandbox, tmp_path, capsys):
    asked = ["--exclude", "inputs", "--exclude", "inputz.text"]
    assert export(tmp_path / "out", *asked, "--on-unmatched", "fail") == 1
    assert "on_unmatched='warn': inputz.text" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert export(tmp_path / "out", *asked) == 0
    assert "match nothing in any event, so nothing was left out for them: inputz.text" in capsys.readouterr().err
    assert Manifest.read(tmp_path / "out").unmatched_fields == ["inputz.text"]


def test_a_destination_that_cannot_be_written_is_three(sandbox, tmp_path, capsys):
    (tmp_path / "file").touch()
    assert export(tmp_path / "file" / "out") == 3
    assert "error: cannot " in capsys.readouterr().err


# --------------------------------------------------------------------------------------- interrupted


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_export_says_so_and_the_same_command_goes_on(serve, tmp_path, number, code):
    sandbox = serve(count=6_000, behaviour=Behaviour(latency=0.03))
    output = tmp_path / "out"
    command = [*COMMAND, "export", "--project", "demo", *WINDOW, "--output", str(output)]
    command += ["--page-size", "100", "--max-file-size", "100kB", "--concurrency", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + 60
        while len(sandbox.requests) < 30 and process.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (code, "")
    assert err.splitlines()[-1] == (
        f"stopped by {number.name} before the export was done. What is staged stays, and the same command goes on "
        "from there"
    )
    assert "Traceback" not in err
    assert [path.name[:9] for path in output.iterdir()] == ["_staging-"]

    read = sum(request.event_count for request in sandbox.requests)
    sandbox.behaviour = Behaviour()
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert "Going on from what an earlier try has staged" in again.stderr
    assert Counter(ids(output)) == Counter(sandbox.event_ids(DAY.start, DAY.end))
    assert sum(request.event_count for request in sandbox.requests) - read < 6_000
    assert cli.main(["verify", str(output)]) == 0


@pytest.mark.parametrize("command", ["export", "verify"])
def test_a_reader_of_the_output_that_goes_away_is_no_traceback(sandbox, tmp_path, monkeypatch, command):
    # As it is elsewhere, too: what is written last waits in a buffer until the end.
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    output = str(tmp_path / "out")
    assert export(output) == 0
    words = {"export": ["--quiet", "--project", "demo", *WINDOW, "--output", output], "verify": [output]}[command]
    with subprocess.Popen(
        [*COMMAND, command, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


def test_ctrl_c_elsewhere_is_no_traceback_either(sandbox, tmp_path, monkeypatch, capsys):
    assert export(tmp_path / "out") == 0

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(LocalStore, "chunks", interrupted)
    assert cli.main(["verify", str(tmp_path / "out")]) == 130
    assert capsys.readouterr().err.endswith("interrupted\n")


# ------------------------------------------------------------------------------------------ the key


@pytest.mark.parametrize(
    "more",
    [
        ["--connection-uri", "honeyhive://:hh_S3cr3t/x@127.0.0.1:9"],
        ["--connection-uri", '{"password": "hh_S3cr3t"'],
        ["--connection-uri", "honeyhive://:hh_S3cr3t@127.0.0.1:9/http?max_retries=0"],
        ["--connection-uri", "honeyhive://:hh_S3cr3t@127.0.0.1:9/http?timeout=x"],
        ["--connection", "honeyhive://:hh_S3cr3t@127.0.0.1:9"],
        ["--connection=honeyhive://:hh_S3cr3t@127.0.0.1:9"],
        ["--api-key", "hh_S3cr3t"],
        ["hh_S3cr3t"],
        ["--concurrency", "honeyhive://:hh_S3cr3t@127.0.0.1:9"],
    ],
)
def test_no_error_repeats_the_key(tmp_path, capsys, more):
    try:
        code = export(tmp_path / "out", *more)
    except SystemExit as wrong:
        code = wrong.code
    assert code in (2, 3)
    output = capsys.readouterr()
    assert output.err
    assert "S3cr3t" not in output.out + output.err


def test_no_log_line_repeats_the_key(sandbox, tmp_path, capsys):
    sandbox.fault_at[2] = Fault.answer(503, {"message": f"your key is {KEY}"}, retry_after=0)
    assert export(tmp_path / "out") == 0
    output = capsys.readouterr()
    assert "WARNING Try 1 failed" in output.err
    assert KEY not in output.out + output.err


# ------------------------------------------------------------------------------------------- verify


@pytest.fixture
def folder_of_days(serve: Callable[..., Sandbox], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """Give a folder of three days that meet, 20 to 22 November."""
    serve(count=600, start=DAY.start.replace(day=20))
    for day in (20, 21, 22):
        window = ["--start", f"2026-11-{day}", "--end", f"2026-11-{day + 1}"]
        assert export(tmp_path / "days" / f"dt=2026-11-{day}", *window, "--quiet") == 0
    capsys.readouterr()
    return tmp_path / "days"


def test_a_folder_of_windows_that_meet_is_whole(folder_of_days, capsys):
    assert cli.main(["verify", str(folder_of_days)]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    *exports, last = output.out.splitlines()
    assert [line.partition(": ")[0] for line in exports] == [
        f"ok     {folder_of_days}/dt=2026-11-{day}" for day in (20, 21, 22)
    ]
    size = sum(Manifest.read(path).size_bytes for path in folder_of_days.iterdir())
    assert last == f"exports: 3, events: 600, files: 3, bytes: {size}, failed: 0, gaps: 0, overlaps: 0"


def test_several_paths_are_one_timeline_and_an_export_below_two_of_them_counts_once(folder_of_days, capsys):
    days = [folder_of_days / f"dt=2026-11-{day}" for day in (20, 21, 22)]
    assert cli.main(["verify", *map(str, (days[2], days[0], days[0], days[1] / "_manifest.json"))]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("exports: 3, events: 600, files: 3, ")
    assert cli.main(["verify", str(days[0]), str(days[2])]) == 1
    assert capsys.readouterr().err.startswith("gap: project 'demo': ")


def test_a_path_without_an_export_among_several_is_named_and_the_rest_is_verified(folder_of_days, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert cli.main(["verify", str(tmp_path / "empty"), str(folder_of_days)]) == 1
    output = capsys.readouterr()
    assert f"there is no manifest at or below {tmp_path / 'empty'}" in output.err
    assert "exports: 3, events: 600" in output.out


def lose(folder: Path) -> None:
    for path in (folder / "dt=2026-11-21").iterdir():
        path.unlink()


def double(folder: Path) -> None:
    (folder / "copies").mkdir()
    for path in (folder / "dt=2026-11-21").iterdir():
        (folder / "copies" / path.name).write_bytes(path.read_bytes())


@pytest.mark.parametrize(("harm", "kind"), [(lose, "gap"), (double, "overlap")])
def test_gaps_and_overlaps_are_failures_unless_allowed(folder_of_days, capsys, harm, kind):
    harm(folder_of_days)
    assert cli.main(["verify", str(folder_of_days)]) == 1
    output = capsys.readouterr()
    assert output.err.startswith(f"{kind}: project 'demo': ")
    assert "[2026-11-21T00:00:00.000Z, 2026-11-22T00:00:00.000Z)" in output.err
    assert f"{kind}s: 1" in output.out.splitlines()[-1]
    assert cli.main(["verify", str(folder_of_days), "--allow-gaps"]) == 0
    allowed = capsys.readouterr()
    assert allowed.err == ""
    assert f"\n{kind}: project 'demo': " in allowed.out


def test_a_bad_export_among_good_ones_is_named_and_the_rest_is_verified(folder_of_days, capsys):
    (part,) = (folder_of_days / "dt=2026-11-21").glob("part-*")
    part.write_bytes(part.read_bytes()[:-1] + b"X")
    assert cli.main(["verify", str(folder_of_days), "--allow-gaps"]) == 1
    output = capsys.readouterr()
    assert output.err.startswith(f"error: {folder_of_days}/dt=2026-11-21: {part.name}: ")
    assert [line[:6] for line in output.out.splitlines()[:3]] == ["ok    ", "FAILED", "ok    "]
    assert "failed: 1, gaps: 0" in output.out.splitlines()[-1]


def test_a_file_that_cannot_be_reached_is_three_and_one_where_something_is_wrong_too(
    folder_of_days, monkeypatch, capsys
):
    chunks = LocalStore.chunks

    def fail(self: LocalStore, name: str, *args: Any) -> Any:
        if "11-20" in self.url(name):
            raise DestinationError("cannot read it now")
        return chunks(self, name, *args)

    monkeypatch.setattr(LocalStore, "chunks", fail)
    assert cli.main(["verify", str(folder_of_days)]) == 3
    assert "error: " in capsys.readouterr().err
    (part,) = (folder_of_days / "dt=2026-11-21").glob("part-*")
    part.unlink()
    assert cli.main(["verify", str(folder_of_days)]) == 1


@pytest.mark.parametrize("path", ["nothing", "nothing/_manifest.json", "nothing.jsonl.gz", "empty"])
def test_where_there_is_no_export_there_is_nothing_to_trust(tmp_path, capsys, path):
    (tmp_path / "empty").mkdir()
    assert cli.main(["verify", str(tmp_path / path)]) == 1
    assert f"{tmp_path / path.partition('/')[0]}" in capsys.readouterr().err


def test_a_url_that_nothing_can_read_is_wrong_usage(capsys):
    assert cli.main(["verify", "nowhere://x"]) == 2
    assert capsys.readouterr().err.startswith("error: PATH: got 'nowhere://x'; it cannot be reached: ")


def test_without_content_nothing_that_was_said_is_exported_or_printed(serve, tmp_path, monkeypatch, capsys):
    speaker = Speaker(everywhere=True)
    sandbox = serve([], count=0)
    noon_us = DAY.start_us + 43_200_000_000
    sandbox.add(speaker.event(SHAPES[number % len(SHAPES)], number, noon_us) for number in range(1, 7))
    for secret in (None, "a long enough secret"):
        if secret:
            monkeypatch.setenv("HH_REDACT_SECRET", secret)
        path = tmp_path / f"{bool(secret)}.jsonl"
        assert export(path, "--no-content", "--json") == 0
        assert path.read_bytes().count(b"\n") == 6
        assert not heard(path.read_bytes())
        assert (b'"session_id":"hh_redacted:' in path.read_bytes()) is bool(secret)
    assert not heard("".join(capsys.readouterr()).encode())
