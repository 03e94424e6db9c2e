"""The tables as data: their columns and types; which names in ``metrics`` are measurements."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Type(StrEnum):
    """The type of a column, as DuckDB calls it."""

    TEXT = "VARCHAR"
    TEXTS = "VARCHAR[]"
    WHOLE = "BIGINT"
    SMALL = "INTEGER"
    NUMBER = "DOUBLE"
    YES_NO = "BOOLEAN"
    #: In UTC, to the microsecond.
    TIME = "TIMESTAMP WITH TIME ZONE"
    SCORES = "STRUCT(name VARCHAR, number DOUBLE, boolean BOOLEAN, text VARCHAR)[]"


class Column(NamedTuple):
    """A column of a table."""

    name: str
    type: Type


def _columns(kind: Type, *names: str) -> tuple[Column, ...]:
    return tuple(Column(name, kind) for name in names)


#: The columns of each table, in order.
TABLES: dict[str, tuple[Column, ...]] = {
    "events": (
        *_columns(
            Type.TEXT,
            "event_id",
            "session_id",
            "parent_id",
            "project",
            "project_id",
            "source",
            "event_type",
            "event_name",
        ),
        *_columns(Type.TIME, "start_time", "end_time"),
        *_columns(Type.NUMBER, "duration_ms"),
        *_columns(Type.YES_NO, "failed"),
        *_columns(Type.TEXT, "error", "operation", "model", "provider"),
        *_columns(Type.WHOLE, "input_tokens", "output_tokens", "total_tokens"),
        *_columns(Type.NUMBER, "cost"),
        *_columns(Type.YES_NO, "counts_tokens", "counts_cost"),
        *_columns(Type.TEXT, "user_id", "trace_id", "span_id"),
        *_columns(Type.SMALL, "export_number"),
    ),
    "sessions": (
        *_columns(Type.TEXT, "session_id", "project", "project_id", "source", "user_id"),
        *_columns(Type.TIME, "start_time", "end_time"),
        *_columns(Type.NUMBER, "duration_ms"),
        *_columns(Type.YES_NO, "has_root"),
        *_columns(
            Type.WHOLE,
            "event_count",
            "model_count",
            "tool_count",
            "chain_count",
            "error_count",
            "input_tokens",
            "output_tokens",
            "total_tokens",
        ),
        *_columns(Type.NUMBER, "cost"),
        *_columns(Type.TEXTS, "models"),
        *_columns(Type.TEXT, "first_question", "last_answer"),
        *_columns(Type.SCORES, "scores"),
    ),
    "model_calls": (
        *_columns(Type.TEXT, "event_id", "session_id", "parent_id", "project_id", "source", "event_name"),
        *_columns(Type.TIME, "start_time", "end_time"),
        *_columns(Type.TEXT, "model", "provider", "operation"),
        *_columns(Type.WHOLE, "input_tokens", "output_tokens", "total_tokens"),
        *_columns(Type.NUMBER, "cost"),
        *_columns(Type.YES_NO, "counts_tokens", "counts_cost"),
        *_columns(
            Type.NUMBER,
            "latency_ms",
            "time_to_first_token_ms",
            "temperature",
            "top_p",
            "max_tokens",
            "presence_penalty",
            "frequency_penalty",
        ),
        *_columns(Type.TEXT, "finish_reason"),
        *_columns(Type.YES_NO, "failed"),
        *_columns(Type.TEXT, "error", "user_id", "trace_id", "span_id"),
    ),
    "scores": (
        *_columns(Type.TEXT, "event_id", "session_id", "event_type", "event_name"),
        *_columns(Type.TIME, "start_time"),
        *_columns(Type.TEXT, "source", "name"),
        *_columns(Type.NUMBER, "number"),
        *_columns(Type.YES_NO, "boolean"),
        *_columns(Type.TEXT, "text", "explanation"),
        *_columns(Type.TIME, "scored_at"),
    ),
    "measurements": (
        *_columns(Type.TEXT, "event_id", "session_id", "event_type", "event_name"),
        *_columns(Type.TIME, "start_time"),
        *_columns(Type.TEXT, "name"),
        *_columns(Type.NUMBER, "number"),
    ),
    "edges": (
        *_columns(Type.TEXT, "event_id", "parent_id", "session_id"),
        *_columns(Type.SMALL, "depth"),
        *_columns(Type.TEXT, "kind"),
    ),
}

#: Names in ``metrics`` that are no scores; ``*`` stands for anything, small and capital letters are the same.
MEASUREMENTS = (
    "*_ms",
    "Number of words",
    "Number of characters",
    "Number of sentences",
    "Number of tokens",
    "num_words",
    "num_characters",
    "num_sentences",
    "num_tokens",
    "word_count",
    "character_count",
    "char_count",
    "sentence_count",
    "token_count",
)
