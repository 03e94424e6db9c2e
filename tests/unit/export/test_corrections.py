"""Which events become corrections, and how the files of an export are told apart."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from airflow_provider_honeyhive.export import open_file
from airflow_provider_honeyhive.export.destination import Destination
from airflow_provider_honeyhive.export.file_kinds import sort_out
from airflow_provider_honeyhive.export.lookback import CorrectionEncoder, Reason
from airflow_provider_honeyhive.export.open_file import FileKind
from airflow_provider_honeyhive.export.slice_queue import Grid
from airflow_provider_honeyhive.export.staging import SliceWriter, Staging
from airflow_provider_honeyhive.formats.content_index import (
    RECORD_BYTES,
    IndexFile,
    count_records,
    records_of,
)
from airflow_provider_honeyhive.formats.datafile import PartFile
from airflow_provider_honeyhive.formats.encoder import BlockEncoder
from airflow_provider_honeyhive.formats.exported_content import ExportedContent
from airflow_provider_honeyhive.formats.text import Frame
from airflow_provider_honeyhive.models.layout import INDEX_PARTITION, Layout
from airflow_provider_honeyhive.reading.cursor import Batch, Cursor
from airflow_provider_honeyhive.storage.local import LocalStore

if TYPE_CHECKING:
    from collections.abc import Sequence

KNOWN, CHANGED, LATE = (b'{"event_id":"%s","n":1}' % name for name in (b"known", b"changed", b"late"))
NOW_CHANGED = CHANGED.replace(b"1", b"2")


def lines(raw_events: Sequence[bytes]) -> tuple[bytes, dict[str, int]]:
    return b"".join(raw + b"\n" for raw in raw_events), {}


@pytest.fixture
def exported():
    records = records_of([KNOWN, CHANGED])
    index = IndexFile(path="i", record_count=2, size_bytes=len(records), sha256=sha256(records).hexdigest())
    with ExportedContent() as content:
        content.add([records], index, "here")
        content.finish()
        yield content


def test_only_what_is_new_or_says_something_else_is_encoded_by_its_reason(exported):
    encoder = CorrectionEncoder(BlockEncoder(lines, index=records_of), exported)
    made = encoder([LATE, KNOWN, NOW_CHANGED], [1, 2, 3])
    assert {(block.partition, data) for data, block in made} == {
        ("_corrections/reason=late", LATE + b"\n"),
        ("_corrections/reason=changed", NOW_CHANGED + b"\n"),
        (INDEX_PARTITION, records_of([LATE])),
        (INDEX_PARTITION, records_of([NOW_CHANGED])),
    }
    assert encoder([KNOWN, CHANGED], [1, 2]) == []


def test_partitions_lie_in_the_folder_of_the_reason(exported):
    encoder = CorrectionEncoder(BlockEncoder(lines, partition_by=["event_type"], index=records_of), exported)
    made = encoder([LATE[:-1] + b',"event_type":"model"}'], [None])
    assert [block.partition for _, block in made] == ["_corrections/reason=late/event_type=model", INDEX_PARTITION]


def test_files_are_told_apart_by_their_names():
    sizes = {
        "part-00000-0123456789ab.jsonl": 5,
        "event_date=2026-11-22/part-00001-0123456789ab.jsonl": 6,
        "_corrections/reason=changed/part-00002-0123456789ab.jsonl": 7,
        "_corrections/reason=late/event_type=x/part-00003-0123456789ab.jsonl": 8,
        "_index-0123456789ab.bin": 3 * RECORD_BYTES,
    }
    found = sort_out(
        PartFile(path=path, event_count=1, size_bytes=size, sha256="0" * 64) for path, size in sizes.items()
    )
    assert [part.size_bytes for part in found.events] == [5, 6]
    assert [(part.reason, part.size_bytes) for part in found.corrections] == [(Reason.CHANGED, 7), (Reason.LATE, 8)]
    assert found.index is not None
    assert found.index.record_count == count_records(3 * RECORD_BYTES) == 3


def test_without_an_index_there_is_none():
    assert sort_out([]).index is None


def test_records_have_a_file_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(open_file, "UPLOAD_BLOCK", 1)
    place = Destination(LocalStore(tmp_path), Layout("csv", "none", None), "of a test")
    kind = FileKind(place, Frame(head=b"head\n", tail=b"tail\n"), 10**9)
    writer = SliceWriter(Staging(kind, BlockEncoder(lines, index=records_of), map), 0, cell=Grid(0, 1).bounds)
    with writer:
        for time in range(5):
            writer.write(Batch([KNOWN, LATE], [time, time], ["a", "b"], Cursor(upper=None)))
    events, index = writer.files
    assert (events.contents.partition, index.contents.partition) == ("", INDEX_PARTITION)
    assert (events.contents.event_count, index.contents.event_count) == (10, 0)
    assert (tmp_path / events.path).read_bytes() == b"head\n" + (KNOWN + b"\n" + LATE + b"\n") * 5 + b"tail\n"
    assert (tmp_path / index.path).read_bytes() == records_of([KNOWN, LATE]) * 5
