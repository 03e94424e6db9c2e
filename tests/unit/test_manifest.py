"""A published export is read again byte by byte, in constant memory."""

from __future__ import annotations

import gzip
import hashlib
import json
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
import zstandard

from airflow_provider_honeyhive.exceptions import DestinationError
from airflow_provider_honeyhive.formats.datafile import PartFile
from airflow_provider_honeyhive.manifest import Manifest, find_problems
from airflow_provider_honeyhive.models.export_facts import RequestFacts
from airflow_provider_honeyhive.models.window import format_time, from_micros
from airflow_provider_honeyhive.storage.paths import open_store

if TYPE_CHECKING:
    from pathlib import Path

COMPRESS = {"none": bytes, "gzip": gzip.compress, "zstd": zstandard.ZstdCompressor().compress}
NAME = "day.data"
NOON = 1_767_268_800_000
NOON_TEXT = format_time(from_micros(NOON * 1000))


def manifest_of(data: bytes, count: int, compression: str, **other: Any) -> Manifest:
    part = PartFile(
        path=NAME,
        event_count=count,
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        min_start_time=NOON_TEXT,
        max_start_time=NOON_TEXT,
    )
    facts = {
        "project": "demo",
        "start_time": "2026-01-01T00:00:00.000Z",
        "end_time": "2026-01-02T00:00:00.000Z",
        "event_count": count,
        "started_at": NOON_TEXT,
        "finished_at": NOON_TEXT,
        "file_format": "jsonl",
        "compression": compression,
        "request": RequestFacts(api_host="h"),
        "files": [part],
        **other,
    }
    return Manifest(**facts)


def problems(folder: Path, manifest: Manifest) -> list[str]:
    return find_problems(manifest, open_store(folder), f"{NAME}.manifest.json")


def line(size: int = 0) -> bytes:
    return b'{"event_id":"e","start_time":%d,"inputs":"%s"}\n' % (NOON, b"x" * size)


def test_a_manifest_of_an_earlier_release_says_the_same_as_one_of_today():
    names = [("demo", "id1"), (None, "id2")]
    today = manifest_of(b"", 0, "none", project_names=[{"name": name, "id": one} for name, one in names])
    facts = json.loads(today.to_json())
    assert facts["project_names"] == [{"name": "demo", "id": "id1"}, {"name": None, "id": "id2"}]
    assert facts["start_time"] == "2026-01-01T00:00:00.000Z"

    text = json.dumps(facts | {"project_names": names}).replace(".000Z", ".000000Z")

    assert Manifest.from_json(text.encode(), "there") == today


@pytest.mark.parametrize("names", [["demo"], ["demo", "id", "x"], "de", {"name": 1}, [1, 2], None])
def test_what_is_no_name_and_id_is_no_manifest(names):
    facts = json.loads(manifest_of(b"", 0, "none").to_json()) | {"project_names": [names]}
    with pytest.raises(DestinationError, match="project_names"):
        Manifest.from_json(json.dumps(facts).encode(), "there")


@pytest.mark.parametrize("compression", COMPRESS)
def test_whatever_the_compression_lines_are_counted_and_times_compared(tmp_path, compression):
    data = COMPRESS[compression](line() * 30)
    (tmp_path / NAME).write_bytes(data)
    assert problems(tmp_path, manifest_of(data, 30, compression)) == []
    (found,) = problems(tmp_path, manifest_of(data, 31, compression))
    assert found == f"{NAME}: number of events is 30, the manifest says 31"


@pytest.mark.parametrize("compression", COMPRESS)
def test_a_file_that_was_published_cut_short_is_found(tmp_path, compression):
    data = COMPRESS[compression](line(1_000) * 30)[:-20]
    (tmp_path / NAME).write_bytes(data)
    assert problems(tmp_path, manifest_of(data, 30, compression))


@pytest.mark.parametrize("size", [0, 1_000, 3_000_000], ids=["short lines", "lines", "lines longer than a block"])
def test_lines_are_whole_wherever_the_blocks_end(tmp_path, size):
    data = line(size) * 7
    (tmp_path / NAME).write_bytes(data)
    assert problems(tmp_path, manifest_of(data, 7, "none")) == []


@pytest.mark.parametrize(
    ("other", "problem"),
    [
        ({"compression": "lzma"}, f"{NAME}: cannot be read: KeyError: 'lzma'"),
        ({"end_time": "2025-01-01T00:00:00Z"}, "its window cannot be read: end_time: got"),
        ({"end_time": "2026-01-01T06:00:00Z"}, f"{NAME}: holds events from outside the window"),
    ],
)
def test_a_manifest_that_cannot_be_right_is_a_problem(tmp_path, other, problem):
    (tmp_path / NAME).write_bytes(line())
    (found,) = problems(tmp_path, manifest_of(line(), 1, **{"compression": "none", **other}))
    assert found.startswith(problem)


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_memory_does_not_depend_on_what_a_file_expands_to(tmp_path, compression):
    count = 600
    data = COMPRESS[compression](line(100_000) * count)
    (tmp_path / NAME).write_bytes(data)
    assert len(data) < 1_000_000
    manifest = manifest_of(data, count, compression)
    tracemalloc.start()
    try:
        assert problems(tmp_path, manifest) == []
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Of 60 MB.
    assert peak < 12_000_000
