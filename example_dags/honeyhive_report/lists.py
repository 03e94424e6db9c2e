"""The lists of the page as data: what each one asks the tables, and what its columns hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from honeyhive_report.forms import amount, count, dollars, seconds, share, show, text

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    import duckdb

#: Rows on the page; the tables have all.
MOST_ROWS = 20


@dataclass(frozen=True)
class Listing:
    """A list of the page.

    :param title: what it lists.
    :param table: which table it shows.
    :param columns: of the table, by their headings, with the form of what they hold; the first names the row.
    """

    title: str
    table: str
    columns: dict[str, tuple[str, Callable[[Any], str]]]


@dataclass(frozen=True)
class Lines:
    """What a list holds.

    :param hidden: rows that the page does not show.
    """

    title: str
    table: str
    headings: list[str]
    rows: list[list[str]]
    hidden: int


_LATENCIES = {f"p{n}": (f"p{n}_ms", seconds) for n in (50, 90, 95, 99)}
_USAGE = {
    "Cost": ("cost", dollars),
    "Prompt tokens": ("prompt_tokens", count),
    "Completion tokens": ("completion_tokens", count),
}
_FAILURES = {"Errors": ("errors", count), "Error rate": ("error_rate", share)}

BY_MODEL = Listing(
    "Models",
    "by_model",
    {
        "Model": ("model", text),
        "Provider": ("provider", text),
        "Calls": ("calls", count),
        **_USAGE,
        **_LATENCIES,
        **_FAILURES,
    },
)
BY_EVENT_TYPE = Listing(
    "Event types",
    "by_event_type",
    {"Event type": ("event_type", text), "Events": ("events", count), **_USAGE, **_LATENCIES, **_FAILURES},
)
BY_EVALUATOR = Listing(
    "Evaluators",
    "by_evaluator",
    {
        "Evaluator": ("evaluator", text),
        "Scores": ("scores", count),
        "Mean": ("mean", amount),
        "Lowest": ("lowest", amount),
        "Median": ("median", amount),
        "Highest": ("highest", amount),
    },
)
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
SESSIONS = Listing(
    "Sessions, the costliest first",
    "sessions",
    {
        "Session": ("session_id", text),
        "Source": ("source", text),
        "Duration": ("duration_ms", seconds),
        "Events": ("events", count),
        "Model calls": ("model_calls", count),
        "Errors": ("errors", count),
        "Tokens": ("total_tokens", count),
        "Cost": ("cost", dollars),
    },
)


def fill(connection: duckdb.DuckDBPyConnection, listing: Listing) -> Lines:
    """Return what a list holds."""
    columns = [column for column, _ in listing.columns.values()]
    table = connection.table(listing.table)
    found = table.select(*columns).limit(MOST_ROWS).fetchall()
    (total,) = table.aggregate("count(*)").fetchall()[0]
    return Lines(
        title=listing.title,
        table=listing.table,
        headings=list(listing.columns),
        rows=[
            [show(value, form) for value, (_, form) in zip(row, listing.columns.values(), strict=True)] for row in found
        ],
        hidden=total - len(found),
    )
