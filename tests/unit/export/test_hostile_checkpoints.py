"""Whatever is in what an earlier try has staged, the retry's export is right: what does not fit is read again."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_honeyhive.api.client import HoneyHiveClient
from airflow_provider_honeyhive.api.settings import ClientSettings
from airflow_provider_honeyhive.exceptions import HoneyHiveServerError
from airflow_provider_honeyhive.export import open_file
from airflow_provider_honeyhive.export.checkpoint import Checkpoints
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.export.staging_records import Plan, SliceCheckpoint, StagedFile
from airflow_provider_honeyhive.formats.encoder import Block
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.models.layout import LARGEST_FILE
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.reading.cursor import Cursor
from airflow_provider_honeyhive.sandbox import Behaviour, Fault, Sandbox
from airflow_provider_honeyhive.storage.local import LocalStore

from ..conftest import KEY
from .test_exporter import DAY, DEMO, GENERATED, ids_of, published, tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SMALL_PARTS = ExportOptions(max_file_size=50_000, page_size=100, concurrency=2)
NOON_US = (DAY.start_us + DAY.end_us) // 2


@pytest.fixture(scope="module")
def half_staged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sandbox, Path]]:
    """Give a server that reports no totals, and the folder of an export of it that has failed halfway."""
    with Sandbox(count=1_000, behaviour=Behaviour(total="absent"), **GENERATED) as sandbox:
        sandbox.fault_at[9] = Fault.answer(503)
        folder = tmp_path_factory.mktemp("half") / "out"
        with pytest.raises(HoneyHiveServerError):
            export_events(client_of(sandbox, max_retries=0), DEMO, folder, SMALL_PARTS)
        yield sandbox, folder


def client_of(sandbox: Sandbox, **more: Any) -> HoneyHiveClient:
    return HoneyHiveClient(ClientSettings.parse(api_key=KEY, api_url=sandbox.url, **more), sleep=lambda _: None)


def a_checkpoint(folder: Path) -> Path:
    """Return the checkpoint that names the most staged files."""
    (staging,) = folder.glob("_staging-*")
    return max(staging.glob("0*.json"), key=lambda path: len(json.loads(path.read_text())["files"]))


def the_plan(folder: Path) -> Path:
    (plan,) = folder.glob("_staging-*/plan.json")
    return plan


def put(*places: Any) -> Callable[[Any], None]:
    """Return what puts a value, the last one given, into a place of a JSON value."""
    *path, last, value = places

    def change(facts: Any) -> None:
        for step in path:
            facts = facts[step]
        facts[last] = value

    return change


def drop(*path: Any) -> Callable[[Any], None]:
    def change(facts: Any) -> None:
        for step in path[:-1]:
            facts = facts[step]
        del facts[path[-1]]

    return change


def doubled(*path: Any) -> Callable[[Any], None]:
    def change(facts: Any) -> None:
        for step in path:
            facts = facts[step]
        facts.append(facts[0])

    return change


BLOCK = ("files", 0, "contents")

#: Of a checkpoint.
CHECKPOINT = {
    "newer version": put("version", 2),
    "newer version and unknown": lambda facts: facts.update(version=9, cursor={"page": 3}),
    "no version": put("version", "1"),
    "one more member": put("later", 1),
    "one more member of the cursor": put("cursor", "page", 3),
    "no cursor": put("cursor", None),
    "cursor of a list": put("cursor", []),
    "empty cursor": put("cursor", {}),
    "cursor without upper": drop("cursor", "upper"),
    "upper as a text": put("cursor", "upper", "1"),
    "upper as a fraction": put("cursor", "upper", 1.5),
    "upper far away": put("cursor", "upper", 10**18),
    "upper without end": put("cursor", "upper", 10**400),
    "known as a list": put("cursor", "known", []),
    "known as a number": put("cursor", "known", "7"),
    "known of lists": put("cursor", "known", "[[]]"),
    "known with odd hashes": put("cursor", "known", '[["xx", true, 1]]'),
    "known with odd times": put("cursor", "known", '[["a", false, "1"]]'),
    "known nested deeply": put("cursor", "known", "[" * 50_000 + "]" * 50_000),
    "known as no JSON": put("cursor", "known", "["),
    "elsewhere as null": put("cursor", "elsewhere", None),
    "unit of nothing": put("cursor", "unit", 0),
    "unit of a negative number": put("cursor", "unit", -1000),
    "taken as a bool": put("cursor", "taken", True),
    "taken negative": put("cursor", "taken", -1),
    "taken too many": put("cursor", "taken", 10**6),
    "done as a text": put("cursor", "done", "false"),
    "start as a text": put("start", "0"),
    "start beyond the calendar": put("start", -(10**18)),
    "start after the end": put("start", DAY.end_us + 1),
    "start missing": put("start", None),
    "files as null": put("files", None),
    "a staged file twice": doubled("files"),
    "a staged file of another slice": put("files", 0, "path", "_staging-0/00007-00000-01234567"),
    "a staged file outside": put("files", 0, "path", "../secret"),
    "a staged file beside its folder": lambda facts: put("files", 0, "path", facts["files"][0]["path"][-20:])(facts),
    "a staged file by its absolute name": put("files", 0, "path", "/etc/passwd"),
    "no hash": put("files", 0, "sha256", "abc"),
    "a file twice": doubled("files"),
    "no footer": put("files", 0, "footer", "?"),
    "a block of negative size": put(*BLOCK, 0, -5),
    "a block of endless size": put(*BLOCK, 0, 10**400),
    "a block with more events": put(*BLOCK, 1, 999),
    "a block of another time": put(*BLOCK, 3, DAY.start_us - 1),
    "a block without a time": put(*BLOCK, 3, "yesterday"),
    "a block of too few facts": put(*BLOCK, [5]),
    "a block outside": put(*BLOCK, 5, "../../up"),
    "sessions": put("sessions", {"names": ["a"]}),
}

#: Of the plan.
PLAN = {
    "newer version": put("version", 2),
    "one more member": put("later", 1),
    "no slices": put("slices", []),
    "slices of nothing": put("slices", [[None, None]]),
    "one slice of many bounds": put("slices", [[DAY.start_us, NOON_US, DAY.end_us]]),
    "a slice of half the window": put("slices", [[NOON_US, DAY.end_us]]),
    "slices with a gap": put("slices", [[NOON_US + 9, DAY.end_us], [DAY.start_us, NOON_US]]),
    "slices that overlap": put("slices", [[NOON_US - 9, DAY.end_us], [DAY.start_us, NOON_US]]),
    "slices the wrong way round": put("slices", [[DAY.end_us, DAY.start_us]]),
    "bounds beyond the calendar": put("slices", [[-(10**19), 10**19]]),
    "total as a text": put("total", "7"),
    "total negative": put("total", -1),
    "total without end": put("total", 10**400),
    "total as a fraction": put("total", 1e308),
    "no writer": drop("writer"),
    "writer of another kind": put("writer", 5),
    "started without a zone": put("started_at", "2026-03-10T00:00:00"),
    "started at no time": put("started_at", "soon"),
    "started as a number": put("started_at", 1_773_000_000),
    "started in the far future": put("started_at", "9999-12-31T23:59:59Z"),
    "inherited without a number": put("inherited", {"x": {}}),
    "inherited of a negative number": put("inherited", {"-1": {"start": 0, "end": 1}}),
    "inherited of a number with zeros": put("inherited", {"000": {"start": DAY.start_us, "end": DAY.end_us}}),
    "inherited beside the window": put("inherited", {"7": {"start": 0, "end": 1}}),
}


def assert_right(half_staged: tuple[Sandbox, Path], out: Path) -> None:
    """Export, and check that all events are there once and nothing else is left or touched."""
    sandbox, _ = half_staged
    secret = out.parent / "secret"
    secret.write_bytes(b"not for all")
    export_events(client_of(sandbox), DEMO, out, SMALL_PARTS)
    Manifest.read(out).verify()
    assert Counter(ids_of(out)) == Counter(sandbox.event_ids(DAY.start, DAY.end))
    assert tree(out) == published(out)
    assert {path.name for path in out.parent.iterdir()} == {"out", "secret"}
    assert secret.read_bytes() == b"not for all"


def copied(half_staged: tuple[Sandbox, Path], tmp_path: Path) -> Path:
    return shutil.copytree(half_staged[1], tmp_path / "out")


@pytest.mark.parametrize(
    ("find", "change"),
    [
        *(pytest.param(a_checkpoint, change, id=f"checkpoint: {name}") for name, change in CHECKPOINT.items()),
        *(pytest.param(the_plan, change, id=f"plan: {name}") for name, change in PLAN.items()),
    ],
)
def test_what_is_staged_otherwise_is_read_again(half_staged, tmp_path, find, change):
    """As an earlier release has written it: without a checksum, which would show any of these."""
    out = copied(half_staged, tmp_path)
    path = find(out)
    facts = json.loads(path.read_text())
    del facts["checksum"]
    change(facts)
    path.write_text(json.dumps(facts))
    assert_right(half_staged, out)


PIECES = {
    "as it is": ("parquet", lambda files: None),
    "as it is, of texts": ("json", lambda files: None),
    "no footers": ("parquet", lambda files: [file.update(footer=None) for file in files]),
    "one without a footer": ("parquet", put(0, "footer", None)),
    "a damaged footer": ("parquet", put(0, "footer", "AAAA")),
    "a piece without what stands before it": ("json", put(1, "has_before", False)),
    "a first piece in the middle": ("json", lambda files: put(0, "has_before", not files[0]["has_before"])(files)),
}


@pytest.mark.parametrize("name", PIECES)
def test_pieces_of_one_object_that_would_not_fit_together_are_read_again(tmp_path, monkeypatch, name):
    file_format, change = PIECES[name]
    monkeypatch.setattr(open_file, "UPLOAD_BLOCK", 1)
    options = ExportOptions(max_file_size=20_000, page_size=60, concurrency=2, compression="none")
    with Sandbox(count=400, **GENERATED) as sandbox:
        sandbox.fault_at[6] = Fault.answer(503)
        with pytest.raises(HoneyHiveServerError):
            export_events(client_of(sandbox, max_retries=0), DEMO, tmp_path / f"one.{file_format}", options)
        path = a_checkpoint(tmp_path)
        facts = json.loads(path.read_text())
        assert len(facts["files"]) > 1
        del facts["checksum"]
        change(facts["files"])
        path.write_text(json.dumps(facts))
        seen = len(sandbox.requests)
        export_events(client_of(sandbox), DEMO, tmp_path / f"one.{file_format}", options)
        manifest = Manifest.read(tmp_path / f"one.{file_format}")
        manifest.verify()
        assert manifest.event_count == 400
        is_as_it_was = sum(request.event_count for request in sandbox.requests[seen:]) < 400
        assert is_as_it_was or not name.startswith("as it is")


@pytest.mark.parametrize("slices", [[[NOON_US, DAY.end_us]], [[DAY.start_us, NOON_US]], [[None, None]]])
def test_a_plan_of_another_window_is_not_gone_on_from_where_nothing_else_is_staged(half_staged, tmp_path, slices):
    out = copied(half_staged, tmp_path)
    plan = the_plan(out)
    for path in plan.parent.glob("0*"):
        path.unlink()
    facts = json.loads(plan.read_text())
    del facts["checksum"]
    plan.write_text(json.dumps(facts | {"slices": slices}))
    assert_right(half_staged, out)


@pytest.mark.parametrize("find", [a_checkpoint, the_plan])
@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[]", b"null", b"\xff\xfe", b"[" * 200_000, b'{"a":' * 200_000, b'{"start":' + b"1" * 5_000 + b"}"],
    ids=lambda data: repr(data[:8]),
)
def test_what_is_no_json_object_is_read_again(half_staged, tmp_path, find, data):
    out = copied(half_staged, tmp_path)
    find(out).write_bytes(data)
    assert_right(half_staged, out)


@pytest.mark.parametrize("kind", [SliceCheckpoint, Plan])
def test_what_is_larger_than_a_file_may_be_is_read_again(half_staged, tmp_path, monkeypatch, kind):
    monkeypatch.setattr(kind, "LARGEST", 100)
    assert_right(half_staged, copied(half_staged, tmp_path))


@pytest.mark.parametrize("harm", [b"7", b"}", b"0"])
def test_each_byte_that_is_another_one_is_noticed(half_staged, harm):
    for find, kind in ((a_checkpoint, SliceCheckpoint), (the_plan, Plan)):
        data = find(half_staged[1]).read_bytes()
        kind.load(data, "here")
        for at in range(len(data)):
            changed = data[:at] + harm + data[at + 1 :]
            # White space between members is not part of it.
            if changed != data:
                with pytest.raises(Exception, match=r"^here is not a|newer version"):
                    kind.load(changed, "here")


@pytest.mark.parametrize("name", ["00007-{}.json", "99999-{}.json", "999999999-{}.json", "000000-{}.json"])
def test_checkpoints_under_odd_numbers_do_no_harm(half_staged, tmp_path, name):
    out = copied(half_staged, tmp_path)
    checkpoint, writer = a_checkpoint(out), json.loads(the_plan(out).read_text())["writer"]
    shutil.copy(checkpoint, checkpoint.with_name(name.format(writer)))
    assert_right(half_staged, out)


@pytest.mark.parametrize("years", [-1, 1, 100])
def test_what_was_staged_in_the_past_or_the_future_is_read_again(half_staged, tmp_path, years):
    out = copied(half_staged, tmp_path)
    then = time.time() + years * 365 * 86_400
    for path in out.rglob("*"):
        os.utime(path, (then, then))
    sandbox, _ = half_staged
    before = len(sandbox.requests)
    assert_right(half_staged, out)
    assert sum(request.event_count for request in sandbox.requests[before:]) >= 1_000


def test_a_record_that_is_no_longer_read_is_not_written(tmp_path, monkeypatch, caplog):
    store = LocalStore(tmp_path)
    checkpoints = Checkpoints(store, "s", "a")
    checkpoints.write(0, (0, 100), [], Cursor(upper=5, known={("small", 1)}))
    monkeypatch.setattr("airflow_provider_honeyhive.export.checkpoint.LARGEST_FILE", 1_000)
    checkpoints.write(0, (0, 100), [], Cursor(upper=5, known={("x" * 1_000, 1)}))
    assert b"small" in store.get("s/00000-a.json")
    assert "too many known rows" in caplog.text


def test_what_earlier_releases_wrote_beyond_the_bound_of_a_file_is_read_again(half_staged, tmp_path):
    for find in (a_checkpoint, the_plan):
        out = copied(half_staged, tmp_path / find.__name__)
        os.truncate(find(out), LARGEST_FILE + 1)
        assert_right(half_staged, out)


def test_checkpoints_that_are_too_large_together_are_left_to_the_next_try_as_far_as_there_is_room(
    tmp_path, monkeypatch, caplog
):
    """Each is small enough; a plan with all of them is not, and an export that cannot write it never ends."""
    store = LocalStore(tmp_path)
    first = Checkpoints(store, "s", "a")
    plan = first.begin(datetime.now(UTC), None, None, [(50, 100), (0, 50)])
    for number, bounds, rows in ((0, (50, 100), 40), (1, (0, 50), 60)):
        first.write(number, bounds, [], Cursor(upper=5, known={(f"row-{row:03}", 1) for row in range(rows)}))
    monkeypatch.setattr("airflow_provider_honeyhive.export.checkpoint.LARGEST_FILE", 2_500)
    found = Checkpoints(store, "s", "b").go_on(plan)
    assert {number: one.cursor is not None for number, one in found.items()} == {0: True, 1: False}
    left = Checkpoints(store, "s", "c").read_plan((0, 100))
    assert left.writer == "b"
    assert left.inherited == found
    assert "Slice 1 has too many" in caplog.text


def test_a_plan_of_more_slices_than_it_has_room_for_is_not_gone_on_from(tmp_path, monkeypatch):
    """Nobody here writes one. Whoever leaves out one slice after the other must come to an end."""
    store = LocalStore(tmp_path)
    plan = Checkpoints(store, "s", "a").begin(datetime.now(UTC), None, None, [(50, 100), (0, 50)])
    monkeypatch.setattr("airflow_provider_honeyhive.export.checkpoint.LARGEST_FILE", 100)
    assert Checkpoints(store, "s", "b").go_on(plan) is None


def test_what_overlaps_is_read_again_where_it_has_taken_events_of_both(tmp_path):
    """A slice that gave away its older part has taken nothing of that: one that has is not what it says."""
    store = LocalStore(tmp_path)
    checkpoints = Checkpoints(store, "s", "a")
    for number, bounds, lowest in ((0, (0, 100), 40), (1, (0, 50), 10)):
        store.put(path := f"s/{number:05d}-00000-ab", b"12345678")
        files = [StagedFile(path=path, sha256="ab" * 32, contents=Block(8, 2, 0, lowest, bounds[1] - 1))]
        checkpoints.write(number, bounds, files, Cursor(upper=lowest, taken=2))
    plan = checkpoints.begin(datetime.now(UTC), None, None, [(0, 100)])
    found = Checkpoints(store, "s", "a").go_on(plan)
    assert {number: ((one.start, one.end), len(one.files)) for number, one in found.items()} == {
        0: ((50, 100), 0),
        1: ((0, 50), 1),
    }
