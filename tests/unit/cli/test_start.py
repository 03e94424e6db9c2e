"""A command is there soon: it imports nothing that it does not need."""

from __future__ import annotations

import json

import pytest

from tests.unit.export.test_exporter import GENERATED
from tests.unit.programs import last_line_of

KEY = "hh_sandbox"

RUN = """
import json, sys
from airflow_provider_honeyhive.cli.main import main
assert main(json.loads(sys.argv[1])) == 0
print(json.dumps(sorted(sys.modules)))
"""

#: Runs the command as ``python -m`` does, and notes in which modules' import Python's garbage collector runs; None: in
#: none.
WATCH = """
import gc, json, runpy, sys
seen = set()

def note(phase, info):
    frame = sys._getframe(1)
    while frame and frame.f_code.co_name != "<module>":
        frame = frame.f_back
    seen.add(frame and frame.f_globals["__name__"])

gc.callbacks.append(note)
gc.set_threshold(50)
sys.argv = ["", *json.loads(sys.argv[1])]
try:
    runpy.run_module("airflow_provider_honeyhive", run_name="__main__", alter_sys=True)
except SystemExit as end:
    assert not end.code, end
gc.callbacks.remove(note)
print(json.dumps({"importing": sorted(map(str, seen)), "is_enabled": gc.isenabled(), "frozen": gc.get_freeze_count()}))
"""

#: What a small export to a local folder does not need, and why it would be there.
NOT_NEEDED = {
    "asyncio": "only object stores run anything in it",
    "multiprocessing": "threads are enough",
    "http.server": "only the sandbox serves",
    "pyarrow": "only for Parquet",
    "zstandard": "only for zstd",
    "sqlite3": "no two exports are compared",
    "tqdm": "nobody watches",
    "fsspec": "the path is local",
    "upath": "the path is local",
    "airflow_provider_honeyhive.sandbox": "another command",
    "airflow_provider_honeyhive.cli.verify": "another command",
    "airflow_provider_honeyhive.cli.cleanup": "another command",
    "airflow_provider_honeyhive.storage.azure": "the path is local",
    "airflow_provider_honeyhive.storage.gcs": "the path is local",
    "airflow_provider_honeyhive.storage.s3": "the path is local",
    "airflow_provider_honeyhive.storage.object_store": "the path is local",
    "airflow_provider_honeyhive.events.measured": "content is exported",
    "airflow_provider_honeyhive.export.combine": "there are no shards",
    "airflow_provider_honeyhive.export.shards": "there are no shards",
    "airflow_provider_honeyhive.export.comparison": "nothing is replaced",
    "airflow_provider_honeyhive.export.catalog": "nothing is looked for in other exports",
    "airflow_provider_honeyhive.export.extract_sessions": "no whole sessions are asked for",
    "airflow_provider_honeyhive.export.lookback": "no earlier window is read again",
    "airflow_provider_honeyhive.formats.parquet": "only for Parquet",
}


@pytest.fixture
def small_export(sandbox_with, tmp_path, monkeypatch):
    """The command line of an export of ten events to a local folder."""
    sandbox = sandbox_with(**{**GENERATED, "count": 10})
    monkeypatch.setenv("HH_API_URL", sandbox.url)
    monkeypatch.setenv("HH_API_KEY", KEY)
    window = ["--start", "2026-11-22", "--end", "2026-11-23"]
    return ["export", "--project", "demo", *window, "--quiet", "--output", str(tmp_path / "out")]


def test_a_small_export_to_a_local_folder_imports_nothing_that_it_does_not_need(small_export):
    loaded = set(json.loads(last_line_of(RUN, json.dumps(small_export))))
    assert "airflow_provider_honeyhive.export.exporter" in loaded
    assert not loaded & NOT_NEEDED.keys()


def test_the_garbage_collector_runs_in_an_export_but_not_while_it_imports(small_export):
    seen = json.loads(last_line_of(WATCH, json.dumps(small_export)))
    assert "None" in seen["importing"], "it does not run at all"
    package = "airflow_provider_honeyhive"
    # These come before, and some of the standard library later.
    others = {*seen["importing"]} - {package, f"{package}.cli", f"{package}.cli.collector"}
    assert not {name.partition(".")[0] for name in others} & {package, "pydantic", "requests", "urllib3", "msgspec"}
    assert seen["is_enabled"]
    assert seen["frozen"] > 10_000, "what was imported is searched again and again"


@pytest.mark.parametrize(("given", "kept"), [(None, "__all__"), ("some-plugin", "some-plugin")])
def test_no_plugin_of_pydantic_is_looked_for_unless_the_environment_says_which(given, kept, monkeypatch):
    monkeypatch.delenv("PYDANTIC_DISABLE_PLUGINS", raising=False)
    if given:
        monkeypatch.setenv("PYDANTIC_DISABLE_PLUGINS", given)
    program = "import os, airflow_provider_honeyhive.__main__; print(os.environ['PYDANTIC_DISABLE_PLUGINS'])"
    assert last_line_of(program) == kept
