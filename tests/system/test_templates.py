"""Templates that turn into something else than was meant, in a real Airflow."""

from __future__ import annotations

import pytest

from .conftest import DAY, DAY_END
from .running import ids_in, run_export

NATIVE = {"render_template_as_native_obj": True}


def test_days_of_a_dag_with_native_objects_are_days(sandbox, output):
    run = run_export(
        output,
        start_time="{{ (data_interval_end - macros.timedelta(days=1)) | ds_nodash }}",
        end_time="{{ data_interval_end | ds_nodash }}",
        dag=NATIVE,
    )

    assert run.state == "success"
    assert sorted(ids_in(output)) == sorted(sandbox.event_ids(DAY, DAY_END))


def test_an_experiment_that_is_none_is_asked_for_by_nobody(sandbox, output):
    run = run_export(output, evaluation_id="{{ params.evaluation_id }}", dag={"params": {"evaluation_id": None}})

    assert "{{ params.evaluation_id }}" in run.refusal()
    assert "evaluation_id: " in run.refusal()
    assert not sandbox.requests


def test_an_optional_experiment_may_be_empty(sandbox, output):
    template = "{{ params.evaluation_id | default('', true) }}"
    run = run_export(output, evaluation_id=template, dag={"params": {"evaluation_id": None}})

    assert run.state == "success"
    assert sorted(ids_in(output)) == sorted(sandbox.event_ids(DAY, DAY_END))


def test_a_connection_id_of_digits_is_a_text(sandbox, connect, output):
    connect(sandbox, "42")

    assert run_export(output, honeyhive_conn_id="{{ 42 }}", dag=NATIVE).state == "success"


@pytest.mark.parametrize("native", [{}, NATIVE], ids=["texts", "native objects"])
def test_a_template_that_is_not_defined_fails_the_task(sandbox, output, native):
    run = run_export(output, project="{{ params.typo }}", dag=native)

    assert run.state == "failed"
    assert "typo" in str(run.errors["export"])
    assert not sandbox.requests
