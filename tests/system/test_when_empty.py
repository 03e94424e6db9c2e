"""A window without events ends the task as skipped where it is told to, with nothing lost."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, Asset, task

from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.models.filters import EventFilter
from airflow_provider_honeyhive.operators import honeyhive
from airflow_provider_honeyhive.operators.honeyhive import HoneyHiveExportEventsOperator
from airflow_provider_honeyhive.operators.mapped import HoneyHiveCombineExportsOperator, HoneyHiveSplitWindowOperator

from .conftest import DAY
from .running import run_dag, run_export, run_task
from .test_assets import events_of
from .test_assets import export as export_with_assets
from .test_run_windows import MORNING, NOON, run, window_in

NOTHING = [EventFilter(field="event_type", operator="is", value="nothing")]
SKIP = {"when_empty": "skip", "filters": NOTHING}


@pytest.mark.parametrize("to_files", [True, False])
def test_an_empty_window_is_published_and_then_skipped(sandbox, output, to_files):
    done = run_export(output if to_files else None, **SKIP)

    # A run of which all is skipped has succeeded.
    assert (done.state, done.states) == ("success", {"export": "skipped"})
    wanted = run_export(f"{output}-too" if to_files else None, filters=NOTHING).result()
    if to_files:
        manifest = Manifest.read(output)
        manifest.verify()
        assert manifest.event_count == 0
        assert done.xcoms["export"] == {
            **wanted,
            "output_path": str(output),
            "manifest_path": f"{output}/_manifest.json",
        }
    else:
        assert done.xcoms["export"] == wanted == []


def test_without_xcom_there_is_none(sandbox, output):
    done = run_export(output, do_xcom_push=False, **SKIP)
    assert (done.states, done.xcoms) == ({"export": "skipped"}, {"export": None})


@pytest.mark.parametrize("arguments", [{"when_empty": "skip"}, {"filters": NOTHING}, {**SKIP, "when_empty": "success"}])
def test_all_else_succeeds(sandbox, output, arguments):
    assert run_export(output, **arguments).states == {"export": "success"}


def test_tasks_that_follow_are_skipped_but_for_those_that_run_anyway(sandbox, output):
    @task
    def load(export: Any) -> None:
        raise AssertionError("it was not to run")

    @task(trigger_rule="all_done")
    def note(export: Any) -> int:
        return int(export["event_count"])

    def make() -> None:
        export = HoneyHiveExportEventsOperator(task_id="export", output_path=f"{output}/", **SKIP)
        load(export.output)
        note(export.output)

    done = run_task(make)

    assert done.states == {"export": "skipped", "load": "skipped", "note": "success"}
    assert done.xcoms["note"] == 0


def test_assets_get_no_event(sandbox, output):
    asset = Asset("honeyhive://assets/skipped")
    assert export_with_assets(output, outlets=[asset], **SKIP).states == {"export": "skipped"}
    assert events_of(asset.uri) == []


def test_the_next_run_continues_behind_an_empty_window(sandbox, output):
    path = f"{output}/{{{{ run_id }}}}/"
    first = run(path, None, schedule=None, conf=MORNING, delay=0, **SKIP)
    runs = [first, *(run(path, None, schedule=None, delay=0, **SKIP) for _ in range(2))]

    assert [done.states["export"] for done in runs] == ["skipped"] * 3, [done.errors for done in runs]
    windows = [window_in(done.xcoms["export"]["output_path"]) for done in runs]
    assert windows[0] == (DAY + timedelta(hours=6), NOON)
    assert all(earlier[1] == later[0] for earlier, later in pairwise(windows))


def test_after_a_wait_in_the_triggerer_it_is_the_same(sandbox, output, monkeypatch):
    monkeypatch.setattr(honeyhive, "SHORT_WAIT_S", 0)
    monkeypatch.setattr(honeyhive, "datetime", _Early)
    assert run_export(output, **SKIP).states == {"export": "skipped"}
    assert Manifest.read(output).event_count == 0


class _Early(honeyhive.datetime):
    """Says once that the window is not over yet."""

    asked = False

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        if cls.asked:
            return super().now(tz)
        cls.asked = True
        return DAY + timedelta(days=1)


def test_corrections_are_not_nothing(sandbox, output):
    def export(day: int) -> Any:
        start = DAY + timedelta(days=day)
        times = {"start_time": start.isoformat(), "end_time": (start + timedelta(days=1)).isoformat()}
        path = f"{output}/{{{{ '{day}' }}}}/"
        return run_task(
            lambda: HoneyHiveExportEventsOperator(
                task_id="export", output_path=path, lookback_windows=1, when_empty="skip", **times
            )
        )

    export(0)
    late = int((DAY + timedelta(hours=3)).timestamp() * 1000)
    sandbox.add([{"event_id": "late", "project": "demo", "start_time": late}])
    assert export(1).states == {"export": "success"}
    (correction,) = Manifest.read(f"{output}/1").corrections
    assert correction.event_count == 1
    assert export(2).states == {"export": "skipped"}


def test_of_mapped_exports_the_combination_is_skipped(sandbox, output):
    with DAG("mapped", schedule="@daily", start_date=DAY.replace(year=2025), catchup=False) as dag:
        split = HoneyHiveSplitWindowOperator(task_id="split", parts=2, output_path=f"{output}/", filters=NOTHING)
        exports = HoneyHiveExportEventsOperator.partial(task_id="export", filters=NOTHING).expand_kwargs(split.output)
        HoneyHiveCombineExportsOperator(
            task_id="combine", output_path=f"{output}/", exports=exports.output, when_empty="skip"
        )
    done = run_dag(dag)

    assert done.states["combine"] == "skipped", done.errors
    assert done.xcoms["combine"]["event_count"] == Manifest.read(output).event_count == 0
    assert not list(output.glob("_shards-*"))


def test_a_part_of_an_export_is_not_skipped(sandbox, output):
    with DAG("mapped", schedule="@daily", start_date=DAY.replace(year=2025), catchup=False) as dag:
        split = HoneyHiveSplitWindowOperator(task_id="split", parts=1, output_path=f"{output}/", filters=NOTHING)
        HoneyHiveExportEventsOperator.partial(task_id="export", **SKIP).expand_kwargs(split.output)
    done = run_dag(dag)

    assert done.states["export[0]"] == "failed"
    assert "give it to the combination" in str(done.errors["export[0]"])


@pytest.mark.parametrize("value", ["fail", None, True, ["skip"]])
def test_another_value_is_told_when_the_dag_is_parsed(value):
    with pytest.raises(InvalidArgumentError, match="when_empty: got .*allowed: 'success' and 'skip'"):
        HoneyHiveExportEventsOperator(task_id="export", when_empty=value)
    with pytest.raises(InvalidArgumentError, match="when_empty: got .*allowed: 'success' and 'skip'"):
        HoneyHiveCombineExportsOperator(task_id="combine", output_path="/data", exports=[], when_empty=value)


def test_it_does_not_go_together_with_min_events():
    with pytest.raises(InvalidArgumentError, match="when_empty: got 'skip'; a window without events fails"):
        HoneyHiveExportEventsOperator(task_id="export", when_empty="skip", min_events=1)
    HoneyHiveExportEventsOperator(task_id="export", when_empty="skip", min_events=0)
