"""A retry goes on from what was staged, and the result is whole and exactly once however the earlier try died."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import signal
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_honeyhive.exceptions import DestinationError, ExportStoppedError, HoneyHiveServerError
from airflow_provider_honeyhive.export import open_file
from airflow_provider_honeyhive.export.checkpoint import Checkpoints
from airflow_provider_honeyhive.export.destination import Destination
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.export.extract_window import WindowExtraction
from airflow_provider_honeyhive.export.staging_records import SliceCheckpoint, StagedFile
from airflow_provider_honeyhive.formats.encoder import Block
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.models.export_facts import AirflowFacts
from airflow_provider_honeyhive.models.layout import choose_layout
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.models.request import ExportRequest
from airflow_provider_honeyhive.models.window import Window
from airflow_provider_honeyhive.reading.cursor import Cursor
from airflow_provider_honeyhive.sandbox import Behaviour, Fault
from airflow_provider_honeyhive.storage.base import UPLOAD_BLOCK
from airflow_provider_honeyhive.storage.local import LocalStore
from airflow_provider_honeyhive.storage.paths import open_store

from .killed import start
from .test_exporter import DAY, DEMO, GENERATED, event_at, ids, ids_of, published, tree

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_honeyhive.sandbox import Sandbox

#: Seconds for the loop over random moments of death; longer by the environment.
KILL_LOOP_S = float(os.environ.get("HONEYHIVE_KILL_LOOP_SECONDS", "10"))

SMALL_PARTS = ExportOptions(max_file_size=100_000, page_size=200, concurrency=2)
#: Events are deleted on purpose.
SHRINKING = ExportOptions(on_shrink="replace")
SMALLER_PARTS = ExportOptions(max_file_size=50_000, page_size=200)


@pytest.fixture
def half_staged(sandbox_with: Callable[..., Sandbox], client_of: Callable[..., Any], tmp_path: Path) -> Sandbox:
    """Serve 2,000 events, some of which an export to ``out`` had staged when it failed."""
    sandbox = sandbox_with(count=2_000, **GENERATED)
    sandbox.fault_at[9] = Fault.answer(503)
    with pytest.raises(HoneyHiveServerError):
        export_events(client_of(sandbox, max_retries=0), DEMO, tmp_path / "out", SMALLER_PARTS)
    return sandbox


def assert_whole_and_alone(path: Path, folder: Path, expected: set[str]) -> None:
    assert Counter(ids_of(path)) == Counter(expected)
    Manifest.read(path).verify()
    assert tree(folder) == published(folder)
    assert len([name for name in tree(folder) if "manifest" in name or "_" in name.split("/")[-1]]) == 1


@pytest.mark.parametrize("name", ["out", "out/one.jsonl.gz"])
def test_a_retry_reads_only_what_was_not_staged(sandbox_with, client_of, tmp_path, name):
    sandbox = sandbox_with(count=4_000, **GENERATED)
    options = ExportOptions(max_file_size=100_000, page_size=200, concurrency=1)
    sandbox.fault_at[14] = Fault.answer(503)
    with pytest.raises(HoneyHiveServerError):
        export_events(client_of(sandbox, max_retries=0), DEMO, tmp_path / name, options)
    assert published(tmp_path) == {}
    first = sum(request.event_count for request in sandbox.requests)
    requests = len(sandbox.requests)
    manifest = export_events(client_of(sandbox), DEMO, tmp_path / name, options)
    second = sum(request.event_count for request in sandbox.requests[requests:])
    assert first > 2_000
    # What was read and not staged when it failed is at most a part's worth, and one answer comes twice.
    assert second <= 4_000 - first + 2 * 200 + 200
    assert manifest.event_count == manifest.reported_total == 4_000
    assert manifest.request.endpoint == "export"
    assert_whole_and_alone(tmp_path / name, tmp_path, sandbox.event_ids(DAY.start, DAY.end))


def test_whoever_dies_between_two_checkpoints_has_left_some_that_cover_the_window(
    sandbox_with, client_of, tmp_path, monkeypatch
):
    sandbox = sandbox_with(count=4_000, behaviour=Behaviour(latency=0.005), **GENERATED)
    sandbox.fault_at[70] = Fault.answer(503)
    covered: list[bool] = []
    cut: set[int] = set()
    write = Checkpoints.write

    def written(self, number, bounds, *args, **more):
        cut.update(more["cut"])
        is_written = write(self, number, bounds, *args, **more)
        retry = Checkpoints(self._store, self._folder, self._writer)
        plan = retry.read_plan((DAY.start_us, DAY.end_us))
        assert plan is not None
        covered.append(retry.go_on(plan) is not None)
        return is_written

    monkeypatch.setattr(Checkpoints, "write", written)
    # Files so small that slices are recorded often, also those that have given some away.
    options = ExportOptions(page_size=60, concurrency=8, max_file_size=40_000)
    with pytest.raises(HoneyHiveServerError):
        export_events(client_of(sandbox, max_retries=0), DEMO, tmp_path / "out", options)
    assert len(covered) > 8
    assert cut
    assert all(covered)


def test_what_interrupts_putting_down_takes_back_what_was_placed(sandbox, client_of, tmp_path, monkeypatch):
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    def denied(*_: Any) -> None:
        raise DestinationError("the store denies it")

    monkeypatch.setattr(LocalStore, "swap", denied)
    monkeypatch.setattr(WindowExtraction, "put_down", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export_events(client_of(sandbox), DEMO, tmp_path / "out")
    assert published(tmp_path) == {}


def test_a_reader_that_gets_its_answer_while_others_are_put_down_finds_that_it_is_over(
    sandbox, client_of, tmp_path, monkeypatch
):
    found: list[bool] = []

    def waiting(self: WindowExtraction) -> list[Callable[[], None]]:
        return [lambda: found.append(self._stop.is_set())]

    monkeypatch.setattr(WindowExtraction, "_waiting_here", waiting)
    sandbox.fault_at[2] = Fault.answer(503)
    with pytest.raises(HoneyHiveServerError):
        export_events(client_of(sandbox, max_retries=0), DEMO, tmp_path / "out")
    assert found == [True]


def test_what_is_read_again_gets_no_name_of_what_was_thrown_away(sandbox_with, client_of, tmp_path, monkeypatch):
    """Another process may go on from what this one has thrown away: it has to find that gone, not changed."""
    sandbox = sandbox_with(count=1_000, **GENERATED)
    # Two rows that only their contents tell apart show at the end: all is read again.
    sandbox.add([event_at(DAY.start, 7, row=row) for row in range(2)])
    monkeypatch.setattr(open_file, "UPLOAD_BLOCK", 1)
    names: list[str] = []
    create = LocalStore.create

    def created(self: LocalStore, name: str, **more: Any) -> Any:
        names.append(name)
        return create(self, name, **more)

    monkeypatch.setattr(LocalStore, "create", created)
    # By one reader, so that files have ended by then.
    options = ExportOptions(max_file_size=50_000, page_size=200, concurrency=1)
    manifest = export_events(client_of(sandbox), DEMO, tmp_path / "out", options)
    assert manifest.event_count == 1_002
    assert len(names) > len(manifest.files)
    assert len(set(names)) == len(names)


def test_a_changed_request_begins_afresh(half_staged, client_of, tmp_path):
    narrower = DEMO.model_copy(update={"evaluation_id": "none"})
    assert export_events(client_of(half_staged), narrower, tmp_path / "out", SMALLER_PARTS).event_count == 0


def test_a_staged_file_that_is_gone_is_read_again(half_staged, client_of, tmp_path):
    staged = sorted(path for path in tmp_path.rglob("*") if path.is_file() and path.suffix == "")
    staged[0].unlink()
    export_events(client_of(half_staged), DEMO, tmp_path / "out", SMALLER_PARTS)
    assert Counter(ids(tmp_path / "out")) == Counter(half_staged.event_ids(DAY.start, DAY.end))


@pytest.mark.parametrize("target", ["part", "record"])
def test_a_staged_file_that_is_not_whole_is_read_again(half_staged, client_of, tmp_path, target):
    staged = sorted(path for path in tmp_path.rglob("0*") if (path.suffix == "") == (target == "part"))
    staged[0].write_bytes(staged[0].read_bytes()[:100])
    export_events(client_of(half_staged), DEMO, tmp_path / "out", SMALLER_PARTS)
    assert_whole_and_alone(tmp_path / "out", tmp_path, half_staged.event_ids(DAY.start, DAY.end))


def test_a_failure_that_no_retry_mends_leaves_nothing_staged(sandbox_with, client_of, tmp_path):
    sandbox = sandbox_with(count=2_000, **GENERATED)
    sandbox.fault_at[9] = Fault.answer(403)
    with pytest.raises(Exception, match="403"):
        export_events(client_of(sandbox), DEMO, tmp_path / "out", SMALLER_PARTS)
    assert list(tmp_path.iterdir()) == []


def test_what_was_staged_long_ago_is_read_again(half_staged, client_of, tmp_path, monkeypatch):
    monkeypatch.setattr("airflow_provider_honeyhive.export.checkpoint.LONGEST_AGE", -(DAY.end - DAY.start))
    requests = len(half_staged.requests)
    export_events(client_of(half_staged), DEMO, tmp_path / "out", SMALLER_PARTS)
    assert sum(request.event_count for request in half_staged.requests[requests:]) >= 2_000


@pytest.mark.parametrize("name", ["out", "out/one.jsonl.gz"])
def test_killed_at_any_step_of_writing_the_retry_is_whole(sandbox_with, tmp_path, name):
    sandbox = sandbox_with(count=900, **GENERATED)
    expected = sandbox.event_ids(DAY.start, DAY.end)
    killed = 0
    # Steps grow apart: the first ones and the last ones differ most, those between are alike.
    early, late = [1, 2, 3, 4, 5, 7, 10, 14, 17, 18, 19, 20, 21, 22, 23, 24, 26], [1, 2, 3, 4, 6, 8, 10]
    # What is read goes to the store at once, or waits until all has been read, which takes less steps.
    for die_at, upload_block in [*((step, 1) for step in early), *((step, UPLOAD_BLOCK) for step in late)]:
        folder = tmp_path / f"{die_at}-{upload_block}"
        process = start(sandbox.url, DEMO, folder / name, SMALL_PARTS, die_at=die_at, upload_block=upload_block)
        process.join(60)
        killed += process.exitcode == -signal.SIGKILL
        assert all(name.rpartition("/")[2].startswith(("part-", "one.jsonl.gz", "_")) for name in published(folder))
        retry = start(sandbox.url, DEMO, folder / name, SMALL_PARTS)
        retry.join(60)
        assert retry.exitcode == 0
        assert_whole_and_alone(folder / name, folder, expected)
    assert killed >= 15


def test_killed_at_random_moments_again_and_again_the_retry_is_whole(sandbox_with, tmp_path):
    sandbox = sandbox_with(count=3_000, behaviour=Behaviour(latency=0.02), **GENERATED)
    expected = sandbox.event_ids(DAY.start, DAY.end)
    moments = random.Random(7)
    until = time.monotonic() + KILL_LOOP_S
    rounds = 0
    while time.monotonic() < until:
        rounds += 1
        folder = tmp_path / str(rounds)
        # Longer lives from try to try, so that a slow machine gets there, too.
        for life in itertools.count(1):
            process = start(sandbox.url, DEMO, folder / "out", SMALL_PARTS)
            process.join(moments.uniform(0.01, 0.5) * (1 + life / 10))
            process.kill()
            process.join()
            if process.exitcode != -signal.SIGKILL:
                assert process.exitcode == 0
                break
        assert_whole_and_alone(folder / "out", folder, expected)
    assert rounds > 1


def test_a_terminated_export_ends_although_the_server_does_not_answer(sandbox_with, client_of, tmp_path):
    sandbox = sandbox_with(count=900, **GENERATED)
    sandbox.fault_at[4] = Fault.delayed(120)
    process = start(sandbox.url, DEMO, tmp_path / "out", SMALL_PARTS)
    while len(sandbox.requests) < 3:
        time.sleep(0.01)
    process.terminate()
    process.join(60)
    assert process.exitcode == 1
    assert published(tmp_path) == {}
    sandbox.fault_at.clear()
    export_events(client_of(sandbox), DEMO, tmp_path / "out", SMALL_PARTS)
    assert_whole_and_alone(tmp_path / "out", tmp_path, sandbox.event_ids(DAY.start, DAY.end))


def test_a_stopped_client_does_not_wait_for_its_next_try(sandbox, tmp_path):
    from airflow_provider_honeyhive.api.client import HoneyHiveClient
    from airflow_provider_honeyhive.api.settings import ClientSettings

    sandbox.faults.extend([Fault.answer(503, retry_after=250)] * 9)
    with HoneyHiveClient(ClientSettings.parse(api_key="hh_sandbox", api_url=sandbox.url)) as client:
        threading.Timer(0.2, client.stop).start()
        with pytest.raises(ExportStoppedError):
            export_events(client, DEMO, tmp_path / "out")


def test_two_runs_of_one_window_at_the_same_time_leave_one_of_them_whole(sandbox_with, client_of, tmp_path):
    sandbox = sandbox_with(count=1_500, behaviour=Behaviour(insert_per_request=1), **GENERATED)
    for round_ in range(6):
        folder = tmp_path / str(round_)
        outcomes: list[object] = []

        def run(run_id: str, folder: Path = folder, outcomes: list[object] = outcomes) -> None:
            facts = AirflowFacts(dag_id="d", task_id="t", run_id=run_id)
            try:
                outcomes.append(export_events(client_of(sandbox), DEMO, folder / "out", SMALL_PARTS, facts))
            except DestinationError as error:
                outcomes.append(error)

        runs = [threading.Thread(target=run, args=(f"run-{number}",)) for number in range(2)]
        for thread in runs:
            thread.start()
        for thread in runs:
            thread.join()
        manifest = Manifest.read(folder / "out")
        manifest.verify()
        assert manifest.model_dump() in [made.model_dump() for made in outcomes if isinstance(made, Manifest)]
        assert set(published(folder)) == {"out/_manifest.json", *(f"out/{part.path}" for part in manifest.files)}


def test_two_processes_of_the_same_try_leave_a_whole_result(sandbox_with, client_of, tmp_path):
    # Airflow may take a task for dead that is not, and start it again.
    sandbox = sandbox_with(count=1_500, behaviour=Behaviour(insert_per_request=1), **GENERATED)
    facts = AirflowFacts(dag_id="d", task_id="t", run_id="r")
    for round_ in range(8):
        folder = tmp_path / str(round_)

        def run(folder: Path = folder) -> None:
            with contextlib.suppress(DestinationError):
                export_events(client_of(sandbox), DEMO, folder / "out", SMALL_PARTS, facts)

        runs = [threading.Thread(target=run) for _ in range(2)]
        for thread in runs:
            thread.start()
        for thread in runs:
            thread.join()
        export_events(client_of(sandbox), DEMO, folder / "out", SMALL_PARTS, facts)
        manifest = Manifest.read(folder / "out")
        manifest.verify()
        assert set(tree(folder)) == {"out/_manifest.json", *(f"out/{part.path}" for part in manifest.files)}


@pytest.mark.parametrize("name", ["out", "out/one.jsonl.gz"])
def test_a_store_that_writes_the_manifest_and_denies_it_loses_nothing(sandbox, client_of, tmp_path, monkeypatch, name):
    class Liar(LocalStore):
        def swap(self, name: str, data: bytes, version: Any) -> bool:
            super().swap(name, data, version)
            raise DestinationError("500")

    export_events(client_of(sandbox), DEMO, tmp_path / name)
    sandbox.delete(sorted(sandbox.event_ids(DAY.start, DAY.end))[:100])
    with monkeypatch.context() as patch:
        patch.setattr("airflow_provider_honeyhive.export.exporter.open_store", Liar)
        assert export_events(client_of(sandbox), DEMO, tmp_path / name, SHRINKING).event_count == 200
    assert_whole_and_alone(tmp_path / name, tmp_path, sandbox.event_ids(DAY.start, DAY.end))


@pytest.mark.parametrize("is_written", [False, True], ids=["not written", "written"])
@pytest.mark.parametrize("name", ["out", "out/one.jsonl.gz"])
def test_where_nobody_knows_whether_the_manifest_was_written_the_next_try_finds_out(
    sandbox, client_of, tmp_path, monkeypatch, name, is_written
):
    class Unreachable(LocalStore):
        is_gone = False

        def swap(self, name: str, data: bytes, version: Any) -> bool:
            if is_written:
                super().swap(name, data, version)
            self.is_gone = True
            raise DestinationError("the connection is lost")

        def get(self, name: str) -> bytes | None:
            if self.is_gone:
                raise DestinationError("the connection is lost")
            return super().get(name)

    export_events(client_of(sandbox), DEMO, tmp_path / name)
    sandbox.delete(sorted(sandbox.event_ids(DAY.start, DAY.end))[:100])
    with monkeypatch.context() as patch:
        patch.setattr("airflow_provider_honeyhive.export.exporter.open_store", Unreachable)
        with pytest.raises(DestinationError, match="the connection is lost"):
            export_events(client_of(sandbox), DEMO, tmp_path / name, SHRINKING)
    standing = Manifest.read(tmp_path / name)
    assert standing.event_count == (200 if is_written else 300)
    if name == "out":
        assert all((tmp_path / "out" / part.path).exists() for part in standing.files)
    Destination(LocalStore(tmp_path / "out"), choose_layout(tmp_path / name)[1], "0").claim(standing, replace=True)
    if is_written:
        Manifest.read(tmp_path / name).verify()
    export_events(client_of(sandbox), DEMO, tmp_path / name, SHRINKING)
    assert_whole_and_alone(tmp_path / name, tmp_path, sandbox.event_ids(DAY.start, DAY.end))


@pytest.mark.parametrize("name", ["out", "out/one.jsonl.gz"])
def test_who_publishes_second_publishes_nothing_and_says_who_was_first(sandbox, client_of, tmp_path, monkeypatch, name):
    class Late(LocalStore):
        """Lets another run publish right before it does."""

        def swap(self, name: str, data: bytes, version: Any) -> bool:
            with monkeypatch.context() as patch:
                patch.setattr("airflow_provider_honeyhive.export.exporter.open_store", LocalStore)
                other = AirflowFacts(dag_id="d", task_id="other", run_id="first")
                export_events(client_of(sandbox), DEMO, path, airflow=other)
            before.update(tree(tmp_path))
            return super().swap(name, data, version)

    path, before = tmp_path / name, {}
    with monkeypatch.context() as patch:
        patch.setattr("airflow_provider_honeyhive.export.exporter.open_store", Late)
        with pytest.raises(DestinationError, match="(?s)so this one was not.*by task d.other, run first") as caught:
            export_events(client_of(sandbox), DEMO, path)
    assert caught.value.retryable
    manifest = Manifest.read(path)
    assert manifest.airflow.run_id == "first"
    manifest.verify()
    assert_whole_and_alone(path, tmp_path, sandbox.event_ids(DAY.start, DAY.end))
    assert tree(tmp_path).items() <= before.items(), "the second one changed what the first had written"


def test_who_loses_what_it_has_staged_to_another_export_says_so(sandbox_with, client_of, tmp_path):
    sandbox = sandbox_with(**GENERATED)
    client, other = client_of(sandbox), AirflowFacts(dag_id="d", task_id="fast", run_id="r")
    fetch_page, numbers = client.fetch_page, itertools.count(1)

    def fetch_after_the_other(*args: Any, **kwargs: Any) -> Any:
        if next(numbers) == 3:
            export_events(client_of(sandbox), DEMO, tmp_path, airflow=other)
        return fetch_page(*args, **kwargs)

    client.fetch_page = fetch_after_the_other  # type: ignore[method-assign]
    with pytest.raises(DestinationError, match=f"(?s)^another export was published there meanwhile.*{tmp_path}"):
        export_events(client, DEMO, tmp_path, ExportOptions(page_size=100, concurrency=1))
    assert_whole_and_alone(tmp_path, tmp_path, sandbox.event_ids(DAY.start, DAY.end))


def test_a_store_that_cannot_swap_is_told_before_the_reading(sandbox, client, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(LocalStore, "can_swap", lambda store: False)
    sandbox.fault_at[1] = Fault.answer(403)
    with pytest.raises(Exception, match="403"):
        export_events(client, DEMO, tmp_path / "out")
    assert caplog.text.count("cannot write on condition") == 1


def test_windows_that_differ_below_the_second_do_not_share_what_is_staged(sandbox, client_of, tmp_path):
    seen = set()
    for micros in (0, 1, 500_000):
        window = type(DAY)(DAY.start.replace(microsecond=micros), DAY.end)
        request = DEMO.model_copy(update={"window": window})
        sandbox.faults.extend([Fault()] * 2 + [Fault.answer(503)])
        with pytest.raises(HoneyHiveServerError):
            export_events(client_of(sandbox, max_retries=0), request, tmp_path / "out", ExportOptions(page_size=100))
        seen |= {path.name for path in (tmp_path / "out").iterdir()}
    assert len(seen) == 3


@pytest.mark.parametrize("name", ["out", "out/one.jsonl"])
@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-1] + b"X"), "SHA-256|cannot be read"),
        (lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]), "size|cannot be read"),
        (lambda path: path.unlink(), "missing"),
    ],
    ids=["a flipped byte", "cut short", "gone"],
)
def test_verify_names_the_file_that_is_not_as_it_was(client, tmp_path, name, harm, message):
    manifest = export_events(client, DEMO, tmp_path / name)
    Manifest.read(tmp_path / name).verify()
    part = tmp_path / "out" / manifest.files[0].path
    harm(part)
    with pytest.raises(DestinationError, match=f"{part.name}.*({message})"):
        Manifest.read(tmp_path / name).verify()


def test_verify_names_a_part_too_many_and_wrong_counts(client, tmp_path):
    manifest = export_events(client, DEMO, tmp_path / "out")
    extra = tmp_path / "out" / "part-00009-0123456789ab.jsonl.gz"
    extra.write_bytes(b"")
    with pytest.raises(DestinationError, match=f"{extra.name}: not in the manifest"):
        Manifest.read(tmp_path / "out").verify()
    extra.unlink()
    path = tmp_path / "out" / "_manifest.json"
    path.write_bytes(manifest.model_copy(update={"event_count": 7}).to_json())
    with pytest.raises(DestinationError, match="hold 300 events, the manifest says 7"):
        Manifest.read(tmp_path / "out").verify()


def test_verify_names_events_from_outside_the_window_and_wrong_times(client, tmp_path):
    manifest = export_events(client, DEMO, tmp_path / "out")
    path = tmp_path / "out" / "_manifest.json"
    path.write_bytes(manifest.model_copy(update={"end_time": "2026-11-22T12:00:00.000Z"}).to_json())
    with pytest.raises(DestinationError, match="from outside the window"):
        Manifest.read(tmp_path / "out").verify()
    (part,) = manifest.files
    late = part.model_copy(update={"max_start_time": "2026-11-22T00:00:00.000Z"})
    path.write_bytes(manifest.model_copy(update={"files": [late]}).to_json())
    with pytest.raises(DestinationError, match="latest start_time is"):
        Manifest.read(tmp_path / "out").verify()


def test_a_journal_keeps_ids_that_utf8_cannot_say(tmp_path):
    from airflow_provider_honeyhive.reading.cursor import Cursor

    checkpoints = Checkpoints(open_store(tmp_path), "_staging-x", "a")
    known = {("\ud83d", 1), (7, None), (b"\x00\xff", 3), ("twice", 3, 1), ("other", 3, "0123456789abcdef", 2)}
    cursor = Cursor(upper=5, known={*known, ("pending", 4)}, taken=1)
    checkpoints.write(0, (1, 9), [], cursor, pending=[("pending", 4)])
    plan = checkpoints.begin(datetime.now(UTC), None, None, [(1, 9)])
    records = Checkpoints(open_store(tmp_path), "_staging-x", "a").go_on(plan) or {}
    assert records[0].load_cursor() == Cursor(upper=5, known=known, taken=0)


CHECKPOINT = (
    '{"start":0,"end":100,"files":[{"path":"s/00003-00000-ab","sha256":"' + "ab" * 32 + '","contents":[8,2,1,10,20,'
    '"event_type=x",{"duration":1},[0,3]],"has_before":true,"footer":"AP8="}],"cursor":{"upper":50,"known":'
    '"[[1, false, null]]","elsewhere":"[[2, false, null]]","expect_seam":false,"unit":1000,"any_order":true,'
    '"by_content":false,"taken":2,"done":false},"sessions":null,"cut":{"7":[-5,0]}}'
)


def test_checkpoints_say_where_a_reading_stands(tmp_path):
    contents = Block(8, 2, 1, 10, 20, "event_type=x", {"duration": 1}, [0, 3])
    file = StagedFile(path="s/00003-00000-ab", sha256="ab" * 32, contents=contents, has_before=True, footer=b"\x00\xff")
    cursor = Cursor(upper=50, known={("a", 60), (1, None)}, elsewhere={(2, None)}, any_order=True, taken=3)
    Checkpoints(LocalStore(tmp_path), "s", "a").write(3, (0, 100), [file], cursor, [("a", 60)], cut={7: (-5, 0)})
    written = json.loads((tmp_path / "s" / "00003-a.json").read_text())
    checksum = written.pop("checksum")
    assert written == json.loads(CHECKPOINT) | {"version": 1}
    checkpoint = SliceCheckpoint.load(CHECKPOINT.encode(), "s/00003-a.json")
    assert checkpoint == SliceCheckpoint.check(written | {"checksum": checksum}, "s/00003-a.json")
    assert checkpoint.files == [file]
    assert checkpoint.load_cursor() == Cursor(
        upper=50, known={(1, None)}, elsewhere={(2, None)}, any_order=True, taken=2
    )


def test_slices_that_were_cut_off_are_known_from_another_ones_checkpoint_until_they_have_their_own(tmp_path):
    store = LocalStore(tmp_path)

    def staged() -> dict[int, tuple[int | None, int | None, int]]:
        reading = Checkpoints(store, "s", "a")
        found = reading.go_on(plan) or {}
        assert not any(one.cut for one in found.values())
        return {number: (one.start, one.end, one.cursor.taken if one.cursor else 0) for number, one in found.items()}

    writing = Checkpoints(store, "s", "a")
    plan = writing.begin(datetime.now(UTC), None, None, [(0, 100)])
    assert writing.write(0, (60, 100), [], Cursor(upper=70), cut={1: (30, 60), 2: (0, 30)})
    assert staged() == {0: (60, 100, 0), 1: (30, 60, 0), 2: (0, 30, 0)}
    # The second gives some away in turn, and is recorded; what others' checkpoints say of it no longer counts.
    assert writing.write(1, (50, 60), [], Cursor(upper=55), cut={2: (0, 30), 3: (30, 50)})
    assert list(staged().items()) == [(0, (60, 100, 0)), (1, (50, 60, 0)), (3, (30, 50, 0)), (2, (0, 30, 0))]
    assert writing.write(0, (60, 100), [], Cursor(upper=60), cut={2: (0, 30), 3: (30, 50)})
    assert list(staged()) == [0, 1, 3, 2]


def test_checkpoints_of_two_processes_of_one_try_are_not_mixed(tmp_path):
    store = LocalStore(tmp_path)
    first, second, third = (Checkpoints(store, "s", writer) for writer in "abc")

    def stage(checkpoints: Checkpoints, number: int, bounds: tuple[int, int], lowest: int) -> None:
        path = f"s/{number:05d}-00000-{id(checkpoints):x}"
        store.put(path, b"12345678")
        files = [StagedFile(path=path, sha256="ab" * 32, contents=Block(8, 2, 0, lowest, bounds[1] - 1))]
        checkpoints.write(number, bounds, files, Cursor(upper=lowest, taken=2))

    first.go_on(first.begin(datetime.now(UTC), None, None, [(0, 100)]))
    stage(first, 0, (0, 100), 80)
    assert list(second.go_on(second.read_plan((0, 100)))) == [0]
    stage(second, 0, (0, 100), 30)
    stage(first, 0, (50, 100), 60)
    stage(first, 1, (0, 50), 20)
    found = third.go_on(third.read_plan((0, 100)))
    assert {number: each.cursor.upper for number, each in found.items()} == {0: 30}


@pytest.mark.parametrize("other", ["_staging-54f6b320ba57b04d", "_staging-01234567-54f6b320-00000000"])
@pytest.mark.parametrize("name", ["a.jsonl.gz", "."])
def test_what_another_export_has_staged_stays_however_long_ago(sandbox_with, client_of, tmp_path, name, other):
    staged = tmp_path / other / "00000-00000"
    staged.parent.mkdir()
    staged.write_bytes(b"")
    os.utime(staged, (0, 0))
    client = client_of(sandbox_with(count=20, **GENERATED))
    for _ in range(2):
        export_events(client, DEMO, tmp_path / name)
    assert staged.exists()


def test_an_export_that_takes_days_goes_on_as_long_as_tries_stage_something(half_staged, client_of, tmp_path):
    (plan,) = tmp_path.rglob("plan.json")
    facts = json.loads(plan.read_text())
    began = datetime.now(UTC) - timedelta(days=3)
    del facts["checksum"]
    plan.write_text(json.dumps(facts | {"started_at": began.isoformat()}))
    requests = len(half_staged.requests)
    export_events(client_of(half_staged), DEMO, tmp_path / "out", SMALLER_PARTS)
    assert sum(request.event_count for request in half_staged.requests[requests:]) < 2_000
    assert_whole_and_alone(tmp_path / "out", tmp_path, half_staged.event_ids(DAY.start, DAY.end))


def test_the_staging_folder_is_called_by_place_request_and_claimed_manifest(client_of, sandbox_with, tmp_path):
    # The same in all releases: else a retry after an upgrade would not find what is staged.
    sandbox = sandbox_with(count=20, **GENERATED)
    request = ExportRequest.parse(
        project="demo",
        window=Window(datetime(2026, 3, 10, tzinfo=UTC), datetime(2026, 3, 11, tzinfo=UTC)),
        filters=[{"field": "event_type", "operator": "is", "value": "model"}],
        exclude_fields=["inputs"],
        redact=["a"],
        redact_secret="s" * 16,
    )
    sandbox.fault_at[1] = Fault.answer(503)
    client = client_of(sandbox, max_retries=0)
    folders: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "read_plan", lambda checkpoints, span: folders.append(checkpoints._folder))
        patch.setattr(type(client.settings), "api_host", "api.dp1.us.honeyhive.ai")
        with pytest.raises(HoneyHiveServerError):
            export_events(
                client,
                request,
                tmp_path,
                ExportOptions(file_format="parquet", lookback_windows=2, partition_by=("event_date",)),
                AirflowFacts(dag_id="d", task_id="t", run_id="r", try_number=2, map_index=-1),
                exports_folder=tmp_path,
            )
    assert folders == ["_staging-031fa0bb-954a9292-00000000"]


def test_csv_that_is_staged_with_other_columns_is_not_gone_on_from(sandbox_with, client_of, tmp_path, monkeypatch):
    sandbox = sandbox_with(count=2_000, **GENERATED)
    sandbox.fault_at[9] = Fault.answer(503)
    options = ExportOptions(file_format="csv", max_file_size=50_000, page_size=200)
    with monkeypatch.context() as earlier:
        earlier.setattr("airflow_provider_honeyhive.export.fingerprint.COLUMN_NAMES", ("event_id", "sent_as"))
        with pytest.raises(HoneyHiveServerError):
            export_events(client_of(sandbox, max_retries=0), DEMO, tmp_path / "out", options)
    assert list(tmp_path.rglob("_staging-*"))
    requests = len(sandbox.requests)
    export_events(client_of(sandbox), DEMO, tmp_path / "out", options)
    assert sum(request.event_count for request in sandbox.requests[requests:]) >= 2_000
