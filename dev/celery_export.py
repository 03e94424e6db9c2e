"""Export a window over several Celery workers, kill one of them in the middle, and check that the result is whole.

Starts PostgreSQL and Redis (Debian's packages), an Airflow with the CeleryExecutor and its workers on loopback, and
a stand-in HoneyHive with small events. A DAG splits the window, maps the export over the parts and combines them.
In the middle one worker dies by ``kill -9`` with all its tasks; Airflow notices, and tries them again on the other.
Then every id on disk is compared with the server's. It takes some minutes.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from celery_services import (
    ROOT,
    Airflow,
    Failure,
    Processes,
    find_programs,
    make_environment,
    say,
    start_postgres,
    start_redis,
)

sys.path.insert(0, str(ROOT))

from airflow_provider_honeyhive.sandbox import Behaviour, Sandbox
from airflow_provider_honeyhive.sandbox.store import StoredEvent

if TYPE_CHECKING:
    from collections.abc import Iterator

DAY = datetime(2026, 3, 10, tzinfo=UTC)
DAG_ID = "celery_export"
#: Tasks that one worker runs at the same time.
SLOTS = 2
#: Parts for each slot: so that all slots stay busy to the end although some parts take longer.
PARTS_A_SLOT = 3
#: Share of the events that the server has sent from which on the worker dies as soon as all its slots are busy, and
#: from which on one busy slot is enough.
KILL_FROM, KILL_AT_LAST = 0.3, 0.6
#: Seconds that the server takes for each answer, and for sending all events one after the other: so that the tasks
#: last long enough for one to be in the middle.
LATENCY_S, SENDING_S = 0.05, 120.0
#: Seconds after which the run has failed, and more for each event.
PATIENCE_S, PATIENCE_S_PER_EVENT = 600, 0.001


def main() -> int:
    """Run it; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000, help="events to export (default: %(default)s)")
    parser.add_argument(
        "--workers", type=int, default=2, help="Celery workers, one of which dies (default: %(default)s)"
    )
    parser.add_argument("--keep", action="store_true", help="leave the folder with logs and result")
    parser.add_argument(
        "--env", type=Path, default=ROOT / ".venv" / "celery", help="virtual environment to use or make"
    )
    arguments = parser.parse_args()
    begun = time.monotonic()
    # So that all is stopped and removed then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    folder = Path(tempfile.mkdtemp(prefix="honeyhive-celery-"))
    # PostgreSQL, run by a user of its own, must be able to pass through.
    folder.chmod(0o711)
    try:
        run(folder, arguments)
    except Failure as failure:
        say(f"\nFAILED: {failure}")
        return 1
    except KeyboardInterrupt:
        say("\nInterrupted")
        return 1
    finally:
        if arguments.keep:
            say(f"Logs and result are in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    say(f"\nDone in {time.monotonic() - begun:.0f} s.")
    return 0


def run(folder: Path, arguments: argparse.Namespace) -> None:
    """Start everything, export, kill, check; everything is stopped at the end."""
    if arguments.workers < 2:
        raise Failure("--workers: one of them is killed, so there must be two or more")
    title("What it needs")
    programs = find_programs()
    python = make_environment(arguments.env)
    say(f"{programs['postgres']}, {programs['redis-server']}, {python}")
    with ExitStack() as stack:
        title(f"A stand-in HoneyHive with {arguments.events:,} events")
        sandbox = stack.enter_context(serve(arguments.events))
        say(f"at {sandbox.url}; sending all of them one after the other would take {SENDING_S:.0f} s")
        title(f"Airflow with the CeleryExecutor and {arguments.workers} workers of {SLOTS} slots")
        processes = stack.enter_context(Processes(folder))
        workers = [f"worker-{number}" for number in range(1, arguments.workers + 1)]
        airflow = Airflow(
            processes,
            python,
            folder,
            postgres=start_postgres(processes, programs, folder),
            redis=start_redis(processes, programs),
            workers=len(workers),
            slots=SLOTS,
            settings=task_settings(sandbox, folder, len(workers)),
        )
        shutil.copy(ROOT / "dev" / "celery_export_dag.py", airflow.dags)
        airflow.migrate()
        airflow.start(workers)
        say("PostgreSQL, Redis, API server, scheduler, DAG processor and workers are up")
        title("The export")
        watch = Watch(airflow, processes, sandbox, airflow.trigger(DAG_ID), arguments.events)
        killed = watch.kill_in_the_middle(workers[0])
        watch.until_the_end()
        watch.check_tries(killed)
        title("Is it all there, exactly once?")
        check(folder / "export", sandbox)


def task_settings(sandbox: Sandbox, folder: Path, workers: int) -> dict[str, str]:
    """Return the environment of the tasks."""
    connection = {
        "conn_type": "honeyhive",
        "host": sandbox.url,
        "password": sandbox.key,
        "extra": {"project": sandbox.project},
    }
    return {
        "AIRFLOW_CONN_HONEYHIVE_DEFAULT": json.dumps(connection),
        "EXPORT_START": DAY.isoformat(),
        "EXPORT_END": (DAY + timedelta(days=1)).isoformat(),
        "EXPORT_OUTPUT": str(folder / "export"),
        "EXPORT_PARTS": str(workers * SLOTS * PARTS_A_SLOT),
    }


def serve(count: int) -> Sandbox:
    """Return a server with ``count`` small events of one day, most of them around its noon."""
    behaviour = Behaviour(latency=LATENCY_S, latency_per_event=SENDING_S / count)
    return Sandbox(small_events(count), start=DAY, end=DAY + timedelta(days=1), behaviour=behaviour)


def small_events(count: int) -> Iterator[StoredEvent]:
    """Yield events of some 300 bytes, the same ones every time."""
    chance = random.Random(0)  # noqa: S311 - only to spread them
    midnight = int(DAY.timestamp() * 1000)
    for number in range(count):
        start = midnight + int(chance.betavariate(6, 6) * 86_400_000)
        event_id = f"{chance.getrandbits(64):016x}-{number}"
        raw = (
            f'{{"event_id":"{event_id}","session_id":"{number // 20}","project":"demo","event_type":"model",'
            f'"event_name":"chat","start_time":{start},"end_time":{start + 900},"duration":900,'
            f'"inputs":{{"question":"How many {number % 97} are there?"}},"outputs":{{"content":"{number * 7919}"}},'
            '"metadata":{"total_tokens":412,"cost":0.000061},"error":null}'
        )
        yield StoredEvent(raw.encode(), event_id, start * 1000)


class Watch:
    """Watches a run of the DAG, and says what it sees.

    :param run_id: of the run.
    :param events: that the server holds.
    """

    def __init__(self, airflow: Airflow, processes: Processes, sandbox: Sandbox, run_id: str, events: int) -> None:
        self._airflow = airflow
        self._processes = processes
        self._sandbox = sandbox
        self._events = events
        self._path = f"/api/v2/dags/{DAG_ID}/dagRuns/{run_id}"
        self._begun = time.monotonic()
        self._seen: dict[str, tuple[str, int]] = {}
        say(f"Run {run_id} is triggered")

    def kill_in_the_middle(self, worker: str) -> set[str]:
        """Kill a worker once enough events are sent and it has tasks under way; return these."""
        while True:
            tasks = self._look()
            pids = self._processes.pids(worker)
            running = {name for name, task in tasks.items() if task["state"] == "running" and task["pid"] in pids}
            sent = self._sent() / self._events
            if (len(running) == SLOTS and sent >= KILL_FROM) or (running and sent >= KILL_AT_LAST):
                break
            time.sleep(1)
        count = self._processes.kill(worker)
        self._say(f"{worker} is killed: {count} processes by SIGKILL, in the middle of {', '.join(sorted(running))}")
        return running

    def until_the_end(self) -> None:
        """Return when the run has succeeded.

        :raises Failure: it has failed.
        """
        while True:
            self._look()
            state = self._airflow.ask("GET", self._path)["state"]
            if state == "success":
                self._look()
                self._say("the run has succeeded")
                return
            if state == "failed":
                raise Failure("the run has failed")
            time.sleep(1)

    def check_tries(self, killed: set[str]) -> None:
        """Check that the tasks of the killed worker were tried again, and show what the split has made.

        :raises Failure: one was not.
        """
        tasks = self._tasks()
        exports = {name: task for name, task in tasks.items() if task["task_id"] == "export"}
        again = sorted(name for name, task in exports.items() if task["try_number"] > 1)
        say(f"{len(exports)} mapped tasks; tried again: {', '.join(again)}")
        if not killed <= set(again):
            raise Failure(f"not tried again: {', '.join(sorted(killed - set(again)))}")

    def _look(self) -> dict[str, Any]:
        """Return the tasks by name; say which have changed."""
        self._processes.check()
        if time.monotonic() - self._begun > PATIENCE_S + PATIENCE_S_PER_EVENT * self._events:
            raise Failure("the run has not ended in time")
        tasks = self._tasks()
        for name, task in tasks.items():
            now = (str(task["state"]), task["try_number"])
            if self._seen.get(name) != now and task["state"] in ("running", "success", "failed", "up_for_retry"):
                self._say(f"{name}, try {task['try_number']}: {task['state']}")
            self._seen[name] = now
        return tasks

    def _tasks(self) -> dict[str, Any]:
        found = self._airflow.ask("GET", f"{self._path}/taskInstances?limit=1000")["task_instances"]
        return {task["task_id"] + (f"[{task['map_index']}]" if task["map_index"] >= 0 else ""): task for task in found}

    def _sent(self) -> int:
        return sum(request.event_count for request in self._sandbox.requests)

    def _say(self, text: str) -> None:
        say(f"{time.monotonic() - self._begun:6.1f} s  {self._sent():>9,} events sent  {text}")


def check(folder: Path, sandbox: Sandbox) -> None:
    """Compare what is on disk with its manifest, and its ids with the server's.

    :raises Failure: they differ.
    """
    manifest = json.loads((folder / "_manifest.json").read_text())
    times_seen: Counter[str] = Counter()
    for part in manifest["files"]:
        data = (folder / part["path"]).read_bytes()
        if sha256(data).hexdigest() != part["sha256"]:
            raise Failure(f"{part['path']} does not have the SHA-256 that the manifest says")
        times_seen.update(json.loads(line)["event_id"] for line in gzip.decompress(data).splitlines())
    wanted = {event.event_id for event in sandbox.events()}
    expect("events in the files", times_seen.total(), len(wanted))
    expect("different ids among them", len(times_seen), len(wanted))
    expect("ids that the server has and the files lack", len(wanted - times_seen.keys()), 0)
    expect("events that the manifest says", manifest["event_count"], len(wanted))
    litter = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    litter -= {"_manifest.json", *(part["path"] for part in manifest["files"])}
    expect("files and folders beside the manifest and its data files", len(litter), 0)
    sent = sum(request.event_count for request in sandbox.requests)
    say(f"{sent:>12,}  events that the server has sent, by {len(sandbox.requests):,} requests")
    say(f"OK: one export of {len(manifest['files'])} files, one manifest, every event exactly once.")


def expect(what: str, found: int, wanted: int) -> None:
    """Print a number, and fail if it is wrong."""
    say(f"{found:>12,}  {what}")
    if found != wanted:
        raise Failure(f"{what}: {found:,} instead of {wanted:,}")


def title(text: str) -> None:
    """Print a heading."""
    say(f"\n== {text}")


if __name__ == "__main__":
    sys.exit(main())
