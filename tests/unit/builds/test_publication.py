"""Whoever dies, fails, sleeps or comes second: the published build is whole, and what belongs to others stays."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
from contextlib import suppress
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from airflow_provider_honeyhive.build_manifest import BuildManifest
from airflow_provider_honeyhive.builds.publication import LocalFile, claim_build
from airflow_provider_honeyhive.builds.stopping import BuildStop
from airflow_provider_honeyhive.cli.main import main
from airflow_provider_honeyhive.exceptions import (
    DestinationError,
    DestinationTakenError,
    ExportStoppedError,
    InvalidArgumentError,
)
from airflow_provider_honeyhive.export.catalog import verify_exports
from airflow_provider_honeyhive.export.cleanup import find_leftovers, remove_leftover
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.export.recovery import Commit
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.models.layout import BuildLayout
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.storage.local import LocalStore
from tests.unit.export.stepped import _HOOKS, dies, interleaved, paused
from tests.unit.export.test_exporter import DEMO, tree

from .building import (
    KINDS,
    SHA,
    WHERE,
    assert_nothing_half_done,
    assert_whole_and_alone,
    build,
    publish,
    stepping_builds,
    texts_of,
)


@pytest.fixture
def stepped():
    with stepping_builds():
        yield


# ------------------------------------------------------------------------------------------------ what is published


@pytest.mark.parametrize("kind", KINDS)
def test_a_build_lands_whole_and_the_next_one_takes_its_place(tmp_path, kind):
    for word in ("one", "two"):
        manifest = build(tmp_path / "out", kind, word)
        assert manifest.model_dump() == assert_whole_and_alone(tmp_path / "out").model_dump()
        assert texts_of(manifest, tmp_path / "out") == [f"{word} {number}" for number in range(len(manifest.files))]
        assert [file.row_count for file in manifest.files] == [number + 1 for number in range(len(manifest.files))]


def test_files_are_numbered_in_their_folders_and_no_two_builds_give_the_same_name(tmp_path):
    first, second = (build(tmp_path / "out") for _ in range(2))
    assert [file.path[: -len("0123456789ab.parquet")] for file in first.files] == [
        "events/part-00000-",
        "events/part-00001-",
        "sessions/part-00000-",
    ]
    assert first.sizes.keys().isdisjoint(second.sizes)


def test_bytes_travel_once(tmp_path, stepped):
    steps: list[str] = []
    _HOOKS[threading.get_ident()] = steps.append
    try:
        build(tmp_path / "out")
    finally:
        del _HOOKS[threading.get_ident()]
    assert (steps.count("create"), steps.count("copy"), steps.count("chunks")) == (3, 3, 0)


def test_a_build_of_no_files_is_published(tmp_path):
    manifest = publish(tmp_path / "out", [])
    assert manifest.file_urls() == []
    assert_whole_and_alone(tmp_path / "out")
    build(tmp_path / "out")
    assert_whole_and_alone(tmp_path / "out")


@pytest.mark.parametrize(
    "file",
    [
        {"folder": ""},
        {"folder": ".."},
        {"folder": "Events"},
        {"folder": "a/b"},
        {"folder": "event_date=2026-11-22"},
        {"folder": "_corrections"},
        {"stem": "../part"},
        {"stem": ""},
        {"suffix": ""},
        {"suffix": "/x.parquet"},
        {"folder": "", "stem": "README", "suffix": ".md"},
    ],
    ids=str,
)
def test_a_file_that_cannot_be_called_so_is_refused_before_anything_is_written(tmp_path, file):
    (tmp_path / "local").write_text("x")
    wrong = LocalFile(tmp_path / "local", "events", **{"folder": "events", **file})
    with pytest.raises(InvalidArgumentError):
        publish(tmp_path / "out", [wrong])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["dataset", "report"])
def test_without_its_file_of_a_fixed_name_there_is_no_build(tmp_path, kind):
    with pytest.raises(InvalidArgumentError, match=r"README.md|report.html"):
        publish(tmp_path / "out", [], kind)


def test_what_cannot_be_read_is_not_published(tmp_path):
    earlier = build(tmp_path / "out")
    before = tree(tmp_path)
    with pytest.raises(DestinationError, match="TMPDIR"):
        publish(tmp_path / "out", [LocalFile(tmp_path / "none", "events", "events")])
    file = LocalFile(tmp_path / "out" / earlier.files[0].path, "events", "events")
    with pytest.raises(ValidationError):
        claim_build(tmp_path / "out", "tables", **WHERE).publish([file], sources=[], settings={}, counts={"rows": -1})
    assert tree(tmp_path) == before


# ------------------------------------------------------------------------------------------------ what is refused


def refuse(path: Path, kind: str, match: str, **facts: Any) -> None:
    """Check that neither a claim nor a build goes there, and that nothing changes."""
    before = tree(path)
    for attempt in (
        lambda: build(path, kind, "two", **facts),
        lambda: claim_build(path, kind, **(WHERE | facts)),
    ):
        with pytest.raises(DestinationTakenError, match=match) as caught:
            attempt()
        assert not caught.value.retryable
    assert tree(path) == before


@pytest.mark.parametrize(
    "facts",
    [
        {"project": "other"},
        {"project": None},
        {"start_time": "2026-11-21T00:00:00.000Z"},
        {"start_time": None, "end_time": None},
    ],
    ids=str,
)
def test_a_build_of_another_project_or_window_is_not_replaced(tmp_path, facts):
    build(tmp_path)
    refuse(tmp_path, "tables", r"put \{start\} or \{project\} into output_path", **facts)
    claim_build(tmp_path, "tables", **WHERE)


@pytest.mark.parametrize("kind", ["dataset", "report"])
def test_a_build_of_another_kind_is_not_joined(tmp_path, kind):
    build(tmp_path)
    refuse(tmp_path, kind, r"holds something else \(tables\): give another one")


def test_builds_and_exports_do_not_share_a_folder(sandbox, client, tmp_path):
    export_events(client, DEMO, tmp_path / "exported")
    refuse(tmp_path / "exported", "tables", "holds something else .export.: give")
    build(tmp_path / "built", "dataset")
    before = tree(tmp_path / "built")
    with pytest.raises(DestinationTakenError, match="holds something else .dataset.: give"):
        export_events(client, DEMO, tmp_path / "built")
    assert tree(tmp_path / "built") == before
    # One object has other names than all others in its folder.
    export_events(client, DEMO, tmp_path / "built" / "one.jsonl.gz").verify()
    build(tmp_path / "built", "dataset")
    Manifest.read(tmp_path / "built" / "one.jsonl.gz").verify()


def test_a_folder_that_two_came_to_at_once_keeps_both(sandbox, client, tmp_path):
    export_events(client, DEMO, tmp_path / "elsewhere", ExportOptions(max_file_size=30_000))
    build(tmp_path / "out")
    for name, data in tree(tmp_path / "elsewhere").items():
        (tmp_path / "out" / name).write_bytes(data)
    for _ in range(2):
        export_events(client, DEMO, tmp_path / "out", ExportOptions(max_file_size=30_000)).verify()
        build(tmp_path / "out").verify()
        Manifest.read(tmp_path / "out").verify()


@pytest.mark.parametrize("name", ["events/part-00000-0123456789ab.parquet", "sessions/x-00001-0123456789ab.csv"])
def test_files_without_a_manifest_are_not_mixed_with(tmp_path, name):
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_text("somebody's")
    with pytest.raises(DestinationTakenError, match=f"(?s)without a manifest: remove.*{name}"):
        build(tmp_path)
    assert tree(tmp_path) == {name: b"somebody's"}


@pytest.mark.parametrize(("kind", "name"), [("dataset", "README.md"), ("report", "report.html")])
def test_somebodys_file_of_the_fixed_name_is_not_overwritten(tmp_path, kind, name):
    (tmp_path / name).write_text("somebody's")
    refuse(tmp_path, kind, f"(?s)without a manifest: remove.*{name}")


@pytest.mark.parametrize("earlier", [False, True])
def test_an_export_in_a_folder_below_stays_whole(sandbox, client, tmp_path, earlier):
    if earlier:
        build(tmp_path)
        for path in (tmp_path / "events").iterdir():
            path.unlink()  # an export goes to no folder with data files of others
    export_events(client, DEMO, tmp_path / "events", ExportOptions(file_format="parquet"))
    before = tree(tmp_path)
    with pytest.raises(DestinationTakenError, match="(?s)give another output_path.*an export of its own"):
        build(tmp_path, word="two")
    assert tree(tmp_path) == before
    Manifest.read(tmp_path / "events").verify()


def test_an_export_does_not_go_into_the_folder_of_a_table(sandbox, client, tmp_path):
    build(tmp_path)
    with pytest.raises(DestinationTakenError, match="without a manifest"):
        export_events(client, DEMO, tmp_path / "events", ExportOptions(file_format="parquet"))
    assert_whole_and_alone(tmp_path)


def test_what_was_published_since_the_claim_is_not_replaced(tmp_path):
    """A build that has read old exports must not come over one that has read newer ones meanwhile."""
    path = tmp_path / "local"
    path.write_text("old")
    for earlier in (False, True):
        claim = claim_build(tmp_path / "out", "tables", **WHERE)
        newer = build(tmp_path / "out", word="newer")
        with pytest.raises(DestinationError, match="another .*a retry begins anew") as caught:
            claim.publish([LocalFile(path, "events", "events")], sources=[], settings={}, counts={})
        assert caught.value.retryable, earlier
        assert assert_whole_and_alone(tmp_path / "out").files == newer.files


class StopAt(BuildStop):
    """Stops at a look."""

    def __init__(self, look: int) -> None:
        super().__init__()
        self.looks = look

    def check(self) -> None:
        self.looks -= 1
        if self.looks == 0:
            self.stop()
        super().check()


@pytest.mark.parametrize("look", [1, 3, 4], ids=["at the first file", "at the last file", "after the last file"])
def test_a_stop_leaves_the_earlier_build_and_nothing_of_the_new_one(tmp_path, look):
    earlier = build(tmp_path / "out")
    with pytest.raises(ExportStoppedError, match="nothing was published"):
        build(tmp_path / "out", word="two", stop=StopAt(look))
    assert assert_whole_and_alone(tmp_path / "out").files == earlier.files


def test_a_build_in_a_folder_of_another_one_and_that_one_leave_each_other_alone(tmp_path):
    for _ in range(2):
        for path, kind in ((tmp_path, "tables"), (tmp_path / "events", "dataset"), (tmp_path / "events", "dataset")):
            build(path, kind)
            assert [verdict.problems for verdict in verify_exports(tmp_path) if verdict.problems] == []
    assert {verdict.build for verdict in verify_exports(tmp_path)} == {"tables", "dataset"}


def test_a_build_does_not_go_into_a_partition_of_an_export(sandbox, client, tmp_path):
    export_events(client, DEMO, tmp_path, ExportOptions(partition_by=("event_type",)))
    refuse(tmp_path / "event_type=model", "tables", "in no folder of another export")


def test_a_path_that_climbs_is_refused(tmp_path):
    with pytest.raises(InvalidArgumentError, match="climb"):
        build(tmp_path / "a" / ".." / "b")


@pytest.mark.parametrize("link", ["events", "_tables.json", "_staging"])
def test_where_a_link_is_in_the_way_nothing_behind_it_changes(tmp_path, monkeypatch, link):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "notes.txt").write_text("notes")
    (tmp_path / "out").mkdir()
    name = link
    if link == "_staging":
        monkeypatch.setattr(BuildLayout, "staging_name", lambda *_: f"_staging-{'0' * 16}")
        name = f"_staging-{'0' * 16}"
    (tmp_path / "out" / name).symlink_to(elsewhere / "notes.txt" if name.endswith(".json") else elsewhere)
    with pytest.raises(DestinationError):
        build(tmp_path / "out")
    assert tree(elsewhere) == {"notes.txt": b"notes"}
    assert [path.name for path in (tmp_path / "out").iterdir()] == [name]


# ------------------------------------------------------------------------------------------------ deaths and failures


@pytest.mark.parametrize("earlier", [False, True], ids=["first", "replacement"])
@pytest.mark.parametrize("kind", KINDS)
def test_whenever_it_dies_one_build_is_whole_and_the_next_one_leaves_nothing_else(tmp_path, stepped, kind, earlier):
    for step in itertools.count(1):
        root = tmp_path / str(step)
        if earlier:
            build(root, kind, "one")
        died = dies(lambda root=root: build(root, kind, "two"), step)
        assert_nothing_half_done(root)
        build(root, kind, "three")
        assert_whole_and_alone(root)
        if not died:
            break
    assert step > 6


@pytest.mark.parametrize("afterwards", [False, True], ids=["instead", "afterwards"])
@pytest.mark.parametrize("earlier", [False, True], ids=["first", "replacement"])
@pytest.mark.parametrize("kind", KINDS)
def test_whatever_the_store_refuses_nothing_half_done_is_seen(tmp_path, stepped, kind, earlier, afterwards):
    outcomes, errors = set(), []
    for step in itertools.count(1):
        root, left = tmp_path / str(step), [step]
        if earlier:
            build(root, kind, "one")
        before = tree(root)

        def fail(_: str, left: list[int] = left) -> Exception | None:
            left[0] -= 1
            error = DestinationError("the store fails")
            if left[0] == 0 and not afterwards:
                raise error
            return error if left[0] == 0 else None

        _HOOKS[threading.get_ident()] = fail
        try:
            build(root, kind, "two")
            outcomes.add("published")
        except DestinationError as error:
            errors.append(error)
            outcomes.add("kept" if tree(root) == before else "completed by the next")
        finally:
            del _HOOKS[threading.get_ident()]
        if tree(root) != before:
            assert_nothing_half_done(root)
            assert not left[0] or BuildManifest.read(root).files
        build(root, kind, "three")
        assert_whole_and_alone(root)
        if left[0] > 0:
            break
    assert outcomes >= {"kept", "published"}
    assert all(error.retryable for error in errors)


KILLED = """
import itertools, os, sys
from pathlib import Path
from tests.unit.builds.building import assert_nothing_half_done, assert_whole_and_alone, build, stepping_builds
from tests.unit.export.stepped import CHANGES, _HOOKS
import threading

with stepping_builds():
    for step in itertools.count(1):
        root = Path(sys.argv[1], str(step))
        build(root, sys.argv[2], "one")
        child = os.fork()
        if not child:
            left = [step]
            def kill(name):
                left[0] -= name in CHANGES
                if left[0] == 0 and name in CHANGES:
                    os._exit(9)
            _HOOKS[threading.get_ident()] = kill
            build(root, sys.argv[2], "two")
            os._exit(0)
        killed = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
        assert_nothing_half_done(root)
        build(root, sys.argv[2], "three")
        assert_whole_and_alone(root)
        if not killed:
            print("steps:", step)
            break
"""


@pytest.mark.parametrize("kind", ["tables", "dataset"])
def test_killed_before_any_change_the_earlier_build_or_the_new_one_is_whole(tmp_path, kind):
    command = [sys.executable, "-W", "ignore", "-c", KILLED, str(tmp_path), kind]
    root = str(Path(__file__).parents[3])
    done = subprocess.run(
        command, cwd=root, env=os.environ | {"PYTHONPATH": root}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.rpartition("steps:")[2]) > 8


def test_a_swap_that_fails_after_it_has_done_its_job_has_published(tmp_path, monkeypatch):
    swap = LocalStore.swap

    def lost(store: LocalStore, *args: Any) -> bool:
        swap(store, *args)
        raise DestinationError("the answer was lost")

    monkeypatch.setattr(LocalStore, "swap", lost)
    for word in ("one", "two"):
        manifest = build(tmp_path / "out", "report", word)
        assert texts_of(manifest, tmp_path / "out") == [f"{word} 0"]
    assert_whole_and_alone(tmp_path / "out")


# ------------------------------------------------------------------------------------------------ several at once


@pytest.mark.parametrize("earlier", [False, True], ids=["first", "replacement"])
@pytest.mark.parametrize("kind", KINDS)
def test_wherever_one_is_paused_while_another_publishes_one_of_them_is_whole(tmp_path, stepped, kind, earlier):
    lost = 0
    for step in itertools.count(1):
        root, seconds = tmp_path / str(step), []
        if earlier:
            build(root, kind, "one")

        def second(root: Path = root, seconds: list[Any] = seconds) -> None:
            seconds.append(build(root, kind, "three"))
            assert_nothing_half_done(root)

        first = paused(lambda root=root: build(root, kind, "two"), step, second)
        manifest = assert_whole_and_alone(root)
        if first is None:
            break
        if first.result is None:
            assert first.error.retryable, first.error
            assert "a retry begins anew" in str(first.error) or not isinstance(first.error, DestinationTakenError)
            lost += 1
        results = [one.model_dump() for one in (*seconds, first.result) if one is not None]
        assert manifest.model_dump() in results
    assert step > 10
    assert lost > 3


@pytest.mark.parametrize("seed", range(12))
def test_in_any_order_of_their_steps_whoever_dies_what_is_published_is_there(tmp_path, stepped, seed):
    kind, root = KINDS[seed % 3], tmp_path / "out"
    if seed % 2:
        build(root, kind, "one")
    works = [lambda word=word: build(root, kind, word) for word in ("two", "three", "four")]
    processes = interleaved(works, seed, lambda: assert_nothing_half_done(root))
    assert all(one.result is not None or one.error is not None for one in processes)
    assert_nothing_half_done(root)
    build(root, kind, "five")
    assert_whole_and_alone(root)


@pytest.mark.parametrize("kind", KINDS)
def test_of_three_at_once_one_is_whole_and_the_others_may_try_again(tmp_path, kind):
    begin, ends = threading.Barrier(3), []

    def run(word: str) -> None:
        begin.wait(60)
        try:
            ends.append(build(tmp_path / "out", kind, word))
        except DestinationError as error:
            ends.append(error)

    for _ in range(5):
        threads = [threading.Thread(target=run, args=(word,)) for word in ("two", "three", "four")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        manifest = assert_whole_and_alone(tmp_path / "out")
        assert manifest.model_dump() in [one.model_dump() for one in ends if isinstance(one, BuildManifest)], ends
        assert all(one.retryable for one in ends if isinstance(one, DestinationError))
    assert len(ends) == 15


def test_two_builds_with_a_death_in_between_leave_one(tmp_path, stepped):
    """The first one dies having placed its files, the second one publishes, the third one comes as if nothing were."""
    build(tmp_path / "out", "dataset", "one")
    for step in range(3, 10):
        assert dies(lambda: build(tmp_path / "out", "dataset", "two"), step)
    assert dies(lambda: build(tmp_path / "out", "dataset", "three"), 9)
    assert_nothing_half_done(tmp_path / "out")
    build(tmp_path / "out", "dataset", "four")
    assert_whole_and_alone(tmp_path / "out")


# ------------------------------------------------------------------------------------------------ forged and damaged

FORGED = [
    "../x",
    "/etc/passwd",
    "_manifest.json",
    "notes.txt",
    "part-00000-0123456789ab.parquet",
    "event_type=model/part-00000-0123456789ab.parquet",
    "events/inner/part-00000-0123456789ab.parquet",
    "events/../part-00000-0123456789ab.parquet",
    "README.md",
]


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_manifest_removes_nothing(tmp_path, name):
    build(tmp_path / "out")
    facts = json.loads((tmp_path / "out" / "_tables.json").read_bytes())
    facts["files"][0]["path"] = name
    (tmp_path / "out" / "_tables.json").write_text(json.dumps(facts))
    before = tree(tmp_path)
    with pytest.raises(DestinationError, match="not a manifest of a build") as caught:
        build(tmp_path / "out", word="two")
    assert caught.value.retryable
    assert tree(tmp_path) == before
    assert next(verdict.build for verdict in verify_exports(tmp_path / "out") if verdict.problems) == "tables"


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"kind": "report"}', b"\xff", b"[" * 100_000])
def test_what_is_no_manifest_is_not_replaced(tmp_path, data):
    (tmp_path / "_tables.json").write_bytes(data)
    with pytest.raises(DestinationError, match="not a manifest of a build"):
        build(tmp_path)
    assert tree(tmp_path) == {"_tables.json": data}


@pytest.mark.parametrize(
    "names",
    [["events/part-00000-0123456789ab.parquet"], ["../x"], ["notes.txt"], ["event_type=a/part-00000-0123456789ab.csv"]],
    ids=str,
)
def test_a_forged_record_removes_nothing_of_others(tmp_path, names):
    earlier = build(tmp_path / "out")
    folder = tmp_path / "out" / BuildLayout("tables").staging_name("ab" * 4, None)
    others = {"events/_manifest.json": b"{}", **dict.fromkeys(names, b"theirs")}
    for name, data in others.items():
        (tmp_path / "out" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "out" / name).write_bytes(data)
    folder.mkdir()
    commit = {"manifest_name": "_tables.json", "manifest_sha256": SHA, "placed": names, "replaced": names}
    (folder / "commit-abababab.json").write_text(json.dumps(commit))
    with suppress(DestinationTakenError):  # there is an export in the folder of a table
        build(tmp_path / "out")
    assert all((tmp_path / "out" / name).read_bytes() == data for name, data in others.items())
    assert all((tmp_path / "out" / file.path).exists() for file in earlier.files)


def test_the_record_of_a_build_names_only_what_builds_have():
    record = {"manifest_name": "_report.json", "manifest_sha256": SHA, "source": "commit-1.data"}
    folder = BuildLayout("report").staging_name("ab" * 4, None)
    assert Commit(**record).belongs_to(folder, "commit-1")
    assert not Commit(**record, placed=["part-00000-0123456789ab.parquet"]).belongs_to(folder, "commit-1")
    assert not Commit(**record).belongs_to(BuildLayout("tables").staging_name("ab" * 4, None), "commit-1")


# ------------------------------------------------------------------------------------------------ cleanup and verify


@pytest.mark.parametrize("earlier", [False, True], ids=["first", "replacement"])
@pytest.mark.parametrize("kind", ["tables", "dataset"])
def test_what_a_dead_build_has_left_goes_by_cleanup_and_the_published_one_stays(tmp_path, stepped, kind, earlier):
    root, found = tmp_path / "out" / "deep", 0
    for step in itertools.count(1):
        if earlier:
            build(root, kind, "one")
        died = dies(lambda root=root: build(root, kind, "two"), step)
        before = tree(root)
        leftovers = find_leftovers(tmp_path / "out", timedelta(0))
        found += bool(leftovers)
        for leftover in leftovers:
            remove_leftover(tmp_path / "out", leftover)
        if f"_{kind}.json" in before:
            remove_empty(root)
            assert_whole_and_alone(root)
        else:
            assert tree(root) == {}
        if not died:
            break
        root = tmp_path / "out" / str(step)
    assert found > 4


def remove_empty(root: Path) -> None:
    """Remove folders with nothing in them, of which ``cleanup`` does not know."""
    for path in root.glob("_staging-*"):
        with suppress(OSError):
            path.rmdir()


def test_cleanup_names_a_dead_builds_folder(tmp_path, stepped, capsys):
    build(tmp_path / "out")
    assert dies(lambda: build(tmp_path / "out"), 5)
    for path in (tmp_path / "out").rglob("*"):
        os.utime(path, (0, 0))
    assert main(["cleanup", str(tmp_path), "--delete"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("removed out/_staging-")
    assert lines[-1] == "leftovers: 1"
    assert_whole_and_alone(tmp_path / "out")


def test_verify_tells_of_builds_beside_exports(sandbox, client, tmp_path, capsys):
    exported = export_events(client, DEMO, tmp_path / "exports")
    build(tmp_path / "tables")
    build(tmp_path / "report", "report")
    assert main(["verify", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"ok     {tmp_path}/exports: {exported.event_count} events")
    assert lines[1:3] == [
        f"ok     {tmp_path}/report: report, 1 files of 7 events",
        f"ok     {tmp_path}/tables: tables, 3 files of 7 events",
    ]
    assert lines[3].startswith(f"exports: 1, events: {exported.event_count}, files: 1, ")
    assert lines[3].endswith("failed: 0, gaps: 0, overlaps: 0, builds: 2")


@pytest.mark.parametrize("at", ["out", "out/_tables.json", ""])
def test_verify_finds_a_damaged_build(tmp_path, capsys, at):
    manifest = build(tmp_path / "out")
    (tmp_path / "out" / manifest.files[0].path).write_text("one 9")
    (tmp_path / "out" / manifest.files[1].path).unlink()
    (tmp_path / "out" / "events" / "part-00007-0123456789ab.parquet").write_text("x")
    assert main(["verify", str(tmp_path / at)]) == 1
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        f"FAILED {tmp_path}/out",
        "exports: 0, events: 0, files: 0, bytes: 0, failed: 1, gaps: 0, overlaps: 0, builds: 1",
    ]
    problems = said.err.splitlines()
    assert len(problems) == 3
    assert f"{manifest.files[0].path}: SHA-256 is {sha256(b'one 9').hexdigest()}" in problems[0]
    assert problems[1].endswith(f"{manifest.files[1].path}: missing")
    assert problems[2].endswith("events/part-00007-0123456789ab.parquet: not in the manifest")


def test_verify_tells_of_an_export_that_was_not_finished_below_a_build(tmp_path, capsys):
    build(tmp_path)
    (tmp_path / "days").mkdir()
    (tmp_path / "days" / "part-00000-0123456789ab.jsonl").write_text("{}")
    assert main(["verify", str(tmp_path)]) == 1
    assert f"FAILED {tmp_path}/days\n" in capsys.readouterr().out
