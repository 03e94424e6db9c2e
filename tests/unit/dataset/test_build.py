"""A dataset has the rows that a plain loop over the events finds, each once, in files that other libraries read."""

from __future__ import annotations

import json
import os
import time
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pandas as pd
import polars as pl
import pytest
from pyarrow import parquet as pq

from airflow_provider_honeyhive.builds import batches
from airflow_provider_honeyhive.builds.sources import export_sources
from airflow_provider_honeyhive.builds.stopping import BuildStop
from airflow_provider_honeyhive.conversations.reasons import Reason, Unreadable
from airflow_provider_honeyhive.dataset import files, reading, splits
from airflow_provider_honeyhive.exceptions import DestinationTakenError, ExportStoppedError, InvalidArgumentError
from airflow_provider_honeyhive.models.window import format_time, from_micros
from airflow_provider_honeyhive.sandbox.data.traces import generate_events
from tests.unit.builds import made
from tests.unit.dataset.conftest import DAY, build, lines_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_honeyhive.builds.sources import Sources

MEASURED = ("time_to_first_token_ms", "Number of words")


def usual_events(count: int = 400) -> list[dict[str, Any]]:
    return generate_events(count, seed=11, start=DAY.start, end=DAY.end)


# ----------------------------------------------------------------------------- the same by a plain, slow loop


def expected_rows(events: list[dict[str, Any]], sources: Sources) -> list[dict[str, Any]]:
    """Return the rows of model events as the sandbox makes them, in their order."""
    (source,) = sources.exports
    place = {event_id: at for at, event_id in enumerate(ids_in(source.manifest.file_urls))}
    roots = {event["event_id"]: event for event in events if event["event_type"] == "session"}
    found = []
    for event in sorted(events, key=lambda event: (event["start_time"], place[event["event_id"]])):
        if event["event_type"] == "model" and not event["error"]:
            content = event["outputs"]["content"]
            answer = content if isinstance(content, str) else content[0]["text"]
            scores = {**scores_of(roots.get(event["session_id"], {})), **scores_of(event)}
            found.append(
                {
                    "messages": [*event["inputs"]["chat_history"], {"role": "assistant", "content": answer}],
                    "event_id": event["event_id"],
                    "event_ids": [event["event_id"]],
                    "session_id": event["session_id"],
                    "model": event["config"].get("model") or event["metadata"]["model_name"],
                    "provider": event["config"].get("provider"),
                    "start_time": format_time(from_micros(event["start_time"] * 1000)),
                    "export": source.manifest.manifest_url,
                    "scores": [scores[name] for name in sorted(scores, key=str.encode)],
                }
            )
    return found


def scores_of(event: dict[str, Any]) -> dict[str, Any]:
    told = {"feedback": event.get("feedback", {}).get("rating")}
    told = {} if told["feedback"] is None else {"rating": told["feedback"]}
    told |= {name: each["score"] for name, each in event.get("evaluations", {}).items()}
    told |= {name: value for name, value in event.get("metrics", {}).items() if name not in MEASURED}
    return {
        name: {
            "name": name,
            "number": None if isinstance(value, bool) else float(value),
            "boolean": value if isinstance(value, bool) else None,
            "text": None,
        }
        for name, value in told.items()
        if not name.endswith("_explanation")
    }


def is_test(row: dict[str, Any], share: float) -> bool:
    return int(sha256(row["session_id"].encode()).hexdigest()[:16], 16) / 2**64 < share


def ids_in(paths: Iterable[str]) -> list[str]:
    return [
        event_id for path in paths for event_id in pq.read_table(path, columns=["event_id"])["event_id"].to_pylist()
    ]


# ------------------------------------------------------------------------------------------------- the rows


def test_rows_are_those_that_a_plain_loop_finds(exported: Any, tmp_path: Path) -> None:
    events = usual_events()
    sources = exported(events)
    manifest = build(sources, tmp_path / "dataset", test_share=0.25)
    wanted = expected_rows(events, sources)
    assert lines_of(manifest, "train") == [row for row in wanted if not is_test(row, 0.25)]
    assert lines_of(manifest, "test") == [row for row in wanted if is_test(row, 0.25)]
    models = [event for event in events if event["event_type"] == "model"]
    failed = sum(1 for event in models if event["error"])
    assert min(failed, len(lines_of(manifest, "test"))) > 0
    assert manifest.counts == {
        "model_calls": len(models),
        "candidates": len(models),
        "chosen": len(models),
        "rows": len(wanted),
        "train": len(lines_of(manifest, "train")),
        "test": len(lines_of(manifest, "test")),
        "duplicates": 0,
        "unreadable": failed,
        "unreadable_failed": failed,
    }
    manifest.verify()
    package = Path(splits.__file__).parents[1]
    texts = [path.read_bytes() for name in ("tables", "dataset") for path in sorted((package / name / "sql").iterdir())]
    assert manifest.settings == {
        "rows": "model_calls",
        "where": None,
        "test_share": 0.25,
        "sql_version": sha256(b"".join(texts)).hexdigest(),
    }


def test_the_last_call_of_each_session(exported: Any, tmp_path: Path) -> None:
    events = usual_events()
    sources = exported(events)
    manifest = build(sources, tmp_path / "dataset", rows="sessions")
    last: dict[str, dict[str, Any]] = {}
    for event in events:
        if event["event_type"] == "model":
            key = (event["end_time"], event["start_time"])
            known = last.get(event["session_id"])
            if known is None or key > (known["end_time"], known["start_time"]):
                last[event["session_id"]] = event
    wanted = [row for row in expected_rows(events, sources) if row["event_id"] == last[row["session_id"]]["event_id"]]
    assert by_id(lines_of(manifest)) == by_id(wanted)
    assert manifest.counts["candidates"] == len(last)
    # A session whose last call has failed has no row.
    assert manifest.counts["unreadable_failed"] == sum(1 for event in last.values() if event["error"]) > 0


def test_calls_without_a_session_are_each_the_last_of_their_own(exported: Any, tmp_path: Path) -> None:
    events = [
        call(1, "a", session_id=None),
        call(2, "b", session_id=""),
        call(3, "c", session_id="s"),
        call(4, "d", session_id="s"),
    ]
    manifest = build(exported(events), tmp_path / "dataset", rows="sessions")
    assert [(row["event_id"], row["session_id"]) for row in by_id(lines_of(manifest))] == [
        ("e1", None),
        ("e2", None),
        ("e4", "s"),
    ]


def by_id(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: row["event_id"])


def score(row: dict[str, Any], name: str) -> float | None:
    for each in row["scores"]:
        if each["name"] == name:
            return float(each["boolean"]) if each["number"] is None else each["number"]
    return None


#: A condition, and the same in Python over a row.
CONDITIONS = {
    "scores['Answer Faithfulness'] >= 4": lambda row: (score(row, "Answer Faithfulness") or 0) >= 4,
    "scores['rating'] = 1 -- thumbs up": lambda row: score(row, "rating") == 1,
    "scores['Goal Reached'] = 0 AND model LIKE 'gpt-%'": (
        lambda row: score(row, "Goal Reached") == 0 and row["model"].startswith("gpt-")
    ),
    "model = 'gpt-4o' OR provider = 'anthropic'": (
        lambda row: row["model"] == "gpt-4o" or row["provider"] == "anthropic"
    ),
    "metadata->>'$.operation_name' = 'chat'": lambda row: row["provider"] is None,
    "session_id IN (SELECT session_id FROM scores WHERE name = 'Goal Reached')": (
        lambda row: score(row, "Goal Reached") is not None
    ),
    "input_tokens > 1e9": lambda row: False,
}


def test_a_condition_chooses(exported: Any, tmp_path: Path) -> None:
    events = usual_events()
    sources = exported(events)
    wanted = expected_rows(events, sources)
    for where, condition in CONDITIONS.items():
        manifest = build(sources, tmp_path / "dataset", where=where)
        assert by_id(lines_of(manifest)) == by_id([row for row in wanted if condition(row)]), where
        assert manifest.settings["where"] == where
    assert lines_of(manifest) == []
    # Nothing of the builds before is left.
    names = {path.name for path in (tmp_path / "dataset").rglob("*") if path.is_file() and path.name[0] != "."}
    assert names == {"README.md", "_dataset.json"}


# ------------------------------------------------------------------------------------- what ends up in a row


def call(number: int, question: str = "Why?", **fields: Any) -> dict[str, Any]:
    """Return a model event, later than those of smaller numbers."""
    return {
        "event_id": f"e{number}",
        "session_id": f"s{number}",
        "event_type": "model",
        "inputs": {"chat_history": [{"role": "user", "content": question}]},
        "outputs": {"role": "assistant", "content": "Because."},
        "start_time": int((DAY.start + timedelta(seconds=number)).timestamp() * 1000),
        **fields,
    }


def test_a_conversation_in_three_sessions_is_one_row_of_the_first(exported: Any, tmp_path: Path) -> None:
    tools = {"tools": [{"type": "function", "function": {"name": "f"}}]}
    events = [call(number) for number in (3, 1, 2)] + [call(4, config=tools), call(5, "Who?")]
    for share in (0, 0.5, 1):
        manifest = build(exported(events, f"export {share}"), tmp_path / str(share), test_share=share)
        rows = by_id(lines_of(manifest))
        assert [(row["event_id"], row["event_ids"]) for row in rows] == [
            ("e1", ["e1", "e2", "e3"]),
            ("e4", ["e4"]),
            ("e5", ["e5"]),
        ]
        assert manifest.counts["duplicates"] == 2
        for row in rows:
            assert (row in lines_of(manifest, "test")) == is_test(row, share)


def test_the_same_exports_give_the_same_bytes(exported: Any, tmp_path: Path) -> None:
    sources = exported(usual_events())
    first, second = (
        build(sources, tmp_path / name, where="scores['rating'] IS NULL", memory_limit=limit)
        for name, limit in (("a", "1GB"), ("b", "200MB"))
    )
    assert [file.sha256 for file in first.files] == [file.sha256 for file in second.files]


ODD_TEXTS = {
    "line ends": "a\u2028b\u2029c\x85d\r\ne",
    "NUL": "a\0b",
    "beyond the first plane": "😀 \U0010ffff",
    "JSON": '[{"role": "user"}]"\\',
    "of two megabytes": "Wörter " * 300_000,
}


def test_odd_texts_stay_as_they_are(exported: Any, tmp_path: Path) -> None:
    events: list[Any] = [call(number, text) for number, text in enumerate(ODD_TEXTS.values())]
    half = json.dumps(call(99, "HALF")).replace("HALF", "\\ud83d").encode()
    manifest = build(exported([*events, half]), tmp_path / "dataset", test_share=0)
    wanted = [*ODD_TEXTS.values(), "\ufffd"]
    assert [row["messages"][0]["content"] for row in lines_of(manifest)] == wanted
    (path,) = manifest.file_urls("train_parquet")
    assert [row[0]["content"] for row in pq.read_table(path)["messages"].to_pylist()] == wanted
    # Whoever splits a text at all that Unicode calls the end of a line finds the same lines.
    (path,) = manifest.file_urls("train")
    assert len(Path(path).read_bytes().decode().splitlines()) == len(wanted)


def test_what_cannot_be_read_is_listed_with_its_reason(exported: Any, tmp_path: Path) -> None:
    events = [
        call(1, error="boom"),
        call(2, inputs={}),
        call(3, outputs=None),
        call(4, inputs={"question": "Why?", "context": "secret"}),
        call(5),
        {**call(6), "event_id": None},
        call(7, inputs="not JSON at all", event_type="tool"),
    ]
    manifest = build(exported(events), tmp_path / "dataset")
    listed = lines_of(manifest, "unreadable")
    assert [(event["event_id"], event["session_id"], event["reason"]) for event in listed] == [
        ("e1", "s1", "failed"),
        ("e2", "s2", "no_input"),
        ("e3", "s3", "no_output"),
        ("e4", "s4", "unknown_shape"),
        (None, "s6", "no_event_id"),
    ]
    assert {name: number for name, number in manifest.counts.items() if name.startswith("unreadable")} == {
        "unreadable": 5,
        "unreadable_failed": 1,
        "unreadable_no_event_id": 1,
        "unreadable_no_input": 1,
        "unreadable_no_output": 1,
        "unreadable_unknown_shape": 1,
    }
    assert "secret" not in (tmp_path / "dataset" / "README.md").read_text()


def test_scores_of_a_call_count_more_than_those_of_its_root(exported: Any, tmp_path: Path) -> None:
    root = {
        "event_id": "s1",
        "session_id": "s1",
        "event_type": "session",
        "metrics": {"a": 1, "b": True, "c": "good", "d": 3},
        "evaluations": {"d": 4, "e": 5},
        "feedback": {"e": 6, "rating": False},
        "start_time": int(DAY.start.timestamp() * 1000),
    }
    events = [root, call(1, metrics={"a": 2, "c": "bad"}), call(2, "Who?", session_id="s1"), call(3, "How?")]
    sources = exported(events)
    rows = {row["event_id"]: row for row in lines_of(build(sources, tmp_path / "dataset"))}

    def told(event_id: str) -> dict[str, Any]:
        return {
            each["name"]: next(value for name, value in each.items() if name != "name" and value is not None)
            for each in rows[event_id]["scores"]
        }

    assert told("e1") == {"a": 2, "b": True, "c": "bad", "d": 3, "e": 5, "rating": False}
    assert told("e2") == {"a": 1, "b": True, "c": "good", "d": 3, "e": 5, "rating": False}
    assert told("e3") == {}
    for where, ids in {
        "scores['a'] = 2": ["e1"],
        "scores['b'] = 1 AND scores['rating'] = 0": ["e1", "e2"],
        "score_texts['c'] = 'good'": ["e2"],
        "scores['c'] IS NOT NULL OR score_texts['a'] IS NOT NULL": [],
        "cardinality(scores) = 0": ["e3"],
        "cardinality(score_texts) = 1 AND cardinality(scores) = 5": ["e1", "e2"],
    }.items():
        assert [row["event_id"] for row in by_id(lines_of(build(sources, tmp_path / "dataset", where=where)))] == ids


def test_a_root_need_not_have_the_id_of_its_session(exported: Any, tmp_path: Path) -> None:
    # As where its session's id is hashed: then it is the one that the table ``sessions`` takes.
    root = {
        "session_id": "s1",
        "event_type": "session",
        "metrics": {"a": 5, "took_ms": 7},
        "start_time": call(1)["start_time"],
    }
    for number, more in enumerate(({"event_id": "another"}, {})):
        sources = exported([{**root, **more}, call(1), call(2, "Who?")], f"export{number}")
        rows = lines_of(build(sources, tmp_path / f"dataset{number}", where="scores['a'] = 5"))
        assert [(row["event_id"], [score["name"] for score in row["scores"]]) for row in rows] == [("e1", ["a"])]


# ------------------------------------------------------------------------------------------------- the files


def test_rows_go_on_in_the_next_file(exported: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "BATCH_ROWS", 2)
    monkeypatch.setattr(files, "SLICE_BYTES", 7_000)
    monkeypatch.setattr(splits, "GROUP_BYTES", 1_000)
    monkeypatch.setattr(splits, "FILE_BYTES", 20_000)
    events = usual_events(100)
    sources = exported(events)
    manifest = build(sources, tmp_path / "dataset", test_share=0)
    assert lines_of(manifest) == expected_rows(events, sources)
    lines, columns = manifest.file_urls("train"), manifest.file_urls("train_parquet")
    assert len(lines) == len(columns) > 2
    for text, table in zip(lines, columns, strict=True):
        assert [json.loads(line)["event_id"] for line in Path(text).read_bytes().splitlines()] == ids_in([table])
    assert [path.split("/")[-1][:11] for path in (*lines[:2], *columns[:2])] == [
        "lines-00000",
        "lines-00001",
        "part-00000-",
        "part-00001-",
    ]


def test_other_libraries_read_the_files(exported: Any, tmp_path: Path) -> None:
    manifest = build(exported(usual_events(200)), tmp_path / "dataset", test_share=0)
    wanted = lines_of(manifest)
    (lines,), (columns,) = manifest.file_urls("train"), manifest.file_urls("train_parquet")
    ids = [row["event_id"] for row in wanted]
    first = [message["content"] for message in wanted[0]["messages"]]
    for frame in (pd.read_json(lines, lines=True), pd.read_parquet(columns)):
        assert list(frame["event_id"]) == ids
        assert [message["content"] for message in frame["messages"][0]] == first
    for table in (pl.read_ndjson(lines, infer_schema_length=None), pl.read_parquet(columns)):
        assert table["event_id"].to_list() == ids
        assert [message["content"] for message in table["messages"][0]] == first
    for read in ("read_json", "read_parquet"):
        found = duckdb.sql(
            f"SELECT event_id::VARCHAR, messages[-1].role FROM {read}('{lines if read == 'read_json' else columns}')"
        )
        assert found.fetchall() == [(event_id, "assistant") for event_id in ids]


def test_the_card_says_what_is_in_it(exported: Any, tmp_path: Path) -> None:
    where = "scores['rating'] = 1 -- `|"
    sources = exported(usual_events())
    manifest = build(sources, tmp_path / "dataset", where=where, test_share=0.3)
    card = (tmp_path / "dataset" / "README.md").read_text()
    for said in (where, "30 %", manifest.sources[0].manifest_sha256, f"| rows | {manifest.counts['rows']} |"):
        assert said in card
    for file in manifest.files:
        assert file.name == "card" or file.sha256 in card
    assert card.startswith("---\nconfigs:\n")


# ---------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("rows", "events"),
        ("where", " "),
        ("where", 5),
        ("where", "model = '\ud83d'"),
        ("test_share", 1.1),
        ("test_share", "x"),
        ("test_share", True),
    ],
)
def test_an_argument_that_cannot_be_right(exported: Any, tmp_path: Path, argument: str, value: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=f"^{argument}: "):
        build(exported([call(1)]), tmp_path / "dataset", **{argument: value})
    assert not (tmp_path / "dataset").exists()


def test_no_column_comes_from_the_name_of_the_temporary_folder(exported: Any, tmp_path: Path) -> None:
    folder = tmp_path / "event_id=1" / "place=2"
    folder.mkdir(parents=True)
    assert len(lines_of(build(exported([call(1)]), tmp_path / "dataset", temp_folder=folder))) == 1


def test_a_project_and_a_folder_may_be_called_anything(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    text = {"inputs": {"question": "what"}, "outputs": {"role": "assistant", "content": "that"}}
    sources = export_sources(made.make_export(folder, [made.event("a", event_type="model", **text)], project="\ud800"))
    dataset = build(sources, tmp_path / "dataset")
    assert [row["export"] for row in lines_of(dataset)] == [f"{tmp_path}/?/_manifest.json"]
    assert "# Conversations of `?`" in (tmp_path / "dataset" / "README.md").read_text("utf-8")


def test_exports_without_content_have_nothing_to_train_on(exported: Any, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="export again with include_content=True"):
        build(exported([call(1)], include_content=False), tmp_path / "dataset")


def test_a_build_can_be_stopped_while_it_reads(exported: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = BuildStop()

    def read(*args: Any, **fields: Any) -> Any:
        stop.stop()
        time.sleep(0.01)
        return Unreadable(Reason.FAILED)

    monkeypatch.setattr(reading, "read_conversation", read)
    monkeypatch.setattr(batches, "BATCH_ROWS", 1)
    with pytest.raises(ExportStoppedError):
        build(exported(usual_events()), tmp_path / "dataset", stop=stop)
    assert not (tmp_path / "dataset" / "_dataset.json").exists()


def test_a_place_that_holds_an_export_is_left_alone(exported: Any, tmp_path: Path) -> None:
    with pytest.raises(DestinationTakenError):
        build(exported([call(1)]), tmp_path / "export")


def test_no_copies_of_long_texts_as_statistics(exported: Any, tmp_path: Path) -> None:
    manifest = build(exported([call(1)]), tmp_path / "dataset", test_share=0)
    group = pq.read_metadata(manifest.file_urls("train_parquet")[0]).row_group(0)
    told = {group.column(n).path_in_schema for n in range(group.num_columns) if group.column(n).statistics is not None}
    assert told == {"event_id", "session_id", "model", "provider", "start_time", "export"}
