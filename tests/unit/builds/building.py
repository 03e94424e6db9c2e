"""Builds for tests: small files whose texts say which build they are of."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from airflow_provider_honeyhive.build_manifest import BuildManifest, BuiltFile, SourceFacts
from airflow_provider_honeyhive.builds.publication import LocalFile, claim_build
from airflow_provider_honeyhive.models.layout import BUILDS
from tests.unit.export.stepped import SteppedStore, stepping

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_honeyhive.builds.stopping import BuildStop

#: The names of a build's files, their folders, stems and suffixes, by kind. The last one has a fixed name, if any has.
FILES: dict[str, list[tuple[str, str, str, str]]] = {
    "tables": [
        ("events", "events", "part", ".parquet"),
        ("events", "events", "part", ".parquet"),
        ("sessions", "sessions", "part", ".parquet"),
    ],
    "dataset": [
        ("train", "train", "part", ".jsonl.gz"),
        ("test", "test", "part", ".jsonl.gz"),
        ("card", "", "README", ".md"),
    ],
    "report": [("report", "", "report", ".html")],
}
KINDS = tuple(FILES)
SHA = "0" * 64
TIME = "2026-11-23T00:00:00.000Z"
SOURCE = SourceFacts(manifest_path="out/_manifest.json", manifest_sha256=SHA, event_count=7, finished_at=TIME)
#: What builds are about.
WHERE: dict[str, Any] = {"project": "demo", "start_time": "2026-11-22T00:00:00.000Z", "end_time": TIME}


def manifest_of(kind: str, files: list[BuiltFile]) -> BuildManifest:
    """Return the manifest of files that nobody has published."""
    times = {"started_at": TIME, "finished_at": TIME}
    return BuildManifest(kind=kind, **WHERE, sources=[SOURCE], engine="duckdb 2.0.0", **times, files=files)


def build(output_path: Any, kind: str = "tables", word: str = "one", **facts: Any) -> BuildManifest:
    """Publish a build.

    :param word: that its files say.
    :param facts: of its claim, or what stops it.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for number, (name, to, stem, suffix) in enumerate(FILES[kind]):
            path = Path(folder, str(number))
            path.write_text(f"{word} {number}")
            files.append(LocalFile(path, name, to, stem, suffix, row_count=number + 1))
        return publish(output_path, files, kind, **facts)


def publish(
    output_path: Any, files: list[LocalFile], kind: str = "tables", stop: BuildStop | None = None, **facts: Any
) -> BuildManifest:
    """Claim a place for a build of these files, and publish it."""
    claim = claim_build(output_path, kind, **(WHERE | facts))
    return claim.publish(files, sources=[SOURCE], settings={}, counts={"events": 7}, stop=stop)


def texts_of(manifest: BuildManifest, root: Path) -> list[str]:
    """Return what the files of a build say."""
    return [(root / file.path).read_text() for file in manifest.files]


def assert_whole_and_alone(root: Path) -> BuildManifest:
    """Check that a folder holds one whole build, and nothing else."""
    manifest = BuildManifest.read(root)
    manifest.verify()
    wanted = {f"_{manifest.kind}.json", *manifest.sizes, *manifest.folders}
    assert {str(path.relative_to(root)) for path in root.rglob("*")} == wanted, sorted(root.rglob("*"))
    assert len({text.split()[0] for text in texts_of(manifest, root)}) <= 1
    return manifest


def assert_nothing_half_done(root: Path) -> None:
    """Check that the build that is published, if any is, has all of its files; others count for nobody."""
    name = next((path.name for path in root.glob("_*.json")), None)
    if name is None:
        return
    manifest = BuildManifest.read(root / name)
    for file in manifest.files:
        found = [root / file.path]
        if file.path == BUILDS[manifest.kind]:
            # Its hash tells, and the next build puts it in place.
            found += root.glob("_staging-*/commit-*.data")
        assert file.sha256 in {sha256(path.read_bytes()).hexdigest() for path in found if path.exists()}, file.path


@contextmanager
def stepping_builds() -> Iterator[None]:
    """Let all builds and exports use stores that can be stopped before each step."""
    with stepping(), patch("airflow_provider_honeyhive.builds.publication.open_store", SteppedStore):
        yield
