"""What operators check, read, hand on, return and tell, whatever it is that they build; nothing is built here."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, Asset, AssetAlias, ObjectStoragePath

from airflow_provider_honeyhive.exceptions import DestinationError, DestinationTakenError, InvalidArgumentError
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.export.result import summarize
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.models.request import ExportRequest
from airflow_provider_honeyhive.models.window import Window
from airflow_provider_honeyhive.operators.dataset import HoneyHiveBuildDatasetOperator
from airflow_provider_honeyhive.operators.report import HoneyHiveReportOperator
from airflow_provider_honeyhive.operators.tables import HoneyHiveBuildTablesOperator
from tests.unit.programs import modules_loaded_by

from .builds import TI, built, context

DAY = Window(datetime(2026, 11, 22, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC))
BUILDERS = (HoneyHiveBuildTablesOperator, HoneyHiveBuildDatasetOperator)
ALL = (*BUILDERS, HoneyHiveReportOperator)
PLACE = {"output_path": "s3://bucket/built/"}


class Build:
    """Stands for what builds: remembers what it was given, and returns a manifest, or raises."""

    def __init__(self) -> None:
        self.given: tuple[Any, ...] = ()
        self.named: dict[str, Any] = {}
        self.error: Exception | None = None

    def __call__(self, sources: Any, place: Any, **named: Any) -> Any:
        self.given, self.named = (sources, place), named
        if self.error is not None:
            raise self.error
        return built(str(place))


@pytest.fixture
def build(monkeypatch):
    """Take the place of what builds tables and datasets."""
    build = Build()
    for name in ("tables", "dataset"):
        fake = SimpleNamespace(**{f"build_{name}": build})
        monkeypatch.setitem(sys.modules, f"airflow_provider_honeyhive.{name}.build", fake)
    return build


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Give the results of exports of two days, and their folder."""
    from airflow_provider_honeyhive.api.client import HoneyHiveClient
    from airflow_provider_honeyhive.api.settings import ClientSettings
    from airflow_provider_honeyhive.sandbox import Sandbox

    folder, results = tmp_path_factory.mktemp("exports"), []
    with (
        Sandbox(count=20, start=DAY.start, end=DAY.end) as sandbox,
        HoneyHiveClient(ClientSettings.parse(api_key=sandbox.key, api_url=sandbox.url)) as client,
    ):
        for day in (DAY, Window.parse("2026-11-23", "2026-11-24")):
            request = ExportRequest.parse(project="demo", window=day)
            place = folder / f"{day.start:%Y-%m-%d}"
            results.append(summarize(export_events(client, request, place, ExportOptions())))
    return SimpleNamespace(folder=folder, results=results)


# ------------------------------------------------------------------------------------- when the DAG is parsed


@pytest.mark.parametrize("kind", BUILDERS)
@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({}, "export: give either export"),
        ({"export": "/a", "exports_folder": "/b"}, "export: give either export"),
        ({"export": "/a", "start_time": "2026-11-22", "end_time": "2026-11-23"}, "start_time.*for exports_folder"),
        ({"export": "/a", "last_exports": 7}, "last_exports.*for exports_folder"),
        ({"exports_folder": "/b", "start_time": "2026-11-22"}, "start_time.*give both"),
        ({"exports_folder": "/b", "end_time": "2026-11-22"}, "end_time.*give both"),
        ({"exports_folder": "/b", "last_exports": 7, "start_time": "2026-11-22"}, "start_time.*or last_exports"),
        ({"exports_folder": "/b", "last_exports": 0}, "last_exports: got 0.*whole number from 1 on"),
        ({"exports_folder": "/b", "last_exports": True}, "last_exports: got True"),
        ({"exports_folder": "/b", "start_time": "soon", "end_time": "later"}, "start_time: got 'soon'"),
        ({"exports_folder": "b"}, "exports_folder: got 'b'.*absolute path"),
        ({"export": "/a", "exports_conn_id": 5}, "exports_conn_id: got 5"),
    ],
)
def test_sources_that_cannot_be_right_fail_the_dag(kind, arguments, text):
    with pytest.raises(InvalidArgumentError, match=text):
        kind(task_id="t", **PLACE, **arguments)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"rows": "events"}, "rows: got 'events'"),
        ({"test_share": 2}, "test_share: got 2"),
        ({"test_share": True}, "got True"),
    ],
)
def test_a_dataset_that_cannot_be_right_fails_the_dag(arguments, text):
    with pytest.raises(InvalidArgumentError, match=text):
        HoneyHiveBuildDatasetOperator(task_id="t", export="/a", **PLACE, **arguments)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize(
    ("output_path", "text"),
    [
        ("s3://bucket/tables.parquet", "output_path: got .*allowed: a folder"),
        ("built", "output_path: got 'built'.*absolute path"),
        ("/built/{day}/", "is no placeholder"),
        ("/built/{start:%H}/", "windows of other years"),
    ],
)
def test_places_that_cannot_be_right_fail_the_dag(kind, output_path, text):
    source = {"tables": "/a"} if kind is HoneyHiveReportOperator else {"export": "/a"}
    with pytest.raises(InvalidArgumentError, match=text):
        kind(task_id="t", output_path=output_path, **source)


def test_tables_that_cannot_be_right_fail_the_dag():
    for tables in ("tables", 5):
        with pytest.raises(InvalidArgumentError, match="tables"):
            HoneyHiveReportOperator(task_id="t", tables=tables, **PLACE)


@pytest.mark.parametrize("kind", BUILDERS)
def test_what_is_known_only_later_is_no_error_yet(kind):
    template = "{{ params.x }}"
    kind(task_id="t", export=object(), output_path=template)
    kind(task_id="t", exports_folder=template, start_time=template, end_time=template, **PLACE)
    kind(task_id="t", exports_folder="/a/", last_exports=template, end_time="2026-11-22", **PLACE)


def test_parsing_imports_nothing_that_only_tasks_need():
    kinds = ("tables", "dataset", "report")
    imports = "\n".join(f"import airflow_provider_honeyhive.operators.{kind}" for kind in kinds)
    make = """
airflow_provider_honeyhive.operators.tables.HoneyHiveBuildTablesOperator(task_id="t", export="/a", output_path="/b/")
airflow_provider_honeyhive.operators.dataset.HoneyHiveBuildDatasetOperator(task_id="d", export="/a", output_path="/b/")
airflow_provider_honeyhive.operators.report.HoneyHiveReportOperator(task_id="r", tables="/a", output_path="/b/")
"""
    loaded = modules_loaded_by(
        f"{imports}\n{make}",
        after="from airflow.providers.common.compat.sdk import BaseOperator, BaseHook, ObjectStoragePath",
    )
    assert "airflow_provider_honeyhive.operators.report" in loaded
    assert not {"altair", "duckdb", "pandas", "pyarrow", "requests", "vl_convert"} & loaded
    heavy = ("builds", "tables", "dataset", "report", "conversations", "build_manifest", "manifest", "hooks")
    assert [
        name for name in loaded if name.startswith(tuple(f"airflow_provider_honeyhive.{one}" for one in heavy))
    ] == []


# ----------------------------------------------------------------------------------------- what is read


def read(build: Build) -> list[str]:
    return [source.manifest.url() for source in build.given[0].exports]


@pytest.mark.parametrize("kind", BUILDERS)
def test_the_result_of_an_export_is_what_is_read(kind, build, exported, tmp_path):
    kind(task_id="t", export=exported.results[0], output_path=f"{tmp_path}/").execute(context())
    assert read(build) == [exported.results[0]["output_path"]]
    assert str(build.given[1]).removeprefix("file://").rstrip("/") == str(tmp_path)
    assert build.named["airflow"].task_id == "t"
    assert (build.named["memory_limit"], build.named["temp_folder"]) == ("1GB", None)


def test_results_of_mapped_exports_and_paths_are_read_too(build, exported, tmp_path):
    urls = [one["output_path"] for one in exported.results]
    for export in (exported.results, tuple(urls), [ObjectStoragePath(f"file://{url}") for url in urls]):
        HoneyHiveBuildTablesOperator(task_id="t", export=export, output_path=f"{tmp_path}/").execute(context())
        assert read(build) == urls
    for export in (urls[0], Path(urls[0]), exported.results[0]["manifest_path"]):
        HoneyHiveBuildTablesOperator(task_id="t", export=export, output_path=f"{tmp_path}/").execute(context())
        assert read(build) == urls[:1]


@pytest.mark.parametrize("export", [[{"event_id": "secret"}], {"event_id": "secret"}, [], [None], 5])
def test_what_is_no_result_of_files_is_refused_and_never_shown(build, tmp_path, export):
    task = HoneyHiveBuildTablesOperator(task_id="t", export=export, output_path=f"{tmp_path}/")
    with pytest.raises(AirflowFailException, match=r"export: give .*export\.output") as failed:
        task.execute(context())
    assert "secret" not in str(failed.value)


def test_a_task_before_it_that_has_returned_nothing_is_told(build, tmp_path):
    task = HoneyHiveBuildTablesOperator(task_id="t", export=object(), output_path=f"{tmp_path}/")
    task.export = None
    with pytest.raises(AirflowFailException, match="give either export"):
        task.execute(context())


def test_a_connection_that_is_not_there_is_named_as_its_argument(build):
    task = HoneyHiveBuildTablesOperator(
        task_id="t", export="s3://bucket/day", exports_conn_id="nowhere", output_path="/built/"
    )
    with pytest.raises(AirflowFailException, match="exports_conn_id: got 'nowhere'"):
        task.execute(context())


def test_the_exports_of_the_runs_window_are_read_from_a_folder(build, exported, tmp_path):
    task = HoneyHiveBuildTablesOperator(task_id="t", exports_folder=f"{exported.folder}/", output_path=f"{tmp_path}/")
    task.execute(context(data_interval_start=DAY.start, data_interval_end=DAY.end))
    assert read(build) == [exported.results[0]["output_path"]]


def test_the_exports_of_two_times_are_read_from_a_folder(build, exported, tmp_path):
    HoneyHiveBuildTablesOperator(
        task_id="t",
        exports_folder=exported.folder,
        start_time="2026-11-22",
        end_time="2026-11-24",
        output_path=f"{tmp_path}/" + "{start:%Y-%m-%d}_{end:%Y-%m-%d}/",
    ).execute(context())
    assert read(build) == [one["output_path"] for one in exported.results]
    assert str(build.given[1]).rstrip("/").endswith("/2026-11-22_2026-11-24")


@pytest.mark.parametrize(
    ("arguments", "run", "wanted"),
    [
        ({"last_exports": 2}, {}, (0, 1)),
        ({"last_exports": "1"}, {}, (1,)),
        ({"last_exports": 1}, {"data_interval_start": DAY.start, "data_interval_end": DAY.end}, (0,)),
        ({"last_exports": 5, "end_time": "2026-11-23"}, {}, (0,)),
    ],
)
def test_the_last_exports_end_by_the_end_of_the_run(build, exported, tmp_path, arguments, run, wanted):
    HoneyHiveBuildDatasetOperator(
        task_id="t", exports_folder=exported.folder, output_path=f"{tmp_path}/", **arguments
    ).execute(context(**run))
    assert read(build) == [exported.results[number]["output_path"] for number in wanted]


def test_the_last_exports_may_be_called_after_their_last_day(build, exported, tmp_path):
    place = f"{tmp_path}/" + "{end:%Y-%m-%d}/"
    task = HoneyHiveBuildTablesOperator(task_id="t", exports_folder=exported.folder, last_exports=2, output_path=place)
    assert task.execute(context())["output_path"] == f"{tmp_path}/2026-11-24"


def test_what_is_the_tasks_own_is_handed_on(build, exported, tmp_path):
    shared = {"export": exported.results[0], "output_path": f"{tmp_path}/", "temp_folder": "/scratch"}
    HoneyHiveBuildTablesOperator(task_id="t", measurements=("words",), memory_limit="2GB", **shared).execute(context())
    assert build.named["measurements"] == ("words",)
    assert (build.named["memory_limit"], build.named["temp_folder"]) == ("2GB", "/scratch")
    HoneyHiveBuildDatasetOperator(task_id="t", rows="sessions", where="NOT failed", test_share=0.2, **shared).execute(
        context()
    )
    assert [build.named[name] for name in ("rows", "where", "test_share")] == ["sessions", "NOT failed", 0.2]


# ---------------------------------------------------------------------------------- what is returned and told


def run(build: Build, exported: Any, tmp_path: Path, outlets: Any = (), **more: Any) -> tuple[Any, Any, Any]:
    task = HoneyHiveBuildTablesOperator(
        task_id="t",
        export=exported.results[0],
        output_path=f"{tmp_path}/" + "{project}/{start:%Y-%m-%d}/",
        outlets=list(outlets),
    )
    given = context(**more)
    return task, given, task.execute(given)


def test_placeholders_are_those_of_what_is_read_and_the_result_is_plain(build, exported, tmp_path):
    task, _, result = run(build, exported, tmp_path)
    assert result["output_path"] == f"{tmp_path}/demo/2026-11-22"
    assert result["files"] == {
        name: [f"{result['output_path']}/{name}/part-00000-{'0' * 12}.parquet"] for name in ("events", "sessions")
    }
    assert result["event_count"] == 300
    assert task.output_path == f"{tmp_path}/demo/2026-11-22/"
    assert (task.start_time, task.end_time) == ("2026-11-22T00:00:00.000Z", "2026-11-23T00:00:00.000Z")


def test_assets_and_aliases_are_told_of_it(build, exported, tmp_path):
    accessors = pytest.importorskip("airflow.sdk.execution_time.context", reason="tests/system has it for Airflow 2")
    asset, alias = Asset("tables"), AssetAlias("built")
    told = accessors.OutletEventAccessors()
    _, given, result = run(build, exported, tmp_path, outlets=(asset, alias), outlet_events=told)
    extra = given["outlet_events"][asset].extra
    assert extra == {name: result[name] for name in extra}
    assert {"kind", "project", "start_time", "end_time", "event_count", "output_path", "manifest_path"} <= extra.keys()
    hash(frozenset(extra.items()))  # as Airflow 2.11 does to those of aliases
    (event,) = given["outlet_events"][alias].asset_alias_events
    assert event.dest_asset_key.uri.rstrip("/") == f"file://{tmp_path}/demo/2026-11-22"


def test_the_log_says_what_is_read_and_what_was_built(build, exported, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    run(build, exported, tmp_path)
    assert "Reading 1 export with 20 events" in caplog.text
    assert f"window [2026-11-22T00:00:00.000Z, 2026-11-23T00:00:00.000Z), output_path {tmp_path}/demo" in caplog.text
    assert f"sessions/part-00000-{'0' * 12}.parquet: 40 rows, 1,500 kB" in caplog.text


def test_a_mapped_task_is_named_by_what_it_builds(build, exported, tmp_path):
    mapped = SimpleNamespace(**{**vars(TI), "map_index": 3})
    _, given, _ = run(build, exported, tmp_path, ti=mapped)
    assert given["honeyhive_map_name"] == "demo, 2026-11-22T00:00:00Z to 2026-11-23T00:00:00Z"


def test_what_no_retry_mends_fails_the_task_for_good(build, exported, tmp_path):
    build.error = DestinationTakenError("put {start} into output_path")
    with pytest.raises(AirflowFailException, match="put {start} into output_path"):
        run(build, exported, tmp_path)
    build.error = DestinationError("the disk is full")
    with pytest.raises(DestinationError):
        run(build, exported, tmp_path)


@pytest.mark.parametrize("kind", BUILDERS)
def test_a_task_that_is_killed_ends_its_build(kind, build, exported, tmp_path):
    task = kind(task_id="t", export=exported.results[0], output_path=f"{tmp_path}/")
    task.on_kill()  # before it has begun: nothing to end
    task.execute(context())
    assert not build.named["stop"].is_stopped
    task.on_kill()
    assert build.named["stop"].is_stopped
