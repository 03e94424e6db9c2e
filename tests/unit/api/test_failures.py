"""What a server says that is no page: read within bounds, shown on one line, and without what was sent to it."""

from __future__ import annotations

import json
from base64 import b64encode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_honeyhive.api.client import HoneyHiveClient
from airflow_provider_honeyhive.api.failures import api_error, is_missing_route, redirect_target
from airflow_provider_honeyhive.api.settings import ClientSettings
from airflow_provider_honeyhive.exceptions import HoneyHiveAPIError, HoneyHiveRequestError, WrongProjectError
from airflow_provider_honeyhive.models.request import ExportRequest
from airflow_provider_honeyhive.sandbox import Fault
from tests.unit.property_settings import thoroughly

KEY, PASSWORD = "hh_a/b+S3cr3t", "p/w+S3cr3t"
SETTINGS = ClientSettings.parse(api_key=KEY, proxy="http://user:p%2Fw%2BS3cr3t@proxy:1")


@pytest.fixture(autouse=True)
def _client():
    # A client of these settings: what it knows is shown by nobody from then on.
    HoneyHiveClient(SETTINGS).close()


def error_of(body: bytes, status: int = 400, **headers: str) -> HoneyHiveAPIError:
    return api_error(status, headers, body, "https://hh.example/path", SETTINGS)


def in_json(text: str) -> str:
    return "".join(rf"\u{ord(character):04x}" for character in text)


@pytest.mark.parametrize("secret", [KEY, PASSWORD, b64encode(f"user:{PASSWORD}".encode()).decode()])
@pytest.mark.parametrize(
    "spelled",
    [
        str,
        in_json,
        lambda text: text.replace("/", r"\/"),
        lambda text: text.replace("/", "%2F").replace("+", "%2b"),
        lambda text: text.replace("+", r"\\u002b"),
        lambda text: text.replace("+", "&#43;"),
    ],
)
@pytest.mark.parametrize("member", ["message", "errorCode", "error"])
def test_what_was_sent_is_shown_in_no_spelling(secret, spelled, member):
    error = error_of(f'{{"{member}":"Bearer {spelled(secret)} is no key"}}'.encode())
    for text in (str(error), repr(error), error.server_message, error.error_code):
        assert "S3cr3t" not in (text or "")
        assert secret not in (text or "")
    assert "Bearer *** is no key" in f"{error.server_message} {error.error_code}"


def test_a_message_is_one_line_of_what_prints_and_not_endless():
    error = error_of(
        json.dumps({"message": "a\n b\x1b[31m\u202ec" + "x" * 9_000, "errorCode": "\u202e" * 9_000}).encode()
    )
    assert (error.server_message or "").startswith(r"a b\x1b[31m\u202ecxxx")
    for text in (error.server_message or "", error.error_code or ""):
        assert text.isprintable()
        assert len(text) == 500


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"[1]",
        b'"text"',
        b"[" * 60_000,
        b'{"message":' + b"7" * 5_000 + b"}",
        b'{"message":["a"],"errorCode":{"a":1}}',
        b'{"message":"\\ud800","errorCode":NaN}',
    ],
)
def test_whatever_an_error_says_it_is_an_error_of_its_status(body):
    error = error_of(body)
    assert (type(error), error.status_code) == (HoneyHiveRequestError, 400)


def test_a_routers_404_is_known_by_its_text_also_where_an_integer_is_too_long():
    assert is_missing_route(error_of(b'{"message":"Cannot POST /x","statusCode":%b}' % (b"4" * 5_000), 404))


DATES = st.builds(
    "{} {} {} {} {} {}".format,
    st.sampled_from(["Mon,", "", "Mon"]),
    st.sampled_from(["01", "0", "99", "9" * 5_000]),
    st.sampled_from(["Jan", "jan", "X", ""]),
    st.sampled_from(["2024", "0001", "9999", "99999", "-1", "9" * 30]),
    st.sampled_from(["00:00:00", "23:59", "99:99:99", ""]),
    st.sampled_from(["GMT", "+0000", "-2359", "+9999", "+" + "9" * 20, "-" + "9" * 5_000, ""]),
)


@thoroughly(500)
@given(st.one_of(DATES, st.text(max_size=20), st.floats().map(str), st.integers().map(str)))
@example("Mon, 01 Jan 2024 00:00:00 +99999999999999999999")
@example("Sat, 01 Jan 0001 00:00:00 +2359")
@example("9" * 5_000)
@example("1e400")
def test_retry_after_says_some_seconds_or_nothing(header):
    found = error_of(b"{}", 429, **{"Retry-After": header}).retry_after
    assert found is None or found >= 0


def test_the_key_is_in_no_error_however_the_server_says_it_back(sandbox, client_of):
    sandbox.keys["hh_a/b"] = "demo"
    sandbox.faults.append(Fault.answer(401, r'{"message":"no key hh_a\/b \u0068h_a/b"}'))
    with pytest.raises(HoneyHiveAPIError, match=r"no key \*\*\* \*\*\*"):
        client_of(sandbox, api_key="hh_a/b").fetch_page(ExportRequest(project="demo"))


@pytest.mark.parametrize("location", ["https://%s@evil.example", "https://evil.example/%s", "https://u:%s@evil/"])
def test_where_a_redirect_leads_is_told_without_what_may_be_the_key(location):
    with pytest.raises(HoneyHiveRequestError, match="redirects to 'https://evil") as caught:
        redirect_target("https://hh.example/path", location % "hh_S3cr3t")
    assert "S3cr3t" not in str(caught.value)


def test_where_a_redirect_leads_is_cut_so_that_the_error_says_what_to_do():
    with pytest.raises(HoneyHiveRequestError, match="set the connection's host") as caught:
        redirect_target("https://hh.example/path", "https://" + "x" * 50_000)
    assert len(str(caught.value)) < 1_000


def test_names_of_projects_are_cut_so_that_an_error_says_what_to_do():
    text = str(WrongProjectError("asked", "\u202e" + "x" * 100_000))
    assert len(text) < 1_100
    assert "set project to" in text
    assert all(map(str.isprintable, text.split("\n")))
