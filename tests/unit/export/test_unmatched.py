"""Paths that match nothing in a whole export: the log and the manifest name them, or nothing is published."""

from __future__ import annotations

import itertools
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_honeyhive.exceptions import (
    HoneyHiveServerError,
    InvalidArgumentError,
    TooFewEventsError,
    UnmatchedFieldsError,
)
from airflow_provider_honeyhive.export import exporter
from airflow_provider_honeyhive.export.combine import combine_exports
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.export.xcom import collect_events
from airflow_provider_honeyhive.hooks.honeyhive import HoneyHiveHook
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.models.request import ExportRequest
from airflow_provider_honeyhive.models.window import Window
from airflow_provider_honeyhive.operators.mapped import HoneyHiveCombineExportsOperator
from tests.unit.conftest import CONN_ID

from .test_combine import TASK, export_part, export_parts
from .test_exporter import DAY, event_at, lines, tree
from .test_lookback import Exporter, event

SECRET = "a key of more than sixteen characters"

#: Every text that must go is said here, in the shapes in which clients send it.
SAID = {
    "inputs": {"chat_history": [{"role": "user", "content": "SAID-0"}, {"role": "user", "content": "SAID-1"}]},
    "outputs": {
        "tool_calls.0.arguments": "SAID-2",
        "tool_calls.1.arguments": "SAID-3",
        "tool_calls": [{"name": "search", "arguments": "SAID-4"}],
        "content": [{"type": "text", "text": "SAID-5"}, [{"type": "text", "text": "SAID-6"}]],
    },
    "metadata": {
        "_event.gen_ai.user.message.0.content": "SAID-7",
        "llm.input_messages.0.message.content": "SAID-8",
        "llm.input_messages": [{"message.content": "SAID-9"}, {"message": {"content": "SAID-10"}}],
        "llm": {"input_messages.2": {"message": {"content": "SAID-11", "role": "user"}}},
    },
}
PATHS = [
    "inputs.chat_history.content",
    "outputs.tool_calls.arguments",
    "outputs.content.text",
    "metadata._event.gen_ai.user.message.content",
    "metadata.llm.input_messages.message.content",
]
MISSPELT = ["inputs.chat_histroy.content", "metadata.llm.input_messages.7.message.content"]
NOON = DAY.start + timedelta(hours=12)


def request_of(window: Window | None = DAY, **rules: Any) -> ExportRequest:
    return ExportRequest.parse(project="demo", window=window, redact_secret=SECRET, **rules)


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if "match nothing" in record.message]


def staged_only(
    monkeypatch: pytest.MonkeyPatch, client: Any, request: ExportRequest, path: Path, options: ExportOptions
) -> dict[str, bytes]:
    """Export up to where it would be published, and return what lies there then."""

    def break_off(*_: Any) -> None:
        raise HoneyHiveServerError("gone", status_code=503)

    with monkeypatch.context() as patch:
        patch.setattr(exporter, "publish", break_off)
        with pytest.raises(HoneyHiveServerError):
            export_events(client, request, path, options)
    staged = tree(path)
    assert any("_staging-" in name for name in staged)
    return staged


@pytest.fixture
def speaking(sandbox_with, client_of):
    """Give a client of a server with events that say things."""
    events = [event_at(NOON - timedelta(minutes=number), number, event_type="model", **SAID) for number in range(40)]
    return client_of(sandbox_with(events))


# ------------------------------------------------------------------------------ what is left, and what is told


@pytest.mark.parametrize("argument", ["exclude_fields", "redact"])
@pytest.mark.parametrize(
    "options",
    [
        {"file_format": "jsonl"},
        {"file_format": "csv"},
        {"file_format": "json"},
        {"file_format": "parquet"},
        {"file_format": "jsonl", "partition_by": ("event_type",)},
    ],
    ids=str,
)
def test_what_paths_without_numbers_mean_is_in_no_file_staged_or_published(
    speaking, tmp_path, monkeypatch, caplog, argument, options
):
    request = request_of(**{argument: [MISSPELT[0], *PATHS, MISSPELT[1]]})
    options = ExportOptions(compression="none", **options)
    if options.file_format == "parquet":
        pytest.importorskip("pyarrow.parquet")

    staged = staged_only(monkeypatch, speaking, request, tmp_path, options)
    caplog.clear()
    # By what is staged alone, on whatever worker.
    manifest = export_events(speaking, request, tmp_path, options)

    for data in (*staged.values(), *tree(tmp_path).values()):
        assert b"SAID" not in data
    assert manifest.event_count == 40
    assert manifest.unmatched_fields == Manifest.read(tmp_path).unmatched_fields == MISSPELT
    (warning,) = warnings_of(caplog)
    assert all(path in warning for path in MISSPELT)
    assert not any(path in warning for path in PATHS)
    if options.file_format == "parquet":
        import pyarrow.parquet

        from airflow_provider_honeyhive.formats.parquet import to_events

        tables = [pyarrow.parquet.read_table(tmp_path / part.path) for part in manifest.files]
        raw = b"".join(event for table in tables for event in to_events(table))
    else:
        raw = b"".join((tmp_path / part.path).read_bytes() for part in manifest.files)
    assert b"search" in raw
    assert (b"hh_redacted:" in raw) == (argument == "redact")


def test_one_path_with_a_number_takes_one_out(speaking, tmp_path):
    paths = ["outputs.tool_calls.0.arguments", "metadata.llm.input_messages.0.message.content"]
    export_events(speaking, request_of(exclude_fields=paths), tmp_path, ExportOptions(compression="none"))
    for line in lines(tmp_path):
        said = {number for number in range(12) if f'SAID-{number}"'.encode() in line}
        assert said == {0, 1, 3, 5, 6, 7, 10, 11}


def test_where_all_match_nothing_is_told(speaking, tmp_path, caplog):
    manifest = export_events(
        speaking, request_of(exclude_fields=PATHS[:2], redact=PATHS[2:]), tmp_path, ExportOptions(on_unmatched="fail")
    )
    assert manifest.unmatched_fields == warnings_of(caplog) == []


@pytest.mark.parametrize("name", ["events.jsonl.gz", "out"])
def test_they_are_told_in_the_order_asked_for_one_object_too(speaking, tmp_path, name):
    request = request_of(exclude_fields=["z.y", PATHS[0], "b"], redact=["y", PATHS[1], "a"])
    manifest = export_events(speaking, request, tmp_path / name)
    assert manifest.unmatched_fields == ["z.y", "b", "y", "a"]


def test_one_event_of_many_is_enough_whoever_read_it(sandbox_with, client_of, tmp_path):
    events = [event_at(DAY.start + timedelta(minutes=number), number) for number in range(1_400)]
    sandbox = sandbox_with([*events, event_at(NOON + timedelta(seconds=1), 9_999, rare={"x": [None]})])
    request = request_of(exclude_fields=["rare.x.0", "rare.y"])
    manifest = export_events(client_of(sandbox), request, tmp_path, ExportOptions(concurrency=8, page_size=50))
    assert manifest.unmatched_fields == ["rare.y"]


def test_of_a_window_without_events_nothing_is_known(sandbox_with, client_of, tmp_path, caplog):
    client = client_of(sandbox_with([]))
    request = request_of(exclude_fields=["inputs"])
    manifest = export_events(client, request, tmp_path, ExportOptions(on_unmatched="fail"))
    assert (manifest.event_count, manifest.unmatched_fields) == (0, [])
    assert collect_events(client, request, max_bytes=1_000_000, on_unmatched="fail") == []
    assert warnings_of(caplog) == []


def test_whole_sessions_tell_it_too(sandbox_with, client_of, tmp_path):
    root = event_at(NOON, 1, event_type="session", session_id="event-1")
    inner = event_at(DAY.end + timedelta(hours=1), 2, event_type="model", session_id="event-1", rare=1)
    client = client_of(sandbox_with([root, inner]))
    request = request_of(exclude_fields=["rare", "inputs"], sessions="complete")
    assert export_events(client, request, tmp_path / "out").unmatched_fields == ["inputs"]
    with pytest.raises(UnmatchedFieldsError):
        export_events(client, request, tmp_path / "fail", ExportOptions(on_unmatched="fail"))
    assert not (tmp_path / "fail").exists()


def test_what_only_corrections_hold_is_matched(sandbox_with, client_of, tmp_path):
    sandbox = sandbox_with([event(f"{number}", number + 0.5) for number in range(3)])
    days = Exporter(client_of(sandbox), tmp_path)
    asked = {"exclude_fields": ["feedback.rating", "inputs"]}
    assert days.run(0, **asked).unmatched_fields == ["feedback.rating", "inputs"]
    sandbox.add([event("late", 0.6, feedback={"rating": 5, "x": 1})])
    manifest = days.run(1, **asked)
    assert manifest.lookback.late_count == 1
    assert manifest.unmatched_fields == ["inputs"]


# ------------------------------------------------------------------------------ fail


@pytest.mark.parametrize("name", ["events.jsonl.gz", "out"])
def test_failing_leaves_nothing_but_an_earlier_export(speaking, tmp_path, name):
    request = request_of(exclude_fields=["inputs.promt", PATHS[0]], redact=["outputs.x"])
    fail = ExportOptions(on_unmatched="fail")
    with pytest.raises(UnmatchedFieldsError) as caught:
        export_events(speaking, request, tmp_path / "new" / name, fail)
    assert not caught.value.retryable
    assert caught.value.paths == ["inputs.promt", "outputs.x"]
    advice = "correct or drop paths that match no event, or give on_unmatched='warn': inputs.promt"
    assert advice in str(caught.value)[:100]
    assert not tree(tmp_path)

    export_events(speaking, request, tmp_path / "old" / name)
    before = tree(tmp_path)
    with pytest.raises(UnmatchedFieldsError):
        export_events(speaking, request, tmp_path / "old" / name, fail)
    assert tree(tmp_path) == before


def test_too_few_events_are_told_first(speaking, tmp_path):
    with pytest.raises(TooFewEventsError):
        export_events(
            speaking, request_of(exclude_fields=["x"]), tmp_path, ExportOptions(min_events=41, on_unmatched="fail")
        )


def test_on_unmatched_decides_nothing_of_what_is_staged(speaking, tmp_path, monkeypatch):
    request = request_of(exclude_fields=["inputs", "inputz"])
    staged_only(monkeypatch, speaking, request, tmp_path, ExportOptions())
    with pytest.raises(UnmatchedFieldsError):
        export_events(speaking, request, tmp_path, ExportOptions(on_unmatched="fail"))
    # The same staging folder, so it is this one that the failure has removed.
    assert tree(tmp_path) == {}


@pytest.mark.parametrize("value", ["error", "", None, True, "Fail", ["warn"]])
def test_another_choice_is_refused_by_name(value):
    with pytest.raises(InvalidArgumentError, match=r"on_unmatched: got .*; allowed: 'warn' or 'fail'"):
        ExportOptions(on_unmatched=value)
    with pytest.raises(InvalidArgumentError, match=r"on_unmatched: got .*; allowed: 'warn' or 'fail'"):
        HoneyHiveCombineExportsOperator(task_id="combine", output_path="/out/", exports=[], on_unmatched=value)


# ------------------------------------------------------------------------------ the events themselves


def test_events_for_xcom_fail_or_are_warned_of(speaking, caplog):
    request = request_of(exclude_fields=["inputs", "inputz"])
    assert len(collect_events(speaking, request, max_bytes=1_000_000)) == 40
    assert len(warnings_of(caplog)) == 1
    with pytest.raises(UnmatchedFieldsError, match="inputz"):
        collect_events(speaking, request, max_bytes=1_000_000, on_unmatched="fail")


def test_the_hook_warns_after_the_last_event(sandbox_with, connect, caplog):
    connect(sandbox_with([event_at(NOON, number, inputs=1) for number in range(3)]))
    asked = {"start_time": DAY.start, "end_time": DAY.end, "exclude_fields": ["inputs", "inputz"]}
    events = HoneyHiveHook(CONN_ID).iter_events(**asked)
    assert len(list(itertools.islice(events, 3))) == 3
    assert warnings_of(caplog) == []
    assert list(events) == []
    (warning,) = warnings_of(caplog)
    assert warning.endswith(": inputz")
    # A page is not the whole of anything.
    caplog.clear()
    assert len(HoneyHiveHook(CONN_ID).export_events(**asked).events) == 3
    assert warnings_of(caplog) == []


# ------------------------------------------------------------------------------ parts


def test_what_one_part_does_not_hold_another_may(sandbox_with, client_of, tmp_path, caplog):
    early, late = (DAY.start + timedelta(hours=hour) for hour in (1, 23))
    events = [event_at(early, number, first={"x": 1}) for number in range(50)]
    events += [event_at(late, 100 + number, second={"x": 1}) for number in range(50)]
    client = client_of(sandbox_with(events))
    request = request_of(exclude_fields=["none", "first.x", "second.x"], redact=["nothing"])
    urls = export_parts(client, tmp_path, 3, request, on_unmatched="fail")
    found = [Manifest.read(url) for url in urls]
    assert {tuple(one.unmatched_fields) for one in found if one.event_count} == {
        ("none", "second.x", "nothing"),
        ("none", "first.x", "nothing"),
    }
    assert {tuple(one.unmatched_fields) for one in found if not one.event_count} <= {()}
    assert warnings_of(caplog) == []

    before = tree(tmp_path)
    with pytest.raises(UnmatchedFieldsError) as caught:
        combine_exports(client, tmp_path, urls, DAY, airflow=TASK, on_unmatched="fail")
    assert caught.value.paths == ["none", "nothing"]
    assert tree(tmp_path) == before

    manifest = combine_exports(client, tmp_path, urls, DAY, airflow=TASK)
    assert manifest.unmatched_fields == Manifest.read(tmp_path).unmatched_fields == ["none", "nothing"]
    assert len(warnings_of(caplog)) == 1


def test_parts_without_events_leave_nothing_unmatched(sandbox_with, client_of, tmp_path):
    client = client_of(sandbox_with([]))
    urls = export_parts(client, tmp_path, 3, request_of(exclude_fields=["none"]))
    manifest = combine_exports(client, tmp_path, urls, DAY, airflow=TASK, on_unmatched="fail")
    assert (manifest.event_count, manifest.unmatched_fields) == (0, [])


def test_a_part_without_events_says_nothing_of_the_others(sandbox_with, client_of, tmp_path):
    client = client_of(sandbox_with([event_at(NOON, number) for number in range(50)]))
    request = request_of(exclude_fields=["none"])
    halves = [Window(DAY.start, NOON), Window(NOON, DAY.end)]
    urls = export_parts(client, tmp_path, 1, request.model_copy(update={"window": halves[0]}))
    folder = urls[0].rpartition("/")[0]
    urls.append(export_part(client, Path(folder), halves[1], request))
    manifest = combine_exports(client, tmp_path, urls, DAY, airflow=TASK)
    assert manifest.unmatched_fields == ["none"]
