"""A server that cuts its bounds to seconds counts rows from outside: they hide no loss, and are taken for none."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_honeyhive.exceptions import IncompleteExportError
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.models.window import Window
from airflow_provider_honeyhive.sandbox import Behaviour

from .test_exporter import DAY, DEMO, event_at

MILLISECOND = timedelta(milliseconds=1)
#: Both ends lie within a second.
WINDOW = Window(DAY.start + 500 * MILLISECOND, DAY.start + timedelta(hours=1) + 500 * MILLISECOND)


@pytest.fixture
def export(sandbox_with, client_of, tmp_path):
    def run(**behaviour):
        outside = [start + number * MILLISECOND for start in (DAY.start, WINDOW.end) for number in range(60)]
        inside = [WINDOW.start + timedelta(seconds=number) for number in range(40)]
        sandbox = sandbox_with([event_at(time, number) for number, time in enumerate([*outside, *inside])])
        sandbox.behaviour = Behaviour(truncate_bounds="second", **behaviour)
        options = ExportOptions(page_size=10)
        return export_events(client_of(sandbox), DEMO.model_copy(update={"window": WINDOW}), tmp_path / "out", options)

    return run


@pytest.mark.parametrize(
    "behaviour", [{}, {"cap": 7}, {"past_end": "error"}, {"past_end": "repeat"}, {"order": "ties_random"}]
)
def test_more_rows_outside_than_a_page_holds_are_not_taken_for_lost_ones(export, behaviour):
    assert export(**behaviour).event_count == 40


def test_lost_rows_are_found_beside_rows_outside(export):
    with pytest.raises(IncompleteExportError):
        export(lose_per_answer=1)
