"""Key, URL and the rest, from the command line and the environment; and the key is never told."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from airflow_provider_honeyhive.api.connection_form import DEFAULT_API_URL
from airflow_provider_honeyhive.cli.connection import find_settings
from airflow_provider_honeyhive.exceptions import HoneyHiveAuthError, InvalidArgumentError

KEY = "hh_S3cr3t+/%@:?#"
QUOTED = "hh_S3cr3t%2B%2F%25%40%3A%3F%23"


def found(text: str | None, **environment: str) -> Any:
    return find_settings(text, environment)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        (f"honeyhive://:{QUOTED}@api.example.com", "https://api.example.com"),
        (f"honeyhive://:{QUOTED}@api.example.com:8443/https", "https://api.example.com:8443"),
        (f"honeyhive://:{QUOTED}@127.0.0.1:8080/http", "http://127.0.0.1:8080"),
        (f"honeyhive://:{QUOTED}@localhost:8080", "http://localhost:8080"),
        (f"honeyhive://:{QUOTED}@[::1]:8080/http", "http://[::1]:8080"),
        (f"honeyhive://https://:{QUOTED}@api.example.com:8443/", "https://api.example.com:8443"),
        (f"honeyhive://:{QUOTED}@https%3A%2F%2Fapi.example.com%2FHoney", "https://api.example.com/Honey"),
        (f"honeyhive://:{QUOTED}@", DEFAULT_API_URL),
        (f"  honeyhive://somebody:{QUOTED}@api.example.com/elsewhere?x=1\n", "https://api.example.com"),
        (json.dumps({"conn_type": "honeyhive", "password": KEY, "host": "https://api.example.com/"}), None),
        (json.dumps({"password": KEY, "host": "api.example.com", "schema": "https", "port": None}), None),
        (json.dumps({"password": KEY, "host": "api.example.com", "port": "8443"}), "https://api.example.com:8443"),
        (json.dumps({"password": KEY, "host": "api.example.com", "port": "443"}), "https://api.example.com"),
        (json.dumps({"password": KEY}), DEFAULT_API_URL),
    ],
)
def test_a_connection_is_read_in_every_form_that_airflow_takes(text, url):
    settings = found(text)
    assert settings.api_key.get_secret_value() == KEY
    assert settings.api_url == (url or "https://api.example.com")


@pytest.mark.parametrize(
    "text",
    [
        "honeyhive://:hh_x@h?project=a%20b&endpoint=search&timeout=60&max_retries=0&verify=false&allow_http=true&x=1",
        "honeyhive://:hh_x@h?__extra__=%7B%22project%22%3A%22a+b%22%2C%22endpoint%22%3A%22search%22%2C%22timeout%22"
        "%3A60%2C%22max_retries%22%3A0%2C%22verify%22%3Afalse%2C%22allow_http%22%3Atrue%7D",
        '{"password": "hh_x", "host": "h", "extra": {"project": "a b", "endpoint": "search", "timeout": 60, '
        '"max_retries": 0, "verify": false, "allow_http": true}}',
        '{"password": "hh_x", "host": "h", "extra": "{\\"project\\": \\"a b\\", \\"endpoint\\": \\"search\\", '
        '\\"timeout\\": \\"60\\", \\"max_retries\\": 0, \\"verify\\": \\"false\\", \\"allow_http\\": true}"}',
    ],
    ids=["query", "__extra__", "extra as an object", "extra as a text"],
)
def test_extras_are_read_in_every_form(text):
    settings = found(text)
    assert (settings.project, settings.endpoint, settings.timeout) == ("a b", "search", 60.0)
    assert (settings.max_retries, settings.verify, settings.allow_http) == (0, False, True)


@pytest.mark.parametrize(
    ("text", "environment", "key", "url"),
    [
        (None, {"HH_API_KEY": "hh_env"}, "hh_env", DEFAULT_API_URL),
        (None, {"HH_API_KEY": "hh_env", "HH_API_URL": "https://env"}, "hh_env", "https://env"),
        (
            None,
            {"HH_API_KEY": "hh_env", "AIRFLOW_CONN_HONEYHIVE_DEFAULT": "honeyhive://:hh_conn@conn"},
            "hh_env",
            DEFAULT_API_URL,
        ),
        (None, {"AIRFLOW_CONN_HONEYHIVE_DEFAULT": "honeyhive://:hh_conn@conn"}, "hh_conn", "https://conn"),
        (
            None,
            {
                "HH_API_KEY": "",
                "AIRFLOW_CONN_HONEYHIVE_DEFAULT": '{"password": "hh_conn"}',
                "HH_API_URL": "https://env",
            },
            "hh_conn",
            "https://env",
        ),
        (
            "honeyhive://:hh_option@option",
            {
                "HH_API_KEY": "hh_env",
                "HH_API_URL": "https://env",
                "AIRFLOW_CONN_HONEYHIVE_DEFAULT": "honeyhive://:hh_conn@conn",
            },
            "hh_option",
            "https://option",
        ),
        (
            "honeyhive://option?timeout=5",
            {"HH_API_KEY": "hh_env", "HH_API_URL": "https://e"},
            "hh_env",
            "https://option",
        ),
        ("honeyhive://?timeout=5", {"HH_API_KEY": "hh_env", "HH_API_URL": "https://env"}, "hh_env", "https://env"),
        (None, {"HH_PROJECT_API_KEY": "hh_new", "HH_API_KEY": "hh_old"}, "hh_new", DEFAULT_API_URL),
        (None, {"HH_DATA_PLANE_API_KEY": "hh_fgdp_x", "HH_API_KEY": "hh_old"}, "hh_fgdp_x", DEFAULT_API_URL),
        (None, {"HH_DATA_PLANE_API_KEY": "hh_fgdp_x", "HH_PROJECT_API_KEY": "hh_new"}, "hh_new", DEFAULT_API_URL),
        (None, {"HH_PROJECT_API_KEY": "", "HH_API_KEY": "hh_old"}, "hh_old", DEFAULT_API_URL),
        (
            None,
            {"HH_API_KEY": "hh_old", "HH_DATA_PLANE_URL": "https://new", "HH_API_URL": "https://old"},
            "hh_old",
            "https://new",
        ),
        (
            None,
            {"HH_DATA_PLANE_API_KEY": "hh_fgdp_x", "AIRFLOW_CONN_HONEYHIVE_DEFAULT": "honeyhive://:hh_conn@conn"},
            "hh_fgdp_x",
            DEFAULT_API_URL,
        ),
    ],
)
def test_the_option_comes_before_the_variables_and_they_fill_what_it_leaves_out(text, environment, key, url):
    settings = found(text, **environment)
    assert (settings.api_key.get_secret_value(), settings.api_url) == (key, url)


@pytest.mark.parametrize(
    "text",
    [
        KEY,
        f"https://:{QUOTED}@api.example.com",
        f"honeyhive://:{KEY}@api.example.com/https",
        "honeyhive://:hh_S3cr3t/b@api.example.com",
        "honeyhive://:hh_S3cr3t#b@api.example.com",
        "honeyhive://:hh_S3cr3t?b@api.example.com",
        "honeyhive://:hh_S3cr3t@api.example.com?project=a#b",
        "honeyhive://:hh_S3cr3t@api.example.com:port/https",
        "honeyhive://:hh_S3cr3t@[::1/https",
        "honeyhive://:hh_S3cr3t@api.example.com?__extra__=hh_S3cr3t",
        "honeyhive://:hh_S3cr3t@api.example.com?__extra__=[1]",
        "honeyhive:hh_S3cr3t",
        "honeyhive://",
        '{"password": "hh_S3cr3t"',
        '{"password": ["hh_S3cr3t"]}',
        '{"password": "hh_S3cr3t", "conn_type": "http"}',
        '{"password": "hh_S3cr3t", "host": 7}',
        '{"password": "hh_S3cr3t", "port": "x"}',
        '{"password": "hh_S3cr3t", "host": "h:hh_S3cr3t", "port": 1}',
        '{"password": "hh_S3cr3t", "extra": [1]}',
        '{"password": "hh_S3cr3t", "extra": "x"}',
        '{"password": ' + "[" * 100_000,
    ],
)
@pytest.mark.parametrize("variable", [False, True], ids=["option", "variable"])
def test_what_is_no_connection_is_refused_without_being_shown(text, variable):
    with pytest.raises(InvalidArgumentError) as caught:
        found(None, AIRFLOW_CONN_HONEYHIVE_DEFAULT=text) if variable else found(text)
    assert str(caught.value).startswith(
        ("AIRFLOW_CONN_HONEYHIVE_DEFAULT" if variable else "--connection-uri") + ": allowed: "
    )
    assert "S3cr3t" not in f"{caught.value} {caught.value!r}"


@pytest.mark.parametrize(
    ("text", "environment", "names"),
    [
        ("honeyhive://:hh_x@h?timeout=soon", {}, "--connection-uri (timeout): got 'soon'; "),
        (
            "honeyhive://:hh_x@h?timeout=soon&max_retries=x",
            {},
            "--connection-uri (timeout), --connection-uri (max_retries): ",
        ),
        ('{"password": "hh_x", "host": "ftp://h"}', {}, "--connection-uri (host): got"),
        ("honeyhive://:hh_x@far/http", {}, "--connection-uri (host): http://far would send the key over plain"),
        ("honeyhive://?timeout=5", {"HH_API_KEY": "hh_x", "HH_API_URL": "ftp://h"}, "HH_API_URL: got"),
        (None, {"HH_API_KEY": "hh_x", "HH_API_URL": "http://far"}, "HH_API_URL: http://far would send"),
        (None, {"HH_API_KEY": "hh_ü S3cr3t"}, "HH_API_KEY: the API key"),
        ("honeyhive://:a%20S3cr3t@h", {}, "--connection-uri (password): the API key"),
        (None, {"HH_DATA_PLANE_API_KEY": "hh_ü S3cr3t"}, "HH_DATA_PLANE_API_KEY: the API key"),
        (None, {"HH_API_KEY": "hh_x", "HH_DATA_PLANE_URL": "ftp://h"}, "HH_DATA_PLANE_URL: got"),
        (
            None,
            {},
            "HH_PROJECT_API_KEY: got None; set it (or one of HH_DATA_PLANE_API_KEY, HH_API_KEY) to the API key, or "
            "give a connection with --connection-uri",
        ),
        ("honeyhive://S3cr3t", {}, "HH_PROJECT_API_KEY: got None; set it"),
        ('{"host": "https://h"}', {}, "HH_PROJECT_API_KEY: got None; set it"),
    ],
)
def test_an_error_names_where_the_value_came_from_and_not_the_key(text, environment, names):
    with pytest.raises(InvalidArgumentError) as caught:
        found(text, **environment)
    assert str(caught.value).startswith(names)
    assert "S3cr3t" not in f"{caught.value} {caught.value!r}"


@pytest.mark.parametrize(
    ("text", "environment", "name"),
    [
        (None, {"HH_API_KEY": "hh_ingst_x"}, "the API key of HH_API_KEY"),
        (None, {"HH_PROJECT_API_KEY": "hh_fgcp_x"}, "the API key of HH_PROJECT_API_KEY"),
        ("honeyhive://:hh_ingst_x@h", {}, "the API key of --connection-uri (password)"),
    ],
)
def test_a_key_that_cannot_read_is_refused_and_named_by_where_it_came_from(text, environment, name):
    with pytest.raises(HoneyHiveAuthError, match=f"^{re.escape(name)} cannot read events"):
        found(text, **environment)
