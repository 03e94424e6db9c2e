"""Which paths each kind of key asks, and what becomes of a refusal: over HTTP, against both generations of servers."""

from __future__ import annotations

import pickle

import pytest

from airflow_provider_honeyhive.api.keys import CLASSIC, CONTROL_PLANE, DATA_PLANE, INGESTION, kind_of
from airflow_provider_honeyhive.api.settings import ClientSettings
from airflow_provider_honeyhive.exceptions import (
    HoneyHiveAuthError,
    HoneyHiveError,
    HoneyHiveRefusedError,
    HoneyHiveRequestError,
    InvalidArgumentError,
)
from airflow_provider_honeyhive.models.request import ExportRequest
from airflow_provider_honeyhive.sandbox import Behaviour, Fault

DATA_PLANE_KEY = "hh_fgdp_" + "a1B2c3D4e5F6g7H8i9J0k1L2" + "_s3cr3t"


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("hh_abc", CLASSIC),
        ("anything else", CLASSIC),
        (DATA_PLANE_KEY, DATA_PLANE),
        ("hh_ingst_x", INGESTION),
        ("hh_fgcp_x", CONTROL_PLANE),
    ],
)
def test_the_prefix_tells_the_kind(key, kind):
    assert kind_of(key) is kind


def refusal_of(client, project="demo") -> HoneyHiveError:
    with pytest.raises(HoneyHiveError) as caught:
        client.fetch_page(ExportRequest(project=project))
    return caught.value


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_names_the_connection_and_is_both_kinds_of_error_where_it_may_be_either(sandbox, client_of, status):
    sandbox.faults.append(Fault.answer(status))
    error = refusal_of(client_of(sandbox, key_source="of connection 'honeyhive_eu'"))
    assert isinstance(error, HoneyHiveAuthError)
    assert isinstance(error, HoneyHiveRequestError) == (status == 404)
    assert "the API key of connection 'honeyhive_eu'" in str(error)[:100]
    assert (error.status_code, error.retryable, error.attempts) == (status, False, 1)
    assert len(sandbox.requests) == 1
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - made here
    assert (type(again), str(again)) == (type(error), str(error))


def test_a_404_says_what_to_check_in_the_order_of_what_it_is_most_often(sandbox, client_of):
    sandbox.faults.append(Fault.answer(404))
    said = str(refusal_of(client_of(sandbox)))
    places = [said.index(word) for word in ("HTTP 404: check the API key", "then the project", "then ids")]
    assert places == sorted(places)
    assert all(word in said for word in ("invalid", "revoked", "expired", "may not read"))
    assert "takes the id" not in said


def test_with_a_data_plane_key_it_says_that_the_project_is_given_by_its_id(sandbox, client_of):
    sandbox.faults += [Fault.answer(404)] * 2
    said = str(refusal_of(client_of(sandbox, api_key=DATA_PLANE_KEY)))
    assert "takes the id and not the name (HoneyHive: Settings → Project → API Keys → Data Plane)" in said
    assert DATA_PLANE_KEY not in said
    assert [request.path for request in sandbox.requests] == [
        "/v1/projects/demo/events/export",
        "/v1/projects/demo/events/search",
    ]


@pytest.mark.parametrize("router", ["html", "nest", "gateway", "vendor"])
@pytest.mark.parametrize("endpoint", ["project-export", "project-search"])
def test_of_the_two_paths_of_a_data_plane_key_the_one_that_exists_is_found(sandbox_with, client_of, endpoint, router):
    sandbox = sandbox_with(behaviour=Behaviour(endpoints=frozenset([endpoint, "search"]), router_404=router))
    client = client_of(sandbox, api_key=sandbox.data_plane_key)
    for _ in range(2):
        assert len(client.fetch_page(ExportRequest(project=sandbox.project_id))) > 0
    assert client.endpoint.name == endpoint
    assert len(sandbox.requests) == 2 + (endpoint == "project-search")


def test_todays_server_refuses_each_kind_of_key_on_the_paths_of_the_other(sandbox, client_of):
    with pytest.raises(HoneyHiveRefusedError):
        client_of(sandbox, endpoint="project-search").fetch_page(ExportRequest(project=sandbox.project_id))
    own = client_of(sandbox, api_key=sandbox.data_plane_key, endpoint="/v1/events/search")
    with pytest.raises(HoneyHiveRefusedError):
        own.fetch_page(ExportRequest(project=sandbox.project_id))


def test_a_name_in_place_of_an_id_is_refused_with_what_to_do(sandbox, client_of):
    client = client_of(sandbox, api_key=sandbox.data_plane_key)
    assert "takes the id and not the name" in str(refusal_of(client, "demo"))
    client.fetch_page(ExportRequest(project=sandbox.project_id))


@pytest.mark.parametrize(("generation", "status"), [("today", 404), ("older", 401)])
def test_a_revoked_key_is_told_on_both_generations(sandbox_with, client_of, generation, status):
    sandbox = sandbox_with(behaviour=Behaviour(generation=generation))
    error = refusal_of(client_of(sandbox, api_key="hh_revoked", key_source="of connection 'c'"))
    assert isinstance(error, HoneyHiveAuthError)
    assert (error.status_code, len(sandbox.requests)) == (status, 1)
    assert "the API key of connection 'c'" in str(error)[:100]


def test_a_data_plane_key_without_a_project_is_told_before_the_first_request(sandbox, client_of):
    client = client_of(sandbox, api_key=DATA_PLANE_KEY, project=None)
    with pytest.raises(InvalidArgumentError, match="^project: got None; a data plane key takes the project's id"):
        client.fetch_page(ExportRequest())
    assert sandbox.requests == []


@pytest.mark.parametrize(
    "body", ["<html>404</html>", {"message": "Cannot POST /v1/events/export"}, {"error": "no Route"}]
)
def test_a_404_of_a_router_stays_no_such_path_or_host(sandbox, client_of, body):
    sandbox.faults += [Fault.answer(404, body)] * 3
    error = refusal_of(client_of(sandbox))
    assert type(error) is HoneyHiveRequestError
    assert "has none of the paths /v1/events/export, /v1/events/search, /events/export" in str(error)


def test_a_404_of_a_router_once_an_endpoint_is_found_is_no_matter_of_the_key(sandbox, client_of):
    client = client_of(sandbox)
    client.fetch_page(ExportRequest(project="demo"))
    sandbox.faults.append(Fault.answer(404, "<html>404</html>"))
    error = refusal_of(client)
    assert type(error) is HoneyHiveRequestError
    assert "no such path or host" in str(error)[:100]


@pytest.mark.parametrize("status", [401, 403, 404])
@pytest.mark.parametrize("is_routers", [False, True])
def test_the_control_planes_host_is_told_where_it_refuses(sandbox, client_of, monkeypatch, status, is_routers):
    from airflow_provider_honeyhive.api import failures

    monkeypatch.setattr(failures, "CONTROL_PLANE_HOST", "127.0.0.1")
    sandbox.faults += [Fault.answer(status, "<html></html>" if is_routers else None)] * 3
    said = str(refusal_of(client_of(sandbox)))
    first = said.split("\n", maxsplit=1)[0]
    assert "set the connection's host to the URL of the data plane: api.honeyhive.ai holds no events" in first
    assert "It is HoneyHive's control plane" in said


def test_the_control_plane_is_told_by_its_host_alone():
    from airflow_provider_honeyhive.api.failures import is_control_plane

    assert is_control_plane("https://api.honeyhive.ai/v1/events/export")
    assert not is_control_plane("https://api.dp1.us.honeyhive.ai/v1/events/export")
    assert not is_control_plane("https://example.com/api.honeyhive.ai")


def test_where_the_key_came_from_is_in_no_extra_of_a_connection():
    assert ClientSettings.parse(api_key="hh_x").key_name == "the API key"
    assert ClientSettings.parse(api_key="hh_x", key_source="of HH_API_KEY").key_name == "the API key of HH_API_KEY"


def test_whoever_catches_either_kind_catches_a_refusal(sandbox, client_of):
    for kind in (HoneyHiveAuthError, HoneyHiveRequestError, HoneyHiveRefusedError):
        sandbox.faults.append(Fault.answer(404))
        with pytest.raises(kind):
            client_of(sandbox).fetch_page(ExportRequest(project="demo"))


@pytest.mark.parametrize(
    "body",
    [
        {"success": False, "errorCode": "NOT_FOUND", "message": "Project route-planner not found"},
        {"success": False, "message": "no route to it: endpoint not found"},
        {"statusCode": 404, "message": "Project checkout not found", "error": "Not Found"},
    ],
)
def test_what_honeyhive_says_of_a_project_is_no_missing_path_whatever_its_name(sandbox, client_of, body):
    """Else the next endpoint would be asked, which takes no project and reads the one of the key."""
    sandbox.faults.append(Fault.answer(404, body))
    assert isinstance(refusal_of(client_of(sandbox), "route-planner"), HoneyHiveRefusedError)
    assert len(sandbox.requests) == 1


@pytest.mark.parametrize("message", ["Cannot POST /v1/events/export", "Route POST:/v1/events/export not found"])
def test_what_a_router_says_in_json_is_a_missing_path(sandbox, client_of, message):
    sandbox.faults.append(Fault.answer(404, {"statusCode": 404, "message": message, "error": "Not Found"}))
    client = client_of(sandbox)
    client.fetch_page(ExportRequest(project="demo"))
    assert client.endpoint.name == "search"


@pytest.mark.parametrize("project", [".", ".."])
def test_no_project_leads_out_of_its_path(sandbox, client_of, project):
    client = client_of(sandbox, api_key=sandbox.data_plane_key)
    with pytest.raises(InvalidArgumentError, match="^project: got"):
        client.fetch_page(ExportRequest(project=project))
    assert sandbox.requests == []


def test_a_request_without_a_project_is_told_so_once_an_endpoint_is_known_too(sandbox, client_of):
    client = client_of(sandbox, api_key=sandbox.data_plane_key)
    client.fetch_page(ExportRequest(project=sandbox.project_id))
    with pytest.raises(InvalidArgumentError, match="^project: got None; a data plane key takes the project's id"):
        client.fetch_page(ExportRequest())
    assert len(sandbox.requests) == 1


def test_the_secret_piece_of_a_data_plane_key_is_hidden_by_itself(sandbox, client_of):
    piece = "0123456789abcdefghij"
    client = client_of(sandbox, api_key=f"hh_fgdp_{'a' * 24}_{piece}")
    sandbox.faults += [Fault.answer(404, {"success": False, "message": f"no secret {piece}"})] * 2
    assert piece not in str(refusal_of(client))


@pytest.mark.parametrize("status", [400, 401, 404, 500])
def test_without_content_no_error_has_the_servers_words(sandbox, client_of, status):
    """They may repeat ids and filters of the request."""
    sandbox.faults.append(Fault.answer(status, {"success": False, "message": "leak visit", "errorCode": "leak"}))
    with pytest.raises(HoneyHiveError) as caught:
        client_of(sandbox, max_retries=0).fetch_page(ExportRequest(project="demo", include_content=False))
    assert "leak" not in f"{caught.value} {vars(caught.value)}"
    assert f"HTTP {status}" in str(caught.value)
