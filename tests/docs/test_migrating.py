"""What the loop of ``docs/migrating.md`` loses, and that the export does not."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from pathlib import Path

import pytest

from airflow_provider_honeyhive.api.client import HoneyHiveClient
from airflow_provider_honeyhive.api.settings import ClientSettings
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.models.request import ExportRequest
from airflow_provider_honeyhive.models.window import Window
from airflow_provider_honeyhive.sandbox import Behaviour, Fault, Sandbox

from .documents import DAY, DAY_END, PROJECT, Document, run_python

PAGE = Document("docs/migrating.md")
EVENTS = 5_000
ROWS = PAGE.table("The server")


def loop(sandbox: Sandbox, path: Path) -> Counter[str]:
    """Return the ids that the loop has written, and how often."""
    export = run_python(PAGE.the("python", "def export("))["export"]
    export(sandbox.url, sandbox.key, PROJECT, DAY.isoformat(), DAY_END.isoformat(), path)
    return ids(path)


def ids(*paths: Path) -> Counter[str]:
    found: Counter[str] = Counter()
    for path in paths:
        with gzip.open(path) as lines:
            found.update(json.loads(line)["event_id"] for line in lines)
    return found


def export(sandbox: Sandbox, folder: Path) -> Counter[str]:
    """Return the ids that the export has written, and how often."""
    settings = ClientSettings.parse(api_key=sandbox.key, api_url=sandbox.url)
    request = ExportRequest(project=PROJECT, window=Window(DAY, DAY_END))
    # One request at a time, so that the server changes between any two.
    options = ExportOptions(concurrency=1, page_size=1000)
    with HoneyHiveClient(settings, sleep=lambda _: None) as client:
        manifest = export_events(client, request, folder, options)
    return ids(*(folder / part.path for part in manifest.files))


def serve(behaviour: Behaviour | None = None) -> Sandbox:
    return Sandbox(count=EVENTS, end=DAY_END, project=PROJECT, behaviour=behaviour)


def row(part: str) -> list[str]:
    (found,) = (row for row in ROWS if part in row[0])
    return found


def test_on_a_quiet_server_the_loop_reads_everything(tmp_path):
    with serve() as sandbox:
        wanted = sandbox.event_ids(DAY, DAY_END)
        assert loop(sandbox, tmp_path / "loop.gz") == Counter(wanted)
        assert len(wanted) == EVENTS
    assert f"Results with {EVENTS:,} events on the sandbox" in PAGE.text


def test_a_silent_cap_costs_the_loop_most_events(tmp_path):
    with serve(Behaviour(cap=300)) as sandbox:
        kept = loop(sandbox, tmp_path / "loop.gz")
        assert row("at most 300")[1] == f"reports success with {len(kept)} events; {EVENTS - len(kept):,} are lost"
        assert row("at most 300")[2] == f"{len(export(sandbox, tmp_path / 'export')):,}"


def test_deletions_cost_the_loop_other_events(tmp_path):
    behaviour = Behaviour(delete_per_request=3)
    with serve(behaviour) as sandbox:
        before = sandbox.event_ids(DAY, DAY_END)
        kept = loop(sandbox, tmp_path / "loop.gz")
        lost = before - sandbox.deleted - kept.keys()
        assert row("deletes three")[1] == f"loses {len(lost)} other events"
    with serve(behaviour) as sandbox:
        before = sandbox.event_ids(DAY, DAY_END)
        kept = export(sandbox, tmp_path / "export")
        assert before - sandbox.deleted - kept.keys() == set()
        assert row("deletes three")[2] == "loses no other event"


def test_late_events_make_the_loop_repeat_others(tmp_path):
    behaviour = Behaviour(insert_per_request=3)
    with serve(behaviour) as sandbox:
        twice = {id_ for id_, count in loop(sandbox, tmp_path / "loop.gz").items() if count > 1}
        assert row("receives three")[1] == f"writes {len(twice)} events twice"
    with serve(behaviour) as sandbox:
        assert set(export(sandbox, tmp_path / "export").values()) == {1}


def test_midnight_is_in_two_days_of_the_loop_and_in_one_of_the_export(tmp_path):
    with serve() as sandbox:
        sandbox.add([{"event_id": "midnight", "project": PROJECT, "start_time": int(DAY_END.timestamp() * 1000)}])
        assert "midnight" in loop(sandbox, tmp_path / "loop.gz")
        assert "midnight" not in export(sandbox, tmp_path / "export")
    assert row("midnight")


def test_a_page_of_html_ends_the_loop_with_half_a_file(tmp_path):
    with serve() as sandbox:
        sandbox.fault_at = {3: Fault.html(200)}
        with pytest.raises(ValueError, match="."):
            loop(sandbox, tmp_path / "loop.gz")
        assert 0 < len(ids(tmp_path / "loop.gz")) < EVENTS
    with serve() as sandbox:
        sandbox.fault_at = {3: Fault.html(200)}
        assert len(export(sandbox, tmp_path / "export")) == EVENTS
    assert row("HTML")[2] == "retries"


def test_every_row_is_tested_here():
    tested = re.findall(r'row\("([^"]+)"\)', Path(__file__).read_text(encoding="utf-8"))
    assert {row(part)[0] for part in tested} == {found[0] for found in ROWS}
