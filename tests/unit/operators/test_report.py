"""What the operator that reports reads, hands on, returns and says."""

from __future__ import annotations

import json
import logging
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_honeyhive.operators.report import HoneyHiveReportOperator

from .builds import built, context, file_of


class Report:
    """Stands for what writes the page: remembers what it was given."""

    def __call__(self, tables: Any, place: Any, **named: Any) -> Any:
        self.tables, self.place, self.named = tables, place, named
        page = file_of("page", "report.html", row_count=0)
        return built(str(place).removeprefix("file://"), "report", files=[page])


@pytest.fixture
def report(monkeypatch):
    """Take the place of what writes the page."""
    report = Report()
    fake = SimpleNamespace(write_report=report)
    monkeypatch.setitem(sys.modules, "airflow_provider_honeyhive.report.build", fake)
    monkeypatch.delenv("AIRFLOW_CONN_HONEYHIVE_DEFAULT", raising=False)
    return report


@pytest.fixture
def tables(tmp_path):
    """Give the manifest of tables that are there."""
    folder = tmp_path / "tables"
    manifest = built(str(folder))
    folder.mkdir()
    (folder / "_tables.json").write_text(json.dumps(manifest.model_dump()))
    return manifest


def run(tables: Any, folder: Any, **arguments: Any) -> Any:
    place = f"{folder}/report/" + "{project}/{start:%Y-%m-%d}/"
    return HoneyHiveReportOperator(task_id="r", tables=tables, output_path=place, **arguments).execute(context())


def test_a_task_that_is_killed_ends_its_report(report, tables, tmp_path):
    task = HoneyHiveReportOperator(task_id="r", tables=tables.url(), output_path=f"{tmp_path}/report")
    task.on_kill()  # before it has begun: nothing to end
    task.execute(context())
    assert not report.named["stop"].is_stopped
    task.on_kill()
    assert report.named["stop"].is_stopped


def connect(monkeypatch: Any, extra: Any, conn_id: str = "HONEYHIVE_DEFAULT") -> None:
    connection = {"conn_type": "honeyhive", "extra": extra}
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id}", json.dumps(connection))


def test_the_result_and_the_path_of_tables_are_reported_on(report, tables, tmp_path):
    for given in (tables.summary(), tables.url(), tables.manifest_url, tmp_path / "tables"):
        result = run(given, tmp_path)
        assert report.tables.model_dump() == tables.model_dump()
        assert report.named["airflow"].task_id == "t"
        assert result["page"] == f"{tmp_path}/report/demo/2026-11-22/report.html"
        assert result["kind"] == "report"
        json.dumps(result)


@pytest.mark.parametrize("given", [None, {"event_id": "secret"}, [{"event_id": "secret"}]])
def test_what_is_no_result_of_tables_is_refused_and_never_shown(report, tmp_path, given):
    task = HoneyHiveReportOperator(task_id="r", tables=object(), output_path=f"{tmp_path}/")
    task.tables = given
    with pytest.raises(AirflowFailException, match=r"tables: give .*tables\.output") as failed:
        task.execute(context())
    assert "secret" not in str(failed.value)


def test_a_connection_that_is_not_there_is_named_as_its_argument(report, tmp_path):
    with pytest.raises(AirflowFailException, match="tables_conn_id: got 'nowhere'"):
        run("s3://bucket/tables", tmp_path, tables_conn_id="nowhere")


def test_the_log_says_where_the_page_is(report, tables, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    page = run(tables.url(), tmp_path)["page"]
    assert f"Report: {page}" in caplog.text
    assert f"python -m http.server --directory {tmp_path}/report/demo/2026-11-22\n" in caplog.text


def test_the_page_links_where_the_connection_says_it_without_a_key(report, tables, tmp_path, monkeypatch):
    connect(monkeypatch, {"app_url": "app.example.com/"})
    run(tables.url(), tmp_path)
    assert report.named["app_url"] == "https://app.example.com"


def test_the_connection_may_be_another(report, tables, tmp_path, monkeypatch):
    connect(monkeypatch, {"app_url": "https://app.example.com"}, "OTHER")
    run(tables.url(), tmp_path, honeyhive_conn_id="other")
    assert report.named["app_url"] == "https://app.example.com"


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (None, "there is no connection 'honeyhive_default'"),
        ({}, "the connection has no extra app_url"),
        ({"app_url": ""}, "the connection has no extra app_url"),
        ({"app_url": "javascript:alert(1)"}, "the connection's extra app_url"),
        ("no JSON", "the connection's extra extra"),
    ],
)
def test_without_an_address_there_are_no_links_which_is_said_once(
    report, tables, tmp_path, monkeypatch, caplog, extra, said
):
    caplog.set_level(logging.INFO)
    if extra is not None:
        connect(monkeypatch, extra)
    run(tables.url(), tmp_path)
    assert report.named["app_url"] is None
    assert caplog.text.count("The page has no links to HoneyHive: ") == 1
    assert said in caplog.text
