"""What no retry mends fails at once, says what to do, and leaves nothing behind."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.sandbox import Behaviour, Fault, Sandbox

from .conftest import DAY, DAY_END, KEY, WAYS
from .running import ids_in, run_export

ENDPOINTS = ("export", "search", "legacy", "project-search")
#: No server has more of them for one kind of key.
MOST_ENDPOINTS = 3


def export_with_retries(output, **arguments):
    return run_export(output, retries=2, **arguments)


def assert_failed_at_once(run, output, *said):
    message = run.refusal()
    for text in said:
        assert text in message
    assert KEY not in message
    assert run.xcoms["export"] is None
    assert not output.exists()


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_wrong_key_is_tried_once(serve, connect, output, endpoint):
    sandbox = serve(behaviour=Behaviour(generation="older", endpoints=frozenset({endpoint})))
    connect(sandbox, key="hh_wrong", endpoint=endpoint)

    run = export_with_retries(output)

    assert_failed_at_once(run, output, "HoneyHiveAuthError", "401", "password", "Invalid API key")
    assert len(sandbox.requests) == 1


@pytest.mark.parametrize(("generation", "endpoint"), [way for way in WAYS if way[0] == "today"])
@pytest.mark.parametrize("revoked", [False, True])
def test_todays_404_is_tried_once_and_names_the_key_first(serve_by, connect, output, generation, endpoint, revoked):
    sandbox = serve_by(generation, endpoint)
    key = sandbox.data_plane_key if endpoint.startswith("project-") else KEY
    if revoked:
        del sandbox.keys[key]
    else:
        sandbox.behaviour = replace(sandbox.behaviour, forbidden_keys=frozenset({key}))

    run = export_with_retries(output)

    said = "HTTP 404: check the API key of connection 'honeyhive_default' first, then the project"
    assert_failed_at_once(run, output, "HoneyHiveRefusedError", said)
    assert key not in run.refusal()
    assert len(sandbox.requests) <= MOST_ENDPOINTS


def test_a_key_that_may_not_read_is_tried_once(serve, output):
    sandbox = serve(behaviour=Behaviour(generation="older", forbidden_keys=frozenset({KEY})))

    run = export_with_retries(output)

    assert_failed_at_once(run, output, "HoneyHiveAuthError", "403", "scope to read")
    assert len(sandbox.requests) == 1


def test_an_ingestion_key_is_not_even_sent(sandbox, connect, output):
    connect(sandbox, key="hh_ingst_x")

    run = export_with_retries(output)

    assert_failed_at_once(run, output, "HoneyHiveAuthError", "ingestion key")
    assert sandbox.requests == []


@pytest.mark.parametrize(("generation", "endpoint"), WAYS)
def test_a_project_that_is_not_the_keys_is_not_exported(serve_by, output, generation, endpoint):
    sandbox = serve_by(generation, endpoint)

    run = export_with_retries(output, project="somebody else's")

    assert_failed_at_once(run, output, "roject")
    # "auto" tries others before the one that exists.
    assert len(sandbox.requests) <= MOST_ENDPOINTS


def test_a_filter_that_the_server_refuses_fails_at_once_in_the_servers_words(sandbox, output):
    sandbox.faults.append(Fault.answer(400, {"message": "filters[0].field: no such field", "success": False}))

    run = export_with_retries(output)

    assert_failed_at_once(run, output, "HoneyHiveRequestError", "400", "filters[0].field: no such field")
    assert len(sandbox.requests) == 1


def test_a_server_that_ignores_the_window_is_not_exported_from(serve, output):
    serve(start=DAY.replace(day=1), behaviour=Behaviour(ignore_date_range=True, ignore_time_filters=True))

    run = export_with_retries(output)

    assert_failed_at_once(run, output, "DateRangeIgnoredError", "outside the asked time range")


def test_a_host_that_is_not_the_api_is_named(serve, output):
    sandbox = serve(behaviour=Behaviour(endpoints=frozenset()))

    run = export_with_retries(output)

    assert_failed_at_once(run, output, "HoneyHiveRequestError", sandbox.url, "host")


def test_a_folder_that_holds_another_export_is_left_alone(sandbox, output):
    assert run_export(output, start_time=DAY, end_time=DAY_END).state == "success"
    before = {path: path.read_bytes() for path in output.iterdir()}

    run = export_with_retries(output, start_time=DAY.replace(hour=1), end_time=DAY_END)

    assert "output_path holds another export: put {window_id}" in run.refusal()
    assert {path: path.read_bytes() for path in output.iterdir()} == before


def test_what_a_retry_may_mend_is_tried_again(serve, connect, output):
    sandbox = serve()
    connect(sandbox, max_retries=0)
    sandbox.faults.extend([Fault.answer(503), Fault.answer(503)])

    run = export_with_retries(output)

    assert run.state == "success"
    assert len(run.retried) == 2
    assert len(ids_in(output)) == 300


def test_a_failure_in_the_middle_publishes_nothing(serve, connect, output):
    sandbox = serve(count=3000)
    connect(sandbox, max_retries=0)
    sandbox.fault_at[4] = Fault.reset()

    run = run_export(output, page_size=500, retries=0)

    assert run.state == "failed"
    # What a later try of the same task can go on from.
    assert all(path.name.startswith("_staging") for path in output.glob("*"))


def test_a_success_after_a_failure_leaves_no_litter(serve, connect, output):
    sandbox = serve(count=3000)
    connect(sandbox, max_retries=0)
    sandbox.fault_at[4] = Fault.reset()

    run = export_with_retries(output, page_size=500)

    assert run.state == "success"
    assert len(run.retried) == 1
    assert sorted(ids_in(output)) == sorted(sandbox.event_ids(DAY, DAY_END))
    parts = {part.path for part in Manifest.read(output).files}
    assert {path.name for path in output.iterdir()} == {"_manifest.json", *parts}


@pytest.mark.parametrize(("generation", "said"), [("older", "401"), ("today", "HTTP 404: check the API key")])
def test_a_wrong_key_in_the_middle_fails_at_once(serve, output, generation, said):
    def revoke(sandbox: Sandbox, number: int) -> None:
        if number == 4:
            sandbox.keys.clear()

    serve(count=3000, behaviour=Behaviour(generation=generation, before_request=revoke))

    run = export_with_retries(output, page_size=500)

    kind = "HoneyHiveAuthError" if generation == "older" else "HoneyHiveRefusedError"
    assert_failed_at_once(run, output, kind, said)
