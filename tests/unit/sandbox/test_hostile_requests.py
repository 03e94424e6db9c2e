"""A request that is none, or asks for what nobody has: the sandbox refuses it, goes on, and writes no traceback."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_honeyhive.sandbox import Sandbox
from tests.unit.property_settings import thoroughly

from .wire import EXPORT, LEGACY, PROJECT_SEARCH, SEARCH, ask, event

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox([event("a", 1)]) as serving:
        yield serving


def sent(sandbox: Sandbox, length: str, body: bytes = b"") -> tuple[int, bool]:
    """Send a request with this Content-Length; return the status, and whether the server closes the connection."""
    head = (
        f"POST {EXPORT} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {sandbox.key}\r\nContent-Length: {length}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=5) as connection:
        connection.sendall(head.encode() + body)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += connection.recv(65_536)
        connection.settimeout(0.2)
        try:
            while piece := connection.recv(65_536):
                answer += piece
        except TimeoutError:
            return int(answer.split()[1]), False
        return int(answer.split()[1]), True


@pytest.mark.parametrize(
    ("length", "status"),
    [
        ("1000000000000", 413),
        ("16777217", 413),
        ("9" * 5_000, 413),
        ("-1", 400),
        ("many", 400),
        ("1e3", 400),
        ("0x10", 400),
        ("+5", 400),
        ("1 1", 400),
        ("\u00b2", 400),
    ],
)
def test_a_length_that_is_none_or_too_large_is_refused_and_the_connection_closed(sandbox, capfd, length, status):
    assert sent(sandbox, length) == (status, True)
    assert capfd.readouterr().err == ""
    assert ask(sandbox, EXPORT).status == 200


@pytest.mark.parametrize("length", ["2", "0000000000000000000002"])
def test_a_length_that_is_right_is_read(sandbox, length):
    assert sent(sandbox, length, b"{}") == (200, False)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"filters":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"filters":' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"limit":' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"limit":' + b"9" * 5_000 + b"}",
        b"\xff\xfe",
        b"\x00",
    ],
)
def test_a_body_that_is_no_request_is_refused(sandbox, capfd, body):
    assert sent(sandbox, str(len(body)), body)[0] == 400
    assert capfd.readouterr().err == ""


ODD = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=5),
        st.sampled_from(
            [10**400, -(10**400), 10**18, "9999-12-31T23:59:59Z", "0001-01-01", "datetime", "is", "start_time"]
        ),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.text(max_size=3), inner, max_size=2)),
    max_leaves=4,
)

FILTERS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "field": st.one_of(st.sampled_from(["start_time", "event_id", "a.0", "." * 9]), ODD),
            "operator": st.one_of(st.sampled_from(["is", "contains", "after", "greater than", "exists"]), ODD),
            "type": st.one_of(st.sampled_from(["string", "number", "datetime", "boolean", "id"]), ODD),
            "value": ODD,
        },
    ),
    max_size=2,
)

BODIES = st.fixed_dictionaries(
    {},
    optional={
        "project": st.one_of(st.just("demo"), ODD),
        "filters": st.one_of(FILTERS, ODD),
        "dateRange": st.one_of(st.dictionaries(st.sampled_from(["$gte", "$lte", "start_time", "end_time"]), ODD), ODD),
        "limit": st.one_of(st.just(5), ODD),
        "page": st.one_of(st.just(5), ODD),
        "projections": st.one_of(st.lists(st.text(max_size=3), max_size=2), ODD),
        "evaluation_id": ODD,
        "ignore_order": ODD,
    },
)


@thoroughly(1_000)
@given(st.sampled_from([LEGACY, EXPORT, SEARCH, PROJECT_SEARCH]), st.one_of(BODIES, ODD))
@example(SEARCH, {"filters": [{"field": "a", "operator": [], "value": 1}]})
@example(SEARCH, {"filters": [{"field": "a", "operator": "is", "type": {}, "value": 1}]})
@example(SEARCH, {"filters": [{"field": "a", "operator": "is", "type": "number", "value": 10**400}]})
def test_whatever_is_asked_for_is_answered_or_refused(sandbox, path: str, body: Any):
    headers = {"authorization": f"Bearer {sandbox.key}"}
    answer, _ = sandbox.handle("POST", path, headers, json.dumps(body).encode())
    assert answer.status in (200, 400, 404)
