"""Leftovers of exports that failed for good go when somebody asks for it, and nothing else does."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from airflow_provider_honeyhive.cli.main import main
from airflow_provider_honeyhive.exceptions import DestinationError
from airflow_provider_honeyhive.export.checkpoint import Checkpoints
from airflow_provider_honeyhive.export.cleanup import find_leftovers, remove_leftover
from airflow_provider_honeyhive.export.combine import combine_exports
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.export.shards import remove_shards
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.models.layout import Layout
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.storage.paths import open_store

from .stepped import dies, stepping
from .test_combine import export_parts
from .test_exporter import DAY, DEMO, event_at, tree

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

WEEK = timedelta(days=7)
TEMPORARY = f"_new-{'0' * 32}"
RUNNING = "_staging-76543210-01234567-00000000"
#: What only begins as the names of exports do.
OTHERS = (
    "_staging-notes/a.txt",
    "_staging-notes/plan.json",
    "_staging-0123456/plan.json",
    "_staging-0123456789abcdeg/plan.json",
    "_staging-01234567-01234567-01234567-/plan.json",
    "_shards-of-glass/a.txt",
    "_shards-of-glass/plan.json",
    "_shards-0123456789ABCDEF/plan.json",
    "_new-ideas.txt",
    "_new-0123",
    "_lease-agreement.pdf",
    "days/1/_staging-notes/00000-00000-01234567",
    "days/1/_lease-file",
)
#: What is no export's, in folders that are; with the folder that it is in.
STRANGERS = (
    ("_staging-01234567-01234567-00000000", "notes.txt"),
    ("_staging-01234567-01234567-00000000", "deep/plan.json"),
    ("_staging-01234567-01234567-00000000", "commit-notes.json"),
    ("_shards-0123456789abcdef", "notes.txt"),
    ("_shards-0123456789abcdef", "notes/_manifest.json"),
    ("_shards-0123456789abcdef", "20260101T000000Z-20260102T000000Z/notes.txt"),
    ("_shards-0123456789abcdef", "20260101T000000Z-20260102T000000Z/notes/part-00000-0123456789ab.jsonl"),
    ("_shards-0123456789abcdef", "20260101T000000Z-20260102T000000Z/event_date=2026-01-01/part-0.jsonl"),
    ("_shards-0123456789abcdef", "20260101T000000Z-20260102T000000Z/_staging-01234567-01234567-00000000/deep/a"),
)
#: What is an export's beside it.
OURS = {
    "_staging-01234567-01234567-00000000": ("plan.json", "00000-01234567.json", "00000-00000-01234567", TEMPORARY),
    "_shards-0123456789abcdef": (
        "plan.json",
        "20260101T000000Z-20260102T000000Z/_manifest.json",
        "20260101T000000Z-20260102T000000Z/_lease-manifest.json",
        "20260101T000000Z-20260102T000000Z/part-00000-0123456789ab.jsonl",
        "20260101T000000Z-20260102T000000Z/event_date=2026-01-01/event_type=a/part-00000-0123456789ab.parquet",
        "20260101T000000Z-20260102T000000Z/_staging-01234567-01234567-00000000/commit-01234567.json",
        "20260102T000000.000001Z-20260102T000001Z/_manifest.json".replace(".", "_", 1),
    ),
}


def age(folder: Path, days: float = 8) -> None:
    """Let all that is in a folder have been written days ago."""
    then = time.time() - days * 86_400
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (then, then))


@pytest.fixture
def leftovers(client, tmp_path) -> list[str]:
    """Leave old and new things beside exports, and return the names of the old ones."""
    export_events(client, DEMO, tmp_path / "days" / "1")
    export_events(client, DEMO, tmp_path / "days" / "one.jsonl.gz")
    export_parts(client, tmp_path / "split", run="still running")
    young = {path.name for path in (tmp_path / "split").glob("_shards-*")}
    export_parts(client, tmp_path / "split", run="failed")
    (old,) = ({path.name for path in (tmp_path / "split").glob("_shards-*")}) - young
    names = [
        TEMPORARY,
        "days/1/_staging-01234567-01234567-00000000",
        f"split/{old}",
        "days/_staging-0123456789abcdef",
    ]
    for name in names:
        if "_new-" in name:
            (tmp_path / name).write_text("half")
        elif "_staging-" in name:
            (tmp_path / name).mkdir()
            (tmp_path / name / "00000-00000-01234567").write_text("half")
    age(tmp_path)
    (tmp_path / "days" / TEMPORARY).write_text("half")
    (tmp_path / RUNNING).mkdir()
    for number in range(2):
        (tmp_path / RUNNING / f"00000-0000{number}-01234567").write_text("half")
    os.utime(tmp_path / RUNNING / "00000-00000-01234567", (0, 0))
    age(tmp_path / "split", days=8)
    age(tmp_path / "split" / next(iter(young)), days=6)
    return sorted(names)


def test_leftovers_are_found_at_any_depth_and_removed_with_all_that_is_in_them(tmp_path, leftovers):
    before = tree(tmp_path)
    found = find_leftovers(tmp_path, WEEK)
    assert [leftover.name for leftover in found] == leftovers
    for leftover in found:
        remove_leftover(tmp_path, leftover)
    gone = before.keys() - tree(tmp_path).keys()
    assert gone == {name for name in before if name.startswith(tuple(leftovers))}
    assert not any((tmp_path / name).exists() for name in leftovers)
    for name in ("1", "one.jsonl.gz"):
        Manifest.read(tmp_path / "days" / name).verify()


@pytest.mark.parametrize("name", ["out", "out/one.jsonl.gz"])
def test_what_a_dead_writer_had_placed_goes_with_its_staging_folder(sandbox, client, tmp_path, name):
    """At every step of a second export, and what is published is whole then."""
    step, died = 0, True
    while died:
        step += 1
        path = tmp_path / str(step) / name
        export_events(client, DEMO, path)
        sandbox.add([event_at(DAY.start, step)])
        with stepping():
            died = dies(lambda path=path: export_events(client, DEMO, path), step)
        age(tmp_path / str(step))
        for leftover in find_leftovers(tmp_path / str(step), WEEK):
            remove_leftover(tmp_path / str(step), leftover)
        manifest = Manifest.read(path)
        manifest.verify()
        assert len(tree(tmp_path / str(step))) == 2
    assert step > 6


def put_all(folder: Path, names: Iterable[str]) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def clean_up(folder: Path) -> list[str]:
    """Remove what is found, and return its names."""
    found = [leftover.name for leftover in find_leftovers(folder, timedelta())]
    for leftover in find_leftovers(folder, timedelta()):
        remove_leftover(folder, leftover)
    return found


def test_what_only_begins_as_the_names_of_exports_do_stays(client, tmp_path):
    put_all(tmp_path, OTHERS)
    assert clean_up(tmp_path) == []
    for name in ("", "days/1", "one.jsonl.gz"):
        for _ in range(2):
            export_events(client, DEMO, tmp_path / name)
    export_parts(client, tmp_path / "days" / "1")
    assert set(OTHERS) <= tree(tmp_path).keys()


@pytest.mark.parametrize(("folder", "name"), STRANGERS)
def test_what_is_no_exports_stays_in_a_folder_that_is_one(tmp_path, folder, name):
    put_all(tmp_path / folder, [*OURS[folder], name])
    assert clean_up(tmp_path) == [folder]
    assert tree(tmp_path) == {f"{folder}/{name}": name.encode()}
    assert clean_up(tmp_path) == []


@pytest.mark.parametrize("folder", OURS)
def test_a_folder_goes_with_all_that_is_an_exports(tmp_path, folder):
    put_all(tmp_path / folder, OURS[folder])
    assert clean_up(tmp_path) == [folder]
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "link",
    [
        "_staging-01234567-01234567-00000000",
        "_staging-0123456789abcdef",
        "_shards-0123456789abcdef",
        "_shards-fedcba9876543210/20260101T000000Z-20260102T000000Z",
        "_shards-fedcba9876543210/20260101T000000Z-20260102T000000Z/event_date=2026-01-01",
        "days",
        "event_date=2026-11-22",
        "itself",
        TEMPORARY,
    ],
)
def test_links_are_named_and_left_alone(tmp_path, link, capsys):
    theirs, place = tmp_path / "theirs", tmp_path / "place"
    names = [name for folder, names in OURS.items() for name in (*names, *(f"{folder}/{name}" for name in names))]
    put_all(theirs, names)
    put_all(place, ["_shards-fedcba9876543210/plan.json"])
    (place / link).parent.mkdir(parents=True, exist_ok=True)
    (place / link).symlink_to(place if link == "itself" else theirs)
    age(place)
    before = tree(theirs)
    assert main(["cleanup", str(place), "--delete"]) == 0
    assert f"skipped {link}: a symbolic link is not followed\n" in capsys.readouterr().out
    assert tree(theirs) == before
    assert (place / link).is_symlink()
    assert not (place / "_shards-fedcba9876543210" / "plan.json").exists()


@pytest.mark.parametrize("name", ["", "one.jsonl.gz"])
@pytest.mark.parametrize("again", [False, True], ids=["first", "replacement"])
def test_an_export_leaves_what_is_behind_links_alone(client, tmp_path, name, again):
    theirs, place = tmp_path / "theirs", tmp_path / "place"
    place.mkdir()
    put_all(theirs, [name for names in OURS.values() for name in names])
    put_all(theirs, ["00000-00000", "part-00000-0123456789ab.jsonl.gz"])
    options = ExportOptions(partition_by=("event_date",)) if not name else ExportOptions()
    if again:
        export_events(client, DEMO, place / name, options)
    before = tree(theirs)
    manifest_name = f"{name}.manifest.json" if name else "_manifest.json"
    layout = Layout("jsonl", "gzip", name or None)
    for link in (
        layout.staging_name("01234567", None),
        layout.staging_name("01234567", b"gone"),
        "_staging-0123456789abcdef",
        "_shards-0123456789abcdef",
        "event_date=2020-01-01",
        "event_type=model",
        TEMPORARY,
    ):
        (place / link).symlink_to(theirs)
    manifest = export_events(client, DEMO, place / name, options)
    manifest.verify()
    assert (place / manifest_name).exists()
    assert tree(theirs) == before


@pytest.mark.parametrize("link", ["staging", "event_date=2026-11-22"])
def test_where_a_link_is_in_the_way_an_export_fails_and_names_it(client, tmp_path, monkeypatch, link):
    theirs, place = tmp_path / "theirs", tmp_path / "place"
    place.mkdir()
    put_all(theirs, OURS["_staging-01234567-01234567-00000000"])
    put_all(theirs, ["part-00000-0123456789ab.jsonl.gz"])
    before = tree(theirs)
    if link == "staging":
        names = []
        with monkeypatch.context() as patch:
            patch.setattr(Checkpoints, "read_plan", lambda checkpoints, _: names.append(checkpoints._folder))
            export_events(client, DEMO, tmp_path / "other", ExportOptions(partition_by=("event_date",)))
        (link,) = names
    (place / link).symlink_to(theirs)
    with pytest.raises(DestinationError, match=f"{link} is a symbolic link"):
        export_events(client, DEMO, place, ExportOptions(partition_by=("event_date",)))
    assert tree(theirs) == before
    assert not (place / "_manifest.json").exists()
    (place / link).unlink()
    export_events(client, DEMO, place, ExportOptions(partition_by=("event_date",))).verify()


def test_shards_behind_a_link_are_not_combined_nor_removed(client, tmp_path):
    urls = export_parts(client, tmp_path / "place")
    (shards,) = (tmp_path / "place").glob("_shards-*")
    shards.rename(tmp_path / "theirs")
    shards.symlink_to(tmp_path / "theirs")
    before = tree(tmp_path / "theirs")
    with pytest.raises(DestinationError, match=f"{shards.name} is a symbolic link"):
        combine_exports(client, tmp_path / "place", urls, DAY)
    with pytest.raises(DestinationError, match=f"{shards.name} is a symbolic link"):
        remove_shards(open_store(tmp_path / "place"), shards.name)
    assert tree(tmp_path / "theirs") == before


def test_the_command_lists_and_removes_only_when_told_to(tmp_path, leftovers, capsys):
    before = tree(tmp_path)
    assert main(["cleanup", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(",")[0] for line in lines[:-1]] == [f"would remove {name}" for name in leftovers]
    assert lines[-1] == "leftovers: 4"
    assert tree(tmp_path) == before
    assert main(["cleanup", str(tmp_path), "--older-than-days", "9", "--delete"]) == 0
    assert tree(tmp_path) == before
    assert main(["cleanup", str(tmp_path), "--delete"]) == 0
    assert f"removed {TEMPORARY}, last written 20" in capsys.readouterr().out
    assert not any((tmp_path / name).exists() for name in leftovers)


@pytest.mark.parametrize("days", ["0", "-1", "x", "1.5"])
def test_what_is_no_number_of_days_is_refused(tmp_path, days, capsys):
    with pytest.raises(SystemExit):
        main(["cleanup", str(tmp_path), "--older-than-days", days])
    assert "allowed: 1 or more" in capsys.readouterr().err
