"""Exports in processes of their own, to be killed. One process imports everything, and forks for each of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .places import Place

SCRIPT = """
import logging, os, sys, traceback
from airflow.providers.common.compat.sdk import ObjectStoragePath
from airflow_provider_honeyhive.api.client import HoneyHiveClient
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.api.settings import ClientSettings
from tests.unit.export.test_exporter import DEMO
# What a path would import when it connects.
import adlfs, gcsfs, s3fs
import airflow.providers.amazon.aws.fs.s3
import airflow.providers.google.cloud.fs.gcs
import airflow.providers.microsoft.azure.fs.adls

def export(api_url, output_url, conn_id):
    logging.disable(logging.WARNING)
    client = HoneyHiveClient(ClientSettings.parse(api_key="hh_sandbox", api_url=api_url))
    path = ObjectStoragePath(output_url, conn_id=conn_id)
    export_events(client, DEMO, path, ExportOptions(max_file_size=50_000, page_size=200, concurrency=2))

answers = os.fdopen(int(sys.argv[1]), "w")
for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            export(*line.rstrip().split("\\t"))
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    print(pid, file=answers, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), file=answers, flush=True)
"""


class Export:
    """One export under way."""

    def __init__(self, answers: IO[str]) -> None:
        self._pid = int(answers.readline())
        self._code = 1
        self._waiting = threading.Thread(target=self._read_code, args=(answers,))
        self._waiting.start()

    def _read_code(self, answers: IO[str]) -> None:
        self._code = int(answers.readline())

    def is_alive(self) -> bool:
        """Return whether it is still at work."""
        return self._waiting.is_alive()

    def kill(self) -> None:
        """End it at once, wherever it is."""
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)

    def wait(self) -> int:
        """Return its exit code, once it has ended."""
        self._waiting.join()
        return self._code


class Exporter:
    """Starts exports, one after the other."""

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

    @contextmanager
    def start(self, api_url: str, place: Place, name: str) -> Iterator[Export]:
        """Start an export, which is over at the end of the context."""
        assert self._process.stdin is not None
        self._process.stdin.write("\t".join([api_url, f"{place.url}/{name}", place.conn_id]) + "\n")
        self._process.stdin.flush()
        export = Export(self._answers)
        yield export
        export.wait()

    def close(self) -> None:
        """End the process that forks."""
        self._process.communicate()
        self._answers.close()
