"""The charts of the page as data: what each one asks the tables, and how it shows the answer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive.report import charts, forms
from airflow_provider_honeyhive.report.tables import rows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import duckdb

    from airflow_provider_honeyhive.report.clock import Clock

#: The most frequent names of scores have charts, so many of them.
MOST_SCORES = 8


@dataclass(frozen=True)
class Plan:
    """A chart that is yet to be drawn.

    :param title: what it shows.
    :param note: of what, and in which unit; ``{step}`` is how a step of time is called.
    :param absent: what the page says where there is nothing to show.
    :param query: what to show.
    :param draw: makes the chart of the rows that ``query`` finds.
    :param parameters: of ``query``.
    """

    title: str
    note: str
    absent: str
    query: str
    draw: Callable[..., charts.Spec]
    parameters: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Figure:
    """A chart of the page.

    :param spec: in Vega-Lite; None: nothing to show.
    :param legend: names of series and their colours.
    """

    title: str
    note: str
    absent: str
    spec: charts.Spec | None
    legend: Sequence[tuple[str, str]]


#: Models over time, the costliest seven by name; and what counts of other events.
_BY_MODEL = """
    WITH ranks AS (SELECT model, row_number() OVER () AS rank FROM by_model)
    SELECT
        epoch_ms(time) AS time,
        CASE WHEN over_time.model IS NULL THEN 'other events' WHEN rank < 8 THEN over_time.model ELSE 'other models' END
            AS series,
        CASE WHEN over_time.model IS NULL THEN '9' ELSE CAST(least(rank, 8) AS VARCHAR) END AS hue,
        sum({amount}) AS amount
    FROM models_over_time AS over_time JOIN ranks ON over_time.model IS NOT DISTINCT FROM ranks.model
    GROUP BY ALL HAVING sum({amount}) > 0 ORDER BY hue, time
"""

#: At most twelve names, and a point for each percentile; on a logarithmic axis, so that zero is a millisecond there.
_PERCENTILES = """
    SELECT name, series, CAST(list_position(['p50', 'p90', 'p95', 'p99'], series) AS VARCHAR) AS hue,
        greatest(ms, 1) / 1000 AS amount
    FROM (
        UNPIVOT (SELECT row_number() OVER () AS rank, {name} AS name, {columns} FROM {table})
        ON COLUMNS(* EXCLUDE (rank, name)) INTO NAME series VALUE ms
    )
    WHERE rank <= 12 ORDER BY rank, hue
"""
_OF_LATENCY = "p50_ms AS p50, p90_ms AS p90, p95_ms AS p95, p99_ms AS p99"
_OF_FIRST = "first_token_p50_ms AS p50, first_token_p95_ms AS p95"

#: The median and the 95th percentile of calls over time.
_PERCENTILES_OVER_TIME = """
    SELECT
        epoch_ms(time) AS time, series, if(series = 'p50', '1', '3') AS hue, ms / 1000 AS amount, calls AS count
    FROM (
        UNPIVOT (SELECT time, calls, {columns} FROM calls_over_time) ON p50, p95 INTO NAME series VALUE ms
    )
    ORDER BY hue, time
"""

#: One score over time: its numbers or its booleans.
_SCORE_OVER_TIME = """
    SELECT epoch_ms(time) AS time, name AS series, '1' AS hue, {amount} AS amount, {count} AS count
    FROM scores_over_time WHERE source = $source AND name = $name AND {count} > 0 ORDER BY time
"""

COST = (
    Plan(
        "Cost by model",
        "US dollars per {step}",
        "No event says what it cost.",
        _BY_MODEL.format(amount="cost"),
        partial(charts.bars_over_time, unit="US dollars", form=forms.dollars, axis=charts.dollars_axis),
    ),
    Plan(
        "Tokens",
        "Tokens per {step}",
        "No event says how many tokens it took.",
        """
        SELECT epoch_ms(time) AS time, series, if(series = 'input', '1', '2') AS hue, sum(amount) AS amount
        FROM (
            UNPIVOT (SELECT time, input_tokens AS input, output_tokens AS output FROM models_over_time)
            ON input, output INTO NAME series VALUE amount
        )
        GROUP BY ALL HAVING sum(amount) > 0 ORDER BY hue, time
        """,
        partial(charts.bars_over_time, unit="tokens", form=forms.count, axis=charts.counts_axis),
    ),
    Plan(
        "Calls by model",
        "Calls per {step}",
        "No model was called.",
        _BY_MODEL.format(amount="calls"),
        partial(charts.bars_over_time, unit="calls", form=forms.count, axis=charts.counts_axis),
    ),
)

_SECONDS_OVER_TIME = partial(
    charts.lines_over_time,
    unit="seconds",
    form=forms.duration,
    axis=charts.numbers_axis,
    from_zero=True,
    counted="calls",
)

LATENCY = (
    Plan(
        "Latency by model",
        "Percentiles of calls",
        "No call of a model says how long it took.",
        _PERCENTILES.format(name="model", columns=_OF_LATENCY, table="by_model"),
        partial(charts.points, unit="seconds", form=forms.duration),
    ),
    Plan(
        "Latency by event type",
        "Percentiles of events",
        "No event says how long it took.",
        _PERCENTILES.format(name="event_type", columns=_OF_LATENCY, table="by_event_type"),
        partial(charts.points, unit="seconds", form=forms.duration),
    ),
    Plan(
        "Latency of model calls",
        "Percentiles per {step}, in seconds",
        "No call of a model says when it began and how long it took.",
        _PERCENTILES_OVER_TIME.format(columns="p50_ms AS p50, p95_ms AS p95"),
        _SECONDS_OVER_TIME,
    ),
    Plan(
        "Time to first token by model",
        "Percentiles of calls",
        "No call of a model says when its first token came.",
        _PERCENTILES.format(name="model", columns=_OF_FIRST, table="by_model"),
        partial(charts.points, unit="seconds", form=forms.duration),
    ),
    Plan(
        "Time to first token",
        "Percentiles per {step}, in seconds",
        "No call of a model says when it began and when its first token came.",
        _PERCENTILES_OVER_TIME.format(columns=_OF_FIRST),
        _SECONDS_OVER_TIME,
    ),
)

_ERROR_RATE = partial(charts.bars, hue="bad", unit="failed", form=forms.share)

ERRORS = (
    Plan(
        "Error rate by model",
        "Share of calls that failed",
        "No model was called.",
        "SELECT model AS name, error_rate AS amount, calls AS count FROM by_model WHERE calls > 0 LIMIT 12",
        partial(_ERROR_RATE, counted="calls"),
    ),
    Plan(
        "Error rate by event type",
        "Share of events that failed",
        "There are no events.",
        "SELECT event_type AS name, error_rate AS amount, events AS count FROM by_event_type LIMIT 12",
        partial(_ERROR_RATE, counted="events"),
    ),
    Plan(
        "Error rate of model calls",
        "Share of calls that failed, per {step}",
        "No call of a model says when it began.",
        """
        SELECT epoch_ms(time) AS time, 'calls of models' AS series, 'bad' AS hue, error_rate AS amount, calls AS count
        FROM calls_over_time ORDER BY time
        """,
        partial(
            charts.lines_over_time,
            unit="failed",
            form=forms.share,
            axis=charts.shares_axis,
            from_zero=True,
            counted="calls",
        ),
    ),
)

SESSIONS = (
    Plan(
        "Sessions",
        "Sessions that began, per {step}",
        "No event says its session.",
        """
        SELECT epoch_ms(time) AS time, series, hue, amount FROM (
            SELECT time, 'without errors' AS series, '1' AS hue, sessions - sessions_with_errors AS amount
            FROM sessions_over_time
            UNION ALL
            SELECT time, 'with errors', 'bad', sessions_with_errors FROM sessions_over_time
        )
        WHERE amount > 0 ORDER BY hue, time
        """,
        partial(charts.bars_over_time, unit="sessions", form=forms.count, axis=charts.counts_axis),
    ),
)


def score_plans(connection: duckdb.DuckDBPyConnection, condition: str) -> list[Plan]:
    """Return a plan for each of the most frequent scores that have numbers or booleans.

    :param condition: in SQL, which of them.
    """
    found = (connection.table("by_score").filter(f"numbers + booleans > 0 AND {condition}").limit(MOST_SCORES)).project(
        "source, name, numbers > 0"
    )
    return [_score_plan(*row) for row in found.fetchall()]


def _score_plan(source: str, name: str, has_numbers: bool) -> Plan:
    return Plan(
        name,
        f"{'Mean' if has_numbers else 'Share of true'} per {{step}}, from {source}",
        "No event that has it says when it began.",
        _SCORE_OVER_TIME.format(
            amount="mean" if has_numbers else "true_share", count="numbers" if has_numbers else "booleans"
        ),
        partial(
            charts.lines_over_time,
            unit="mean" if has_numbers else "share of true",
            form=forms.amount if has_numbers else forms.share,
            axis=charts.numbers_axis if has_numbers else charts.shares_axis,
            from_zero=not has_numbers,
            counted="scores",
        ),
        {"source": source, "name": name},
    )


def draw(connection: duckdb.DuckDBPyConnection, plan: Plan, clock: Clock | None) -> Figure:
    """Return what becomes of a plan."""
    found = rows(connection, plan.query, plan.parameters)
    values = [
        {key: forms.text(value) if key in {"name", "series"} else value for key, value in row.items()}
        for row in found
        if row["amount"] is not None
    ]
    series = charts.legend(values)
    return Figure(
        title=forms.text(plan.title),
        note=plan.note.replace("{step}", clock.step_name if clock else "step"),
        absent=plan.absent,
        spec=plan.draw(values, clock) if values else None,
        legend=series if len(series) > 1 else [],
    )
