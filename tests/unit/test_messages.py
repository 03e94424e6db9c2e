"""What errors say in their first hundred characters, which is all that Airflow's log shows of a line: what to do.

Errors are met where they are raised, as far as that takes no server; others are made as the package makes them.
"""

from __future__ import annotations

import json
import logging
import pickle
import re
import ssl
import traceback

import pytest
import requests
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_honeyhive import exceptions
from airflow_provider_honeyhive.api.failures import api_error, connection_error, no_endpoint, redirect_target
from airflow_provider_honeyhive.api.settings import ClientSettings
from airflow_provider_honeyhive.exceptions import (
    NOT_SHOWN,
    ExportWouldShrinkError,
    Fact,
    HoneyHiveConnectionError,
    HoneyHiveError,
    HoneyHiveServerError,
    IncompleteExportError,
    InvalidArgumentError,
    TooFewEventsError,
    TooLargeForXComError,
    UnmatchedFieldsError,
    WrongProjectError,
)
from airflow_provider_honeyhive.models.fields import parse_paths
from airflow_provider_honeyhive.models.filters import parse_filters
from airflow_provider_honeyhive.models.window import Window
from airflow_provider_honeyhive.tasks.arguments import check_absolute, request_of, seconds_of
from airflow_provider_honeyhive.tasks.retry_policy import fail_if_permanent
from airflow_provider_honeyhive.tasks.run_window import run_window

#: Characters of a line that are seen.
SEEN = 100

SETTINGS = ClientSettings.parse(api_key="hh_x", key_source="of connection 'honeyhive_default'", project="demo")
DATA_PLANE = ClientSettings.parse(api_key=f"hh_fgdp_{'k' * 40}", key_source="of connection 'honeyhive_default'")
URL = "https://api.dp1.us.honeyhive.ai/v1/events/export"

#: What they say in the end is a list of choices.
LISTS = {"unknown endpoint"}

#: One of these says what to do, or what is allowed.
REMEDY = re.compile(
    r"\b(allowed|check|give|set|put|try again|tried again|use|write|correct|drop|install|remove|must|lower|higher|"
    r"smaller|may help|replace|trigger|make|see)\b",
    re.IGNORECASE,
)


def raised(call, *arguments, **named) -> HoneyHiveError:
    with pytest.raises(HoneyHiveError) as caught:
        call(*arguments, **named)
    return caught.value


def answer(status, body=b"", settings=SETTINGS, url=URL):
    return api_error(status, {}, body, url, settings)


def no_request(error, **settings):
    return connection_error(error, ClientSettings.parse(api_key="hh_x", **settings), verify=True)


OWN_WORDS = json.dumps({"success": False, "message": "x" * 400}).encode()
NESTED = "[" * 100_000

ERRORS = {
    **{f"HTTP {status}": answer(status) for status in (400, 401, 403, 404, 408, 413, 418, 422, 425, 429, 500, 503)},
    "refused": answer(404, OWN_WORDS),
    "refused data plane key": answer(404, OWN_WORDS, DATA_PLANE),
    "control plane": answer(401, OWN_WORDS, url="https://api.honeyhive.ai/v1/events/export"),
    "long words of the server": answer(400, OWN_WORDS),
    "no endpoint": no_endpoint(SETTINGS.api_url, ["/v1/events/export"] * 3, "connection 'c'"),
    "redirect": raised(redirect_target, URL, "https://elsewhere.example.com/"),
    "refused connection": no_request(
        requests.exceptions.ConnectionError(ConnectionRefusedError(111, "Connection refused"))
    ),
    "no connection in time": no_request(requests.exceptions.ConnectTimeout()),
    "silence": no_request(requests.exceptions.ReadTimeout()),
    "proxy": no_request(requests.exceptions.ProxyError("x")),
    "password of a proxy": no_request(requests.exceptions.ProxyError("Tunnel connection failed: 407 x")),
    "TLS": no_request(ssl.SSLError("x")),
    "certificate": no_request(ssl.SSLError("certificate verify failed: self-signed (_ssl.c:1)")),
    "no request": no_request(requests.exceptions.InvalidURL()),
    "garbled": no_request(ValueError()),
    "no CA bundle": connection_error(ssl.SSLError(), SETTINGS, "/no/such/bundle.pem"),
    "no key": raised(ClientSettings.parse, key_source="of connection 'honeyhive_default'"),
    "ingestion key": raised(ClientSettings.parse, api_key="hh_ingst_x", key_source="of connection 'honeyhive_default'"),
    "unknown endpoint": raised(ClientSettings.parse, api_key="hh_x", endpoint="exprt"),
    "no project": raised(request_of, DATA_PLANE, project=None),
    "wrong project": WrongProjectError("demo" * 50, "other" * 50),
    "incomplete": IncompleteExportError(1_000_000, 999_999),
    "incomplete alike": IncompleteExportError(1_000_000, 999_999, agreed=True),
    "incomplete by proof": IncompleteExportError(None, 5, "x" * 300),
    "too few": TooFewEventsError(1_000_000, 999_999),
    "unmatched": UnmatchedFieldsError(["inputs.prompt", "outputs.text"]),
    "would shrink": ExportWouldShrinkError(1_000_000, 999_999, 1, "s3://bucket/folder", "at noon"),
    "would shrink, damaged": ExportWouldShrinkError(1_000_000, 999_999, None),
    "too large for XCom": TooLargeForXComError(10**9, 5_000_000),
    "no window": raised(run_window, {}),
    "no time": raised(Window.parse, "yesterday", "2026-11-22"),
    "a long time": raised(Window.parse, "x" * 300, "2026-11-22"),
    "a day without its form": raised(Window.parse, 202611, 202612),
    "end before start": raised(Window.parse, "2026-11-22", "2026-11-21"),
    "one time": raised(run_window, {}, "2026-11-22", None),
    "no JSON": raised(parse_filters, "[{'field': 'a'}]" * 20),
    "nested filters": raised(parse_filters, NESTED),
    "nested paths": raised(parse_paths, "exclude_fields", NESTED),
    "no filter": raised(parse_filters, [5]),
    "no paths": raised(parse_paths, "exclude_fields", {"inputs": 1}),
    "relative path": raised(check_absolute, "exports/" * 20),
    "no span": raised(seconds_of, "delay", "soon"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_the_first_hundred_characters_of_an_error_say_what_to_do(name):
    first = str(ERRORS[name]).split("\n")[0]

    assert REMEDY.search(first[:SEEN]), first


@pytest.mark.parametrize("name", ERRORS)
def test_the_first_line_of_an_error_is_short_and_facts_have_lines_of_their_own(name):
    first, *facts = ERRORS[name].lines

    assert len(first) <= SEEN + 20 or name in LISTS, first
    assert all(facts)


def test_errors_of_every_kind_that_has_a_text_of_its_own_are_looked_at():
    kinds = {kind for kind in vars(exceptions).values() if isinstance(kind, type) and "_lines" in vars(kind)}

    assert kinds - {HoneyHiveError} <= {type(error) for error in ERRORS.values()}


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_the_same_after_pickling(name):
    again = pickle.loads(pickle.dumps(ERRORS[name]))  # noqa: S301 - made here

    assert again.lines == ERRORS[name].lines


def test_what_others_wrote_makes_no_line():
    error = HoneyHiveServerError("first\nforged", "fact\r\nforged")

    assert str(error) == "first\\nforged\nfact\\r\\nforged"


def test_a_long_value_comes_after_what_to_do():
    error = InvalidArgumentError("filters", "x" * 150, "allowed: a list", Fact("More is in the manual"))

    assert error.lines == ("filters: allowed: a list", f"filters: got '{'x' * 150}'", "More is in the manual")


@pytest.mark.parametrize("value", ["short", NOT_SHOWN])
def test_a_short_value_stands_beside_what_to_do(value):
    (line,) = InvalidArgumentError("page_size", value, "allowed: a number").lines

    assert line == (
        "page_size: allowed: a number" if value == NOT_SHOWN else "page_size: got 'short'; allowed: a number"
    )


def test_a_setting_is_shown_without_the_name_that_stands_before_it():
    assert str(ERRORS["unknown endpoint"]).startswith("endpoint: got 'exprt'; ")


def test_the_log_shows_an_error_on_one_line(caplog):
    error = HoneyHiveConnectionError("first", "fact")

    from airflow_provider_honeyhive.display import get_logger

    get_logger("airflow_provider_honeyhive.of_this_test").warning("Again: %s", error)

    assert [record.getMessage() for record in caplog.records] == ["Again: first. fact"]


def test_what_no_retry_mends_is_an_error_in_the_log_and_an_exception_without_our_traceback(caplog):
    with pytest.raises(AirflowFailException) as caught, fail_if_permanent():
        raise HoneyHiveConnectionError("what to do", "a fact", retryable=False)

    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert errors == ["HoneyHiveConnectionError: what to do", "a fact"]
    assert str(caught.value) == "HoneyHiveConnectionError: what to do\na fact"
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    said = "".join(traceback.format_exception(caught.value))
    assert "direct cause" not in said
    assert "During handling" not in said
    assert said.count("Traceback") == 1


def test_what_a_retry_may_mend_stays_what_it_is(caplog):
    with pytest.raises(HoneyHiveConnectionError), fail_if_permanent():
        raise HoneyHiveConnectionError("later")

    assert not caplog.records


def test_the_facts_of_a_wrong_project_name_more_than_one_cause():
    said = str(ERRORS["wrong project"])

    assert [word for word in ("classic key", "renamed", "endpoint") if word in said] == [
        "classic key",
        "renamed",
        "endpoint",
    ]
