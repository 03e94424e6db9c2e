"""Whole sessions: those whose root lies in the window, with all their events wherever they lie, and nothing else."""

from __future__ import annotations

import json
import logging
import signal
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from airflow_provider_honeyhive.cli import main as cli
from airflow_provider_honeyhive.exceptions import (
    DestinationError,
    DestinationTakenError,
    HoneyHiveResponseError,
    HoneyHiveServerError,
    IncompleteExportError,
    InvalidArgumentError,
)
from airflow_provider_honeyhive.export import open_file
from airflow_provider_honeyhive.export.catalog import Timeline, verify_exports
from airflow_provider_honeyhive.export.combine import combine_exports
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.export.shards import shards_folder, write_plan
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.models.export_facts import AirflowFacts
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.models.request import ExportRequest
from airflow_provider_honeyhive.models.window import Window, event_micros
from airflow_provider_honeyhive.reading.cursor import ReadAgainError
from airflow_provider_honeyhive.reading.session_roots import head_of
from airflow_provider_honeyhive.reading.sharding import split_by_counts
from airflow_provider_honeyhive.reading.slice_reader import READ_ATTEMPTS
from airflow_provider_honeyhive.sandbox import Behaviour, Fault
from airflow_provider_honeyhive.sandbox import paging as sandbox_paging
from airflow_provider_honeyhive.sandbox.data.traces import generate_events
from airflow_provider_honeyhive.storage.base import UPLOAD_BLOCK
from airflow_provider_honeyhive.storage.local import LocalStore
from tests.unit.ways import asking, by_every_way

from .killed import start
from .test_combine import export_part
from .test_exporter import DAY, event_at, ids, ids_of, lines, published, tree
from .test_staging import JoiningStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from airflow_provider_honeyhive.sandbox import Sandbox

NOON = DAY.start + timedelta(hours=12)
MINUTE = timedelta(minutes=1)
#: Sessions take some ten seconds, so many cross the bounds of windows of a minute.
MINUTES = Window(NOON + 2 * MINUTE, NOON + 4 * MINUTE)
WHOLE = ExportRequest(project="demo", window=MINUTES, sessions="complete")
DAILY = WHOLE.model_copy(update={"window": DAY})


def traffic(count: int = 1_200) -> list[dict[str, Any]]:
    """Return events of six minutes around :data:`MINUTES`."""
    return generate_events(count, start=NOON, end=NOON + 6 * MINUTE)


def session(
    name: str, *times: Any, root: str | None = None, kinds: Iterable[str] = (), **more: Any
) -> list[dict[str, Any]]:
    """Return a session's events, the first of them its root.

    :param root: id of the root; default: the session's.
    :param kinds: types of the events; default: a root and models.
    """
    types = list(kinds) or ["session", *["model"] * (len(times) - 1)]
    found = [
        event_at(time, event_id=f"{name}-{number}", session_id=name, event_type=kind)
        for number, (time, kind) in enumerate(zip(times, types, strict=True))
    ]
    found[0] |= {"event_id": root or name, **more}
    return found


def sessions_of(sandbox: Sandbox) -> dict[str, list[Any]]:
    """Return the sandbox's events that belong to a session, by session."""
    found: dict[str, list[Any]] = {}
    for event in sandbox.events():
        found.setdefault(event.decoded().get("session_id"), []).append(event)
    return found


def expected(sandbox: Sandbox, window: Window) -> set[str]:
    """Return the ids of all events of the sessions whose root lies in the window."""
    roots = {event.event_id for event in sandbox.events() if event.decoded().get("event_type") == "session"}
    inside = roots & sandbox.event_ids(window.start, window.end)
    return {event.event_id for name, events in sessions_of(sandbox).items() if name in inside for event in events}


def asked_for_sessions(sandbox: Sandbox) -> list[str]:
    """Return the sessions that requests asked for, in their order."""
    fields = [item for request in sandbox.requests for item in (request.body or {})["filters"]]
    return [item["value"] for item in fields if item["field"] == "session_id"]


def deletes(sandbox: Sandbox, when: Callable[[Any], bool], event_ids: Iterable[str]) -> None:
    """Let events vanish after the first request of a kind."""

    def look(request: Any) -> None:
        if when(request):
            sandbox.on_request = None
            sandbox.delete(event_ids)

    sandbox.on_request = look


@pytest.mark.parametrize("concurrency", [1, 8])
@by_every_way
def test_the_sessions_that_begin_in_the_window_are_exported_whole(
    sandbox_with, client_of, tmp_path, generation, endpoint, concurrency
):
    sandbox = sandbox_with(traffic(), behaviour=Behaviour(generation=generation, endpoints=frozenset([endpoint])))
    settings, request = asking(sandbox, endpoint, WHOLE)
    wanted, inside = expected(sandbox, MINUTES), sandbox.event_ids(MINUTES.start, MINUTES.end)
    assert wanted - inside, "no session runs on behind the window"
    assert inside - wanted, "no session runs into the window"

    options = ExportOptions(concurrency=concurrency)
    manifest = export_events(client_of(sandbox, **settings), request, tmp_path / "out", options)

    assert Counter(ids(tmp_path / "out")) == Counter(wanted)
    names = {json.loads(line)["session_id"] for line in lines(tmp_path / "out")}
    assert manifest.session_count == len(names) > 20
    assert manifest.event_count == manifest.reported_total == len(wanted)
    assert manifest.request.sessions == "complete"
    read = Manifest.read(tmp_path / "out")
    read.verify()
    assert read.model_dump() == manifest.model_dump()
    assert sandbox.peak_in_flight <= concurrency
    assert tree(tmp_path) == published(tmp_path)


@pytest.mark.parametrize(
    "behaviour",
    [
        {"total": "page"},
        {"total": "absent"},
        {"total": "wrong", "wrong_total": 3},
        {"cap": 3},
        {"cap": 3, "total": "absent"},
        {"cap": 5, "past_end": "error"},
        {"order": "asc"},
        {"order": "random"},
        {"order": "ties_random"},
        {"exclusive_end": True},
        {"truncate_bounds": "second"},
        {"time_format": "text", "cap": 7},
        {"max_answer_bytes": 30_000},
        {"ignore_date_range": True},
        {"pretty": True, "gzip": True},
    ],
    ids=str,
)
def test_a_server_with_oddities_gives_whole_sessions_too(sandbox_with, client_of, tmp_path, behaviour):
    sandbox = sandbox_with(traffic(240), behaviour=Behaviour(**behaviour))
    export_events(client_of(sandbox), WHOLE, tmp_path / "out")
    assert Counter(ids(tmp_path / "out")) == Counter(expected(sandbox, MINUTES))
    assert_newest_first(tmp_path / "out")
    Manifest.read(tmp_path / "out").verify()


@pytest.mark.parametrize("total", ["events_total", "page", "absent", "wrong"])
def test_an_answer_that_is_cut_behind_the_root_is_not_taken_for_the_session(sandbox_with, client_of, tmp_path, total):
    # The root is the newest event of each, so that every answer shows it.
    hours = [NOON - timedelta(hours=hour) for hour in range(9)]
    events = [
        event
        for second, name in enumerate("abcd")
        for event in session(name, *(hour + timedelta(seconds=second) for hour in hours))
    ]
    sandbox = sandbox_with(events, behaviour=Behaviour(cap=3, total=total, wrong_total=3))
    manifest = export_events(client_of(sandbox), DAILY, tmp_path / "out")
    assert Counter(ids(tmp_path / "out")) == Counter(sandbox.event_ids())
    assert manifest.session_count == 4


def assert_newest_first(folder: Path) -> None:
    """Check the order: of the sessions by their roots, and of the events in each."""
    events = [json.loads(line) for line in lines(folder)]
    begin = {event["session_id"]: event_micros(event["start_time"]) for event in events if event["parent_id"] is None}
    keys = [(begin[event["session_id"]], event["session_id"], event_micros(event["start_time"])) for event in events]
    assert keys == sorted(keys, key=lambda key: (-key[0], key[1], -key[2]))


def test_windows_side_by_side_export_every_session_once(sandbox_with, client_of, tmp_path):
    sandbox = sandbox_with(traffic())
    found: list[str] = []
    timeline = Timeline()
    for number, window in enumerate(Window(NOON, NOON + 6 * MINUTE).split(6)):
        request = WHOLE.model_copy(update={"window": window})
        export_events(client_of(sandbox), request, tmp_path / str(number))
        found += ids(tmp_path / str(number))
    assert Counter(found) == Counter(sandbox.event_ids())
    for verdict in verify_exports(tmp_path):
        assert verdict.problems == []
        timeline.add(verdict.manifest, verdict.place)
    assert list(timeline.seams()) == []


def test_events_before_the_root_and_long_after_the_window_come_too(sandbox_with, client_of, tmp_path):
    far = [DAY.start - timedelta(days=40), DAY.end, DAY.end + timedelta(days=90), DAY.start + timedelta(seconds=1)]
    sandbox = sandbox_with([*session("in", DAY.start, *far), *session("before", far[0], DAY.start)])
    manifest = export_events(client_of(sandbox), DAILY, tmp_path / "out")
    assert ids(tmp_path / "out") == ["in-3", "in-2", "in-4", "in", "in-1"]
    (part,) = manifest.files
    assert (part.min_start_time, part.max_start_time) == ("2026-10-13T00:00:00.000Z", "2027-02-21T00:00:00.000Z")
    Manifest.read(tmp_path / "out").verify()


def test_the_newest_session_comes_first_and_in_it_the_newest_event(sandbox_with, client_of, tmp_path):
    sandbox = sandbox_with(traffic())
    export_events(client_of(sandbox), WHOLE, tmp_path / "out", ExportOptions(page_size=7))
    assert_newest_first(tmp_path / "out")


@pytest.mark.parametrize("options", [{}, {"file_format": "csv"}, {"file_format": "parquet"}], ids=str)
def test_the_bytes_do_not_depend_on_who_read_what(sandbox_with, client_of, tmp_path, options):
    if options.get("file_format") == "parquet":
        pytest.importorskip("pyarrow")
    sandbox = sandbox_with(traffic())
    digests = set()
    for number, (concurrency, page_size) in enumerate([(1, None), (8, 50), (3, 1_000), (2, 3)]):
        how = ExportOptions(concurrency=concurrency, page_size=page_size, max_file_size=30_000, **options)
        manifest = export_events(client_of(sandbox), WHOLE, tmp_path / str(number), how)
        digests.add(tuple(part.sha256 for part in manifest.files))
    ((first, *rest),) = digests
    assert first
    assert rest, "one file shows nothing of the order of groups"


def test_events_of_a_session_go_to_the_folders_of_their_own_dates(sandbox_with, client_of, tmp_path):
    late = DAY.end - timedelta(seconds=1)
    sandbox = sandbox_with(session("s", late, late, DAY.end, DAY.end))
    export_events(client_of(sandbox), DAILY, tmp_path / "out", ExportOptions(partition_by=("event_date",)))
    manifest = Manifest.read(tmp_path / "out")
    manifest.verify()
    assert [(part.path.partition("/")[0], part.event_count) for part in manifest.files] == [
        ("event_date=2026-11-22", 2),
        ("event_date=2026-11-23", 2),
    ]


# ------------------------------------------------------------------------------------ which sessions


def test_filters_choose_sessions_by_their_root(sandbox_with, client_of, tmp_path):
    prod, test = {"metadata": {"env": "prod"}}, {"metadata": {"env": "test"}}
    sandbox = sandbox_with(
        [*session("a", NOON, NOON, **prod), *session("b", NOON, NOON, **test), *session("c", NOON, NOON)]
    )
    sandbox.add([event_at(NOON, event_id="c-9", session_id="c", event_type="model", **prod)])
    is_prod = {"field": "metadata.env", "operator": "is", "value": "prod"}
    request = ExportRequest.parse(project="demo", window=DAY, filters=[is_prod], sessions="complete")
    assert export_events(client_of(sandbox), request, tmp_path / "out").session_count == 1
    assert sorted(ids(tmp_path / "out")) == ["a", "a-1"]


def test_so_does_the_evaluation(sandbox_with, client_of, tmp_path):
    run = {"metadata": {"run_id": "run-1"}}
    sandbox = sandbox_with([*session("a", NOON, NOON, **run), *session("b", NOON, NOON)])
    request = DAILY.model_copy(update={"evaluation_id": "run-1"})
    export_events(client_of(sandbox), request, tmp_path / "out")
    assert sorted(ids(tmp_path / "out")) == ["a", "a-1"]


def test_events_of_sessions_without_a_root_are_in_no_window(sandbox_with, client_of, tmp_path):
    sandbox = sandbox_with([*session("s", NOON, NOON, kinds=["chain", "model"]), event_at(NOON, 7)])
    manifest = export_events(client_of(sandbox), DAILY, tmp_path / "out")
    assert (manifest.session_count, manifest.event_count, manifest.files) == (0, 0, [])


@pytest.mark.parametrize(
    ("first", "second", "owner"),
    [("other", "s", "second"), ("s", "other", "first"), ("x", "y", "first")],
    ids=["the session's own id decides", "also where it is the earlier one", "else the time"],
)
def test_a_session_with_two_roots_is_exported_once(sandbox_with, client_of, tmp_path, first, second, owner):
    days = {"first": DAY, "second": Window(DAY.end, DAY.end + timedelta(days=1))}
    events = session("s", NOON, NOON + timedelta(days=1), NOON, root=first, kinds=["session", "session", "model"])
    events[1]["event_id"] = second
    sandbox = sandbox_with(events)
    counts = {}
    for name, window in days.items():
        request = DAILY.model_copy(update={"window": window})
        counts[name] = export_events(client_of(sandbox), request, tmp_path / name).event_count
    assert counts == {"first": 0, "second": 0, owner: 3}


def test_two_roots_in_one_window_are_one_session(sandbox_with, client_of, tmp_path):
    sandbox = sandbox_with(session("s", NOON, NOON, NOON, kinds=["session", "session", "model"]))
    assert export_events(client_of(sandbox), DAILY, tmp_path / "out").session_count == 1
    assert sorted(ids(tmp_path / "out")) == ["s", "s-1", "s-2"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"sessions": "whole"}, "sessions"),
        ({"sessions": True}, "sessions"),
        (
            {"sessions": "complete", "filters": [{"field": "event_type", "operator": "is", "value": "model"}]},
            "filters[0]",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments, named):
    with pytest.raises(InvalidArgumentError) as caught:
        ExportRequest.parse(window=DAY, **arguments)
    assert caught.value.argument == named


def test_a_filter_for_roots_changes_nothing(sandbox_with, client_of, tmp_path):
    is_session = {"field": "event_type", "operator": "is", "value": "session"}
    request = ExportRequest.parse(project="demo", window=MINUTES, filters=[is_session], sessions="complete")
    sandbox = sandbox_with(traffic(100))
    export_events(client_of(sandbox), request, tmp_path / "out")
    assert Counter(ids(tmp_path / "out")) == Counter(expected(sandbox, MINUTES))


def test_all_of_time_is_no_window(sandbox_with, client_of, tmp_path):
    request = DAILY.model_copy(update={"window": None})
    with pytest.raises(InvalidArgumentError, match="sessions"):
        export_events(client_of(sandbox_with([])), request, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_projections_reach_the_server_with_what_tells_sessions_apart(sandbox_with, client_of, tmp_path):
    sandbox = sandbox_with(session("s", NOON, NOON))
    request = DAILY.model_copy(update={"projections": ("event_name", "event_type")})
    export_events(client_of(sandbox), request, tmp_path / "out")
    assert "session_id" in sandbox.requests[-1].body["projections"]
    written = [json.loads(line) for line in lines(tmp_path / "out")]
    assert [sorted(event) for event in written] == [["event_id", "event_type", "project", "start_time"]] * 2


# ------------------------------------------------------------------------------------ what it costs


def test_a_session_costs_one_request_where_totals_are_reported(sandbox_with, client_of, tmp_path):
    sandbox = sandbox_with(traffic())
    manifest = export_events(client_of(sandbox), WHOLE, tmp_path / "out")
    # Sessions larger than any answer before them are asked for again: few, as soon as the roots are many.
    asked = Counter(asked_for_sessions(sandbox))
    assert len(asked) == manifest.session_count
    assert asked.total() <= manifest.session_count * 1.1
    assert len(sandbox.requests) - asked.total() <= 4, "the roots cost more than an answer and its proof"


def test_and_three_where_they_are_not(sandbox_with, client_of, tmp_path):
    sandbox = sandbox_with(traffic(), behaviour=Behaviour(total="absent"))
    manifest = export_events(client_of(sandbox), WHOLE, tmp_path / "out")
    assert Counter(asked_for_sessions(sandbox)).total() <= manifest.session_count * 3.1
    assert manifest.reported_total is None


def test_the_log_says_what_it_costs(sandbox_with, client_of, tmp_path, caplog):
    sandbox = sandbox_with(traffic(100))
    with caplog.at_level(logging.INFO):
        manifest = export_events(client_of(sandbox), WHOLE, tmp_path / "out")
    assert f"{manifest.session_count} sessions with their root in it, a request at least for each" in caplog.text


def test_roots_are_asked_for_without_their_contents(sandbox_with, client_of, tmp_path):
    sandbox = sandbox_with(traffic(100))
    export_events(client_of(sandbox), WHOLE, tmp_path / "out")
    roots = [request.body for request in sandbox.requests if "dateRange" in request.body and request.number < 4]
    assert all("inputs" not in body["projections"] for body in roots)


# ------------------------------------------------------------------------------------ proof


def long_session(count: int = 300) -> list[dict[str, Any]]:
    times = [NOON + timedelta(milliseconds=number) for number in range(count)]
    return session("long", *times)


@pytest.mark.parametrize("total", ["events_total", "absent"])
@pytest.mark.parametrize("held", [10**9, 1])
def test_a_session_of_many_pages_is_read_whole(sandbox_with, client_of, tmp_path, monkeypatch, held, total):
    monkeypatch.setattr("airflow_provider_honeyhive.reading.session_reader.HELD_BYTES", held)
    sandbox = sandbox_with([*long_session(), *session("short", NOON)], behaviour=Behaviour(total=total))
    manifest = export_events(client_of(sandbox), DAILY, tmp_path / "out", ExportOptions(page_size=20))
    assert Counter(ids(tmp_path / "out")) == Counter(sandbox.event_ids())
    assert manifest.event_count == 301
    assert manifest.reported_total == (301 if total == "events_total" else None)


@pytest.mark.parametrize("held", [10**9, 1])
def test_events_deleted_in_the_middle_of_a_session_lose_no_other(
    sandbox_with, client_of, tmp_path, monkeypatch, caplog, held
):
    monkeypatch.setattr("airflow_provider_honeyhive.reading.session_reader.HELD_BYTES", held)
    events = [*long_session(), *session("a", NOON, NOON), *session("z", NOON, NOON)]
    sandbox = sandbox_with(events, behaviour=Behaviour(total="absent"))
    # All that a seam could show again.
    gone = [f"long-{number}" for number in range(100, 300)]
    deletes(sandbox, lambda request: request.event_count == 20 and "long" in str(request.body["filters"]), gone)
    options = ExportOptions(page_size=20, max_file_size=10_000, concurrency=1)
    manifest = export_events(client_of(sandbox), DAILY, tmp_path / "out", options)
    assert manifest.session_count == 3
    written = Counter(ids(tmp_path / "out"))
    assert written.total() == len(written), "an event came twice"
    assert sandbox.event_ids() <= set(written)
    assert ("Reading the sessions of group 0 again" in caplog.text) == (held == 1)
    assert tree(tmp_path) == published(tmp_path)


def test_sessions_that_are_never_whole_end_in_an_error(sandbox_with, client_of, tmp_path, monkeypatch):
    readings: list[str] = []

    def never_whole(reader: Any, root: Any, tally: Any) -> Any:
        readings.append(root.session_id)
        raise ReadAgainError("not whole", IncompleteExportError(2, 1))
        yield

    monkeypatch.setattr("airflow_provider_honeyhive.reading.session_reader.SessionReader.read", never_whole)
    sandbox = sandbox_with([*session("a", NOON, NOON), *session("b", NOON, NOON)])
    with pytest.raises(IncompleteExportError):
        export_events(client_of(sandbox), DAILY, tmp_path / "out", ExportOptions(concurrency=1))
    assert len(readings) == 2 * READ_ATTEMPTS + 1
    assert tree(tmp_path) == {}


def test_a_session_whose_root_is_deleted_meanwhile_is_left_out(sandbox_with, client_of, tmp_path, caplog):
    sandbox = sandbox_with([*session("a", NOON, NOON), *session("b", NOON, NOON), *session("c", NOON)])
    deletes(sandbox, lambda request: "session_id" in str(request.body["filters"]), ["b"])
    with caplog.at_level(logging.INFO):
        manifest = export_events(client_of(sandbox), DAILY, tmp_path / "out", ExportOptions(concurrency=1))
    assert sorted(ids(tmp_path / "out")) == ["a", "a-1", "c"]
    assert manifest.session_count == 2
    assert "deleted meanwhile: 1" in caplog.text


def test_a_session_that_the_server_never_gives_whole_fails_the_export(sandbox_with, client_of, tmp_path, monkeypatch):
    meets = sandbox_paging._meets

    def hides(event: Any, conditions: Any, evaluation_id: Any) -> bool:
        of_session = any(item.field == "session_id" for item in conditions)
        return meets(event, conditions, evaluation_id) and not (of_session and event["event_id"] == "s")

    monkeypatch.setattr(sandbox_paging, "_meets", hides)
    sandbox = sandbox_with([*session("s", NOON, NOON), *session("t", NOON, NOON)])
    with pytest.raises(IncompleteExportError):
        export_events(client_of(sandbox), DAILY, tmp_path / "out")
    assert tree(tmp_path) == {}


@pytest.mark.parametrize(
    ("kept", "message"),
    [((), "filter on event_type"), (("event_type",), "filter on session_id")],
    ids=["all", "that of the session"],
)
def test_a_server_that_ignores_filters_is_not_believed(sandbox_with, client_of, tmp_path, monkeypatch, kept, message):
    meets = sandbox_paging._meets
    monkeypatch.setattr(
        sandbox_paging,
        "_meets",
        lambda event, conditions, run: meets(event, [item for item in conditions if item.field in kept], run),
    )
    monkeypatch.setattr(sandbox_paging, "_only_session", lambda conditions: None)
    sandbox = sandbox_with(traffic(100))
    with pytest.raises(HoneyHiveResponseError, match=message):
        export_events(client_of(sandbox), WHOLE, tmp_path / "out")
    assert published(tmp_path) == {}


def test_a_root_that_names_no_session_fails_the_export(sandbox_with, client_of, tmp_path):
    sandbox = sandbox_with([*session("s", NOON), event_at(NOON, 1, event_type="session")])
    with pytest.raises(HoneyHiveResponseError, match="no session_id"):
        export_events(client_of(sandbox), DAILY, tmp_path / "out")


@pytest.mark.parametrize(
    "odd",
    [rb'"text":"cut \ud83d"', b'"n":NaN', b'"deep":' + b"[" * 50_000 + b"]" * 50_000, b'"bytes":"\xff"'],
    ids=["half an emoji", "NaN", "nested deeply", "not UTF-8"],
)
def test_what_an_event_says_of_its_session_is_read_whatever_else_it_holds(odd):
    raw = b'{"event_id":"e",' + odd + b',"session_id":"s","event_type":"session"}'
    head = head_of(msgspec.Raw(raw))
    assert (head.event_id, head.session_id, head.event_type) == ("e", "s", "session")


# ------------------------------------------------------------------------------------ going on, replacing


def test_a_retry_reads_no_staged_session_again(sandbox_with, client_of, tmp_path):
    sandbox = sandbox_with(traffic(2_000))
    options = ExportOptions(concurrency=1)
    sandbox.fault_at[60] = Fault.answer(503)
    with pytest.raises(HoneyHiveServerError):
        export_events(client_of(sandbox, max_retries=0), WHOLE, tmp_path / "out", options)
    assert published(tmp_path) == {}
    first = asked_for_sessions(sandbox)
    seen = len(first)

    manifest = export_events(client_of(sandbox), WHOLE, tmp_path / "out", options)

    again = set(first) & set(asked_for_sessions(sandbox)[seen:])
    assert 0 < len(again) <= 16, "more than a group was read again"
    assert Counter(ids(tmp_path / "out")) == Counter(expected(sandbox, MINUTES))
    assert manifest.event_count == manifest.reported_total
    assert manifest.session_count == len({json.loads(line)["session_id"] for line in lines(tmp_path / "out")})
    Manifest.read(tmp_path / "out").verify()
    assert tree(tmp_path) == published(tmp_path)


def test_a_retry_that_only_has_to_publish_asks_for_nothing(sandbox_with, client_of, tmp_path, monkeypatch):
    sandbox = sandbox_with(traffic(300))

    def refuse(*_: Any) -> bool:
        raise DestinationError("the store refuses")

    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "swap", refuse)
        with pytest.raises(DestinationError, match="refuses"):
            export_events(client_of(sandbox), WHOLE, tmp_path / "out")
    requests = len(sandbox.requests)
    manifest = export_events(client_of(sandbox), WHOLE, tmp_path / "out")
    assert len(sandbox.requests) == requests
    assert manifest.event_count == manifest.reported_total == len(expected(sandbox, MINUTES))
    assert manifest.request.endpoint == "export"


@pytest.mark.parametrize("file_format", ["jsonl", "json", "csv"])
def test_a_retry_has_a_group_both_of_the_store_and_of_what_waited_behind_it(
    sandbox_with, client_of, tmp_path, monkeypatch, file_format
):
    sandbox = sandbox_with(traffic(600))
    monkeypatch.setattr("airflow_provider_honeyhive.export.exporter.open_store", JoiningStore)
    monkeypatch.setattr(open_file, "UPLOAD_BLOCK", 9_000)
    monkeypatch.setattr(open_file, "HELD_BACK_BYTES", 3_000)
    options = ExportOptions(max_file_size=20_000, compression="none")
    target = tmp_path / f"one.{file_format}"
    # What is read is put together, then it cannot be published.
    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "swap", lambda *_: False)
        with pytest.raises(DestinationError):
            export_events(client_of(sandbox), WHOLE, target, options)
    requests = len(sandbox.requests)
    export_events(client_of(sandbox), WHOLE, target, options)
    assert len(sandbox.requests) == requests
    manifest = Manifest.read(target)
    manifest.verify()
    assert manifest.event_count == len(expected(sandbox, MINUTES))


@pytest.mark.parametrize("name", ["out", "one.jsonl.gz"])
def test_killed_at_any_step_of_writing_the_retry_is_whole(sandbox_with, client_of, tmp_path, name):
    sandbox = sandbox_with(traffic())
    wanted = Counter(expected(sandbox, MINUTES))
    # The plan, groups and their records, the first and last steps of publishing.
    # Each group goes to the store at once, or waits until all have been read, which takes less steps.
    early, late = [1, 2, 3, 4, 6, 11, 15, 17, 19, 21], [1, 2, 3, 4, 5, 6, 7]
    for die_at, upload_block in [*((step, 1) for step in early), *((step, UPLOAD_BLOCK) for step in late)]:
        folder = tmp_path / f"{die_at}-{upload_block}"
        folder.mkdir()
        process = start(sandbox.url, WHOLE, folder / name, die_at=die_at, upload_block=upload_block)
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
        manifest = export_events(client_of(sandbox), WHOLE, folder / name)
        assert Counter(ids_of(folder / name)) == wanted
        assert manifest.session_count == sum(session_id in wanted for session_id in sessions_of(sandbox))
        Manifest.read(folder / name).verify()
        assert tree(folder) == published(folder)


def test_what_is_staged_of_the_window_is_not_taken_for_sessions(sandbox_with, client_of, tmp_path):
    sandbox = sandbox_with(traffic(2_000))
    options = ExportOptions(concurrency=1)
    sandbox.fault_at[60] = Fault.answer(503)
    with pytest.raises(HoneyHiveServerError):
        export_events(client_of(sandbox, max_retries=0), WHOLE, tmp_path / "out", options)
    plain = WHOLE.model_copy(update={"sessions": None})
    export_events(client_of(sandbox), plain, tmp_path / "out", options)
    assert Counter(ids(tmp_path / "out")) == Counter(sandbox.event_ids(MINUTES.start, MINUTES.end))


def test_the_events_of_the_window_are_not_replaced_by_its_sessions_unasked(sandbox_with, client_of, tmp_path):
    sandbox = sandbox_with(traffic(100))
    plain = WHOLE.model_copy(update={"sessions": None})
    export_events(client_of(sandbox), plain, tmp_path / "out")
    with pytest.raises(DestinationTakenError):
        export_events(client_of(sandbox), WHOLE, tmp_path / "out")


# ------------------------------------------------------------------------------------ many tasks, the command line


@pytest.mark.parametrize("total", ["events_total", "absent"])
def test_the_parts_of_many_tasks_become_one_export_of_whole_sessions(sandbox_with, client_of, tmp_path, total):
    sandbox = sandbox_with(traffic(1_500), behaviour=Behaviour(total=total))
    client = client_of(sandbox)
    split = split_by_counts(client, WHOLE.model_copy(update={"sessions": None}), 4)
    folder = shards_folder(WHOLE, client.settings.api_host, ("d", "r"))
    write_plan(tmp_path, folder, split.total)
    urls = [export_part(client, tmp_path / folder, window, WHOLE) for window in split.windows]

    manifest = combine_exports(
        client, tmp_path, urls, MINUTES, airflow=AirflowFacts(dag_id="d", task_id="combine", run_id="r")
    )

    wanted = expected(sandbox, MINUTES)
    assert Counter(ids(tmp_path)) == Counter(wanted)
    assert manifest.session_count == len({json.loads(line)["session_id"] for line in lines(tmp_path)})
    assert manifest.reported_total == (len(wanted) if total == "events_total" else None)
    Manifest.read(tmp_path).verify()


def test_parts_of_which_one_has_no_whole_sessions_are_refused(sandbox_with, client_of, tmp_path):
    client = client_of(sandbox_with(traffic(100)))
    folder = shards_folder(WHOLE, client.settings.api_host, ("d", "r"))
    write_plan(tmp_path, folder, None)
    urls = [
        export_part(client, tmp_path / folder, window, request)
        for window, request in zip(MINUTES.split(2), (WHOLE, WHOLE.model_copy(update={"sessions": None})), strict=True)
    ]
    with pytest.raises(InvalidArgumentError, match="sessions"):
        combine_exports(client, tmp_path, urls, MINUTES)


def test_the_command_line_exports_whole_sessions(sandbox_with, tmp_path, monkeypatch, capsys):
    sandbox = sandbox_with(traffic(200))
    monkeypatch.setenv("HH_API_KEY", sandbox.key)
    monkeypatch.setenv("HH_API_URL", sandbox.url)
    times = ["--start", MINUTES.start.isoformat(), "--end", MINUTES.end.isoformat()]
    command = ["export", "--project", "demo", *times, "--output", str(tmp_path / "out"), "--sessions", "complete"]
    assert cli.main([*command, "--quiet"]) == 0
    assert Counter(ids(tmp_path / "out")) == Counter(expected(sandbox, MINUTES))
    capsys.readouterr()
    model = '{"field": "event_type", "operator": "is", "value": "model"}'
    assert cli.main([*command, "--quiet", "--filter", model]) == 2
    assert "--filter (number 1)" in capsys.readouterr().err
    assert cli.main(["verify", str(tmp_path / "out")]) == 0


def test_a_root_on_the_end_of_the_window_belongs_to_the_next(sandbox_with, client_of, tmp_path):
    step = timedelta(milliseconds=1)
    times = [edge + step * shift for edge in (DAY.start, DAY.end) for shift in (-1, 0, 1)]
    sandbox = sandbox_with([event for n, time in enumerate(times) for event in session(f"s{n}", time, NOON)])
    export_events(client_of(sandbox), DAILY, tmp_path / "out")
    assert {name.partition("-")[0] for name in ids(tmp_path / "out")} == {"s1", "s2", "s3"}
