"""Exports to an object store: S3 as moto plays it over HTTP, refusing whatever and whenever it likes."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from moto.server import DomainDispatcherApplication, create_backend_app
from upath import UPath
from werkzeug.serving import make_server

from airflow_provider_honeyhive.exceptions import DestinationError, ExportStoppedError, HoneyHiveAuthError
from airflow_provider_honeyhive.export import export_events
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.options import ExportOptions
from airflow_provider_honeyhive.sandbox import Behaviour, Fault
from airflow_provider_honeyhive.stores import open_store

from .test_export import DAY, DEMO, GENERATED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SMALL_PARTS = ExportOptions(max_file_size=50_000, page_size=200, concurrency=2)


class Bucket:
    """An S3 on loopback that can refuse from its n-th write on."""

    def __init__(self) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)
        self.writes = 0
        self.refuse_from: float = float("inf")
        self.refuse_until: float = float("inf")
        self.status = "403 Forbidden"
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if environ["REQUEST_METHOD"] in ("PUT", "POST", "DELETE"):
            self.writes += 1
            if self.refuse_from <= self.writes < self.refuse_until:
                environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
                start_response(self.status, [("Content-Type", "application/xml"), ("Content-Length", "0")])
                return [b""]
        return self._moto(environ, start_response)

    def path(self, key: str) -> UPath:
        return UPath(
            f"s3://bucket/{key}",
            key="a",
            secret="b",
            endpoint_url=self.url,
            use_listings_cache=False,
            skip_instance_cache=True,
        )

    def names(self) -> set[str]:
        fs = self.path("").fs
        fs.invalidate_cache()
        return {key.removeprefix("bucket/") for key in fs.find("bucket")}

    def published(self) -> dict[str, bytes]:
        fs = self.path("").fs
        return {key: fs.cat_file(f"bucket/{key}") for key in self.names() if "_staging-" not in key}

    def uploads(self) -> list[str]:
        fs = self.path("").fs
        return [item["Key"] for item in fs.call_s3("list_multipart_uploads", Bucket="bucket").get("Uploads", [])]

    def close(self) -> None:
        self._server.shutdown()


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    made = Bucket()
    made.path("").fs.mkdir("bucket")
    yield made
    made.path("").fs.rm("bucket", recursive=True)
    made.close()


def ids_of(path: UPath) -> list[str]:
    manifest = Manifest.read(path)
    folder = path.parent if path.name.endswith(".gz") else path
    texts = [gzip.decompress((folder / part.path).read_bytes()) for part in manifest.files]
    return [json.loads(line)["event_id"] for text in texts for line in text.splitlines()]


@pytest.mark.parametrize("name", ["out", "out/one.jsonl.gz"])
def test_an_export_lands_whole_is_replaced_whole_and_leaves_nothing_else(sandbox_with, client_of, bucket, name):
    sandbox = sandbox_with(count=1_000, **GENERATED)
    local = set(os.listdir(tempfile.gettempdir()))
    for _ in range(2):
        manifest = export_events(client_of(sandbox), DEMO, bucket.path(name), SMALL_PARTS)
        Manifest.read(bucket.path(name)).verify()
        assert Counter(ids_of(bucket.path(name))) == Counter(sandbox.event_ids(DAY.start, DAY.end))
        manifest_key = "out/_manifest.json" if name == "out" else f"{name}.manifest.json"
        assert bucket.names() == {manifest_key, *(f"out/{part.path}" for part in manifest.files)}
        sandbox.delete(sorted(sandbox.event_ids(DAY.start, DAY.end))[:200])
    assert set(os.listdir(tempfile.gettempdir())) <= local, "temporary files on the worker"


def test_no_events_give_a_manifest_alone(sandbox_with, client_of, bucket):
    export_events(client_of(sandbox_with([])), DEMO, bucket.path("out"))
    assert bucket.names() == {"out/_manifest.json"}


@pytest.mark.parametrize("status", ["403 Forbidden", "500 Internal Server Error"])
@pytest.mark.parametrize("name", ["out", "out/one.jsonl.gz"])
def test_a_store_that_refuses_from_any_write_on_keeps_the_earlier_result(sandbox_with, client_of, bucket, name, status):
    sandbox = sandbox_with(count=600, **GENERATED)
    export_events(client_of(sandbox), DEMO, bucket.path(name), SMALL_PARTS)
    before = bucket.published()
    sandbox.delete(sorted(sandbox.event_ids(DAY.start, DAY.end))[:100])
    bucket.status = status
    for step in (1, 2, 4, 7):
        bucket.refuse_from = bucket.writes + step
        with pytest.raises(DestinationError, match="cannot .* s3://bucket/out"):
            export_events(client_of(sandbox), DEMO, bucket.path(name), SMALL_PARTS)
        bucket.refuse_from = float("inf")
        assert bucket.published() == before
    export_events(client_of(sandbox), DEMO, bucket.path(name), SMALL_PARTS)
    assert Counter(ids_of(bucket.path(name))) == Counter(sandbox.event_ids(DAY.start, DAY.end))
    assert all("_" not in key.rpartition("/")[2] or key.endswith("_manifest.json") for key in bucket.names())


@pytest.mark.parametrize("name", ["out", "out/one.jsonl.gz"])
def test_a_store_that_refuses_one_write_while_publishing_keeps_the_earlier_result(
    sandbox_with, client_of, bucket, name
):
    sandbox = sandbox_with(count=600, **GENERATED)
    writes = bucket.writes
    export_events(client_of(sandbox), DEMO, bucket.path(name), SMALL_PARTS)
    needed = bucket.writes - writes
    before = bucket.published()
    sandbox.delete(sorted(sandbox.event_ids(DAY.start, DAY.end))[:100])
    failed = 0
    for back in range(needed, 0, -1):
        bucket.refuse_from, bucket.refuse_until = bucket.writes + needed - back + 1, bucket.writes + needed - back + 2
        try:
            export_events(client_of(sandbox), DEMO, bucket.path(name), SMALL_PARTS)
        except DestinationError:
            failed += 1
            bucket.refuse_from = float("inf")
            manifest = Manifest.read(bucket.path(name))
            if manifest.event_count == 600:
                # Not committed: all is as it was.
                assert {key: data for key, data in bucket.published().items() if "_publishing" not in key} == before
            else:
                # Committed, and only the clearing away failed: what counts is whole.
                assert Counter(ids_of(bucket.path(name))) == Counter(sandbox.event_ids(DAY.start, DAY.end))
        bucket.refuse_from = float("inf")
        if failed >= 12:
            break
    export_events(client_of(sandbox), DEMO, bucket.path(name), SMALL_PARTS)
    Manifest.read(bucket.path(name)).verify()
    assert Counter(ids_of(bucket.path(name))) == Counter(sandbox.event_ids(DAY.start, DAY.end))
    assert failed > 3


def test_a_failing_read_aborts_its_upload_and_shows_nothing(sandbox_with, client_of, bucket, monkeypatch):
    monkeypatch.setattr("airflow_provider_honeyhive.fsspec_store.UPLOAD_BLOCK", 5 * 1024**2)
    text = os.urandom(1_500_000).hex()
    start = int(DAY.start.timestamp() * 1000)
    events = [
        {"event_id": f"e{n}", "project": "demo", "start_time": start + n, "inputs": {"t": text}} for n in range(8)
    ]
    sandbox = sandbox_with(events)
    sandbox.fault_at[5] = Fault.answer(403)
    options = ExportOptions(page_size=2, compression="none", concurrency=1)
    with pytest.raises(HoneyHiveAuthError):
        export_events(client_of(sandbox), DEMO, bucket.path("out"), options)
    assert bucket.names() == set()
    assert bucket.uploads() == []


def test_a_stopped_export_aborts_the_upload_of_a_reader_that_waits(sandbox_with, client_of, bucket, monkeypatch):
    monkeypatch.setattr("airflow_provider_honeyhive.fsspec_store.UPLOAD_BLOCK", 5 * 1024**2)
    text = os.urandom(1_500_000).hex()
    start = int(DAY.start.timestamp() * 1000)
    events = [
        {"event_id": f"e{n}", "project": "demo", "start_time": start + n, "inputs": {"t": text}} for n in range(8)
    ]
    waits = threading.Event()
    sandbox = sandbox_with(events, behaviour=Behaviour(before_request=lambda _, number: number == 4 and waits.set()))
    sandbox.fault_at[5] = Fault.delayed(30)
    client = client_of(sandbox)

    def stop_while_the_fifth_waits() -> None:
        waits.wait()
        while not bucket.uploads():
            time.sleep(0.01)
        client.stop()

    threading.Thread(target=stop_while_the_fifth_waits, daemon=True).start()
    with pytest.raises(ExportStoppedError):
        export_events(client, DEMO, bucket.path("out"), ExportOptions(page_size=2, compression="none", concurrency=1))
    assert bucket.uploads() == []
    assert all("_staging-" in key for key in bucket.names())


def test_a_name_is_taken_only_once(bucket):
    store = open_store(bucket.path("out"))
    assert store.put_new("lock", b"mine")
    assert not store.put_new("lock", b"yours")
    assert store.get("lock") == b"mine"


@pytest.mark.parametrize("kind", ["bucket", "folder"])
def test_any_range_of_a_file_can_be_read(bucket, tmp_path, monkeypatch, kind):
    monkeypatch.setattr("airflow_provider_honeyhive.stores.READ_BLOCK", 10)
    store = open_store(bucket.path("out") if kind == "bucket" else tmp_path)
    data = bytes(range(35))
    store.put("file", data)
    for offset, length in [
        (0, None),
        (0, 0),
        (3, 7),
        (3, 30),
        (9, 11),
        (20, 15),
        (34, 1),
        (35, 1),
        (40, None),
        (30, 9),
    ]:
        pieces = list(store.chunks("file", offset, length))
        assert b"".join(pieces) == data[offset:][:length]
        assert all(0 < len(piece) <= 10 for piece in pieces)


def test_urls_do_not_show_the_connection():
    assert open_store(UPath("memory://x")).url("a").endswith("/a")


EXPORT = """
import sys
from airflow_provider_honeyhive.client import HoneyHiveClient
from airflow_provider_honeyhive.export import export_events
from airflow_provider_honeyhive.options import ExportOptions
from airflow_provider_honeyhive.settings import ClientSettings
from upath import UPath
from tests.unit.test_export import DEMO

url, endpoint = sys.argv[1:]
path = UPath("s3://bucket/out", key="a", secret="b", endpoint_url=endpoint)
client = HoneyHiveClient(ClientSettings.parse(api_key="hh_sandbox", api_url=url))
print("ready", flush=True)
export_events(client, DEMO, path, ExportOptions(max_file_size=50_000, page_size=200, concurrency=2))
"""


def test_killed_after_any_write_the_retry_is_whole(sandbox_with, bucket):
    sandbox = sandbox_with(count=600, **GENERATED)
    kills = 0
    for number in range(1, 30, 3):
        process = subprocess.Popen(
            [sys.executable, "-c", EXPORT, sandbox.url, bucket.url],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=Path(__file__).parents[2],
        )
        target = bucket.writes + number
        while process.poll() is None and bucket.writes < target:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        retry = subprocess.run(
            [sys.executable, "-c", EXPORT, sandbox.url, bucket.url],
            check=False,
            timeout=60,
            cwd=Path(__file__).parents[2],
        )
        assert retry.returncode == 0
        manifest = Manifest.read(bucket.path("out"))
        manifest.verify()
        assert Counter(ids_of(bucket.path("out"))) == Counter(sandbox.event_ids(DAY.start, DAY.end))
        assert bucket.names() == {"out/_manifest.json", *(f"out/{part.path}" for part in manifest.files)}
        bucket.path("").fs.rm("bucket/out", recursive=True)
    assert kills >= 5
