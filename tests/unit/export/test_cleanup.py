"""Leftovers of exports that failed for good go when somebody asks for it, and nothing else does."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from airflow_provider_honeyhive.cli.main import main
from airflow_provider_honeyhive.export.cleanup import find_leftovers, remove_leftover
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.manifest import Manifest

from .stepped import dies, stepping
from .test_combine import export_parts
from .test_exporter import DAY, DEMO, event_at, tree

if TYPE_CHECKING:
    from pathlib import Path

WEEK = timedelta(days=7)


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
        "_new-0123",
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
    (tmp_path / "days" / "_new-young").write_text("half")
    (tmp_path / "_staging-of-a-running-one").mkdir()
    for name in ("old", "young"):
        (tmp_path / "_staging-of-a-running-one" / name).write_text("half")
    os.utime(tmp_path / "_staging-of-a-running-one" / "old", (0, 0))
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
    assert "removed _new-0123, last written 20" in capsys.readouterr().out
    assert not any((tmp_path / name).exists() for name in leftovers)


@pytest.mark.parametrize("days", ["0", "-1", "x", "1.5"])
def test_what_is_no_number_of_days_is_refused(tmp_path, days, capsys):
    with pytest.raises(SystemExit):
        main(["cleanup", str(tmp_path), "--older-than-days", days])
    assert "allowed: 1 or more" in capsys.readouterr().err
