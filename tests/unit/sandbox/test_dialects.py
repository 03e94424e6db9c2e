"""What each dialect requires, refuses and answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_honeyhive.sandbox import Behaviour, Sandbox
from airflow_provider_honeyhive.sandbox.data.traces import SEED_EVENT, project_id

from .wire import EXPORT, LEGACY, MINIMAL, PROJECT_SEARCH, SEARCH, ask, event

if TYPE_CHECKING:
    from collections.abc import Iterator

ALL = list(MINIMAL)
DATE_KEYS = {
    LEGACY: ("$gte", "$lte"),
    EXPORT: ("$gte", "$lte"),
    SEARCH: ("start_time", "end_time"),
    PROJECT_SEARCH: ("start_time", "end_time"),
}
MAX_LIMIT = {LEGACY: 7500, EXPORT: 7500, SEARCH: 1000, PROJECT_SEARCH: 1000}
TOTAL_KEY = {LEGACY: "totalEvents", EXPORT: "count", SEARCH: "count", PROJECT_SEARCH: "count"}


def dates(path: str, start: Any, end: Any) -> dict[str, Any]:
    return {"dateRange": dict(zip(DATE_KEYS[path], (start, end), strict=True))}


@pytest.fixture(scope="module")
def ten() -> Iterator[Sandbox]:
    """Ten events, a second apart."""
    with Sandbox([event(f"e{n}", n * 1000, n=n, metadata={"a": n, "b": 0}) for n in range(10)]) as sandbox:
        yield sandbox


@pytest.mark.parametrize("path", ALL)
def test_answers_newest_first_with_the_total_under_the_dialects_name(ten: Sandbox, path: str) -> None:
    reply = ask(ten, path, {"limit": 3})
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json; charset=utf-8"
    assert reply.ids == ["e9", "e8", "e7"]
    assert list(reply.json) == ["events", TOTAL_KEY[path]]
    assert reply.json[TOTAL_KEY[path]] == 10


@pytest.mark.parametrize("path", ALL)
def test_pages_are_contiguous_and_end_empty(ten: Sandbox, path: str) -> None:
    pages = [ask(ten, path, {"limit": 4, "page": page}).ids for page in (1, 2, 3, 4)]
    assert pages == [["e9", "e8", "e7", "e6"], ["e5", "e4", "e3", "e2"], ["e1", "e0"], []]


@pytest.mark.parametrize("path", ALL)
@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("1970-01-01T00:00:02Z", "1970-01-01T00:00:05Z"),
        ("1970-01-01T00:00:02.000+00:00", "1970-01-01T00:00:05.000"),
        ("1970-01-01T01:00:02+01:00", "1970-01-01 00:00:05"),
        (2000, 5000.0),
    ],
)
def test_date_ranges_include_both_ends_in_every_notation(ten: Sandbox, path: str, start: Any, end: Any) -> None:
    reply = ask(ten, path, dates(path, start, end))
    assert reply.ids == ["e5", "e4", "e3", "e2"]
    assert reply.json[TOTAL_KEY[path]] == 4


@pytest.mark.parametrize("path", ALL)
def test_a_date_range_that_ends_before_it_starts_is_empty(ten: Sandbox, path: str) -> None:
    assert ask(ten, path, dates(path, 5000, 2000)).ids == []


@pytest.mark.parametrize("path", ALL)
@pytest.mark.parametrize("bad", ["yesterday", "", None, True, {}])
def test_a_bad_date_is_refused_by_name(ten: Sandbox, path: str, bad: Any) -> None:
    reply = ask(ten, path, dates(path, "1970-01-01", bad))
    assert reply.status == 400
    assert DATE_KEYS[path][1] in reply.json["message"]


@pytest.mark.parametrize("path", [EXPORT, SEARCH, PROJECT_SEARCH])
def test_the_v1_dialects_want_both_ends_under_their_own_names(ten: Sandbox, path: str) -> None:
    other = SEARCH if path == EXPORT else EXPORT
    for wrong in (dates(other, 2000, 5000), {"dateRange": {DATE_KEYS[path][0]: 2000}}):
        reply = ask(ten, path, wrong)
        assert reply.status == 400
        assert "dateRange." in reply.json["message"]


def test_legacy_accepts_one_end(ten: Sandbox) -> None:
    assert ask(ten, LEGACY, {"dateRange": {"$gte": 8000}}).ids == ["e9", "e8"]
    assert ask(ten, LEGACY, {"dateRange": {"$lte": 1000}}).ids == ["e1", "e0"]


@pytest.mark.parametrize("path", ALL)
def test_limits_up_to_the_dialects_own_are_accepted(ten: Sandbox, path: str) -> None:
    assert ask(ten, path, {"limit": MAX_LIMIT[path]}).status == 200
    reply = ask(ten, path, {"limit": MAX_LIMIT[path] + 1})
    assert reply.status == 400
    assert str(MAX_LIMIT[path]) in reply.json["message"]


@pytest.mark.parametrize("path", ALL)
@pytest.mark.parametrize("key", ["limit", "page"])
@pytest.mark.parametrize("bad", [0, -1, 0.5, 1.5, "10", None, True, [], float("nan"), float("inf")])
def test_limit_and_page_are_whole_numbers_from_1(ten: Sandbox, path: str, key: str, bad: Any) -> None:
    reply = ask(ten, path, {key: bad})
    assert reply.status == 400
    assert reply.json["message"].startswith(f"{key}:")


@pytest.mark.parametrize("path", ALL)
def test_whole_floats_are_accepted(ten: Sandbox, path: str) -> None:
    assert ask(ten, path, {"limit": 2.0, "page": 2.0}).ids == ["e7", "e6"]


@pytest.mark.parametrize("path", ALL)
def test_without_a_limit_a_page_has_1000_events(path: str) -> None:
    with Sandbox([event(f"e{n}", n) for n in range(1001)]) as sandbox:
        assert len(ask(sandbox, path).ids) == 1000


@pytest.mark.parametrize("missing", ["project", "filters"])
def test_legacy_requires_project_and_filters(ten: Sandbox, missing: str) -> None:
    body = {key: value for key, value in MINIMAL[LEGACY].items() if key != missing}
    reply = ask(ten, LEGACY, json.dumps(body).encode())
    assert (reply.status, reply.json["message"]) == (400, f"{missing}: required")


@pytest.mark.parametrize("path", [LEGACY, EXPORT])
def test_projections_narrow_the_events_of_the_export_dialects(ten: Sandbox, path: str) -> None:
    reply = ask(ten, path, {"limit": 1, "projections": ["event_id", "metadata.a", "absent"]})
    assert reply.json["events"] == [{"event_id": "e9", "metadata": {"a": 9}}]
    assert ask(ten, path, {"projections": "event_id"}).status == 400
    assert ask(ten, path, {"projections": [1]}).status == 400


@pytest.mark.parametrize("path", [SEARCH, PROJECT_SEARCH])
def test_search_of_an_older_server_ignores_members_it_does_not_know(path: str) -> None:
    body = {"limit": 1, "projections": ["event_id"], "project": 7, "ignore_order": True, "x": 1}
    events = [event("e8", 8000, n=8), event("e9", 9000, n=9, metadata={"a": 9, "b": 0})]
    with Sandbox(events, behaviour=Behaviour(generation="older")) as sandbox:
        assert ask(sandbox, path, body, key="hh_sandbox").json["events"] == events[1:]


@pytest.mark.parametrize("path", [LEGACY, EXPORT])
def test_ignore_order_leaves_events_unsorted_but_pageable(ten: Sandbox, path: str) -> None:
    whole = ask(ten, path, {"ignore_order": True}).ids
    assert whole not in ([f"e{n}" for n in range(10)], [f"e{n}" for n in reversed(range(10))])
    pages = [ask(ten, path, {"ignore_order": True, "limit": 5, "page": page}).ids for page in (1, 2)]
    assert pages[0] + pages[1] == whole


@pytest.mark.parametrize("path", ALL)
def test_evaluation_id_restricts_to_one_experiment_run(path: str) -> None:
    events = [event("a", 1, metadata={"run_id": "r1"}), event("b", 2, metadata={"run_id": "r2"}), event("c", 3)]
    with Sandbox(events) as sandbox:
        assert ask(sandbox, path, {"evaluation_id": "r2"}).ids == ["b"]
        assert ask(sandbox, path, {"evaluation_id": 5}).status == 400


@pytest.mark.parametrize("path", ALL)
@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"\xff"])
def test_a_body_that_is_no_json_object_is_refused(ten: Sandbox, path: str, body: bytes) -> None:
    reply = ask(ten, path, body)
    assert reply.status == 400
    assert reply.json["success"] is False


def test_errors_are_the_vendors_json(ten: Sandbox) -> None:
    assert ask(ten, SEARCH, {"page": 0}).json == {
        "statusCode": 400,
        "message": "page: must be at least 1, got 0",
        "success": False,
        "errorCode": "BAD_REQUEST",
    }


@pytest.mark.parametrize("path", ALL)
@pytest.mark.parametrize(
    ("key", "status"), [(None, 401), ("hh_other", 401), ("hh_ingst_1", 403), ("hh_narrow", 403), ("hh_sandbox", 200)]
)
def test_only_a_projects_own_key_reads_from_an_older_server(path: str, key: str | None, status: int) -> None:
    keys = {"hh_narrow": "demo"}
    with Sandbox([], keys=keys, behaviour=Behaviour(generation="older", forbidden_keys=frozenset(keys))) as sandbox:
        reply = ask(sandbox, path, key=key)
        assert reply.status == status
        assert sandbox.requests[0].authorized is (status == 200)
        assert reply.json.get("statusCode", 200) == status


@pytest.fixture(scope="module")
def two_projects() -> Iterator[Sandbox]:
    with Sandbox(
        [event("a", project="alpha"), event("b", project="beta"), event("c", project="elsewhere")],
        project="alpha",
        keys={"hh_b": "beta"},
        behaviour=Behaviour(generation="older"),
    ) as sandbox:
        yield sandbox


def test_legacy_gives_404_for_a_project_that_is_not_the_keys(two_projects: Sandbox) -> None:
    assert set(ask(two_projects, LEGACY, {"project": "alpha"}).ids) == {"a", "c"}
    assert ask(two_projects, LEGACY, {"project": "beta"}, key="hh_b").ids == ["b"]
    reply = ask(two_projects, LEGACY, {"project": "beta"})
    assert (reply.status, reply.json["message"]) == (404, "Project not found")
    assert ask(two_projects, LEGACY, {"project": 5}).status == 400


def test_the_key_decides_on_export_whatever_the_body_says(two_projects: Sandbox) -> None:
    assert ask(two_projects, EXPORT, {"project": "alpha"}, key="hh_b").ids == ["b"]


def test_export_can_check_the_project() -> None:
    with Sandbox([event("a")], behaviour=Behaviour(generation="older", export_checks_project=True)) as sandbox:
        assert ask(sandbox, EXPORT).ids == ["a"]
        assert ask(sandbox, EXPORT, {"project": "demo"}).ids == ["a"]
        assert ask(sandbox, EXPORT, {"project": "other"}).json["message"] == "Project not found"


def test_search_does_not_look_at_the_project(two_projects: Sandbox) -> None:
    assert ask(two_projects, SEARCH, {"project": "alpha"}, key="hh_b").ids == ["b"]


@pytest.mark.parametrize("name", ["beta", project_id("beta")])
def test_project_search_takes_the_projects_name_or_id(two_projects: Sandbox, name: str) -> None:
    assert ask(two_projects, f"/v1/projects/{name}/events/search", key="hh_b").ids == ["b"]
    reply = ask(two_projects, f"/v1/projects/{name}/events/search")
    assert (reply.status, reply.json["errorCode"]) == (404, "NOT_FOUND")


def test_project_names_are_unquoted_in_paths() -> None:
    with Sandbox([event("a")], project="New Project", behaviour=Behaviour(generation="older")) as sandbox:
        assert ask(sandbox, "/v1/projects/New%20Project/events/search").ids == ["a"]


def test_the_default_sandbox_serves_the_documentations_own_event() -> None:
    with Sandbox(count=20) as sandbox:
        reply = ask(sandbox, LEGACY, {"dateRange": {"$lte": "2024-12-31T00:00:00Z"}})
        assert reply.json == {"events": [SEED_EVENT], "totalEvents": 1}
        assert len(sandbox.events()) == 21
