"""Many exports become one, or nothing: their windows are the whole, nothing is lost, whenever the combination dies."""

from __future__ import annotations

import json
import logging
import os
import signal
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_honeyhive.exceptions import (
    DestinationError,
    DestinationTakenError,
    IncompleteExportError,
    InvalidArgumentError,
)
from airflow_provider_honeyhive.export.combine import combine_exports
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.export.shards import shard_name, shards_folder, write_plan
from airflow_provider_honeyhive.formats.columns import COLUMN_NAMES
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.models.export_facts import AirflowFacts
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.models.request import ExportRequest
from airflow_provider_honeyhive.models.window import EARLIEST, Window
from airflow_provider_honeyhive.reading.sharding import split_by_counts
from airflow_provider_honeyhive.sandbox import Behaviour
from airflow_provider_honeyhive.storage.local import LocalStore

from .killed import start
from .test_exporter import DAY, DEMO, GENERATED, event_at, ids, tree

if TYPE_CHECKING:
    from airflow_provider_honeyhive.api.client import HoneyHiveClient

TASK = AirflowFacts(dag_id="d", task_id="combine", run_id="r", try_number=1, map_index=-1)
HOURS = [DAY.start + timedelta(hours=hour) for hour in range(25)]


def export_parts(
    client: HoneyHiveClient, path: Path, parts: int = 4, request: ExportRequest = DEMO, run: str = "r", **options: Any
) -> list[str]:
    """Split, export each part, and return where the parts are."""
    split = split_by_counts(client, request, parts)
    folder = shards_folder(request, client.settings.api_host, ("d", run))
    write_plan(path, folder, split.total)
    return [export_part(client, path / folder, window, request, **options) for window in split.windows]


def export_part(
    client: HoneyHiveClient, folder: Path, window: Window, request: ExportRequest = DEMO, **options: Any
) -> str:
    place = folder / shard_name(window)
    export_events(client, request.model_copy(update={"window": window}), place, ExportOptions(**options))
    return str(place)


@pytest.fixture
def urls(client: HoneyHiveClient, tmp_path: Path) -> list[str]:
    """Export the day in parts, to be combined in the test's own folder."""
    return export_parts(client, tmp_path)


def combine(client: HoneyHiveClient, path: Path, urls: list[str], window: Window = DAY, **more: Any) -> Manifest:
    return combine_exports(client, path, urls, window, **{"airflow": TASK, **more})


def published(path: Path) -> dict[str, bytes]:
    """Return every file but the parts'."""
    return {name: data for name, data in tree(path).items() if not name.startswith("_shards-")}


def litter(path: Path) -> set[str]:
    known = {"_manifest.json", *(part.path for part in Manifest.read(path).files)}
    return {str(one.relative_to(path)) for one in path.rglob("*")} - known


def test_the_parts_become_one_export_that_proves_the_whole(sandbox_with, client_of, tmp_path):
    sandbox = sandbox_with(count=3_000, **GENERATED)
    client = client_of(sandbox)
    urls = export_parts(client, tmp_path, max_file_size=200_000)
    made = [Manifest.read(url) for url in urls]

    manifest = combine(client, tmp_path, urls)

    assert Counter(ids(tmp_path)) == Counter(sandbox.event_ids(DAY.start, DAY.end))
    assert litter(tmp_path) == set()
    read = Manifest.read(tmp_path)
    read.verify()
    assert read.model_dump() == manifest.model_dump()
    assert (read.start_time, read.end_time) == ("2026-11-22T00:00:00.000Z", "2026-11-23T00:00:00.000Z")
    assert read.event_count == read.reported_total == 3_000
    assert (read.project, read.airflow, read.request) == ("demo", TASK, made[0].request)
    assert read.started_at == min(one.started_at for one in made)
    assert read.finished_at >= max(one.finished_at for one in made)
    for name in ("page_count", "bytes_read", "duplicates_dropped", "retries", "events_without_time"):
        assert getattr(read, name) == sum(getattr(one, name) for one in made)
    assert len(read.files) == sum(len(one.files) for one in made) > 4
    assert [part.path for part in read.files] == sorted(part.path for part in read.files)
    times = [(part.min_start_time, part.max_start_time) for part in read.files]
    assert times == sorted(times, reverse=True), "the files are not newest first"


def test_ids_that_the_server_holds_twice_are_counted_over_all_parts(sandbox, client, tmp_path):
    sandbox.add([event_at(time, 900 + number) for number, time in enumerate(HOURS[:24]) for _ in range(2)])
    manifest = combine(client, tmp_path, export_parts(client, tmp_path))
    assert len(manifest.files) > 1
    assert manifest.repeated_ids == 24


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "none"},
        {"compression": "zstd"},
        {"file_format": "csv"},
        {"file_format": "json"},
        {"file_format": "parquet"},
    ],
    ids=str,
)
def test_the_files_stay_as_the_tasks_wrote_them(client, tmp_path, options):
    if options.get("file_format") == "parquet":
        pytest.importorskip("pyarrow")
    urls = export_parts(client, tmp_path, **options)
    made = [Manifest.read(url) for url in urls]

    manifest = combine(client, tmp_path, urls)

    assert {part.sha256 for part in manifest.files} == {part.sha256 for one in made for part in one.files}
    assert (manifest.file_format, manifest.compression) == (made[0].file_format, made[0].compression)
    assert manifest.misfits == dict(sum((Counter(one.misfits) for one in made), Counter()))
    Manifest.read(tmp_path).verify()


def test_partitions_of_all_parts_come_together(sandbox, client, tmp_path):
    urls = export_parts(client, tmp_path, partition_by=("event_type",))

    manifest = combine(client, tmp_path, urls)

    assert Counter(ids(tmp_path)) == Counter(sandbox.event_ids(DAY.start, DAY.end))
    folders = [part.path.partition("/")[0] for part in manifest.files]
    assert folders == sorted(folders)
    assert set(folders) == {f"event_type={kind}" for kind in ("chain", "model", "session", "tool")}
    for folder in set(folders):
        times = [part.max_start_time for part in manifest.files if part.path.startswith(folder)]
        assert times == sorted(times, reverse=True), "the files of a partition are not newest first"
    assert litter(tmp_path) == set(folders)
    read = Manifest.read(tmp_path)
    assert read.partition_by == ["event_type"]
    read.verify()


def test_a_window_without_events_is_a_manifest_and_no_file(sandbox_with, client_of, tmp_path):
    client = client_of(sandbox_with([event_at(DAY.end)]))
    urls = export_parts(client, tmp_path)
    assert len(urls) == 1
    assert combine(client, tmp_path, urls).event_count == 0
    assert list(tree(tmp_path)) == ["_manifest.json"]


def test_parts_without_events_are_parts_all_the_same(sandbox_with, client_of, tmp_path):
    client = client_of(sandbox_with([event_at(DAY.start)]))
    folder = tmp_path / shards_folder(DEMO, "h")
    urls = [export_part(client, folder, window) for window in DAY.split(3)]
    assert combine(client, tmp_path, urls).event_count == 1


def test_an_object_store_holds_the_same(client):
    from upath import UPath

    path = UPath("memory://combining/day")
    split = split_by_counts(client, DEMO, 3)
    folder = shards_folder(DEMO, client.settings.api_host)
    write_plan(path, folder, split.total)
    for window in split.windows:
        export_events(client, DEMO.model_copy(update={"window": window}), path / folder / shard_name(window))
    urls = [f"memory://combining/day/{folder}/{shard_name(window)}" for window in split.windows]

    manifest = combine_exports(client, "memory://combining/day", urls, DAY)

    there = {name.rpartition("/")[2] for name in path.fs.find(path.path)}
    assert there == {"_manifest.json", *(part.path for part in manifest.files)}
    assert manifest.event_count == 300
    Manifest.read(path).verify()


# ------------------------------------------------------------------------------------ not the whole


@pytest.mark.parametrize(
    "bounds",
    [
        [(0, 8), (8, 16)],
        [(8, 16), (16, 24)],
        [(0, 8), (16, 24)],
        [(0, 9), (8, 16), (16, 24)],
        [(0, 8), (8, 16), (0, 16), (16, 24)],
    ],
    ids=["end missing", "start missing", "gap", "overlap", "twice"],
)
def test_parts_that_do_not_cover_the_window_exactly_publish_nothing(client, tmp_path, bounds):
    folder = tmp_path / shards_folder(DEMO, "h")
    urls = [export_part(client, folder, Window(HOURS[start], HOURS[end])) for start, end in bounds]
    before = tree(tmp_path)

    with pytest.raises(InvalidArgumentError, match="exports"):
        combine(client, tmp_path, urls)

    assert tree(tmp_path) == before


@pytest.mark.parametrize("window", [Window(HOURS[0], HOURS[23]), Window(HOURS[0], DAY.end + timedelta(hours=1))])
def test_parts_of_another_window_publish_nothing(client, tmp_path, urls, window):
    with pytest.raises(InvalidArgumentError, match="exports"):
        combine(client, tmp_path, urls, window)
    assert published(tmp_path) == {}


@pytest.mark.parametrize(
    ("other", "options", "named"),
    [
        ({"filters": '[{"field": "event_type", "operator": "is", "value": "model"}]'}, {}, "filters"),
        ({"projections": ["inputs"]}, {}, "projections"),
        ({"evaluation_id": "run-1"}, {}, "evaluation_id"),
        ({}, {"compression": "none"}, "compression"),
        ({}, {"partition_by": ("event_type",)}, "partition_by"),
    ],
)
def test_parts_that_were_not_asked_for_alike_publish_nothing(client, tmp_path, other, options, named):
    folder = tmp_path / shards_folder(DEMO, "h")
    early, late = DAY.split(2)
    request = ExportRequest.parse(**{"project": "demo", "window": DAY, **other})
    urls = [export_part(client, folder, early), export_part(client, folder, late, request, **options)]

    with pytest.raises(InvalidArgumentError, match=f"differs.*{named}"):
        combine(client, tmp_path, urls)

    assert published(tmp_path) == {}


@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_parts_that_a_version_with_other_columns_wrote_publish_nothing(client, tmp_path, file_format):
    urls = export_parts(client, tmp_path, file_format=file_format)
    path = Path(urls[0]) / "_manifest.json"
    manifest = json.loads(path.read_bytes())
    assert manifest.pop("columns") == list(COLUMN_NAMES)
    path.write_text(json.dumps(manifest))

    with pytest.raises(InvalidArgumentError, match="differs.*in columns"):
        combine(client, tmp_path, urls)

    assert published(tmp_path) == {}


def test_the_server_that_counts_must_be_the_one_that_was_exported_from(sandbox_with, client_of, tmp_path):
    urls = export_parts(client_of(sandbox_with(**GENERATED)), tmp_path)
    with pytest.raises(InvalidArgumentError, match="honeyhive_conn_id"):
        combine(client_of(sandbox_with(**GENERATED)), tmp_path, urls)
    assert published(tmp_path) == {}


@pytest.mark.parametrize("partition_by", [(), ("event_type",)])
@pytest.mark.parametrize("how", ["gone", "cut"])
def test_a_file_that_is_not_whole_publishes_nothing(client, tmp_path, how, partition_by):
    urls = export_parts(client, tmp_path, partition_by=partition_by)
    file = next(tmp_path.rglob("part-00000-*"))
    if how == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-1])

    with pytest.raises(DestinationError, match=f"(?s)clear the task.*{file.name} has "):
        combine(client, tmp_path, urls)

    assert published(tmp_path) == {}


def test_a_part_that_is_not_there_publishes_nothing(client, tmp_path, urls):
    (tmp_path / urls[2] / "_manifest.json").unlink()
    before = tree(tmp_path)
    with pytest.raises(DestinationError, match="missing.*clear the tasks"):
        combine(client, tmp_path, urls)
    assert tree(tmp_path) == before


def test_events_without_a_time_in_more_than_one_part_publish_nothing(client, tmp_path, urls):
    for url in urls[:2]:
        manifest = json.loads((tmp_path / url / "_manifest.json").read_text())
        (tmp_path / url / "_manifest.json").write_text(json.dumps({**manifest, "events_without_time": 1}))
    with pytest.raises(InvalidArgumentError, match="without a usable start_time"):
        combine(client, tmp_path, urls)
    assert published(tmp_path) == {}


# ------------------------------------------------------------------------------------------- counts


def window_of(url: str) -> Window:
    manifest = Manifest.read(url)
    return Window.parse(manifest.start_time, manifest.end_time)


def lose(path: Path, url: str) -> int:
    """Make a part say that it holds an event less; return how many all hold then."""
    name = path / url / "_manifest.json"
    manifest = json.loads(name.read_text())
    manifest["event_count"] -= 1
    manifest["files"][0]["event_count"] -= 1
    name.write_text(json.dumps(manifest))
    return sum(Manifest.read(one).event_count for one in (path / url).parent.iterdir() if one.is_dir())


def test_fewer_events_than_the_server_reported_before_and_reports_now_publish_nothing(client, tmp_path, urls):
    assert lose(tmp_path, urls[0]) == 299
    with pytest.raises(IncompleteExportError) as caught:
        combine(client, tmp_path, urls)
    assert (caught.value.expected, caught.value.received) == (300, 299)
    assert published(tmp_path) == {}


def test_parts_of_which_one_was_not_compared_with_a_total_are_not_compared_together(client, tmp_path, urls):
    options = ExportOptions(trust_total=False)
    export_events(client, DEMO.model_copy(update={"window": window_of(urls[0])}), urls[0], options)
    lose(tmp_path, urls[0])
    manifest = combine(client, tmp_path, urls)
    assert (manifest.event_count, manifest.reported_total, manifest.total_trusted) == (299, 300, False)


def test_events_that_came_late_are_no_loss(sandbox, client, tmp_path, urls, caplog):
    sandbox.add([event_at(HOURS[3], number) for number in range(7)])
    with caplog.at_level(logging.WARNING):
        manifest = combine(client, tmp_path, urls)
    assert manifest.event_count == manifest.reported_total == 300
    assert "7 events more" in caplog.text


def test_events_deleted_since_the_split_are_no_loss(sandbox, client, tmp_path):
    folder = shards_folder(DEMO, client.settings.api_host)
    write_plan(tmp_path, folder, 300)
    sandbox.delete(sorted(sandbox.event_ids(DAY.start, DAY.end))[:10])
    urls = [export_part(client, tmp_path / folder, window) for window in DAY.split(3)]
    manifest = combine(client, tmp_path, urls)
    assert (manifest.event_count, manifest.reported_total) == (290, 300)


def test_without_the_plan_of_the_split_the_present_count_decides(sandbox, client, tmp_path, urls):
    (next(tmp_path.glob("_shards-*")) / "plan.json").unlink()
    sandbox.add([event_at(HOURS[3])])
    with pytest.raises(IncompleteExportError):
        combine(client, tmp_path, urls)
    sandbox.delete(["event-0"])
    assert combine(client, tmp_path, urls).event_count == 300


@pytest.mark.parametrize("total", ["absent", "page"])
def test_a_server_without_totals_is_combined_by_the_windows_alone(sandbox_with, client_of, tmp_path, total):
    sandbox = sandbox_with(behaviour=Behaviour(total=total), **GENERATED)
    client = client_of(sandbox)
    manifest = combine(client, tmp_path, export_parts(client, tmp_path))
    assert (manifest.event_count, manifest.reported_total) == (300, None)


def test_events_on_the_end_of_the_window_are_not_missed(sandbox_with, client_of, tmp_path):
    events = [event_at(HOURS[hour], hour) for hour in range(25)]
    client = client_of(sandbox_with(events))
    assert combine(client, tmp_path, export_parts(client, tmp_path)).event_count == 24


# --------------------------------------------------------------------------- what was there before


def test_an_earlier_export_of_the_window_is_replaced(sandbox, client, tmp_path):
    export_events(client, DEMO, tmp_path, airflow=TASK)
    sandbox.delete(sorted(sandbox.event_ids(DAY.start, DAY.end))[:50])
    assert combine(client, tmp_path, export_parts(client, tmp_path), on_shrink="replace").event_count == 250
    assert combine(client, tmp_path, export_parts(client, tmp_path, 2)).event_count == 250
    assert Counter(ids(tmp_path)) == Counter(sandbox.event_ids(DAY.start, DAY.end))
    assert litter(tmp_path) == set()


@pytest.mark.parametrize("difference", ["window", "replace"])
def test_what_must_not_be_replaced_stays_and_so_do_the_parts(client, tmp_path, difference):
    earlier = Window(HOURS[0], HOURS[23]) if difference == "window" else DAY
    export_events(client, DEMO.model_copy(update={"window": earlier}), tmp_path)
    urls = export_parts(client, tmp_path)
    before = tree(tmp_path)
    with pytest.raises(DestinationTakenError):
        combine(client, tmp_path, urls, replace=difference == "window")
    assert tree(tmp_path) == before


def test_a_failure_leaves_an_earlier_export_as_it_was(client, tmp_path, monkeypatch):
    export_events(client, DEMO, tmp_path, airflow=TASK)
    urls = export_parts(client, tmp_path)
    before = tree(tmp_path)

    def fail(*_: Any) -> bool:
        raise DestinationError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "swap", fail)
        with pytest.raises(DestinationError, match="no space left"):
            combine(client, tmp_path, urls)
    assert tree(tmp_path) == before
    assert combine(client, tmp_path, urls).event_count == 300


def test_the_parts_of_other_runs_stay_however_old(client, tmp_path):
    other = (tmp_path / export_parts(client, tmp_path, run="failed for good")[0]).parent
    for path in (*other.rglob("*"), other):
        os.utime(path, (0, 0))
    before = tree(other)

    combine(client, tmp_path, export_parts(client, tmp_path))

    assert list(tmp_path.glob("_shards-*")) == [other]
    assert tree(other) == before


def test_what_a_failed_try_of_a_part_had_staged_is_removed_with_it(client, tmp_path, urls):
    staged = tmp_path / urls[0] / "_staging-0123456789abcdef" / "00000-00000"
    staged.parent.mkdir()
    staged.write_bytes(b"half")
    combine(client, tmp_path, urls)
    assert litter(tmp_path) == set()


# ---------------------------------------------------------------------------------------- dying


@pytest.mark.parametrize("earlier", [False, True], ids=["first", "second run"])
def test_whenever_it_dies_the_next_try_publishes_the_whole_once(sandbox, client_of, tmp_path, earlier):
    wanted = sandbox.event_ids(DAY.start, DAY.end)
    die_at, died = 0, True
    while died:
        die_at += 1
        path = tmp_path / str(die_at)
        if earlier:
            export_events(client_of(sandbox), DEMO, path, airflow=TASK)
        urls = export_parts(client_of(sandbox), path, 3)
        process = start(sandbox.url, path, urls, DAY, work=combine_exports, die_at=die_at, airflow=TASK)
        process.join(60)
        died = process.exitcode == -signal.SIGKILL
        assert died or process.exitcode == 0, "the combination failed"
        if earlier or (path / "_manifest.json").exists():
            assert Counter(ids(path)) == Counter(wanted), "who trusts the manifest sees less than the whole"
        assert combine(client_of(sandbox), path, urls).event_count == 300
        assert Counter(ids(path)) == Counter(wanted)
        assert litter(path) == set()
    assert die_at > 15


def test_a_combination_that_is_done_stays_done_when_run_again(client, tmp_path, urls):
    first = combine(client, tmp_path, urls)
    before = tree(tmp_path)
    again = combine(client, tmp_path, urls, airflow=TASK.model_copy(update={"try_number": 2}))
    assert again.model_dump() == first.model_dump()
    assert (again.url(), again.manifest_url) == (first.url(), first.manifest_url)
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    "other",
    [{"airflow": TASK.model_copy(update={"run_id": "another"})}, {"window": Window(HOURS[0], HOURS[23])}],
    ids=["run", "window"],
)
def test_missing_parts_of_another_export_are_not_excused_by_what_is_published(client, tmp_path, urls, other):
    combine(client, tmp_path, urls)
    with pytest.raises(DestinationError, match="missing"):
        combine(client, tmp_path, urls, **other)


def test_missing_parts_of_a_new_split_are_not_excused_by_what_is_published(client, tmp_path):
    combine(client, tmp_path, export_parts(client, tmp_path))
    urls = export_parts(client, tmp_path)
    (tmp_path / urls[1] / "_manifest.json").unlink()
    with pytest.raises(DestinationError, match="missing"):
        combine(client, tmp_path, urls)


def test_missing_parts_are_not_excused_where_another_was_exported_anew(sandbox, client, tmp_path, urls):
    windows = [Window.parse(one.start_time, one.end_time) for one in map(Manifest.read, urls)]
    folder = (tmp_path / urls[0]).parent
    combine(client, tmp_path, urls)
    sandbox.add([event_at(windows[0].start)])
    export_part(client, folder, windows[0])
    with pytest.raises(DestinationError, match="missing"):
        combine(client, tmp_path, urls)


# --------------------------------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    "url",
    ["/elsewhere/_shards-0123456789abcdef/a-b", "{}", "{}/part", "{}/_shards-x/20260101T000000Z-20260102T000000Z"],
)
def test_only_folders_of_parts_below_the_output_are_combined(sandbox_with, client_of, tmp_path, url):
    with pytest.raises(InvalidArgumentError, match="exports"):
        combine(client_of(sandbox_with(count=1)), tmp_path, [url.format(tmp_path)])


def test_no_parts_or_parts_of_two_splits_are_refused(client, tmp_path):
    mixed = [*export_parts(client, tmp_path, run="one")[:2], *export_parts(client, tmp_path, run="two")[2:]]
    for urls in ([], mixed):
        with pytest.raises(InvalidArgumentError, match="lie in one folder"):
            combine(client, tmp_path, urls)


def test_one_object_is_refused(sandbox_with, client_of, tmp_path):
    with pytest.raises(InvalidArgumentError, match="output_path.*a folder"):
        combine(client_of(sandbox_with(count=1)), tmp_path / "day.jsonl.gz", [])


def test_names_tell_windows_and_requests_apart():
    times = [DAY.start, DAY.start + timedelta(microseconds=1), DAY.start + timedelta(milliseconds=250), DAY.end]
    windows = [Window(start, end) for start in times for end in times if start < end]
    assert len({shard_name(window) for window in windows}) == len(windows)
    assert shard_name(windows[0]) == "20261122T000000Z-20261122T000000_000001Z"
    assert shard_name(Window(EARLIEST, DAY.start)) == "00010102T000000Z-20261122T000000Z"
    requests = [DEMO.model_copy(update=change) for change in ({}, {"project": "p"}, {"window": windows[0]})]
    requests.append(DEMO.model_copy(update={"evaluation_id": "e"}))
    folders = {shards_folder(request, host, owner) for request in requests for host in "ab" for owner in ("r", "s")}
    assert len(folders) == 16
