"""No published event is lost without a word: an export that lacks some is refused, kept out, or wanted."""

from __future__ import annotations

import gzip
import json
import logging
import sqlite3
from collections import Counter
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_honeyhive.exceptions import (
    DestinationError,
    DestinationTakenError,
    ExportWouldShrinkError,
    InvalidArgumentError,
)
from airflow_provider_honeyhive.export import exporter as exporter_module
from airflow_provider_honeyhive.export import lookback as lookback_module
from airflow_provider_honeyhive.export.combine import combine_exports
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.formats.exported_content import ExportedContent
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.models.export_facts import AirflowFacts
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.models.request import ExportRequest
from airflow_provider_honeyhive.operators.mapped import HoneyHiveCombineExportsOperator

from .test_combine import TASK, export_parts
from .test_exporter import DAY, event_at, ids, published, tree
from .test_lookback import EVENTS, Exporter, change, event

if TYPE_CHECKING:
    from pathlib import Path

RUN = AirflowFacts(dag_id="d", task_id="t", run_id="r", try_number=1, map_index=-1)
COUNT = 20
HOUR = timedelta(hours=1)


def at_hour(number: int, event_id: Any, **more: Any) -> dict[str, Any]:
    return event_at(DAY.start + HOUR * number, **more) | {"event_id": event_id}


@pytest.fixture
def sandbox(sandbox_with):
    return sandbox_with([event_at(DAY.start + HOUR * number, number) for number in range(COUNT)])


def export(client: Any, path: Path, airflow: AirflowFacts | None = RUN, **options: Any) -> Manifest:
    asked = {name: options.pop(name) for name in ("filters", "exclude_fields", "redact") if name in options}
    request = ExportRequest.parse(project="demo", window=DAY, **asked)
    return export_events(client, request, path, ExportOptions(**options), airflow)


def assert_refused(path: Path, *numbers: int | None, run: Any) -> ExportWouldShrinkError:
    """Check that a run is refused, and that everything stays as it is."""
    before = tree(path)
    with pytest.raises(ExportWouldShrinkError) as caught:
        run()
    assert tree(path) == before
    assert (caught.value.published, caught.value.new, caught.value.missing) == numbers
    assert not caught.value.retryable
    return caught.value


PLACES = ["out", *(f"one.{name}" for name in ("jsonl", "jsonl.gz", "csv.zst", "json", "parquet"))]


@pytest.mark.parametrize("name", PLACES)
def test_a_run_that_finds_fewer_events_than_are_published_replaces_nothing(sandbox, client, tmp_path, name):
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    export(client, tmp_path / name)
    sandbox.delete(f"event-{number}" for number in range(14))
    assert_refused(tmp_path, COUNT, COUNT - 14, 14, run=lambda: export(client, tmp_path / name))


def test_as_many_events_but_others_are_refused_too(sandbox, client, tmp_path):
    export(client, tmp_path)
    sandbox.delete(["event-3"])
    sandbox.add([at_hour(5, "another"), at_hour(6, "one more")])
    assert_refused(tmp_path, COUNT, COUNT + 1, 1, run=lambda: export(client, tmp_path))


def test_fewer_events_without_a_missing_id_are_refused_too(sandbox, client, tmp_path):
    sandbox.add([at_hour(5, "twice"), at_hour(9, "twice")])
    first = export(client, tmp_path)
    sandbox.delete(["twice"])
    sandbox.add([at_hour(5, "twice")])
    assert first.event_count == COUNT + 2
    assert_refused(tmp_path, COUNT + 2, COUNT + 1, 0, run=lambda: export(client, tmp_path))


def test_where_a_temporary_file_has_no_room_to_compare_exports_nothing_is_replaced(
    sandbox, client, tmp_path, monkeypatch
):
    export(client, tmp_path / "out")
    before = tree(tmp_path)
    sandbox.delete(["event-3"])
    connect = sqlite3.connect

    def connect_to_full(*args: Any, **how: Any) -> sqlite3.Connection:
        database = connect(*args, **how)
        database.execute("PRAGMA max_page_count = 1")
        return database

    monkeypatch.setattr(sqlite3, "connect", connect_to_full)
    with pytest.raises(DestinationError, match=r"^cannot use a temporary file: .*TMPDIR.*full"):
        export(client, tmp_path / "out", on_shrink="replace")
    assert published(tmp_path) == before


@pytest.mark.parametrize("odd", [None, "", 5.5, ["list"]], ids=repr)
def test_events_without_a_usable_id_are_counted(sandbox_with, client_of, tmp_path, odd):
    odd_ones = [at_hour(number, odd, said=number) for number in range(3)]
    sandbox = sandbox_with([at_hour(1, "a"), *odd_ones])
    export(client_of(sandbox), tmp_path)
    port = sandbox.port
    sandbox.close()
    client = client_of(sandbox_with([*map(at_hour, (1, 2, 3), "abc"), *odd_ones[:2]], port=port))
    facts = export(client, tmp_path, on_shrink="replace").replaced
    assert (facts.missing_count, facts.added_count) == (1, 2)


def test_the_first_hundred_characters_say_what_is_wrong_and_what_to_do(sandbox, client, tmp_path):
    export(client, tmp_path)
    sandbox.delete(["event-3"])
    text = str(assert_refused(tmp_path, COUNT, COUNT - 1, 1, run=lambda: export(client, tmp_path)))
    assert text[:100].startswith("the new export has 1 published events missing: set on_shrink to 'keep' or 'replace'")
    for fact in (f"{COUNT} events", "by task d.t, run r", str(tmp_path), f"{COUNT - 1} events", "retention"):
        assert fact in text


def test_keep_succeeds_with_what_is_published_and_says_so(sandbox, client, tmp_path, caplog):
    first = export(client, tmp_path)
    before = tree(tmp_path)
    sandbox.delete(["event-3", "event-4"])
    kept = export(client, tmp_path, on_shrink="keep")
    assert tree(tmp_path) == before
    assert kept.model_dump() == first.model_dump()
    assert kept.url() == first.url()
    assert (
        "Kept the published export of 20 events: the new one has 18, and 2 of the published ones are not" in caplog.text
    )


def test_keep_replaces_what_loses_nothing(sandbox, client, tmp_path):
    export(client, tmp_path)
    sandbox.add([at_hour(5, "late")])
    assert export(client, tmp_path, on_shrink="keep").event_count == COUNT + 1
    assert "late" in ids(tmp_path)


def test_replace_gives_up_what_is_missing_and_records_it(sandbox, client, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    first = export(client, tmp_path)
    digest = sha256((tmp_path / "_manifest.json").read_bytes()).hexdigest()
    sandbox.delete(["event-3", "event-4"])
    sandbox.add([at_hour(5, "another")])
    facts = export(client, tmp_path, on_shrink="replace").replaced
    assert facts == Manifest.read(tmp_path).replaced
    assert facts.model_dump() == {
        "manifest_sha256": digest,
        "event_count": COUNT,
        "finished_at": first.finished_at,
        "run_id": "r",
        "missing_count": 2,
        "added_count": 1,
        "differs": [],
    }
    (line,) = [record for record in caplog.records if "Replaced" in record.getMessage()]
    assert line.levelno == logging.WARNING
    assert line.getMessage() == (
        f"Replaced the export of 20 events that was published at {first.finished_at} by run r: "
        "2 of its events are gone, 1 are new"
    )


def test_every_replacement_is_logged_also_one_that_changes_nothing(client, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    assert export(client, tmp_path).replaced is None
    assert "Replaced" not in caplog.text
    facts = export(client, tmp_path).replaced
    assert (facts.missing_count, facts.added_count) == (0, 0)
    (line,) = [record for record in caplog.records if "Replaced" in record.getMessage()]
    assert line.levelno == logging.INFO


@pytest.mark.parametrize(
    "how", [{"file_format": "csv"}, {"partition_by": ("event_type",)}, {"max_file_size": 1}], ids=str
)
def test_events_are_found_again_in_whatever_format_and_files(sandbox, client, tmp_path, how):
    sandbox.add([at_hour(3, "ünïcode \ud83d\ude00", event_type="tool"), at_hour(4, 'a "quote", and\nmore')])
    export(client, tmp_path)
    facts = export(client, tmp_path, **how).replaced
    assert (facts.missing_count, facts.added_count) == (0, 0)
    back = export(client, tmp_path, compression="none").replaced
    assert (back.missing_count, back.added_count) == (0, 0)


def test_a_damaged_export_can_be_replaced_where_no_fewer_events_are_found(sandbox, client, tmp_path, caplog):
    first = export(client, tmp_path, compression="none")
    (tmp_path / first.files[0].path).unlink()
    facts = export(client, tmp_path).replaced
    assert (facts.missing_count, facts.added_count) == (None, None)
    assert "is damaged" in caplog.text
    second = Manifest.read(tmp_path)
    path = tmp_path / second.files[0].path
    path.write_bytes(gzip.compress(b"half an ev"))
    sandbox.delete(["event-3"])
    assert_refused(tmp_path, COUNT, COUNT - 1, None, run=lambda: export(client, tmp_path))


def test_one_damaged_file_hides_no_event_that_the_others_hold(sandbox, client, tmp_path):
    first = export(client, tmp_path, compression="none", max_file_size=1)
    (tmp_path / first.files[0].path).write_text('{"event_id":"half an ev')
    held = json.loads((tmp_path / first.files[-1].path).read_text())["event_id"]
    sandbox.delete([held])
    sandbox.add([at_hour(5, "another"), at_hour(6, "one more")])
    assert_refused(tmp_path, COUNT, COUNT + 1, 1, run=lambda: export(client, tmp_path))
    facts = export(client, tmp_path, on_shrink="replace").replaced
    assert (facts.missing_count, facts.added_count) == (None, None)


@pytest.mark.parametrize("name", ["out", "one.jsonl"])
def test_a_file_that_was_cut_between_two_events_is_damaged(sandbox, client, tmp_path, name, caplog):
    first = export(client, tmp_path / name, compression="none")
    path = tmp_path / name if name == "one.jsonl" else tmp_path / name / first.files[0].path
    path.write_bytes(path.read_bytes().partition(b"\n")[0] + b"\n")
    sandbox.add([at_hour(5, "late")])
    facts = export(client, tmp_path / name, compression="none").replaced
    assert (facts.missing_count, facts.added_count) == (None, None)
    assert "is damaged" in caplog.text
    assert str(path) in caplog.text


def test_staged_events_of_an_earlier_attempt_are_compared_as_well(sandbox, client, tmp_path, monkeypatch):
    export(client, tmp_path)
    sandbox.delete(["event-3"])
    with monkeypatch.context() as patch:
        patch.setattr(exporter_module, "check_shrink", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            export(client, tmp_path)
    assert any(name.startswith("_staging-") for name in tree(tmp_path))
    with pytest.raises(ExportWouldShrinkError):
        export(client, tmp_path)
    assert not any(name.startswith("_staging-") for name in tree(tmp_path))


# --------------------------------------------------------------------------------------------- another request


@pytest.mark.parametrize("on_shrink", ["fail", "keep"])
@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"filters": [{"field": "event_type", "operator": "is", "value": "tool"}]}, "filters: there [], this run [{"),
        ({"exclude_fields": ["inputs"]}, "exclude_fields: there [], this run ['inputs']"),
    ],
    ids=["filters", "fields"],
)
def test_an_export_of_another_request_is_refused_with_what_differs(client, tmp_path, asked, said, on_shrink):
    export(client, tmp_path)
    before = tree(tmp_path)
    with pytest.raises(DestinationTakenError, match="another request.*set on_shrink='replace'") as caught:
        export(client, tmp_path, on_shrink=on_shrink, **asked)
    assert said in str(caught.value)
    assert tree(tmp_path) == before


def test_an_export_of_another_request_is_replaced_on_purpose(sandbox, client, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    export(client, tmp_path)
    facts = export(client, tmp_path, on_shrink="replace", exclude_fields=["inputs"]).replaced
    assert (facts.missing_count, facts.differs) == (0, ["exclude_fields"])
    assert "; other exclude_fields" in caplog.text


def test_outside_airflow_nobody_takes_the_place_of_another_request(client, tmp_path):
    export(client, tmp_path, None)
    with pytest.raises(DestinationTakenError, match="another request: give another one, or remove that export first"):
        export(client, tmp_path, None, on_shrink="replace", exclude_fields=["inputs"])


def test_there_are_three_choices():
    with pytest.raises(InvalidArgumentError, match="allowed: 'fail' or 'keep' or 'replace'"):
        ExportOptions(on_shrink="shrink")
    with pytest.raises(InvalidArgumentError, match="on_shrink"):
        HoneyHiveCombineExportsOperator(task_id="t", output_path="/x/", exports=[], on_shrink="no")


# ------------------------------------------------------------------------------------------------- combinations


def recombine(client: Any, path: Path, run: str, **more: Any) -> Manifest:
    urls = export_parts(client, path, run=run)
    return combine_exports(client, path, urls, DAY, airflow=TASK.model_copy(update={"run_id": run}), **more)


def test_combined_shards_that_lack_published_events_replace_nothing(sandbox, client, tmp_path):
    recombine(client, tmp_path, "r1")
    sandbox.delete(["event-3", "event-4"])
    before = tree(tmp_path)
    urls = export_parts(client, tmp_path, run="r2")
    run = TASK.model_copy(update={"run_id": "r2"})
    with pytest.raises(ExportWouldShrinkError) as caught:
        combine_exports(client, tmp_path, urls, DAY, airflow=run)
    assert (caught.value.published, caught.value.new, caught.value.missing) == (COUNT, COUNT - 2, 2)
    assert before.items() <= tree(tmp_path).items()

    kept = combine_exports(client, tmp_path, urls, DAY, airflow=run, on_shrink="keep")
    assert (kept.event_count, tree(tmp_path)) == (COUNT, before)

    facts = recombine(client, tmp_path, "r3", on_shrink="replace").replaced
    assert (facts.run_id, facts.missing_count, facts.added_count) == ("r1", 2, 0)
    assert Manifest.read(tmp_path).replaced == facts


# ----------------------------------------------------------------------------------------------------- lookback


@pytest.fixture
def exporter(sandbox_with, client_of, tmp_path):
    exporter = Exporter(client_of(sandbox := sandbox_with(EVENTS)), tmp_path / "exports")
    exporter.sandbox = sandbox
    return exporter


def with_corrections(exporter: Exporter) -> None:
    """Export days of which the last one holds a late event and a changed one of the days before."""
    for number in range(3):
        exporter.run(number)
    exporter.sandbox.add([event("late", 1.55)])
    change(exporter.sandbox, event("2-4", 2.4, feedback={"rating": True}))
    exporter.run(3)
    assert exporter.corrections(3) == {"late": ["late"], "changed": ["2-4"]}


def test_with_lookback_the_index_says_what_is_missing(exporter):
    with_corrections(exporter)
    exporter.sandbox.delete(["3-5"])
    assert_refused(exporter.folder, 10, 9, 1, run=lambda: exporter.run(3))


@pytest.mark.parametrize(("gone", "missing"), [(["late"], 1), (["2-4"], 1), (["late", "2-4"], 2)], ids=str)
def test_corrections_of_events_that_are_gone_since_are_not_given_up(exporter, gone, missing):
    with_corrections(exporter)
    exporter.sandbox.delete(gone)
    assert_refused(exporter.folder, 10, 10, missing, run=lambda: exporter.run(3))


def test_without_lookback_corrections_are_not_given_up_either(exporter):
    with_corrections(exporter)
    assert_refused(exporter.folder, 10, 10, 2, run=lambda: exporter.run(3, lookback=0))
    assert_refused(exporter.folder, 10, 10, 1, run=lambda: exporter.run(3, lookback=1))


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 3)], ids=str)
def test_days_that_are_exported_anew_take_over_the_corrections_of_later_ones(exporter, order):
    with_corrections(exporter)
    before = exporter.merged()
    for number in order:
        exporter.run(number)
    assert exporter.merged() == before
    exporter.assert_sound()


def test_a_correction_that_a_later_run_has_corrected_again_may_go(exporter):
    with_corrections(exporter)
    change(exporter.sandbox, event("2-4", 2.4, feedback={"rating": False}))
    exporter.run(4)
    assert exporter.corrections(4) == {"changed": ["2-4"]}
    exporter.sandbox.delete(["2-4"])
    exporter.run(3)
    assert exporter.merged()["2-4"]["feedback"] == {"rating": False}


def test_which_export_is_later_is_told_by_times_and_not_by_their_texts(exporter, monkeypatch):
    moment = datetime(2026, 12, 1, tzinfo=UTC)
    monkeypatch.setattr(exporter_module, "datetime", SimpleNamespace(now=lambda _: moment))
    with_corrections(exporter)
    assert Manifest.read(exporter.path(3)).finished_at == "2026-12-01T00:00:00.000Z"
    change(exporter.sandbox, event("2-4", 2.4, feedback={"rating": False}))
    moment += timedelta(microseconds=1)
    assert exporter.run(4).finished_at == "2026-12-01T00:00:00.000001Z"
    assert exporter.corrections(4) == {"changed": ["2-4"]}
    exporter.sandbox.delete(["2-4"])
    exporter.run(3)
    assert exporter.merged()["2-4"]["feedback"] == {"rating": False}


def test_what_other_exports_hold_is_read_once_however_much_is_looked_for(exporter, monkeypatch):
    with_corrections(exporter)
    exporter.run(4)
    monkeypatch.setattr(lookback_module, "_AT_ONCE", 3)
    read = []
    add = ExportedContent.add
    monkeypatch.setattr(ExportedContent, "add", lambda self, *args: read.append(args[2]) or add(self, *args))
    exporter.sandbox.delete(f"3-{number}" for number in range(10))
    with pytest.raises(ExportWouldShrinkError) as caught:
        exporter.run(3)
    assert caught.value.missing == 10
    assert max(Counter(read).values()) <= 3  # to look back, to find the events, and to find what is later


@pytest.mark.parametrize("damage", ["gone", "cut"])
@pytest.mark.parametrize("lookback", [2, 0])
def test_where_the_index_is_damaged_the_files_say_what_is_missing(exporter, caplog, damage, lookback):
    exporter.run(3)
    index = exporter.path(3) / Manifest.read(exporter.path(3)).index.path
    index.unlink() if damage == "gone" else index.write_bytes(index.read_bytes()[:-24])
    exporter.sandbox.delete(["3-5"])
    exporter.sandbox.add([event("late", 3.55), event("later", 3.56)])
    assert_refused(exporter.folder, 10, 11, 1, run=lambda: exporter.run(3, lookback=lookback))


def test_an_export_whose_index_is_damaged_is_mended_by_exporting_it_anew(exporter):
    with_corrections(exporter)
    index = exporter.path(3) / Manifest.read(exporter.path(3)).index.path
    index.write_bytes(index.read_bytes()[:-24])
    assert exporter.run(3).replaced.missing_count == 0
    assert exporter.corrections(3) == {"late": ["late"], "changed": ["2-4"]}
    exporter.assert_sound()


def test_so_is_one_whose_index_is_gone(exporter):
    with_corrections(exporter)
    (exporter.path(3) / Manifest.read(exporter.path(3)).index.path).unlink()
    assert exporter.run(3).replaced.missing_count == 0
    exporter.assert_sound()


@pytest.mark.parametrize("windows", [(2, 0), (0, 2)], ids=str)
def test_events_without_an_id_are_found_again_with_lookback_and_without(sandbox_with, client_of, tmp_path, windows):
    odd_ones = [event(None, 3.1, said=1), event(None, 3.2, said=2)]
    exporter = Exporter(client_of(sandbox_with([event("3-1", 3.3), *odd_ones])), tmp_path)
    exporter.run(3, lookback=windows[0])
    facts = exporter.run(3, lookback=windows[1], compression="none").replaced
    assert (facts.missing_count, facts.added_count) == (0, 0)
