"""The command line reads a connection as Airflow does."""

from __future__ import annotations

import pytest

from airflow_provider_honeyhive.cli.connection import find_settings
from airflow_provider_honeyhive.hooks.honeyhive import HoneyHiveHook


@pytest.mark.parametrize(
    "text",
    [
        "honeyhive://:hh_a%2Fb%40c@api.example.com",
        "honeyhive://:hh_a%2Fb%40c@api.example.com:8443/https",
        "honeyhive://user:hh_x@api.example.com/elsewhere?timeout=5&max_retries=0",
        "honeyhive://:hh_x@127.0.0.1:8080/http?project=a%20b&verify=false",
        "honeyhive://:hh_x@localhost:8080",
        "honeyhive://:hh_x@[::1]:8080/http",
        "honeyhive://:hh_x@[2001:db8::5]",
        "honeyhive://:hh_x@[fe80::1%25eth0]:8443/https",
        "honeyhive://http://:hh_x@[::1]:8080",
        "honeyhive://:hh_x@http%3A%2F%2F%5B%3A%3A1%5D:8080",
        "honeyhive://:hh_x@api.example.com:443/https",
        "honeyhive://:hh_x@api.example.com:0/https",
        "honeyhive://https://:hh_x@api.example.com:8443/?endpoint=search",
        "honeyhive://http://:hh_x@localhost/?endpoint=search",
        "honeyhive://:hh_x@https%3A%2F%2Fapi.example.com%2FHoney",
        'honeyhive://:hh_x@api.example.com/https?project=ignored&__extra__={"project": "demo", "timeout": 7}',
        "honeyhive://:hh_x@",
        '{"conn_type": "honeyhive", "password": "hh_x", "host": "", "extra": {"project": "demo"}}',
        '{"conn_type": "honeyhive", "password": "hh_x", "host": "far", "extra": "{\\"allow_http\\": true}"}',
        '{"conn_type": "honeyhive", "password": "hh_x", "host": "far", "schema": "https", "port": 8443}',
        '{"conn_type": "honeyhive", "password": "hh_x", "host": "http://localhost:1", "port": 2, "extra": null}',
        '{"conn_type": "honeyhive", "password": "hh_x", "host": "::1", "port": 8080}',
        '{"conn_type": "honeyhive", "password": "hh_x", "host": "[::1]", "schema": "http", "port": "8080"}',
        '{"conn_type": "honeyhive", "password": "hh_x", "host": "far", "port": 0}',
    ],
)
def test_a_connection_means_the_same_to_the_command_line_and_to_airflow(monkeypatch, text):
    monkeypatch.setenv("AIRFLOW_CONN_SAME", text)
    told = {"key_source": ""}
    ours, airflows = find_settings(text, {}), HoneyHiveHook("same").settings
    assert ours.model_copy(update=told) == airflows.model_copy(update=told)
