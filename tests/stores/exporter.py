"""Exports in processes of their own, to be killed. One process imports everything, and forks for each of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Queue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .places import Place

#: Seconds that the process that forks gets to import everything.
START_S = 300

SCRIPT = """
import json, logging, os, sys, threading, traceback
from airflow.providers.common.compat.sdk import ObjectStoragePath
from airflow_provider_honeyhive.api.client import HoneyHiveClient
from airflow_provider_honeyhive.export import open_file
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.api.settings import ClientSettings
from airflow_provider_honeyhive.storage import azure, object_store, s3_parts
from tests.unit.export.test_exporter import DEMO
# What a path would import when it connects.
import adlfs, gcsfs, s3fs
import airflow.providers.amazon.aws.fs.s3
import airflow.providers.google.cloud.fs.gcs
import airflow.providers.microsoft.azure.fs.adls

def export(api_url, output_url, conn_id, part_bytes):
    if part_bytes:
        for module in (open_file, object_store, azure, s3_parts):
            module.UPLOAD_BLOCK = part_bytes
        open_file.HELD_BACK_BYTES = s3_parts.SMALLEST_PART = part_bytes
    logging.disable(logging.WARNING)
    client = HoneyHiveClient(ClientSettings.parse(api_key="hh_sandbox", api_url=api_url))
    path = ObjectStoragePath(output_url, conn_id=conn_id)
    options = ExportOptions(max_file_size=50_000, page_size=200, concurrency=2, on_shrink="replace")
    export_events(client, DEMO, path, options)

def answer(*numbers):
    # In one write, so that answers do not mix.
    os.write(int(sys.argv[1]), f"{' '.join(map(str, numbers))}\\n".encode())

def wait(pid):
    answer(pid, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            export(*json.loads(line))
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    answer(pid)
    threading.Thread(target=wait, args=(pid,)).start()
"""


class Export:
    """One export under way."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._code = 1
        self._ended = threading.Event()

    def end(self, code: int) -> None:
        """Note that it has ended."""
        self._code = code
        self._ended.set()

    def is_alive(self) -> bool:
        """Return whether it is still at work."""
        return not self._ended.is_set()

    def kill(self) -> None:
        """End it at once, wherever it is."""
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)

    def wait(self) -> int:
        """Return its exit code, once it has ended."""
        self._ended.wait()
        return self._code


class Exporter:
    """Starts exports, one after the other or side by side."""

    def __init__(self) -> None:
        reading, writing = os.pipe()
        self._answers = os.fdopen(reading)
        self._process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(writing)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            pass_fds=[writing],
            cwd=Path(__file__).parents[2],
        )
        os.close(writing)
        self._started: Queue[Export] = Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        exports: dict[str, Export] = {}
        for line in self._answers:
            pid, *code = line.split()
            if code:
                exports.pop(pid).end(int(code[0]))
            else:
                exports[pid] = Export(int(pid))
                self._started.put(exports[pid])

    @contextmanager
    def start(self, api_url: str, place: Place, name: str, *, part_bytes: int = 0) -> Iterator[Export]:
        """Start an export, which is over at the end of the context.

        :param part_bytes: of a part of an upload, so that small files have some; 0: as many as they have.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([api_url, f"{place.url}/{name}", place.conn_id, part_bytes]) + "\n")
        self._process.stdin.flush()
        export = self._started.get(timeout=START_S)
        yield export
        export.wait()

    def close(self) -> None:
        """End the process that forks."""
        self._process.communicate()
        self._answers.close()
