"""What the distributed run needs around it: PostgreSQL, Redis, and Airflow with the CeleryExecutor, all on loopback.

Everything lives in one folder, is started in a session of its own, and is gone when the context closes.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ROOT = Path(__file__).resolve().parent.parent
#: Seconds that a service gets to come up.
START_S = 180
#: Seconds that processes get to end by themselves.
STOP_S = 10
NEEDED = ("postgresql", "redis-server")


class Failure(Exception):  # noqa: N818 - not an error of the script, but what it found
    """Something is not as it should be."""


def say(line: str) -> None:
    """Print a line, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(what: str, is_there: Callable[[], Any], seconds: float) -> Any:
    """Return what ``is_there`` returns once that is true.

    :raises Failure: it does not become so in time.
    """
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = is_there()
        if found:
            return found
        time.sleep(0.5)
    raise Failure(f"{what}: not within {seconds:.0f} s")


# ------------------------------------------------------------------------------------------ programs


def find_programs() -> dict[str, str]:
    """Return the paths of initdb, postgres and redis-server; install them where that is possible.

    :raises Failure: they are missing, and only root can install them.
    """
    found = _look_for_programs()
    if None in found.values() and shutil.which("apt-get") and os.geteuid() == 0:
        say(f"Installing {' and '.join(NEEDED)} from Debian's packages")
        # Without this, the packages would start services of their own.
        policy = Path("/usr/sbin/policy-rc.d")
        ours = not policy.exists()
        if ours:
            policy.write_text("#!/bin/sh\nexit 101\n")
            policy.chmod(0o755)
        try:
            _apt("update")
            _apt("install", "-y", "--no-install-recommends", *NEEDED)
        finally:
            if ours:
                policy.unlink()
        found = _look_for_programs()
    missing = [name for name, path in found.items() if path is None]
    if missing:
        raise Failure(f"{', '.join(missing)} not found: install them with 'apt-get install {' '.join(NEEDED)}' as root")
    return {name: str(path) for name, path in found.items()}


def _look_for_programs() -> dict[str, str | None]:
    # Debian keeps the server's programs of each version out of the search path.
    folders = [str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    path = os.pathsep.join([*folders, os.environ.get("PATH", "")])
    return {name: shutil.which(name, path=path) for name in ("initdb", "postgres", "redis-server")}


def _apt(*arguments: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(["apt-get", "-q", *arguments], env=environment, capture_output=True, text=True, check=False)  # noqa: S603, S607
    if done.returncode:
        raise Failure(f"apt-get {arguments[0]} failed:\n{done.stderr[-2000:]}")


def make_environment(place: Path) -> Path:
    """Return the Python of a virtual environment with this project, Airflow and Celery, made if need be."""
    python, stamp = place / "bin" / "python", place / "installed"
    pins = ROOT / "constraints" / "airflow-3.3.txt"
    if stamp.exists() and stamp.stat().st_mtime > max(pins.stat().st_mtime, (ROOT / "pyproject.toml").stat().st_mtime):
        return python
    say(f"Installing Airflow with Celery into {place}")
    # Celery 5.7 has lost a name that version 3.26 of its provider imports.
    extra = ("apache-airflow-providers-celery", "celery<5.7", "psycopg2-binary", "asyncpg")
    pip = ("-m", "pip", "install", "-q", "--disable-pip-version-check", "-c", str(pins), "-e", str(ROOT))
    for command in ([sys.executable, "-m", "venv", str(place)], [str(python), *pip, "apache-airflow", *extra]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            raise Failure(f"'{' '.join(command)}' failed:\n{done.stderr[-2000:]}")
    stamp.touch()
    return python


# ----------------------------------------------------------------------------------------- processes


class Processes:
    """Processes that end with the context, each with a log of its own in ``folder/logs``."""

    def __init__(self, folder: Path) -> None:
        self._logs = folder / "logs"
        self._logs.mkdir()
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # In the order of their start reversed: the database last.
        for name in reversed(list(self._running)):
            self.stop(name)

    def start(self, name: str, command: Sequence[str], env: Mapping[str, str], user: str | None = None) -> None:
        """Start a process.

        :param user: whom it runs as, where that is not us.
        """
        as_user = {"user": user, "group": user, "extra_groups": []} if user else {}
        with self.log(name).open("wb") as log:
            self._running[name] = subprocess.Popen(  # type: ignore[call-overload]  # noqa: S603
                command, env=dict(env), stdout=log, stderr=subprocess.STDOUT, start_new_session=True, **as_user
            )

    def log(self, name: str) -> Path:
        """Return the file with what a process has said."""
        return self._logs / f"{name}.log"

    def check(self) -> None:
        """Fail if one that should run has ended.

        :raises Failure: it has; with the end of its log.
        """
        for name, process in self._running.items():
            if process.poll() is not None:
                text = self.log(name).read_text(errors="replace")
                raise Failure(f"{name} has ended with {process.returncode}:\n{text[-3000:]}")

    def pids(self, name: str) -> set[int]:
        """Return the ids of a process and of all that it has started."""
        session = self._running[name].pid
        return {pid for pid, of in _sessions() if of == session}

    def kill(self, name: str) -> int:
        """Kill a process and all that it has started by ``SIGKILL``; return how many these were."""
        killed: set[int] = set()
        while left := self.pids(name) - killed:
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            killed |= left
        self._running.pop(name).wait()
        return len(killed)

    def stop(self, name: str) -> None:
        """End a process: politely, then all that it has started by force."""
        process = self._running[name]
        with suppress(ProcessLookupError):
            process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
        self.kill(name)


def _sessions() -> list[tuple[int, int]]:
    """Return ids and sessions of all processes."""
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            with suppress(OSError):
                # After the name in brackets, which may hold anything: state, parent, group, session.
                state, _, _, session = (place / "stat").read_text().rpartition(")")[2].split()[:4]
                if state != "Z":
                    found.append((int(place.name), int(session)))
    return found


def start_postgres(processes: Processes, programs: Mapping[str, str], folder: Path) -> int:
    """Start a PostgreSQL of our own; return its port."""
    data, port = folder / "postgres", free_port()
    data.mkdir()
    # It refuses to run as root; Debian's package brings a user for it.
    user = "postgres" if os.geteuid() == 0 else None
    if user:
        shutil.chown(data, user, user)
    as_user = {"user": user, "group": user, "extra_groups": []} if user else {}
    initdb = [programs["initdb"], "-D", str(data), "-U", "airflow", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"]
    done = subprocess.run(initdb, cwd=data, capture_output=True, text=True, check=False, **as_user)  # type: ignore[call-overload]  # noqa: S603
    if done.returncode:
        raise Failure(f"initdb failed:\n{done.stderr[-2000:]}")
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": "",
        "max_connections": 300,
        "fsync": "off",
    }
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    processes.start("postgres", [programs["postgres"], "-D", str(data), *options], os.environ, user)
    wait_for("PostgreSQL", lambda: _says(port, b"\x00\x00\x00\x08\x04\xd2\x16\x2f", b"N"), START_S)
    return port


def start_redis(processes: Processes, programs: Mapping[str, str]) -> int:
    """Start a Redis of our own; return its port."""
    port = free_port()
    command = [programs["redis-server"], "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    processes.start("redis", command, os.environ)
    wait_for("Redis", lambda: _says(port, b"PING\r\n", b"+PONG"), START_S)
    return port


def _says(port: int, question: bytes, answer: bytes) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(question)
            return connection.recv(64).startswith(answer)
    except OSError:
        return False


# ------------------------------------------------------------------------------------------- Airflow


class Airflow:
    """An Airflow with the CeleryExecutor.

    :param processes: run its parts.
    :param python: of its environment.
    :param folder: for its home.
    :param postgres: port of its database.
    :param redis: port of its broker.
    :param slots: tasks that one worker runs at the same time.
    :param settings: further environment variables for tasks.
    """

    def __init__(
        self,
        processes: Processes,
        python: Path,
        folder: Path,
        *,
        postgres: int,
        redis: int,
        workers: int,
        slots: int,
        settings: Mapping[str, str],
    ) -> None:
        self._processes = processes
        self._command = [str(python), "-m", "airflow"]
        self._slots = slots
        port = free_port()
        self._url = f"http://127.0.0.1:{port}"
        self._token = ""
        home = folder / "airflow"
        self.dags = home / "dags"
        self.dags.mkdir(parents=True)
        database = f"127.0.0.1:{postgres}/postgres"
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "HH_"))}
        self._env = {
            **clean,
            **settings,
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CORE__PARALLELISM": str(workers * slots),
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self._url}/execution/",
            "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://airflow@{database}",
            "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__BASE_URL": self._url,
            "AIRFLOW__API__SECRET_KEY": secrets.token_hex(32),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
            "AIRFLOW__CELERY__BROKER_URL": f"redis://127.0.0.1:{redis}/0",
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+postgresql+psycopg2://airflow@{database}",
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
            # What Airflow by default takes minutes and hours to notice.
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "5",
            "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "120",
            "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "10",
            "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": "600",
            "C_FORCE_ROOT": "true",
            "PYTHONUNBUFFERED": "1",
        }

    def migrate(self) -> None:
        """Make the database."""
        command = [*self._command, "db", "migrate"]
        done = subprocess.run(command, env=self._env, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            raise Failure(f"airflow db migrate failed:\n{(done.stdout + done.stderr)[-3000:]}")

    def start(self, workers: Sequence[str]) -> None:
        """Start all parts, and a worker of each name; return when they answer."""
        for part in ("api-server", "scheduler", "dag-processor"):
            self._processes.start(part, [*self._command, part], self._env)
        for name in workers:
            options = ["--celery-hostname", f"{name}@%h", "--concurrency", str(self._slots), "--skip-serve-logs"]
            env = {**self._env, "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port())}
            self._processes.start(name, [*self._command, "celery", "worker", *options], env)
        wait_for("Airflow's API", self._log_in, START_S)
        for name in workers:
            ready = self._processes.log(name)
            wait_for(name, lambda ready=ready: " ready." in ready.read_text(errors="replace"), START_S)

    def _log_in(self) -> bool:
        self._processes.check()
        with suppress(Failure):
            self._token = self.ask("GET", "/auth/token")["access_token"]
        return bool(self._token)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request to Airflow's API and return its answer.

        :raises Failure: it is an error, or there is none.
        """
        headers = {"Content-Type": "application/json"} | (
            {"Authorization": f"Bearer {self._token}"} if self._token else {}
        )
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, headers, method=method)  # noqa: S310 - http, to loopback
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise Failure(f"{method} {path}: {error.code} {error.read()[:500]!r}") from None
        except OSError as error:
            raise Failure(f"{method} {path}: {error}") from None

    def trigger(self, dag_id: str) -> str:
        """Begin a run, once Airflow knows the DAG; return its id."""

        def attempt() -> str | None:
            self._processes.check()
            try:
                run: str = self.ask("POST", f"/api/v2/dags/{dag_id}/dagRuns", {"logical_date": None})["dag_run_id"]
            except Failure as failure:
                if ": 404 " in str(failure):
                    return None
                raise
            return run

        return str(wait_for(f"DAG {dag_id}", attempt, START_S))
