"""The manifest of a build: what it says, what it may say, and what does not hold any more."""

from __future__ import annotations

import json
from pathlib import PurePosixPath

import pytest

from airflow_provider_honeyhive.build_manifest import BuildManifest, BuiltFile
from airflow_provider_honeyhive.exceptions import DestinationError, DestinationTakenError, InvalidArgumentError
from airflow_provider_honeyhive.manifest import MOST_FILES_LISTED, Manifest
from airflow_provider_honeyhive.models.layout import BUILD_MANIFESTS, choose_layout
from airflow_provider_honeyhive.storage.local import LocalStore

from .builds.building import KINDS, SHA, build, manifest_of


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_read_by_its_own_path_or_its_folder(tmp_path, kind):
    published = build(tmp_path / "out", kind)
    for path in (tmp_path / "out", str(tmp_path / "out"), tmp_path / "out" / f"_{kind}.json", published.manifest_url):
        assert BuildManifest.read(path).model_dump() == published.model_dump()
    assert BuildManifest.read(tmp_path / "out").to_json() == (tmp_path / "out" / f"_{kind}.json").read_bytes()


def test_where_there_is_none_or_several_it_says_so(tmp_path):
    for path in (tmp_path, tmp_path / "_tables.json", tmp_path / "none"):
        with pytest.raises(DestinationError, match="there is no manifest of a build at"):
            BuildManifest.read(path)
    build(tmp_path)
    (tmp_path / "_report.json").write_text("{}")
    with pytest.raises(DestinationError, match=r"give one of the manifests in .*: _report.json, _tables.json"):
        BuildManifest.read(tmp_path)
    assert BuildManifest.read(tmp_path / "_tables.json").kind == "tables"


def test_without_a_place_it_has_no_urls():
    manifest = manifest_of("tables", [])
    for look in (manifest.url, manifest.summary, manifest.verify, lambda: manifest.manifest_url):
        with pytest.raises(DestinationError, match=r"read it with BuildManifest.read\(path\)"):
            look()


def test_the_summary_is_plain_facts(tmp_path):
    manifest = build(tmp_path)
    assert json.loads(json.dumps(manifest.summary())) == manifest.summary()
    assert manifest.summary() == {
        "output_path": str(tmp_path),
        "manifest_path": str(tmp_path / "_tables.json"),
        "kind": "tables",
        "project": "demo",
        "start_time": "2026-11-22T00:00:00.000Z",
        "end_time": "2026-11-23T00:00:00.000Z",
        "event_count": 7,
        "counts": {"events": 7},
        "size_bytes": 15,
        "file_count": 3,
        "files": {
            "events": [str(tmp_path / file.path) for file in manifest.files[:2]],
            "sessions": [str(tmp_path / manifest.files[2].path)],
        },
    }
    assert manifest.file_urls("sessions") == manifest.summary()["files"]["sessions"]
    assert manifest.file_urls() == [url for urls in manifest.summary()["files"].values() for url in urls]
    assert manifest.file_urls("other") == []


@pytest.mark.parametrize("count", [MOST_FILES_LISTED, MOST_FILES_LISTED + 1])
def test_the_summary_lists_all_files_or_none(tmp_path, count):
    files = [
        BuiltFile(
            path=f"events/part-{number:05d}-0123456789ab.parquet", name="events", row_count=1, size_bytes=1, sha256=SHA
        )
        for number in range(count)
    ]
    summary = manifest_of("tables", files).placed(LocalStore(tmp_path), "_tables.json").summary()
    assert summary["file_count"] == count
    assert len(summary.get("files", {}).get("events", [])) == (count if count == MOST_FILES_LISTED else 0)


def test_it_finds_what_differs_what_is_missing_and_what_is_there_too_many(tmp_path):
    manifest = build(tmp_path)
    manifest.verify()
    (tmp_path / manifest.files[0].path).write_text("one 9")
    (tmp_path / manifest.files[1].path).write_text("one")
    (tmp_path / manifest.files[2].path).unlink()
    (tmp_path / "events" / "part-00009-0123456789ab.parquet").write_text("x")
    (tmp_path / "events" / "notes.txt").write_text("somebody's")
    with pytest.raises(DestinationError) as caught:
        BuildManifest.read(tmp_path).verify()
    text = str(caught.value)
    assert f"{manifest.files[0].path}: SHA-256 is" in text
    assert f"{manifest.files[1].path}: size is 3, the manifest says 5" in text
    assert f"{manifest.files[2].path}: missing" in text
    assert "events/part-00009-0123456789ab.parquet: not in the manifest" in text
    assert "notes" not in text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kind", "report"),
        ("kind", "else"),
        ("files", [{"path": "events/part-00000-0123456789ab.parquet"}]),
        ("files", {}),
        ("counts", {"x": -1}),
        ("counts", {"x": "1"}),
        ("settings", {"x": {"y": 1}}),
        ("start_time", "yesterday"),
        ("sources", [{}]),
        ("schema_version", 0),
        ("schema_version", "1"),
    ],
    ids=str,
)
def test_what_it_may_not_say_is_refused(tmp_path, name, value):
    build(tmp_path)
    path = tmp_path / "_tables.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))
    with pytest.raises(DestinationError, match="is not a manifest of a build of this provider"):
        BuildManifest.read(path)


@pytest.mark.parametrize("twice", [True, False])
def test_each_file_is_named_once_and_is_one_of_a_build(tmp_path, twice):
    build(tmp_path)
    path = tmp_path / "_tables.json"
    facts = json.loads(path.read_text())
    facts["files"][0]["path"] = facts["files"][1]["path"] if twice else "event_type=a/part-00000-0123456789ab.parquet"
    path.write_text(json.dumps(facts))
    with pytest.raises(DestinationError, match="it names a file twice, or one that no build to this place has"):
        BuildManifest.read(path)


def test_that_of_a_newer_version_asks_for_an_update(tmp_path):
    build(tmp_path)
    path = tmp_path / "_tables.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": 2}))
    with pytest.raises(DestinationTakenError, match="newer version of this provider: update it"):
        BuildManifest.read(path)


def test_a_builds_manifest_is_no_exports(tmp_path):
    build(tmp_path)
    with pytest.raises(DestinationError, match="not a manifest of this provider"):
        Manifest.read(tmp_path / "_tables.json")
    with pytest.raises(DestinationError, match="there is no manifest"):
        Manifest.read(tmp_path)


@pytest.mark.parametrize("name", BUILD_MANIFESTS)
def test_an_export_cannot_be_called_as_a_builds_manifest(name):
    with pytest.raises(InvalidArgumentError, match="the name of a manifest"):
        choose_layout(PurePosixPath("out", name))
