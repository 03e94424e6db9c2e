"""Exports to S3, by a connection of their own."""

from __future__ import annotations

import gzip
import json

from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.sandbox import Fault

from .conftest import DAY, DAY_END
from .running import run_export


def keys(s3, bucket):
    return [item["Key"] for item in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


def ids(s3, bucket, key):
    data = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    lines = (gzip.decompress(data) if key.endswith(".gz") else data).splitlines()
    return sorted(json.loads(line)["event_id"] for line in lines)


def export(path, **arguments):
    return run_export(output_path=path, output_conn_id="store", **arguments)


def test_a_folder_gets_parts_and_a_manifest(sandbox, s3, bucket):
    run = export(f"s3://{bucket}/events/{{{{ data_interval_end | ds }}}}/")

    summary = run.result()
    manifest_key, part_key = keys(s3, bucket)
    assert manifest_key == "events/2026-03-11/_manifest.json"
    assert ids(s3, bucket, part_key) == sorted(sandbox.event_ids(DAY, DAY_END))
    assert summary["output_path"] == f"s3://{bucket}/events/2026-03-11"
    assert summary["manifest_path"] == f"s3://{bucket}/{manifest_key}"
    assert summary["files"] == [f"s3://{bucket}/{part_key}"]
    manifest = Manifest.from_json(s3.get_object(Bucket=bucket, Key=manifest_key)["Body"].read(), manifest_key)
    assert manifest.event_count == summary["event_count"] == 300


def test_one_object_has_its_manifest_beside_it(sandbox, s3, bucket):
    run = export(f"s3://{bucket}/day.jsonl")

    assert run.state == "success", run.errors
    assert keys(s3, bucket) == ["day.jsonl", "day.jsonl.manifest.json"]
    assert ids(s3, bucket, "day.jsonl") == sorted(sandbox.event_ids(DAY, DAY_END))
    assert run.xcoms["export"]["files"] == [f"s3://{bucket}/day.jsonl"]


def test_a_path_may_bring_its_own_connection(sandbox, s3, bucket):
    run = run_export(output_path=ObjectStoragePath(f"s3://{bucket}/day/", conn_id="store"))

    assert run.state == "success", run.errors
    assert len(keys(s3, bucket)) == 2


def test_a_second_run_replaces_the_first(sandbox, s3, bucket):
    assert export(f"s3://{bucket}/day/").state == "success"
    before = keys(s3, bucket)
    sandbox.add([{"event_id": "late", "project": "demo", "start_time": int(DAY.timestamp() * 1000)}])

    assert export(f"s3://{bucket}/day/").state == "success"

    after = keys(s3, bucket)
    assert len(after) == 2
    assert after != before
    assert "late" in ids(s3, bucket, after[1])


def test_a_failure_publishes_nothing(serve, connect, s3, bucket):
    sandbox = serve(count=3000)
    connect(sandbox, max_retries=0)
    sandbox.fault_at[4] = Fault.reset()

    assert export(f"s3://{bucket}/day/", page_size=500).state == "failed"

    assert [key for key in keys(s3, bucket) if not key.startswith("day/_staging")] == []
    assert s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []


def test_a_success_after_a_failure_leaves_no_litter(serve, connect, s3, bucket):
    sandbox = serve(count=3000)
    connect(sandbox, max_retries=0)
    sandbox.fault_at[4] = Fault.reset()

    run = export(f"s3://{bucket}/day/", page_size=500, retries=1)

    assert run.state == "success"
    assert len(run.retried) == 1
    manifest_key, *part_keys = keys(s3, bucket)
    assert manifest_key == "day/_manifest.json"
    found = [event_id for part_key in part_keys for event_id in ids(s3, bucket, part_key)]
    assert sorted(found) == sorted(sandbox.event_ids(DAY, DAY_END))


def test_a_store_that_refuses_is_named(sandbox, s3, bucket):
    run = export(f"s3://{bucket}-that-is-not-there/day/")

    assert run.state == "failed"
    assert f"{bucket}-that-is-not-there" in str(run.errors["export"])
