"""Hugging Face's library loads datasets: by their card, and by the names of their files."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_honeyhive.models.window import format_time
from tests.unit.dataset.conftest import build, lines_of

if TYPE_CHECKING:
    from pathlib import Path

datasets = pytest.importorskip("datasets", reason="Hugging Face's library datasets is not installed here")


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


@pytest.fixture
def built(exported: Any, tmp_path: Path) -> Any:
    """Give a dataset whose tools and messages differ from row to row."""
    user = {"role": "user", "content": "Weather?\u2028\0"}
    call = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}}
    called = [user, {"role": "assistant", "content": None, "tool_calls": [call]}]
    result = {"role": "tool", "tool_call_id": "c", "content": "22"}
    tools = [
        [{"type": "function", "function": {"name": "weather", "parameters": {"properties": {"city": kind}}}}]
        for kind in ("text", {"type": "string"})
    ]
    conversations = [
        {"messages": [user]},
        {"messages": [*called, result], "tools": tools[0]},
        {"messages": [user], "tools": tools[1]},
        *({"messages": [{"role": "user", "content": f"{number}?"}]} for number in range(30)),
    ]
    events = [
        {
            "event_id": f"e{number}",
            "session_id": f"s{number}",
            "event_type": "model",
            "inputs": inputs,
            "outputs": {"role": "assistant", "content": "Sunny."},
            "metrics": {"rating": True, "Faithfulness": 4.5, "verdict": "good"} if number % 2 else {},
            "start_time": int(datetime(2026, 11, 22, 10, number, tzinfo=UTC).timestamp() * 1000),
        }
        for number, inputs in enumerate(conversations)
    ]
    return build(exported(events), tmp_path / "dataset", test_share=0.3)


def test_the_folder_loads_by_its_card(built: Any, tmp_path: Path) -> None:
    loaded = datasets.load_dataset(str(tmp_path / "dataset"), cache_dir=str(tmp_path / "cache"))
    assert_same(loaded, built)


def test_files_load_by_their_names(built: Any, tmp_path: Path) -> None:
    files = {split: built.file_urls(f"{split}_parquet") for split in ("train", "test")}
    loaded = datasets.load_dataset("parquet", data_files=files, cache_dir=str(tmp_path / "cache"))
    assert_same(loaded, built)


def test_json_lines_load_too(built: Any, tmp_path: Path) -> None:
    files = {split: built.file_urls(split) for split in ("train", "test")}
    loaded = datasets.load_dataset("json", data_files=files, cache_dir=str(tmp_path / "cache"))
    for split in files:
        for row, line in zip(loaded[split], lines_of(built, split), strict=True):
            assert row["event_id"] == line["event_id"]
            assert without_none(row["messages"]) == without_none(line["messages"])


def without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_none(each) for name, each in value.items() if each is not None}
    return [without_none(each) for each in value] if isinstance(value, list) else value


def assert_same(loaded: Any, built: Any) -> None:
    assert set(loaded) == {"train", "test"}
    for split in loaded:
        for row, line in zip(loaded[split], lines_of(built, split), strict=True):
            told = {
                **row,
                "start_time": format_time(row["start_time"]),
                "tools": row["tools"] and json.loads(row["tools"]),
            }
            assert without_none(told) == without_none(line)
