"""Export options come from operator and command line by their names."""

from __future__ import annotations

import argparse
from dataclasses import fields

import pytest

from airflow_provider_honeyhive.cli import export as command
from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.operators.honeyhive import HoneyHiveExportEventsOperator

GIVEN = {
    "file_format": "csv",
    "compression": "zstd",
    "partition_by": ("event_type",),
    "max_file_size": 5_000_000,
    "page_size": 7,
    "concurrency": 9,
    "replace": False,
    "on_shrink": "keep",
    "min_events": 3,
    "on_unmatched": "fail",
    "lookback_windows": 2,
    "trust_total": False,
}


def test_the_operator_has_each_option_under_its_name():
    assert set(GIVEN) == {one.name for one in fields(ExportOptions)}
    operator = HoneyHiveExportEventsOperator(task_id="export", output_path="/exports/{{ ds }}/", **GIVEN)
    assert ExportOptions.of(operator) == ExportOptions(**GIVEN)


def test_the_command_line_has_each_option_but_lookback_under_its_name():
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    words = "--start 2026-03-01 --end 2026-03-02 --output /exports --format csv --compression zstd"
    words += " --partition-by event_type --max-file-size 5MB --page-size 7 --concurrency 9 --no-replace --min-events 3"
    words += " --no-trust-total --on-unmatched fail --on-shrink keep"
    assert ExportOptions.of(parser.parse_args(words.split())) == ExportOptions(**GIVEN | {"lookback_windows": 0})


def test_the_former_name_of_lookback_windows_works_with_a_warning():
    given = {"task_id": "export", "output_path": "/exports/{{ ds }}/"}
    with pytest.warns(DeprecationWarning, match="lookback is called lookback_windows now"):
        operator = HoneyHiveExportEventsOperator(**given, lookback=3)
    assert operator.lookback_windows == 3
    with pytest.raises(InvalidArgumentError, match="leave it out: lookback_windows says the same"):
        HoneyHiveExportEventsOperator(**given, lookback=3, lookback_windows=3)


@pytest.mark.parametrize(
    ("given", "mapped"),
    [({"lookback": 3}, {"project": ["a", "b"]}), ({"project": "a"}, {"lookback": [3, 3]})],
    ids=["partial", "expand"],
)
def test_the_former_name_of_lookback_windows_works_in_mapped_tasks(given, mapped):
    fixed = {"task_id": "export", "output_path": "/exports/{{ ds }}/"}
    task = HoneyHiveExportEventsOperator.partial(**fixed, **given).expand(**mapped)
    with pytest.warns(DeprecationWarning, match="lookback is called lookback_windows now"):
        operator = task.unmap({name: values[0] for name, values in mapped.items()})
    assert operator.lookback_windows == 3
