"""From the sandbox to files: what lands, what happens on failure, and what a second run does."""

from __future__ import annotations

import gzip
import itertools
import json
import logging
import re
import resource
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_honeyhive.events.raw import load_event
from airflow_provider_honeyhive.exceptions import (
    DestinationError,
    DestinationTakenError,
    HoneyHiveAuthError,
    HoneyHiveError,
    IncompleteExportError,
    InvalidArgumentError,
    TooFewEventsError,
    TooLargeForXComError,
    WrongProjectError,
)
from airflow_provider_honeyhive.export import spool
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.export.xcom import collect_events
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.models.export_facts import AirflowFacts, ProjectName
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.models.request import ExportRequest
from airflow_provider_honeyhive.models.window import EARLIEST, LATEST, Window, format_time, from_micros
from airflow_provider_honeyhive.reading.stream import iter_batches
from airflow_provider_honeyhive.sandbox import Behaviour, Fault
from airflow_provider_honeyhive.sandbox.store import StoredEvent
from airflow_provider_honeyhive.storage.local import LocalStore
from tests.unit.api.odd_bytes import ODD_EVENTS
from tests.unit.ways import asking, by_every_way

if TYPE_CHECKING:
    from pathlib import Path

DAY = Window(datetime(2026, 11, 22, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC))
DEMO = ExportRequest(project="demo", window=DAY)
GENERATED = {"start": DAY.start, "end": DAY.end}


def event_at(time: datetime | float | str, number: int = 0, **more: Any) -> dict[str, Any]:
    start = int(time.timestamp() * 1000) if isinstance(time, datetime) else time
    return {"event_id": f"event-{number}", "project": "demo", "start_time": start, **more}


def lines(folder: Any) -> list[bytes]:
    """Return the lines of all data files that the manifest names, in its order."""
    manifest = Manifest.read(folder)
    found: list[bytes] = []
    for part in manifest.files:
        raw = (folder / part.path).read_bytes()
        found += (gzip.decompress(raw) if part.path.endswith(".gz") else raw).splitlines()
    return found


def ids(folder: Any) -> list[str]:
    return [json.loads(line)["event_id"] for line in lines(folder)]


def tree(folder: Path) -> dict[str, bytes]:
    """Return every file below the folder with its content."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def contents(files: Any) -> list[dict[str, Any]]:
    """Return all that a manifest says of its files but their names, the folders aside: each writer gives others."""
    return [{**file.model_dump(), "path": file.path.rpartition("part-")[0]} for file in files]


def published(folder: Path) -> dict[str, bytes]:
    """Return every file but what is staged for a retry."""
    return {name: data for name, data in tree(folder).items() if "/_staging-" not in f"/{name}"}


@pytest.mark.parametrize("concurrency", [1, 8])
@by_every_way
def test_every_event_of_the_window_lands_once(sandbox_with, client_of, tmp_path, generation, endpoint, concurrency):
    behaviour = Behaviour(generation=generation, endpoints=frozenset([endpoint]))
    sandbox = sandbox_with(count=6_000, behaviour=behaviour, **GENERATED)
    settings, request = asking(sandbox, endpoint, DEMO)
    options = ExportOptions(concurrency=concurrency, page_size=300)
    manifest = export_events(client_of(sandbox, **settings), request, tmp_path / "out", options)
    assert Counter(ids(tmp_path / "out")) == Counter(sandbox.event_ids(DAY.start, DAY.end))
    assert manifest.event_count == manifest.reported_total == 6_000
    assert sandbox.peak_in_flight <= concurrency


@pytest.mark.parametrize("time_format", ["ms", "iso", "text"])
@by_every_way
def test_the_window_is_half_open_to_the_millisecond(
    sandbox_with, client_of, tmp_path, time_format, generation, endpoint
):
    step = timedelta(seconds=1) if time_format == "text" else timedelta(milliseconds=1)
    times = [edge + step * shift for edge in (DAY.start, DAY.end) for shift in (-1, 0, 1)]
    sandbox = sandbox_with(
        [event_at(time, number) for number, time in enumerate(times)],
        behaviour=Behaviour(generation=generation, endpoints=frozenset([endpoint]), time_format=time_format),
    )
    settings, request = asking(sandbox, endpoint, DEMO)
    export_events(client_of(sandbox, **settings), request, tmp_path / "out")
    assert sorted(ids(tmp_path / "out")) == ["event-1", "event-2", "event-3"]


@pytest.mark.parametrize("name", ["out/events.jsonl", "out/events.jsonl.gz", "out"])
def test_every_odd_event_on_disk_is_the_one_the_server_sent(sandbox_with, client_of, tmp_path, name):
    noon = int((DAY.start.timestamp() + 43_200) * 1000)
    sent = [
        raw.replace(b'"event_id":"e"', b'"event_id":"e%d"' % number).replace(
            b'"start_time":1', b'"start_time":%d' % noon
        )
        for number, raw in enumerate(ODD_EVENTS.values())
    ]

    stored = [StoredEvent(raw, f"e{number}", noon * 1000) for number, raw in enumerate(sent)]
    path = tmp_path / name
    export_events(client_of(sandbox_with(stored)), DEMO, path)
    folder = path if name == "out" else path.parent
    part = Manifest.read(path).files[0].path
    raw = (folder / part).read_bytes()
    # Split at the bytes of a newline only: U+2028 inside a text is no end of a line.
    written = (raw if part.endswith(".jsonl") else gzip.decompress(raw)).split(b"\n")
    assert sorted(written) == sorted([*sent, b""])


@pytest.mark.parametrize(
    "behaviour",
    [{}, {"ignore_date_range": True}, {"exclusive_end": True}, {"truncate_bounds": "second"}, {"total": "absent"}],
)
@pytest.mark.parametrize(
    "window",
    [Window(EARLIEST, EARLIEST + timedelta(seconds=1.5)), Window(LATEST - timedelta(seconds=1.5), LATEST)],
    ids=["earliest", "latest"],
)
def test_windows_at_both_ends_of_the_calendar_are_exported(sandbox_with, client_of, tmp_path, window, behaviour):
    edges = (window.start_us, window.start_us + 1_000, window.end_us - 1_000, window.end_us, window.end_us)
    stored = [
        StoredEvent(
            b'{"event_id":"%d","start_time":"%s"}' % (number, format_time(from_micros(us)).encode()), str(number), us
        )
        for number, us in enumerate(edges)
    ]
    sandbox = sandbox_with(stored, behaviour=Behaviour(cap=2, **behaviour))
    export_events(client_of(sandbox), DEMO.model_copy(update={"window": window}), tmp_path / "out")
    assert sorted(ids(tmp_path / "out")) == ["0", "1", "2"]
    Manifest.read(tmp_path / "out").verify()


@pytest.mark.parametrize(
    "times",
    [["0001-01-01T00:00:00Z"], ["2026-01-01T00:00:00Z", "0001-01-01T00:00:00Z"], ["9999-12-31T23:59:59.999999Z"]],
)
def test_without_a_window_the_first_and_the_last_time_there_is_are_exported(sandbox_with, client_of, tmp_path, times):
    sandbox = sandbox_with(event_at(time, number) for number, time in enumerate(times))
    export_events(client_of(sandbox), ExportRequest(project="demo"), tmp_path / "out")
    assert len(lines(tmp_path / "out")) == len(times)


@pytest.mark.parametrize("total", ["events_total", "absent"])
def test_without_a_window_events_from_before_1970_are_exported_however_many_pages(
    sandbox_with, client_of, tmp_path, total
):
    numbers = [-62_135_596_800_000, *range(-30, 30), *range(1_795_000_000_000, 1_795_000_000_030)]
    stored = [{"event_id": str(number), "project": "demo", "start_time": number} for number in numbers]
    sandbox = sandbox_with(stored, behaviour=Behaviour(total=total))
    export_events(client_of(sandbox), ExportRequest(project="demo"), tmp_path / "out", ExportOptions(page_size=10))
    assert Counter(ids(tmp_path / "out")) == Counter(map(str, numbers))


@pytest.mark.parametrize("behaviour", [{}, {"ignore_date_range": True}])
def test_events_of_a_clock_that_was_never_set_lie_in_1970(sandbox_with, client_of, tmp_path, behaviour):
    numbers = [0, 86_400_000, 31_536_000_000, *range(1_795_000_000_000, 1_795_000_000_030)]
    stored = [{"event_id": str(number), "project": "demo", "start_time": number} for number in numbers]
    request = ExportRequest(project="demo", window=Window.parse("1970-01-01", "2027-01-01"))
    options = ExportOptions(partition_by=("event_date",), page_size=10)
    client = client_of(sandbox_with(stored, behaviour=Behaviour(**behaviour)))
    manifest = export_events(client, request, tmp_path / "out", options)
    dates = {part.path.partition("/")[0]: part.event_count for part in manifest.files}
    assert dates == {
        "event_date=1970-01-01": 1,
        "event_date=1970-01-02": 1,
        "event_date=1971-01-01": 1,
        "event_date=2026-11-18": 30,
    }
    manifest.verify()


def test_pretty_printed_answers_become_one_line_an_event(sandbox_with, client_of, tmp_path):
    sandbox = sandbox_with(behaviour=Behaviour(pretty=True), **GENERATED)
    export_events(client_of(sandbox), DEMO, tmp_path / "a.jsonl")
    written = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert {event["event_id"] for event in written} == sandbox.event_ids(DAY.start, DAY.end)


def test_no_events_give_a_manifest_and_no_part_or_an_object_without_any(sandbox_with, client_of, tmp_path):
    sandbox = sandbox_with([event_at(DAY.end)])
    assert export_events(client_of(sandbox), DEMO, tmp_path / "out").event_count == 0
    assert list(tree(tmp_path)) == ["out/_manifest.json"]
    assert [part.event_count for part in export_events(client_of(sandbox), DEMO, tmp_path / "one.jsonl").files] == [0]
    assert sorted(tree(tmp_path)) == ["one.jsonl", "one.jsonl.manifest.json", "out/_manifest.json"]
    assert tree(tmp_path)["one.jsonl"] == b""


def test_the_manifest_says_what_was_asked_and_found(sandbox, client, tmp_path):
    facts = AirflowFacts(dag_id="d", task_id="t", run_id="r", try_number=1, map_index=-1)
    made = export_events(client, DEMO, tmp_path / "out", airflow=facts)
    read = Manifest.read(tmp_path / "out")
    assert read.model_dump() == Manifest.read(tmp_path / "out" / "_manifest.json").model_dump()
    assert read.model_dump() == made.model_dump()
    assert (read.start_time, read.end_time) == ("2026-11-22T00:00:00.000Z", "2026-11-23T00:00:00.000Z")
    assert (read.project, read.event_count, read.airflow) == ("demo", 300, facts)
    assert read.request.endpoint == "export"
    assert read.request.api_host in sandbox.url
    (part,) = read.files
    content = (tmp_path / "out" / part.path).read_bytes()
    assert part.size_bytes == len(content)
    assert part.min_start_time >= read.start_time
    assert part.max_start_time < read.end_time
    assert "hh_sandbox" not in str(tree(tmp_path))


def test_parts_end_at_max_file_size_and_are_named_in_order(sandbox_with, client_of, tmp_path):
    sandbox = sandbox_with(count=3_000, **GENERATED)
    options = ExportOptions(max_file_size=2_000_000, compression="none", concurrency=3)
    manifest = export_events(client_of(sandbox), DEMO, tmp_path / "out", options)
    sizes = [part.size_bytes for part in manifest.files]
    assert len(sizes) >= 4
    assert all(1_800_000 <= size <= 2_000_000 for size in sizes[:-1])
    assert [part.path for part in manifest.files] == sorted(part.path for part in manifest.files)
    assert Counter(ids(tmp_path / "out")) == Counter(sandbox.event_ids(DAY.start, DAY.end))


# -------------------------------------------------------------------------------------- a second run


@pytest.mark.parametrize("name", ["out", "out/events.jsonl.gz"])
def test_a_second_run_of_the_same_data_gives_the_same_bytes_under_names_of_its_own(client, tmp_path, name):
    first = export_events(client, DEMO, tmp_path / name)
    before = {path: data for path, data in tree(tmp_path).items() if "manifest" not in path}
    second = export_events(client, DEMO, tmp_path / name)
    assert contents(second.files) == contents(first.files)
    after = {path: data for path, data in tree(tmp_path).items() if "manifest" not in path}
    assert list(after.values()) == list(before.values())
    assert (after.keys() == before.keys()) == (name != "out")


@pytest.mark.parametrize("name", ["out", "out/events.jsonl.gz"])
def test_a_second_run_replaces_what_changed_and_leaves_no_litter(sandbox, client_of, tmp_path, name):
    export_events(client_of(sandbox), DEMO, tmp_path / name)
    gone = sorted(sandbox.event_ids(DAY.start, DAY.end))[:50]
    sandbox.delete(gone)
    options = ExportOptions(on_shrink="replace")
    manifest = export_events(client_of(sandbox), DEMO, tmp_path / name, options)
    assert manifest.event_count == 250
    assert len(tree(tmp_path)) == 2
    sandbox.delete(sandbox.event_ids(DAY.start, DAY.end))
    export_events(client_of(sandbox), DEMO, tmp_path / name, options)
    # A folder has no part then; one object stays, and holds nothing.
    assert len(tree(tmp_path)) == (1 if name == "out" else 2)
    Manifest.read(tmp_path / name).verify()


@pytest.mark.parametrize("name", ["out", "out/events.jsonl.gz"])
def test_replace_false_refuses_before_any_request(sandbox, client_of, tmp_path, name):
    export_events(client_of(sandbox), DEMO, tmp_path / name)
    before, requests = tree(tmp_path), len(sandbox.requests)
    with pytest.raises(DestinationTakenError, match="replace is False"):
        export_events(client_of(sandbox), DEMO, tmp_path / name, ExportOptions(replace=False))
    assert (tree(tmp_path), len(sandbox.requests)) == (before, requests)


@pytest.mark.parametrize(
    "other",
    [
        DEMO.model_copy(update={"window": Window(DAY.start, DAY.end + timedelta(microseconds=1))}),
        DEMO.model_copy(update={"project": "other"}),
        DEMO.model_copy(update={"evaluation_id": "run-1"}),
    ],
    ids=["window", "project", "evaluation"],
)
def test_another_export_is_not_replaced(sandbox, client_of, tmp_path, other):
    export_events(client_of(sandbox), DEMO, tmp_path / "out")
    before, requests = tree(tmp_path), len(sandbox.requests)
    with pytest.raises(
        DestinationTakenError, match=r"another export: put \{window_id\} or|another request: give another"
    ):
        export_events(client_of(sandbox), other, tmp_path / "out")
    assert (tree(tmp_path), len(sandbox.requests)) == (before, requests)


def test_a_task_whose_filters_were_corrected_replaces_its_own_export_on_purpose(client, tmp_path):
    facts = AirflowFacts(dag_id="d", task_id="t")
    export_events(client, DEMO, tmp_path / "out", airflow=facts)
    narrower = ExportRequest.parse(
        project="demo", window=DAY, filters=[{"field": "event_type", "operator": "is", "value": "model"}]
    )
    with pytest.raises(DestinationTakenError, match="another request"):
        export_events(client, narrower, tmp_path / "out", airflow=facts)
    manifest = export_events(client, narrower, tmp_path / "out", ExportOptions(on_shrink="replace"), facts)
    assert 0 < manifest.event_count < 300


def test_files_of_others_in_the_folder_stay(client, tmp_path):
    foreign = ["part-00000-6a3f.c000.snappy.parquet", "notes.txt", "_SUCCESS"]
    for name in foreign:
        (tmp_path / name).write_text("mine")
    export_events(client, DEMO, tmp_path)
    assert all((tmp_path / name).read_text() == "mine" for name in foreign)


# ------------------------------------------------------------------------------------------ failures


@pytest.mark.parametrize("name", ["out", "out/events.jsonl.gz"])
@pytest.mark.parametrize("at", range(1, 7))
def test_a_failure_at_any_request_leaves_nothing_or_the_earlier_result(sandbox, client_of, tmp_path, name, at):
    sandbox.fault_at[at] = Fault.answer(403)
    options = ExportOptions(page_size=100)
    with pytest.raises(HoneyHiveAuthError):
        export_events(client_of(sandbox), DEMO, tmp_path / name, options)
    assert list(tmp_path.iterdir()) == []
    sandbox.fault_at.clear()
    export_events(client_of(sandbox), DEMO, tmp_path / name, options)
    before = tree(tmp_path)
    sandbox.fault_at[len(sandbox.requests) + at] = Fault.answer(403)
    with pytest.raises(HoneyHiveAuthError):
        export_events(client_of(sandbox), DEMO, tmp_path / name, options)
    assert tree(tmp_path) == before


class FailingStore(LocalStore):
    """A store that refuses its n-th change, and everything like it from then on, or just once."""

    calls = itertools.count(1)
    fail_at = 0

    def _maybe_fail(self) -> None:
        if next(FailingStore.calls) == FailingStore.fail_at:
            raise DestinationError("the store refuses")

    def copy(self, source: str, target: str) -> None:
        self._maybe_fail()
        super().copy(source, target)

    def swap(self, name: str, data: bytes, version: Any) -> bool:
        self._maybe_fail()
        return super().swap(name, data, version)

    def create(self, name: str, **more: Any) -> Any:
        self._maybe_fail()
        return super().create(name, **more)


@pytest.mark.parametrize("name", ["out", "out/events.jsonl.gz"])
@pytest.mark.parametrize("fail_at", range(1, 25))
def test_a_store_that_refuses_any_step_leaves_the_earlier_result(
    sandbox_with, client_of, tmp_path, monkeypatch, name, fail_at
):
    sandbox = sandbox_with(count=1_000, **GENERATED)
    options = ExportOptions(max_file_size=300_000, on_shrink="replace")
    export_events(client_of(sandbox), DEMO, tmp_path / name, options)
    before = tree(tmp_path)
    sandbox.delete(sorted(sandbox.event_ids(DAY.start, DAY.end))[:100])
    monkeypatch.setattr("airflow_provider_honeyhive.export.exporter.open_store", FailingStore)
    monkeypatch.setattr(FailingStore, "calls", itertools.count(1))
    monkeypatch.setattr(FailingStore, "fail_at", fail_at)
    try:
        export_events(client_of(sandbox), DEMO, tmp_path / name, options)
    except DestinationError:
        # Only a step after the manifest leaves the new one.
        assert published(tmp_path) == before or Manifest.read(tmp_path / name).event_count == 900
        export_events(client_of(sandbox), DEMO, tmp_path / name, options)
    else:
        assert fail_at > 3, "no step was refused"
    assert Counter(ids_of(tmp_path / name)) == Counter(sandbox.event_ids(DAY.start, DAY.end))
    assert tree(tmp_path) == published(tmp_path)


def ids_of(path: Path) -> list[str]:
    if path.is_dir():
        return ids(path)
    return [json.loads(line)["event_id"] for line in gzip.decompress(path.read_bytes()).splitlines()]


def test_a_full_disk_is_told_with_its_path_and_leaves_the_earlier_result(sandbox, client_of, tmp_path, monkeypatch):
    monkeypatch.setattr(spool, "BYTES_IN_MEMORY", 10**9)
    export_events(client_of(sandbox), DEMO, tmp_path / "out")
    before = published(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The system refuses to let a file grow beyond this, as it does on a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(DestinationError, match="cannot write .*_staging-.*File too large"):
            export_events(client_of(sandbox), DEMO, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert published(tmp_path) == before


@pytest.mark.parametrize("total", [10**400, 1e308, float("nan"), float("inf"), -1])
def test_a_number_that_can_be_no_total_is_none(sandbox_with, client_of, tmp_path, total):
    sandbox = sandbox_with(behaviour=Behaviour(total="wrong", wrong_total=total), **GENERATED)
    manifest = export_events(client_of(sandbox), DEMO, tmp_path / "out")
    assert (manifest.event_count, manifest.reported_total) == (300, None)


def test_the_largest_total_is_one_that_nothing_was_found_of(sandbox_with, client_of, tmp_path):
    sandbox = sandbox_with(behaviour=Behaviour(total="wrong", wrong_total=2**63 - 1), **GENERATED)
    with pytest.raises(IncompleteExportError) as caught:
        export_events(client_of(sandbox), DEMO, tmp_path / "out")
    assert caught.value.expected == 2**63 - 1


def test_fewer_events_than_the_server_reports_publish_nothing(sandbox_with, client_of, tmp_path):
    sandbox = sandbox_with(behaviour=Behaviour(total="wrong", wrong_total=400), **GENERATED)
    with pytest.raises(IncompleteExportError, match="400 events, but only 300") as caught:
        export_events(client_of(sandbox), DEMO, tmp_path / "out")
    assert (caught.value.expected, caught.value.received) == (400, 300)
    assert list(tmp_path.iterdir()) == []


def test_fewer_events_than_min_events_publish_nothing(client, tmp_path):
    with pytest.raises(TooFewEventsError, match="300 events.*at least 301"):
        export_events(client, DEMO, tmp_path / "out", ExportOptions(min_events=301))
    assert list(tmp_path.iterdir()) == []


@by_every_way
def test_the_key_of_another_project_exports_nothing(sandbox_with, client_of, tmp_path, generation, endpoint):
    sandbox = sandbox_with(behaviour=Behaviour(generation=generation, endpoints=frozenset([endpoint])), **GENERATED)
    settings, _ = asking(sandbox, endpoint, DEMO)
    asked = DEMO.model_copy(update={"project": "checkout"})
    with pytest.raises(HoneyHiveError, match="project") as caught:
        export_events(client_of(sandbox, **settings), asked, tmp_path / "out")
    assert not caught.value.retryable
    assert list(tmp_path.iterdir()) == []
    if endpoint in ("export", "search"):
        assert isinstance(caught.value, WrongProjectError)
        assert (caught.value.asked, caught.value.received) == ("checkout", "demo")


def test_a_project_can_be_asked_for_by_its_id(sandbox, client, tmp_path):
    asked = DEMO.model_copy(update={"project": sandbox.project_id})
    assert export_events(client, asked, tmp_path / "out").event_count == 300


def test_events_that_name_no_project_are_exported_and_noted(sandbox_with, client_of, tmp_path, caplog):
    sandbox = sandbox_with(behaviour=Behaviour(drop_project_field=True), **GENERATED)
    manifest = export_events(client_of(sandbox), DEMO, tmp_path / "out")
    assert manifest.project_names == [ProjectName(name=None, id=sandbox.project_id)]
    assert caplog.text.count("cannot be told") == 1


def test_the_log_tells_each_phase_as_it_begins(client, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    export_events(client, DEMO, tmp_path / "out")
    phases = [message for message in caplog.messages if re.match("Exporting|Read|Published", message)]
    assert [re.split(", window|;|,", phase)[0] for phase in phases] == [
        "Exporting project demo",
        "Read 300 events",
        "Published 300 events",
    ]


# ------------------------------------------------------------------------------------------- hostile


HOSTILE = {
    "caps the limit": Behaviour(cap=70),
    "caps the limit and says so": Behaviour(cap=70, total="page"),
    "reports no total": Behaviour(total="absent"),
    "repeats past the end": Behaviour(past_end="repeat", cap=70),
    "refuses past the end": Behaviour(past_end="error", cap=70),
    "oldest first": Behaviour(order="asc", cap=70),
    "unsorted": Behaviour(order="random", cap=70),
    "changes the order of ties": Behaviour(order="ties_random", cap=70),
    "cuts bounds to seconds": Behaviour(truncate_bounds="second", cap=70),
    "excludes the upper bound": Behaviour(exclusive_end=True, cap=70),
    "ignores dateRange": Behaviour(ignore_date_range=True, cap=70),
    "compares another field": Behaviour(date_range_field="end_time", cap=70),
    "times to the second": Behaviour(time_format="seconds_iso", cap=70),
    "times to the microsecond": Behaviour(time_format="us_iso", cap=70),
    "refuses heavy pages": Behaviour(max_answer_bytes=100_000),
    "fails on heavy pages": Behaviour(max_answer_bytes=100_000, heavy_status=502),
}


@pytest.mark.parametrize("concurrency", [1, 8])
@pytest.mark.parametrize("behaviour", HOSTILE.values(), ids=HOSTILE)
def test_a_server_with_oddities_is_exported_whole(sandbox_with, client_of, tmp_path, behaviour, concurrency):
    sandbox = sandbox_with(count=1_200, behaviour=behaviour, **GENERATED)
    export_events(client_of(sandbox), DEMO, tmp_path / "out", ExportOptions(concurrency=concurrency))
    assert Counter(ids(tmp_path / "out")) == Counter(sandbox.event_ids(DAY.start, DAY.end))


def test_pages_that_take_too_long_are_asked_for_in_smaller_ones(sandbox_with, client_of, tmp_path):
    sandbox = sandbox_with(behaviour=Behaviour(latency_per_event=0.004), **GENERATED)
    client = client_of(sandbox, timeout=0.5, max_retries=1)
    export_events(client, DEMO, tmp_path / "out", ExportOptions(concurrency=1))
    assert Counter(ids(tmp_path / "out")) == Counter(sandbox.event_ids(DAY.start, DAY.end))
    assert min(request.body["limit"] for request in sandbox.requests[1:]) < 300


@pytest.mark.parametrize("concurrency", [1, 8])
@pytest.mark.parametrize("time", [None, "missing", "soon"])
def test_events_without_a_usable_time_are_exported_once_and_counted(
    sandbox_with, client_of, tmp_path, caplog, time, concurrency
):
    # A server that restricts nothing to a range shows them always; one that does may show them never.
    odd = [{"event_id": f"odd-{n}", "project": "demo", "start_time": time} for n in range(5)]
    if time == "missing":
        for event in odd:
            del event["start_time"]
    times = [DAY.start + timedelta(minutes=n) for n in range(1_400)]
    sandbox = sandbox_with(
        [*odd, *(event_at(at, n) for n, at in enumerate(times))], behaviour=Behaviour(ignore_date_range=True)
    )
    options = ExportOptions(concurrency=concurrency, page_size=2_000)
    manifest = export_events(client_of(sandbox), DEMO, tmp_path / "out", options)
    assert Counter(ids(tmp_path / "out")) == Counter(
        [*(e["event_id"] for e in odd), *(f"event-{n}" for n in range(1_400))]
    )
    assert manifest.events_without_time == 5
    assert "5 of the events have no start_time that can be read" in caplog.text


def test_a_server_that_is_slow_to_come_up_is_waited_for(sandbox, client, tmp_path):
    sandbox.faults.extend([Fault.answer(502)] * 6)
    assert export_events(client, DEMO, tmp_path / "out").event_count == 300


def test_ids_that_utf8_cannot_say_are_told_apart(sandbox_with, client_of, tmp_path):
    start = int(DAY.start.timestamp() * 1000)
    raws = [b'{"event_id":"\\ud83d%d","start_time":%d}' % (n, start + n // 3) for n in range(50)]
    stored = [StoredEvent(raw, f"\ud83d{n}", (start + n // 3) * 1000) for n, raw in enumerate(raws)]
    options = ExportOptions(page_size=7, max_file_size=300, compression="none")
    export_events(client_of(sandbox_with(stored)), DEMO, tmp_path / "out", options)
    assert sorted(lines(tmp_path / "out")) == sorted(raws)


def test_projections_do_not_lose_what_the_reader_needs(sandbox, client, tmp_path):
    request = DEMO.model_copy(update={"projections": ("event_type",)})
    export_events(client, request, tmp_path / "out")
    assert Counter(ids(tmp_path / "out")) == Counter(sandbox.event_ids(DAY.start, DAY.end))


@pytest.mark.parametrize("concurrency", [1, 8])
def test_events_deleted_and_added_while_reading_cost_no_other_event(sandbox_with, client_of, tmp_path, concurrency):
    sandbox = sandbox_with(
        count=2_000, behaviour=Behaviour(insert_per_request=3, delete_per_request=3, cap=100), **GENERATED
    )
    before = sandbox.event_ids(DAY.start, DAY.end)
    export_events(client_of(sandbox), DEMO, tmp_path / "out", ExportOptions(concurrency=concurrency))
    got = Counter(ids(tmp_path / "out"))
    assert before - sandbox.deleted <= set(got)
    assert max(got.values()) == 1


# --------------------------------------------------------------------------------------------- XCom


def test_events_come_back_as_objects_within_the_limit(sandbox_with, client_of):
    sandbox = sandbox_with(count=50, **GENERATED)
    events = collect_events(client_of(sandbox), DEMO, max_bytes=5_000_000)
    assert {event["event_id"] for event in events} == sandbox.event_ids(DAY.start, DAY.end)


@pytest.mark.parametrize("behaviour", HOSTILE.values(), ids=HOSTILE)
def test_events_of_a_server_with_oddities_come_back_whole(sandbox_with, client_of, behaviour):
    sandbox = sandbox_with(behaviour=behaviour, **GENERATED)
    events = collect_events(client_of(sandbox), DEMO, max_bytes=50_000_000)
    assert Counter(event["event_id"] for event in events) == Counter(sandbox.event_ids(DAY.start, DAY.end))


@pytest.mark.parametrize("order", ["asc", "random"])
def test_events_of_a_window_can_be_iterated_in_whatever_order_they_come(sandbox_with, client_of, order):
    sandbox = sandbox_with(behaviour=Behaviour(order=order, cap=70), **GENERATED)
    found = [
        load_event(raw)["event_id"] for batch in iter_batches(client_of(sandbox), DEMO) for raw in batch.raw_events
    ]
    assert Counter(found) == Counter(sandbox.event_ids(DAY.start, DAY.end))


def test_events_beyond_the_limit_name_both_numbers_and_the_remedy(client):
    with pytest.raises(TooLargeForXComError, match=r"(?s)output_path.*At least [\d,]+ bytes.*allows 10,000"):
        collect_events(client, DEMO, max_bytes=10_000)


@pytest.mark.parametrize(("large", "warns"), [(10_000, True), (10_000_000, False)])
def test_events_that_are_much_for_xcom_are_returned_with_a_warning(client, caplog, monkeypatch, large, warns):
    monkeypatch.setattr("airflow_provider_honeyhive.export.xcom.LARGE_XCOM_BYTES", large)

    collect_events(client, DEMO, max_bytes=50_000_000)

    warned = [text for record in caplog.records if "XCom" in (text := record.getMessage())]
    assert len(warned) == warns
    assert all("give output_path" in text and f"{large:,}" in text for text in warned)


# ------------------------------------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("path", "options", "message"),
    [
        ("out.jsonl", {"compression": "gzip"}, "compression.*'none'"),
        ("out.jsonl.gz", {"file_format": "csv"}, "file_format.*'jsonl'"),
        ("out.parquet", {"file_format": "csv"}, "file_format.*'parquet'"),
        ("out", {"compression": "snappy"}, "compression.*'gzip', 'zstd', 'none'"),
        ("out.jsonl.gz", {"compression": "none"}, "compression.*'gzip'"),
        ("out.ndjson", {}, "output_path.*jsonl"),
        ("a/../b", {}, r"output_path.*\.\."),
        ("out", {"file_format": "xml"}, "file_format.*'jsonl'"),
        ("out", {"compression": "lzma"}, "compression.*'gzip'"),
    ],
)
def test_a_path_that_contradicts_the_options_is_refused(sandbox, client, tmp_path, path, options, message):
    with pytest.raises(InvalidArgumentError, match=message):
        export_events(client, DEMO, tmp_path / path, ExportOptions(**options))
    assert sandbox.requests == []


@pytest.mark.parametrize(
    "options",
    [
        {"concurrency": 0},
        {"concurrency": 65},
        {"page_size": 7501},
        {"max_file_size": 0},
        {"min_events": -1},
        {"page_size": True},
    ],
)
def test_a_number_out_of_range_is_refused_by_name(options):
    with pytest.raises(InvalidArgumentError, match=f"{next(iter(options))}: got"):
        ExportOptions(**options)


def test_a_manifest_that_is_none_is_told(tmp_path):
    with pytest.raises(DestinationError, match="no manifest"):
        Manifest.read(tmp_path)
    (tmp_path / "_manifest.json").write_text("{}")
    with pytest.raises(DestinationError, match="not a manifest"):
        Manifest.read(tmp_path)
