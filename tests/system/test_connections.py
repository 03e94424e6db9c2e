"""Connections in every form Airflow takes them, and what testing one says."""

from __future__ import annotations

import json
import logging
import socket
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import trustme
from airflow.cli import cli_parser
from airflow.models import Connection
from airflow.utils.session import create_session

from airflow_provider_honeyhive.hooks.honeyhive import HoneyHiveHook
from airflow_provider_honeyhive.sandbox import Behaviour, Fault, handler

from .conftest import DAY, DAY_END, KEY
from .running import AIRFLOW_3_1, ids_in, run_export

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


# ------------------------------------------------------------------------------------------- forms


def assert_exports_the_day(sandbox, output, conn_id):
    run = run_export(output, honeyhive_conn_id=conn_id)

    assert run.state == "success", run.errors
    assert sorted(ids_in(output)) == sorted(sandbox.event_ids(DAY, DAY_END))


@pytest.mark.parametrize(
    "form",
    [
        "honeyhive://:{key}@{host}:{port}/http?project=demo",
        "honeyhive://:{key}@{host}:{port}/?project=demo&timeout=20&max_retries=1&endpoint=search",
        'honeyhive://:{key}@{host}:{port}/http?__extra__={{"project": "demo", "max_retries": 1}}',
    ],
)
def test_a_connection_may_be_a_uri(sandbox, output, monkeypatch, form):
    place = urlsplit(sandbox.url)
    monkeypatch.setenv("AIRFLOW_CONN_FORM", form.format(key=KEY, host=place.hostname, port=place.port))

    assert_exports_the_day(sandbox, output, "form")


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"extra": {"project": "demo"}}, id="extra as an object"),
        pytest.param({"extra": '{"project": "demo", "timeout": "20"}'}, id="extra as a text"),
        pytest.param({"schema": "http", "extra": {"project": "demo"}}, id="scheme in its own field"),
    ],
)
def test_a_connection_may_be_json(sandbox, output, monkeypatch, fields):
    connection = {"conn_type": "honeyhive", "host": sandbox.url, "password": KEY, **fields}
    if "schema" in fields:
        connection["host"] = urlsplit(sandbox.url).netloc
    monkeypatch.setenv("AIRFLOW_CONN_FORM", json.dumps(connection))

    assert_exports_the_day(sandbox, output, "form")


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param(
            {
                "project": "demo",
                "endpoint": "",
                "timeout": None,
                "max_retries": None,
                "verify": "",
                "proxy": "",
                "app_url": "",
                "allow_http": False,
            },
            id="only the project filled in",
        ),
        pytest.param(
            {
                "project": "demo",
                "endpoint": None,
                "timeout": None,
                "max_retries": None,
                "verify": None,
                "proxy": None,
                "app_url": None,
                "redact_secret": None,
                "allow_http": False,
                "trust_total": True,
                "max_response_bytes": None,
            },
            id="with nothing filled in but the project, as Airflow 3.3 sends it",
        ),
        pytest.param(
            {
                "project": "demo",
                "endpoint": "auto",
                "timeout": 300,
                "max_retries": 8,
                "verify": "true",
                "proxy": None,
                "app_url": None,
                "allow_http": False,
            },
            id="with the defaults that earlier forms filled in",
        ),
    ],
)
def test_a_connection_may_be_saved_by_the_form(sandbox, output, extra):
    saved = Connection(conn_id="form", conn_type="honeyhive", host=sandbox.url, password=KEY, extra=json.dumps(extra))
    with create_session() as session:
        session.add(saved)
    try:
        assert_exports_the_day(sandbox, output, "form")
    finally:
        with create_session() as session:
            session.query(Connection).filter_by(conn_id="form").delete()


# ----------------------------------------------------------------------------------------- testing


@pytest.fixture
def authority() -> trustme.CA:
    """A certificate authority that nobody knows."""
    return trustme.CA()


@pytest.fixture
def certificate(authority: trustme.CA, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Files of a certificate for loopback, and of its key."""
    issued = authority.issue_cert("127.0.0.1")
    chain, key = tmp_path / "server.pem", tmp_path / "server.key"
    for blob in issued.cert_chain_pems:
        blob.write_to_path(chain, append=True)
    issued.private_key_pem.write_to_path(key)
    return str(chain), str(key)


def has_ipv6_loopback():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def answer():
    ok, message = HoneyHiveHook().test_connection()
    assert KEY not in message
    return ok, message


def failure():
    """Test the connection, which must fail, and return what that says."""
    ok, message = answer()
    assert not ok
    return message


@pytest.fixture
def lately():
    """When the events of the last day are."""
    now = datetime.now(UTC)
    return {"start": now - timedelta(hours=2), "end": now - timedelta(hours=1)}


def test_success_names_the_project_and_counts_the_last_day(serve, lately):
    serve(count=250, **lately)

    assert answer() == (True, "Connected: project demo, 250 events in the last day")


def test_without_a_project_it_says_which_one_the_key_reads(serve, connect, lately):
    sandbox = serve(count=3, **lately)
    connect(sandbox, project=None)

    assert answer() == (True, "Connected: project demo, 3 events in the last day")


def test_success_is_in_the_log(serve, lately, caplog):
    serve(count=250, **lately)

    with caplog.at_level(logging.INFO):
        assert answer()[0]

    (told,) = (record for record in caplog.records if record.message.startswith("Connected"))
    assert (told.message, told.levelname) == ("Connected: project demo, 250 events in the last day", "INFO")


@pytest.mark.parametrize("options", [[], ["--verbose"]])
def test_airflows_command_line_says_how_many_events_there_are(serve, lately, monkeypatch, capfd, caplog, options):
    serve(count=250, **lately)
    monkeypatch.setenv("AIRFLOW__CORE__TEST_CONNECTION", "Enabled")
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "")
    arguments = cli_parser.get_parser().parse_args(["connections", "test", "honeyhive_default", *options])

    with caplog.at_level(logging.INFO):
        arguments.func(arguments)

    printed = capfd.readouterr().out
    assert "Connection success" in printed
    assert (printed + caplog.text).count("Connected: project demo, 250 events in the last day") == 1
    assert ("Connected" in caplog.text) is bool(options)


@pytest.mark.parametrize(
    ("days_ago", "period", "requests"),
    [(2, "the last 7 days", 2), (8, "the last 30 days", 3), (31, "the last 365 days", 4)],
)
def test_where_the_last_day_has_no_events_a_longer_time_is_looked_at(serve, days_ago, period, requests):
    end = datetime.now(UTC) - timedelta(days=days_ago)
    sandbox = serve(count=3, start=end - timedelta(hours=1), end=end)

    assert answer() == (True, f"Connected: project demo, 0 events in the last day, 3 events in {period}")
    assert len(sandbox.requests) == requests


@pytest.mark.parametrize(("project", "named"), [("demo", "demo"), (None, "of this key")])
def test_without_events_it_does_not_say_that_the_project_is_right(serve, connect, caplog, project, named):
    sandbox = serve(count=0)
    connect(sandbox, project=project)

    assert answer() == (
        True,
        f"Connected: project {named}, 0 events in the last day, and none in the last 365 days, "
        "so the project could not be confirmed",
    )
    assert len(sandbox.requests) == 4
    assert [record.levelname for record in caplog.records if "could not be confirmed" in record.message] == ["WARNING"]


def test_a_longer_time_that_cannot_be_read_is_no_failure_of_the_connection(serve):
    sandbox = serve(count=0)
    sandbox.faults += [Fault(), Fault.answer(503)]

    assert answer() == (
        True,
        "Connected: project demo, 0 events in the last day, so the project could not be confirmed",
    )
    assert len(sandbox.requests) == 2


def test_events_of_another_project_are_a_failure_also_where_only_a_longer_time_has_them(serve, connect):
    end = datetime.now(UTC) - timedelta(days=2)
    sandbox = serve(count=3, start=end - timedelta(hours=1), end=end)
    connect(sandbox, project="other", endpoint="search")

    message = failure()

    assert "'other'" in message
    assert "demo" in message


#: Airflow 3.1 itself does not read such a connection.
ODD_EXTRA = "Connection: " if AIRFLOW_3_1 else "Connection field: extra: "


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ('{"conn_type": "honeyhive", "password": "hh_x", "host": "h:port", "port": 80}', "Connection field: host: "),
        ('{"conn_type": "honeyhive", "password": "hh_x", "host": "h", "port": 99999}', "Connection field: port: "),
        ('{"conn_type": "honeyhive", "password": "hh_x", "host": "[::1", "port": 80}', "Connection field: host: "),
        ('{"conn_type": "honeyhive", "password": "hh_x", "extra": "no JSON"}', ODD_EXTRA),
        ('{"conn_type": "honeyhive", "password": "hh_x", "extra": "[1]"}', ODD_EXTRA),
        ("honeyhive://:hh_x@h?__extra__=no-JSON", ODD_EXTRA),
        ('{"conn_type": "honeyhive", "password": "hh_x", "port": "port"}', "Connection: "),
        ("honeyhive://:hh_x@h:port/https", "Connection: "),
        ("honeyhive://:hh_x@[::1/https", "Connection: "),
        (None, "Connection: "),
    ],
)
def test_a_connection_that_cannot_be_read_is_an_answer_and_no_exception(monkeypatch, value, says):
    if value is not None:
        monkeypatch.setenv("AIRFLOW_CONN_HONEYHIVE_ODD", value)

    ok, message = HoneyHiveHook("honeyhive_odd").test_connection()

    assert not ok
    assert message.startswith(says)
    assert "hh_x" not in message


@pytest.mark.skipif(not has_ipv6_loopback(), reason="this machine has no IPv6")
@pytest.mark.parametrize(
    "text",
    [
        "honeyhive://:{key}@[::1]:{port}/http",
        "honeyhive://http://:{key}@[::1]:{port}",
        '{{"conn_type": "honeyhive", "password": "{key}", "host": "::1", "port": {port}}}',
        '{{"conn_type": "honeyhive", "password": "{key}", "host": "http://[::1]:{port}"}}',
    ],
)
def test_a_connection_to_an_ipv6_address_works(serve, lately, monkeypatch, text):
    monkeypatch.setattr(handler.Server, "address_family", socket.AF_INET6)
    sandbox = serve(count=3, host="::1", **lately)
    monkeypatch.setenv("AIRFLOW_CONN_HONEYHIVE_DEFAULT", text.format(key=KEY, port=sandbox.port))

    assert answer() == (True, "Connected: project demo, 3 events in the last day")


@pytest.mark.parametrize(
    ("key", "begins", "says"),
    [
        ("hh_wrong", "API key: HTTP 401", "Invalid API key"),
        ("hh_ingst_x", "API key: ", "ingestion key"),
        ("hh_fgcp_x", "API key: ", "control plane key"),
        ("", "API key: ", "has no API key"),
        ("two words", "Connection field: ", "characters no key has"),
    ],
)
def test_a_key_that_cannot_read_is_told_apart(serve, monkeypatch, key, begins, says):
    sandbox = serve(behaviour=Behaviour(generation="older"))
    connection = {"conn_type": "honeyhive", "host": sandbox.url, "password": key, "extra": {"project": "demo"}}
    monkeypatch.setenv("AIRFLOW_CONN_HONEYHIVE_DEFAULT", json.dumps(connection))

    message = failure()
    assert message.startswith(begins)
    assert says in message


def test_a_key_without_permission_is_told_apart(serve):
    serve(behaviour=Behaviour(generation="older", forbidden_keys=frozenset({KEY})))

    assert failure().startswith("API key: HTTP 403")


@pytest.mark.parametrize("is_data_plane", [False, True])
def test_todays_404_is_told_apart_as_far_as_the_server_lets_it(serve, connect, is_data_plane):
    sandbox = serve()
    key = sandbox.data_plane_key if is_data_plane else KEY
    connect(sandbox, key=key, project=sandbox.project_id)
    del sandbox.keys[key]

    message = failure()

    assert message.startswith("API key, project or id: HTTP 404: check the API key of connection 'honeyhive_default'")
    assert "the key is good" not in message
    assert key not in message


def test_a_classic_key_is_known_to_be_good_where_only_the_project_is_refused(serve, connect, lately):
    sandbox = serve(count=3, behaviour=Behaviour(export_checks_project=True), **lately)
    connect(sandbox, project="other")

    message = failure()

    assert message.startswith(
        "API key, project or id: the key is good, so check the project: Connected: project demo, "
    )
    assert "3 events in the last day, asked without 'other'. HTTP 404" in message


def test_a_data_plane_key_and_an_id_are_all_it_takes(serve, connect, lately):
    sandbox = serve(count=3, **lately)
    connect(sandbox, key=sandbox.data_plane_key, project=sandbox.project_id)

    assert answer() == (True, f"Connected: project {sandbox.project_id}, 3 events in the last day")


def test_a_host_that_is_not_there_is_told_apart(sandbox):
    sandbox.close()

    assert failure().startswith("No connection: cannot reach 127.0.0.1")


def test_a_person_who_waits_gets_the_first_answer(sandbox):
    sandbox.faults.append(Fault.answer(503))

    assert "HTTP 503" in failure()
    assert len(sandbox.requests) == 1


def test_a_host_that_is_not_honeyhive_is_told_apart(serve):
    serve(behaviour=Behaviour(endpoints=frozenset()))

    assert failure().startswith("Host or path: ")


def test_a_project_of_another_key_is_told_apart(serve, connect):
    connect(serve(behaviour=Behaviour(generation="older")), project="other", endpoint="legacy")

    message = failure()
    assert message.startswith("API key, project or id: ")
    assert "Project not found" in message


def test_a_field_that_cannot_be_right_is_named(sandbox, connect):
    connect(sandbox, timeout="soon", endpoint="expert")

    message = failure()
    assert message.startswith("Connection field: ")
    assert "timeout" in message
    assert "endpoint" in message


def test_a_certificate_that_nobody_vouches_for_is_told_apart(serve, certificate):
    serve(tls=certificate)

    message = failure()
    assert message.startswith("No connection: behind a private CA, set the connection's extra 'verify'")
    assert "The certificate of 127.0.0.1" in message


def test_https_to_a_port_of_plain_http_is_told_apart(sandbox, monkeypatch):
    connection = {"conn_type": "honeyhive", "host": sandbox.url.replace("http:", "https:"), "password": KEY}
    monkeypatch.setenv("AIRFLOW_CONN_HONEYHIVE_DEFAULT", json.dumps(connection))

    assert failure().startswith("No connection: the TLS handshake with 127.0.0.1")


def test_a_private_authority_is_trusted_by_its_bundle(serve, connect, authority, certificate, tmp_path, output):
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(bundle)
    sandbox = serve(tls=certificate)
    connect(sandbox, verify=str(bundle))

    assert answer()[0] is True
    assert_exports_the_day(sandbox, output, "honeyhive_default")


@pytest.mark.parametrize(
    ("variable", "is_trusted"), [("REQUESTS_CA_BUNDLE", True), ("CURL_CA_BUNDLE", True), ("SSL_CERT_FILE", False)]
)
def test_of_the_environments_bundles_those_of_requests_count(
    serve, authority, certificate, tmp_path, monkeypatch, variable, is_trusted
):
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(bundle)
    serve(tls=certificate)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, str(bundle))

    assert answer()[0] is is_trusted
