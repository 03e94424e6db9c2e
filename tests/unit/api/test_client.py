"""One request: what goes over the wire, when it is sent again, and what every refusal becomes."""

from __future__ import annotations

import socket

import pytest

from airflow_provider_honeyhive.api.client import HoneyHiveClient
from airflow_provider_honeyhive.api.endpoints import DateRange
from airflow_provider_honeyhive.api.settings import ClientSettings
from airflow_provider_honeyhive.exceptions import (
    HoneyHiveAuthError,
    HoneyHiveConnectionError,
    HoneyHiveRefusedError,
    HoneyHiveRequestError,
    HoneyHiveResponseError,
    InvalidArgumentError,
)
from airflow_provider_honeyhive.models.filters import EventFilter
from airflow_provider_honeyhive.models.request import ExportRequest
from airflow_provider_honeyhive.models.window import parse_time
from airflow_provider_honeyhive.sandbox import Behaviour, Fault
from tests.unit.ways import asking

DEMO = ExportRequest(project="demo")
RANGE = DateRange(parse_time("2026-01-01"), parse_time("2026-01-02T00:00:00.5Z"))


def only(*names: str) -> Behaviour:
    return Behaviour(endpoints=frozenset(names))


@pytest.mark.parametrize(
    ("endpoint", "path", "body"),
    [
        (
            "export",
            "/v1/events/export",
            {"project": "demo", "dateRange": {"$gte": "2026-01-01T00:00:00.000Z", "$lte": "2026-01-02T00:00:00.500Z"}},
        ),
        (
            "legacy",
            "/events/export",
            {"project": "demo", "dateRange": {"$gte": "2026-01-01T00:00:00.000Z", "$lte": "2026-01-02T00:00:00.500Z"}},
        ),
        (
            "search",
            "/v1/events/search",
            {"dateRange": {"start_time": "2026-01-01T00:00:00.000Z", "end_time": "2026-01-02T00:00:00.500Z"}},
        ),
        (
            "project-export",
            "/v1/projects/{}/events/export",
            {"dateRange": {"$gte": "2026-01-01T00:00:00.000Z", "$lte": "2026-01-02T00:00:00.500Z"}},
        ),
        (
            "project-search",
            "/v1/projects/{}/events/search",
            {"dateRange": {"start_time": "2026-01-01T00:00:00.000Z", "end_time": "2026-01-02T00:00:00.500Z"}},
        ),
    ],
)
def test_each_dialect_is_spoken_exactly(sandbox_with, client_of, endpoint, path, body):
    sandbox = sandbox_with(behaviour=only(endpoint))
    settings, asked = asking(sandbox, endpoint, DEMO)
    client = client_of(sandbox, **{"endpoint": endpoint, **settings})
    wanted = EventFilter(field="event_type", operator="is", value="model")
    client.fetch_page(
        asked.model_copy(update={"filters": (wanted,), "evaluation_id": "run-1"}), RANGE, page=2, limit=50
    )
    (request,) = sandbox.requests
    assert request.path == path.format(sandbox.project_id)
    assert request.body == {**body, "filters": [wanted.to_wire()], "evaluation_id": "run-1", "page": 2, "limit": 50}
    assert request.status == 200
    assert request.authorized
    assert request.headers["user-agent"].startswith("airflow-provider-honeyhive/")
    assert "gzip" in request.headers["accept-encoding"]


@pytest.mark.parametrize("router", ["html", "nest", "gateway"])
@pytest.mark.parametrize("endpoint", ["export", "search", "legacy"])
def test_auto_finds_the_endpoint_that_exists_and_stays_with_it(sandbox_with, client_of, endpoint, router):
    sandbox = sandbox_with(behaviour=Behaviour(endpoints=frozenset([endpoint]), router_404=router))
    client = client_of(sandbox)
    client.fetch_page(DEMO)
    client.fetch_page(DEMO)
    assert client.endpoint.name == endpoint
    assert [request.status for request in sandbox.requests][-2:] == [200, 200]
    assert len(sandbox.requests) == ["export", "search", "legacy"].index(endpoint) + 2


def test_a_missing_project_is_not_taken_for_a_missing_path(sandbox_with, client_of):
    sandbox = sandbox_with(behaviour=Behaviour(export_checks_project=True))
    with pytest.raises(HoneyHiveRefusedError, match="then the project") as caught:
        client_of(sandbox).fetch_page(ExportRequest(project="other"))
    assert caught.value.status_code == 404
    assert len(sandbox.requests) == 1


def test_a_host_without_any_endpoint_is_named(sandbox_with, client_of):
    sandbox = sandbox_with(behaviour=only())
    with pytest.raises(HoneyHiveRequestError, match="none of the paths /v1/events/export, /v1/events/search"):
        client_of(sandbox).fetch_page(DEMO)


def test_the_limit_never_exceeds_the_endpoints_maximum(sandbox_with, client_of):
    sandbox = sandbox_with(behaviour=only("search"))
    client_of(sandbox).fetch_page(DEMO, limit=7500)
    assert sandbox.requests[-1].body["limit"] == 1000


def test_projections_bring_what_the_reader_needs_and_are_not_sent_where_they_would_be_ignored(sandbox, client_of):
    wanted = DEMO.model_copy(update={"projections": ("inputs",)})
    page = client_of(sandbox, endpoint="export").fetch_page(wanted)
    assert set(page.events[0]) == {"inputs", "event_id", "start_time", "project", "project_id"}
    client_of(sandbox, endpoint="search").fetch_page(wanted)
    assert "projections" not in sandbox.requests[-1].body


def test_all_requests_share_one_connection(sandbox, client):
    for _ in range(5):
        client.fetch_page(DEMO)
    assert sandbox.connection_count == 1


def test_gzip_answers_are_read(sandbox_with, client_of):
    sandbox = sandbox_with(behaviour=Behaviour(gzip=True))
    assert len(client_of(sandbox).fetch_page(DEMO, limit=10)) == 10


# ------------------------------------------------------------------------------------ trying again

PASSING = [
    Fault.reset(),
    Fault.cut(),
    Fault.chunked_cut(),
    Fault.half_json(),
    Fault.html(200),
    Fault.answer(200, {"error": "try later"}),
    Fault.answer(200, {"events": None}),
    *(Fault.answer(status) for status in (408, 425, 429, 500, 502, 503, 504)),
    Fault.html(502),
]


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: f"{fault.kind}-{fault.status}")
@pytest.mark.parametrize("gzip", [False, True])
def test_a_passing_fault_is_sent_again_and_read(sandbox_with, client_of, fault, gzip):
    sandbox = sandbox_with(behaviour=Behaviour(gzip=gzip))
    sandbox.faults.append(fault)
    client = client_of(sandbox)
    assert len(client.fetch_page(DEMO, limit=10)) == 10
    assert len(sandbox.requests) == 2
    assert client.retries == len(client.waits) == 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, HoneyHiveRequestError),
        (401, HoneyHiveAuthError),
        (403, HoneyHiveAuthError),
        (404, HoneyHiveRefusedError),
        (413, HoneyHiveRequestError),
        (422, HoneyHiveRequestError),
    ],
)
def test_what_asking_again_will_not_mend_is_asked_once(sandbox, client, status, kind):
    sandbox.faults.append(Fault.answer(status))
    with pytest.raises(kind) as caught:
        client.fetch_page(DEMO)
    assert caught.value.status_code == status
    assert not caught.value.retryable
    assert len(sandbox.requests) == 1


def test_a_slow_answer_ends_at_the_time_out(sandbox, client_of):
    sandbox.faults.extend([Fault.delayed(3)])
    with pytest.raises(HoneyHiveConnectionError, match=r"sent nothing for 0\.2 s") as caught:
        client_of(sandbox, timeout=0.2, max_retries=0).fetch_page(DEMO)
    assert caught.value.timed_out


def test_an_answer_that_trickles_in_without_end_is_given_up(sandbox, client_of):
    sandbox.faults.append(Fault.dripping(20))
    with pytest.raises(HoneyHiveConnectionError, match=r"took more than 0\.5 s|sent nothing for 0\.5 s") as caught:
        client_of(sandbox, timeout=0.5, max_retries=0).fetch_page(DEMO)
    assert caught.value.timed_out


def test_a_gzip_bomb_is_refused_at_the_limit(sandbox_with, client_of):
    events = [{"event_id": "bomb", "start_time": 1_700_000_000_000, "inputs": {"t": "0" * 50_000_000}}]
    sandbox = sandbox_with(events, behaviour=Behaviour(gzip=True))
    with pytest.raises(HoneyHiveResponseError, match="larger than 5000000 bytes.*exclude_fields.*max_response_bytes"):
        client_of(sandbox, max_retries=0, max_response_bytes=5_000_000).fetch_page(DEMO)


def test_an_answer_of_hundreds_of_megabytes_is_read_where_the_connection_allows_it(sandbox_with, client_of):
    events = [
        {"event_id": f"e{n}", "start_time": 1_700_000_000_000, "inputs": {"t": "0" * 70_000_000}} for n in range(3)
    ]
    page = client_of(sandbox_with(events), max_response_bytes=2**30).fetch_page(DEMO)
    assert page.size_bytes > 210_000_000
    assert len(page) == 3


def test_a_refused_connection_says_so(client_of, sandbox_with):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    client = client_of(sandbox_with(), api_url=url, max_retries=2)
    with pytest.raises(HoneyHiveConnectionError, match=r"cannot reach 127.*refused[^\n]*\n.*3 attempts"):
        client.fetch_page(DEMO)


@pytest.mark.parametrize(
    "location", ["http://127.0.0.2:9/v1/events/export", "https://example.com/x", "", "http://evil\x1b[2J.example/x"]
)
def test_the_key_does_not_follow_a_redirect_to_another_place(sandbox, client, location):
    sandbox.faults.append(Fault.redirect(location))
    with pytest.raises(HoneyHiveRequestError, match="key is not sent on"):
        client.fetch_page(DEMO)
    assert len(sandbox.requests) == 1


def test_a_redirect_in_a_circle_is_told(sandbox, client):
    sandbox.faults.extend([Fault.redirect("/v1/events/export")] * 9)
    with pytest.raises(HoneyHiveRequestError, match="circle"):
        client.fetch_page(DEMO)


def test_a_redirect_within_the_host_is_followed_as_a_post(sandbox, client_of):
    sandbox.faults.append(Fault.redirect("/v1/events/export"))
    assert len(client_of(sandbox, endpoint="/old/export").fetch_page(DEMO, limit=5)) == 5


def test_an_unverifiable_certificate_names_the_remedy_and_is_not_tried_again(sandbox_with, client_of, tmp_path):
    trustme = pytest.importorskip("trustme", reason="trustme makes the certificates")
    authority = trustme.CA()
    certificate, key, ca = tmp_path / "cert.pem", tmp_path / "key.pem", tmp_path / "ca.pem"
    made = authority.issue_cert("localhost", "127.0.0.1")
    made.cert_chain_pems[0].write_to_path(certificate)
    made.private_key_pem.write_to_path(key)
    authority.cert_pem.write_to_path(ca)
    sandbox = sandbox_with(tls=(str(certificate), str(key)))
    with pytest.raises(HoneyHiveConnectionError, match=r"'verify'.*\n.*cannot be verified") as caught:
        client_of(sandbox).fetch_page(DEMO)
    assert not caught.value.retryable
    assert len(client_of(sandbox, verify=str(ca)).fetch_page(DEMO, limit=5)) == 5
    sandbox.faults.append(Fault.redirect(sandbox.url.replace("https:", "http:") + "/v1/events/export"))
    with pytest.raises(HoneyHiveRequestError, match="key is not sent on"):
        client_of(sandbox, verify=str(ca)).fetch_page(DEMO)


# ------------------------------------------------------------------------------------ settings, secrets


@pytest.mark.parametrize(
    ("given", "url"),
    [
        (None, "https://api.dp1.us.honeyhive.ai"),
        ("api.honeyhive.ai", "https://api.honeyhive.ai"),
        ("https://hh.example.com/base/", "https://hh.example.com/base"),
        ("localhost:8080", "http://localhost:8080"),
        ("http://127.0.0.1:1", "http://127.0.0.1:1"),
        ("127.1:1", "http://127.1:1"),
        ("localhost.:1", "http://localhost.:1"),
    ],
)
def test_the_base_url_comes_with_or_without_scheme(given, url):
    assert ClientSettings.parse(api_key="hh_x", api_url=given).api_url == url


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"api_url": "http://hh.example.com"}, "plain http.*allow_http"),
        ({"api_url": "ftp://hh.example.com"}, "api_url"),
        ({"api_url": "https://user:secret@hh.example.com"}, "base URL alone"),
        ({"timeout": "soon"}, "timeout.*number"),
        ({"timeout": 0}, "timeout"),
        ({"max_retries": -1}, "max_retries"),
        ({"endpoint": "exprt"}, "endpoint.*'export'"),
        ({"api_key": "hh_x\ny"}, "api_key"),
    ],
)
def test_a_wrong_connection_field_is_named(values, message):
    with pytest.raises(InvalidArgumentError, match=message):
        ClientSettings.parse(**{"api_key": "hh_x", **values})


def test_texts_of_a_uri_connection_are_read_as_their_types():
    settings = ClientSettings.parse(api_key=" hh_x ", timeout="5", max_retries="2", verify="false", allow_http="true")
    assert (settings.timeout, settings.max_retries, settings.verify, settings.allow_http) == (5.0, 2, False, True)
    assert settings.api_key.get_secret_value() == "hh_x"


@pytest.mark.parametrize(
    ("key", "message"), [("", "no API key"), (None, "no API key"), ("hh_ingst_1", "ingestion key")]
)
def test_a_key_that_cannot_read_is_refused_before_the_first_call(key, message):
    with pytest.raises(HoneyHiveAuthError, match=message):
        ClientSettings.parse(api_key=key)


def test_the_key_is_in_no_repr_and_no_error(sandbox, client):
    sandbox.faults.append(Fault.answer(401, {"message": "no such key hh_sandbox", "success": False}))
    with pytest.raises(HoneyHiveAuthError) as caught:
        client.fetch_page(DEMO)
    for text in (repr(client), str(client.settings), repr(client.settings), str(caught.value), repr(caught.value)):
        assert "hh_sandbox" not in text
    assert "no such key ***" in str(caught.value)


def test_an_error_message_of_the_server_cannot_forge_log_lines(sandbox, client):
    sandbox.faults.append(Fault.answer(400, {"message": "bad\n2026 INFO all fine\x1b[2J\u2028\ud83d" + "x" * 9000}))
    with pytest.raises(HoneyHiveRequestError) as caught:
        client.fetch_page(DEMO)
    assert all(map(str.isprintable, str(caught.value).split("\n")))
    assert "\n2026" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_a_netrc_entry_does_not_take_the_keys_place(sandbox, client, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    client.fetch_page(DEMO)
    assert sandbox.requests[0].authorized


def test_a_client_made_plainly_waits_with_sleep():
    with HoneyHiveClient(ClientSettings.parse(api_key="hh_x")) as client:
        assert "hh_x" not in repr(client)


def test_an_answer_that_stays_wrong_is_a_response_error(sandbox, client_of):
    sandbox.faults.extend([Fault.html(200)] * 3)
    with pytest.raises(HoneyHiveResponseError, match=r"(?s)web page.*2 attempts"):
        client_of(sandbox, max_retries=1).fetch_page(DEMO)
