"""Show the provider at work: one Airflow run exports a day of events, then its files are checked against the server.

Without ``HH_API_KEY`` it serves a stand-in HoneyHive on loopback with a day of generated events, and compares what
the export wrote with what that server holds. With ``HH_API_KEY`` (and ``HH_API_URL``, ``HH_PROJECT`` where the
defaults do not fit) it exports the last full day of the real project. Run it with ``make demo``.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from airflow_provider_honeyhive.client import HoneyHiveClient
from airflow_provider_honeyhive.exceptions import HoneyHiveError
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.models import ExportRequest
from airflow_provider_honeyhive.sandbox import Sandbox
from airflow_provider_honeyhive.settings import DEFAULT_API_URL, ClientSettings

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "demo-output"
DAG_ID = "example_honeyhive_export"
EVENTS = 25_000
SHOWN_EVENTS = 3
SHOWN_CHARACTERS = 200

#: A line of ``airflow dags test``: time, level, message, logger. Tasks' own loggers have a made-up prefix.
LOG_LINE = re.compile(
    r"\S+ \[(?P<level>\w+) *\] (?P<message>.*?) +"
    r"\[(airflow_provider_honeyhive[\w.]*|unusual_prefix_\w+_example_honeyhive_export)\]"
)


class Failure(Exception):  # noqa: N818 - not an error of the demo, but what it found
    """Something is not as it should be."""


class Server(NamedTuple):
    """Where the events come from.

    :param sandbox: None: the real HoneyHive.
    """

    url: str
    key: str
    project: str
    sandbox: Sandbox | None = None


def main() -> int:
    """Run the demo; return the exit code."""
    begun = time.monotonic()
    end = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    try:
        with ExitStack() as stack:
            server = real_server() if os.environ.get("HH_API_KEY") else sandbox_server(stack, end)
            export_with_airflow(server, end)
            folder = OUTPUT / f"{end:%Y-%m-%d}"
            show(folder)
            check(folder, server, end)
    except (Failure, HoneyHiveError) as failure:
        say(f"\nFAILED: {failure}")
        return 1
    say(f"\nDone in {time.monotonic() - begun:.0f} s.")
    return 0


def sandbox_server(stack: ExitStack, end: datetime) -> Server:
    """Serve a day of generated events until the stack closes."""
    title("A stand-in HoneyHive")
    sandbox = stack.enter_context(Sandbox(count=EVENTS, end=end))
    say(f"{EVENTS:,} events of project {sandbox.project!r}, from {sandbox.start_time} to {sandbox.end_time}")
    say(f"at {sandbox.url}. With HH_API_KEY set, this would be your own project.")
    return Server(sandbox.url, sandbox.key, sandbox.project, sandbox)


def real_server() -> Server:
    """Find out what the key in the environment reads."""
    title("HoneyHive")
    key, url = os.environ["HH_API_KEY"], os.environ.get("HH_API_URL") or DEFAULT_API_URL
    project = os.environ.get("HH_PROJECT")
    if not project:
        with HoneyHiveClient(ClientSettings.parse(api_key=key, api_url=url)) as client:
            named = client.fetch_page(ExportRequest(), limit=1).projects
        project = next((name or project_id for name, project_id in named), None)
    if not project:
        raise Failure("the newest event does not say its project: set HH_PROJECT to the project's name")
    say(f"Project {project!r} at {url}")
    return Server(url, key, project)


def export_with_airflow(server: Server, end: datetime) -> None:
    """Run the example DAG in an Airflow of its own, made and thrown away here."""
    title(f"Airflow runs {DAG_ID} for the day that ended at {end}")
    shutil.rmtree(OUTPUT, ignore_errors=True)
    OUTPUT.mkdir()
    connection = {
        "conn_type": "honeyhive",
        "host": server.url,
        "password": server.key,
        "extra": {"project": server.project},
    }
    with tempfile.TemporaryDirectory(prefix="honeyhive-demo-") as home:
        env = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "HH_"))}
        env |= {
            "AIRFLOW_HOME": home,
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "example_dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            # Whoever watches should not wait for minutes until a failed task is tried again.
            "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "5",
            "AIRFLOW_CONN_HONEYHIVE_DEFAULT": json.dumps(connection),
            "HONEYHIVE_EXAMPLE_OUTPUT": str(OUTPUT),
            "PYTHONUNBUFFERED": "1",
        }
        airflow(["db", "migrate"], env)
        airflow(["dags", "test", DAG_ID, end.isoformat()], env)


def airflow(arguments: list[str], env: dict[str, str]) -> None:
    """Run an Airflow command; show the provider's own log lines, keep all of them in a file."""
    log_file = OUTPUT / "airflow.log"
    with (
        log_file.open("a") as log,
        subprocess.Popen(  # noqa: S603 - this Python, with arguments from this file
            [sys.executable, "-m", "airflow", *arguments],
            env=env,
            cwd=env["AIRFLOW_HOME"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
    ):
        for line in process.stdout or ():
            log.write(line)
            if match := LOG_LINE.match(line):
                say(f"  {match['message']}" if match["level"] == "info" else f"  {match['level']}: {match['message']}")
    if process.returncode:
        say(log_file.read_text(errors="replace")[-4000:])
        raise Failure(f"'airflow {' '.join(arguments)}' ended with {process.returncode}; its log is {log_file}")


def show(folder: Path) -> None:
    """Print what the export left."""
    title("What it wrote")
    for path in sorted(folder.iterdir()):
        say(f"{path.stat().st_size:>12,} bytes  {path.relative_to(ROOT)}")
    title("Its manifest")
    say((folder / "_manifest.json").read_text().rstrip())
    title(f"Its first {SHOWN_EVENTS} events, the newest of the day")
    for _, line in zip(range(SHOWN_EVENTS), event_lines(folder), strict=False):
        text = line.decode(errors="replace").rstrip()
        say(text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…")


def event_lines(folder: Path) -> Any:
    """Yield the lines of all files that the manifest names, in its order."""
    for part in Manifest.read(folder).files:
        with gzip.open(folder / part.path) as file:
            yield from file


def check(folder: Path, server: Server, end: datetime) -> None:
    """Compare the files with their manifest, and with the server where it can be asked."""
    title("Is it all there, exactly once?")
    manifest = Manifest.read(folder)
    for part in manifest.files:
        if sha256((folder / part.path).read_bytes()).hexdigest() != part.sha256:
            raise Failure(f"{part.path} does not have the SHA-256 that the manifest says")
    times_seen = Counter(json.loads(line)["event_id"] for line in event_lines(folder))
    expect("events in the files", times_seen.total(), manifest.event_count)
    expect("different ids among them", len(times_seen), manifest.event_count)
    if server.sandbox:
        wanted = server.sandbox.event_ids(end - timedelta(days=1), end)
        expect("ids that the server has and the files lack", len(wanted - times_seen.keys()), 0)
        expect("ids that the files have and the server lacks", len(times_seen.keys() - wanted), 0)
    say(f"OK: exactly once, all {manifest.event_count:,} events of the day.")


def expect(what: str, found: int, wanted: int) -> None:
    """Print a number, and fail if it is wrong."""
    say(f"{found:>12,}  {what}")
    if found != wanted:
        raise Failure(f"{what}: {found:,} instead of {wanted:,}")


def title(text: str) -> None:
    """Print a heading."""
    say(f"\n== {text}")


def say(line: str) -> None:
    """Print a line, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
