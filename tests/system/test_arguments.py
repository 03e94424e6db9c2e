"""Arguments as DAG authors write them: templates, JSON texts, results of other tasks, mapped tasks."""

from __future__ import annotations

import json

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath, literal, task

from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.models.filters import EventFilter
from airflow_provider_honeyhive.operators.honeyhive import HoneyHiveExportEventsOperator

from .conftest import DAY, DAY_END
from .running import ids_in, run_export, run_task

MODEL = {"field": "event_type", "operator": "is", "value": "model", "type": "string"}
SLOW = {"field": "duration", "operator": "greater than", "value": 1000, "type": "number"}
PARAMS = {
    "project": "demo",
    "kind": "model",
    "slow_ms": 1000,
    "hours": 6,
    "filters": [MODEL, SLOW],
    "connection": "second",
}


def ids_where(sandbox, condition):
    of_the_day = sandbox.event_ids(DAY, DAY_END)
    return sorted(e.event_id for e in sandbox.events() if e.event_id in of_the_day and condition(e.decoded()))


def is_slow_model_call(event):
    return event["event_type"] == "model" and event["duration"] > 1000


@pytest.mark.parametrize(
    "filters",
    [
        pytest.param([EventFilter(**MODEL), EventFilter(**SLOW)], id="objects"),
        pytest.param([MODEL, SLOW], id="dicts"),
        pytest.param(json.dumps([MODEL, SLOW]), id="JSON text"),
        pytest.param([json.dumps(MODEL), EventFilter(**SLOW)], id="mixed"),
        pytest.param(
            [
                {**MODEL, "value": "{{ params.kind }}"},
                {**SLOW, "value": "{{ params.slow_ms }}"},
            ],
            id="templates in dicts",
        ),
        pytest.param(
            [EventFilter(field="event_type", operator="is", value="{{ params.kind }}"), EventFilter(**SLOW)],
            id="template in an object",
        ),
        pytest.param(["{{ params.filters[0] | tojson }}", EventFilter(**SLOW)], id="JSON from a template"),
        pytest.param("{{ params.filters | tojson }}", id="list from a template"),
    ],
)
def test_filters_mean_the_same_in_every_form(sandbox, output, filters):
    run = run_export(output, filters=filters, dag={"params": PARAMS})

    assert run.state == "success"
    assert sandbox.requests[-1].body["filters"] == [MODEL, SLOW]
    assert sorted(ids_in(output)) == ids_where(sandbox, is_slow_model_call)
    assert ids_in(output)


def test_filters_may_be_native_objects(sandbox, output):
    params = {**PARAMS, "start": DAY.timestamp(), "end": DAY_END.timestamp()}
    run = run_export(
        output,
        filters="{{ params.filters }}",
        start_time="{{ params.start }}",
        end_time="{{ params.end }}",
        dag={"params": params, "render_template_as_native_obj": True},
    )

    assert run.state == "success"
    assert sorted(ids_in(output)) == ids_where(sandbox, is_slow_model_call)


def test_a_prompt_template_in_a_filter_goes_out_as_it_is(sandbox, output):
    prompt = "Answer {{ question }}"
    condition = {"field": "config.template", "operator": "contains", "value": literal(prompt), "type": "string"}
    run = run_export(output, filters=[condition])

    assert run.state == "success"
    assert sandbox.requests[-1].body["filters"][0]["value"] == prompt


def test_templates_work_in_project_times_path_projections_and_connection(sandbox, connect, tmp_path):
    connect(sandbox, "second", project="not the one asked for")

    run = run_export(
        f"{tmp_path}/{{{{ params.project }}}}/{{{{ data_interval_end | ds }}}}",
        project="{{ params.project }}",
        start_time="{{ data_interval_end - macros.timedelta(hours=params.hours) }}",
        end_time="{{ data_interval_end }}",
        projections=["event_name", "{{ 'event_' + 'type' }}"],
        honeyhive_conn_id="{{ params.connection }}",
        dag={"params": PARAMS},
    )

    assert run.state == "success"
    folder = tmp_path / "demo" / "2026-03-11"
    assert sorted(ids_in(folder)) == sorted(sandbox.event_ids(DAY.replace(hour=18), DAY_END))
    assert Manifest.read(folder).project == "demo"
    assert {"event_name", "event_type"} <= set(sandbox.requests[-1].body["projections"])


def test_format_compression_and_the_stores_connection_may_be_templates(sandbox, output):
    run = run_export(
        output,
        file_format="{{ params.format }}",
        compression="{{ params.compression }}",
        output_conn_id="{{ params.store or '' }}",
        dag={"params": {"format": "csv", "compression": "zstd", "store": None}},
    )

    assert (run.result()["file_format"], run.result()["compression"]) == ("csv", "zstd")
    Manifest.read(output).verify()


@pytest.mark.parametrize(
    "arguments",
    [
        {"file_format": "{{ params.format }}", "compression": "snappy"},
        {"file_format": "parquet", "compression": "{{ params.compression }}"},
        {"output_path": "/out/{{ ds }}.csv", "file_format": "{{ params.format }}"},
    ],
)
def test_what_a_template_may_make_right_is_left_to_the_run(arguments):
    HoneyHiveExportEventsOperator(task_id="export", **{"output_path": "/out/", **arguments})


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"file_format": "xml", "compression": "{{ params.compression }}"}, "file_format"),
        ({"file_format": "csv", "compression": "snappy"}, "compression"),
        ({"output_conn_id": 7}, "output_conn_id"),
    ],
)
def test_what_no_template_can_make_right_fails_when_the_dag_is_parsed(arguments, named):
    with pytest.raises(InvalidArgumentError, match=named):
        HoneyHiveExportEventsOperator(task_id="export", output_path="/out/", **arguments)


def test_mapped_exports_are_called_by_project_and_window(sandbox, output, monkeypatch):
    names = {}

    class Named(HoneyHiveExportEventsOperator):
        def post_execute(self, context, result=None):
            names[context["ti"].map_index] = (
                self.dag.get_template_env().from_string(context["map_index_template"]).render(context)
            )

    def make():
        Named.partial(task_id="export", output_path=f"{output}/{{{{ ti.map_index }}}}/").expand(
            project=["demo", "demo"]
        )

    assert run_task(make).state == "success"
    name = "demo, 2026-03-10T00:00:00Z to 2026-03-11T00:00:00Z"
    assert names == {0: name, 1: name}


def test_a_template_in_an_object_storage_path_is_rendered(sandbox, tmp_path):
    run = run_export(output_path=ObjectStoragePath(f"file://{tmp_path}/{{{{ data_interval_end | ds }}}}"))

    assert run.state == "success"
    assert len(ids_in(tmp_path / "2026-03-11")) == 300


def test_arguments_may_be_results_of_other_tasks(sandbox, output):
    @task(multiple_outputs=True)
    def choose():
        return {"start": "2026-03-10T06:00:00Z", "end": 1773144000, "filters": [MODEL]}

    def make():
        chosen = choose()
        HoneyHiveExportEventsOperator(
            task_id="export",
            start_time=chosen["start"],
            end_time=chosen["end"],
            filters=chosen["filters"],
            output_path=f"{output}/",
        )

    run = run_task(make)

    assert run.state == "success"
    wanted = sandbox.event_ids(DAY.replace(hour=6), DAY.replace(hour=12))
    models = ids_where(sandbox, lambda event: event["event_type"] == "model")
    assert sorted(ids_in(output)) == sorted(wanted.intersection(models))


def test_mapped_tasks_export_a_cut_each(sandbox, output):
    def make():
        HoneyHiveExportEventsOperator.partial(task_id="export", output_path=f"{output}/{{{{ ti.map_index }}}}/").expand(
            filters=[[EventFilter(**MODEL)], [{**SLOW, "value": "{{ params.slow_ms }}"}], json.dumps(MODEL), []]
        )

    run = run_task(make, params=PARAMS)

    assert run.state == "success"
    models = ids_where(sandbox, lambda event: event["event_type"] == "model")
    slow = ids_where(sandbox, lambda event: event["duration"] > 1000)
    assert [sorted(ids_in(output / str(number))) for number in range(4)] == [
        models,
        slow,
        models,
        sorted(sandbox.event_ids(DAY, DAY_END)),
    ]
    assert [Manifest.read(output / str(number)).airflow.map_index for number in range(4)] == [0, 1, 2, 3]


def test_tasks_may_be_mapped_over_the_result_of_another(sandbox, output):
    @task
    def kinds():
        return [
            {"filters": [{**MODEL, "value": kind}], "output_path": f"{output}/{kind}/"} for kind in ("model", "tool")
        ]

    run = run_task(
        lambda: HoneyHiveExportEventsOperator.partial(task_id="export").expand_kwargs(kinds()),
    )

    assert run.state == "success"
    for kind in ("model", "tool"):
        assert sorted(ids_in(output / kind)) == ids_where(sandbox, lambda event, kind=kind: event["event_type"] == kind)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"filters": [{**MODEL, "operator": "{{ 'like' }}"}]}, "filters[0]"),
        ({"filters": "{{ 'no JSON' }}"}, "filters"),
        ({"start_time": "{{ 'yesterday' }}", "end_time": DAY_END}, "start_time"),
        ({"start_time": "{{ ds }}", "end_time": "{{ ds }}"}, "end_time"),
        ({"start_time": "{{ ds }}", "end_time": "{{ '' }}"}, "end_time"),
        ({"output_path": "{{ 'relative/path' }}"}, "output_path"),
        ({"output_path": "/exports/{{ '../../etc' }}/"}, "output_path"),
        ({"projections": "{{ 7 }}"}, "projections"),
        ({"file_format": "{{ 'xml' }}"}, "file_format"),
        ({"compression": "{{ 'snappy' }}"}, "compression"),
    ],
)
def test_a_wrong_value_from_a_template_fails_at_once_and_is_named(sandbox, output, arguments, named):
    run = run_export(output, **arguments, retries=2)

    assert f"InvalidArgumentError: {named}: " in run.refusal()
    assert sandbox.requests == []


@pytest.mark.parametrize("hidden", [{"exclude_fields": ["event_type"]}, {"redact": '["event_type"]'}])
def test_folders_that_would_show_a_hidden_field_are_refused_when_the_dag_is_parsed(hidden):
    with pytest.raises(InvalidArgumentError, match="folders would show it"):
        HoneyHiveExportEventsOperator(
            task_id="export", output_path="/exports/", partition_by=["event_type", "event_date"], **hidden
        )


def test_hidden_fields_that_a_template_gives_are_left_to_the_run():
    HoneyHiveExportEventsOperator(
        task_id="export", output_path="/exports/", partition_by="event_type", exclude_fields="{{ params.hidden }}"
    )


@pytest.mark.parametrize("value", ["false", "{{ params.content }}", None, 0])
def test_whether_content_is_exported_is_said_by_a_boolean_when_the_dag_is_parsed(value):
    with pytest.raises(InvalidArgumentError, match="include_content.*True or False"):
        HoneyHiveExportEventsOperator(task_id="export", output_path="/exports/", include_content=value)


def test_a_task_without_content_exports_none(sandbox, output):
    run = run_export(output, include_content=False)

    assert run.state == "success", run.errors
    manifest = Manifest.read(output)
    assert manifest.request.include_content is False
    assert manifest.event_count
