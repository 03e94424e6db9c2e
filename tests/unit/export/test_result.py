"""What a task has exported, for those who watch."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from airflow_provider_honeyhive.export.result import ExportResult, Files
from airflow_provider_honeyhive.formats.datafile import PartFile
from airflow_provider_honeyhive.manifest import LookbackFacts, Manifest, RequestFacts
from airflow_provider_honeyhive.models.request import ExportRequest
from airflow_provider_honeyhive.models.window import Window

DAY = Window(datetime(2026, 3, 10, tzinfo=UTC), datetime(2026, 3, 11, tzinfo=UTC))
SUMMARY = {"output_path": "s3://bucket/day/", "manifest_path": "s3://bucket/day/_manifest.json"}


def manifest(**facts) -> Manifest:
    return Manifest(
        **{
            "project": "demo",
            "start_time": "2026-03-10T00:00:00.000000Z",
            "end_time": "2026-03-11T00:00:00.000000Z",
            "event_count": 5,
            "reported_total": 6,
            "events_without_time": 1,
            "bytes_read": 700,
            "project_names": [("demo", "id-of-demo")],
            "started_at": "2026-03-11T00:00:01.000000Z",
            "finished_at": "2026-03-11T00:00:02.000000Z",
            "file_format": "parquet",
            "compression": "zstd",
            "request": RequestFacts(project="demo", api_host="api.example.com"),
            "files": [PartFile(path=f"part-{n}.parquet", event_count=2, size_bytes=30, sha256="") for n in range(2)],
            **facts,
        }
    )


def test_files_and_counts_are_those_of_the_manifest():
    assert ExportResult.of_files(manifest(), SUMMARY) == ExportResult(
        api_host="api.example.com",
        project="demo",
        project_id="id-of-demo",
        start_time="2026-03-10T00:00:00.000000Z",
        end_time="2026-03-11T00:00:00.000000Z",
        event_count=5,
        events_without_time=1,
        reported_total=6,
        bytes_read=700,
        files=Files(
            url="s3://bucket/day/",
            manifest_url="s3://bucket/day/_manifest.json",
            file_count=2,
            size_bytes=60,
            file_format="parquet",
            compression="zstd",
        ),
    )


def test_events_alone_have_no_files():
    request = ExportRequest(project="demo", window=DAY)
    events = [{"event_id": "1", "project": "demo", "project_id": "id-of-demo", "inputs": {"secret": "text"}}] * 3

    outcome = ExportResult.of_events("api.example.com", request, events)

    assert outcome == ExportResult(
        api_host="api.example.com",
        project="demo",
        project_id="id-of-demo",
        start_time="2026-03-10T00:00:00.000000Z",
        end_time="2026-03-11T00:00:00.000000Z",
        event_count=3,
    )


@pytest.mark.parametrize(
    ("names", "project_id"),
    [
        ([], None),
        ([("demo", None)], None),
        ([(None, "only-id")], "only-id"),
        ([(None, "a"), ("demo", "b")], "b"),
        ([("other", "a"), ("demo", "b")], "b"),
    ],
)
def test_the_id_of_the_project_is_the_one_beside_its_name(names, project_id):
    assert ExportResult.of_files(manifest(project_names=names), SUMMARY).project_id == project_id


def test_what_a_lookback_has_brought_is_counted():
    lookback = LookbackFacts(windows=1, start_time="", end_time="", late_count=3, changed_count=4)
    assert ExportResult.of_files(manifest(lookback=lookback), SUMMARY).corrected == (3, 4)


def test_whole_sessions_are_told_from_windows():
    request = RequestFacts(project="demo", api_host="api.example.com", sessions="complete")
    assert ExportResult.of_files(manifest(request=request), SUMMARY).whole_sessions


def test_no_events_leave_the_id_unknown():
    assert ExportResult.of_events("api.example.com", ExportRequest(project="demo", window=DAY), []).project_id is None
