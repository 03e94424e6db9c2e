"""Output paths of any kind end in a right export or in an error of this package, and touch nothing that is there."""

from __future__ import annotations

import os
import shutil
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime, timedelta
from io import StringIO
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from upath import UPath

from airflow_provider_honeyhive.cli.main import main
from airflow_provider_honeyhive.cli.terminal import AGAIN, FAILED, OK, USAGE
from airflow_provider_honeyhive.exceptions import DestinationError, InvalidArgumentError
from airflow_provider_honeyhive.export.catalog import skipped_links, verify_exports
from airflow_provider_honeyhive.export.cleanup import find_leftovers, remove_leftover
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.models.layout import SUFFIXES, choose_layout
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.models.request import ExportRequest
from airflow_provider_honeyhive.models.window import Window
from airflow_provider_honeyhive.operators.honeyhive import HoneyHiveExportEventsOperator
from airflow_provider_honeyhive.storage import lease
from airflow_provider_honeyhive.storage.paths import path_of
from airflow_provider_honeyhive.tasks.arguments import storage_path
from tests.unit.property_settings import thoroughly

if TYPE_CHECKING:
    from collections.abc import Callable

START = datetime(2026, 11, 22, tzinfo=UTC)
REQUEST = ExportRequest(project="demo", window=Window(START, START + timedelta(hours=1)))
EXPECTED = (DestinationError, InvalidArgumentError)
#: Below the folder that is looked at in the end, so that ``..`` does not leave that.
DEPTH = 6
NUMBERS = count()

ODD = [
    *("..", ".", "", "...", "~", "~root", "%2e%2e", "..%2f..", "a\\b", "..\\..", "C:", "con", "-rf", "--help"),
    *("*", "[a]", "{a}", "$HOME", "{{ ds }}", "?x=1", "#a", "a:b", "a@b", "c::d"),
    *("a\0b", "a\nb", "a\rb", "\x1b[2Ja", "\u202ea", "\u2066a\u2069", "\u2028", "\ud800", "\udc80"),
    *("\u00e9", "e\u0301", "\ufb00", "\u00a0", "\U0001f600"),
    *("n" * 255, "n" * 256, "n" * 300, "\u00e9" * 127, "\u00e9" * 128, "n" * 249 + ".jsonl", "n" * 236 + ".jsonl"),
    "n" * 5000,
    *("file", "file/below", "nowhere", "circle", "link", "link/new", "pipe", "theirs.jsonl", "_staging-notes"),
    *("_staging-0123456789abcdef", "_shards-0123456789abcdef", "event_date=2026-11-22"),
    *("_manifest.json", "x.manifest.json", "one.txt", "one.JSONL", ".jsonl", "one.jsonl.", "one.jsonl "),
    *(f"one{suffix}" for suffix in SUFFIXES),
]
SYSTEM = [
    *("/dev/null", "/dev/zero/a", "/dev/full", "/dev/stdin/a"),
    *("/proc/self/mem", "/proc/1/a", "/proc/self/fd/a", "/sys/a"),
]
SCHEMES = [
    *("file://", "local://", "memory://", "FILE://", "file:", "file:/", "://", "foo://", "s3:", "a b://"),
    *("\u202e://", "\0://"),
]

COMPRESSIONS = st.sampled_from([None, "gzip", "none", "lz\n4"])

segments = st.one_of(st.sampled_from(ODD), st.text(max_size=8).map(lambda text: text.replace("/", "")))
relative = st.lists(segments, min_size=1, max_size=DEPTH - 2).map("/".join)


@st.composite
def texts(draw: Any) -> str:
    """Draw a path as a text; ``HERE`` stands for the folder that it is used in."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from(SYSTEM)) + draw(st.sampled_from(["", "/", "/x.jsonl"]))
    start = draw(st.sampled_from(["", "HERE/", "HERE//", "./"]))
    scheme = draw(st.sampled_from(["", "", "", *SCHEMES]))
    return scheme + start + draw(relative) + draw(st.sampled_from(["", "/", "//", "/."]))


def furnish(folder: Path) -> Path:
    """Make a folder with what may be in the way, and return where paths begin."""
    here = folder.joinpath(*map(str, range(DEPTH)))
    here.mkdir(parents=True)
    (folder / "theirs" / "deep").mkdir(parents=True)
    for place in (folder / "theirs", folder / "theirs" / "deep", here):
        (place / "file").write_text("theirs")
        (place / "theirs.jsonl").write_text("{}")
        (place / "part-00000-0123456789ab.parquet").write_text("theirs")
        (place / "_staging-notes").mkdir()
        (place / "_staging-notes" / "plan.json").write_text("theirs")
    (here / "nowhere").symlink_to(here / "not" / "there")
    (here / "circle").symlink_to(here / "circle")
    (here / "link").symlink_to(folder / "theirs")
    (here / "event_date=2026-11-22").symlink_to(folder / "theirs")
    (here / "_shards-0123456789abcdef").symlink_to(folder / "theirs")
    os.mkfifo(here / "pipe")
    return here


def seen(folder: Path) -> dict[str, bytes | str]:
    """Return everything in a folder and below it: what is in files, and where links lead."""
    found: dict[str, bytes | str] = {}
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(parent, name)
            if os.path.islink(path):
                found[path] = os.readlink(path)
            elif os.path.isfile(path):
                found[path] = Path(path).read_bytes()
    return found


@pytest.fixture
def furnished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], tuple[Path, Path]]:
    """Give a function that makes a furnished folder, goes there, and returns it and where it has gone."""
    monkeypatch.setattr(lease, "SETTLE_S", 0.0)

    def make() -> tuple[Path, Path]:
        folder = tmp_path / str(next(NUMBERS))
        here = furnish(folder)
        monkeypatch.chdir(here)
        return folder, here

    return make


def many(usual: int) -> settings:
    """Return the settings of so many cases, each of which makes a folder of its own."""
    usual_settings = thoroughly(usual)
    checks = [*usual_settings.suppress_health_check, HealthCheck.function_scoped_fixture]
    return settings(usual_settings, suppress_health_check=checks)


def said(work: Callable[[], Any]) -> str | None:
    """Return what an error of this package says, None where there is none; others are raised."""
    try:
        work()
    except EXPECTED as error:
        return str(error)
    return None


def is_told_well(error: str | None) -> bool:
    """Return whether there is no error, or one whose lines show no control characters."""
    return error is None or error.replace("\n", "").isprintable()


@many(40)
@given(text=texts(), kind=st.sampled_from([str, Path, UPath]), partitioned=st.booleans())
@example(text="HERE/link", kind=str, partitioned=True)
@example(text="HERE/_manifest.json", kind=str, partitioned=False)
@example(text="HERE/x.manifest.json/", kind=str, partitioned=False)
@example(text="HERE/nowhere/a.jsonl", kind=str, partitioned=False)
@example(text="HERE/" + "n" * 249 + ".jsonl", kind=str, partitioned=False)
@example(text="memory://a/../../b", kind=str, partitioned=False)
def test_an_export_to_any_path_is_right_or_refused(client, furnished, text, kind, partitioned):
    folder, here = furnished()
    text, before = text.replace("HERE", str(here)), seen(folder)
    options = ExportOptions(partition_by=("event_date",) if partitioned else ())
    try:
        path = kind(text)
    except (ValueError, ImportError, TypeError, NotImplementedError):
        path = text  # no path of that kind can be made of it
    error = said(lambda: export_events(client, REQUEST, path, options))
    assert is_told_well(error)
    if error is None:
        Manifest.read(path).verify()
    after = seen(folder)
    assert {name: after.get(name) for name in before} == before
    assert not [name for name in after if "_new-" in name or "/_staging-" in name.replace("/_staging-notes/", "")]
    shutil.rmtree(folder)


@many(40)
@given(text=texts())
def test_the_command_line_takes_any_path_or_says_why_not(furnished, text):
    folder, here = furnished()
    text, before = text.replace("HERE", str(here)), seen(folder)
    for command in (["verify", "--", text], ["cleanup", "--delete", "--", text]):
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()) as err:
            assert main(command) in (OK, FAILED, USAGE, AGAIN)
        assert "Traceback" not in err.getvalue()
    assert seen(folder) == before
    shutil.rmtree(folder)


@many(40)
@given(text=texts())
def test_what_walks_over_folders_takes_any_path_or_says_why_not(furnished, text):
    folder, here = furnished()
    text, before = text.replace("HERE", str(here)), seen(folder)

    def walk() -> None:
        path = path_of(text, "PATH")
        list(verify_exports(path))
        skipped_links(path)
        for leftover in find_leftovers(path, timedelta(days=-1)):
            remove_leftover(path, leftover)

    assert is_told_well(said(walk))
    assert seen(folder) == before
    shutil.rmtree(folder)


@many(150)
@given(
    text=texts(),
    file_format=st.sampled_from([None, "jsonl", "csv", "parquet", "xml"]),
    compression=COMPRESSIONS,
)
def test_arguments_of_any_text_are_taken_or_refused(text, file_format, compression):
    for check in (
        lambda: choose_layout(text, file_format, compression),
        lambda: choose_layout(storage_path(text, None), file_format, compression),
        lambda: HoneyHiveExportEventsOperator(task_id="a", output_path=text, file_format=file_format),
    ):
        assert is_told_well(said(check))
