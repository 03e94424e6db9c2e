"""Exactly which events belong to a window."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_honeyhive.manifest import Manifest

from .conftest import DAY, DAY_END, WAYS
from .running import ids_in, run_export

MS = timedelta(milliseconds=1)


@pytest.mark.parametrize(("generation", "endpoint"), WAYS)
@pytest.mark.parametrize("time_format", ["ms", "iso", "text"])
def test_the_start_belongs_to_the_window_and_the_end_to_the_next(serve_by, output, generation, endpoint, time_format):
    times = {
        "before": DAY - MS,
        "start": DAY,
        "first": DAY + MS,
        "last": DAY_END - MS,
        "end": DAY_END,
        "after": DAY_END + MS,
    }
    serve_by(
        generation,
        endpoint,
        [
            {"event_id": name, "project": "demo", "start_time": int(time.timestamp() * 1000)}
            for name, time in times.items()
        ],
        time_format=time_format,
    )

    run = run_export(output)

    assert run.state == "success"
    assert sorted(ids_in(output)) == ["first", "last", "start"]


@pytest.mark.parametrize(("generation", "endpoint"), WAYS)
def test_a_window_is_whole_on_each_endpoint(serve_by, output, generation, endpoint):
    sandbox = serve_by(generation, endpoint, count=3000)

    run = run_export(output, page_size=500)

    assert run.state == "success"
    assert sorted(ids_in(output)) == sorted(sandbox.event_ids(DAY, DAY_END))
    assert Manifest.read(output).request.endpoint == endpoint


def test_a_window_without_events_leaves_a_manifest_and_no_part(serve, output):
    serve([])

    run = run_export(output)

    assert run.state == "success"
    assert [path.name for path in output.iterdir()] == ["_manifest.json"]
    assert Manifest.read(output).event_count == 0
    assert run.xcoms["export"]["event_count"] == 0
    assert run.xcoms["export"]["files"] == []


def test_a_second_run_replaces_the_first_and_gives_the_same_files(sandbox, output):
    digests = []
    for _ in range(2):
        # Not gzip, whose bytes may differ.
        run = run_export(output, compression="zstd")
        assert run.state == "success"
        digests.append([part.sha256 for part in Manifest.read(output).files])

    assert digests[0] == digests[1]
    assert len(list(output.iterdir())) == 2
