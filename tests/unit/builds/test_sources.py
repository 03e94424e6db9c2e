"""Which exports a build reads, and which rows of them count: the newest version of each event of the window."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from upath import UPath

from airflow_provider_honeyhive.builds import sources
from airflow_provider_honeyhive.builds.sources import export_sources, folder_sources
from airflow_provider_honeyhive.exceptions import DestinationError, InvalidArgumentError
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.export.result import summarize
from airflow_provider_honeyhive.models.export_facts import ProjectName
from airflow_provider_honeyhive.models.layout import MANIFEST_NAME
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.models.request import ExportRequest
from airflow_provider_honeyhive.models.window import Window

from .made import DAY, HOUR, ONE_DAY, event, ids_of, make_export, rows_of, said_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from airflow_provider_honeyhive.builds.sources import Sources
    from airflow_provider_honeyhive.manifest import Manifest

# ------------------------------------------------------------------------------------------------- exports of a task


@pytest.mark.parametrize(
    "given",
    [
        summarize,
        lambda manifest: {"output_path": manifest.url()},
        lambda manifest: manifest,
        lambda manifest: manifest.url(),
        lambda manifest: manifest.manifest_url,
        lambda manifest: UPath(f"file://{manifest.url()}"),
        lambda manifest: iter([summarize(manifest)]),
    ],
)
def test_an_export_can_be_named_in_any_form(tmp_path: Path, given: Callable[[Manifest], Any]) -> None:
    manifest = make_export(tmp_path / "out", [event("a"), event("b")], include_content=False)
    found = export_sources(given(manifest))
    assert ids_of(found) == ["a", "b"]
    assert (found.project, found.include_content, found.whole_sessions) == ("demo", False, False)
    assert str(found.window) == "[2026-11-22T00:00:00.000Z, 2026-11-23T00:00:00.000Z)"
    (facts,) = found.facts()
    assert facts.manifest_path == manifest.manifest_url
    assert facts.manifest_sha256 == sha256((tmp_path / "out" / MANIFEST_NAME).read_bytes()).hexdigest()
    assert (facts.event_count, facts.finished_at) == (2, "2026-11-23T00:00:00.000Z")
    assert [(file.path, file.sha256) for file in facts.files] == [(manifest.files[0].path, manifest.files[0].sha256)]


@pytest.mark.parametrize("given", [None, "", 7, b"/data", [], {}, {"event_count": 3}, [None], {"manifest_path": None}])
def test_what_names_no_export_is_refused(given: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^export: "):
        export_sources(given)


def test_a_place_without_an_export_is_named(tmp_path: Path) -> None:
    with pytest.raises(DestinationError, match=rf"no manifest at {tmp_path}/none/_manifest.json"):
        export_sources(tmp_path / "none")


def test_a_manifest_that_was_replaced_since_is_refused(tmp_path: Path) -> None:
    old = make_export(tmp_path, [event("a")])
    make_export(tmp_path, [event("b")], finished=DAY + 2 * ONE_DAY)
    with pytest.raises(DestinationError, match="replaced since its manifest was read"):
        export_sources(old)


def test_corrections_in_an_export_are_of_other_windows_and_are_counted(tmp_path: Path) -> None:
    manifest = make_export(tmp_path, [event("a")], corrections=[event("old", DAY - HOUR), event("a", DAY - HOUR)])
    found = export_sources(manifest)
    assert (ids_of(found), found.corrections_left_out) == (["a"], 2)


def test_mapped_exports_are_one_build_the_oldest_publication_first(tmp_path: Path) -> None:
    later = make_export(tmp_path / "1", [event("b", DAY + ONE_DAY)], DAY + ONE_DAY)
    earlier = make_export(tmp_path / "2", [event("a")])
    found = export_sources([later, summarize(earlier), later])
    assert rows_of(found, "event_id, export_number") == [("a", 0), ("b", 1)]
    assert str(found.window) == "[2026-11-22T00:00:00.000Z, 2026-11-24T00:00:00.000Z)"


@pytest.mark.parametrize(
    ("other", "differs"),
    [
        ({"project": "another"}, "project"),
        ({"include_content": False}, "include_content"),
        ({"filters": [{"field": "f"}]}, "filters"),
        ({"sessions": "complete"}, "sessions"),
    ],
)
def test_exports_of_several_projects_or_requests_are_refused(
    tmp_path: Path, other: dict[str, Any], differs: str
) -> None:
    make_export(tmp_path / "1", [event("a")])
    make_export(tmp_path / "2", [event("b")], **other)
    with pytest.raises(
        InvalidArgumentError, match=rf"^export: give .*differ in {differs}\n.*/1: {differs} .*\n.*/2: {differs} "
    ):
        export_sources([tmp_path / "1", tmp_path / "2"])
    with pytest.raises(InvalidArgumentError, match=rf"^exports_folder: .*differ in {differs}"):
        folder_sources(tmp_path, DAY, DAY + ONE_DAY)


def test_a_project_may_be_asked_for_by_name_and_by_id(tmp_path: Path) -> None:
    names = ProjectName(name="demo", id="5f1c")
    one = make_export(tmp_path / "1", [event("a")])
    other = make_export(tmp_path / "2", [event("b")], project="5f1c")
    (tmp_path / "2" / MANIFEST_NAME).write_bytes(other.model_copy(update={"project_names": [names]}).to_json())
    assert ids_of(export_sources([one, tmp_path / "2"])) == ["a", "b"]


# ------------------------------------------------------------------------------------------- exports below a folder


def window_of(folder: Path, start: float, end: float) -> Sources:
    """Return what there is of a window, in days since :data:`DAY`."""
    return folder_sources(folder, DAY + start * ONE_DAY, DAY + end * ONE_DAY)


@pytest.fixture
def days(tmp_path: Path) -> Path:
    """Give a folder with three exports of a day, with an event each six hours."""
    for number in range(3):
        start = DAY + number * ONE_DAY
        events = [event(f"{number}-{at}", start + at * HOUR) for at in (18, 12, 6, 0)]
        make_export(tmp_path / "days" / f"date={start:%Y-%m-%d}", events, start)
    return tmp_path / "days"


def test_rows_of_the_window_alone_count(days: Path) -> None:
    assert ids_of(window_of(days, 1, 2)) == ["1-18", "1-12", "1-6", "1-0"]
    assert ids_of(window_of(days, 0.5, 1.25)) == ["0-18", "0-12", "1-0"]
    assert ids_of(folder_sources(str(days), "2026-11-23T06:00:00Z", "2026-11-23T06:00:00.001Z")) == ["1-6"]
    assert len(window_of(days, 1, 2).exports) == 1


@pytest.mark.parametrize(
    ("start", "end", "gap"),
    [
        (-1, 1, r"\[2026-11-21T00:00:00.000Z, 2026-11-22T00:00:00.000Z\)"),
        (2, 4, r"\[2026-11-25T00:00:00.000Z, 2026-11-26T00:00:00.000Z\)"),
        (9, 10, r"\[2026-12-01T00:00:00.000Z, 2026-12-02T00:00:00.000Z\)"),
    ],
)
def test_a_part_of_the_window_without_an_export_is_named(days: Path, start: int, end: int, gap: str) -> None:
    with pytest.raises(
        DestinationError, match=rf"^a part of the window has no export: export it first.*\nNo export holds {gap}\."
    ):
        window_of(days, start, end)


def test_a_gap_between_two_exports_is_named(days: Path) -> None:
    (days / "date=2026-11-23" / MANIFEST_NAME).unlink()
    with pytest.raises(DestinationError, match=r"No export holds \[2026-11-23T00"):
        window_of(days, 0, 3)
    with pytest.raises(DestinationError, match=r"No export holds \[2026-11-23T00"):
        folder_sources(days, last=2)


def test_the_last_exports_are_those_whose_windows_end_latest(days: Path) -> None:
    found = folder_sources(days, last=2)
    assert str(found.window) == "[2026-11-23T00:00:00.000Z, 2026-11-25T00:00:00.000Z)"
    assert len(ids_of(found)) == 8
    until = folder_sources(days, end=DAY + 2.5 * ONE_DAY, last=1)
    assert str(until.window) == "[2026-11-23T00:00:00.000Z, 2026-11-24T00:00:00.000Z)"
    assert len(folder_sources(days, last=99).exports) == 3
    with pytest.raises(DestinationError, match="no export whose window ends by 2026-11-22T12"):
        folder_sources(days, end=DAY + HOUR * 12, last=1)
    with pytest.raises(DestinationError, match="there is no export below the folder"):
        folder_sources(days / "none", last=1)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({}, "start_time"),
        ({"start": DAY}, "end_time"),
        ({"end": DAY}, "start_time"),
        ({"start": DAY, "end": DAY}, "end_time"),
        ({"start": DAY, "end": DAY + ONE_DAY, "last": 1}, "start_time"),
        ({"last": 0}, "last_exports"),
        ({"last": True}, "last_exports"),
        ({"last": "2"}, "last_exports"),
        ({"last": 1, "end": "soon"}, "end_time"),
    ],
)
def test_a_window_or_a_number_of_exports_must_be_given(days: Path, arguments: dict[str, Any], name: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"^{name}: "):
        folder_sources(days, **arguments)


def test_other_projects_elsewhere_in_time_do_not_matter(days: Path) -> None:
    other = [event("x", DAY + ONE_DAY)]
    make_export(days / "other", other, DAY + 5 * ONE_DAY, project="another", corrections=other)
    assert len(ids_of(window_of(days, 1, 2))) == 4


def test_hidden_folders_and_symbolic_links_are_not_looked_into(days: Path, tmp_path: Path) -> None:
    wrong = [event("wrong", DAY + ONE_DAY)]
    for folder in (days / "_old", days / ".old", tmp_path / "elsewhere"):
        make_export(folder / "export", wrong, DAY + ONE_DAY, corrections=wrong)
    (days / "link").symlink_to(tmp_path / "elsewhere")
    assert "wrong" not in ids_of(window_of(days, 1, 2))


def test_each_manifest_is_read_once_after_it_was_found(days: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Else its files could be those of one export, and its corrections those of the export that took its place.
    make_export(days / "date=2026-11-24", [], DAY + 2 * ONE_DAY, corrections=[event("late", DAY + ONE_DAY)])
    names: list[str] = []
    read = sources.read_source
    monkeypatch.setattr(sources, "read_source", lambda store, name: (names.append(store.url()), read(store, name))[1])
    assert len(ids_of(window_of(days, 1, 3))) == 5
    assert sorted(names) == [str(days / "date=2026-11-23"), str(days / "date=2026-11-24")]


def test_a_path_whose_connection_fails_is_an_error_of_the_destination() -> None:
    class Broken:
        name, parent = "b", None

        @property
        def fs(self) -> Any:
            raise RuntimeError("the connection is not there")

        def __str__(self) -> str:
            return "s3://conn@bucket/b"

    with pytest.raises(DestinationError, match="cannot open s3://bucket/b"):
        export_sources(Broken())


# --------------------------------------------------------------------------------------- corrections, newest versions


def test_corrections_of_later_exports_add_and_replace_events(days: Path) -> None:
    corrections = [event("late", DAY + ONE_DAY + HOUR), event("1-6", DAY + ONE_DAY + 6 * HOUR, event_name="new")]
    make_export(days / "date=2026-11-25", [], DAY + 3 * ONE_DAY, corrections=corrections)
    found = window_of(days, 1, 2)
    assert said_of(found) == {"1-18": None, "1-12": None, "1-0": None, "late": None, "1-6": "new"}
    assert [len(facts.files) for facts in found.facts()] == [1, 1]
    assert len(ids_of(window_of(days, 0, 1))) == 4


def test_of_two_corrections_of_an_event_the_one_published_last_counts(days: Path) -> None:
    for number, name in ((3, "first"), (4, "second")):
        changed = event("1-6", DAY + ONE_DAY + 6 * HOUR, event_name=name)
        make_export(days / f"{9 - number}", [], DAY + number * ONE_DAY, corrections=[changed])
    assert said_of(window_of(days, 1, 2))["1-6"] == "second"


def test_a_window_exported_again_is_newer_than_earlier_corrections_of_it(days: Path) -> None:
    changed = event("1-6", DAY + ONE_DAY + 6 * HOUR, event_name="correction")
    make_export(days / "date=2026-11-25", [], DAY + 3 * ONE_DAY, corrections=[changed])
    again = [event("1-6", DAY + ONE_DAY + 6 * HOUR, event_name="again")]
    make_export(days / "date=2026-11-23", again, DAY + ONE_DAY, finished=DAY + 9 * ONE_DAY)
    assert said_of(window_of(days, 1, 2)) == {"1-6": "again"}


@pytest.mark.parametrize("again", [[], [event("other", DAY + ONE_DAY + HOUR)]], ids=["empty", "another event"])
def test_a_late_event_that_a_window_exported_again_does_not_hold_is_gone(days: Path, again: list[bytes]) -> None:
    late = [event("late", DAY + ONE_DAY + HOUR), event("1-6", DAY + ONE_DAY + 6 * HOUR)]
    make_export(days / "date=2026-11-25", [], DAY + 3 * ONE_DAY, corrections=late)
    assert "late" in ids_of(window_of(days, 1, 2))
    make_export(days / "date=2026-11-23", again, DAY + ONE_DAY, finished=DAY + 9 * ONE_DAY)
    assert ids_of(window_of(days, 1, 2)) == ["other"] * len(again)


def test_a_late_event_that_its_session_exported_again_does_not_hold_is_gone(tmp_path: Path) -> None:
    def export(number: int, events: list[bytes], finished: float, corrections: Sequence[bytes] = ()) -> None:
        make_export(
            tmp_path / str(number),
            events,
            DAY + number * ONE_DAY,
            finished=DAY + finished * ONE_DAY,
            corrections=corrections,
            sessions="complete",
        )

    root, late = event("a", session_id="s"), event("late", DAY + 5 * ONE_DAY, session_id="s")
    export(0, [root], 1)
    export(1, [], 2, [late])
    assert ids_of(window_of(tmp_path, 0, 1)) == ["a", "late"]
    export(0, [root], 3)
    assert ids_of(window_of(tmp_path, 0, 1)) == ["a"]


def test_corrections_of_an_export_are_newer_than_its_files(tmp_path: Path) -> None:
    changed = [event("a", event_name="correction")]
    make_export(tmp_path / "1", [event("a", event_name="file")], corrections=changed)
    assert said_of(folder_sources(tmp_path, last=1)) == {"a": "correction"}


def test_an_event_that_moved_to_another_window_is_there_alone(days: Path) -> None:
    moved = event("0-6", DAY + ONE_DAY + HOUR, event_name="moved")
    make_export(days / "date=2026-11-25", [], DAY + 3 * ONE_DAY, corrections=[moved])
    assert "0-6" not in ids_of(window_of(days, 0, 1))
    assert said_of(window_of(days, 1, 2))["0-6"] == "moved"
    assert said_of(window_of(days, 0, 2))["0-6"] == "moved"


def test_an_event_that_came_late_and_then_moved_is_there_alone(days: Path) -> None:
    for number, time in ((3, DAY + HOUR), (4, DAY + ONE_DAY + HOUR)):
        make_export(days / f"late-{number}", [], DAY + number * ONE_DAY, corrections=[event("late", time)])
    assert "late" not in ids_of(window_of(days, 0, 1))
    assert "late" in ids_of(window_of(days, 1, 2))


def test_exports_of_hours_and_of_the_day_in_one_folder_count_each_event_once(tmp_path: Path) -> None:
    events = [event(str(hour), DAY + hour * HOUR, event_name="hour") for hour in range(24)]
    for hour in range(24):
        make_export(tmp_path / f"hour/{hour}", [events[hour]], DAY + hour * HOUR, DAY + (hour + 1) * HOUR, kind="jsonl")
    day = [event(str(hour), DAY + hour * HOUR, event_name="day") for hour in range(0, 24, 2)]
    make_export(tmp_path / "day", day, finished=DAY + 12.5 * HOUR)
    said = said_of(folder_sources(tmp_path, DAY, DAY + ONE_DAY))
    assert said == {str(hour): "day" if hour % 2 == 0 and hour < 12 else "hour" for hour in range(24)}
    assert len(folder_sources(tmp_path, DAY + HOUR, DAY + 2 * HOUR).exports) == 2


def test_of_exports_of_one_moment_the_last_path_is_the_newest(tmp_path: Path) -> None:
    for name in "bca":
        make_export(tmp_path / name, [event("e", event_name=name)])
    assert said_of(folder_sources(tmp_path, last=1)) == {"e": "c"}


def test_times_of_publication_are_compared_as_times(tmp_path: Path) -> None:
    # As texts, ".123456Z" sorts before ".123Z".
    for name, micros in (("b", 123_000), ("a", 123_456)):
        make_export(tmp_path / name, [event("e", event_name=name)], finished=DAY + timedelta(microseconds=micros))
    assert said_of(folder_sources(tmp_path, last=1)) == {"e": "a"}


def test_of_rows_of_one_id_in_an_export_the_first_counts(tmp_path: Path) -> None:
    events = [event("a", event_name="1"), event("b"), event("a", event_name="2"), event("a", event_name="3")]
    make_export(tmp_path, events, files=2)
    assert said_of(export_sources(tmp_path)) == {"a": "1", "b": None}


def test_rows_without_an_id_are_all_kept_and_ids_of_a_wrong_type_are_none(tmp_path: Path) -> None:
    odd = [event(None), event(None), event(""), event(""), event(7), event(7), event(["x"]), event(["x"])]
    make_export(tmp_path, [*odd, event("7")])
    assert len(ids_of(export_sources(tmp_path))) == 9


def test_an_event_without_a_time_counts_where_its_export_begins(tmp_path: Path) -> None:
    make_export(tmp_path, [event("timeless", None), event("a", DAY + HOUR), event("b", DAY + 13 * HOUR)])
    assert ids_of(export_sources(tmp_path)) == ["timeless", "a", "b"]
    assert ids_of(window_of(tmp_path, 0, 1)) == ["timeless", "a", "b"]
    assert ids_of(window_of(tmp_path, 0, 0.5)) == ["timeless", "a"]
    assert ids_of(window_of(tmp_path, 0.5, 1)) == ["b"]


def test_a_correction_without_a_time_counts_where_it_corrects_an_event(days: Path) -> None:
    corrections = [event("1-6", None, event_name="new"), event("unknown", None), event(None, None)]
    make_export(days / "date=2026-11-25", [], DAY + 3 * ONE_DAY, corrections=corrections)
    assert said_of(window_of(days, 1, 2)) == {"1-18": None, "1-12": None, "1-0": None, "1-6": "new"}
    assert len(ids_of(window_of(days, 0, 1))) == 4


def test_whole_sessions_are_never_cut(tmp_path: Path) -> None:
    def say(event_id: str, session: str, days: float, name: str | None = None) -> bytes:
        return event(event_id, DAY + days * ONE_DAY, session_id=session, event_name=name)

    whole: dict[str, Any] = {"sessions": "complete"}
    make_export(tmp_path / "1", [say("a", "s1", 0), say("a2", "s1", 9)], **whole)
    make_export(
        tmp_path / "0", [], DAY - ONE_DAY, DAY, corrections=[say("a4", "s1", -3)], finished=DAY + 1.5 * ONE_DAY, **whole
    )
    corrections = [say("a3", "s1", -5), say("a2", "s9", 9, "new"), say("x", "s2", 0.5), event("y", None, session_id="")]
    make_export(tmp_path / "2", [say("b", "s2", 1)], DAY + ONE_DAY, corrections=corrections, **whole)
    assert said_of(window_of(tmp_path, 0, 1)) == {"a4": None, "a": None, "a3": None, "a2": "new"}
    assert said_of(window_of(tmp_path, 0, 0.5)) == {"a4": None, "a": None, "a3": None, "a2": "new"}
    assert said_of(window_of(tmp_path, 1, 2)) == {"b": None, "x": None}


# ----------------------------------------------------------------------------------------- what the exporter publishes


def test_runs_that_look_back_and_are_cleared_give_what_the_server_had_at_the_last_run(
    sandbox_with: Callable[..., Any], client_of: Callable[..., Any], tmp_path: Path
) -> None:
    def stored(name: str, days: float, **more: Any) -> dict[str, Any]:
        time = DAY + days * ONE_DAY
        return {"event_id": name, "project": "demo", "start_time": int(time.timestamp() * 1000), **more}

    sandbox = sandbox_with([stored(f"{day}-{part}", day + part / 10) for day in range(5) for part in range(10)])

    def run(day: int) -> None:
        start = DAY + day * ONE_DAY
        request = ExportRequest.parse(project="demo", window=Window(start, start + ONE_DAY))
        kind = "parquet" if day % 2 else "csv"
        options = ExportOptions(lookback_windows=2, file_format=kind, on_shrink="replace")
        export_events(client_of(sandbox), request, tmp_path / f"date={day}", options, None, exports_folder=tmp_path)

    def change(*events: dict[str, Any]) -> None:
        sandbox.delete([one["event_id"] for one in events])
        sandbox.add(events)

    run(0)
    run(1)
    change(stored("0-3", 0.3, event_name="changed"), stored("late", 0.9), stored("1-5", 0.55, event_name="moved"))
    run(2)
    change(stored("0-3", 0.3, event_name="again"), stored("1-1", 1.1, event_name="changed"))
    run(1)
    run(2)
    run(3)

    everything = said_of(folder_sources(tmp_path, last=4))
    assert everything.keys() == sandbox.event_ids(DAY, DAY + 4 * ONE_DAY)
    told = {name: text for name, text in everything.items() if text is not None}
    assert told == {"0-3": "again", "1-5": "moved", "1-1": "changed"}
    assert said_of(window_of(tmp_path, 0, 1)).keys() == sandbox.event_ids(DAY, DAY + ONE_DAY)
    assert said_of(window_of(tmp_path, 1, 2)).keys() == sandbox.event_ids(DAY + ONE_DAY, DAY + 2 * ONE_DAY)
