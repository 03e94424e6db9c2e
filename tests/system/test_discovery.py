"""Airflow finds the provider, its hook and its connection form."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import airflow as airflow_package
import jsonschema
import pytest
from airflow.cli import cli_parser
from airflow.providers_manager import ProvidersManager

from airflow_provider_honeyhive import __version__
from airflow_provider_honeyhive._compat import Asset
from airflow_provider_honeyhive.api.connection_form import EXTRA_FIELDS, HIDDEN_FIELDS
from airflow_provider_honeyhive.api.settings import ClientSettings
from airflow_provider_honeyhive.export.result import ExportResult
from airflow_provider_honeyhive.hooks.honeyhive import HoneyHiveHook
from airflow_provider_honeyhive.models.request import ExportRequest
from airflow_provider_honeyhive.provider_info import get_provider_info
from airflow_provider_honeyhive.tasks.lineage import operator_lineage
from tests.unit.programs import last_line_of

from .running import AIRFLOW_2, AIRFLOW_3_1

forms_in_this_process = pytest.mark.skipif(AIRFLOW_3_1, reason="only the API server of Airflow 3.1 has the form")


def airflow(capsys, *arguments):
    parsed = cli_parser.get_parser().parse_args([*arguments, "-o", "json"])
    parsed.func(parsed)
    return json.loads(capsys.readouterr().out)


def test_airflow_lists_the_provider(capsys):
    row = next(
        row for row in airflow(capsys, "providers", "list") if row["package_name"] == "airflow-provider-honeyhive"
    )
    assert row["version"] == __version__


def test_airflow_lists_the_hook(capsys):
    row = next(row for row in airflow(capsys, "providers", "hooks") if row["connection_type"] == "honeyhive")
    assert row["class"] == "airflow_provider_honeyhive.hooks.honeyhive.HoneyHiveHook"
    assert row["conn_id_attribute_name"] == "honeyhive_conn_id"
    assert row["package_name"] == "airflow-provider-honeyhive"


def test_airflow_lists_the_triggers(capsys):
    rows = [row for row in airflow(capsys, "providers", "triggers") if "honeyhive" in row["package_name"]]
    assert sorted(row["class"] for row in rows) == [
        "airflow_provider_honeyhive.triggers.honeyhive",
        "airflow_provider_honeyhive.triggers.moment",
    ]


def test_every_module_that_is_declared_is_there():
    info = get_provider_info()
    kinds = ("hooks", "operators", "sensors", "triggers")
    for kind in kinds:
        names = [name for each in info[kind] for name in each["python-modules"]]
        folder = Path(importlib.import_module(f"airflow_provider_honeyhive.{kind}").__file__ or "").parent
        assert names
        assert set(names) <= {f"airflow_provider_honeyhive.{kind}.{path.stem}" for path in folder.glob("*.py")}
        for name in names:
            importlib.import_module(name)


def test_airflow_takes_what_the_package_says_of_itself():
    path = Path(airflow_package.__file__).parent / "provider_info.schema.json"
    jsonschema.validate(get_provider_info(), json.loads(path.read_text()))


@pytest.mark.parametrize(
    ("uri", "sanitized"),
    [
        ("honeyhive://api.dp1.us.honeyhive.ai/demo", "honeyhive://api.dp1.us.honeyhive.ai/demo"),
        ("HONEYHIVE://API.Example.com:8443/My%20Project/", "honeyhive://api.example.com:8443/My%20Project"),
        ("honeyhive://assets/any/name?a=1", "honeyhive://assets/any/name?a=1"),
        ("honeyhive://api.example.com", "honeyhive://api.example.com/"),
    ],
)
def test_assets_of_projects_are_brought_into_one_form(uri, sanitized):
    assert Asset(uri).uri == sanitized
    assert Asset(sanitized).uri == sanitized


@pytest.mark.parametrize("user", [":hh_S3cr3t@", "hh_S3cr3t@", "hh_S3cr3t:x@"])
@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_no_asset_of_a_project_has_a_key(user):
    try:
        found = Asset(f"honeyhive://{user}api.example.com/demo").uri
    except ValueError as error:
        found = str(error)
    assert "S3cr3t" not in found


def test_lineage_knows_an_asset_of_a_project_as_the_input_of_its_exports():
    utils = pytest.importorskip("airflow.providers.openlineage.utils.utils")
    exported = operator_lineage(
        ExportResult.of_events("api.example.com:8443", ExportRequest(project="My Project"), [])
    ).inputs[0]
    found = utils.translate_airflow_asset(Asset("honeyhive://api.example.com:8443/My%20Project"), None)
    assert (found.namespace, found.name) == (exported.namespace, exported.name)
    assert found.name == "My Project"


def test_airflow_makes_the_hook_from_the_connection_type():
    info = ProvidersManager().hooks["honeyhive"]
    assert info is not None
    assert info.hook_name == "HoneyHive"
    assert info.connection_testable is True


@forms_in_this_process
def test_airflow_finds_the_forms_labels_and_hidden_fields():
    behaviour = ProvidersManager().field_behaviours["honeyhive"]
    assert behaviour["relabeling"]["password"] == "API key"
    assert behaviour.get("hidden_fields", behaviour.get("hidden-fields")) == HIDDEN_FIELDS


@forms_in_this_process
def test_airflow_finds_a_field_for_each_extra():
    found = {
        info.field_name
        for name, info in ProvidersManager().connection_form_widgets.items()
        if name.startswith("extra__honeyhive__")
    }
    assert found == set(EXTRA_FIELDS)


def test_the_declared_form_has_a_field_for_each_extra():
    (declared,) = get_provider_info()["connection-types"]
    assert set(declared["conn-fields"]) == set(EXTRA_FIELDS)
    for name, field in declared["conn-fields"].items():
        label, description, schema = EXTRA_FIELDS[name]
        assert field == {"label": label, "description": description, "schema": schema}


def test_the_form_fills_in_nothing_but_what_is_on_or_off():
    filled = {name: schema["default"] for name, (_, _, schema) in EXTRA_FIELDS.items() if "default" in schema}
    assert filled == {"allow_http": False, "trust_total": True}


def test_what_an_empty_field_means_stands_beside_it():
    for name in ("endpoint", "verify", "timeout", "max_retries", "max_response_bytes"):
        default = ClientSettings.model_fields[name].default
        said = f"Empty: {default:,}" if name == "max_response_bytes" else f"Empty: {str(default).lower()}"
        assert said in EXTRA_FIELDS[name][1]


def test_the_port_can_be_typed_for_airflow_33_tests_no_connection_without():
    assert "port" not in HIDDEN_FIELDS


if AIRFLOW_2:

    def test_the_hooks_widgets_take_and_check_what_users_type():
        from werkzeug.datastructures import MultiDict
        from wtforms import Form

        form_class = type("ConnectionForm", (Form,), HoneyHiveHook.get_connection_form_widgets())

        filled = form_class(MultiDict({"project": "demo", "timeout": "20", "max_retries": "", "allow_http": "y"}))
        assert filled.validate()
        assert (filled.project.data, filled.timeout.data, filled.max_retries.data) == ("demo", 20, None)
        assert filled.allow_http.data is True

        wrong = form_class(MultiDict({"timeout": "0"}))
        assert not wrong.validate()
        assert set(wrong.errors) == {"timeout"}

else:

    def test_the_web_interface_gets_the_form():
        # As its API server is, a process in which nothing has asked for hooks before.
        program = """
from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService
form = next(form for form in HookMetaService.hook_meta_data() if form.connection_type == "honeyhive")
print(form.model_dump_json())
"""
        form = json.loads(last_line_of(program))
        assert form["hook_name"] == "HoneyHive"
        assert set(form["extra_fields"]) == set(EXTRA_FIELDS)
        assert form["standard_fields"]["password"]["title"] == "API key"
        assert form["standard_fields"]["login"]["hidden"]
        assert not form["standard_fields"]["port"]["hidden"]
        values = {name: field["value"] for name, field in form["extra_fields"].items()}
        assert {name: value for name, value in values.items() if value is not None} == {
            "allow_http": False,
            "trust_total": True,
        }
