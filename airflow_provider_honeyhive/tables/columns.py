"""The tables as data: their columns and types; which names in ``metrics`` are measurements."""

from __future__ import annotations

# Types as DuckDB calls them. Times are in UTC, to the microsecond.
_TEXT = "VARCHAR"
_WHOLE = "BIGINT"
_NUMBER = "DOUBLE"
_BOOLEAN = "BOOLEAN"
_TIME = "TIMESTAMP WITH TIME ZONE"

_IDS = {"event_id": _TEXT, "session_id": _TEXT, "parent_id": _TEXT}
_TIMES = {"start_time": _TIME, "end_time": _TIME}
_TOKENS = {"input_tokens": _WHOLE, "output_tokens": _WHOLE, "total_tokens": _WHOLE}
_COUNTED = {**_TOKENS, "cost": _NUMBER, "counts_tokens": _BOOLEAN, "counts_cost": _BOOLEAN}
_TRACE = {"user_id": _TEXT, "trace_id": _TEXT, "span_id": _TEXT}
_SCORED = {
    "event_id": _TEXT,
    "session_id": _TEXT,
    "event_type": _TEXT,
    "event_name": _TEXT,
    "start_time": _TIME,
}

#: The types of each table's columns, in order.
TABLES: dict[str, dict[str, str]] = {
    "events": {
        **_IDS,
        "project": _TEXT,
        "project_id": _TEXT,
        "source": _TEXT,
        "event_type": _TEXT,
        "event_name": _TEXT,
        **_TIMES,
        "duration_ms": _NUMBER,
        "failed": _BOOLEAN,
        "error": _TEXT,
        "operation": _TEXT,
        "model": _TEXT,
        "provider": _TEXT,
        **_COUNTED,
        **_TRACE,
        "export_number": "INTEGER",
    },
    "sessions": {
        "session_id": _TEXT,
        "project": _TEXT,
        "project_id": _TEXT,
        "source": _TEXT,
        "user_id": _TEXT,
        **_TIMES,
        "duration_ms": _NUMBER,
        "has_root": _BOOLEAN,
        "event_count": _WHOLE,
        "model_count": _WHOLE,
        "tool_count": _WHOLE,
        "chain_count": _WHOLE,
        "error_count": _WHOLE,
        **_TOKENS,
        "cost": _NUMBER,
        "models": "VARCHAR[]",
        "first_question": _TEXT,
        "last_answer": _TEXT,
        "scores": "STRUCT(name VARCHAR, number DOUBLE, boolean BOOLEAN, text VARCHAR)[]",
    },
    "model_calls": {
        **_IDS,
        "project_id": _TEXT,
        "source": _TEXT,
        "event_name": _TEXT,
        **_TIMES,
        "model": _TEXT,
        "provider": _TEXT,
        "operation": _TEXT,
        **_COUNTED,
        "latency_ms": _NUMBER,
        "time_to_first_token_ms": _NUMBER,
        "temperature": _NUMBER,
        "top_p": _NUMBER,
        "max_tokens": _NUMBER,
        "presence_penalty": _NUMBER,
        "frequency_penalty": _NUMBER,
        "finish_reason": _TEXT,
        "failed": _BOOLEAN,
        "error": _TEXT,
        **_TRACE,
    },
    "scores": {
        **_SCORED,
        "source": _TEXT,
        "name": _TEXT,
        "number": _NUMBER,
        "boolean": _BOOLEAN,
        "text": _TEXT,
        "explanation": _TEXT,
        "scored_at": _TIME,
    },
    "measurements": {**_SCORED, "name": _TEXT, "number": _NUMBER},
    "edges": {"event_id": _TEXT, "parent_id": _TEXT, "session_id": _TEXT, "depth": "INTEGER", "kind": _TEXT},
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
