"""The charts of the page as data: what each one asks the tables, and how it shows the answer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from honeyhive_report import charts, forms
from honeyhive_report.tables import rows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import duckdb

    from honeyhive_report.clock import Clock

#: An evaluator has a chart of its own, as long as there are no more.
MOST_EVALUATORS = 8


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
    legend: Mapping[str, str]


#: Models over time, the costliest seven by name.
_BY_MODEL = """
    WITH ranks AS (SELECT model, row_number() OVER () AS rank FROM by_model)
    SELECT
        epoch_ms(time) AS time, if(rank < 8, model, 'others') AS series, CAST(least(rank, 8) AS VARCHAR) AS hue,
        sum({amount}) AS amount
    FROM models_over_time JOIN ranks USING (model)
    GROUP BY ALL HAVING amount > 0 ORDER BY hue, time
"""

#: At most twelve names, and a point for each percentile; on a logarithmic axis, so that zero is a millisecond there.
_PERCENTILES = """
    SELECT name, series[:3] AS series, CAST(list_position(['p50', 'p90', 'p95', 'p99'], series[:3]) AS VARCHAR) AS hue,
        greatest(ms, 1) / 1000 AS amount
    FROM (
        UNPIVOT (SELECT row_number() OVER () AS rank, {name} AS name, p50_ms, p90_ms, p95_ms, p99_ms FROM {table})
        ON p50_ms, p90_ms, p95_ms, p99_ms INTO NAME series VALUE ms
    )
    WHERE rank <= 12 ORDER BY rank, hue
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
        SELECT
            epoch_ms(time) AS time, series[:-8] AS series, if(series[1] = 'p', '1', '2') AS hue, sum(amount) AS amount
        FROM (UNPIVOT models_over_time ON prompt_tokens, completion_tokens INTO NAME series VALUE amount)
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

LATENCY = (
    Plan(
        "Latency by model",
        "Percentiles of calls",
        "No call of a model says how long it took.",
        _PERCENTILES.format(name="model", table="by_model"),
        partial(charts.points, unit="seconds", form=forms.duration),
    ),
    Plan(
        "Latency by event type",
        "Percentiles of events",
        "No event says how long it took.",
        _PERCENTILES.format(name="event_type", table="by_event_type"),
        partial(charts.points, unit="seconds", form=forms.duration),
    ),
    Plan(
        "Latency of model calls",
        "Percentiles per {step}, in seconds",
        "No call of a model says when it began and how long it took.",
        """
        SELECT
            epoch_ms(time) AS time, series[:3] AS series, if(series = 'p50_ms', '1', '3') AS hue, ms / 1000 AS amount,
            calls AS count
        FROM (UNPIVOT calls_over_time ON p50_ms, p95_ms INTO NAME series VALUE ms) ORDER BY hue, time
        """,
        partial(
            charts.lines_over_time,
            unit="seconds",
            form=forms.duration,
            axis=charts.numbers_axis,
            from_zero=True,
            counted="calls",
        ),
    ),
)

_ERROR_RATE = partial(charts.bars, hue="bad", unit="failed", form=forms.share)

ERRORS = (
    Plan(
        "Error rate by model",
        "Share of calls that failed",
        "No model was called.",
        "SELECT model AS name, error_rate AS amount, calls AS count FROM by_model LIMIT 12",
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


def evaluator_plans(connection: duckdb.DuckDBPyConnection) -> list[Plan]:
    """Return a plan for each evaluator, the busiest first."""
    found = rows(connection, "SELECT evaluator, is_boolean FROM by_evaluator LIMIT ?", [MOST_EVALUATORS])
    return [
        Plan(
            evaluator,
            "Share of true, per {step}" if is_boolean else "Mean score per {step}",
            "No event that it scored says when it began.",
            """
            SELECT epoch_ms(time) AS time, evaluator AS series, '1' AS hue, mean AS amount, scores AS count
            FROM evaluators_over_time WHERE evaluator = $evaluator ORDER BY time
            """,
            partial(
                charts.lines_over_time,
                unit="share of true" if is_boolean else "mean",
                form=forms.share if is_boolean else forms.amount,
                axis=charts.shares_axis if is_boolean else charts.numbers_axis,
                from_zero=is_boolean,
                counted="scores",
            ),
            {"evaluator": evaluator},
        )
        for evaluator, is_boolean in (row.values() for row in found)
    ]


def draw(connection: duckdb.DuckDBPyConnection, plan: Plan, clock: Clock | None) -> Figure:
    """Return what becomes of a plan."""
    values = rows(connection, plan.query, plan.parameters)
    series = charts.legend(values)
    return Figure(
        title=plan.title,
        note=plan.note.format(step=clock.step_name if clock else "step"),
        absent=plan.absent,
        spec=plan.draw(values, clock) if values else None,
        legend=series if len(series) > 1 else {},
    )
