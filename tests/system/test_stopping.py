"""A task that is stopped ends, and its next try goes on from what it had staged."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from airflow_provider_honeyhive.exceptions import ExportStoppedError
from airflow_provider_honeyhive.operators.honeyhive import HoneyHiveExportEventsOperator
from airflow_provider_honeyhive.sandbox import Fault

from .conftest import DAY, DAY_END
from .running import AIRFLOW_2, KilledOnce, ids_in, run_task

#: Small enough for parts to be staged before the fault comes.
SMALL_PARTS = {"page_size": 50, "max_file_size": 20_000, "concurrency": 1}
SILENT = 5


def make_export(cls, output, **arguments):
    return cls(
        task_id="export",
        output_path=f"{output}/",
        retries=1,
        retry_delay=timedelta(seconds=0),
        **SMALL_PARTS,
        **arguments,
    )


def assert_went_on(run, sandbox, output):
    assert run.state == "success"
    assert len(run.retried) == 1
    assert Counter(ids_in(output)) == Counter(sandbox.event_ids(DAY, DAY_END))
    assert not list(output.glob("_staging-*"))
    again = sum(request.event_count for request in sandbox.requests if request.number > SILENT)
    assert again < len(sandbox.event_ids(DAY, DAY_END)), "the second try read everything again"


def test_a_task_beyond_its_execution_timeout_goes_on_in_its_next_try(sandbox, output):
    sandbox.fault_at[SILENT] = Fault.delayed(60)

    def export():
        return run_task(
            lambda: make_export(HoneyHiveExportEventsOperator, output, execution_timeout=timedelta(seconds=3))
        )

    if AIRFLOW_2:
        # There the time-out is no Exception, and dag.test() lets it through instead of trying again.
        with pytest.raises(BaseException, match="Timeout"):
            export()
        assert list(output.glob("_staging-*/plan.json"))
        assert not list(output.glob("*.json"))
        return
    run = export()
    assert "Timeout" in type(run.retried[0]).__name__
    assert_went_on(run, sandbox, output)


def test_a_killed_task_ends_although_the_server_is_silent_and_goes_on_in_its_next_try(sandbox, output):
    KilledOnce.killed.clear()
    sandbox.fault_at[SILENT] = Fault.delayed(60)

    run = run_task(lambda: make_export(KilledOnce, output))

    assert isinstance(run.retried[0], ExportStoppedError)
    assert_went_on(run, sandbox, output)
