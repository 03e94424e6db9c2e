"""What is in each table, as data: its columns, their types, and what they hold."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Type(StrEnum):
    """The type of a column, as DuckDB calls it."""

    TEXT = "VARCHAR"
    TEXTS = "VARCHAR[]"
    WHOLE = "BIGINT"
    SMALL = "INTEGER"
    NUMBER = "DOUBLE"
    YES_NO = "BOOLEAN"
    #: To the microsecond, in UTC.
    TIME = "TIMESTAMP WITH TIME ZONE"
    SCORES = 'STRUCT("name" VARCHAR, number DOUBLE, "boolean" BOOLEAN, "text" VARCHAR)[]'


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    :param name: its name.
    :param type: what it holds.
    :param meaning: for its documentation.
    """

    name: str
    type: Type
    meaning: str


_FAILED = Column("failed", Type.YES_NO, "`error` is not null, false or empty")
_COUNTS = (
    Column("counts_tokens", Type.YES_NO, "sums of tokens include this row, see below"),
    Column("counts_cost", Type.YES_NO, "the same for `cost`"),
)
_TOKENS = (
    Column("input_tokens", Type.WHOLE, "`input_tokens`, `prompt_tokens`"),
    Column("output_tokens", Type.WHOLE, "`output_tokens`, `completion_tokens`"),
    Column("total_tokens", Type.WHOLE, "`total_tokens`, or the sum"),
)
_COST = Column("cost", Type.NUMBER, "US dollars: `cost`, `total_cost`")
_USER = Column("user_id", Type.TEXT, "`user_properties.user_id`, `user`, `id` or `email`, or `metadata.user_id`")
_SPAN = (Column("trace_id", Type.TEXT, ""), Column("span_id", Type.TEXT, ""))
_SCORED = (
    Column("event_id", Type.TEXT, "the event it is about"),
    Column("session_id", Type.TEXT, "its session"),
    Column("event_type", Type.TEXT, ""),
    Column("event_name", Type.TEXT, ""),
    Column("start_time", Type.TIME, "of the event"),
)

#: The columns of each table, in order.
TABLES: dict[str, tuple[Column, ...]] = {
    "events": (
        Column("event_id", Type.TEXT, ""),
        Column("session_id", Type.TEXT, ""),
        Column("parent_id", Type.TEXT, ""),
        Column("project", Type.TEXT, ""),
        Column("project_id", Type.TEXT, ""),
        Column("source", Type.TEXT, ""),
        Column("event_type", Type.TEXT, ""),
        Column("event_name", Type.TEXT, ""),
        Column("start_time", Type.TIME, ""),
        Column("end_time", Type.TIME, ""),
        Column("duration_ms", Type.NUMBER, "`duration`, or from start to end"),
        _FAILED,
        Column("error", Type.TEXT, "its text"),
        Column("operation", Type.TEXT, "`operation_name`, `gen_ai.operation.name`"),
        Column("model", Type.TEXT, "`config.model`, `model_name`, `gen_ai.response.model`"),
        Column("provider", Type.TEXT, "`config.provider`, `gen_ai.provider.name`"),
        *_TOKENS,
        _COST,
        *_COUNTS,
        _USER,
        *_SPAN,
        Column("export_number", Type.SMALL, "index in the manifest's `sources`"),
    ),
    "sessions": (
        Column("session_id", Type.TEXT, ""),
        Column("project", Type.TEXT, ""),
        Column("project_id", Type.TEXT, ""),
        Column("source", Type.TEXT, ""),
        Column("user_id", Type.TEXT, "of the root, else the least of its events"),
        Column("start_time", Type.TIME, "of its first event"),
        Column("end_time", Type.TIME, "when its last event ended"),
        Column("duration_ms", Type.NUMBER, "from start to end"),
        Column("has_root", Type.YES_NO, "its root is among the events"),
        Column("event_count", Type.WHOLE, ""),
        Column("model_count", Type.WHOLE, ""),
        Column("tool_count", Type.WHOLE, ""),
        Column("chain_count", Type.WHOLE, ""),
        Column("error_count", Type.WHOLE, "events that failed"),
        Column("input_tokens", Type.WHOLE, ""),
        Column("output_tokens", Type.WHOLE, ""),
        Column("total_tokens", Type.WHOLE, ""),
        Column("cost", Type.NUMBER, ""),
        Column("models", Type.TEXTS, "sorted"),
        Column("first_question", Type.TEXT, "of the root, else of the first event that has one"),
        Column("last_answer", Type.TEXT, "of the root, else of the last event that has one"),
        Column("scores", Type.SCORES, "of the root, by name"),
    ),
    "model_calls": (
        Column("event_id", Type.TEXT, ""),
        Column("session_id", Type.TEXT, ""),
        Column("parent_id", Type.TEXT, ""),
        Column("project_id", Type.TEXT, ""),
        Column("source", Type.TEXT, ""),
        Column("event_name", Type.TEXT, ""),
        Column("start_time", Type.TIME, ""),
        Column("end_time", Type.TIME, ""),
        Column("model", Type.TEXT, ""),
        Column("provider", Type.TEXT, ""),
        Column("operation", Type.TEXT, ""),
        *_TOKENS,
        _COST,
        *_COUNTS,
        Column("latency_ms", Type.NUMBER, "`duration_ms` of `events`"),
        Column("time_to_first_token_ms", Type.NUMBER, "in `metrics`, else in `metadata`"),
        Column("temperature", Type.NUMBER, ""),
        Column("top_p", Type.NUMBER, ""),
        Column("max_tokens", Type.NUMBER, ""),
        Column("presence_penalty", Type.NUMBER, ""),
        Column("frequency_penalty", Type.NUMBER, ""),
        Column("finish_reason", Type.TEXT, ""),
        _FAILED,
        Column("error", Type.TEXT, ""),
        Column("user_id", Type.TEXT, ""),
        *_SPAN,
    ),
    "scores": (
        *_SCORED,
        Column("source", Type.TEXT, "`metrics`, `evaluations` or `feedback`"),
        Column("name", Type.TEXT, ""),
        Column("number", Type.NUMBER, ""),
        Column("boolean", Type.YES_NO, ""),
        Column("text", Type.TEXT, ""),
        Column("explanation", Type.TEXT, ""),
        Column("scored_at", Type.TIME, ""),
    ),
    "measurements": (
        *_SCORED,
        Column("name", Type.TEXT, ""),
        Column("number", Type.NUMBER, ""),
    ),
    "edges": (
        Column("event_id", Type.TEXT, ""),
        Column("parent_id", Type.TEXT, ""),
        Column("session_id", Type.TEXT, ""),
        Column("depth", Type.SMALL, ""),
        Column("kind", Type.TEXT, ""),
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
