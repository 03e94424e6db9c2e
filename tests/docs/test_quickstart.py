"""The quickstart: its fields are those of the form, what it installs exists; ``tests/system`` runs its commands."""

from __future__ import annotations

import re
import tomllib

import pytest

from airflow_provider_honeyhive.api.connection_form import EXTRA_FIELDS, RELABELING
from airflow_provider_honeyhive.hooks.honeyhive import HoneyHiveHook

from .documents import ROOT, Document, code

PAGE = Document("docs/quickstart.md")
FIELDS = {row[0]: code(row[1]) for row in PAGE.table("Field", "Sandbox")}


def test_what_it_installs_is_this_package_beside_one_airflow():
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    lines = PAGE.the("bash", "pip install").replace("\\\n", "").splitlines()
    first, second = (line for line in lines if line.startswith("pip "))
    assert second.split() == ["pip", "install", '"apache-airflow==$AIRFLOW"', project["name"]]
    assert "constraints-$AIRFLOW/constraints-$PYTHON.txt" in first
    extras = re.search(rf"`{project['name']}\[(\w+)\]` \(or `(\w+)`, `(\w+)`\)", PAGE.text)
    assert set(extras.groups()) <= project["optional-dependencies"].keys()
    # The version that the tests run with.
    (version,) = re.findall(r"AIRFLOW=(\S+)", lines[2])
    assert f"\napache-airflow=={version}\n" in (ROOT / "constraints" / "airflow-3.3.txt").read_text(encoding="utf-8")


def test_the_fields_of_the_form_are_called_so():
    assert list(FIELDS) == [
        "Connection ID",
        "Connection Type",
        RELABELING["password"],
        RELABELING["host"],
        EXTRA_FIELDS["project"][0],
    ]
    assert (FIELDS["Connection ID"], FIELDS["Connection Type"]) == (
        HoneyHiveHook.default_conn_name,
        HoneyHiveHook.hook_name,
    )


@pytest.mark.parametrize("part", ["connections add", "sandbox --port"])
def test_the_commands_say_the_same_as_the_form(part):
    command = PAGE.the("bash", part)
    assert FIELDS["API URL"].rpartition(":")[2] in command
