"""A run looks back: what came late or changed since earlier runs is corrected, once, and nothing else is."""

from __future__ import annotations

import gzip
import itertools
import json
import random
import signal
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_honeyhive.exceptions import (
    DestinationError,
    ExportWouldShrinkError,
    HoneyHiveServerError,
    InvalidArgumentError,
)
from airflow_provider_honeyhive.export.catalog import verify_exports
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.export.result import summarize
from airflow_provider_honeyhive.formats.content_index import records_of
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.models.export_facts import AirflowFacts
from airflow_provider_honeyhive.models.layout import FORMATS
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.models.request import ExportRequest
from airflow_provider_honeyhive.models.window import Window, parse_time
from airflow_provider_honeyhive.sandbox import Fault
from airflow_provider_honeyhive.storage.base import UPLOAD_BLOCK

from . import killed
from .test_exporter import FailingStore, contents, tree

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FIRST = datetime(2026, 11, 1, tzinfo=UTC)
TASK = AirflowFacts(dag_id="daily", task_id="export")


def day(number: int) -> Window:
    return Window(FIRST + timedelta(days=number), FIRST + timedelta(days=number + 1))


def event(name: str, day: float, **more: Any) -> dict[str, Any]:
    time = int((FIRST + timedelta(days=day)).timestamp() * 1000)
    return {"event_id": name, "project": "demo", "start_time": time, "feedback": {}, **more}


EVENTS = [event(f"{number}-{part}", number + part / 10) for number in range(8) for part in range(10)]


class Exporter:
    """Exports days, as the runs of a daily DAG do."""

    def __init__(self, client: Any, folder: Path) -> None:
        self.client = client
        self.folder = folder

    def run(self, *arguments: Any, **more: Any) -> Manifest:
        """Export a day, with the arguments of :meth:`export_of`."""
        return export_events(self.client, *self.export_of(*arguments, **more), exports_folder=self.folder)

    def export_of(self, number: int, lookback: int = 2, *, task: AirflowFacts | None = TASK, **other: Any) -> Any:
        """Return the arguments of an export of a day; the others given are those of its request and its options."""
        fields = ("exclude_fields", "redact", "redact_secret", "include_content", "projections")
        names = ("project", "filters", "sessions", *fields)
        asked = {"project": "demo", **{name: other.pop(name) for name in names if name in other}}
        request = ExportRequest.parse(window=day(number), **asked)
        return request, self.path(number), ExportOptions(lookback_windows=lookback, **other), task

    def path(self, number: int) -> Path:
        return self.folder / f"{day(number).end:%Y-%m-%d}"

    def corrections(self, number: int) -> dict[str, list[str]]:
        """Return the ids of a run's corrections by reason, as its manifest names them."""
        found: dict[str, list[str]] = {}
        for part in Manifest.read(self.path(number)).corrections:
            found.setdefault(part.reason, []).extend(one["event_id"] for one in events_in(self.path(number), part.path))
        return {reason: sorted(ids) for reason, ids in found.items()}

    def merged(self) -> dict[str, dict[str, Any]]:
        """Return the newest version of each event, as the manifests say."""
        manifests = [(Manifest.read(path), path.parent) for path in self.folder.rglob("_manifest.json")]
        return {
            one["event_id"]: one
            for manifest, folder in sorted(manifests, key=lambda pair: parse_time(pair[0].finished_at))
            for part in (*manifest.files, *manifest.corrections)
            for one in events_in(folder, part.path)
        }

    def assert_sound(self) -> None:
        assert [problem for verdict in verify_exports(self.folder) for problem in verdict.problems] == []
        for path in self.folder.iterdir():
            manifest = Manifest.read(path)
            assert set(tree(path)) == {"_manifest.json", *manifest.sizes}


def events_in(folder: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress((folder / name).read_bytes()).splitlines()]


@pytest.fixture
def sandbox(sandbox_with):
    return sandbox_with(EVENTS)


@pytest.fixture
def exporter(sandbox, client_of, tmp_path):
    return Exporter(client_of(sandbox), tmp_path / "exports")


def change(sandbox: Any, *events: dict[str, Any]) -> None:
    sandbox.delete(one["event_id"] for one in events)
    sandbox.add(events)


def test_late_and_changed_events_of_the_days_before_become_corrections(sandbox, exporter):
    for number in range(4):
        exporter.run(number)
    sandbox.add([event("late", 2.55), event("too-late", 1.55)])
    change(sandbox, event("3-4", 3.4, feedback={"rating": True}))

    manifest = exporter.run(4)

    assert exporter.corrections(4) == {"late": ["late"], "changed": ["3-4"]}
    assert (manifest.lookback.late_count, manifest.lookback.changed_count) == (1, 1)
    assert manifest.event_count == sum(part.event_count for part in manifest.files) == 10
    assert {part.path.rpartition("/")[0] for part in manifest.corrections} == {
        "_corrections/reason=late",
        "_corrections/reason=changed",
    }
    assert manifest.lookback.read_again == [("2026-11-03T00:00:00.000Z", "2026-11-05T00:00:00.000Z")]
    summary = summarize(manifest)
    assert [summary["late_count"], summary["changed_count"], len(summary["correction_files"])] == [1, 1, 2]
    assert len(summary["files"]) == 1
    exporter.assert_sound()


def test_where_nothing_changed_there_is_no_correction(exporter):
    for number in range(4):
        assert exporter.run(number).corrections == []
    assert not list(exporter.folder.rglob("_corrections"))
    exporter.assert_sound()


def test_a_correction_is_exported_once(sandbox, exporter):
    for number in range(2):
        exporter.run(number)
    sandbox.add([event("late", 1.55)])
    exporter.run(2)
    assert exporter.run(3).corrections == []
    change(sandbox, event("late", 1.55, feedback={"rating": False}))
    exporter.run(3)
    assert exporter.corrections(3) == {"changed": ["late"]}


def test_a_change_that_is_taken_back_is_a_change(sandbox, exporter):
    exporter.run(0)
    change(sandbox, event("0-3", 0.3, feedback={"rating": True}))
    exporter.run(1)
    change(sandbox, event("0-3", 0.3))
    exporter.run(2)
    assert exporter.corrections(2) == {"changed": ["0-3"]}
    assert exporter.merged()["0-3"]["feedback"] == {}


def test_a_run_again_replaces_its_own_corrections(sandbox, exporter):
    exporter.run(0)
    change(sandbox, event("0-3", 0.3, feedback={"rating": True}))
    first = exporter.run(1)
    second = exporter.run(1)
    assert contents(second.corrections) == contents(first.corrections)
    assert second.index.sha256 == first.index.sha256
    exporter.assert_sound()
    change(sandbox, event("0-3", 0.3))
    assert exporter.run(1).corrections == []
    exporter.assert_sound()


def test_a_run_again_after_later_ones_compares_with_their_corrections(sandbox, exporter):
    for number in range(3):
        exporter.run(number)
    change(sandbox, event("1-3", 1.3, feedback={"rating": True}))
    exporter.run(3)
    assert exporter.corrections(3) == {"changed": ["1-3"]}
    assert exporter.run(2).corrections == []


def test_the_export_that_was_published_last_has_the_last_word_whatever_its_window(sandbox, exporter):
    for number in range(3):
        exporter.run(number)
    for rating, number in ((True, 2), (False, 1)):
        change(sandbox, event("0-3", 0.3, feedback={"rating": rating}))
        exporter.run(number)
        assert exporter.corrections(number) == {"changed": ["0-3"]}
    assert exporter.run(3, lookback=3).corrections == []


def test_the_first_run_looks_back_at_nothing(exporter, caplog):
    with caplog.at_level("INFO"):
        manifest = exporter.run(5)
    assert (manifest.corrections, manifest.lookback.read_again) == ([], [])
    assert "nothing of it was exported alike" in caplog.text


def test_time_that_was_never_exported_cannot_be_late(sandbox, exporter):
    exporter.run(0)
    sandbox.add([event("late", 0.55), event("of-another-run", 1.55)])
    manifest = exporter.run(2)
    assert exporter.corrections(2) == {"late": ["late"]}
    assert len(manifest.lookback.read_again) == 1
    # The run of the day between, filled in afterwards.
    assert exporter.run(1).event_count == 11
    assert exporter.corrections(1) == {}
    assert exporter.run(3).corrections == []


def test_gaps_between_exports_are_read_around(sandbox, exporter):
    exporter.run(0)
    exporter.run(2)
    sandbox.add([event("late-0", 0.55), event("never", 1.55), event("late-2", 2.55)])
    manifest = exporter.run(3, lookback=3)
    assert exporter.corrections(3) == {"late": ["late-0", "late-2"]}
    assert [span[0][:10] for span in manifest.lookback.read_again] == ["2026-11-03", "2026-11-01"]


def test_an_earlier_export_without_an_index_is_left_alone_and_told(sandbox, exporter, caplog):
    exporter.run(0, lookback=0)
    exporter.run(1)
    sandbox.add([event("late-0", 0.55), event("late-1", 1.55)])
    exporter.run(2)
    assert exporter.corrections(2) == {"late": ["late-1"]}
    assert f"{exporter.path(0)} holds" in caplog.text
    assert "exported without lookback_windows, so it has no index" in caplog.text
    exporter.run(0)
    change(sandbox, event("0-3", 0.3, feedback={"rating": True}))
    exporter.run(2)
    assert exporter.corrections(2) == {"changed": ["0-3"], "late": ["late-1"]}


@pytest.mark.parametrize(
    "other", [{"exclude_fields": ["feedback"]}, {"filters": [{"field": "source", "operator": "exists"}]}]
)
def test_what_was_asked_otherwise_is_not_compared(sandbox, exporter, caplog, other):
    exporter.run(0, **other)
    assert exporter.run(1).lookback.read_again == []
    assert "it was asked otherwise" in caplog.text


@pytest.mark.parametrize("other", [{"task": None}, {"task": AirflowFacts(dag_id="daily", task_id="other")}])
def test_exports_of_other_tasks_are_none_of_its_business(sandbox, exporter, caplog, other):
    exporter.run(0, **other)
    assert exporter.run(1).lookback.read_again == []
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []


def test_a_window_without_events_is_known_to_have_had_none(sandbox, exporter):
    exporter.run(20)
    assert Manifest.read(exporter.path(20)).index is None
    sandbox.add([event("late", 20.5)])
    exporter.run(21)
    assert exporter.corrections(21) == {"late": ["late"]}


def test_a_change_in_what_is_not_written_is_none(sandbox, exporter):
    secret = "a-long-random-secret"
    rules = {"exclude_fields": ["feedback"], "redact": ["user"], "redact_secret": secret}
    sandbox.add([event("x", 0.55, user="ada")])
    exporter.run(0, **rules)
    change(sandbox, event("x", 0.55, user="ada", feedback={"rating": True}))
    assert exporter.run(1, **rules).corrections == []
    change(sandbox, event("x", 0.55, user="bob"))
    exporter.run(2, **rules)
    assert exporter.corrections(2) == {"changed": ["x"]}
    assert b"bob" not in b"".join(gzip.decompress(p.read_bytes()) for p in exporter.folder.rglob("*.gz"))


def test_the_order_of_keys_is_no_change(sandbox, exporter):
    exporter.run(0)
    change(sandbox, dict(reversed(event("0-3", 0.3).items())))
    assert exporter.run(1).corrections == []


def test_events_without_a_time_are_no_corrections(sandbox, exporter):
    sandbox.add([{"event_id": "timeless", "project": "demo", "start_time": None}])
    exporter.run(0)
    exporter.run(1)
    assert exporter.corrections(1) == {}
    exporter.assert_sound()


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("partition_by", [(), ("event_date", "event_type")])
def test_corrections_have_the_format_and_the_partitions_of_the_rest(sandbox, exporter, file_format, partition_by):
    options = {"file_format": file_format, "partition_by": partition_by}
    exporter.run(0, **options)
    sandbox.add([event("late", 0.55, event_type="model"), event("later", 0.56, event_type="a/b")])
    manifest = exporter.run(1, **options)
    without = exporter.run(1, **options, lookback=0, on_shrink="replace")
    assert contents(manifest.files) == contents(without.files)
    manifest = exporter.run(1, **options)
    assert sum(part.event_count for part in manifest.corrections) == 2
    folders = {part.path.rpartition("/")[0] for part in manifest.corrections}
    late = "_corrections/reason=late"
    assert folders == (
        {f"{late}/event_date=2026-11-01/event_type={kind}" for kind in ("model", "a%2Fb")} if partition_by else {late}
    )
    exporter.assert_sound()


def test_the_files_of_the_window_are_the_same_as_without_looking_back(sandbox_with, client_of, tmp_path):
    window = {"start": day(1).start, "end": day(1).end}
    client = client_of(sandbox_with(count=3_000, **window))
    options = {"max_file_size": 300_000, "page_size": 500, "concurrency": 1}
    with_index, without = (
        Exporter(client, tmp_path / str(lookback)).run(1, lookback, **options) for lookback in (2, 0)
    )
    assert len(without.files) > 2
    assert contents(with_index.files) == contents(without.files)
    assert with_index.index.record_count == 3_000


def test_whole_sessions_that_grew_are_corrected(sandbox, exporter):
    session = {"session_id": "s", "event_type": "session"}
    step = {"session_id": "s", "parent_id": "s", "event_type": "model"}
    sandbox.add([event("s", 0.5, **session), event("step-1", 0.6, **step)])
    exporter.run(0, sessions="complete")
    # After midnight, and after its session's day was exported.
    sandbox.add([event("step-2", 1.1, **step)])
    manifest = exporter.run(1, sessions="complete")
    assert (manifest.event_count, exporter.corrections(1)) == (0, {"late": ["step-2"]})
    exporter.assert_sound()


# ------------------------------------------------------------------------------------- dying, failing


@pytest.mark.parametrize("at", range(1, 10))
def test_a_failure_at_any_request_loses_nothing(sandbox, client_of, tmp_path, at):
    exporter = Exporter(client_of(sandbox, max_retries=0), tmp_path / "exports")
    exporter.run(0, page_size=4)
    sandbox.add([event("late", 0.55)])
    before = tree(exporter.folder)
    sandbox.fault_at[len(sandbox.requests) + at] = Fault.answer(503)
    with pytest.raises(HoneyHiveServerError):
        exporter.run(1, page_size=4)
    assert {name: data for name, data in tree(exporter.folder).items() if "/_staging-" not in name} == before
    assert not list(exporter.folder.rglob("*-again-*"))
    exporter.run(1, page_size=4)
    assert exporter.corrections(1) == {"late": ["late"]}
    exporter.assert_sound()


def test_a_try_that_looks_back_does_not_go_on_from_one_that_did_not(sandbox_with, client_of, tmp_path):
    sandbox = sandbox_with(count=2_000, start=day(0).start, end=day(0).end)
    exporter = Exporter(client_of(sandbox, max_retries=0), tmp_path / "exports")
    options = {"max_file_size": 50_000, "page_size": 200}
    sandbox.fault_at[9] = Fault.answer(503)
    with pytest.raises(HoneyHiveServerError):
        exporter.run(0, lookback=0, **options)
    assert list(exporter.folder.rglob("_staging-*/*-*"))
    assert exporter.run(0, **options).index.record_count == 2_000


def test_a_try_goes_on_with_the_index_of_what_was_staged(sandbox_with, client_of, tmp_path):
    sandbox = sandbox_with(count=2_000, start=day(0).start, end=day(0).end)
    exporter = Exporter(client_of(sandbox, max_retries=0), tmp_path / "exports")
    # One reader: each of several asks again for the answer that it was staging.
    options = {"max_file_size": 50_000, "page_size": 200, "concurrency": 1}
    sandbox.fault_at[9] = Fault.answer(503)
    with pytest.raises(HoneyHiveServerError):
        exporter.run(0, **options)
    first = sum(request.event_count for request in sandbox.requests)
    requests = len(sandbox.requests)
    assert exporter.run(0, **options).index.record_count == 2_000
    assert first > 1_000
    assert sum(request.event_count for request in sandbox.requests[requests:]) <= 2_000 - first + 2 * 200 + 200
    exporter.assert_sound()


@pytest.mark.parametrize(
    ("die_at", "upload_block"),
    # What is read goes to the store at once, or waits until all has been read, which takes less steps.
    [*((step, 1) for step in range(1, 31, 3)), *((step, UPLOAD_BLOCK) for step in range(1, 20, 3))],
)
def test_killed_at_any_step_the_next_try_has_all_corrections_once(sandbox, exporter, die_at, upload_block):
    exporter.run(0)
    sandbox.add([event("late", 0.55)])
    change(sandbox, event("0-3", 0.3, feedback={"rating": True}))
    before = tree(exporter.folder)
    process = killed.start(
        sandbox.url, *exporter.export_of(1), exports_folder=exporter.folder, die_at=die_at, upload_block=upload_block
    )
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    after = tree(exporter.folder)
    assert before.items() <= after.items()
    if f"{exporter.path(1).name}/_manifest.json" in after:
        assert exporter.corrections(1) == {"late": ["late"], "changed": ["0-3"]}
    change(sandbox, event("0-5", 0.5, feedback={"rating": False}))
    exporter.run(1)
    assert exporter.corrections(1) == {"late": ["late"], "changed": ["0-3", "0-5"]}
    exporter.assert_sound()


@pytest.mark.parametrize("fail_at", range(1, 25))
def test_a_store_that_refuses_any_step_leaves_the_earlier_result(sandbox, exporter, monkeypatch, fail_at):
    exporter.run(0)
    change(sandbox, event("0-3", 0.3, feedback={"rating": True}))
    exporter.run(1)
    before = tree(exporter.folder)
    sandbox.add([event("late", 0.55)])
    monkeypatch.setattr("airflow_provider_honeyhive.export.exporter.open_store", FailingStore)
    monkeypatch.setattr(FailingStore, "calls", itertools.count(1))
    monkeypatch.setattr(FailingStore, "fail_at", fail_at)
    try:
        exporter.run(1)
    except DestinationError:
        assert {name: data for name, data in tree(exporter.folder).items() if "/_staging-" not in name} == before
        exporter.run(1)
    assert exporter.corrections(1) == {"late": ["late"], "changed": ["0-3"]}
    exporter.assert_sound()


def test_a_broken_index_is_an_error_that_names_it(sandbox, exporter):
    manifest = exporter.run(0)
    index = exporter.path(0) / manifest.index.path
    index.write_bytes(index.read_bytes()[::-1])
    with pytest.raises(DestinationError, match=manifest.index.path):
        exporter.run(1)
    assert not exporter.path(1).exists() or not list(exporter.path(1).glob("*.json"))
    (problems,) = (verdict.problems for verdict in verify_exports(exporter.path(0)))
    assert len(problems) == 1
    assert problems[0].startswith(f"{manifest.index.path}: SHA-256")


def test_verification_looks_at_corrections(sandbox, exporter):
    exporter.run(0)
    sandbox.add([event("late", 0.55)])
    manifest = exporter.run(1)
    (part,) = manifest.corrections
    path = exporter.path(1) / part.path
    path.write_bytes(gzip.compress(b'{"event_id":"forged","start_time":%d}\n' % EVENTS[-1]["start_time"]))
    (problems,) = (verdict.problems for verdict in verify_exports(exporter.path(1)))
    assert {problem.split(": ")[1].split(" ")[0] for problem in problems} >= {"SHA-256", "holds"}
    path.unlink()
    (problems,) = (verdict.problems for verdict in verify_exports(exporter.path(1)))
    assert problems == [f"{part.path}: missing"]


def test_a_manifest_whose_counts_of_corrections_differ_is_a_problem(sandbox, exporter):
    exporter.run(0)
    sandbox.add([event("late", 0.55)])
    manifest = exporter.run(1)
    facts = manifest.lookback.model_copy(update={"late_count": 2})
    (exporter.path(1) / "_manifest.json").write_bytes(manifest.model_copy(update={"lookback": facts}).to_json())
    (problems,) = (verdict.problems for verdict in verify_exports(exporter.path(1)))
    assert problems == [
        "the corrections hold 1 late events, the manifest says 2",
        "the index holds 11 events, the parts and corrections 12",
    ]


def test_an_export_again_that_looks_back_less_gives_corrections_up_only_on_purpose(sandbox, exporter):
    exporter.run(0)
    sandbox.add([event("late", 0.55)])
    exporter.run(1)
    with pytest.raises(ExportWouldShrinkError):
        exporter.run(1, lookback=0)
    exporter.run(1, lookback=0, on_shrink="replace")
    assert set(tree(exporter.path(1))) == {"_manifest.json", *(p.path for p in Manifest.read(exporter.path(1)).files)}
    assert not (exporter.path(1) / "_corrections").exists()


# ------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("path", "folder", "window", "message"),
    [
        ("one.jsonl.gz", True, True, "a folder, not one object"),
        ("out", False, True, "exports_folder"),
        ("out", True, False, "only for a window"),
        ("out/_shards-0123456789abcdef/a", True, True, "parts of one export"),
    ],
)
def test_what_cannot_look_back_is_refused_before_any_request(
    sandbox, client_of, tmp_path, path, folder, window, message
):
    request = ExportRequest(project="demo", window=day(1) if window else None)
    with pytest.raises(InvalidArgumentError, match=message):
        export_events(
            client_of(sandbox),
            request,
            tmp_path / path,
            ExportOptions(lookback_windows=1),
            exports_folder=tmp_path if folder else None,
        )
    assert sandbox.requests == []


@pytest.mark.parametrize("lookback", [-1, 1.5, True, "1"])
def test_what_is_no_number_of_windows_is_refused(lookback):
    with pytest.raises(InvalidArgumentError, match="lookback_windows"):
        ExportOptions(lookback_windows=lookback)


def test_more_windows_than_there_were_reach_back_to_1970(exporter):
    assert exporter.run(0, lookback=10**9).lookback.start_time.startswith("1970-01-01")


# ------------------------------------------------------------------------------------ what holds always


@pytest.mark.parametrize("seed", range(6))
def test_after_any_run_the_newest_versions_are_what_the_server_holds(sandbox, exporter, seed):
    """Runs in any order, again and again, while events come late and change; nothing is deleted."""
    rng = random.Random(seed)
    names = itertools.count()
    for _ in range(12):
        late = [event(f"new-{next(names)}", rng.uniform(0, 8)) for _ in range(rng.randrange(4))]
        held = [json.loads(one.raw) for one in sandbox.events()]
        changed = [{**one, "feedback": {"rating": rng.random()}} for one in rng.sample(held, rng.randrange(4))]
        change(sandbox, *changed)
        sandbox.add(late)
        number, lookback = rng.randrange(8), rng.randrange(1, 5)
        # A shorter lookback than the last time gives corrections up.
        manifest = exporter.run(number, lookback, on_shrink="replace")
        spans = [*manifest.lookback.read_again, (manifest.start_time, manifest.end_time)]
        merged = exporter.merged()
        for start, end in spans:
            expected = held_between(sandbox, start, end)
            assert {name: merged.get(name) for name in expected} == expected
    exporter.assert_sound()


def held_between(sandbox: Any, start: str, end: str) -> dict[str, Any]:
    low, high = (datetime.fromisoformat(text).timestamp() * 1000 for text in (start, end))
    events: Iterable[Any] = (json.loads(one.raw) for one in sandbox.events())
    return {one["event_id"]: one for one in events if low <= one["start_time"] < high}


def test_a_number_that_is_spelled_otherwise_is_no_change(sandbox_with, client_of, tmp_path):
    sandbox = sandbox_with([event(f"e{number}", 0.1 + number / 100, duration=500) for number in range(20)])
    exporter = Exporter(client_of(sandbox), tmp_path / "exports")
    exporter.run(0)
    change(sandbox, *[event(f"e{number}", 0.1 + number / 100, duration=500.0) for number in range(19)])
    change(sandbox, event("e19", 0.29, duration=500.5))

    manifest = exporter.run(1)

    assert (manifest.lookback.late_count, manifest.lookback.changed_count) == (0, 1)
    assert exporter.corrections(1) == {"changed": ["e19"]}


def test_an_index_of_the_first_release_shows_what_changed_since(sandbox_with, client_of, tmp_path, monkeypatch):
    sandbox = sandbox_with([event(f"e{number}", 0.1 + number / 100, duration=500.0) for number in range(20)])
    exporter = Exporter(client_of(sandbox), tmp_path / "exports")
    with monkeypatch.context() as patch:
        patch.setattr("airflow_provider_honeyhive.export.exporter.records_of", as_in_the_first_release)
        exporter.run(0)
    change(sandbox, event("e19", 0.29, duration=501.0))

    exporter.run(1)

    assert exporter.corrections(1) == {"changed": ["e19"]}
    exporter.run(2)
    assert exporter.corrections(2) == {}


def as_in_the_first_release(events: Any, *, as_spelled: bool = False) -> bytes:
    return records_of(events, as_spelled=True)
