"""A whole Airflow: scheduler, triggerer and what else it takes, in processes and a home of their own.

Takes about 40 seconds to start, so there is one for all tests of a session: :func:`running`. Works on either
Airflow; what happened is read from its SQLite database.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow import __version__ as airflow_version

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from airflow_provider_honeyhive.sandbox import Sandbox

AIRFLOW_2 = airflow_version.startswith("2.")
ROOT = Path(__file__).resolve().parents[2]
#: Each with the job that it keeps a heartbeat of; the API server keeps none.
COMPONENTS = {
    "2": {"scheduler": "SchedulerJob", "triggerer": "TriggererJob"},
    "3": {
        "api-server": None,
        "scheduler": "SchedulerJob",
        "dag-processor": "DagProcessorJob",
        "triggerer": "TriggererJob",
    },
}["2" if AIRFLOW_2 else "3"]
#: Seconds; generous, for a machine that does other things too.
START, STEP = 240, 120
#: What Airflow says on SQLite, at once, where another process has written between its reading and its writing; and
#: what it says of the backfill that it was making then, until its scheduler gives that up after two minutes.
TRY_AGAIN = ("database is locked", "Another backfill is running")


class LiveAirflow:
    """The components of an Airflow that is running.

    :param environment: more settings, such as ``AIRFLOW__TRIGGERER__...``.
    """

    #: Where example DAGs write to.
    output: Path

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="honeyhive-live-"))
        self.dags = self.home / "dags"
        self.dags.mkdir()
        self._connections = self.home / "connections.json"
        self._connections.write_text("{}")
        self._port = free_port()
        self._token: str | None = None
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._environment = {**self._settings(), **(environment or {})}

    def __enter__(self) -> LiveAirflow:
        self._airflow("db", "migrate")
        for name in COMPONENTS:
            self.start(name)
        self._until(self._is_up, START, "Airflow to start")
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._processes):
            self.stop(name, signal.SIGINT)
        shutil.rmtree(self.home, ignore_errors=True)

    # ----------------------------------------------------------------------------------------- components

    def start(self, name: str) -> None:
        """Start a component."""
        with (self.home / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", "airflow", name],
                env=self._environment,
                cwd=self.home,
                stdout=log,
                stderr=subprocess.STDOUT,
                # So that all its children can be reached.
                start_new_session=True,
            )

    def stop(self, name: str, sig: signal.Signals = signal.SIGTERM) -> None:
        """Stop a component with all its children; those that linger are killed."""
        process = self._processes.pop(name)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, sig)
        with suppress(subprocess.TimeoutExpired):
            process.wait(15)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def restart_triggerer(self, sig: signal.Signals = signal.SIGTERM) -> None:
        """Stop the triggerer and start another."""
        self.stop("triggerer", sig)
        self.start("triggerer")

    def log(self, name: str) -> str:
        """Return what a component has printed."""
        return (self.home / f"{name}.log").read_text(errors="replace")

    # ------------------------------------------------------------------------------------- DAGs and their runs

    def connect(self, conn_id: str, sandbox: Sandbox, *, key: str | None = None, **extra: Any) -> None:
        """Set a connection to a sandbox; every component sees it at its next look."""
        connections = json.loads(self._connections.read_text())
        connections[conn_id] = {
            "conn_type": "honeyhive",
            "host": sandbox.url,
            "password": key or sandbox.key,
            "extra": {"project": sandbox.project, **extra},
        }
        replace_text(self._connections, json.dumps(connections))

    def add_dag(self, dag_id: str, source: str) -> None:
        """Give Airflow a DAG file that defines ``dag_id``, and wait until it is known."""
        self.add_dags(dag_id, [dag_id], source)

    def add_dags(self, file_name: str, dag_ids: list[str], source: str) -> None:
        """Give Airflow a file that defines these DAGs, and wait until they are known."""
        replace_text(self.dags / f"{file_name}.py", source)
        for dag_id in dag_ids:
            self._until(lambda i=dag_id: self.query("SELECT 1 FROM dag WHERE dag_id = ?", i), STEP, f"DAG {dag_id}")

    def trigger(self, dag_id: str, conf: dict[str, Any] | None = None, logical_date: datetime | None = None) -> str:
        """Start a run, and return its id."""
        run_id = f"test_{time.time_ns()}"
        if AIRFLOW_2:
            dated = ["--exec-date", logical_date.isoformat()] if logical_date else []
            self._airflow("dags", "trigger", dag_id, "--run-id", run_id, "--conf", json.dumps(conf or {}), *dated)
            return run_id
        body = {
            "dag_run_id": run_id,
            "conf": conf or {},
            "logical_date": logical_date.isoformat() if logical_date else None,
        }
        self.until(lambda: self._accepts(f"/api/v2/dags/{dag_id}/dagRuns", body), f"a run of {dag_id} to be accepted")
        return run_id

    def approve(self, dag_id: str, run_id: str, task_id: str) -> None:
        """Answer a task that waits for a person, as the web interface does."""
        place = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/-1/hitlDetails"
        self.until(lambda: self._accepts(place, {"chosen_options": ["Approve"]}, "PATCH"), f"{task_id} to be answered")

    def command(self, *words: str) -> None:
        """Run one of Airflow's own commands, such as ``backfill create``."""
        self._airflow(*words)

    def runs(self, dag_id: str, state: str | None = None) -> list[str]:
        """Return the ids of a DAG's runs, oldest first, all or those in a state."""
        rows = self.query("SELECT run_id, state FROM dag_run WHERE dag_id = ? ORDER BY id", dag_id)
        return [run_id for run_id, found in rows if state in (None, found)]

    def wait_for(self, dag_id: str, *, count: int = 1, state: str = "success", timeout: float = STEP) -> list[str]:
        """Wait until so many runs of a DAG are in a state, and return their ids.

        :raises AssertionError: a run is in another final state, or it takes too long.
        """

        def enough() -> list[str]:
            for other in {"success", "failed"} - {state}:
                assert not self.runs(dag_id, other), f"{dag_id} has a run in state {other}\n{self._tails()}"
            found = self.runs(dag_id, state)
            return found if len(found) >= count else []

        return self._until(enough, timeout, f"{count} runs of {dag_id} in state {state}")

    def wait_for_task(self, dag_id: str, task_id: str, state: str, timeout: float = STEP) -> None:
        """Wait until a task of the DAG's newest run is in a state."""
        self._until(
            lambda: self.states(dag_id, self.runs(dag_id)[-1]).get(task_id) == state,
            timeout,
            f"task {task_id} of {dag_id} in state {state}",
        )

    def states(self, dag_id: str, run_id: str) -> dict[str, str]:
        """Return the states of a run's tasks."""
        rows = self.query("SELECT task_id, state FROM task_instance WHERE dag_id = ? AND run_id = ?", dag_id, run_id)
        return dict(rows)

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """Return a task's result, None where it has none."""
        rows = self.query(
            "SELECT value FROM xcom WHERE dag_id = ? AND run_id = ? AND task_id = ? AND key = ?",
            *(dag_id, run_id, task_id, key),
        )
        value = rows[0][0] if rows else None
        while isinstance(value, str | bytes):
            value = json.loads(value)
        return value

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return rows of Airflow's database."""
        with closing(sqlite3.connect(f"file:{self.home}/airflow.db?mode=ro", uri=True, timeout=30)) as database:
            return database.execute(sql, values).fetchall()

    def until(self, condition: Callable[[], Any], what: str, timeout: float = STEP) -> Any:
        """Wait until a condition holds, and return what it gave."""
        return self._until(condition, timeout, what)

    # --------------------------------------------------------------------------------------------- inner works

    def _settings(self) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
        settings = {
            "CORE__DAGS_FOLDER": str(self.dags),
            "CORE__LOAD_EXAMPLES": "False",
            "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "CORE__PARALLELISM": "4",
            "CORE__EXECUTOR": "SequentialExecutor" if AIRFLOW_2 else "LocalExecutor",
            "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home}/airflow.db",
            "DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
            "SECRETS__BACKEND": "airflow.secrets.local_filesystem.LocalFilesystemBackend",
            "SECRETS__BACKEND_KWARGS": json.dumps({"connections_file_path": str(self._connections)}),
            "LOGGING__BASE_LOG_FOLDER": str(self.home / "logs"),
            "LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            "LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            # A triggerer that was killed is missed soon.
            "TRIGGERER__JOB_HEARTBEAT_SEC": "1",
            "TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "5",
            "SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "2",
            "SCHEDULER__ENABLE_HEALTH_CHECK": "False",
            # By default Airflow 3.3 notices 5 s late that a task has left its worker slot, and fails it where it is
            # back by then, as a deferred or rescheduled one may be.
            "WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
            # New DAG files are seen soon.
            "SCHEDULER__DAG_DIR_LIST_INTERVAL": "2",
            "SCHEDULER__MIN_FILE_PROCESS_INTERVAL": "5",
            "DAG_PROCESSOR__REFRESH_INTERVAL": "2",
            "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "5",
            "API__PORT": str(self._port),
            "API__HOST": "127.0.0.1",
            "API__WORKERS": "1",
            "API__BASE_URL": self._url,
            "API__SECRET_KEY": "of the tests",
            "API_AUTH__JWT_SECRET": "a secret of the tests that is long enough for any hash",
            "CORE__EXECUTION_API_SERVER_URL": f"{self._url}/execution/",
            "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        }
        named = {f"AIRFLOW__{name}": value for name, value in settings.items()}
        return {
            **own,
            **named,
            "AIRFLOW_HOME": str(self.home),
            # Airflow 2.11 starts its tasks by the command "airflow".
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
            "NO_PROXY": "127.0.0.1",
        }

    @property
    def _url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def _airflow(self, *command: str) -> None:
        self._until(lambda: self._succeeds(command), START, f"{command} to find the database free")

    def _succeeds(self, command: tuple[str, ...]) -> bool:
        done = subprocess.run(
            [sys.executable, "-m", "airflow", *command],
            env=self._environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            check=False,
            timeout=START,
        )
        output = done.stdout + done.stderr
        if done.returncode and any(sign in output for sign in TRY_AGAIN):
            return False
        assert done.returncode == 0, output[-6000:]
        return True

    def _is_up(self) -> bool:
        jobs = {row[0] for row in self.query("SELECT job_type FROM job WHERE state = 'running'")}
        wanted = {job for job in COMPONENTS.values() if job}
        return wanted <= jobs and (AIRFLOW_2 or self._api_answers())

    def _api_answers(self) -> bool:
        try:
            self._api("GET", "/api/v2/version")
        except OSError:
            return False
        return True

    def _accepts(self, path: str, body: dict[str, Any], method: str = "POST") -> bool:
        try:
            self._api(method, path, body)
        except urllib.error.HTTPError as error:
            # While another process writes to its database, Airflow on SQLite may answer with an error.
            if error.code < 500:
                raise
            return False
        return True

    def _api(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        if self._token is None:
            with urllib.request.urlopen(f"{self._url}/auth/token", timeout=30) as answer:  # noqa: S310
                self._token = json.load(answer)["access_token"]
        request = urllib.request.Request(  # noqa: S310
            self._url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return json.load(answer)

    def _until(self, condition: Callable[[], Any], timeout: float, what: str) -> Any:
        deadline = time.monotonic() + timeout
        while not (found := condition()):
            for name, process in self._processes.items():
                assert process.poll() is None, f"{name} has ended\n{self.log(name)[-5000:]}"
            assert time.monotonic() < deadline, f"waited {timeout:g} s for {what}\n{self._tails()}"
            time.sleep(0.3)
        return found

    def _tails(self) -> str:
        return "\n".join(f"----- {name}\n{self.log(name)[-3000:]}" for name in COMPONENTS)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def replace_text(path: Path, text: str) -> None:
    """Write a file so that nobody sees a part of it."""
    beside = path.with_suffix(".new")
    beside.write_text(text)
    beside.replace(path)


@cache
def running() -> LiveAirflow:
    """Return the Airflow that all tests of this process share; it is stopped when the process ends."""
    output = tempfile.mkdtemp(prefix="honeyhive-live-output-")
    atexit.register(shutil.rmtree, output, ignore_errors=True)
    # The alert example looks more often than its users would have it.
    live = LiveAirflow({"HONEYHIVE_EXAMPLE_POLL_INTERVAL": "1", "HONEYHIVE_EXAMPLE_OUTPUT": output})
    live.output = Path(output)
    atexit.register(live.__exit__)
    return live.__enter__()
