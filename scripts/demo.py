"""Show the provider at work: Airflow exports a day of events, which is checked against the server, and builds of it.

Without an API key in the environment it serves a stand-in HoneyHive on loopback with a day of generated events, and
compares what the export wrote with what that server holds. With a key in ``HH_PROJECT_API_KEY``,
``HH_DATA_PLANE_API_KEY`` or ``HH_API_KEY`` (and ``HH_DATA_PLANE_URL`` or ``HH_API_URL``, and ``HH_PROJECT``, where the
defaults do not fit) it exports the last full day of the real project. Then a whole pipeline runs: export, tables,
report, and a training file, whose approval, for which it would wait for a person, is taken as given. Run it with
``make demo``.
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
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import duckdb

from airflow_provider_honeyhive.api.client import HoneyHiveClient
from airflow_provider_honeyhive.api.keys import WHERE_IDS_ARE
from airflow_provider_honeyhive.build_manifest import BuildManifest
from airflow_provider_honeyhive.cli.connection import KEY_VARIABLES, find_settings, first_set
from airflow_provider_honeyhive.exceptions import HoneyHiveError
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.models.request import ExportRequest
from airflow_provider_honeyhive.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "demo-output"
EXPORT = "example_honeyhive_export"
PIPELINE = "example_honeyhive_pipeline"
EVENTS = 25_000
SHOWN_EVENTS = 3
SHOWN_CHARACTERS = 200
SESSIONS = """
SELECT session_id[:8] AS session, event_count AS events, duration_ms, total_tokens, round(cost, 4) AS cost, error_count
FROM sessions ORDER BY cost DESC NULLS LAST, session LIMIT 5
"""
MODELS = """
SELECT model, count(*) AS calls, sum(total_tokens) FILTER (counts_tokens)::BIGINT AS tokens,
    round(sum(cost) FILTER (counts_cost), 2) AS cost, round(median(latency_ms)) AS median_ms
FROM model_calls GROUP BY model ORDER BY calls DESC, model
"""

#: A line of ``airflow dags test``: time, level, message, logger. Tasks' own loggers have a made-up prefix;
#: what begins with ``::`` folds lines up in the web interface.
LOG_LINE = re.compile(
    r"\S+ \[(?P<level>\w+) *\] (?P<message>(?!::).*?) +"
    r"\[(airflow_provider_honeyhive[\w.]*|unusual_prefix_\w+_example_honeyhive_\w+)\]"
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
            has_key = first_set(KEY_VARIABLES, os.environ)[1]
            server = real_server() if has_key else sandbox_server(stack, end)
            env = stack.enter_context(own_airflow(server))
            run_dag(EXPORT, end, env)
            folder = OUTPUT / f"{end - timedelta(days=1):%Y-%m-%d}"
            show(folder)
            check(folder, server, end)
            # Nobody is asked here: the command takes the approval as given.
            run_dag(PIPELINE, end, env, "--mark-success-pattern", "approve")
            built = Built(folder.name)
            check_tables(built)
            check_training_file(built)
            title("The report")
            say(f"Page: {Path(built.report.url('report.html')).as_uri()}")
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
    say(f"at {sandbox.url}. With HH_PROJECT_API_KEY set, this would be your own project.")
    return Server(sandbox.url, sandbox.key, sandbox.project, sandbox)


def real_server() -> Server:
    """Find out what the key in the environment reads."""
    title("HoneyHive")
    settings = find_settings(None, os.environ)
    project = os.environ.get("HH_PROJECT")
    if not project and settings.key_kind.takes_project_id:
        raise Failure(f"{settings.key_name} takes the project's id: set HH_PROJECT to it ({WHERE_IDS_ARE})")
    if not project:
        with HoneyHiveClient(settings) as client:
            named = client.fetch_page(ExportRequest(), limit=1).projects
        project = next((name or project_id for name, project_id in named), None)
    if not project:
        raise Failure("the newest event does not say its project: set HH_PROJECT to the project's name")
    say(f"Project {project!r} at {settings.api_url}")
    return Server(settings.api_url, settings.api_key.get_secret_value(), project)


@contextmanager
def own_airflow(server: Server) -> Iterator[dict[str, str]]:
    """Make an Airflow that is thrown away in the end, and yield the environment that its commands need."""
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
        yield env


def run_dag(dag_id: str, end: datetime, env: dict[str, str], *options: str) -> None:
    """Run an example DAG for the day that ended at ``end``."""
    title(f"Airflow runs {dag_id} for the day that ended at {end}")
    airflow(["dags", "test", dag_id, end.isoformat(), *options], env)


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


class Built:
    """What the pipeline has left.

    :param day: the name of its folders.
    """

    def __init__(self, day: str) -> None:
        self.export = Manifest.read(OUTPUT / "pipeline" / "events" / day)
        self.tables, self.report, self.training = (
            BuildManifest.read(OUTPUT / "pipeline" / name / day) for name in ("tables", "report", "training")
        )


def check_tables(built: Built) -> None:
    """Compare the tables with the export that they are built of, and show rows of two of them."""
    title("The tables")
    with duckdb.connect() as connection:
        for name in dict.fromkeys(file.name for file in built.tables.files):
            connection.read_parquet(built.tables.file_urls(name)).create_view(name)
        for name, rows in (("events", built.export.event_count), ("edges", built.export.event_count)):
            expect(f"rows of {name}, one an event", connection.table(name).count("*").fetchall()[0][0], rows)
        for text in (SESSIONS, MODELS):
            say(str(connection.sql(text)))
    say(f"Files: {OUTPUT.relative_to(ROOT)}/pipeline/tables/*/*/*.parquet")


def check_training_file(built: Built) -> None:
    """Look for each of the training file's events in the export, and show its first conversation."""
    title("The training file")
    urls = [*built.training.file_urls("train"), *built.training.file_urls("test")]
    lines = [json.loads(line) for url in urls for line in Path(url).read_bytes().split(b"\n")[:-1]]
    with duckdb.connect() as connection:
        exported = connection.read_parquet(built.export.file_urls).select("event_id").fetchall()
    ids = {event_id for (event_id,) in exported}
    expect("conversations", len(lines), built.training.counts["rows"])
    expect("of events that are not in the export", sum(not {*line["event_ids"]} <= ids for line in lines), 0)
    for message in lines[0]["messages"] if lines else ():
        text = " ".join(json.dumps(message.get("content") or message, ensure_ascii=False).split())
        say(f"{message['role']:>12}  {text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + '…'}")
    say(f"Files: {OUTPUT.relative_to(ROOT)}/pipeline/training/*/")


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
