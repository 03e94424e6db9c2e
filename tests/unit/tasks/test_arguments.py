"""What operator, sensor and trigger take alike."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.models.filters import EventFilter
from airflow_provider_honeyhive.models.window import Window
from airflow_provider_honeyhive.tasks.arguments import as_plain_data, is_literal, seconds_of
from airflow_provider_honeyhive.tasks.run_window import run_window

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
