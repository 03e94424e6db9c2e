"""What a task has exported, for those who watch."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from airflow_provider_honeyhive.exceptions import DestinationError
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.export.result import ExportResult, summarize
from airflow_provider_honeyhive.formats.datafile import CorrectionFile, PartFile
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.models.export_facts import RequestFacts
from airflow_provider_honeyhive.models.request import ExportRequest
from airflow_provider_honeyhive.models.window import Window
from airflow_provider_honeyhive.storage import paths
from airflow_provider_honeyhive.storage.local import LocalStore
from airflow_provider_honeyhive.tasks.assets import asset_facts

DAY = Window(datetime(2026, 3, 10, tzinfo=UTC), datetime(2026, 3, 11, tzinfo=UTC))
#: Of five events that are no files.
RESULT = ExportResult(
    api_host="api.example.com",
    project="demo",
    project_id="id-of-demo",
    start_time="2026-03-10T00:00:00.000Z",
    end_time="2026-03-11T00:00:00.000Z",
    event_count=5,
)


def manifest(**facts) -> Manifest:
    return Manifest(
        **{
            "project": "demo",
            "start_time": "2026-03-10T00:00:00.000Z",
            "end_time": "2026-03-11T00:00:00.000Z",
            "event_count": 5,
            "reported_total": 6,
            "events_without_time": 1,
            "bytes_read": 700,
            "project_names": [("demo", "id-of-demo")],
            "started_at": "2026-03-11T00:00:01.000Z",
            "finished_at": "2026-03-11T00:00:02.000Z",
            "file_format": "parquet",
            "compression": "zstd",
            "request": RequestFacts(project="demo", api_host="api.example.com"),
            "files": [
                PartFile(path=f"part-{n}.parquet", event_count=2, size_bytes=30, sha256="0" * 64) for n in range(2)
            ],
            **facts,
        }
    ).placed(LocalStore(Path("/bucket/day")), "_manifest.json")


def test_files_and_counts_are_those_of_the_manifest():
    published = manifest()
    assert ExportResult.of_files(published) == replace(RESULT, manifest=published)


def test_events_alone_have_no_files():
    request = ExportRequest(project="demo", window=DAY)
    events = [{"event_id": "1", "project": "demo", "project_id": "id-of-demo", "inputs": {"secret": "text"}}] * 3

    assert ExportResult.of_events("api.example.com", request, events) == replace(RESULT, event_count=3)


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
    assert ExportResult.of_files(manifest(project_names=names)).project_id == project_id


def test_no_events_leave_the_id_unknown():
    assert ExportResult.of_events("api.example.com", ExportRequest(project="demo", window=DAY), []).project_id is None


def test_a_published_export_knows_where_it_is(sandbox_with, client_of, tmp_path):
    sandbox = sandbox_with(count=20, start=DAY.start, end=DAY.end)
    request = ExportRequest(project="demo", window=DAY)
    for name, url in (("folder/", "folder"), ("one.jsonl.gz", "one.jsonl.gz")):
        published = export_events(client_of(sandbox), request, f"{tmp_path}/{name}")
        summary = summarize(published)
        assert summary["output_path"] == f"{tmp_path}/{url}"
        assert summary == summarize(Manifest.read(f"{tmp_path}/{name}"))
        assert all(Path(file).exists() for file in (*summary["files"], summary["manifest_path"]))
        published.verify()


@pytest.mark.parametrize(("files", "corrections", "listed"), [(1_000, 0, True), (1_001, 0, False), (999, 2, False)])
def test_a_result_lists_all_files_or_none(files, corrections, listed):
    part = {"event_count": 1, "size_bytes": 1, "sha256": "0" * 64}
    published = manifest(
        files=[PartFile(path=f"part-{n}.parquet", **part) for n in range(files)],
        corrections=[CorrectionFile(path=f"{n}.parquet", reason="late", **part) for n in range(corrections)],
        lookback={"windows": 1, "start_time": "2026-03-09T00:00:00Z", "end_time": "2026-03-10T00:00:00Z"},
    )

    summary = summarize(published)

    assert ("files" in summary, "correction_files" in summary) == (listed, listed)
    assert summary["file_count"] == files == len(published.file_urls)
    assert published.file_urls[-1] == f"/bucket/day/part-{files - 1}.parquet"
    assert len(published.correction_urls) == corrections


def test_telling_where_an_export_is_opens_no_store_again(sandbox_with, client_of, tmp_path, monkeypatch):
    opened = []

    def open_local(path: Path) -> LocalStore:
        opened.append(path)
        return LocalStore(path)

    monkeypatch.setattr(paths, "LocalStore", open_local)
    sandbox = sandbox_with(count=20, start=DAY.start, end=DAY.end)
    published = export_events(client_of(sandbox), ExportRequest(project="demo", window=DAY), f"{tmp_path}/day")
    assert summarize(published)["files"]
    assert asset_facts(ExportResult.of_files(published))["output_path"] == f"{tmp_path}/day"
    assert opened == [tmp_path / "day"]


def test_a_manifest_from_nowhere_says_so():
    with pytest.raises(DestinationError, match=r"read it with Manifest.read\(path\)"):
        Manifest.from_json(manifest().to_json(), "somewhere").url()
