"""The key is nowhere but in the connection and on the wire."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from airflow_provider_honeyhive.exceptions import HoneyHiveAuthError
from airflow_provider_honeyhive.hooks.honeyhive import HoneyHiveHook
from airflow_provider_honeyhive.operators.honeyhive import HoneyHiveExportEventsOperator
from airflow_provider_honeyhive.sandbox import Fault

from .conftest import HOME, KEY

DAG_FILE = """
from datetime import UTC, datetime
from airflow.providers.common.compat.sdk import DAG
from airflow_provider_honeyhive.operators.honeyhive import HoneyHiveExportEventsOperator

with DAG("secrecy", schedule="@daily", start_date=datetime(2025, 1, 1, tzinfo=UTC), catchup=False):
    refused = HoneyHiveExportEventsOperator(task_id="refused", output_path={output!r})
    files = HoneyHiveExportEventsOperator(task_id="files", output_path={output!r}, trigger_rule="all_done")
    xcom = HoneyHiveExportEventsOperator(task_id="xcom", projections=["event_name"])
    refused >> files >> xcom
"""


def test_the_key_is_in_no_log_file_xcom_and_not_in_the_database(sandbox, tmp_path):
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "secrecy.py").write_text(DAG_FILE.format(output=f"{tmp_path}/out/"))
    # A server that says the key back.
    sandbox.faults += [
        Fault.answer(401, {"message": f"Bearer {KEY} is not allowed"}),
        Fault.html(503, f"Not now, {KEY}", headers={"Retry-After": "0"}),
    ]

    done = subprocess.run(
        [sys.executable, "-m", "airflow", "dags", "test", "secrecy", "2026-03-11T00:00:00+00:00"],
        env={
            **os.environ,
            "AIRFLOW__CORE__DAGS_FOLDER": f"{tmp_path}/dags",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )

    said = done.stdout + done.stderr
    for text in ("DEBUG", "is not allowed", "Try 1 failed", "Published 300 events", "Returning 300 events"):
        assert text in said or text.lower() in said, said[-3000:]
    # Airflow 3 itself shows, at this level, which secrets it is asked to mask.
    assert [line for line in said.splitlines() if KEY in line and "MaskSecret(" not in line] == []
    assert any(path.endswith("/airflow.db") for path in files_with("SQLite format 3", tmp_path, Path(HOME)))
    assert files_with(KEY, tmp_path, Path(HOME)) == []


def files_with(text: str, *folders: Path) -> list[str]:
    """Return the files that hold a text.

    Read by another process: where this one closes its database's file, SQLite's locks are gone, and the next command of
    Airflow damages the database.
    """
    command = ["grep", "--recursive", "--files-with-matches", "--fixed-strings", text, *map(str, folders)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()


#: What begins a line of its own, obeys a terminal, or turns the direction of writing, where it is let.
FORGED = "\nFORGED line\r\x1b]0;FORGED\x07\x9bFORGED\u202eFORGED\u2066\u2028\u200b\x00\ufeff"
#: The key as a server may say it back.
SPELLINGS = (
    KEY,
    KEY.replace("_", "\\u005f"),
    KEY.replace("_", "\\\\u005F"),
    KEY.replace("_", "%5F"),
    KEY.replace("_", "&#95;"),
    "".join(f"\\x{ord(one):02x}" for one in KEY),
)

HOSTILE_DAG_FILE = """
import json
import os
from datetime import UTC, datetime
from unittest.mock import patch
from airflow.providers.common.compat.sdk import DAG
from airflow_provider_honeyhive.operators.honeyhive import HoneyHiveExportEventsOperator
from airflow_provider_honeyhive.sensors.honeyhive import HoneyHiveEventsSensor

FORGED, FOLDER = {forged!r}, {folder!r}
REASON = f"403 of https://user:S3cr3t@store/b/o?X-Amz-Signature=S3cr3t AccountKey=S3cr3t; {{FORGED}}"

def refuse(*_, **__):
    raise OSError(REASON)

class Refused(HoneyHiveExportEventsOperator):
    "The store refuses, in words of its own."
    def execute(self, context):
        with patch("os.link", refuse), patch("os.rename", refuse), patch("os.replace", refuse):
            return super().execute(context)

class Odd(HoneyHiveExportEventsOperator):
    "Its folder has a name that no DAG file would hold."
    def execute(self, context):
        self.output_path = FOLDER
        return super().execute(context)

WINDOW = {{"start_time": "2026-03-10", "end_time": "2026-03-11"}}
def export(task_id, kind=HoneyHiveExportEventsOperator, path="{output}/" , **more):
    return kind(task_id=task_id, output_path=path + task_id, trigger_rule="all_done", retries=0, **WINDOW, **more)

with DAG("hostile", schedule=None, start_date=datetime(2025, 1, 1, tzinfo=UTC), catchup=False):
    tasks = [
        export("server"),
        export("project"),
        export("store", Refused),
        export("folder", Odd),
        export("taken"),
        export("password_in_host", honeyhive_conn_id="password_in_host"),
        export("user_in_host", honeyhive_conn_id="user_in_host"),
        export("password_in_proxy", honeyhive_conn_id="password_in_proxy"),
        HoneyHiveEventsSensor(
            task_id="wait", min_events=301, timeout=1, poke_interval=0.1, trigger_rule="all_done", retries=0, **WINDOW
        ),
    ]
    for before, after in zip(tasks, tasks[1:]):
        before >> after
"""


def test_hostile_names_forge_nothing_and_say_no_key_at_level_debug(sandbox, tmp_path):
    """A server, a store, a folder, another task's manifest: each says what it likes."""
    (tmp_path / "dags").mkdir()
    output, folder = f"{tmp_path}/out", f"{tmp_path}/odd{FORGED.replace(chr(0), '')}"
    (tmp_path / "dags" / "hostile.py").write_text(
        HOSTILE_DAG_FILE.format(forged=FORGED, folder=folder, output=output), "utf-8"
    )
    (tmp_path / "out" / "taken").mkdir(parents=True)
    (tmp_path / "out" / "taken" / "_manifest.json").write_text(manifest_of_another_task())
    said_by_server = f"{FORGED} {' '.join(SPELLINGS)} Authorization: Bearer {SPELLINGS[1]}"
    event = {"event_id": "1", "start_time": 1773100800000, "project": f"{FORGED} {' '.join(SPELLINGS)}"}
    sandbox.faults += [
        Fault.answer(503, {"message": said_by_server, "errorCode": said_by_server}, retry_after=0),
        Fault.answer(401, json.dumps({"message": said_by_server, "errorCode": FORGED}).replace(KEY, SPELLINGS[1])),
        Fault.answer(200, {"events": [event], "totalEvents": 1, said_by_server: said_by_server}),
    ]
    lineage = tmp_path / "lineage.jsonl"
    transport = {"type": "file", "log_file_path": str(lineage), "append": True}
    environment = {
        **os.environ,
        "AIRFLOW__CORE__DAGS_FOLDER": f"{tmp_path}/dags",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(transport),
        "AIRFLOW_CONN_PASSWORD_IN_HOST": connection("https://user:S3cr3t@127.0.0.1"),
        "AIRFLOW_CONN_USER_IN_HOST": connection("https://S3cr3t@127.0.0.1"),
        "AIRFLOW_CONN_PASSWORD_IN_PROXY": connection(
            "127.0.0.1:9", proxy="http://user:S3cr3t@127.0.0.1:9", max_retries=0
        ),
    }
    commands = [("dags", "test", "hostile"), ("tasks", "test", "hostile", "password_in_host")]
    logged = "".join(output_of(*command, "2026-03-11T00:00:00+00:00", environment=environment) for command in commands)
    for text in (
        "Try 1 failed",
        "HoneyHiveAuthError: HTTP 401",
        "Asked for project 'demo'",
        "OSError: 403 of https://***",
        "Published 300 events",
        "DestinationTakenError: ",
        "InvalidArgumentError: ",
        "HoneyHiveConnectionError: ",
        "301",
        "\\u202eFORGED",
    ):
        assert text in logged, (text, logged[-6000:])
    said = [line for line in logged.splitlines() if "MaskSecret(" not in line]
    if lineage.exists():
        said += lineage.read_text().splitlines()
    assert [line for line in said if any(spelling in line for spelling in (*SPELLINGS, "S3cr3t"))] == []
    # Airflow colours its lines; nobody else may send an escape.
    assert [line for line in said if line.lstrip().startswith("FORGED")] == []
    assert [ascii(line) for line in said if any(one in line for one in "\u202e\u2066\u200b\ufeff\x00\x07\x9b")] == []
    assert "\x1b]" not in logged


def connection(host: str, **extra: object) -> str:
    fields = {"conn_type": "honeyhive", "password": KEY, "host": host, "extra": {"project": "demo", **extra}}
    return json.dumps(fields)


def output_of(*command: str, environment: dict[str, str]) -> str:
    """Return all that a command of Airflow writes."""
    done = subprocess.run(
        [sys.executable, "-m", "airflow", *command],
        env=environment,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        check=False,
        timeout=300,
    )
    return done.stdout + done.stderr


def manifest_of_another_task() -> str:
    """Return a manifest whose names are hostile."""
    request = {"project": FORGED, "api_host": FORGED}
    task = {"dag_id": FORGED, "task_id": FORGED, "run_id": FORGED, "try_number": 1, "map_index": -1}
    return json.dumps(
        {
            "schema_version": 1,
            "project": FORGED,
            "start_time": "2026-03-09T00:00:00.000Z",
            "end_time": "2026-03-10T00:00:00.000Z",
            "event_count": 0,
            "started_at": "2026-03-11T00:00:01.000Z",
            "finished_at": "2026-03-11T00:00:02.000Z",
            "file_format": "jsonl",
            "compression": "gzip",
            "request": request,
            "airflow": task,
            "files": [],
        }
    )


def test_no_repr_and_no_error_shows_the_key(sandbox):
    sandbox.faults.append(Fault.answer(401, {"message": f"Bearer {KEY} is not allowed"}))
    hook = HoneyHiveHook()
    with pytest.raises(HoneyHiveAuthError) as caught:
        hook.count_events("demo")

    operator = HoneyHiveExportEventsOperator(task_id="export", project="demo")
    shown = [
        *map(repr, (hook, hook.get_conn(), hook.settings, operator, caught.value)),
        str(hook.settings),
        str(vars(operator)),
        str(caught.value),
        caught.value.server_message or "",
        "".join(traceback.format_exception(caught.value)),
        json.dumps(hook.settings.model_dump(mode="json")),
        repr(pickle.dumps(copy.copy(caught.value))),
    ]
    assert [text for text in shown if KEY in text] == []
