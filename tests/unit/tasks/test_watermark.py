"""Runs that continue each other: none of their windows overlap, none leaves a gap, each keeps its own."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from itertools import pairwise
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_honeyhive.exceptions import DestinationError, DestinationTakenError, InvalidArgumentError
from airflow_provider_honeyhive.export.recovery import Commit
from airflow_provider_honeyhive.manifest import Manifest, locate_manifest
from airflow_provider_honeyhive.models.export_facts import RequestFacts
from airflow_provider_honeyhive.models.layout import choose_layout
from airflow_provider_honeyhive.models.window import Window, format_time
from airflow_provider_honeyhive.tasks.state import AssetState, FileState
from airflow_provider_honeyhive.tasks.watermark import MOST_RUNS, Watermark, watermark_key

if TYPE_CHECKING:
    from collections.abc import Callable

START = datetime(2026, 11, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


class MemoryState:
    """Keeps what Airflow's state store would: JSON."""

    most_bytes = 65_535

    def __init__(self) -> None:
        self.text: str | None = None

    def may_name(self, path: str) -> bool:
        return True

    def load(self) -> Any:
        return None if self.text is None else json.loads(self.text)

    def save(self, data: dict[str, Any]) -> None:
        self.text = json.dumps(data)

    def change(self, make: Callable[[Any], dict[str, Any] | None]) -> None:
        made = make(self.load())
        if made is not None:
            self.save(made)


def watermark(store: Any, run_id: str, path: str | None = None) -> Watermark:
    path = path or (f"{str(store).rpartition('/')[0]}/out/" if isinstance(store, FileState) else "/nowhere/out/")
    return Watermark(store, run_id, lambda _: path)


@pytest.fixture
def store() -> MemoryState:
    """A store in which the time until 06:00 has been exported."""
    store = MemoryState()
    watermark(store, "first").advance(Window(START, START + 6 * HOUR))
    return store


def at(hour: float) -> datetime:
    return START + timedelta(hours=hour)


def export(store: MemoryState, run_id: str, until: datetime) -> Window | None:
    window = watermark(store, run_id).take(until)
    if window is not None:
        watermark(store, run_id).advance(window)
    return window


def test_without_an_earlier_export_there_is_nothing_to_continue():
    store = MemoryState()
    assert watermark(store, "run").take(START) is None
    assert store.text is None


def test_a_run_begins_where_the_last_published_one_ended(store):
    assert export(store, "a", at(8)) == Window(at(6), at(8))
    assert export(store, "b", at(9)) == Window(at(8), at(9))


def test_what_was_not_published_is_exported_by_the_next_run(store):
    watermark(store, "failed").take(at(8))
    assert export(store, "next", at(9)) == Window(at(6), at(9))


def test_each_try_of_a_run_gets_the_same_window(store):
    first = watermark(store, "run").take(at(8))
    assert watermark(store, "run").take(at(8)) == first


def test_a_published_run_that_is_cleared_gets_its_window_again(store):
    windows = [export(store, "a", at(8)), export(store, "b", at(9))]
    assert [export(store, "a", at(8)), export(store, "b", at(9))] == windows
    assert export(store, "c", at(10)) == Window(at(9), at(10))


def test_a_failed_run_whose_time_a_later_one_has_exported_is_told_so(store):
    watermark(store, "failed").take(at(8))
    export(store, "next", at(9))
    with pytest.raises(InvalidArgumentError, match=r"(?s)nothing is left.*T09:00.*dag_run\.conf"):
        watermark(store, "failed").take(at(8))


def test_a_failed_run_takes_what_is_left_of_its_time(store):
    watermark(store, "failed").take(at(8))
    watermark(store, "given").advance(Window(at(5), at(7)))
    assert export(store, "failed", at(8)) == Window(at(7), at(8))


@pytest.mark.parametrize(
    ("given", "mark"),
    [
        pytest.param((0, 6), 6, id="the same again"),
        pytest.param((-48, -24), 6, id="long ago"),
        pytest.param((6, 8), 8, id="continues"),
        pytest.param((4, 8), 8, id="overlaps and goes on"),
        pytest.param((7, 8), 6, id="leaves a gap"),
    ],
)
def test_only_a_given_window_that_goes_on_from_it_moves_the_watermark(store, given, mark):
    watermark(store, "given").advance(Window(*map(at, given)))
    assert export(store, "next", at(10)) == Window(at(mark), at(10))


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 100), st.integers(0, 3), st.booleans()), min_size=1, max_size=30))
def test_published_windows_meet_whatever_fails_and_is_tried_again(runs):
    store = MemoryState()
    watermark(store, "first").advance(Window(START - HOUR, START))
    now, published = START, []
    for number, (minutes, tries, succeeds) in enumerate(runs):
        now += timedelta(minutes=minutes)
        for _ in range(tries):
            watermark(store, str(number)).take(now)
        if succeeds:
            published.append(export(store, str(number), now))
    assert all(earlier.end == later.start for earlier, later in pairwise(published))
    assert not published or published[0].start == START


def test_so_many_runs_are_remembered_as_the_state_store_takes(store):
    for number in range(MOST_RUNS + 10):
        export(store, f"asset_triggered__2026-11-23T00:00:00.{number:06d}+00:00_AbCdEfGh", at(7 + number))
    assert len(json.loads(store.text)["runs"]) == MOST_RUNS
    assert len(store.text) < 65_536
    last = f"asset_triggered__2026-11-23T00:00:00.{MOST_RUNS + 9:06d}+00:00_AbCdEfGh"
    assert export(store, last, at(MOST_RUNS + 16)) == Window(at(MOST_RUNS + 15), at(MOST_RUNS + 16))


# ------------------------------------------------------------------- a run that dies once it has published


def publish(path: str, window: Window) -> None:
    """Leave a manifest as an export does."""
    manifest = Manifest(
        project="demo",
        start_time=format_time(window.start),
        end_time=format_time(window.end),
        event_count=0,
        started_at="2026-11-22T06:00:00.000Z",
        finished_at="2026-11-22T06:00:00.000Z",
        file_format="jsonl",
        compression="gzip",
        request=RequestFacts(api_host="localhost"),
        files=[],
    )
    folder, name = locate_manifest(path)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(manifest.to_json())


@pytest.mark.parametrize("name", ["a/", "a", "a.jsonl.gz"])
def test_what_a_dead_run_has_published_is_not_exported_again(store, tmp_path, name):
    dead = watermark(store, "dead", f"{tmp_path}/{name}")
    publish(f"{tmp_path}/{name}", dead.take(at(8)))
    assert export(store, "next", at(9)) == Window(at(8), at(9))
    # It may be tried again all the same, as any run that has published.
    assert dead.take(at(8)) == Window(at(6), at(8))


def test_the_object_that_a_dead_run_has_published_but_not_copied_is_put_in_place(store, tmp_path):
    path = tmp_path / "a.jsonl"
    dead = watermark(store, "dead", str(path))
    publish(str(path), dead.take(at(8)))
    folder, layout = choose_layout(path)
    manifest = folder / layout.manifest_name
    commit = Commit(
        manifest_name=manifest.name,
        manifest_sha256=sha256(manifest.read_bytes()).hexdigest(),
        source="commit-01234567.data",
    )
    staging = folder / layout.staging_name("ab" * 32, None)
    staging.mkdir()
    (staging / "commit-01234567.json").write_bytes(commit.to_json())
    (staging / "commit-01234567.data").write_bytes(b"{}\n")
    assert export(store, "next", at(9)) == Window(at(8), at(9))
    assert path.read_bytes() == b"{}\n"
    assert not staging.exists()


def test_what_a_dead_first_run_has_published_is_continued(tmp_path):
    store = MemoryState()
    watermark(store, "first", f"{tmp_path}/first/").keep(Window(START, at(6)))
    assert watermark(store, "next").take(at(8)) is None
    publish(f"{tmp_path}/first/", Window(START, at(6)))
    assert watermark(store, "next").take(at(8)) == Window(at(6), at(8))


def test_a_published_window_that_a_dead_runs_reaches_is_not_exported_again(store, tmp_path):
    dead = watermark(store, "dead", f"{tmp_path}/dead/").take(at(8))
    publish(f"{tmp_path}/dead/", dead)
    watermark(store, "given").advance(Window(at(8), at(9)))
    assert export(store, "next", at(10)) == Window(at(9), at(10))


@pytest.mark.parametrize(
    "other", [Window(START, START + 6 * HOUR), Window(at(6), at(7)), Window(at(6) + timedelta(microseconds=1), at(8))]
)
def test_the_manifest_of_another_window_proves_nothing(store, tmp_path, other):
    watermark(store, "failed", f"{tmp_path}/always/").take(at(8))
    publish(f"{tmp_path}/always/", other)
    assert watermark(store, "next", f"{tmp_path}/always/").take(at(9)) == Window(at(6), at(9))


def test_where_it_cannot_be_told_whether_a_run_has_published_the_next_one_fails_and_says_what_to_do(store, tmp_path):
    watermark(store, "unknown", f"{tmp_path}/a/").take(at(8))
    (tmp_path / "a" / "_manifest.json").mkdir(parents=True)
    kept = store.text
    with pytest.raises(
        DestinationError, match=r'(?s)readable.*run unknown has published.*/a/.*"start_time": "2026-11-01T06'
    ):
        watermark(store, "next").take(at(9))
    assert store.text == kept
    # What the error says helps.
    watermark(store, "given").keep(Window(at(6), at(10)))
    watermark(store, "given").advance(Window(at(6), at(10)))
    assert export(store, "next", at(11)) == Window(at(10), at(11))


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(1, 100),
            st.lists(st.sampled_from(["begun", "taken", "published", "done"]), min_size=1, max_size=3),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_wherever_each_try_of_each_run_dies_every_moment_is_published_once(runs):
    with TemporaryDirectory() as folder:
        store = MemoryState()
        watermark(store, "first").advance(Window(START - HOUR, START))
        now, published = START, {}
        for number, (minutes, deaths) in enumerate(runs):
            now += timedelta(minutes=minutes)
            for death in deaths:
                attempt = watermark(store, str(number), f"{folder}/{number}/")
                if death == "begun":
                    continue
                window = attempt.take(now)
                if death in ("published", "done"):
                    publish(f"{folder}/{number}/", window)
                    # A path holds what was published there last.
                    published[number] = window
                if death == "done":
                    attempt.advance(window)
                    break
        windows = sorted(published.values(), key=lambda window: window.start)
        assert all(earlier.end == later.start for earlier, later in pairwise(windows))
        assert not windows or windows[0].start == START


def test_the_fullest_state_fits_into_its_store_however_long_the_paths_are(store):
    long = f"/{'x' * 100}" * 9
    for number in range(MOST_RUNS):
        watermark(store, f"run {number}", f"/nowhere{long}/{number}/").take(at(7 + number))
    assert len(store.text) <= store.most_bytes
    assert f"run {MOST_RUNS - 1}" in json.loads(store.text)["runs"]


def test_a_file_keeps_it(tmp_path):
    store = FileState(f"{tmp_path}/exports/_watermark-key.json")
    assert store.load() is None
    watermark(store, "first").advance(Window(START, at(6)))
    again = FileState(f"{tmp_path}/exports/_watermark-key.json")
    assert export(again, "run", at(8)) == Window(at(6), at(8))
    (file,) = (tmp_path / "exports").iterdir()
    assert file.name == "_watermark-key.json"
    assert file.read_text().startswith('{\n  "end_time": "2026-11-01T08:00:00.000Z",\n  "runs": {\n    "first": {\n')


class Interrupted(FileState):
    """A file that another process changes whenever this one is about to."""

    def __init__(self, path: str, others: list[Callable[[], object]]) -> None:
        super().__init__(path)
        self.others = others

    def change(self, make: Callable[[Any], dict[str, Any] | None]) -> None:
        def interrupted(data: Any) -> dict[str, Any] | None:
            made = make(data)
            if self.others:
                self.others.pop(0)()
            return made

        super().change(interrupted)


def test_a_dead_process_that_wakes_up_does_not_move_a_file_back(tmp_path):
    path = f"{tmp_path}/_watermark-key.json"
    watermark(FileState(path), "first").advance(Window(START, at(6)))
    watermark(FileState(path), "slow").take(at(8))
    faster = [lambda: export(FileState(path), "next", at(9)), lambda: export(FileState(path), "after", at(10))]
    slow = watermark(Interrupted(path, faster), "slow")
    slow.advance(Window(at(6), at(8)))
    kept = json.loads((tmp_path / "_watermark-key.json").read_text())
    assert kept["end_time"] == "2026-11-01T10:00:00.000Z"
    assert set(kept["runs"]) == {"first", "slow", "next", "after"}
    assert [file.name for file in tmp_path.iterdir()] == ["_watermark-key.json"]


def test_nor_an_object_of_airflow_that_was_changed_while_places_were_looked_at():
    memory = MemoryState()
    asset = AssetState(SimpleNamespace(get=lambda _: memory.load(), set=lambda _, data: memory.save(data)), "key")
    watermark(asset, "first").advance(Window(START, at(6)))
    others = [lambda: export(asset, "next", at(9))]

    def slow(data: Any) -> Any:
        made = {**data, "end_time": "2026-11-01T08:00:00.000Z"} if data["end_time"] < "2026-11-01T08" else None
        if others:
            others.pop()()
        return made

    asset.change(slow)
    assert memory.load()["end_time"] == "2026-11-01T09:00:00.000Z"


def test_a_run_whose_time_another_takes_meanwhile_is_told_so(tmp_path):
    path = f"{tmp_path}/_watermark-key.json"
    watermark(FileState(path), "first").advance(Window(START, at(6)))
    slow = watermark(Interrupted(path, [lambda: export(FileState(path), "next", at(9))]), "slow")
    with pytest.raises(InvalidArgumentError, match="nothing is left"):
        slow.take(at(8))


def test_a_file_that_never_stands_still_is_an_error(tmp_path):
    path = f"{tmp_path}/_watermark-key.json"
    others = [partial(export, FileState(path), f"run {hour}", at(hour)) for hour in range(7, 40)]
    watermark(FileState(path), "first").advance(Window(START, at(6)))
    with pytest.raises(DestinationError, match="_watermark-key.json.*max_active_runs=1"):
        watermark(Interrupted(path, others), "slow").advance(Window(START, at(1)))


#: A run's window, as a file says it.
RUN = {"start_time": "2026-11-01T00:00:00Z", "end_time": "2026-11-01T06:00:00Z", "published": False}


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"[]", b"\x00\x01", b'{"runs": 5}', b"[" * 100_000, b'{"runs":' * 100_000, b"\xff\xfe", b"null", b'"a"'),
        *(b'{"end_time": "2026-11-01T00:00:00"}', b'{"end_time": 1773000000}', b'{"end_time": "soon"}', b"9" * 5_000),
        *(
            b'{"end_time": 1' + b"0" * 400 + b"}",
            b'{"end_time": NaN}',
            b'{"version": 2, "runs": {}}',
            b'{"version": "1"}',
        ),
        *(
            json.dumps({"runs": {"a": {**RUN, **other}}}).encode()
            for other in (
                *({"published": "true"}, {"published": 1}, {"end_time": RUN["start_time"]}, {"start_time": None}),
                *({"output_path": 5}, {"output_conn_id": []}),
            )
        ),
    ],
    ids=lambda content: repr(content[:60]),
)
def test_a_file_that_holds_something_else_is_not_overwritten(tmp_path, content):
    file = tmp_path / "_watermark-key.json"
    file.write_bytes(content)
    kept = watermark(FileState(str(file)), "run")
    for use in (lambda: kept.take(at(1)), lambda: kept.advance(Window(START, at(1)))):
        with pytest.raises(DestinationTakenError, match=r"_watermark-key\.json") as caught:
            use()
        assert not caught.value.retryable
    assert file.read_bytes() == content


def test_a_file_of_the_last_release_is_understood(tmp_path):
    file = tmp_path / "_watermark-key.json"
    file.write_text(json.dumps({"end_time": RUN["end_time"], "runs": {"a": RUN}}))
    assert watermark(FileState(str(file)), "run").take(at(8)).end == at(8)


def test_a_file_from_the_future_is_told_by_the_run_that_finds_nothing_left(tmp_path):
    file = tmp_path / "_watermark-key.json"
    file.write_text(json.dumps({"end_time": "9999-12-31T00:00:00Z"}))
    with pytest.raises(InvalidArgumentError, match="(?s)nothing is left.*9999"):
        watermark(FileState(str(file)), "run").take(at(8))


def test_a_file_of_hundreds_of_megabytes_is_not_parsed(tmp_path, monkeypatch):
    monkeypatch.setattr("airflow_provider_honeyhive.tasks.state.LARGEST_FILE", 10)
    file = tmp_path / "_watermark-key.json"
    file.write_text('{"runs": {}, "more": 1}')
    with pytest.raises(DestinationTakenError, match="it has 23 bytes"):
        watermark(FileState(str(file)), "run").take(at(1))


def test_of_the_places_that_a_file_names_only_those_in_its_own_folder_are_looked_at(tmp_path):
    """Else whoever writes there lets the task tidy up somewhere else, with the worker's rights."""
    _, layout = choose_layout(tmp_path / "other")
    leftover = tmp_path / "other" / layout.staging_name("ab" * 32, b"gone") / "00000-00000-01234567"
    leftover.parent.mkdir(parents=True)
    leftover.write_bytes(b"staged")
    file = tmp_path / "mine" / "_watermark-key.json"
    file.parent.mkdir()
    for path in (
        f"{tmp_path}/other/",
        f"{tmp_path}/mine/../other/",
        "s3://other/",
        f"{tmp_path}/mine-too/",
        "../x",
        "\0",
    ):
        file.write_text(json.dumps({"runs": {"a": {**RUN, "output_path": path}}}))
        with pytest.raises(DestinationTakenError, match=r"(?s)dag_run.conf .*names a place outside of its own folder"):
            watermark(FileState(str(file)), "run").take(at(8))
    assert leftover.exists()


def test_a_folder_that_moved_does_not_cost_the_watermark(tmp_path):
    """Runs that failed before name the place where it was: a window given by hand passes over them."""
    file = tmp_path / "new" / "_watermark-key.json"
    file.parent.mkdir()
    failed = {"start_time": format_time(at(6)), "end_time": format_time(at(7)), "published": False}
    failed |= {"output_path": f"{tmp_path}/old/7/"}
    file.write_text(json.dumps({"end_time": format_time(at(6)), "runs": {"failed": failed}}))
    with pytest.raises(DestinationError, match="Cannot tell whether the run failed has published"):
        watermark(FileState(str(file)), "next").take(at(8))
    by_hand = watermark(FileState(str(file)), "by hand")
    by_hand.keep(Window(at(6), at(8)))
    by_hand.advance(Window(at(6), at(8)))
    assert watermark(FileState(str(file)), "later").take(at(9)) == Window(at(8), at(9))


def test_keys_differ_by_whatever_is_asked():
    asked = ["dag", "task", "conn", "project", [{"field": "a"}], None]
    others = [[*asked[:place], "other", *asked[place + 1 :]] for place in range(len(asked))]
    assert len({watermark_key(one) for one in [asked, *others]}) == len(asked) + 1
    assert watermark_key(asked) == watermark_key(list(asked))
