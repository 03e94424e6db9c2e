"""Who is told what when a task has exported."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest

from airflow_provider_honeyhive.formats.datafile import CorrectionFile, PartFile
from airflow_provider_honeyhive.links.honeyhive import HoneyHiveEventsLink
from airflow_provider_honeyhive.tasks import assets as announcing
from airflow_provider_honeyhive.tasks.assets import ExportResultMixin, log_files, log_group
from tests.unit.export.test_result import manifest
from tests.unit.programs import modules_loaded_by

from .test_assets import RESULT


class Task(ExportResultMixin):
    outlets = []


class Ti:
    def __init__(self):
        self.pushed = {}

    def xcom_push(self, key, value):
        self.pushed[key] = value


@pytest.fixture
def ti():
    return Ti()


def test_the_link_is_pushed_where_the_link_looks_for_it(ti):
    task = Task()
    task.report({"ti": ti}, RESULT, "https://app")
    assert task.result == RESULT
    assert task.events_url.startswith("https://app/p/id-of-demo/traces/events?range=")
    assert ti.pushed == {HoneyHiveEventsLink().xcom_key: task.events_url}
    assert HoneyHiveEventsLink().get_link(task, ti_key=None) == task.events_url


@pytest.mark.parametrize("app_url", [None, ""])
def test_without_the_apps_url_there_is_no_link(ti, app_url):
    task = Task()
    task.report({"ti": ti}, RESULT, app_url)
    assert ti.pushed == {}
    assert HoneyHiveEventsLink().get_link(task, ti_key=None) == ""


def test_before_the_export_there_is_no_link():
    assert HoneyHiveEventsLink().get_link(Task(), ti_key=None) == ""


def test_a_wrong_address_of_the_app_fails_no_task(ti, caplog):
    task = Task()
    task.report({"ti": ti}, RESULT, "javascript:alert(1)")
    assert (task.events_url, ti.pushed, task.result) == ("", {}, RESULT)
    assert "app_url" in caplog.text


def test_a_web_server_finds_the_link_among_the_tasks_results(monkeypatch):
    from airflow.providers.common.compat import sdk

    asked = []

    def get_value(*, ti_key, key):
        asked.append((ti_key, key))
        return "https://app/x"

    monkeypatch.setattr(sdk, "XCom", SimpleNamespace(get_value=get_value), raising=False)
    assert HoneyHiveEventsLink().get_link(object(), ti_key="key of the task") == "https://app/x"
    assert asked == [("key of the task", "_link_HoneyHiveEventsLink")]


def test_files_are_folded_up_in_the_log(caplog):
    caplog.set_level(logging.INFO)
    part = PartFile(
        path="part-1.parquet",
        event_count=1_234,
        size_bytes=2_500_000,
        sha256="0" * 64,
        min_start_time="2026-03-10T00:00:00.000Z",
        max_start_time="2026-03-10T01:00:00.000Z",
    )
    log_files(manifest(files=[part]))
    assert caplog.messages == [
        "::group::Files: 1",
        "part-1.parquet: 1,234 events, 2.5 MB, 2026-03-10T00:00:00.000Z to 2026-03-10T01:00:00.000Z",
        "::endgroup::",
    ]


def test_corrections_are_among_the_files_in_the_log(caplog):
    caplog.set_level(logging.INFO)
    late = CorrectionFile(
        path="_corrections/reason=late/part-0.parquet", event_count=1, size_bytes=1, sha256="0" * 64, reason="late"
    )
    log_files(manifest(files=[], corrections=[late]))
    assert caplog.messages[:2] == ["::group::Files: 1", "_corrections/reason=late/part-0.parquet: 1 events, 0.0 MB"]


def test_not_all_of_very_many_files_are_in_the_log(caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(announcing, "MOST_FILES_SHOWN", 1)
    log_files(manifest())
    assert [message.partition(":")[0] for message in caplog.messages[1:-1]] == [
        "part-0.parquet",
        "and 1 more, which the manifest lists",
    ]


def test_a_group_ends_whatever_happens(caplog):
    caplog.set_level(logging.INFO)
    with pytest.raises(ValueError, match="inside"), log_group("Title"):
        raise ValueError("inside")
    assert caplog.messages == ["::group::Title", "::endgroup::"]


def test_parsing_a_dag_imports_nothing_heavy():
    loaded = modules_loaded_by(
        "import airflow_provider_honeyhive.tasks.assets", after="import airflow_provider_honeyhive._compat"
    )
    heavy = {"requests", "msgspec", "pydantic", "tenacity", "pyarrow", "openlineage"}
    assert not heavy & {name.partition(".")[0] for name in loaded}
