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

#: What a small export to a local folder does not need, and why it would be there.
NOT_NEEDED = {
    "asyncio": "only object stores run anything in it",
    "multiprocessing": "threads are enough",
    "http.server": "only the sandbox serves",
    "pyarrow": "only for Parquet",
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
    "airflow_provider_honeyhive.export.catalog": "nothing is looked for in other exports",
    "airflow_provider_honeyhive.export.extract_sessions": "no whole sessions are asked for",
    "airflow_provider_honeyhive.export.lookback": "no earlier window is read again",
    "airflow_provider_honeyhive.formats.parquet": "only for Parquet",
}


def test_a_small_export_to_a_local_folder_imports_nothing_that_it_does_not_need(sandbox_with, tmp_path, monkeypatch):
    sandbox = sandbox_with(**{**GENERATED, "count": 10})
    monkeypatch.setenv("HH_API_URL", sandbox.url)
    monkeypatch.setenv("HH_API_KEY", KEY)
    command = ["export", "--project", "demo", "--start", "2026-11-22", "--end", "2026-11-23", "--quiet"]
    loaded = set(json.loads(last_line_of(RUN, json.dumps([*command, "--output", str(tmp_path / "out")]))))
    assert "airflow_provider_honeyhive.export.exporter" in loaded
    assert not loaded & NOT_NEEDED.keys()


@pytest.mark.parametrize(("given", "kept"), [(None, "__all__"), ("some-plugin", "some-plugin")])
def test_no_plugin_of_pydantic_is_looked_for_unless_the_environment_says_which(given, kept, monkeypatch):
    monkeypatch.delenv("PYDANTIC_DISABLE_PLUGINS", raising=False)
    if given:
        monkeypatch.setenv("PYDANTIC_DISABLE_PLUGINS", given)
    program = "import os, airflow_provider_honeyhive.__main__; print(os.environ['PYDANTIC_DISABLE_PLUGINS'])"
    assert last_line_of(program) == kept
