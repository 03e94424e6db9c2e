"""What templates of arguments turn into, as Airflow renders them."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

import jinja2
import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException, ObjectStoragePath

from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.operators.honeyhive import HoneyHiveExportEventsOperator
from airflow_provider_honeyhive.operators.mapped import HoneyHiveCombineExportsOperator, HoneyHiveSplitWindowOperator
from airflow_provider_honeyhive.sensors.honeyhive import HoneyHiveEventsSensor
from airflow_provider_honeyhive.tasks.templates import settle_templates, templates_of

PARAMS = {
    "none": None,
    "empty": "",
    "id": "00123",
    "digits": "20261122",
    "grouped": "1_000",
    "number": 42,
    "zone": "eu",
}


def settled(native=False, **arguments):
    """Return a task whose templates are rendered, by a DAG that takes undefined names, and settled."""
    how = {"render_template_as_native_obj": native, "template_undefined": jinja2.Undefined}
    with DAG("templates", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), **how):
        task = HoneyHiveExportEventsOperator(task_id="export", **arguments)
    context = {"params": PARAMS, "ds_nodash": "20261122"}
    task.render_template_fields(context, task.get_template_env())
    settle_templates(task, task._templates, context)
    return task


BOTH_WAYS = pytest.mark.parametrize("native", [False, True], ids=["texts", "native objects"])
TEXTS = ("project", "evaluation_id", "honeyhive_conn_id", "start_time", "output_path", "filters", "exclude_fields")


@BOTH_WAYS
@pytest.mark.parametrize("argument", TEXTS)
def test_a_name_that_is_not_defined_is_refused_with_its_template(argument, native):
    with pytest.raises(InvalidArgumentError) as refusal:
        settled(native, **{argument: "{{ params.typo }}"})

    assert refusal.value.argument == argument
    assert "{{ params.typo }}" in str(refusal.value)
    assert "no attribute 'typo'" in str(refusal.value)
    assert "{{ params.name | default('', true) }}" in str(refusal.value)


@BOTH_WAYS
def test_a_name_that_is_not_defined_is_found_within_a_text(native):
    with pytest.raises(InvalidArgumentError, match="no attribute 'typo'"):
        settled(native, output_path="s3://bucket/{{ params.typo }}/{{ ds_nodash }}/")


def test_a_name_that_is_not_defined_is_found_within_a_path_object():
    with pytest.raises(InvalidArgumentError, match="no attribute 'typo'"):
        settled(output_path=ObjectStoragePath("file:///tmp/{{ params.typo }}/"))


@pytest.mark.parametrize("template", ["{{ params.typo }}", "{{ params.none }}"])
def test_a_filter_in_which_a_template_renders_to_nothing_is_refused_by_its_place(template):
    filters = [{"field": "source", "operator": "is", "value": template}]

    with pytest.raises(InvalidArgumentError) as refusal:
        settled(filters=filters)

    assert refusal.value.argument == "filters[0]['value']"


@pytest.mark.parametrize("argument", TEXTS)
def test_none_as_a_text_is_refused(argument):
    with pytest.raises(InvalidArgumentError, match="None") as refusal:
        settled(**{argument: "{{ params.none }}"})

    assert "{{ params.none }}" in str(refusal.value)


@pytest.mark.parametrize("argument", ["project", "evaluation_id", "start_time", "filters", "exclude_fields"])
def test_none_as_an_object_means_that_the_argument_is_not_given(argument):
    assert getattr(settled(True, **{argument: "{{ params.none }}"}), argument) is None


@BOTH_WAYS
@pytest.mark.parametrize(
    "template",
    [
        "{{ params.typo or '' }}",
        "{{ params.none | default('', true) }}",
        "{{ params.none or '' }}",
        "{{ params.empty }}",
    ],
)
@pytest.mark.parametrize("argument", ["project", "evaluation_id", "start_time", "filters", "exclude_fields"])
def test_an_argument_that_is_empty_on_purpose_counts_as_not_given(argument, template, native):
    assert getattr(settled(native, **{argument: template}), argument) == ""


@BOTH_WAYS
@pytest.mark.parametrize("argument", ["output_path", "honeyhive_conn_id"])
def test_an_empty_text_is_refused_where_something_is_needed(argument, native):
    with pytest.raises(InvalidArgumentError, match="empty"):
        settled(native, **{argument: "{{ params.empty }}"})


@pytest.mark.parametrize("argument", ["project", "evaluation_id", "honeyhive_conn_id", "start_time"])
@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ ds_nodash }}", "20261122"),
        ("{{ params.id }}", "00123"),
        ("{{ params.grouped }}", "1_000"),
        ("{{ params.number }}", "42"),
        ("{{ params.digits }}.0", "20261122.0"),
    ],
)
def test_a_text_of_digits_is_that_text_in_a_dag_of_native_objects_too(argument, template, text):
    assert getattr(settled(True, **{argument: template}), argument) == text
    assert getattr(settled(False, **{argument: template}), argument) == text


def test_native_objects_stay_what_they_are():
    task = settled(True, exclude_fields="{{ [params.zone, 'outputs'] }}", filters="{{ [{'a': params.number}] }}")

    assert task.exclude_fields == ["eu", "outputs"]
    assert task.filters == [{"a": 42}]


def test_what_is_no_template_is_left_alone():
    task = settled(project="None", evaluation_id=" None ")

    assert (task.project, task.evaluation_id) == ("None", " None ")


def test_templates_are_kept_as_they_were_given():
    with DAG("templates", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)):
        task = HoneyHiveExportEventsOperator(task_id="export", project="{{ params.zone }}", redact=["a", "b"])

    kept = templates_of(task)
    assert (kept["project"], kept["redact"], kept["honeyhive_conn_id"]) == (
        "{{ params.zone }}",
        ["a", "b"],
        "honeyhive_default",
    )


SENSOR = partial(HoneyHiveEventsSensor, task_id="wait")
SPLIT = partial(HoneyHiveSplitWindowOperator, task_id="split", output_path="/exports/")
COMBINE = partial(HoneyHiveCombineExportsOperator, task_id="combine", output_path="/exports/", exports=[])
EXPORT = partial(HoneyHiveExportEventsOperator, task_id="export")


@pytest.mark.parametrize(
    ("make", "run"),
    [(EXPORT, "execute"), (SENSOR, "poke"), (SPLIT, "execute"), (COMBINE, "execute")],
    ids=["export", "sensor", "split", "combine"],
)
def test_every_task_refuses_it_before_anything_is_asked(make, run):
    with DAG("templates", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)):
        task = make(honeyhive_conn_id="{{ params.none }}")
    context = {"params": PARAMS}
    task.render_template_fields(context, task.get_template_env())

    with pytest.raises(AirflowFailException, match="honeyhive_conn_id: .*None") as refusal:
        getattr(task, run)(context)

    assert "{{ params.none }}" in str(refusal.value)


@BOTH_WAYS
@pytest.mark.parametrize("place", ["output_path", "project", "start_time"])
def test_none_within_a_text_is_refused(place, native):
    with pytest.raises(InvalidArgumentError, match="None") as refusal:
        settled(native, **{place: "/exports/{{ params.none }}/"})

    assert refusal.value.argument == place
    assert "{{ params.name | default('', true) }}" in str(refusal.value)


def test_none_within_the_text_of_a_filter_is_refused():
    with pytest.raises(InvalidArgumentError, match="None"):
        settled(filters=[{"field": "source", "operator": "is", "value": "of-{{ params.none }}"}])


def test_the_word_none_in_a_text_is_no_none():
    assert settled(project="{{ params.zone }}-None").project == "eu-None"


@pytest.mark.parametrize("template", ["{{ params.none }}", "{% if params.none %}/exports/{% endif %}"])
@pytest.mark.parametrize("argument", ["output_path", "honeyhive_conn_id"])
def test_none_as_an_object_is_refused_where_something_is_needed(argument, template):
    with pytest.raises(InvalidArgumentError, match="give it a value"):
        settled(True, **{argument: template})


@pytest.mark.parametrize(
    ("argument", "value", "place"),
    [
        ("filters", [{"field": "source", "operator": "is", "value": "{{ params.none }}"}], "filters[0]['value']"),
        ("exclude_fields", ["{{ params.none }}"], "exclude_fields[0]"),
    ],
)
def test_none_as_an_object_is_refused_within_a_list(argument, value, place):
    with pytest.raises(InvalidArgumentError, match="give it a value") as refusal:
        settled(True, **{argument: value})

    assert refusal.value.argument == place


def test_digits_that_name_the_connection_of_the_store_stay_a_text():
    assert settled(True, output_path="/exports/", output_conn_id="{{ params.digits }}").output_conn_id == "20261122"


def test_a_dag_may_ask_for_attributes_of_what_is_not_defined():
    how = {"template_undefined": jinja2.ChainableUndefined}
    with DAG("templates", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), **how):
        task = HoneyHiveExportEventsOperator(task_id="export", project="{{ params.team.name | default('demo', true) }}")
    context = {"params": PARAMS}
    task.render_template_fields(context, task.get_template_env())

    settle_templates(task, task._templates, context)

    assert task.project == "demo"


def test_a_dag_may_print_none_in_its_own_way():
    how = {"jinja_environment_kwargs": {"finalize": lambda value: "all" if value is None else value}}
    with DAG("templates", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), **how):
        task = HoneyHiveExportEventsOperator(task_id="export", project="{{ params.none }}")
    context = {"params": PARAMS}
    task.render_template_fields(context, task.get_template_env())

    settle_templates(task, task._templates, context)

    assert task.project == "all"
