"""What operator, sensor and trigger take alike."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_honeyhive._compat import HAS_ASSET_WATCHERS
from airflow_provider_honeyhive.api.settings import ClientSettings
from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.models.filters import EventFilter
from airflow_provider_honeyhive.models.window import Window
from airflow_provider_honeyhive.operators.honeyhive import HoneyHiveExportEventsOperator
from airflow_provider_honeyhive.operators.mapped import HoneyHiveCombineExportsOperator, HoneyHiveSplitWindowOperator
from airflow_provider_honeyhive.storage.paths import as_path, path_of, path_problem
from airflow_provider_honeyhive.tasks.arguments import as_plain_data, is_literal, request_of, seconds_of, storage_path
from airflow_provider_honeyhive.tasks.run_window import run_window
from airflow_provider_honeyhive.tasks.state import FileState
from airflow_provider_honeyhive.triggers.honeyhive import HoneyHiveNewEventsTrigger
from tests.unit.programs import modules_loaded_by

START = datetime(2026, 11, 22, tzinfo=UTC)
END = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "literal"),
    [
        ("2026-11-22", True),
        (5, True),
        (START, True),
        ([{"field": "error", "value": None}], True),
        ("", False),
        (None, False),
        ("{{ ds }}", False),
        ("{% if x %}y{% endif %}", False),
        ([{"field": "{{ params.field }}"}], False),
        (["a", object()], False),
    ],
)
def test_a_literal_is_what_no_template_and_no_task_will_change(value, literal):
    assert is_literal(value) is literal


def test_filters_become_data_that_templates_are_rendered_in():
    error = EventFilter(field="error", operator="exists")

    assert as_plain_data(error) == as_plain_data([error]) == [error.to_wire()]
    assert as_plain_data([error, "{}", {"a": 1}]) == [error.to_wire(), "{}", {"a": 1}]
    assert as_plain_data("{{ x }}") == "{{ x }}"


@pytest.mark.parametrize(("value", "seconds"), [(5, 5.0), (0.5, 0.5), (timedelta(minutes=2), 120.0), (0, 0.0)])
def test_a_span_is_a_timedelta_or_seconds(value, seconds):
    assert seconds_of("settled_for", value) == seconds


@pytest.mark.parametrize(
    "value", [-1, timedelta(seconds=-1), True, "5", None, float("nan"), float("inf"), 1e20, timedelta.max]
)
def test_anything_else_is_no_span(value):
    with pytest.raises(InvalidArgumentError, match="settled_for: got"):
        seconds_of("settled_for", value)


@pytest.mark.parametrize("value", [0, 0.0, timedelta()])
def test_zero_is_too_short_where_something_has_to_pass(value):
    assert seconds_of("x", value) == 0.0
    with pytest.raises(InvalidArgumentError, match="above 0"):
        seconds_of("x", value, above_zero=True)


def test_both_times_make_the_window_and_none_the_runs_own():
    context = {"data_interval_start": START, "data_interval_end": END}

    assert run_window(context, "2026-11-22T01:00", "2026-11-22T02:00") == Window.parse(
        "2026-11-22T01:00", "2026-11-22T02:00"
    )
    assert run_window(context, None, "") == Window(START, END)


@pytest.mark.parametrize(
    ("start", "end", "problem"), [(START, None, "end_time: got None"), ("", END, "start_time: got ''")]
)
def test_one_time_alone_is_refused(start, end, problem):
    with pytest.raises(InvalidArgumentError, match=f"{problem}; give both"):
        run_window({}, start, end)


ERRORS = [{"field": "error", "operator": "exists"}]

#: Paths that are not the place that was meant, and what their errors say.
MISTYPED = [
    ("file://data/x", "file:///data/x"),
    ("file://localhost/x", "a slash is missing"),
    ("file://", "a slash is missing"),
    ("file://conn@data/x", "a slash is missing"),
    ("file:/data/x", "write file:///data/x"),
    ("s3:/bucket/x", "write s3://bucket/x"),
    ("s3:bucket/x", "write s3://bucket/x"),
    ("abfs:/container", "write abfs://container"),
    ("s3:///x", "no bucket"),
    ("s3://conn@/x", "no bucket"),
    ("gs://", "no bucket"),
    ("abfss:///x", "no bucket"),
    ("~/x", "not expanded"),
    ("~", "not expanded"),
    ("C:\\data\\x", "Windows"),
    ("C:/data/x", "Windows"),
    ("\\\\server\\share", "Windows"),
    ("s3://bucket/x ", "white space"),
    ("\n/data/x", "white space"),
]


@pytest.mark.parametrize(("path", "said"), MISTYPED)
def test_a_path_that_is_not_the_place_that_was_meant_is_refused_everywhere(path, said):
    makes = {
        "output_path": [
            lambda: HoneyHiveExportEventsOperator(task_id="a", output_path=path),
            lambda: HoneyHiveSplitWindowOperator(task_id="a", output_path=path),
            lambda: HoneyHiveCombineExportsOperator(task_id="a", output_path=path, exports=[]),
            lambda: storage_path(path, None),
            lambda: FileState(path).load(),
        ],
        "state_path": [
            *([lambda: HoneyHiveNewEventsTrigger(filters=ERRORS, state_path=path)] if HAS_ASSET_WATCHERS else ()),
            lambda: FileState(path, argument="state_path").load(),
        ],
        "path": [lambda: as_path(path), lambda: Manifest.read(path)],
        "--output": [lambda: path_of(path, "--output")],
    }
    for argument, calls in makes.items():
        for call in calls:
            with pytest.raises(InvalidArgumentError, match=f"^{argument}: got ") as caught:
                call()
            assert said in str(caught.value)


@pytest.mark.parametrize(
    "path", ["/data/x y", "/~/x", "file://conn@/data/x", "s3://bucket", "gs://bucket/a b/C:/", "file:///data/x"]
)
def test_any_other_place_is_taken(path):
    assert path_problem(path) is None


@pytest.fixture
def keys_of_the_worker(monkeypatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "us-east-1")


@pytest.mark.parametrize("scheme", ["s3", "s3a", "gs", "gcs", "abfs", "abfss"])
@pytest.mark.usefixtures("keys_of_the_worker")
def test_a_connection_of_a_store_that_is_not_there_is_named(scheme):
    for call, argument in (
        (lambda: storage_path(f"{scheme}://bucket/x", "typo"), "output_conn_id"),
        (lambda: storage_path(f"{scheme}://typo@bucket/x", None), "output_path"),
        (lambda: FileState(f"{scheme}://bucket/x", "typo").load(), "output_conn_id"),
        (lambda: FileState(f"{scheme}://typo@bucket/x", argument="state_path").load(), "state_path"),
    ):
        with pytest.raises(InvalidArgumentError, match=f"^{argument}: got 'typo'; there is no such Airflow connection"):
            call()


@pytest.mark.usefixtures("keys_of_the_worker")
def test_a_key_in_a_url_is_not_shown():
    with pytest.raises(InvalidArgumentError, match="^output_path: there is no such Airflow connection") as caught:
        storage_path("s3://AKIA:secret@bucket/x", None)
    assert "secret" not in str(caught.value)


@pytest.mark.usefixtures("keys_of_the_worker")
def test_so_is_that_of_a_path_that_brings_its_own():
    with pytest.raises(InvalidArgumentError, match="^output_path: got 'typo'"):
        storage_path(ObjectStoragePath("s3://bucket/x", conn_id="typo"), None)


def test_the_local_disk_needs_no_connection(tmp_path):
    assert storage_path(str(tmp_path), "typo").path == str(tmp_path)
    assert storage_path(tmp_path.as_uri(), "typo").path == str(tmp_path)


@pytest.mark.parametrize("argument", ["output_path", "state_path"])
def test_a_scheme_that_is_not_known_is_told_of_the_argument(argument):
    with pytest.raises(InvalidArgumentError, match=f"^{argument}: got 'nowhere:///?a/b'"):
        FileState("nowhere://a/b", argument=argument).load()


def said_of_filters(caplog, *filters, evaluation_id=None):
    caplog.set_level("INFO")
    settings = ClientSettings.parse(api_key="hh_x", project="demo")
    request_of(settings, project=None, filters=list(filters), evaluation_id=evaluation_id)
    return [record.getMessage() for record in caplog.records]


def test_the_log_says_by_what_events_are_chosen(caplog):
    said = said_of_filters(
        caplog,
        {"field": "metadata.cost", "operator": "greater than", "value": "1.5"},
        {"field": "error", "operator": "exists"},
        {"field": "event_name", "operator": "is", "value": "x" * 500},
        evaluation_id="run-1",
    )

    assert said[:2] == [
        "Only events of the experiment run run-1",
        "Only events whose metadata.cost greater than 1.5 (number)",
    ]
    assert said[2].startswith("Only events whose error exists")
    assert len(said[3]) < 120
    assert len(said) == 4


def test_a_filter_on_a_field_that_events_do_not_have_is_warned_of(caplog):
    said = said_of_filters(caplog, {"field": "event_typ", "operator": "is", "value": "model"})

    assert (
        "The filter on 'event_typ' may match nothing: events have no field event_typ; did you mean event_type?" in said
    )


def test_a_request_without_a_project_names_the_connection():
    settings = ClientSettings.parse(api_key="hh_x", key_source="of connection 'honeyhive_eu'")

    with pytest.raises(InvalidArgumentError, match="connection 'honeyhive_eu'"):
        request_of(settings, project=None)


def test_importing_the_operators_brings_nothing_that_only_their_execution_needs():
    loaded = modules_loaded_by(
        "import airflow_provider_honeyhive.operators.honeyhive, airflow_provider_honeyhive.operators.mapped",
        after="from airflow.providers.common.compat.sdk import BaseHook, BaseOperator, ObjectStoragePath\n"
        "import airflow.triggers.base",
    )
    package = "airflow_provider_honeyhive"
    ours = {"api.pages", "api.settings", "events", "export", "hooks", "manifest", "models.filters", "models.request"}
    ours |= {"models.stored", "reading", "storage.azure", "storage.object_store", "tasks.watermark"}
    assert f"{package}.operators.honeyhive" in loaded
    assert not ({"requests", "msgspec", "pyarrow", "sqlite3"} | {f"{package}.{name}" for name in ours}) & loaded
