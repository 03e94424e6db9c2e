"""The page on the connection: each form of it is read, its tables are those of the code."""

from __future__ import annotations

import json

import pytest
from pydantic import SecretStr

from airflow_provider_honeyhive.api.connection_form import (
    EXTRA_FIELDS,
    LEAST_MAX_RESPONSE_BYTES,
    MOST_MAX_RESPONSE_BYTES,
)
from airflow_provider_honeyhive.api.endpoints import AUTO, ENDPOINTS, candidates
from airflow_provider_honeyhive.api.keys import DATA_PLANE, KINDS, kind_of
from airflow_provider_honeyhive.api.settings import DEFAULT_API_URL, ClientSettings
from airflow_provider_honeyhive.exceptions import HoneyHiveAuthError, HoneyHiveError, InvalidArgumentError
from airflow_provider_honeyhive.hooks import honeyhive
from airflow_provider_honeyhive.hooks.connection_test import LOOKS
from airflow_provider_honeyhive.models.fields import SHORTEST_KEY
from airflow_provider_honeyhive.sandbox import Fault

from .documents import Document, code, literal_of, run_shell

PAGE = Document("docs/connection.md")
FORMS = [one for one in PAGE.snippets("bash") if one.text.startswith("export AIRFLOW_CONN_HONEYHIVE_DEFAULT=")]


def settings_of(text, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_HONEYHIVE_DEFAULT", run_shell(text))
    return honeyhive.HoneyHiveHook().settings


def test_there_is_a_form_as_json_one_with_all_fields_and_one_as_uri():
    assert len(FORMS) == 3


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_every_form_is_read(form, monkeypatch, tmp_path):
    settings = settings_of(with_bundle(form.text, tmp_path), monkeypatch)
    assert settings.api_key.get_secret_value() == "hh_KEY"
    assert settings.project in ("my-project", "my project")


def with_bundle(text, folder):
    """Return a form with a CA bundle that is there."""
    (folder / "our-ca.pem").touch()
    return text.replace("/etc/ssl/our-ca.pem", str(folder / "our-ca.pem"))


def test_the_form_with_all_fields_has_every_extra_and_each_is_taken(monkeypatch, tmp_path):
    text = with_bundle(PAGE.the("bash", "our-ca.pem"), tmp_path)
    extra = json.loads(run_shell(text))["extra"]
    assert set(extra) == set(EXTRA_FIELDS)
    settings = settings_of(text, monkeypatch)
    for name, value in extra.items():
        found = getattr(settings, name)
        assert (found.get_secret_value() if isinstance(found, SecretStr) else found) == value


def test_the_uri_says_what_its_pieces_mean(monkeypatch):
    settings = settings_of(PAGE.the("bash", "honeyhive://"), monkeypatch)
    assert settings.api_url == "https://honeyhive.example.com:8443"
    assert (settings.project, settings.timeout, settings.verify) == ("my project", 60, False)


def test_the_table_of_extras_is_that_of_the_connection():
    rows = {code(row[0]): literal_of(row[1]) for row in PAGE.table("Extra")}
    assert rows == {name: ClientSettings.model_fields[name].default for name in EXTRA_FIELDS}


def test_its_bounds_are_those_of_the_code():
    (timeout,) = (row[2] for row in PAGE.table("Extra") if code(row[0]) == "timeout")
    (retries,) = (row[2] for row in PAGE.table("Extra") if code(row[0]) == "max_retries")
    (largest,) = (row[2] for row in PAGE.table("Extra") if code(row[0]) == "max_response_bytes")
    (secret,) = (row[2] for row in PAGE.table("Extra") if code(row[0]) == "redact_secret")
    assert "above 0, at most 86,400" in timeout
    assert "0 to 100" in retries
    assert f"from {LEAST_MAX_RESPONSE_BYTES:,} to {MOST_MAX_RESPONSE_BYTES:,}" in largest
    assert f"at least {SHORTEST_KEY} characters" in secret
    outside = ({"timeout": 0}, {"timeout": 86_401}, {"max_retries": -1}, {"max_retries": 101})
    sizes = (LEAST_MAX_RESPONSE_BYTES - 1, MOST_MAX_RESPONSE_BYTES + 1)
    for wrong in (*outside, *({"max_response_bytes": size} for size in sizes)):
        with pytest.raises(HoneyHiveError):
            ClientSettings.parse(api_key="hh_KEY", **wrong)
    ClientSettings.parse(api_key="hh_KEY", timeout=86_400, max_retries=100, max_response_bytes=LEAST_MAX_RESPONSE_BYTES)


def test_the_table_of_endpoints_is_that_of_the_code_in_the_order_of_auto():
    rows = PAGE.table("`endpoint`", "Path")
    assert [code(row[0]) for row in rows] == list(ENDPOINTS)
    for name, path, kind, limit in rows:
        endpoint = ENDPOINTS[code(name)]
        key = next(one for one in KINDS if one.name == kind)
        assert endpoint in candidates(AUTO, key)
        assert (key is DATA_PLANE) == key.takes_project_id
        assert code(path) == endpoint.path
        assert limit == f"{endpoint.max_limit:,}"


def test_the_table_of_keys_is_that_of_the_code():
    rows = PAGE.table("Kind", "Begins with")
    assert {code(row[1]) for row in rows} == {kind.prefix for kind in KINDS}
    for name, prefix, reads, project in rows:
        kind = kind_of(f"{code(prefix)}x")
        assert name.startswith(kind.name)
        assert reads.startswith("Nothing") == (kind.only is not None) == (not project)
        assert ("**id**" in project) == kind.takes_project_id
        if kind.only:
            with pytest.raises(HoneyHiveAuthError, match=f"(?s)^the API key cannot read events: .*{kind.name}s"):
                ClientSettings.parse(api_key=f"{kind.prefix}x")


def test_a_data_plane_key_with_an_endpoint_of_classic_keys_is_refused():
    for name, endpoint in ENDPOINTS.items():
        if not endpoint.has_project_in_path:
            with pytest.raises(InvalidArgumentError, match=f"^endpoint: .*{name}.*leave it empty: a data plane key"):
                ClientSettings.parse(api_key="hh_fgdp_x", endpoint=name)


def test_hosts_are_read_as_the_page_says():
    assert f"`{DEFAULT_API_URL}`" in PAGE.text
    for host, url in (("far.example.com", "https://far.example.com"), ("localhost:1", "http://localhost:1")):
        assert ClientSettings.parse(api_key="hh_KEY", api_url=host).api_url == url
    assert ClientSettings.parse(api_key="hh_KEY", api_url="https://a.example.com/path").api_url.endswith("/path")
    for wrong in ("https://me@a.example.com", "https://a.example.com?x=1", "https://a.example.com#x", "http://far"):
        with pytest.raises(HoneyHiveError):
            ClientSettings.parse(api_key="hh_KEY", api_url=wrong)


def test_how_far_back_the_test_looks_is_what_the_page_says(sandbox):
    *some, most = (str(days) for days in LOOKS[1:])
    text = " ".join(PAGE.text.split())
    assert f"those of the last {', '.join(some)} and {most} days" in text
    sandbox.faults += [Fault("empty")] * len(LOOKS)
    said = honeyhive.HoneyHiveHook().test_connection()[1]
    assert f"the message ends in `{said.rpartition(', ')[2]}`" in text


def test_what_a_failed_test_begins_with_is_named(sandbox):
    kinds = {code(row[0]) for row in PAGE.table("The message begins with")}
    assert kinds == {*honeyhive._KINDS.values(), honeyhive._UNREADABLE, "HoneyHive"}
    sandbox.faults.append(Fault.answer(401))
    ok, said = honeyhive.HoneyHiveHook().test_connection()
    assert not ok
    assert said.startswith("API key: ")
    assert len(sandbox.requests) == 1
