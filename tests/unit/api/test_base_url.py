"""Host, scheme and port of a connection make the base URL, in every form in which Airflow hands them over."""

from __future__ import annotations

import traceback
from typing import Any

import pytest
import requests
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_honeyhive.api.base_url import base_url
from airflow_provider_honeyhive.api.settings import ClientSettings
from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from tests.unit.property_settings import thoroughly


@pytest.mark.parametrize(
    ("host", "schema", "port", "url"),
    [
        (None, "https", 8080, None),
        ("", None, 443, None),
        ("hh.example.com", "http", 8080, "http://hh.example.com:8080"),
        ("hh.example.com", "HTTPS", 8080, "https://hh.example.com:8080"),
        ("hh.example.com/base", None, 8080, "hh.example.com:8080/base"),
        ("https://hh.example.com/base/", "http", 8080, "https://hh.example.com:8080/base/"),
        ("hh.example.com:9090", "honeyhive", 8080, "hh.example.com:9090"),
        ("hh.example.com:", None, 8080, "hh.example.com:8080"),
    ],
)
def test_a_connections_fields_make_a_base_url(host, schema, port, url):
    assert base_url(host, schema, port) == url


@pytest.mark.parametrize("port", [None, "", 0, "0"])
def test_an_empty_port_is_none(port):
    assert base_url("hh.example.com", None, port) == "hh.example.com"


@pytest.mark.parametrize(
    ("host", "schema", "port", "url"),
    [
        ("hh.example.com", None, 443, "hh.example.com"),
        ("hh.example.com", "https", "443", "https://hh.example.com"),
        ("HTTPS://hh.example.com/base", "", 443, "HTTPS://hh.example.com/base"),
        ("http://hh.example.com", None, 80, "http://hh.example.com"),
        ("localhost", None, 80, "localhost"),
        ("localhost", None, 443, "localhost:443"),
        ("hh.example.com", "http", 443, "http://hh.example.com:443"),
    ],
)
def test_the_port_that_the_scheme_means_anyway_leaves_the_url_as_it_is(host, schema, port, url):
    assert base_url(host, schema, port) == url


@pytest.mark.parametrize(
    ("host", "schema", "port", "url"),
    [
        ("::1", "http", 8080, "http://[::1]:8080"),
        ("::1", None, 8080, "http://[::1]:8080"),
        ("::1", None, None, "http://[::1]"),
        ("[::1]", None, 8080, "http://[::1]:8080"),
        ("[::1]:9090", "http", 8080, "http://[::1]:9090"),
        ("http://::1", "", 8080, "http://[::1]:8080"),
        ("http://[::1]/base", None, 8080, "http://[::1]:8080/base"),
        ("::1/base", None, 8080, "http://[::1]:8080/base"),
        ("2001:db8::5", "https", 8443, "https://[2001:db8::5]:8443"),
        ("2001:DB8::5", None, 443, "https://[2001:DB8::5]"),
        ("::ffff:127.0.0.1", "https", 1, "https://[::ffff:127.0.0.1]:1"),
        ("fe80::1%eth0", "https", 8443, "https://[fe80::1%25eth0]:8443"),
        ("[fe80::1%25eth0]", None, None, "https://[fe80::1%25eth0]"),
        ("[fe80::1%25eth0]:1", None, 8443, "https://[fe80::1%25eth0]:1"),
    ],
)
def test_an_ipv6_address_may_have_lost_its_brackets(host, schema, port, url):
    settings = ClientSettings.parse(api_key="hh_x", api_url=base_url(host, schema, port))
    assert settings.api_url == url
    assert requests.Request("POST", f"{url}/path").prepare().url == f"{url}/path".lower()


@pytest.mark.parametrize("port", ["x", "80x", -1, "-1", 65_536, "99999", 8080.5, True, [1], {}, "9" * 5_000])
def test_what_is_no_port_is_refused_by_name(port):
    with pytest.raises(InvalidArgumentError, match=r"^port: port must be a number from 1 to 65535, or empty$"):
        base_url("hh.example.com", None, port)


@pytest.mark.parametrize(
    "host", ["hh.example.com:x", "http://[::1", "[::1]]", "::1%", "a..b", "h:0", ["h"], 7, "ho\nst"]
)
def test_what_is_no_host_is_refused_by_name(host):
    with pytest.raises(InvalidArgumentError, match=r"^(host|api_url): host must be a"):
        ClientSettings.parse(api_key="hh_x", api_url=base_url(host, None, 8080))


SECRET = "S3cr3t"
PIECES = st.sampled_from(
    [
        *(
            "http://",
            "https://",
            "ftp://",
            "://",
            "//",
            "h",
            "a..b",
            "localhost",
            "127.0.0.1",
            "::1",
            "[::1]",
            "[",
            "]",
        ),
        *(
            "fe80::1%eth0",
            "%25",
            "%",
            ":",
            ":80",
            ":99999",
            ":x",
            "/",
            "/base",
            "?",
            "#",
            "@",
            "\n",
            " ",
            "\ud800",
            "\0",
        ),
        *(f"u:{SECRET}@", f"?{SECRET}"),
    ]
)
HOSTS = st.one_of(st.lists(PIECES, max_size=5).map("".join), st.text(max_size=8))
ODD: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6), st.just([1]), st.just(10**5_000)
)


@thoroughly(500)
@given(
    st.one_of(HOSTS, ODD), st.one_of(st.sampled_from(["http", "https"]), ODD), st.one_of(st.integers(0, 70_000), ODD)
)
@example("¹", None, None)
@example("[::1", "http", 1)
@example("::1", "http", 10**5_000)
def test_whatever_the_fields_hold_is_a_url_that_can_be_asked_or_a_typed_error(host, schema, port):
    try:
        settings = ClientSettings.parse(api_key="hh_x", api_url=base_url(host, schema, port), allow_http=True)
    except InvalidArgumentError as error:
        said = "".join(traceback.format_exception(error))
    else:
        said = settings.api_url
        assert requests.Request("POST", f"{said}/path").prepare().url
    assert SECRET not in said
