"""The ways in which ``docs/connection.md`` gives a connection to Airflow."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import boto3
from moto import mock_aws

from airflow_provider_honeyhive.hooks.honeyhive import HoneyHiveHook
from tests.docs.documents import Document

if TYPE_CHECKING:
    import pytest
    from airflow.models import Connection

PAGE = Document("docs/connection.md")


def settings_of(connection: Connection, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AIRFLOW_CONN_FOUND", connection.get_uri())
    return HoneyHiveHook("found").settings


def backend_of(script: str):
    """Return the secrets back-end that a block's variables name."""
    variables = dict(re.findall(r"^export (\w+)='?(.*?)'?$", script, re.MULTILINE))
    module, _, name = variables["AIRFLOW__SECRETS__BACKEND"].rpartition(".")
    kind = getattr(__import__(module, fromlist=[name]), name)
    return kind, json.loads(variables["AIRFLOW__SECRETS__BACKEND_KWARGS"])


def test_the_command_adds_a_connection(tmp_path, monkeypatch):
    # An Airflow of its own, since it makes a key to encrypt connections with.
    env = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
    env |= {"AIRFLOW_HOME": str(tmp_path), "HH_PROJECT_API_KEY": "hh_KEY", "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    script = f"""
airflow() {{ "{sys.executable}" -m airflow "$@"; }}
airflow db migrate >&2
{PAGE.the("bash", "airflow connections add")} >&2
airflow connections get honeyhive_default --output json
"""

    done = subprocess.run(["/bin/bash", "-euc", script], env=env, capture_output=True, text=True, check=True)

    (saved,) = json.loads(done.stdout[done.stdout.index("[{") :])
    monkeypatch.setenv("AIRFLOW_CONN_FOUND", saved["get_uri"])
    settings = HoneyHiveHook("found").settings
    assert saved["conn_type"] == "honeyhive"
    assert settings.api_key.get_secret_value() == "hh_KEY"
    assert settings.project == "my-project"


@mock_aws
def test_aws_secrets_manager_holds_a_connection(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "of the tests")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    script = PAGE.the("bash", "aws secretsmanager")
    name, secret = re.search(r"--name (\S+).*--secret-string '(.*)'", script, re.DOTALL).groups()
    boto3.client("secretsmanager").create_secret(Name=name, SecretString=secret)

    kind, arguments = backend_of(script)
    found = kind(**arguments).get_connection("honeyhive_default")

    settings = settings_of(found, monkeypatch)
    assert settings.api_key.get_secret_value() == "hh_KEY"
    assert settings.project == "my-project"
