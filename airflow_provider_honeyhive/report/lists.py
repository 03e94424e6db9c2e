"""The lists of the page as data: what each one asks the tables, and what its columns hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_honeyhive.report import forms
from airflow_provider_honeyhive.report.forms import amount, count, dollars, identifier, moment, seconds, share, text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    import duckdb

#: Rows on the page; the tables have more.
MOST_ROWS = 15


@dataclass(frozen=True)
class Listing:
    """A list of the page.

    :param title: what it lists.
    :param table: which table it shows.
    :param columns: by their headings, in SQL, with the form of what they hold; the first names the row.
    :param condition: in SQL, which rows of the table.
    :param absent: what the page says where there is no row; empty: nothing.
    """

    title: str
    table: str
    columns: Mapping[str, tuple[str, Callable[[Any], str]]]
    condition: str = "true"
    absent: str = ""


@dataclass(frozen=True)
class Lines:
    """What a list holds.

    :param hidden: rows that the page does not show.
    :param elsewhere: where these are.
    :param kinds: of the columns: ``text``, ``id`` (shown in part), or nothing for numbers.
    :param absent: what the page says where there is no row; empty: nothing.
    """

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    hidden: int
    elsewhere: str
    kinds: Sequence[str]
    absent: str = ""


_LATENCIES = {f"p{n}": (f"p{n}_ms", seconds) for n in (50, 90, 95, 99)}
_USAGE = {
    "Cost": ("cost", dollars),
    "Input tokens": ("input_tokens", count),
    "Output tokens": ("output_tokens", count),
}
_FAILURES = {"Errors": ("errors", count), "Error rate": ("error_rate", share)}
_EVENT = {
    "Event": ("event_id", identifier),
    "Session": ("session_id", identifier),
    "Began, UTC": ("epoch_ms(start_time)", moment),
}

BY_MODEL = Listing(
    "Models",
    "by_model",
    {
        "Model": ("coalesce(model, 'Other events')", text),
        "Provider": ("provider", text),
        "Calls": ("calls", count),
        **_USAGE,
        **_LATENCIES,
        "First token, p50": ("first_token_p50_ms", seconds),
        **_FAILURES,
    },
)
BY_EVENT_TYPE = Listing(
    "Event types",
    "by_event_type",
    {"Event type": ("event_type", text), "Events": ("events", count), **_USAGE, **_LATENCIES, **_FAILURES},
)
ERRORS_BY_NAME = Listing(
    "Names of events that failed",
    "errors_by_name",
    {"Name": ("event_name", text), "Event type": ("event_type", text), "Events": ("events", count), **_FAILURES},
)
_SCORE = {
    "Name": ("name", text),
    "Count": ("scores", count),
    "Numbers": ("numbers", count),
    "Mean": ("mean", amount),
    "Lowest": ("lowest", amount),
    "Median": ("median", amount),
    "Highest": ("highest", amount),
    "True or false": ("booleans", count),
    "Share of true": ("true_share", share),
    "Texts": ("texts", count),
}
BY_SCORE = Listing("Scores by name", "by_score", {**_SCORE, "From": ("source", text)}, "source != 'feedback'")
BY_FEEDBACK = Listing("Feedback by name", "by_score", _SCORE, "source = 'feedback'")
SESSION_SIZES = Listing(
    "Size of sessions",
    "session_sizes",
    {
        "Percentile": ("percentile", text),
        "Duration": ("duration_ms", seconds),
        "Events": ("events", count),
        "Model calls": ("model_calls", count),
        "Tokens": ("total_tokens", count),
        "Cost": ("cost", dollars),
    },
)
_SESSION = {
    "Session": ("session_id", identifier),
    "Source": ("source", text),
    "Began, UTC": ("epoch_ms(start_time)", moment),
    "Duration": ("duration_ms", seconds),
    "Events": ("event_count", count),
    "Model calls": ("model_count", count),
    "Errors": ("error_count", count),
    "Tokens": ("total_tokens", count),
    "Cost": ("cost", dollars),
}
COSTLIEST_SESSIONS = Listing("Costliest sessions", "costliest_sessions", _SESSION)
LONGEST_SESSIONS = Listing("Longest sessions", "longest_sessions", _SESSION)
SLOWEST_CALLS = Listing(
    "Slowest model calls",
    "slowest_calls",
    {
        "Model": ("model", text),
        "Name": ("event_name", text),
        "Latency": ("latency_ms", seconds),
        "First token": ("time_to_first_token_ms", seconds),
        "Output tokens": ("output_tokens", count),
        "Failed": ("failed", forms.yes_no),
        **_EVENT,
    },
    absent="No call of a model says how long it took.",
)
FAILED_CALLS = Listing(
    "Failed calls of models and tools, the newest first",
    "failed_calls",
    {
        "Name": ("event_name", text),
        "Event type": ("event_type", text),
        "Model": ("model", text),
        "Duration": ("duration_ms", seconds),
        **_EVENT,
    },
    absent="No call of a model or a tool failed.",
)
LOWEST_SCORES = Listing(
    "Lowest scores of each name; false counts as 0",
    "lowest_scores",
    {
        "Score": ("name", text),
        "Value": ("value", amount),
        "Mean of all": ("mean", amount),
        "From": ("source", text),
        "Of": ("event_name", text),
        **_EVENT,
    },
    absent="There are no scores of one name that differ.",
)


#: The form of a column that holds no numbers -> what it holds.
_KINDS: dict[Callable[[Any], str], str] = {text: "text", identifier: "id"}


def fill(connection: duckdb.DuckDBPyConnection, listing: Listing) -> Lines:
    """Return what a list holds."""
    forms_of = [form for _, form in listing.columns.values()]
    table = connection.table(listing.table).filter(listing.condition)
    found = table.limit(MOST_ROWS).project(", ".join(expression for expression, _ in listing.columns.values()))
    (total,) = table.aggregate("count(*)").fetchall()[0]
    lines = [[forms.show(value, form) for value, form in zip(row, forms_of, strict=True)] for row in found.fetchall()]
    return Lines(
        title=listing.title,
        headings=list(listing.columns),
        rows=lines,
        hidden=total - len(lines),
        elsewhere=f"the table {listing.table}",
        kinds=[_KINDS.get(form, "") for form in forms_of],
        absent=listing.absent,
    )
