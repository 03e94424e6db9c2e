"""The tables as plain Python finds them in the API's answers: slowly, one event after the other, and with no SQL.

It follows the rules of ``docs/tables.md`` and shares no code with the package.
"""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, TypeAlias

Row: TypeAlias = dict[str, Any]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)

OWN_TEXTS = ("project", "project_id", "source", "event_type", "event_name")
#: Where each fact of an event is looked for, in this order; names in ``metadata`` with dots come flat or nested.
USAGE = {
    "input_tokens": ["input_tokens", "prompt_tokens", "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"],
    "output_tokens": [
        "output_tokens",
        "completion_tokens",
        "gen_ai.usage.output_tokens",
        "gen_ai.usage.completion_tokens",
    ],
    "total_tokens": ["total_tokens", "gen_ai.usage.total_tokens"],
}
NAMES = {
    "operation": ["metadata.operation_name", "metadata.gen_ai.operation.name"],
    "model": [
        "config.model",
        "metadata.model_name",
        "metadata.model",
        "metadata.gen_ai.response.model",
        "metadata.gen_ai.request.model",
    ],
    "provider": ["config.provider", "metadata.provider", "metadata.gen_ai.provider.name", "metadata.gen_ai.system"],
    "user_id": [
        "user_properties.user_id",
        "user_properties.user",
        "user_properties.id",
        "user_properties.email",
        "metadata.user_id",
    ],
    "trace_id": ["metadata.trace_id"],
    "span_id": ["metadata.span_id"],
}
SETTINGS = ("temperature", "top_p", "max_tokens", "presence_penalty", "frequency_penalty")
FINISH_REASONS = [
    "outputs.finish_reason",
    "outputs.choices",
    "metadata.finish_reason",
    "metadata.finish_reasons",
    "metadata.gen_ai.response.finish_reasons",
]
MEASURED = re.compile(
    "(?is).*_ms|number of (words|characters|sentences|tokens)|num_(words|characters|sentences|tokens)"
    "|(word|character|char|sentence|token)_count"
)


def decoded(raw: str | bytes) -> Any:
    """Decode JSON; of a name that comes twice in an object the first counts."""
    return json.loads(raw, object_pairs_hook=lambda pairs: dict(reversed(pairs)))


def tables_of(events: list[Row]) -> dict[str, list[Row]]:
    """Return the rows of all tables.

    :param events: in their order in the export.
    """
    facts = [facts_of(event) for event in events]
    edges = edges_of(facts)
    mark_usage(facts, edges)
    scores: list[Row] = []
    measurements: list[Row] = []
    for event, fact in zip(events, facts, strict=True):
        for row, is_measurement in scores_of(event, fact):
            (measurements if is_measurement else scores).append(row)
            fact["scores"] += [] if is_measurement else [row]
    return {
        "events": [
            {
                name: fact[name]
                for name in (
                    *("event_id", "session_id", "parent_id", *OWN_TEXTS, "start_time", "end_time", "duration_ms"),
                    *("failed", "error", "operation", "model", "provider", *USAGE, "cost", "counts_tokens"),
                    *("counts_cost", "user_id", "trace_id", "span_id"),
                )
            }
            for fact in facts
        ],
        "sessions": sessions_of(events, facts),
        "model_calls": [
            {
                **{
                    name: fact[name]
                    for name in (
                        *("event_id", "session_id", "parent_id", "project_id", "source", "event_name", "start_time"),
                        *("end_time", "model", "provider", "operation", *USAGE, "cost", "counts_tokens"),
                        *("counts_cost", "failed", "error", "user_id", "trace_id", "span_id"),
                    )
                },
                "latency_ms": fact["duration_ms"],
                **call_of(event),
            }
            for event, fact in zip(events, facts, strict=True)
            if fact["event_type"] == "model"
        ],
        "scores": scores,
        "measurements": [{name: row[name] for name in row if name in MEASUREMENT_COLUMNS} for row in measurements],
        "edges": edges,
    }


MEASUREMENT_COLUMNS = ("event_id", "session_id", "event_type", "event_name", "start_time", "name", "number")


# ------------------------------------------------------------------------------------- values


def text_of(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return str(value) or None


def number_of(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def within(value: Any, most: float) -> float | None:
    number = number_of(value)
    return number if number is not None and 0 <= number <= most else None


def tokens_of(value: Any) -> int | None:
    number = within(value, 1e11)
    return None if number is None else int(Decimal(number).quantize(Decimal(1), ROUND_HALF_UP))


def instant_of(value: Any) -> datetime | None:
    number = number_of(value)
    if number is not None:
        for unit in (1e11, 1e14, 1e17):
            if abs(number) < unit:
                return EPOCH + timedelta(microseconds=round(number * 1e17 / unit))
        return None
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def time_of(value: Any) -> datetime | None:
    """Return the time of an event: numbers are milliseconds."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**14:
        return EPOCH + value * MILLISECOND
    return instant_of(value) if isinstance(value, str) else None


def milliseconds(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else (end - start) / timedelta(microseconds=1) / 1000


def first(values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def at(event: Any, path: str) -> list[Any]:
    """Return what is at a path below ``metadata`` and the like: under the whole name, and nested by its dots."""
    field, name = path.split(".", 1)
    place = event.get(field)
    if not isinstance(place, dict):
        return []
    nested: Any = place
    for part in name.split("."):
        nested = nested.get(part) if isinstance(nested, dict) else None
    return [place.get(name), nested]


# ------------------------------------------------------------------------------------- events


def facts_of(event: Row) -> Row:
    fact: Row = {name: event.get(name) if isinstance(event.get(name), str) else None for name in OWN_TEXTS}
    for name in ("event_id", "session_id", "parent_id"):
        value = event.get(name)
        fact[name] = value if isinstance(value, str) and value else None
    fact["start_time"], fact["end_time"] = time_of(event.get("start_time")), time_of(event.get("end_time"))
    lengths = (event.get("duration"), milliseconds(fact["start_time"], fact["end_time"]))
    fact["duration_ms"] = first(within(length, math.inf) for length in lengths)
    error = event.get("error")
    fact["error"] = error if error is None or isinstance(error, str) else json.dumps(error, separators=(",", ":"))
    fact["failed"] = fact["error"] not in (None, "", "null", "false", "{}", "[]")
    for name, paths in NAMES.items():
        fact[name] = first(text_of(value) for path in paths for value in at(event, path))
    for name, paths in USAGE.items():
        fact[name] = first(tokens_of(value) for path in paths for value in at(event, f"metadata.{path}"))
    if fact["total_tokens"] is None:
        known = [fact[name] for name in ("input_tokens", "output_tokens") if fact[name] is not None]
        fact["total_tokens"] = sum(known) if known else None
    costs = [*at(event, "metadata.cost"), *at(event, "metadata.total_cost")]
    fact["cost"] = first(within(value, 1e9) for value in costs)
    return {**fact, "scores": []}


def call_of(event: Row) -> Row:
    call: Row = {}
    told = [*at(event, "metrics.time_to_first_token_ms"), *at(event, "metadata.time_to_first_token_ms")]
    call["time_to_first_token_ms"] = first(within(value, math.inf) for value in told)
    for name in SETTINGS:
        paths = (f"config.hyperparameters.{name}", f"config.{name}", f"metadata.gen_ai.request.{name}")
        call[name] = first(number_of(value) for path in paths for value in at(event, path))
    reasons: list[str | None] = []
    for path in FINISH_REASONS:
        for value in at(event, path):
            if path == "outputs.choices":
                choice = value[0] if isinstance(value, list) and value else None
                reasons.append(text_of(choice.get("finish_reason")) if isinstance(choice, dict) else None)
            elif isinstance(value, str) and value.startswith("["):
                reasons.append(text_of(json.loads(value)[0]))
            else:
                reasons.append(text_of(value[0] if isinstance(value, list) and value else value))
    call["finish_reason"] = first(reasons)
    return call


# ------------------------------------------------------------------------------------- who is above whom


def edges_of(facts: list[Row]) -> list[Row]:
    by_id: dict[str, Row] = {}
    for fact in facts:
        if fact["event_id"] is not None:
            by_id.setdefault(fact["event_id"], fact)
    rows = []
    for fact in facts:
        fact["above"], seen = [], {id(fact)}
        parent = by_id.get(fact["parent_id"])
        while parent is not None and id(parent) not in seen:
            fact["above"].append(parent)
            seen.add(id(parent))
            parent = by_id.get(parent["parent_id"])
        if parent is not None:
            fact["above"], depth, kind = [], None, "cycle"
        else:
            depth = len(fact["above"])
            kind = "child" if depth else "root" if fact["parent_id"] is None else "orphan"
        rows.append(
            {name: fact[name] for name in ("event_id", "parent_id", "session_id")} | {"depth": depth, "kind": kind}
        )
    return rows


def mark_usage(facts: list[Row], edges: list[Row]) -> None:
    for told, mark in (("total_tokens", "counts_tokens"), ("cost", "counts_cost")):
        below = {id(above) for fact in facts if fact[told] for above in fact["above"]}
        for fact in facts:
            fact[mark] = fact[told] is not None and id(fact) not in below


# ------------------------------------------------------------------------------------- sessions


def sessions_of(events: list[Row], facts: list[Row]) -> list[Row]:
    sessions: defaultdict[str, list[tuple[Row, Row]]] = defaultdict(list)
    for event, fact in zip(events, facts, strict=True):
        if fact["session_id"] is not None:
            sessions[fact["session_id"]].append((event, fact))
    return [session_of(session_id, pairs) for session_id, pairs in sessions.items()]


def session_of(session_id: str, pairs: list[tuple[Row, Row]]) -> Row:
    facts = [fact for _, fact in pairs]
    roots = [pair for pair in pairs if pair[1]["event_id"] == session_id] or [
        pair for pair in pairs if pair[1]["event_type"] == "session" and pair[1]["parent_id"] is None
    ]
    root = roots[0][1] if roots else None
    begins = [fact["start_time"] for fact in facts if fact["start_time"] is not None]
    ends = [max(times) for fact in facts if (times := [t for t in (fact["start_time"], fact["end_time"]) if t])]
    start, end = min(begins, default=None), max(ends, default=None)
    row: Row = {"session_id": session_id}
    for name in ("project", "project_id", "source", "user_id"):
        least = min((fact[name] for fact in facts if fact[name] is not None), default=None)
        row[name] = root[name] if root is not None and root[name] is not None else least
    row |= {"start_time": start, "end_time": end, "duration_ms": milliseconds(start, end)}
    row |= {"has_root": root is not None, "event_count": len(facts)}
    row |= {f"{kind}_count": sum(fact["event_type"] == kind for fact in facts) for kind in ("model", "tool", "chain")}
    row["error_count"] = sum(fact["failed"] for fact in facts)
    for name in USAGE:
        told = [fact[name] for fact in facts if fact["counts_tokens"] and fact[name] is not None]
        row[name] = sum(told) if told else None
    costs = [Decimal(repr(fact["cost"])) for fact in facts if fact["counts_cost"]]
    row["cost"] = float(sum(cost.quantize(Decimal("1e-12"), ROUND_HALF_UP) for cost in costs)) if costs else None
    row["models"] = sorted({fact["model"] for fact in facts if fact["model"] is not None})
    talking = [pair for pair in pairs if pair[1]["event_type"] != "tool"]
    asked = sorted(
        talking, key=lambda pair: (pair[1] is not root, pair[1]["start_time"] or datetime.max.replace(tzinfo=UTC))
    )
    row["first_question"] = first(question_of(event) for event, _ in asked)
    row["last_answer"] = first(answer_of(event) for event, _ in answering(talking, root))
    scores = sorted(root["scores"] if root else [], key=lambda score: (score["name"], score["source"]))
    row["scores"] = [{name: score[name] for name in ("name", "number", "boolean", "text")} for score in scores]
    return row


def answering(pairs: list[tuple[Row, Row]], root: Row | None) -> list[tuple[Row, Row]]:
    def last(pair: tuple[Row, Row]) -> tuple[bool, datetime]:
        times = [time for time in (pair[1]["start_time"], pair[1]["end_time"]) if time is not None]
        return pair[1] is root, max(times, default=datetime.min.replace(tzinfo=UTC))

    # Of those that end at one time, the one that stands last.
    return sorted(pairs, key=last)[::-1]


def question_of(event: Row) -> str | None:
    """Return what the sandbox's events ask: the last message of a user, or a question."""
    inputs, metadata = event.get("inputs"), event.get("metadata")
    if isinstance(inputs, dict):
        history = inputs.get("chat_history")
        asked = [m["content"] for m in history if m["role"] == "user"] if isinstance(history, list) else []
        if asked or inputs.get("question"):
            return str(asked[-1] if asked else inputs["question"])
    if isinstance(metadata, dict):
        nested = metadata.get("_event", {}).get("gen_ai", {}).get("user", {}).get("message", [{}])[0].get("content")
        messages = metadata.get("_event.gen_ai.user.message.0.content", nested)
        if messages:
            return "".join(block["text"] for block in json.loads(messages)[-1]["content"]) or None
    return None


def answer_of(event: Row) -> str | None:
    """Return what the sandbox's events answer: their content, or an answer."""
    outputs = event.get("outputs")
    if not isinstance(outputs, dict):
        return None
    content = outputs.get("content")
    if isinstance(content, list):
        content = "".join(block["text"] for block in content)
    return content or outputs.get("answer") or None


# ------------------------------------------------------------------------------------- scores


def scores_of(event: Row, fact: Row) -> list[tuple[Row, bool]]:
    rows = []
    for source in ("evaluations", "feedback", "metrics"):
        value = event.get(source)
        members = flat(value, 4) if isinstance(value, dict) else {}
        for name, told in sorted(members.items(), key=lambda member: member[0].encode("utf-8", "surrogatepass")):
            explained = explained_by(source, name, members)
            if explained is not None and explained in members:
                continue
            row: Row = {key: fact[key] for key in ("event_id", "session_id", "event_type", "event_name", "start_time")}
            row |= {"source": source, "name": name, **typed(told)}
            beside = [each for each in members if explained_by(source, each, members) == name]
            if row["explanation"] is None and beside:
                explanation = members[min(beside)]
                row["explanation"] = explanation if isinstance(explanation, str) else json.dumps(explanation)
            measured = source == "metrics" and row["number"] is not None and bool(MEASURED.fullmatch(name))
            rows.append((row, measured))
    return rows


def explained_by(source: str, name: str, members: Row) -> str | None:
    if name.endswith("_explanation"):
        return name.removesuffix("_explanation")
    if source == "feedback" and (name == "explanation" or (name == "comment" and "explanation" not in members)):
        return "rating"
    return None


def is_told(value: Any) -> bool:
    return value is not None and value != "" and not isinstance(value, dict)


def flat(members: Row, levels: int, above: str = "") -> Row:
    found: Row = {}
    for name, value in members.items():
        is_score = isinstance(value, dict) and any(is_told(value.get(key)) for key in ("score", "value", "rating"))
        if isinstance(value, dict) and not is_score and levels:
            found |= flat(value, levels - 1, f"{above}{name}.")
        elif value not in (None, "", {}):
            found[above + name] = value
    return found


def typed(value: Any) -> Row:
    explanation = scored_at = None
    if isinstance(value, dict):
        told = first(value[key] for key in ("score", "value", "rating") if is_told(value.get(key)))
        if told is not None:
            explanation = first(text_of(value.get(key)) for key in ("explanation", "reason", "comment"))
            times = ("timestamp", "scored_at", "evaluated_at", "created_at", "updated_at")
            scored_at = first(instant_of(value.get(key)) for key in times)
            value = told
    number = number_of(value)
    boolean = value if isinstance(value, bool) else None
    text = None
    if number is None and boolean is None:
        text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return {"number": number, "boolean": boolean, "text": text, "explanation": explanation, "scored_at": scored_at}
