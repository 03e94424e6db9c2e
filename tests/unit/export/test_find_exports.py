"""The exports below a folder are found wherever they are, and nothing else is taken for one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_honeyhive.exceptions import DestinationError
from airflow_provider_honeyhive.export.catalog import find_exports
from airflow_provider_honeyhive.manifest import Manifest, RequestFacts
from airflow_provider_honeyhive.storage.local import LocalStore
from airflow_provider_honeyhive.storage.paths import open_store

if TYPE_CHECKING:
    from pathlib import Path


def put_manifest(folder: Path, project: str = "demo", **other: Any) -> None:
    facts = {
        "project": project,
        "start_time": "2026-01-01T00:00:00.000000Z",
        "end_time": "2026-01-02T00:00:00.000000Z",
        "event_count": 0,
        "started_at": "",
        "finished_at": "",
        "file_format": "jsonl",
        "compression": "gzip",
        "request": RequestFacts(api_host="h"),
        "files": [],
        **other,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "_manifest.json").write_bytes(Manifest(**facts).to_json())


def found(folder: Path) -> list[str]:
    return sorted(export.folder for export in find_exports(open_store(folder), lambda manifest: True))


def test_exports_are_found_at_any_depth(tmp_path):
    for name in ("2026-01-01", "2026/01/02", "by-run/scheduled__2026-01-03T00:00:00+00:00", "."):
        put_manifest(tmp_path / name)
    assert found(tmp_path) == ["", "2026-01-01", "2026/01/02", "by-run/scheduled__2026-01-03T00:00:00+00:00"]


@pytest.mark.parametrize("name", ["_shards-1/a", ".trash/a", "export/event_date=2026-01-01"])
def test_what_engines_skip_and_what_is_an_exports_own_is_not_looked_into(tmp_path, name):
    put_manifest(tmp_path / "export")
    put_manifest(tmp_path / name)
    assert found(tmp_path) == ["export"]


def test_a_folder_that_is_not_there_holds_none(tmp_path):
    assert found(tmp_path / "nothing") == []


@pytest.mark.parametrize("text", ["", "{}", '{"nodes": {}}', "\xff"])
def test_what_is_no_manifest_is_passed_over_with_a_warning(tmp_path, caplog, text):
    put_manifest(tmp_path / "export")
    (tmp_path / "dbt").mkdir()
    (tmp_path / "dbt" / "_manifest.json").write_text(text)
    assert found(tmp_path) == ["export"]
    assert str(tmp_path / "dbt") in caplog.text


def test_exports_of_all_time_are_no_windows(tmp_path):
    put_manifest(tmp_path / "all", start_time=None, end_time=None)
    assert found(tmp_path) == []


def test_only_what_is_wanted_is_given(tmp_path):
    put_manifest(tmp_path / "mine")
    put_manifest(tmp_path / "other", project="other")
    exports = find_exports(open_store(tmp_path), lambda manifest: manifest.project == "demo")
    assert [export.path("part") for export in exports] == ["mine/part"]


def test_a_store_that_cannot_be_read_is_an_error(tmp_path):
    class Failing(LocalStore):
        def get(self, name: str) -> bytes | None:
            raise DestinationError("no")

    with pytest.raises(DestinationError):
        list(find_exports(Failing(tmp_path), lambda manifest: True))
