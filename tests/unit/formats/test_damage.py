"""Any damage of a data file is told as a problem of that file, whatever a library makes of it."""

from __future__ import annotations

import gzip
import hashlib
import io
import random
import tempfile
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet as pq

from airflow_provider_honeyhive.display import MOST_LISTED
from airflow_provider_honeyhive.exceptions import DestinationError
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.formats import datafile
from airflow_provider_honeyhive.formats.content_index import IndexFile
from airflow_provider_honeyhive.formats.datafile import PartFile, problems_of
from airflow_provider_honeyhive.formats.exported_content import ExportedContent
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.models.layout import FORMATS
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.models.window import to_micros

from ..export.test_exporter import DEMO
from ..property_settings import thoroughly

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

KINDS = [(name, compression) for name, compressions in FORMATS.items() for compression in compressions]


def problems(part: PartFile, kind: tuple[str, str], data: bytes) -> list[str]:
    """Return what is wrong with a file's bytes, in whatever pieces they come."""
    pieces = (data[start : start + 777] for start in range(0, len(data), 777))
    return list(problems_of(part, *kind, pieces, None))


@pytest.fixture(scope="module")
def parts() -> dict[tuple[str, str], tuple[PartFile, bytes]]:
    """Filled by :func:`part_of`, once for each kind of file."""
    return {}


@pytest.fixture
def part_of(client: Any, tmp_path: Path, parts: dict[Any, Any]) -> Callable[[tuple[str, str]], tuple[PartFile, bytes]]:
    """Give a function that exports 301 events to one file of a kind."""

    def make(kind: tuple[str, str]) -> tuple[PartFile, bytes]:
        if kind not in parts:
            options = ExportOptions(file_format=kind[0], compression=kind[1])
            (part,) = export_events(client, DEMO, tmp_path / "-".join(kind), options).files
            parts[kind] = part, (tmp_path / "-".join(kind) / part.path).read_bytes()
        return parts[kind]

    return make


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_a_file_with_one_byte_changed_is_named_with_what_is_wrong(part_of, kind):
    part, data = part_of(kind)
    assert problems(part, kind, data) == []
    draw = random.Random(4)
    for _ in range(300):
        at, harm = draw.randrange(len(data)), 1 << draw.randrange(8)
        assert problems(part, kind, data[:at] + bytes([data[at] ^ harm]) + data[at + 1 :])


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_a_file_that_is_cut_doubled_or_another_one_is_named_with_what_is_wrong(part_of, kind):
    part, data = part_of(kind)
    draw = random.Random(5)
    for _ in range(30):
        begin, end = sorted(draw.choices(range(len(data)), k=2))
        for harmed in (data[:begin], data[:end] + data[begin:], data[:begin] + draw.randbytes(99) + data[end:]):
            assert problems(part, kind, harmed) or harmed == data
    for other in (
        b"",
        b"\0" * 5_000,
        b"[" * 200_000 + b"\n",
        b"PAR1" * 1_000,
        b'{"start_time":' + b"9" * 5_000 + b"}\n",
    ):
        for harmed in (other, gzip.compress(other), zstandard.compress(other)):
            assert problems(part, kind, harmed)


def test_each_byte_of_a_parquet_footer_may_be_damaged():
    sink = io.BytesIO()
    table = pa.table({"start_time": pa.array([10**15, None], pa.timestamp("us", "UTC")), "event_id": ["a", "b"]})
    pq.write_table(table, sink)
    data = sink.getvalue()
    length = int.from_bytes(data[-8:-4], "little") + 8
    part = PartFile(path="a", event_count=2, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    for at in range(len(data) - length, len(data)):
        for harm in (1, 0x80, 0xFF):
            assert problems(part, ("parquet", "zstd"), data[:at] + bytes([data[at] ^ harm]) + data[at + 1 :])


def test_times_outside_of_the_calendar_are_a_problem():
    sink = io.BytesIO()
    pq.write_table(pa.table({"start_time": pa.array([2**62], pa.int64())}), sink)
    part = PartFile(path="a", event_count=1, size_bytes=1, sha256="0" * 64)
    assert problems(part, ("parquet", "zstd"), sink.getvalue()) == ["cannot be read: a start_time is no time"]
    assert problems(part, ("csv", "none"), b"start_time\nsecret\n") == ["cannot be read: a start_time is no time"]


@pytest.mark.parametrize(
    "header", [b'"start_time"x\n', b"\0start_time\n", b"event_id\n", b'"start_time\n', b"\xff\n", b"\r\r\n"]
)
def test_a_damaged_header_of_csv_is_a_problem(header):
    part = PartFile(path="a", event_count=1, size_bytes=1, sha256="0" * 64)
    (problem,) = problems(part, ("csv", "none"), header + b"1\n")
    assert problem.startswith("cannot be read: ")


@given(st.sampled_from(KINDS), st.binary(max_size=300))
@thoroughly(200)
def test_any_bytes_at_all_are_a_problem(kind, data):
    """No file of ours has so few bytes but an empty list, and none has these facts."""
    part = PartFile(path="a", event_count=7, size_bytes=10**6, sha256="0" * 64)
    assert problems(part, kind, data)


@pytest.mark.parametrize(
    ("file_format", "begin", "text"),
    [
        ("jsonl", b"", b"a"),
        ("json", b"[\n", b"a"),
        ("csv", b"start_time\n", b"1"),
        ("csv", b'start_time\n"', b"a\n"),
        ("csv", b"start_time\n", b'"a\n",'),
    ],
    ids=["line", "line of a list", "field", "quoted field", "row of many lines"],
)
@pytest.mark.parametrize(
    ("compression", "compress"),
    [("none", bytes), ("gzip", gzip.compress), ("zstd", zstandard.ZstdCompressor().compress)],
)
def test_what_has_no_end_is_not_held_in_memory(monkeypatch, file_format, begin, text, compression, compress):
    """A bomb expands to as much as is asked for: it is given up at the first event that is too long."""
    monkeypatch.setattr(datafile, "LONGEST_ROW", 2_000_000)
    asked = 0

    def endless() -> Iterator[bytes]:
        nonlocal asked
        yield compress(begin)
        while asked < 100:
            asked += 1
            yield compress(text * 100_000)

    part = PartFile(path="a", event_count=1, size_bytes=1, sha256="0" * 64)
    (problem,) = problems_of(part, file_format, compression, endless(), None)
    assert "without the end of an event" in problem or "field larger than field limit" in problem
    assert asked < 50


def test_the_damage_of_one_file_does_not_hide_that_of_others(client, tmp_path):
    options = ExportOptions(file_format="parquet", max_file_size=100_000)
    manifest = export_events(client, DEMO, tmp_path / "out", options)
    assert 2 < len(manifest.files) <= MOST_LISTED
    for part in manifest.files:
        path = tmp_path / "out" / part.path
        data = path.read_bytes()
        path.write_bytes(data[:-300] + bytes(byte ^ 0xFF for byte in data[-300:-8]) + data[-8:])
    with pytest.raises(DestinationError) as caught:
        Manifest.read(tmp_path / "out").verify()
    assert all(f"{part.path}: cannot be read: " in str(caught.value) for part in manifest.files)


# ---------------------------------------------------------------------------------------- temporary files


def full(*_: Any, **__: Any) -> Any:
    raise OSError(28, "No space left on device")


class Full(io.BytesIO):
    write = full


@pytest.mark.parametrize("broken", [full, lambda *_: Full()], ids=["cannot be made", "cannot be written"])
def test_a_temporary_file_that_cannot_be_written_is_told_with_what_to_do(part_of, monkeypatch, broken):
    part, data = part_of(("parquet", "zstd"))
    monkeypatch.setattr(tempfile, "TemporaryFile", broken)
    with pytest.raises(DestinationError, match="^cannot use a temporary file: free space there, or let TMPDIR"):
        problems(part, ("parquet", "zstd"), data)


def test_so_is_the_temporary_file_of_what_was_exported():
    data = bytes(24 * 1_000)
    index = IndexFile(path="i", record_count=1_000, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    with ExportedContent() as content:
        content._db.execute("PRAGMA max_page_count = 1")
        with pytest.raises(DestinationError, match="^cannot use a temporary file: .*TMPDIR.*full"):
            content.add([data], index, "here")


def test_an_index_that_is_longer_than_its_manifest_says_is_not_taken():
    asked = 0

    def endless() -> Iterator[bytes]:
        nonlocal asked
        while True:
            asked += 1
            assert asked < 10
            yield bytes(24)

    index = IndexFile(path="i", record_count=3, size_bytes=72, sha256="0" * 64)
    with ExportedContent() as content, pytest.raises(DestinationError, match="not what its manifest says"):
        content.add(endless(), index, "here")


def test_a_time_of_the_first_and_the_last_year_is_a_time():
    for text in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"):
        assert datafile.FIRST_US <= to_micros(text) <= datafile.LAST_US
