"""The page about datasets says which files and reasons there are, and its snippets work."""

from __future__ import annotations

import inspect
import json
import re
import shutil
import subprocess
from fnmatch import fnmatch
from typing import TYPE_CHECKING

import pytest

from airflow_provider_honeyhive.api.client import HoneyHiveClient
from airflow_provider_honeyhive.api.settings import ClientSettings
from airflow_provider_honeyhive.builds.database import open_events
from airflow_provider_honeyhive.builds.sources import export_sources
from airflow_provider_honeyhive.conversations.reasons import Reason
from airflow_provider_honeyhive.dataset.build import build_dataset
from airflow_provider_honeyhive.dataset.candidates import choose, create_candidates
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.models.request import ExportRequest
from airflow_provider_honeyhive.models.window import Window
from airflow_provider_honeyhive.tables.build import create_tables

from .documents import DAY, DAY_END, PROJECT, Document, code, codes

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_honeyhive.builds.sources import Sources
    from airflow_provider_honeyhive.sandbox import Sandbox

PAGE = Document("docs/dataset.md")


@pytest.fixture
def sources(sandbox: Sandbox, tmp_path: Path) -> Sources:
    with HoneyHiveClient(ClientSettings.parse(api_key=sandbox.key, api_url=sandbox.url)) as client:
        request = ExportRequest.parse(project=PROJECT, window=Window(DAY, DAY_END))
        return export_sources(export_events(client, request, tmp_path / "export"))


def test_every_reason_has_its_row():
    assert [code(row[0]) for row in PAGE.table("Reason")] == ["failed", "no_event_id", *list(Reason)[1:]]


def test_columns_and_condition_are_those_of_candidates(sources):
    (where,) = re.findall(r'where="(.*)"', PAGE.the("python"))
    told = [name for row in PAGE.table("Column") for name in codes(row[0])]
    with open_events(sources) as connection:
        create_tables(connection, only=("model_calls", "scores", "roots"))
        create_candidates(connection, last_of_session=False)
        names = [row[0] for row in connection.execute("DESCRIBE candidates").fetchall()]
        assert names[-len(told) :] == told
        choose(connection, where)


def test_files_rows_and_defaults_are_as_the_page_says(sources, tmp_path):
    manifest = build_dataset(sources, tmp_path / "dataset", test_share=0.3)
    patterns = [name.replace("…", "*") for row in PAGE.table("File") for name in codes(row[0])]
    for file in manifest.files:
        assert any(fnmatch(file.path, pattern) for pattern in patterns)
    assert all(any(fnmatch(file.path, pattern) for file in manifest.files) for pattern in patterns)
    (path,) = manifest.file_urls("test")
    with open(path, "rb") as file:
        row = json.loads(file.readline())
    told = codes(PAGE.text[PAGE.text.index("Each row has") :].partition(". ")[0])
    assert [name for name in told if name != "tools"] == list(row)
    (path,) = manifest.file_urls("unreadable")
    with open(path, "rb") as file:
        assert list(json.loads(file.readline())) == ["event_id", "session_id", "reason"]
    default = inspect.signature(build_dataset).parameters["test_share"].default
    assert f"`test_share` (default {default})" in PAGE.text


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed here")
def test_the_command_leaves_what_openai_takes(sources, tmp_path):
    build_dataset(sources, tmp_path / "dataset", test_share=0)
    subprocess.run(["/bin/bash", "-c", PAGE.the("bash")], cwd=tmp_path / "dataset", check=True)
    lines = (tmp_path / "dataset" / "openai.jsonl").read_bytes().splitlines()
    assert {tuple(json.loads(line)) for line in lines} == {("messages",)}
