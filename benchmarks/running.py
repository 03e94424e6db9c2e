"""Start the server and the commands of a measurement, and end them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.commands import Errand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.cases import Case
    from benchmarks.dataset import Dataset

ROOT = Path(__file__).resolve().parent.parent
HERE = ROOT / "benchmarks"
TIMEOUT_S = 3600
SHOWN_OF_AN_ERROR = 300


@contextlib.contextmanager
def serving(dataset: Dataset, case: Case, scratch: Path) -> Iterator[dict[str, Any]]:
    """Serve a data set; the value is what the server says about itself."""
    what = ["--events", str(dataset.count), "--size", str(dataset.size), "--seed", str(dataset.seed)]
    what += ["--spread", dataset.spread, "--per-session", str(dataset.per_session)]
    delays = case.delays
    slow = ["--latency", str(delays.answer), "--per-1000", str(delays.per_1000)]
    slow += ["--per-1000-skipped", str(delays.per_1000_skipped)]
    slow += ["--serialise"] if case.serialise else []
    command = [sys.executable, str(HERE / "server.py"), *what, *slow, "--data", str(scratch / "data")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own server
        try:
            yield json.loads(next(iter(process.stdout or ())))
        finally:
            process.terminate()


def run_measured(
    command: list[str],
    environment: dict[str, str],
    temporary: Path,
    watched_by: Callable[[int], contextlib.AbstractContextManager[None]] = contextlib.nullcontext,
) -> tuple[dict[str, Any], str | None]:
    """Run a command to its end; return what it took, and what went wrong.

    :param watched_by: is entered with the id of the session of all its processes, while it runs.
    """
    result, log = temporary / "measured.json", temporary / "log"
    launcher = [sys.executable, "-I", "-S", str(HERE / "measure.py"), str(result), *command]
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HH_", "AIRFLOW", "PYTHON"))}
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - commands of this folder
            launcher,
            stdout=output,
            stderr=output,
            cwd=ROOT,
            env={**kept, **environment, "TMPDIR": str(temporary)},
            start_new_session=True,
        )
        try:
            with watched_by(process.pid):
                process.wait(TIMEOUT_S)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                return {}, f"took more than {TIMEOUT_S} s"
            raise
    measured = json.loads(result.read_text())
    if measured["exit_code"]:
        return measured, f"exit code {measured['exit_code']}: {end_of(log.read_text(errors='replace'))}"
    return measured, None


def slices_of(output: Path) -> int:
    """Return in how many slices an export of ours read its window."""
    manifests = output.rglob("*manifest.json")
    return next((int(json.loads(path.read_text())["slice_count"]) for path in manifests), 0)


@contextlib.contextmanager
def errand_to(dataset: Dataset, server: dict[str, Any], scratch: Path) -> Iterator[Errand]:
    """Give the order to fetch a data set, with folders that are gone afterwards."""
    with empty(scratch / "output") as output, empty(scratch / "temporary") as temporary:
        yield Errand(
            url=server["url"],
            project=server["project"],
            start=server["start"],
            end=server["end"],
            count=dataset.count,
            size=dataset.size,
            output=output,
            scratch=temporary,
        )


@contextlib.contextmanager
def empty(directory: Path) -> Iterator[Path]:
    """Give an empty directory, which is gone afterwards."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def ask(url: str, body: bytes | None = None) -> bytes:
    """Return the answer of our own server."""
    with urllib.request.urlopen(url, body, timeout=60) as answer:  # noqa: S310 - our own server
        return answer.read()


def end_of(text: str) -> str:
    """Return the last of what a command has said, on one line."""
    return " ".join(text.split())[-SHOWN_OF_AN_ERROR:]
