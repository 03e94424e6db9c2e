"""The page on deployments: requirements, connections and secrets back-ends that it names are those of the code."""

from __future__ import annotations

import json
import re
import shlex
import tomllib

import pytest
import yaml

from airflow_provider_honeyhive.api.settings import DEFAULT_API_URL
from airflow_provider_honeyhive.hooks.honeyhive import HoneyHiveHook

from .documents import ROOT, Document, code

PAGE = Document("docs/deployments.md")
with (ROOT / "pyproject.toml").open("rb") as file:
    PROJECT = tomllib.load(file)["project"]
CONNECTION = PAGE.the("json", "conn_type")
VARIABLE = "AIRFLOW_CONN_HONEYHIVE_DEFAULT"


def test_every_requirement_is_this_package_with_extras_that_it_has():
    found = re.findall(rf"{PROJECT['name']}\[([\w,]+)\]", PAGE.text)
    assert len(found) >= 5
    assert {extra for extras in found for extra in extras.split(",")} <= PROJECT["optional-dependencies"].keys()


def test_the_pins_that_it_speaks_of_are_those_of_the_package():
    (compat,) = (one for one in PROJECT["dependencies"] if "common-compat" in one)
    name, lowest = compat.split(">=")
    assert f"`{name}`, raise that pin to {lowest} or later" in " ".join(PAGE.text.split())
    (google,) = (one for one in PROJECT["optional-dependencies"]["gcs"] if "google" in one)
    name, lowest = google.split(">=")
    assert f"`{name}` {lowest} or later" in PAGE.text


def test_the_host_to_reach_is_that_of_the_code():
    assert f"`{DEFAULT_API_URL}`" in PAGE.text


def test_the_connection_is_read_and_each_platform_is_given_the_same(monkeypatch):
    monkeypatch.setenv(VARIABLE, CONNECTION.strip())
    settings = HoneyHiveHook().settings
    assert (settings.api_key.get_secret_value(), settings.project) == ("hh_KEY", "my-project")
    astro, kubectl = (PAGE.the("bash", part) for part in ("astro deploy\n", "kubectl create"))
    given = [word.partition("=") for text in (astro, kubectl) for word in shlex.split(text) if "conn_type" in word]
    assert [name for name, _, _ in given] == [VARIABLE, "--from-literal"]
    assert given[0][2] == given[1][2].removeprefix("connection=") == CONNECTION.strip()


def test_the_values_of_the_chart_lead_to_the_secret():
    values = yaml.safe_load(PAGE.the("text", "envName"))
    (secret,) = values["secret"]
    command = shlex.split(PAGE.the("bash", "kubectl create"))
    assert secret["envName"] == VARIABLE
    assert secret["secretName"] == command[command.index("generic") + 1]
    assert any(word.startswith(f"--from-literal={secret['secretKey']}=") for word in command)


def test_amazons_secrets_backend_finds_the_secret_by_the_name_of_the_page():
    options = {code(row[0]): code(row[1]) for row in PAGE.table("Option")}
    module, _, name = options["secrets.backend"].rpartition(".")
    backend = getattr(pytest.importorskip(module), name)(**json.loads(options["secrets.backend_kwargs"]))
    assert f"`{backend.connections_prefix}/{HoneyHiveHook.default_conn_name}`" in PAGE.text
