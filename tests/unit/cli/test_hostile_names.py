"""What is printed of folders, files, manifests and wrong usage: whole lines that print, and no key."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from airflow_provider_honeyhive import display
from airflow_provider_honeyhive.cli import main as cli
from airflow_provider_honeyhive.manifest import MANIFEST_NAME, Manifest
from tests.unit.cli.test_main import COMMAND, WINDOW, bare_environment, export, sandbox, serve  # noqa: F401 - fixtures
from tests.unit.test_display import HOSTILE, HOSTILE_SHOWN, no_secrets_of_other_tests  # noqa: F401 - fixture

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_honeyhive.sandbox import Sandbox

#: What a folder can be called; the byte is no UTF-8.
FOLDER = "dt=" + HOSTILE.replace("\x00", "").replace("\ud800", "\udcff")
FOLDER_SHOWN = "dt=" + HOSTILE_SHOWN.replace(r"\x00", "").replace(r"\ud800", r"\udcff")


@pytest.fixture(params=["ascii", "utf-8"])
def printed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    """Give a function that runs a command, and returns its exit code and what it prints, all of it plain.

    Stdout and stderr are strict about what they can encode.
    """

    def run(*words: object) -> tuple[int, str, str]:
        raws = {name: io.BytesIO() for name in ("stdout", "stderr")}
        with monkeypatch.context() as patch:
            for name, raw in raws.items():
                patch.setattr(sys, name, io.TextIOWrapper(raw, request.param, errors="strict", write_through=True))
            code = cli.main([str(word) for word in words])
            texts = [raw.getvalue().decode(request.param) for raw in raws.values()]
        assert_plain(*texts)
        return code, *texts

    return run


def assert_plain(*texts: str) -> None:
    for text in texts:
        assert all(line.isprintable() for line in text.split("\n")), ascii(text)
        assert not any(line.startswith("OK: fine") for line in text.split("\n"))


def forge(folder: Path, **facts: object) -> None:
    """Change what a manifest says."""
    path = folder / MANIFEST_NAME
    path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))


def test_verify_prints_names_of_folders_on_their_lines(sandbox, tmp_path, printed):  # noqa: F811
    for name in (FOLDER, "dt=2"):
        assert export(tmp_path / "days" / name, "--quiet") == 0
    # An overlap names both folders.
    code, out, err = printed("verify", tmp_path / "days")
    assert code == 1
    assert f"ok     {tmp_path}/days/{FOLDER_SHOWN}: 300 events in 1 files, [" in out
    assert len(out.splitlines()) == 2 + 1
    assert err.startswith("overlap: project 'demo': ")
    assert FOLDER_SHOWN in err


def test_verify_prints_problems_and_manifests_on_their_lines(sandbox, tmp_path, printed):  # noqa: F811
    assert export(tmp_path / FOLDER, "--quiet") == 0
    forge(tmp_path / FOLDER, project=HOSTILE, file_format=HOSTILE)
    code, out, err = printed("verify", tmp_path)
    assert code == 1
    assert f"FAILED {tmp_path}/{FOLDER_SHOWN}\n" in out
    assert err.startswith(f"error: {tmp_path}/{FOLDER_SHOWN}: ")


def test_verify_of_nothing_names_the_path_on_its_line(tmp_path, printed):
    (tmp_path / FOLDER).mkdir()
    assert printed("verify", tmp_path / FOLDER) == (
        1,
        "",
        f"error: there is no manifest at or below {tmp_path}/{FOLDER_SHOWN}\n",
    )


@pytest.mark.parametrize("options", [[], ["--delete"]])
def test_cleanup_prints_names_of_leftovers_on_their_lines(tmp_path, printed, options):
    staged = tmp_path / FOLDER / "_staging-0123456789abcdef-0123456789abcdef-01234567"
    new = tmp_path / FOLDER / f"_new-{'0' * 32}"
    staged.mkdir(parents=True)
    for path in (new, staged / "00000-00000-01234567"):
        path.write_text("half")
        os.utime(path, (time.time() - 8 * 86_400,) * 2)
    code, out, err = printed("cleanup", tmp_path, *options)
    assert (code, err) == (0, "")
    assert f"remove{'d' if options else ''} {FOLDER_SHOWN}/_new-" in out
    assert len(out.splitlines()) == int(out.splitlines()[-1].removeprefix("leftovers: ")) + 1


def test_an_export_prints_names_of_folder_and_project_on_one_line(serve, tmp_path, printed):  # noqa: F811
    project = "é漢\u202edemo"
    serve(project=project)
    code, out, err = printed("export", "--project", project, *WINDOW, "--output", tmp_path / FOLDER, "--quiet")
    assert code == 0
    assert f"to {tmp_path}/{FOLDER_SHOWN}: files: 1" in out
    assert (out.count("\n"), err) == (1, "")


def test_the_result_as_json_is_one_line_of_json_and_exact(sandbox, tmp_path, printed):  # noqa: F811
    _, out, _ = printed("export", "--project", "demo", *WINDOW, "--output", tmp_path / FOLDER, "--quiet", "--json")
    assert out.isascii()
    assert out.count("\n") == 1
    assert json.loads(out)["output_path"] == str(tmp_path / FOLDER)


def test_who_wrote_what_is_there_forges_no_line(sandbox, tmp_path, printed):  # noqa: F811
    assert export(tmp_path / "out", "--quiet") == 0
    facts = {"dag_id": HOSTILE, "task_id": "x" * 100_000, "run_id": HOSTILE, "try_number": 1}
    forge(tmp_path / "out", airflow=facts, project=HOSTILE + "x" * 100_000)
    code, _, err = printed("export", "--project", "demo", *WINDOW, "--output", tmp_path / "out", "--quiet")
    assert code == 1
    assert err.count(HOSTILE_SHOWN) == 2
    first, *facts = err.splitlines()
    assert "put {window_id} or {project} into it" in first
    assert len(facts) == 2
    assert all(fact.startswith("  ") for fact in facts)


def test_a_log_of_hostile_names_is_lines_that_print(sandbox, tmp_path, printed):  # noqa: F811
    _, _, err = printed("export", "--project", "demo", *WINDOW, "--output", tmp_path / FOLDER)
    assert FOLDER_SHOWN in err


def test_a_real_terminal_of_ascii_is_written_to_the_end(sandbox: Sandbox, tmp_path: Path) -> None:  # noqa: F811
    assert export(tmp_path / FOLDER, "--quiet") == 0
    done = subprocess.run(
        [*COMMAND, "verify", str(tmp_path)],
        env={**os.environ, "PYTHONIOENCODING": "ascii:strict", "LC_ALL": "C.UTF-8"},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(f"ok     {tmp_path}/{FOLDER_SHOWN}: 300 events".encode())
    assert Manifest.read(tmp_path / FOLDER).event_count == 300


# ------------------------------------------------------------------------------------------------ wrong usage

KEY = "hh_S3cr3t"
URI = f"honeyhive://:{KEY}@127.0.0.1:9/http?max_retries=0"
JSON = json.dumps(
    {"conn_type": "honeyhive", "password": KEY, "host": "http://127.0.0.1:9", "extra": {"max_retries": 0}}
)
#: A connection whose key does not say that it is one.
PLAIN = JSON.replace(KEY, "S3cr3t")

OPTIONS = (
    *("--project", "--start", "--end", "--filter", "--projection", "--exclude", "--redact", "--evaluation-id"),
    *("--sessions", "--output", "--format", "--compression", "--partition-by", "--max-file-size", "--min-events"),
    *("--on-unmatched", "--concurrency", "--page-size", "--connection-uri"),
)


@pytest.mark.parametrize("value", [KEY, URI, JSON, PLAIN, JSON[:-1], repr(JSON), f"x{URI}"])
@pytest.mark.parametrize("option", OPTIONS)
def test_no_option_repeats_a_key_that_was_meant_for_another(tmp_path, monkeypatch, capsys, option, value):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HH_API_URL", "http://127.0.0.1:9")
    # So that none reaches for a server, whatever else is right.
    tail = [] if option == "--connection-uri" else ["--connection-uri", "honeyhive://?max_retries=0"]
    try:
        code = export(tmp_path / "out", *tail, option, value)
    except SystemExit as wrong:
        code = wrong.code
    assert code in (1, 2, 3)
    output = capsys.readouterr()
    assert output.err
    assert "S3cr3t" not in output.out + output.err


@pytest.mark.parametrize(
    "words",
    [
        [KEY],
        [JSON],
        [f"--{KEY}"],
        [f"-p{KEY}"],
        [f"--api-key={KEY}"],
        ["--api-key", KEY],
        [f"--api_key_{KEY}"],
        ["export", f"--quiet={KEY}"],
        ["export", f"--json={JSON}"],
        ["export", f"-h{KEY}"],
        ["export", *WINDOW, KEY],
        ["export", *WINDOW, "--output", "x", f"-p{KEY}"],
        ["export", *WINDOW, "--output", "x", f"--{KEY}"],
        ["export", *WINDOW, "--output", "x", "--connection-uri", f"{URI}/x?timeout={KEY}"],
        ["export", *WINDOW, "--output", "x", "--connection-uri", PLAIN.replace("127.0.0.1:9", "u:S3cr3t@h")],
        ["verify", KEY],
        ["verify", JSON],
        ["verify", URI],
        ["verify", "x", KEY],
        ["verify", f"https://u:{KEY}@127.0.0.1:9/x"],
        ["cleanup", URI],
        ["cleanup", "x", "--older-than-days", KEY],
        ["cleanup", "x", f"--delete={KEY}"],
        ["sandbox", "--port", KEY],
        ["sandbox", "--start", KEY],
        ["sandbox", "--endpoints", KEY],
        ["sandbox", f"--verbose={KEY}"],
    ],
)
@pytest.mark.parametrize("in_environment", [False, True], ids=["", "key in environment"])
def test_no_wrong_command_line_repeats_the_key(tmp_path, monkeypatch, capsys, words, in_environment):
    monkeypatch.chdir(tmp_path)
    if in_environment:
        monkeypatch.setenv("HH_API_KEY", KEY)
    try:
        code = cli.main(words)
    except SystemExit as wrong:
        code = wrong.code
    output = capsys.readouterr()
    # From Python 3.13 on -h means help, whatever is behind it.
    if code != 0 or words != ["export", f"-h{KEY}"]:
        assert code in (1, 2, 3)
        assert output.err
    assert "S3cr3t" not in output.out + output.err


def test_a_key_of_the_environment_is_not_repeated_however_it_looks(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HH_API_KEY", "plain-words-of-old")
    monkeypatch.setattr(display, "_secrets", {})
    assert export(tmp_path / "out", "--start", "plain-words-of-old") == 2
    assert capsys.readouterr().err.startswith("error: --start: got '***'; allowed: ")


@pytest.mark.parametrize("name", ["hh_exports", "hh_ingst_", "hh_fgdp_"])
def test_a_folder_that_only_begins_like_a_key_is_named(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["verify", name]) == 1
    assert capsys.readouterr().err == f"error: there is no manifest at or below {name}\n"
