"""Each fault, as a client meets it."""

from __future__ import annotations

import http.client
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_honeyhive.sandbox import Behaviour, Fault, Sandbox

from .wire import SEARCH, ask, event

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox([event(f"e{n}", n) for n in range(100)]) as serving:
        yield serving


def test_faults_are_used_up_one_for_each_request_and_logged(sandbox: Sandbox) -> None:
    sandbox.faults.extend([Fault.answer(503), Fault.answer(500)])
    assert [ask(sandbox).status for _ in range(3)] == [503, 500, 200]
    assert [(each.number, each.status, each.fault) for each in sandbox.requests] == [
        (1, 503, "answer"),
        (2, 500, "answer"),
        (3, 200, None),
    ]


def test_a_fault_can_wait_for_its_request(sandbox: Sandbox) -> None:
    sandbox.fault_at[2] = Fault.answer(502)
    assert [ask(sandbox).status for _ in range(3)] == [200, 502, 200]


def test_a_status_comes_with_the_vendors_error(sandbox: Sandbox) -> None:
    sandbox.faults.append(Fault.answer(429, retry_after=7))
    reply = ask(sandbox)
    assert (reply.status, reply.headers["retry-after"], reply.json["statusCode"]) == (429, "7", 429)


def test_headers_and_body_can_be_anything(sandbox: Sandbox) -> None:
    sandbox.faults.append(Fault.answer(200, {"data": []}, headers={"X-Odd": "1"}, retry_after="Wed, 01 Jan 2031"))
    sandbox.faults.append(Fault.answer(200, b"\xff\x00", headers={"Content-Type": "application/octet-stream"}))
    sandbox.faults.append(Fault.answer(200, "[]"))
    first, second, third = (ask(sandbox) for _ in range(3))
    assert (first.body, first.headers["x-odd"]) == (b'{"data":[]}', "1")
    assert (second.body, second.headers["content-type"]) == (b"\xff\x00", "application/octet-stream")
    assert third.json == []


def test_html_with_status_200(sandbox: Sandbox) -> None:
    sandbox.faults.append(Fault.html(200, "Sign in"))
    reply = ask(sandbox)
    assert (reply.status, reply.headers["content-type"]) == (200, "text/html")
    assert b"<h1>200 Sign in</h1>" in reply.body


def test_a_redirect_names_another_place(sandbox: Sandbox) -> None:
    sandbox.faults.append(Fault.redirect("http://127.0.0.1:9/", 308))
    reply = ask(sandbox)
    assert (reply.status, reply.headers["location"], reply.body) == (308, "http://127.0.0.1:9/", b"")


def test_a_reset_brings_no_byte(sandbox: Sandbox) -> None:
    sandbox.faults.append(Fault.reset())
    with pytest.raises(ConnectionResetError):
        ask(sandbox)
    assert (sandbox.requests[0].status, sandbox.requests[0].fault) == (0, "reset")
    assert ask(sandbox).status == 200


@pytest.mark.parametrize("fault", [Fault.cut(0.5), Fault.chunked_cut(0.5)])
@pytest.mark.parametrize("compressed", [False, True])
def test_a_cut_ends_the_body_early(fault: Fault, compressed: bool) -> None:
    with Sandbox(count=50, behaviour=Behaviour(gzip=True)) as sandbox:
        headers = {"Accept-Encoding": "gzip"} if compressed else {}
        whole = len(ask(sandbox, headers=headers).body)
        sandbox.faults.append(fault)
        with pytest.raises(http.client.IncompleteRead) as cut:
            ask(sandbox, headers=headers)
        assert len(cut.value.partial) == whole // 2
        assert sandbox.requests[-1].event_count == 51


def test_a_cut_may_come_before_the_body(sandbox: Sandbox) -> None:
    sandbox.faults.append(Fault.cut(0))
    with pytest.raises(http.client.IncompleteRead) as cut:
        ask(sandbox)
    assert cut.value.partial == b""


def test_half_json_is_complete_as_far_as_http_can_tell(sandbox: Sandbox) -> None:
    whole = ask(sandbox).body
    sandbox.faults.append(Fault.half_json())
    reply = ask(sandbox)
    assert (reply.status, reply.body) == (200, whole[: len(whole) // 2])
    with pytest.raises(json.JSONDecodeError):
        _ = reply.json


@pytest.mark.parametrize(("behaviour", "count"), [({}, 0), ({"total": "absent"}, None), ({"past_end": "error"}, 0)])
def test_an_answer_may_be_empty_once(sandbox: Sandbox, behaviour: dict[str, Any], count: int | None) -> None:
    sandbox.behaviour = Behaviour(**behaviour)
    sandbox.fault_at[2] = Fault.empty()
    replies = [ask(sandbox, SEARCH, {"limit": 5, "page": 2}) for _ in range(3)]
    assert [len(reply.ids) for reply in replies] == [5, 0, 5]
    assert replies[1].json.get("count") == count
    assert [each.fault for each in sandbox.requests] == [None, "empty", None]


def test_an_answer_may_lack_events_that_its_total_counts(sandbox: Sandbox) -> None:
    sandbox.fault_at[2] = Fault.losing(30)
    whole, lacking, again = (ask(sandbox) for _ in range(3))
    assert whole.ids == again.ids
    assert len(lacking.ids) == 70
    assert set(lacking.ids) < set(whole.ids)
    assert (lacking.ids[0], lacking.ids[-1]) == (whole.ids[0], whole.ids[-1])
    assert lacking.json["count"] == 100


def test_the_same_seed_loses_the_same_events() -> None:
    def left(seed: int) -> list[str]:
        with Sandbox([event(f"e{n}", n) for n in range(100)], seed=seed) as sandbox:
            sandbox.faults.append(Fault.losing(30))
            return ask(sandbox).ids

    assert left(1) == left(1) != left(2)


def test_an_answer_may_come_late(sandbox: Sandbox) -> None:
    sandbox.faults.append(Fault.delayed(0.05))
    began = time.monotonic()
    assert len(ask(sandbox).ids) == 100
    assert time.monotonic() - began >= 0.05


def test_an_answer_may_drip_in(sandbox: Sandbox) -> None:
    sandbox.faults.append(Fault.dripping(0.2))
    connection = http.client.HTTPConnection("127.0.0.1", sandbox.port)
    began = time.monotonic()
    connection.request("POST", SEARCH, b"{}", {"Authorization": "Bearer hh_sandbox"})
    answer = connection.getresponse()
    answer.read(1)
    first_byte = time.monotonic() - began
    rest = answer.read()
    connection.close()
    assert len(json.loads(b"{" + rest)["events"]) == 100
    assert time.monotonic() - began >= 0.2 > first_byte


def test_a_fault_comes_before_keys_and_routes(sandbox: Sandbox) -> None:
    sandbox.faults.extend([Fault.answer(503), Fault.answer(503)])
    assert ask(sandbox, key=None).status == 503
    assert ask(sandbox, "/nowhere").status == 503
