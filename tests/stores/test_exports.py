"""Whole exports to every store: what lands, what a second run replaces, and what any death or refusal leaves."""

from __future__ import annotations

import gzip
import json
import os
import signal
import tempfile
import threading
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_honeyhive.exceptions import (
    DestinationError,
    ExportStoppedError,
    HoneyHiveAuthError,
    HoneyHiveServerError,
)
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.models.layout import FILE_FORMATS
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.sandbox import Behaviour, Fault
from airflow_provider_honeyhive.storage import object_store as fsspec_store
from tests.unit.export.test_exporter import DAY, DEMO, GENERATED

if TYPE_CHECKING:
    from .places import Place

#: Some of these tests delete events, and replace an export by a smaller one.
SMALL_PARTS = ExportOptions(max_file_size=50_000, page_size=200, concurrency=2, on_shrink="replace")
FOLDER_AND_OBJECT = pytest.mark.parametrize("name", ["out", "out/one.jsonl.gz"])


def ids_of(place: Place, name: str) -> list[str]:
    """Return the ids of all events that the manifest vouches for."""
    files, folder = place.files(), name.rpartition("/")[0] if name.endswith(".gz") else name
    manifest = Manifest.from_json(files[manifest_name(name)], name)
    texts = [gzip.decompress(files[f"{folder}/{part.path}"]) for part in manifest.files]
    return [json.loads(line)["event_id"] for text in texts for line in text.splitlines()]


def manifest_name(name: str) -> str:
    return f"{name}.manifest.json" if name.endswith(".gz") else f"{name}/_manifest.json"


def assert_whole_and_alone(place: Place, name: str, expected: set[str]) -> None:
    """Check that the export has each event once, is what its manifest says, and that nothing else is there."""
    manifest = Manifest.read(place.path(name))
    manifest.verify()
    assert Counter(ids_of(place, name)) == Counter(expected)
    folder = name.rpartition("/")[0] if name.endswith(".gz") else name
    assert place.names() == {manifest_name(name), *(f"{folder}/{part.path}" for part in manifest.files)}


def published(place: Place) -> dict[str, bytes]:
    """Return what readers see: all but names that begin with ``_``."""
    return {name: data for name, data in place.files().items() if "/_" not in name or name.endswith("/_manifest.json")}


def large_events(count: int) -> list[dict[str, Any]]:
    """Return events of 3 MB each."""
    text, start = os.urandom(1_500_000).hex(), int(DAY.start.timestamp() * 1000)
    return [
        {"event_id": f"e{n}", "project": "demo", "start_time": start + n, "inputs": {"t": text}} for n in range(count)
    ]


@FOLDER_AND_OBJECT
def test_an_export_lands_whole_is_replaced_whole_and_leaves_nothing_else(
    sandbox_with, client_of, place, name, tmp_path, monkeypatch
):
    (tmp_path / "worker").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "worker"))
    sandbox = sandbox_with(count=1_000, **GENERATED)
    for _ in range(2):
        export_events(client_of(sandbox), DEMO, place.path(name), SMALL_PARTS)
        assert_whole_and_alone(place, name, sandbox.event_ids(DAY.start, DAY.end))
        sandbox.delete(sorted(sandbox.event_ids(DAY.start, DAY.end))[:200])
    assert os.listdir(tmp_path / "worker") == []


def test_the_same_events_give_the_same_bytes_on_every_store(sandbox_with, client_of, place, tmp_path):
    sandbox = sandbox_with(count=1_000, **GENERATED)
    # By one reader: which files there are depends on who has read what.
    options = replace(SMALL_PARTS, concurrency=1)
    export_events(client_of(sandbox), DEMO, place.path("out"), options)
    export_events(client_of(sandbox), DEMO, tmp_path / "local", options)
    local = [path.read_bytes() for path in sorted((tmp_path / "local").glob("part-*"))]
    assert [data for name, data in sorted(place.files().items()) if "part-" in name] == local


def test_no_events_give_a_manifest_alone(sandbox_with, client_of, place):
    export_events(client_of(sandbox_with([])), DEMO, place.path("out"))
    assert place.names() == {"out/_manifest.json"}


@pytest.mark.parametrize("name", ["one.jsonl", "one.jsonl.gz", "one.parquet"])
def test_an_object_that_becomes_empty_stays(sandbox_with, client_of, place, name):
    sandbox = sandbox_with(**GENERATED)
    for events in (300, 0):
        manifest = export_events(client_of(sandbox), DEMO, place.path(name), SMALL_PARTS)
        Manifest.read(place.path(name)).verify()
        assert [(part.path, part.event_count) for part in manifest.files] == [(name, events)]
        assert place.names() == {name, f"{name}.manifest.json"}
        sandbox.delete(sandbox.event_ids(DAY.start, DAY.end))


@pytest.mark.parametrize("file_format", FILE_FORMATS)
def test_every_format_and_partitions_land_whole_and_are_replaced_whole(sandbox_with, client_of, place, file_format):
    sandbox = sandbox_with(count=600, **GENERATED)
    options = ExportOptions(file_format=file_format, partition_by=("event_date", "event_type"), on_shrink="replace")
    for left in (600, 1):
        sandbox.delete(sorted(sandbox.event_ids(DAY.start, DAY.end))[left:])
        manifest = export_events(client_of(sandbox), DEMO, place.path("out"), options)
        Manifest.read(place.path("out")).verify()
        assert manifest.event_count == left
        assert all(part.path.startswith(f"event_date={DAY.start:%F}/event_type=") for part in manifest.files)
        assert place.names() == {"out/_manifest.json", *(f"out/{part.path}" for part in manifest.files)}


@pytest.mark.parametrize("folder", ["a b/ü #%41/[x]", "scheduled__2026-11-22T00:00:00+00:00"])
def test_folders_may_be_called_anything(sandbox_with, client_of, place, folder):
    sandbox = sandbox_with(**GENERATED)
    for name in (folder, f"{folder}/one.jsonl.gz"):
        export_events(client_of(sandbox), DEMO, place.path(name), SMALL_PARTS)
        Manifest.read(place.path(name)).verify()
        assert Counter(ids_of(place, name)) == Counter(sandbox.event_ids(DAY.start, DAY.end))


def test_events_larger_than_a_part_of_an_upload_land_whole(sandbox_with, client_of, place, monkeypatch):
    monkeypatch.setattr(fsspec_store, "UPLOAD_BLOCK", 5 * 1024**2)
    sandbox = sandbox_with(large_events(8))
    options = ExportOptions(page_size=2, compression="none", concurrency=1)
    export_events(client_of(sandbox), DEMO, place.path("out"), options)
    manifest = Manifest.read(place.path("out"))
    manifest.verify()
    assert manifest.event_count == 8
    assert place.names() == {"out/_manifest.json", *(f"out/{part.path}" for part in manifest.files)}


@FOLDER_AND_OBJECT
def test_a_failed_second_run_leaves_the_first_ones_result(sandbox_with, client_of, place, name):
    sandbox = sandbox_with(count=600, **GENERATED)
    export_events(client_of(sandbox), DEMO, place.path(name), SMALL_PARTS)
    before = place.files()
    sandbox.delete(sorted(sandbox.event_ids(DAY.start, DAY.end))[:100])
    sandbox.fault_at[len(sandbox.requests) + 3] = Fault.answer(403)
    with pytest.raises(HoneyHiveAuthError):
        export_events(client_of(sandbox), DEMO, place.path(name), SMALL_PARTS)
    assert place.files() == before
    assert place.uploads() == []


@FOLDER_AND_OBJECT
def test_a_retry_reads_only_what_was_not_staged(sandbox_with, client_of, place, name):
    sandbox = sandbox_with(count=4_000, **GENERATED)
    options = ExportOptions(max_file_size=100_000, page_size=200, concurrency=1)
    sandbox.fault_at[14] = Fault.answer(503)
    with pytest.raises(HoneyHiveServerError):
        export_events(client_of(sandbox, max_retries=0), DEMO, place.path(name), options)
    assert published(place) == {}
    first, requests = sum(request.event_count for request in sandbox.requests), len(sandbox.requests)
    export_events(client_of(sandbox), DEMO, place.path(name), options)
    assert first > 2_000
    assert sum(request.event_count for request in sandbox.requests[requests:]) < 4_000 - first / 2
    assert_whole_and_alone(place, name, sandbox.event_ids(DAY.start, DAY.end))


@FOLDER_AND_OBJECT
def test_verify_finds_a_damaged_file(sandbox_with, client_of, place, name):
    manifest = export_events(client_of(sandbox_with(**GENERATED)), DEMO, place.path(name), SMALL_PARTS)
    Manifest.read(place.path(name)).verify()
    part = manifest.files[-1].path
    key = place.key(f"out/{part}")
    fs, whole = place.another_fs(), place.files()[f"out/{part}"]
    damages = {
        "one byte": bytes([*whole[:-20], whole[-20] ^ 1, *whole[-19:]]),
        "cut short": whole[:-30],
        "longer": whole + whole,
        "empty": b"",
    }
    for damaged in damages.values():
        fs.pipe_file(key, damaged)
        with pytest.raises(DestinationError, match=part):
            Manifest.read(place.path(name)).verify()
    fs.rm_file(key)
    with pytest.raises(DestinationError, match=f"{part}: missing"):
        Manifest.read(place.path(name)).verify()
    fs.pipe_file(key, whole)
    Manifest.read(place.path(name)).verify()


def test_a_failing_read_aborts_its_upload_and_shows_nothing(sandbox_with, client_of, place, monkeypatch):
    monkeypatch.setattr(fsspec_store, "UPLOAD_BLOCK", 5 * 1024**2)
    sandbox = sandbox_with(large_events(8))
    sandbox.fault_at[5] = Fault.answer(403)
    options = ExportOptions(page_size=2, compression="none", concurrency=1)
    with pytest.raises(HoneyHiveAuthError):
        export_events(client_of(sandbox), DEMO, place.path("out"), options)
    assert place.names() == set()
    assert place.uploads() == []


def test_a_stopped_export_aborts_the_upload_of_a_reader_that_waits(sandbox_with, client_of, place, monkeypatch):
    monkeypatch.setattr(fsspec_store, "UPLOAD_BLOCK", 5 * 1024**2)
    waits = threading.Event()
    behaviour = Behaviour(before_request=lambda _, number: number == 5 and waits.set())
    sandbox = sandbox_with(large_events(8), behaviour=behaviour)
    sandbox.fault_at[5] = Fault.delayed(30)
    client = client_of(sandbox)
    threading.Thread(target=lambda: waits.wait() and client.stop(), daemon=True).start()
    with pytest.raises(ExportStoppedError):
        export_events(client, DEMO, place.path("out"), ExportOptions(page_size=2, compression="none", concurrency=1))
    assert place.uploads() == []
    assert published(place) == {}


@pytest.mark.parametrize("status", [403, 500])
@FOLDER_AND_OBJECT
def test_a_store_that_refuses_from_any_write_on_keeps_the_earlier_result(
    sandbox_with, client_of, bucket, name, status, drivers_do_not_wait
):
    sandbox = sandbox_with(count=600, **GENERATED)
    export_events(client_of(sandbox), DEMO, bucket.path(name), SMALL_PARTS)
    before = published(bucket)
    sandbox.delete(sorted(sandbox.event_ids(DAY.start, DAY.end))[:100])
    for step in (1, 2, 4, 7):
        bucket.gate.refuse(step, status=status)
        with pytest.raises(DestinationError, match=f"cannot .* {bucket.url}/out"):
            export_events(client_of(sandbox), DEMO, bucket.path(name), SMALL_PARTS)
        bucket.gate.let_all_through()
        assert published(bucket) == before
    export_events(client_of(sandbox), DEMO, bucket.path(name), SMALL_PARTS)
    assert_whole_and_alone(bucket, name, sandbox.event_ids(DAY.start, DAY.end))


@FOLDER_AND_OBJECT
def test_a_store_that_refuses_one_write_while_publishing_keeps_the_earlier_result(
    sandbox_with, client_of, bucket, name
):
    sandbox = sandbox_with(count=600, **GENERATED)
    writes = bucket.gate.writes
    export_events(client_of(sandbox), DEMO, bucket.path(name), SMALL_PARTS)
    needed = bucket.gate.writes - writes
    before = published(bucket)
    sandbox.delete(sorted(sandbox.event_ids(DAY.start, DAY.end))[:100])
    outcomes = Counter()
    for number in range(1, needed + 1, 2):
        bucket.gate.refuse(number, number + 1)
        try:
            export_events(client_of(sandbox), DEMO, bucket.path(name), SMALL_PARTS)
        except DestinationError:
            bucket.gate.let_all_through()
            if Manifest.read(bucket.path(name)).event_count == 600:
                assert published(bucket) == before
                outcomes["kept"] += 1
                continue
            # Committed, and only the clearing away failed: what counts is whole.
            outcomes["committed"] += 1
        bucket.gate.let_all_through()
        assert Counter(ids_of(bucket, name)) == Counter(sandbox.event_ids(DAY.start, DAY.end))
        break
    export_events(client_of(sandbox), DEMO, bucket.path(name), SMALL_PARTS)
    assert_whole_and_alone(bucket, name, sandbox.event_ids(DAY.start, DAY.end))
    assert outcomes["kept"] > 3


@FOLDER_AND_OBJECT
def test_killed_after_any_write_the_retry_is_whole(sandbox_with, bucket, name, exporter):
    sandbox = sandbox_with(count=600, **GENERATED)
    kills = 0
    for number in (1, 4, 8, 13, 19, 25):
        target = bucket.gate.writes + number
        with exporter.start(sandbox.url, bucket, name) as victim:
            while victim.is_alive() and bucket.gate.writes < target:
                time.sleep(0.001)
            victim.kill()
            kills += victim.wait() == -signal.SIGKILL
        with exporter.start(sandbox.url, bucket, name) as retry:
            assert retry.wait() == 0
        assert_whole_and_alone(bucket, name, sandbox.event_ids(DAY.start, DAY.end))
        bucket.another_fs().rm(bucket.key("out"), recursive=True)
    assert kills >= 3
