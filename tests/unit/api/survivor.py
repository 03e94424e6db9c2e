"""Exports, in a process with little memory, from servers that mean harm; prints how each export has ended.

``python -m tests.unit.api.survivor BYTES``, and as JSON on the standard input a name, a URL and a format for each.
"""

from __future__ import annotations

import json
import re
import resource
import sys
import tempfile
import threading
from pathlib import Path

import pyarrow.parquet  # noqa: F401 - what an export loads belongs to what the process has before

from airflow_provider_honeyhive.api.client import HoneyHiveClient
from airflow_provider_honeyhive.api.settings import ClientSettings
from airflow_provider_honeyhive.exceptions import HoneyHiveError
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.models.options import ExportOptions
from tests.unit.conftest import KEY
from tests.unit.export.test_exporter import DEMO, published

#: So that answers without end cost little time; all else is as it is by default.
SETTINGS = {"api_key": KEY, "endpoint": "export", "timeout": 2, "max_retries": 0}


def limit_to(memory: int) -> None:
    """Let this process have so many bytes of memory.

    What can be limited is its address space, of which much has no memory behind it from the beginning: libraries.
    """
    status = Path("/proc/self/status").read_text()
    space, resident = (
        int(re.findall(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE)[0]) for name in ("VmSize", "VmRSS")
    )
    limit = (space - resident) * 1024 + memory
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def export(url: str, file_format: str) -> tuple[str, list[str]]:
    """Export from a server; return how that ended, and what was left besides staging."""
    client = HoneyHiveClient(ClientSettings.parse(api_url=url, **SETTINGS), sleep=lambda seconds: None)
    with tempfile.TemporaryDirectory() as folder, client:
        out = Path(folder, "out")
        try:
            export_events(client, DEMO, out, ExportOptions(file_format=file_format)).verify()
        except HoneyHiveError:
            return "typed error", sorted(published(out))
        return "exported", []


def main() -> None:
    """Export from each."""
    limit_to(int(sys.argv[1]))
    for name, url, file_format in json.load(sys.stdin):
        try:
            ended, left = export(url, file_format)
        except Exception as error:  # noqa: BLE001 - the test wants to know
            ended, left = f"{type(error).__name__}: {error}"[:500], []
        for thread in threading.enumerate():
            # Readers whose export has failed end what they have begun; a task's process does not wait for them.
            if thread is not threading.main_thread():
                thread.join()
        sys.stdout.write(json.dumps([name, ended, left]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
