"""Connections: which way they take, what they take in, and what they are told to be when they cannot be made."""

from __future__ import annotations

import json
import logging
import socket
import ssl
import threading

import pytest
import requests

from airflow_provider_honeyhive.api.client import HoneyHiveClient
from airflow_provider_honeyhive.api.connections import LARGEST_HEAD, BoundedResponse, Budget, within
from airflow_provider_honeyhive.api.settings import ClientSettings
from airflow_provider_honeyhive.exceptions import HoneyHiveConnectionError, HoneyHiveError, HoneyHiveRequestError
from airflow_provider_honeyhive.models.request import ExportRequest
from airflow_provider_honeyhive.sandbox import Behaviour
from tests.unit.conftest import KEY

from .hostile_answers import CHUNKED, GZIP, HERE, MIB, PAGE, REDIRECT, bomb, chunk, head, sized
from .hostile_server import Answer, HostileServer

DEMO = ExportRequest(project="demo")

#: What the kernel may take from a server in advance, for a client that does not read.
IN_THE_KERNEL = 16 * MIB

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def client_of(url: str, **changed: object) -> HoneyHiveClient:
    usual = {"endpoint": "export", "max_retries": 0, "allow_http": True}
    return HoneyHiveClient(ClientSettings.parse(api_key=KEY, api_url=url, **{**usual, **changed}))


def failure_of(client: HoneyHiveClient) -> HoneyHiveError:
    with client, pytest.raises(HoneyHiveError) as caught:
        client.fetch_page(DEMO)
    return caught.value


@pytest.fixture
def proxy():
    """Give a proxy that answers itself, with a page."""
    with HostileServer(lambda request: Answer(sized(PAGE))) as server:
        yield server


# ------------------------------------------------------------------------------------------------ proxies


@pytest.mark.parametrize("no_proxy", ["", "hh.example.com"])
def test_the_connections_proxy_comes_before_the_environments(proxy, monkeypatch, no_proxy):
    with HostileServer(lambda request: Answer(sized(PAGE))) as others:
        monkeypatch.setenv("HTTP_PROXY", others.url)
        monkeypatch.setenv("ALL_PROXY", others.url)
        monkeypatch.setenv("NO_PROXY", no_proxy)
        with client_of("http://hh.example.com", proxy=proxy.url) as client:
            assert len(client.fetch_page(DEMO)) == 1
        assert [one.target for one in proxy.requests] == ["http://hh.example.com/v1/events/export"]
        assert others.requests == []


def test_the_environments_proxy_is_used_where_the_connection_has_none(proxy, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    with client_of("http://hh.example.com") as client:
        assert len(client.fetch_page(DEMO)) == 1
    assert len(proxy.requests) == 1


def test_no_proxy_is_obeyed(proxy, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", "example.invalid")
    assert isinstance(failure_of(client_of("http://hh.example.invalid")), HoneyHiveConnectionError)
    assert proxy.requests == []


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_loopback_is_not_asked_through_the_environments_proxy(sandbox, proxy, monkeypatch, variable):
    monkeypatch.setenv(variable, proxy.url)
    for url in (sandbox.url, sandbox.url.replace("127.0.0.1", "localhost")):
        with client_of(url) as client:
            client.fetch_page(DEMO)
    assert proxy.requests == []


def test_loopback_is_asked_through_the_connections_own_proxy(sandbox, proxy):
    with client_of(sandbox.url, proxy=proxy.url) as client:
        client.fetch_page(DEMO)
    assert len(proxy.requests) == 1


@pytest.mark.parametrize(
    ("answer", "error", "retryable"),
    [
        (Answer(b"HTTP/1.1 200 ", b"x", pause=0.05), "took more than 0.3 s", True),
        (Answer(b"HTTP/1.1 200 OK\r\n", b"X: x\r\n", pause=0.05), "took more than 0.3 s", True),
        (Answer(b"HTTP/1.1 200 OK\r\n", b"X: " + b"x" * 60_000 + b"\r\n"), f"more than {LARGEST_HEAD} bytes", True),
        (Answer(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 999), "TLS handshake", True),
        (Answer(b"HTTP/1.1 200 OK\r\n\r\n", then="hang"), "took no connection|sent nothing|cannot be used", True),
        (Answer(sized(b"", status=b"502 No\x1b[2J")), "proxy on the way .* cannot be used", True),
        (Answer(sized(b"", status=b"407 No")), "refuses its user or password", False),
        (Answer(b"\x00\xff", then="close"), "cannot be used|garbled", True),
    ],
)
def test_what_a_proxy_answers_to_connect_is_bounded_and_told(answer, error, retryable):
    with HostileServer(lambda request: answer) as proxy:
        address = proxy.url.replace("http://", "http://user:s3cret@")
        settings = {"proxy": address, "timeout": 0.3, "connect_timeout": 0.3}
        failure = failure_of(client_of("https://hh.example.com", **settings))
        assert proxy.requests[0].method == "CONNECT"
    with pytest.raises(HoneyHiveConnectionError, match=error):
        raise failure
    assert failure.retryable is retryable
    assert "s3cret" not in str(failure)
    assert KEY not in str(failure)
    assert proxy.sent <= IN_THE_KERNEL


@pytest.mark.parametrize(
    "proxy",
    ["http://[::1", "socks9://h:1", "http://h:99999", "cu:s3cret@host:1", "http://", "http://%E6%BC%A2:s3cret@h:1"],
)
@pytest.mark.parametrize("url", ["http://hh.example.com", "https://hh.example.com"])
def test_an_environments_proxy_that_is_none_is_told_at_once(monkeypatch, proxy, url):
    monkeypatch.setenv("ALL_PROXY", proxy)
    failure = failure_of(client_of(url))
    with pytest.raises(HoneyHiveConnectionError, match="'proxy', or HTTPS_PROXY"):
        raise failure
    assert not failure.retryable
    assert "s3cret" not in str(failure)


# ------------------------------------------------------------------------------------------------ certificates


@pytest.fixture
def authority(tmp_path):
    """Give files of a server's certificate and key, and of the authority that signed it."""
    trustme = pytest.importorskip("trustme", reason="trustme makes the certificates")
    files = [str(tmp_path / name) for name in ("cert.pem", "key.pem", "ca.pem")]
    made = trustme.CA()
    issued = made.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(files[0])
    issued.private_key_pem.write_to_path(files[1])
    made.cert_pem.write_to_path(files[2])
    return files


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_the_environments_bundle_counts_where_certificates_are_verified(sandbox_with, authority, monkeypatch, variable):
    sandbox = sandbox_with(tls=tuple(authority[:2]))
    monkeypatch.setenv(variable, authority[2])
    with client_of(sandbox.url) as client:
        client.fetch_page(DEMO)


@pytest.mark.parametrize("content", [None, b"", b"no certificate\n"])
def test_a_bundle_without_certificates_is_told_at_once(sandbox_with, authority, tmp_path, monkeypatch, content):
    sandbox = sandbox_with(tls=tuple(authority[:2]))
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_bytes(content)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    failure = failure_of(client_of(sandbox.url))
    with pytest.raises(HoneyHiveConnectionError, match=r"'verify'.*\n.*no CA certificates in .*bundle\.pem"):
        raise failure
    assert not failure.retryable


@pytest.mark.parametrize("gzip", [False, True])
def test_a_connection_with_tls_is_used_again_and_again(sandbox_with, authority, gzip):
    sandbox = sandbox_with(tls=tuple(authority[:2]), behaviour=Behaviour(gzip=gzip))
    with client_of(sandbox.url, verify=authority[2]) as client:
        for _ in range(5):
            client.fetch_page(DEMO)
    assert sandbox.connection_count == 1


# ------------------------------------------------------------------------------------------------ what comes in


def test_each_request_has_its_own_budget_on_a_connection_that_is_used_again():
    large = b'{"events":[],"x":"' + b"x" * (MIB - 30) + b'"}'
    with HostileServer(lambda request: Answer(sized(large))) as server:
        with client_of(server.url, max_response_bytes=MIB) as client:
            for _ in range(5):
                client.fetch_page(DEMO)
        assert server.connections == 1


def test_no_wait_is_longer_than_what_is_left_of_the_time():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(60)
        theirs.sendall(b"HTTP/1.1 200 OK\r\n")
        with within(Budget("the host", 0.1, 100)):
            response = BoundedResponse(ours)
        with pytest.raises(HoneyHiveConnectionError, match="the host took more than 0.1 s"):
            response.begin()


def test_budgets_of_threads_do_not_mix():
    slow, usual = Answer(head(b"Content-Length: 9999"), b" ", pause=0.02), Answer(sized(PAGE))
    with HostileServer(lambda request: slow if json.loads(request.body)["page"] == 2 else usual) as server:
        with client_of(server.url, timeout=0.3) as client:
            failures: list[BaseException] = []

            def drip() -> None:
                try:
                    client.fetch_page(DEMO, page=2)
                except HoneyHiveConnectionError as error:
                    failures.append(error)

            threads = [threading.Thread(target=drip) for _ in range(3)]
            for thread in threads:
                thread.start()
            for _ in range(20):
                assert len(client.fetch_page(DEMO)) == 1
            for thread in threads:
                thread.join()
        assert len(failures) == 3


def test_cookies_are_neither_kept_nor_sent():
    cookies = [b"Set-Cookie: c%d=%b" % (number, b"x" * 3_000) for number in range(15)]
    with HostileServer(lambda request: Answer(sized(PAGE, *cookies))) as server, client_of(server.url) as client:
        for _ in range(5):
            client.fetch_page(DEMO)
        assert not any("cookie" in request.headers for request in server.requests)
        assert len({len(request.head) for request in server.requests}) == 1


def test_the_body_of_a_redirect_is_not_read():
    answers = [Answer(head(CHUNKED, HERE, status=REDIRECT), chunk(b"x" * 65_536)), Answer(sized(PAGE))]
    with HostileServer(lambda request: answers.pop(0)) as server:
        with client_of(server.url) as client:
            assert len(client.fetch_page(DEMO)) == 1
        assert server.sent <= IN_THE_KERNEL


@pytest.mark.parametrize(
    "answer",
    [
        Answer(b"HTTP/1.1 200 ", b"x" * 65_536),
        Answer(b"HTTP/1.1 200 OK\r\n", b"X: x\r\n" * 1_000),
        Answer(b"", head(status=b"100 Continue") * 100),
        Answer(head(CHUNKED) + b"0\r\n", b"X: x\r\n" * 1_000),
        Answer(head(CHUNKED), chunk(b"x" * 65_536)),
        Answer(head(), b"x" * 65_536),
        Answer(head(status=b"400 x"), b"x" * 65_536),
        Answer(head(GZIP, status=b"400 x"), bomb()),
    ],
)
def test_of_an_answer_without_end_little_is_taken(answer):
    with HostileServer(lambda request: answer) as server:
        failure_of(client_of(server.url, max_response_bytes=MIB))
        assert server.sent <= IN_THE_KERNEL


def test_what_follows_an_interim_response_is_not_taken_for_the_next_one():
    other = PAGE.replace(b"event-0", b"event-1")
    answers = [Answer(head(status=b"103 Early Hints"), last=sized(other), times=1), Answer(sized(PAGE))]
    with HostileServer(lambda request: answers.pop(0)) as server, client_of(server.url) as client:
        with pytest.raises(HoneyHiveConnectionError, match="103"):
            client.fetch_page(DEMO)
        assert client.fetch_page(DEMO).ids == ["event-0"]
        assert server.connections == 2


def test_bytes_after_a_body_are_not_taken_for_the_next_response():
    other = PAGE.replace(b"event-0", b"event-1")
    answers = [Answer(sized(PAGE) + sized(other) * 2_000), Answer(sized(PAGE))]
    with HostileServer(lambda request: answers.pop(0)) as server, client_of(server.url) as client:
        assert client.fetch_page(DEMO).ids == client.fetch_page(DEMO).ids == ["event-0"]


def test_bytes_after_a_body_within_tls_are_not_taken_for_the_next_response(authority):
    certificate, key, bundle = authority
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    other = sized(PAGE.replace(b"event-0", b"event-1"))
    # In one record, so that nothing is left in the socket once the body was read.
    answers = [Answer(head(b"Content-Length: %d" % len(PAGE)), last=PAGE + other, times=1), Answer(sized(PAGE))]
    with (
        HostileServer(lambda request: answers.pop(0), tls) as server,
        client_of(server.url, verify=bundle) as client,
    ):
        assert client.fetch_page(DEMO).ids == client.fetch_page(DEMO).ids == ["event-0"]


@pytest.mark.parametrize("way", ["server", "proxy"])
def test_a_silent_handshake_is_told_as_one_and_not_as_a_heavy_page(way):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        places = {
            "server": {"url": f"https://{address}"},
            "proxy": {"url": "https://hh.example.com", "proxy": f"http://{address}"},
        }
        failure = failure_of(client_of(**places[way], timeout=60, connect_timeout=0.2))
    with pytest.raises(HoneyHiveConnectionError, match=r"took no connection within 0\.2 s"):
        raise failure
    assert failure.retryable
    assert not failure.timed_out


@pytest.mark.parametrize("line", [b"no colon, but \x1b[2J and hh_sandbox", b" no colon, but hh_sandbox"])
def test_what_a_server_sends_for_headers_is_in_no_log(caplog, line):
    caplog.set_level(logging.DEBUG)
    answer = Answer(sized(PAGE, line), then="close")
    with HostileServer(lambda request: answer) as server, client_of(server.url) as client:
        client.fetch_page(DEMO)
    assert "no colon" not in caplog.text
    assert KEY not in caplog.text


def test_only_gzip_is_asked_for(sandbox, client):
    client.fetch_page(DEMO)
    assert sandbox.requests[0].headers["accept-encoding"] == "gzip"


# ------------------------------------------------------------------------------------------------ what is raised below


@pytest.mark.parametrize(
    "raised",
    [ValueError("x"), OverflowError("x"), AttributeError("x"), KeyError("x"), RecursionError("x"), AssertionError("x")],
)
def test_whatever_the_layers_below_raise_is_told_as_a_garbled_response(monkeypatch, raised):
    def send(*args: object, **kwargs: object) -> requests.Response:
        raise raised

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
    failure = failure_of(client_of("https://hh.example.com"))
    first, how = str(failure).split("\n")
    assert first.startswith("the answer of hh.example.com was garbled; try again later")
    assert how == f"How: {type(raised).__name__}"
    assert failure.retryable
    assert failure.__context__ is None


def test_no_memory_is_told_and_asks_for_a_smaller_page(monkeypatch):
    def send(*args: object, **kwargs: object) -> requests.Response:
        raise MemoryError

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
    failure = failure_of(client_of("https://hh.example.com"))
    with pytest.raises(HoneyHiveError, match="not enough memory.*exclude_fields"):
        raise failure
    assert type(failure).__name__ == "AnswerTooLargeError"


def test_an_error_that_waits_for_the_next_attempt_keeps_no_body():
    with HostileServer(lambda request: Answer(sized(PAGE[:-9]))) as server:
        failure = failure_of(client_of(server.url))
    assert failure.__context__ is None
    frames = []
    traceback = failure.__traceback__
    while traceback:
        frames.append(traceback.tb_frame)
        traceback = traceback.tb_next
    assert not any(isinstance(value, bytes | memoryview) for frame in frames for value in frame.f_locals.values())


def test_a_refusal_keeps_what_its_short_body_says(sandbox):
    with HostileServer(lambda request: Answer(sized(b'{"message":"too odd"}', status=b"400 x"))) as server:
        failure = failure_of(client_of(server.url))
    assert isinstance(failure, HoneyHiveRequestError)
    assert failure.server_message == "too odd"


@pytest.mark.parametrize("spelling", [str, lambda key: "".join(f"\\u{ord(one):04x}" for one in key)])
@pytest.mark.parametrize("before", ["", "x" * 499, "x" * (501 - len(KEY))])
def test_a_key_that_a_refusal_says_back_is_in_no_part_of_the_error(spelling, before):
    body = f'{{"success": false, "message": "{before}{spelling(KEY)}", "errorCode": "{spelling(KEY)}"}}'
    with HostileServer(lambda request: Answer(sized(body.encode(), status=b"400 x"))) as server:
        failure = failure_of(client_of(server.url))
    assert KEY[:-1] not in f"{failure}{vars(failure)}{failure.args}"


def test_a_refusal_after_a_redirect_to_a_long_path_still_says_what_to_do():
    answers = [
        Answer(sized(b"", b"Location: /" + b"x" * 60_000, status=REDIRECT)),
        Answer(sized(b"", status=b"401 x")),
        Answer(sized(b"", b"Location: http://h" + b"x" * 60_000, status=REDIRECT)),
    ]
    with HostileServer(lambda request: answers.pop(0)) as server:
        assert "the API key was refused" in str(failure_of(client_of(server.url)))
        assert "set the connection's host" in str(failure_of(client_of(server.url)))
