"""Today's server and the older one: which key reads by which path, and how each says no."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_honeyhive.sandbox import Behaviour, Sandbox
from airflow_provider_honeyhive.sandbox.data.traces import project_id
from tests.unit.sandbox.wire import EXPORT, LEGACY, SEARCH, ask, event

if TYPE_CHECKING:
    from collections.abc import Iterator

BY_ID = [f"/v1/projects/{project_id('alpha')}/events/{what}" for what in ("export", "search")]
BY_NAME = [f"/v1/projects/alpha/events/{what}" for what in ("export", "search")]
UNSCOPED = [LEGACY, EXPORT, SEARCH]
NOT_FOUND = {"statusCode": 404, "message": "Not found", "success": False, "errorCode": "NOT_FOUND"}
CANNOT_READ = {"hh_narrow": "alpha", "hh_ingst_1": "alpha", "hh_fgcp_1": "alpha"}


@pytest.fixture
def alpha() -> Iterator[Sandbox]:
    keys = {"hh_b": "beta", **CANNOT_READ}
    behaviour = Behaviour(forbidden_keys=frozenset({"hh_narrow"}))
    events = [event("a", project="alpha"), event("b", project="beta")]
    with Sandbox(events, project="alpha", keys=keys, behaviour=behaviour) as sandbox:
        yield sandbox


def body(path: str) -> dict[str, Any]:
    return {"project": "alpha", "filters": []} if path == LEGACY else {}


@pytest.mark.parametrize("path", UNSCOPED)
def test_classic_keys_read_by_the_unscoped_paths(alpha: Sandbox, path: str) -> None:
    assert ask(alpha, path, body(path)).ids == ["a"]
    reply = ask(alpha, path, body(path), key=alpha.data_plane_key)
    assert (reply.status, reply.json) == (404, NOT_FOUND)


@pytest.mark.parametrize("path", BY_ID)
def test_data_plane_keys_read_every_project_by_its_id(alpha: Sandbox, path: str) -> None:
    other = path.replace(project_id("alpha"), project_id("beta"))
    assert ask(alpha, path, key=alpha.data_plane_key).ids == ["a"]
    assert ask(alpha, other, key=alpha.data_plane_key).ids == ["b"]
    reply = ask(alpha, path)
    assert (reply.status, reply.json) == (404, NOT_FOUND)


@pytest.mark.parametrize("path", BY_NAME)
def test_paths_take_no_names(alpha: Sandbox, path: str) -> None:
    reply = ask(alpha, path, key=alpha.data_plane_key)
    assert (reply.status, reply.json) == (404, NOT_FOUND)


@pytest.mark.parametrize("path", [*UNSCOPED, *BY_ID])
@pytest.mark.parametrize("key", [None, "hh_unknown", "hh_fgdp_unknown", *CANNOT_READ])
def test_every_refused_key_is_the_same_404(alpha: Sandbox, path: str, key: str | None) -> None:
    reply = ask(alpha, path, body(path), key=key)
    assert (reply.status, reply.json) == (404, NOT_FOUND)


@pytest.mark.parametrize("member", ["project", "projections", "ignore_order", "x"])
def test_search_refuses_members_that_it_does_not_know(alpha: Sandbox, member: str) -> None:
    for path, key in ((SEARCH, alpha.key), (BY_ID[1], alpha.data_plane_key)):
        reply = ask(alpha, path, {member: 1}, key=key)
        assert (reply.status, reply.json["errorCode"]) == (400, "BAD_REQUEST")
    assert ask(alpha, SEARCH, {"limit": 1001}).status == 400


@pytest.mark.parametrize("missing", ["project-export", "project-search"])
@pytest.mark.parametrize("style", ["html", "vendor"])
def test_one_of_the_paths_with_an_id_may_not_exist(missing: str, style: Any) -> None:
    behaviour = Behaviour(endpoints=frozenset({"project-export", "project-search"}) - {missing}, router_404=style)
    with Sandbox([event("a")], project="alpha", behaviour=behaviour) as sandbox:
        for path in BY_ID:
            reply = ask(sandbox, path, key=sandbox.data_plane_key)
            is_missing = path.endswith(missing.removeprefix("project-"))
            assert reply.status == (404 if is_missing else 200)
            assert not (is_missing and style == "vendor") or reply.json == NOT_FOUND


def test_a_key_can_be_revoked_between_pages() -> None:
    def revoke(sandbox: Sandbox, number: int) -> None:
        if number == 2:
            del sandbox.keys[sandbox.key]

    with Sandbox([event("a"), event("b")], behaviour=Behaviour(before_request=revoke)) as sandbox:
        assert ask(sandbox, EXPORT, {"limit": 1}).status == 200
        reply = ask(sandbox, EXPORT, {"limit": 1, "page": 2})
    assert (reply.status, reply.json) == (404, NOT_FOUND)


@pytest.mark.parametrize(
    ("key", "status"),
    [(None, 401), ("hh_unknown", 401), ("hh_narrow", 403), ("hh_ingst_1", 403), ("hh_fgcp_1", 403)],
)
@pytest.mark.parametrize("path", [*UNSCOPED, *BY_ID, *BY_NAME])
def test_older_servers_say_what_is_wrong_with_a_key(alpha: Sandbox, path: str, key: str | None, status: int) -> None:
    alpha.behaviour = Behaviour(generation="older", forbidden_keys=frozenset({"hh_narrow"}))
    assert ask(alpha, path, body(path), key=key).status == status
    assert ask(alpha, path, {**body(path), "x": 1}).ids == ["a"]
