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
    files = [path for folder in (tmp_path, Path(HOME)) for path in folder.rglob("*") if path.is_file()]
    assert any(path.name == "airflow.db" for path in files)
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []


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
