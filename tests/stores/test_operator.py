"""The operator in a real DAG run, writing to each kind of store by a connection id."""

from __future__ import annotations

import gzip
import json
import re
from typing import TYPE_CHECKING

import pytest

from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.operators.honeyhive import HoneyHiveExportEventsOperator
from tests.system.conftest import DAY, DAY_END
from tests.system.running import run_task

from .places import Place

if TYPE_CHECKING:
    from tests.system.running import Run


def export(place: Place, name: str, **arguments: object) -> Run:
    return run_task(
        lambda: HoneyHiveExportEventsOperator(
            task_id="export", output_path=f"{place.url}/{name}", output_conn_id=place.conn_id, **arguments
        )
    )


def ids(data: bytes) -> list[str]:
    return sorted(json.loads(line)["event_id"] for line in data.splitlines())


def test_a_run_leaves_parts_and_a_manifest(serve, place):
    sandbox = serve()
    run = export(place, "events/{{ data_interval_end | ds }}/{{ run_id }}/")

    assert run.state == "success", run.errors
    files, summary = place.files(), run.xcoms["export"]
    manifest_name, part_name = sorted(files)
    folder = re.fullmatch(r"events/2026-03-11/(.+)/_manifest\.json", manifest_name)
    assert folder
    assert ":" in folder[1]
    assert ids(gzip.decompress(files[part_name])) == sorted(sandbox.event_ids(DAY, DAY_END))
    base = place.shown_url
    assert summary["output_path"] == f"{base}/{manifest_name}".removesuffix("/_manifest.json")
    assert summary["manifest_path"] == f"{base}/{manifest_name}"
    assert summary["files"] == [f"{base}/{part_name}"]
    assert Manifest.from_json(files[manifest_name], manifest_name).event_count == summary["event_count"] == 300


def test_a_run_leaves_one_object_and_its_manifest(serve, place):
    sandbox = serve()
    run = export(place, "day.jsonl")

    assert run.state == "success", run.errors
    files = place.files()
    assert set(files) == {"day.jsonl", "day.jsonl.manifest.json"}
    assert ids(files["day.jsonl"]) == sorted(sandbox.event_ids(DAY, DAY_END))


def test_a_path_may_bring_its_own_connection(serve, place):
    serve()
    run = run_task(lambda: HoneyHiveExportEventsOperator(task_id="export", output_path=place.path("day")))

    assert run.state == "success", run.errors
    assert len(place.files()) == 2


def test_a_run_after_a_failure_leaves_no_litter(serve, connect, place):
    from airflow_provider_honeyhive.sandbox import Fault

    sandbox = serve(count=3000)
    connect(sandbox, max_retries=0)
    sandbox.fault_at[4] = Fault.reset()

    run = export(place, "day/", page_size=500, retries=1)

    assert run.state == "success", run.errors
    assert len(run.retried) == 1
    files = place.files()
    manifest = Manifest.from_json(files.pop("day/_manifest.json"), "day")
    assert sorted(files) == sorted(f"day/{part.path}" for part in manifest.files)
    assert ids(b"".join(map(gzip.decompress, files.values()))) == sorted(sandbox.event_ids(DAY, DAY_END))


def test_a_bucket_that_is_not_there_is_named(serve, bucket):
    serve()
    place = Place(bucket.conn_id, f"{bucket.url}-that-is-not-there", bucket.server)
    run = export(place, "day/")

    assert run.state == "failed"
    assert f"{place.url}/day" in str(run.errors["export"])
    assert bucket.server.secret not in str(run.errors["export"])


@pytest.mark.parametrize("scheme", ["gs", "abfs"])
def test_a_connection_that_is_not_there_is_named(serve, scheme):
    serve()
    run = export(Place("nowhere", f"{scheme}://bucket", None), "day/")

    assert run.state == "failed"
    assert "nowhere" in str(run.errors["export"])
