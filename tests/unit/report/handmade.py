"""Tables written by hand, as a build of tables has them, so that what a report should say is easy to see."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_honeyhive.build_manifest import BuildManifest, SourceFacts
from airflow_provider_honeyhive.builds.publication import LocalFile, claim_build
from airflow_provider_honeyhive.tables.columns import TABLES, Type

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

START = datetime(2026, 3, 10, tzinfo=UTC)
END = START + timedelta(days=1)
WINDOW = (START.isoformat(), END.isoformat())
HOUR = timedelta(hours=1)

_KINDS = {
    Type.TEXT: pa.string(),
    Type.TEXTS: pa.list_(pa.string()),
    Type.WHOLE: pa.int64(),
    Type.SMALL: pa.int32(),
    Type.NUMBER: pa.float64(),
    Type.YES_NO: pa.bool_(),
    Type.TIME: pa.timestamp("us", "UTC"),
    Type.SCORES: pa.list_(
        pa.struct({"name": pa.string(), "number": pa.float64(), "boolean": pa.bool_(), "text": pa.string()})
    ),
}


def event(event_id: str = "e", **columns: Any) -> dict[str, Any]:
    """Return a row of ``events``: that of a model call, unless it is said otherwise."""
    return {
        "event_id": event_id,
        "session_id": "s",
        "project_id": "p",
        "event_type": "model",
        "event_name": "chat",
        "start_time": START,
        "counts_tokens": columns.get("total_tokens") is not None,
        "counts_cost": columns.get("cost") is not None,
        "failed": False,
        **columns,
    }


def score(name: str, value: Any, **columns: Any) -> dict[str, Any]:
    """Return a row of ``scores``."""
    kind = {bool: "boolean", str: "text"}.get(type(value), "number")
    return {
        "event_id": "e",
        "session_id": "s",
        "event_type": "model",
        "event_name": "chat",
        "start_time": START,
        "source": "metrics",
        "name": name,
        kind: value,
        **columns,
    }


def session(session_id: str = "s", **columns: Any) -> dict[str, Any]:
    """Return a row of ``sessions``."""
    counts = dict.fromkeys(("event_count", "model_count", "tool_count", "chain_count", "error_count"), 0)
    return {"session_id": session_id, "start_time": START, **counts, **columns}


def tables_of(
    events: Iterable[dict[str, Any]] = (),
    scores: Iterable[dict[str, Any]] = (),
    sessions: Iterable[dict[str, Any]] | None = None,
    edges: Iterable[dict[str, Any]] = (),
) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of all tables; model calls are the events of that type, sessions those that events name."""
    events = list(events)
    calls = [{**one, "latency_ms": one.get("duration_ms")} for one in events if one["event_type"] == "model"]
    if sessions is None:
        sessions = [session(one) for one in dict.fromkeys(one["session_id"] for one in events) if one]
    return {
        "events": events,
        "sessions": list(sessions),
        "model_calls": calls,
        "scores": list(scores),
        "edges": list(edges),
    }


def arrow_table(name: str, rows: list[dict[str, Any]]) -> pa.Table:
    """Return the rows of a table with all of its columns."""
    return pa.Table.from_pylist(rows, pa.schema([(column.name, _KINDS[column.type]) for column in TABLES[name]]))


def connect(tables: dict[str, list[dict[str, Any]]]) -> duckdb.DuckDBPyConnection:
    """Return a database that has the tables."""
    connection = duckdb.connect()
    for name, rows in tables.items():
        connection.from_arrow(arrow_table(name, rows)).create(name)
    return connection


def publish(
    folder: Any,
    tables: dict[str, list[dict[str, Any]]],
    window: tuple[str | None, str | None] = WINDOW,
    scratch: Path | None = None,
    **facts: Any,
) -> BuildManifest:
    """Publish the tables as a build of one export does.

    :param folder: of the build, path-like.
    :param scratch: a folder for what is made on the way; None: the one that the build's is in.
    :param facts: of its claim.
    """
    files = []
    for name, rows in tables.items():
        path = (scratch or folder.parent) / f"{name}.parquet"
        pq.write_table(arrow_table(name, rows), path)
        files.append(LocalFile(path, name, folder=name, row_count=len(rows)))
    source = SourceFacts(
        manifest_path="/data/2026-03-10/_manifest.json",
        manifest_sha256="0" * 64,
        event_count=len(tables["events"]),
        finished_at="2026-03-11T00:05:00.000Z",
    )
    about = {"project": "demo", "start_time": window[0], "end_time": window[1], **facts}
    return claim_build(folder, "tables", **about).publish(files, sources=[source], settings={}, counts={})


def ordinary_day(count: int = 600, seed: int = 1) -> dict[str, list[dict[str, Any]]]:
    """Return the tables of a day as it may be: agents carry the sums of calls below them, which do not count."""
    chance = Random(seed)
    events: list[dict[str, Any]] = []
    for number in range(count):
        kind = chance.choice(["model", "model", "tool", "chain", "session"])
        says_tokens, says_cost = chance.random() < 0.8, chance.random() < 0.7
        tokens = [chance.randrange(10, 900), chance.randrange(1, 200)] if says_tokens else [None, None]
        # Of calls, too, there are some with other ones below them.
        counts = kind in {"model", "tool"} and chance.random() < 0.9
        events.append(
            event(
                f"event-{number:04d}",
                session_id=f"session-{number // 7:03d}",
                event_type=kind,
                event_name=chance.choice(["answer", "search", "plan"]),
                start_time=START + timedelta(milliseconds=chance.randrange(86_400_000)),
                duration_ms=chance.choice([None, *(chance.expovariate(1 / 900) for _ in range(9))]),
                model=chance.choice(["gpt-4o", "claude", "mistral", None]) if kind == "model" else None,
                provider=chance.choice(["openai", "azure"]) if kind == "model" else None,
                input_tokens=tokens[0],
                output_tokens=tokens[1],
                total_tokens=sum(tokens) if says_tokens else None,
                cost=chance.random() / 100 if says_cost else None,
                counts_tokens=counts and says_tokens,
                counts_cost=counts and says_cost,
                failed=chance.random() < 0.1,
            )
        )
    scores = []
    for one in chance.choices(events, k=count):
        where = {name: one[name] for name in ("event_id", "session_id", "event_type", "event_name", "start_time")}
        name, value = chance.choice(
            [("faithfulness", chance.random()), ("words", chance.randrange(100)), ("polite", chance.random() < 0.8)]
        )
        scores.append(score(name, value, **where, source=chance.choice(["metrics", "evaluations"])))
        if chance.random() < 0.2:
            scores.append(score("rating", chance.randrange(1, 6), **where, source="feedback"))
            scores.append(score("comment", "whisper", **where, source="feedback"))
    tables = tables_of(events, scores, [])
    for call in tables["model_calls"]:
        call["time_to_first_token_ms"] = chance.choice([None, chance.uniform(50, 400)])
    for name in dict.fromkeys(one["session_id"] for one in events):
        tables["sessions"].append(
            session(
                name,
                source="production",
                start_time=START + timedelta(seconds=chance.randrange(86_400)),
                duration_ms=chance.uniform(0, 90_000),
                event_count=chance.randrange(1, 30),
                model_count=chance.randrange(9),
                error_count=chance.choice([0, 0, 1, 2]),
                total_tokens=chance.choice([None, chance.randrange(5_000)]),
                cost=chance.choice([None, chance.random()]),
                first_question="whisper",
                last_answer="whisper",
            )
        )
    tables["edges"] = [
        {"event_id": one["event_id"], "kind": chance.choice(["root", "child", "child", "orphan", "cycle"])}
        for one in events
    ]
    return tables
