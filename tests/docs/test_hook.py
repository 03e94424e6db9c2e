"""The page on the hook: its calls work and are those of the code."""

from __future__ import annotations

import inspect

from airflow_provider_honeyhive.api.endpoints import ENDPOINTS

from .documents import DAY, DAY_END, Document, code, run_python

PAGE = Document("docs/hook.md")


def test_the_three_calls_work(sandbox, capsys):
    made = run_python(PAGE.the("python", "hook.iter_events"))

    ids = sandbox.event_ids(DAY, DAY_END)
    assert len(made["page"].events) == 100
    assert made["page"].total == len(sandbox.events())
    assert made["count"] == len(ids)
    assert set(capsys.readouterr().out.split()) >= ids


def test_the_table_of_calls_names_what_the_hook_has():
    from airflow_provider_honeyhive.hooks.honeyhive import HoneyHiveHook

    form = {"get_connection_form_widgets", "get_ui_field_behaviour", "settings"}
    public = {name for name in vars(HoneyHiveHook) if not name.startswith("_")}
    public = {name for name in public if callable(getattr(HoneyHiveHook, name))}
    assert {code(row[0]) for row in PAGE.table("Call")} == public - form
    for row in PAGE.table("Call")[:3]:
        parameters = inspect.signature(getattr(HoneyHiveHook, code(row[0]))).parameters
        assert {"project", "filters", "start_time", "end_time", "evaluation_id"} <= parameters.keys()
        chosen = {"projections", "exclude_fields", "redact", "include_content"}
        assert (chosen <= parameters.keys()) == (code(row[0]) != "count_events")


def test_the_most_events_of_a_page_are_those_of_the_endpoints():
    limits = {f"{endpoint.max_limit:,}" for endpoint in ENDPOINTS.values()}
    assert limits == {"7,500", "1,000"}
    assert "7,500 or 1,000" in PAGE.text
