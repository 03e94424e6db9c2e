"""Writing a report: whole or not at all, and only of tables that are what was built."""

from __future__ import annotations

import json
import threading
from hashlib import sha256
from typing import Any

import pyarrow.parquet as pq
import pytest
from upath import UPath

from airflow_provider_honeyhive.api import web_app
from airflow_provider_honeyhive.build_manifest import BuildManifest
from airflow_provider_honeyhive.builds.stopping import BuildStop
from airflow_provider_honeyhive.exceptions import (
    DestinationError,
    DestinationTakenError,
    ExportStoppedError,
    InvalidArgumentError,
)
from airflow_provider_honeyhive.report import build, page, tables
from airflow_provider_honeyhive.report.build import write_report
from airflow_provider_honeyhive.report.table_files import open_tables

from .handmade import event, ordinary_day, publish, tables_of

APP = "https://app.us.honeyhive.ai"


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> BuildManifest:
    """Publish the tables of an ordinary day."""
    return publish(tmp_path_factory.mktemp("built") / "tables", ordinary_day(200))


def test_the_page_and_a_file_for_each_table_are_published(built, tmp_path):
    report = write_report(built, tmp_path / "new" / "report")

    report.verify()
    assert BuildManifest.read(tmp_path / "new" / "report").to_json() == report.to_json()
    assert [file.name for file in report.files] == [build.PAGE, *tables.TABLES]
    assert report.file_urls(build.PAGE) == [str(tmp_path / "new" / "report" / "report.html")]
    (summary,) = pq.read_table(report.file_urls("summary")[0]).to_pylist()
    assert summary["events"] == 200
    for file in report.files[1:]:
        assert pq.read_metadata(report.url(file.path)).num_rows == file.row_count
    page = (tmp_path / "new" / "report" / "report.html").read_text(encoding="utf-8")
    assert "10 Mar 2026, 00:00 to 11 Mar 2026, 00:00 UTC" in page


def test_the_manifest_says_what_the_report_is_of(built, tmp_path):
    report = write_report(built, tmp_path / "report", app_url=APP)

    assert (report.kind, report.project, report.sources) == ("report", "demo", built.sources)
    assert (report.start_time, report.end_time) == (built.start_time, built.end_time)
    with open(built.manifest_url, "rb") as file:
        digest = sha256(file.read()).hexdigest()
    assert report.settings == {
        "tables_path": built.manifest_url,
        "tables_sha256": digest,
        "app_url": APP,
        "sql_version": tables.sql_version(),
    }
    (summary,) = pq.read_table(report.file_urls("summary")[0]).to_pylist()
    assert report.counts == {name: summary[name] for name in ("events", "sessions", "model_calls", "scores", "errors")}


@pytest.mark.parametrize(
    "named", [lambda built: built.url(), lambda built: built.manifest_url, lambda built: built.summary()]
)
def test_tables_are_named_by_their_place_or_their_result(built, tmp_path, named):
    assert write_report(named(built), tmp_path / "report").counts["events"] == 200


def test_a_second_report_replaces_the_first_with_the_same_bytes(built, tmp_path):
    first = write_report(built, tmp_path)
    second = write_report(built, tmp_path)

    assert [file.sha256 for file in second.files] == [file.sha256 for file in first.files]
    assert len(list((tmp_path / build.FOLDER).iterdir())) == len(tables.TABLES)


def test_tables_and_report_may_be_in_any_store(tmp_path):
    bucket = UPath("memory://bucket-of-reports")
    built = publish(bucket / "tables", tables_of([event(cost=1.0)]), scratch=tmp_path)

    report = write_report(built, bucket / "report")

    assert report.url("report.html") == "memory://bucket-of-reports/report/report.html"
    assert "$1.00" in (bucket / "report" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["events", "edges"])
def test_a_file_that_is_not_the_one_that_was_built_is_refused(tmp_path, name):
    built = publish(tmp_path / "tables", tables_of([event()]))
    other = publish(tmp_path / "other" / "tables", tables_of([event(), event("f")]), scratch=tmp_path)
    (path,) = built.file_urls(name)
    with open(other.file_urls("events")[0], "rb") as file, open(path, "wb") as target:
        target.write(file.read() + b"x")

    with pytest.raises(DestinationError, match="is not the one that was built: build the tables again"):
        write_report(built, tmp_path / "report")

    assert not (tmp_path / "report").exists()


def test_tables_without_one_that_is_needed_are_refused(tmp_path):
    rows = tables_of([event()])
    del rows["scores"]
    built = publish(tmp_path / "tables", rows)

    with pytest.raises(DestinationError, match="there is no table scores in .*: build the tables again"):
        write_report(built, tmp_path / "report")


def test_a_build_of_another_kind_is_refused(built, tmp_path):
    report = write_report(built, tmp_path / "report")

    with pytest.raises(InvalidArgumentError, match="it is a build of kind 'report', not of tables"):
        write_report(report, tmp_path / "other")


@pytest.mark.parametrize("given", [None, "", " ", {}, {"output_path": "x"}])
def test_nothing_is_no_build_of_tables(tmp_path, given):
    with pytest.raises(InvalidArgumentError, match="allowed: the result of a task that builds tables, or its path"):
        write_report(given, tmp_path / "report")


def test_a_report_of_another_window_stays(built, tmp_path):
    write_report(built, tmp_path / "report")
    other = publish(tmp_path / "tables", tables_of([event()]), (None, None))

    with pytest.raises(DestinationTakenError, match="put {start} or {project} into output_path"):
        write_report(other, tmp_path / "report")


@pytest.mark.parametrize(
    ("projects", "link"),
    [
        (["x"], f"{APP}/p/x/traces/events?range="),
        (["x", None, ""], f"{APP}/p/x/traces/events?range="),
        (["x", "y"], f'{APP}"'),
        ([None], f'{APP}"'),
        (['"><script>'], f"{APP}/p/%22%3E%3Cscript%3E/traces/events?range="),
    ],
)
def test_the_link_leads_to_the_one_project_of_the_events(tmp_path, projects, link):
    built = publish(tmp_path / "tables", tables_of([event(project_id=one) for one in projects]))

    write_report(built, tmp_path / "report", app_url=f"{APP}/")

    assert f'<a href="{link}' in (tmp_path / "report" / "report.html").read_text(encoding="utf-8")


def test_without_an_address_there_is_no_link(built, tmp_path):
    write_report(built, tmp_path)
    assert "<a " not in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("app_url", ["javascript:alert(1)", "https://a b", "ftp://x", "https://user@x"])
def test_an_address_that_is_none_is_refused_before_anything_is_read(built, tmp_path, app_url):
    with pytest.raises(InvalidArgumentError, match="allowed: a base URL"):
        write_report(built, tmp_path / "report", app_url=app_url)

    assert not (tmp_path / "report").exists()


def test_what_is_not_installed_is_named(built, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "airflow_provider_honeyhive.report.page", None)

    with pytest.raises(InvalidArgumentError, match=r"install airflow-provider-honeyhive\[report\]"):
        write_report(built, tmp_path / "report")


def test_a_project_may_be_called_anything(tmp_path):
    name = "</title><script>alert(1)</script>\ud800"
    built = publish(tmp_path / "tables", tables_of([event()]), project=name)

    write_report(built, tmp_path / "report")

    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;?" in page


def test_numbers_are_added_in_one_order_in_little_memory(built):
    with open_tables(built) as (connection, _):
        ((threads, memory),) = connection.execute(
            "SELECT current_setting('threads'), current_setting('memory_limit')"
        ).fetchall()
    assert (threads, memory) == (1, "953.6 MiB")


@pytest.mark.parametrize(
    ("statement", "advice"),
    [
        ("SELECT CAST(session_id AS INTEGER) FROM events", "build the tables again"),
        ("SELECT no_such_column FROM events", "build the tables again"),
        ("SET memory_limit = '1MB'; SELECT list(range) FROM range(1000000)", "free space for temporary files"),
    ],
)
def test_an_error_of_duckdb_says_what_to_do_and_nothing_of_the_tables(built, statement, advice):
    with pytest.raises(DestinationError, match=advice) as caught, open_tables(built) as (connection, _):
        connection.execute(statement)
    assert "session-0" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_stop_ends_a_statement(built):
    stop = BuildStop()
    threading.Timer(0.2, stop.stop).start()
    with pytest.raises(ExportStoppedError), open_tables(built, stop) as (connection, _):
        connection.execute("SELECT count(*) FROM range(1000000000000) a, range(1000000) b WHERE a.range % 7 = b.range")


@pytest.mark.parametrize("at", ["events_url", "render_page"], ids=["before the page is made", "while it is made"])
def test_a_stopped_report_publishes_nothing(built, tmp_path, monkeypatch, at):
    stop = BuildStop()
    made = getattr(web_app if at == "events_url" else page, at)

    def make(*args: Any) -> Any:
        stop.stop()
        return made(*args)

    monkeypatch.setattr(web_app if at == "events_url" else page, at, make)
    with pytest.raises(ExportStoppedError):
        write_report(built, tmp_path / "report", app_url=APP, stop=stop)
    assert not list(tmp_path.iterdir())


def test_a_stop_ends_the_reading_of_tables(built, tmp_path):
    stop = BuildStop()
    stop.stop()
    with pytest.raises(ExportStoppedError), open_tables(built, stop):
        pytest.fail("it was opened")


def test_nothing_is_left_on_the_machine(built, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()

    write_report(built, tmp_path / "report")

    assert list((tmp_path / "temporary").iterdir()) == []


def test_the_manifest_is_plain_facts(built, tmp_path):
    summary: dict[str, Any] = write_report(built, tmp_path).summary()
    assert json.loads(json.dumps(summary)) == summary
    assert summary["files"].keys() == {build.PAGE, *tables.TABLES}
