"""Tasks that build, in Airflow: of mapped exports, of a folder, over several days, between stores, and killed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_honeyhive.build_manifest import BuildManifest
from airflow_provider_honeyhive.operators.dataset import HoneyHiveBuildDatasetOperator
from airflow_provider_honeyhive.operators.honeyhive import HoneyHiveExportEventsOperator
from airflow_provider_honeyhive.operators.report import HoneyHiveReportOperator
from airflow_provider_honeyhive.operators.tables import HoneyHiveBuildTablesOperator

from .running import run_task

if TYPE_CHECKING:
    from pathlib import Path

HALVES = [
    {"start_time": "2026-03-10T00:00:00Z", "end_time": "2026-03-10T12:00:00Z"},
    {"start_time": "2026-03-10T12:00:00Z", "end_time": "2026-03-11T00:00:00Z"},
]


def halves(folder: Any, **arguments: Any) -> Any:
    """Make mapped exports of the halves of the day, each in a folder of its own."""
    return HoneyHiveExportEventsOperator.partial(
        task_id="export", output_path=f"{folder}/exports/{{start}}/", **arguments
    ).expand_kwargs(HALVES)


def sources_of(result: dict[str, Any]) -> int:
    return len(BuildManifest.read(result["manifest_path"]).sources)


def test_mapped_exports_become_one_build_or_one_each(sandbox, tmp_path):
    def make() -> None:
        exports = halves(tmp_path)
        HoneyHiveBuildTablesOperator(task_id="all", export=exports.output, output_path=f"{tmp_path}/all/")
        HoneyHiveBuildTablesOperator.partial(task_id="each", output_path=f"{tmp_path}/each/{{start}}/").expand(
            export=exports.output
        )

    run = run_task(make)

    whole = run.result("all")
    assert (sources_of(whole), whole["event_count"]) == (2, 300)
    assert (whole["start_time"], whole["end_time"]) == ("2026-03-10T00:00:00.000Z", "2026-03-11T00:00:00.000Z")
    parts = [run.xcoms[f"each[{number}]"] for number in range(2)]
    assert sum(part["event_count"] for part in parts) == 300
    assert [sources_of(part) for part in parts] == [1, 1]


def test_the_last_exports_of_a_folder_become_a_report_that_is_called_after_their_end(sandbox, tmp_path):
    place = f"{tmp_path}/{{}}/{{{{end:%Y-%m-%d}}}}/"

    def make() -> None:
        tables = HoneyHiveBuildTablesOperator(
            task_id="tables",
            exports_folder=f"{tmp_path}/exports",
            last_exports="{{ params.count }}",
            output_path=place.format("tables"),
        )
        report = HoneyHiveReportOperator(task_id="report", tables=tables.output, output_path=place.format("report"))
        halves(tmp_path) >> tables
        assert report.upstream_task_ids == {"tables"}

    run = run_task(make, params={"count": 2}, render_template_as_native_obj=True)

    assert run.result("report")["page"] == f"{tmp_path}/report/2026-03-11/report.html"
    assert sources_of(run.xcoms["tables"]) == 2


def test_a_run_without_a_window_is_told_what_to_do(sandbox, tmp_path):
    run = run_task(
        lambda: HoneyHiveBuildTablesOperator(
            task_id="export", exports_folder=f"{tmp_path}/exports", output_path=f"{tmp_path}/tables/"
        ),
        None,
        schedule=None,
    )
    assert "this run has no window of its own: give it start_time and end_time" in run.refusal()


def test_exports_and_builds_may_be_in_a_store_of_a_connection(sandbox, bucket, tmp_path):
    def make() -> None:
        store = {"output_conn_id": "store", "exports_conn_id": "store"}
        export = HoneyHiveExportEventsOperator(
            task_id="export", output_path=f"s3://{bucket}/events/", output_conn_id="store"
        ).output
        HoneyHiveBuildDatasetOperator(task_id="dataset", export=export, output_path=f"s3://{bucket}/dataset/", **store)
        tables = HoneyHiveBuildTablesOperator(
            task_id="tables", exports_folder=f"s3://{bucket}/events/", output_path=f"s3://{bucket}/tables/", **store
        )
        export.operator >> tables
        HoneyHiveReportOperator(
            task_id="report", tables=tables.output, tables_conn_id="store", output_path=f"{tmp_path}/report/"
        )

    run = run_task(make)

    assert run.result("dataset")["output_path"] == f"s3://{bucket}/dataset"
    assert run.result("report")["event_count"] == 300
    assert (tmp_path / "report" / "report.html").exists()


@pytest.mark.parametrize("kind", [HoneyHiveBuildTablesOperator, HoneyHiveBuildDatasetOperator])
def test_a_task_that_is_killed_publishes_nothing_and_leaves_nothing(sandbox, tmp_path, monkeypatch, kind):
    from airflow_provider_honeyhive.builds import stopping

    scratch = tmp_path / "scratch"
    scratch.mkdir()

    class Killed(kind):  # type: ignore[valid-type, misc]
        def build(self, sources: Any, place: Path, **options: Any) -> Any:
            threading.Timer(0.05, self.on_kill).start()
            options["stop"].__class__ = Slow
            return super().build(sources, place, **options)

    class Slow(stopping.BuildStop):
        def check(self) -> None:
            # So that the build is not over before it is killed.
            threading.Event().wait(0.5)
            super().check()

    def make() -> None:
        export = HoneyHiveExportEventsOperator(task_id="export", output_path=f"{tmp_path}/events/").output
        Killed(task_id="build", export=export, output_path=f"{tmp_path}/built/", temp_folder=str(scratch), retries=0)

    run = run_task(make)

    assert run.state == "failed"
    assert "the build was stopped; nothing was published" in str(run.errors["build"])
    assert not list(tmp_path.glob("built/*"))
    assert not list(scratch.iterdir())
