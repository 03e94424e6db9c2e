"""The sandbox as a server: exact bytes, live changes, its log, its connections, its windows."""

from __future__ import annotations

import http.client
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_honeyhive.api.settings import ClientSettings
from airflow_provider_honeyhive.sandbox import Behaviour, Fault, Sandbox
from airflow_provider_honeyhive.sandbox.store import StoredEvent

from .wire import EXPORT, LEGACY, SEARCH, ask, event

if TYPE_CHECKING:
    from pathlib import Path

DAY = timedelta(days=1)


@pytest.mark.parametrize(
    "raw",
    [
        rb'{"event_id":"x","start_time":5,"n":123456789012345678901234567890,"f":1.10E+5}',
        rb'{"event_id":"w","event_id":"x","start_time":5}',
        rb'{"event_id":"x","start_time":5,"s":"\ud83d","\u00e9":"\/"}',
        b'{"event_id":"x","start_time":5,"s":"\xff\xfe"}',
        b'{\n  "event_id" : "x",\n\t"start_time": 5 }',
        b'{"event_id":"x","start_time":5,"f":NaN}',
    ],
)
def test_bytes_are_served_as_they_are(raw: bytes) -> None:
    with Sandbox([raw, event("before", 4), event("after", 6)]) as sandbox:
        body = ask(sandbox).body
        assert raw in body
        assert [each.event_id for each in sandbox.events()] == ["before", "x", "after"]
        assert ask(sandbox, LEGACY, {"dateRange": {"$gte": 5, "$lte": 5}}).body == (
            b'{"events":[' + raw + b'],"totalEvents":1}'
        )


def test_bytes_that_are_not_json_can_be_given_an_id_and_a_time() -> None:
    with Sandbox([StoredEvent(b"{oops", "x", 5000), event("e", 6)]) as sandbox:
        assert ask(sandbox, LEGACY, {"dateRange": {"$lte": 5}}).body == b'{"events":[{oops],"totalEvents":1}'
        assert sandbox.event_ids() == {"x", "e"}


def test_half_an_emoji_in_a_dict_is_served_as_an_escape() -> None:
    with Sandbox([event("x", s="\ud83d"), event("y", s="ü")]) as sandbox:
        assert rb'"s":"\ud83d"' in ask(sandbox).body
        assert '"s":"ü"'.encode() in ask(sandbox).body


def test_events_without_a_time_come_last_and_are_in_no_range() -> None:
    with Sandbox([event("none", None), event("e", 6)]) as sandbox:
        assert ask(sandbox).ids == ["e", "none"]
        assert ask(sandbox, LEGACY, {"dateRange": {"$lte": 10}}).ids == ["e"]
        assert sandbox.event_ids(end=datetime(2030, 1, 1, tzinfo=UTC)) == {"e"}


def test_events_come_and_go_while_serving() -> None:
    with Sandbox([event("a", 1), event("c", 3)]) as sandbox:
        (added,) = sandbox.add([event("b", 2)])
        assert added == StoredEvent(b'{"event_id":"b","start_time":2}', "b", 2000)
        assert ask(sandbox).ids == ["c", "b", "a"]
        sandbox.delete(["c"])
        assert ask(sandbox).ids == ["b", "a"]


@pytest.mark.parametrize("second", [1, 3])
def test_one_id_is_served_in_two_rows_at_one_time_or_two(second: int) -> None:
    with Sandbox([event("a", 1, row=1), event("a", second, row=2), event("b", 2)]) as sandbox:
        reply = ask(sandbox)
        assert sorted(reply.ids) == ["a", "a", "b"]
        assert {each.get("row") for each in reply.json["events"]} == {1, 2, None}
        assert reply.json["count"] == 3
        assert len(ask(sandbox, LEGACY, {"dateRange": {"$lte": 1}}).ids) == (2 if second == 1 else 1)
        assert len(sandbox.events()) == 3
        sandbox.delete(["a"])
        assert ask(sandbox).ids == ["b"]


def test_two_sandboxes_are_two_deployments() -> None:
    with Sandbox([event("a")]) as one, Sandbox([event("a")]) as other:
        hosts = [ClientSettings.parse(api_key=each.key, api_url=each.url).api_host for each in (one, other)]
    assert hosts[0] != hosts[1]


def test_event_ids_are_those_of_the_half_open_window() -> None:
    with Sandbox([event(f"e{n}", n * 1000) for n in range(5)]) as sandbox:
        start = datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
        assert sandbox.event_ids(start, start + timedelta(seconds=2)) == {"e1", "e2"}


def test_the_default_window_is_yesterday() -> None:
    with Sandbox(count=30) as sandbox:
        assert sandbox.end_time - sandbox.start_time == DAY
        assert sandbox.end_time <= datetime.now(UTC) < sandbox.end_time + DAY
        assert len(sandbox.event_ids(sandbox.start_time, sandbox.end_time)) == 30


def test_start_and_end_set_the_window() -> None:
    day = datetime(2026, 5, 1, tzinfo=UTC)
    for arguments in ({"start": day}, {"end": day + DAY}, {"start": day, "end": day + DAY}):
        sandbox = Sandbox(count=5, **arguments)  # type: ignore[arg-type]
        assert len(sandbox.event_ids(day, day + DAY)) == 5


def test_each_project_has_events_of_its_own() -> None:
    with Sandbox(count=5, keys={"hh_b": "beta"}) as sandbox:
        own, other = ask(sandbox).json["events"], ask(sandbox, key="hh_b").json["events"]
        assert {each.get("project", "demo") for each in own} == {"demo"}
        assert {each["project"] for each in other} == {"beta"}
        assert len(sandbox.event_ids(project="beta")) == 5


def test_the_log_has_everything_but_the_key() -> None:
    with Sandbox([event("a")], key="hh_secret") as sandbox:
        ask(sandbox, EXPORT, {"limit": 5}, key="hh_secret", headers={"User-Agent": "tests/1"})
        ask(sandbox, "/x?y=1", b"[1]", key="hh_guess", method="PUT")
        first, second = sandbox.requests
        assert (first.number, first.method, first.path, first.body) == (1, "POST", EXPORT, {"limit": 5})
        assert (first.status, first.event_count, first.authorized, first.fault) == (200, 1, True, None)
        assert first.headers["user-agent"] == "tests/1"
        assert "authorization" not in first.headers
        assert (second.method, second.path, second.body, second.status) == ("PUT", "/x?y=1", None, 404)
        assert second.authorized is False
        assert "hh_secret" not in repr(sandbox.requests)
        assert "hh_guess" not in repr(sandbox.requests)


def test_each_logged_request_can_be_watched() -> None:
    seen: list[int] = []
    with Sandbox([]) as sandbox:
        sandbox.on_request = lambda request: seen.append(request.status)
        ask(sandbox)
    assert seen == [200]


def test_connections_are_kept_and_counted() -> None:
    with Sandbox([event("a")]) as sandbox:
        connection = http.client.HTTPConnection("127.0.0.1", sandbox.port)
        for _ in range(3):
            connection.request("POST", SEARCH, b"", {"Authorization": "Bearer hh_sandbox"})
            answer = connection.getresponse()
            assert (answer.version, answer.status) == (11, 200)
            answer.read()
        assert sandbox.connection_count == 1
        connection.close()


def test_the_most_requests_at_once_are_counted() -> None:
    meeting = threading.Barrier(3, timeout=5)

    def meet(_sandbox: Sandbox, _number: int) -> None:
        meeting.wait()

    with Sandbox([], behaviour=Behaviour(before_request=meet)) as sandbox:
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda _: ask(sandbox), range(6)))
        assert sandbox.peak_in_flight == 3
        assert sorted(each.number for each in sandbox.requests) == [1, 2, 3, 4, 5, 6]


def test_closing_ends_idle_connections_too() -> None:
    sandbox = Sandbox([]).start()
    connection = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=5)
    connection.request("POST", SEARCH, b"{}", {"Authorization": "Bearer hh_sandbox"})
    connection.getresponse().read()
    sandbox.close()
    with pytest.raises(ConnectionError):  # noqa: PT012 - either may be the one that notices
        connection.request("POST", SEARCH, b"{}")
        connection.getresponse()
    with pytest.raises(RuntimeError, match="not serving"):
        _ = sandbox.url


def test_a_closed_sandbox_can_serve_again_with_what_it_holds() -> None:
    sandbox = Sandbox([event("a")])
    for _ in range(2):
        with sandbox:
            assert ask(sandbox).ids == ["a"]


def test_many_clients_read_while_events_change() -> None:
    with Sandbox(count=300) as sandbox:
        fixed = sandbox.event_ids()

        def read(n: int) -> bool:
            sandbox.add([event(f"new{n}", n)])
            ids = set(ask(sandbox).ids)
            sandbox.delete([f"new{n}"])
            return fixed <= ids

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(read, range(40)))
        assert sandbox.event_ids() == fixed


def test_https_with_a_certificate_of_ones_own(tmp_path: Path) -> None:
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    files = (tmp_path / "cert.pem", tmp_path / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(files[0])
    certificate.private_key_pem.write_to_path(files[1])
    with Sandbox([event("a")], tls=(str(files[0]), str(files[1]))) as sandbox:
        assert sandbox.url.startswith("https://127.0.0.1:")
        trusting, wary = ssl.create_default_context(), ssl.create_default_context()
        authority.configure_trust(trusting)
        with pytest.raises(ssl.SSLError):
            _fetch(sandbox, wary)
        assert _fetch(sandbox, trusting) == 200
        sandbox.faults.append(Fault.reset())
        with pytest.raises(ConnectionError):
            _fetch(sandbox, trusting)


def _fetch(sandbox: Sandbox, context: ssl.SSLContext) -> int:
    connection = http.client.HTTPSConnection("127.0.0.1", sandbox.port, context=context, timeout=5)
    try:
        connection.request("POST", SEARCH, b"{}", {"Authorization": f"Bearer {sandbox.key}"})
        return connection.getresponse().status
    finally:
        connection.close()


def test_chunked_requests_are_not_understood() -> None:
    with Sandbox([]) as sandbox:
        connection = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=5)
        # The head alone: the answer comes before the body, and the server hangs up on who goes on sending it.
        connection.putrequest("POST", SEARCH)
        connection.putheader("Authorization", "Bearer hh_sandbox")
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()
        assert connection.getresponse().status == 411
        connection.close()


def test_a_page_of_many_events_costs_a_bisection_not_a_scan() -> None:
    def at(n: int) -> dict[str, Any]:
        return {"dateRange": {"$gte": n, "$lte": n + 2}, "limit": 2}

    events = (StoredEvent(b'{"event_id":"%d"}' % n, str(n), n * 1000) for n in range(200_000))
    with Sandbox(events) as sandbox:
        assert (
            ask(sandbox, EXPORT, at(123_456)).body
            == b'{"events":[{"event_id":"123458"},{"event_id":"123457"}],"count":3}'
        )
        assert ask(sandbox, EXPORT, {"limit": 1, "page": 200_000}).ids == ["0"]
