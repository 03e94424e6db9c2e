"""Tables and charts -> one HTML page that needs nothing but itself."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2
import vl_convert

from airflow_provider_honeyhive.report import clock, figures, forms, lists, origin
from airflow_provider_honeyhive.report.tables import rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb

    from airflow_provider_honeyhive.build_manifest import BuildManifest

HERE = Path(__file__).parent

#: The numbers at the head of the page: columns of the table ``summary``.
HEADLINES = {
    "Events": ("events", forms.short_count),
    "Sessions": ("sessions", forms.short_count),
    "Model calls": ("model_calls", forms.short_count),
    "Cost": ("cost", forms.dollars),
    "Tokens": ("total_tokens", forms.short_count),
    "Failed events": ("error_rate", forms.share),
    "Model latency, p50": ("model_p50_ms", forms.seconds),
    "Model latency, p95": ("model_p95_ms", forms.seconds),
}


@dataclass(frozen=True)
class Section:
    """A part of the page.

    :param absent: what it says where it has nothing else; empty: nothing.
    """

    title: str
    figures: Sequence[figures.Figure]
    lists: Sequence[lists.Lines]
    absent: str = ""


def render_page(connection: duckdb.DuckDBPyConnection, tables: BuildManifest, link: str | None) -> str:
    """Return the page.

    :param connection: what :func:`.tables.make_tables` made.
    :param tables: the build that has the tables.
    :param link: to the project's events in HoneyHive; None: there is none.
    """
    time = clock.read_clock(connection)
    (summary,) = rows(connection, "SELECT * EXCLUDE (first_event, last_event) FROM summary")

    def section(title: str, plans: Sequence[figures.Plan], *listings: lists.Listing, absent: str = "") -> Section:
        drawn = [figures.draw(connection, plan, time) for plan in plans]
        return Section(title, drawn, [lists.fill(connection, listing) for listing in listings], absent)

    code = _code()
    return _TEMPLATE.render(
        project=forms.text(tables.project or "HoneyHive"),
        window=f"{clock.text(time.start)} to {clock.text(time.end)} UTC" if time else "no events",
        made_of=origin.sentence(tables),
        link=link,
        headlines=[(name, forms.show(summary[column], form)) for name, (column, form) in HEADLINES.items()],
        sections=[
            section("Cost and tokens", figures.COST, lists.BY_MODEL),
            section("Latency", figures.LATENCY),
            section("Errors", figures.ERRORS, lists.BY_EVENT_TYPE, lists.ERRORS_BY_NAME),
            section(
                "Scores",
                figures.score_plans(connection, "source != 'feedback'"),
                lists.BY_SCORE,
                absent="No event has a score.",
            ),
            section(
                "Feedback",
                figures.score_plans(connection, "source = 'feedback'"),
                lists.BY_FEEDBACK,
                absent="No event has feedback.",
            ),
            section(
                "Sessions",
                figures.SESSIONS,
                lists.SESSION_SIZES,
                lists.COSTLIEST_SESSIONS,
                lists.LONGEST_SESSIONS,
            ),
            section("Slowest and worst calls", [], lists.SLOWEST_CALLS, lists.FAILED_CALLS, lists.LOWEST_SCORES),
            Section("What this report is made of", [], [origin.exports(tables), origin.coverage(summary)]),
        ],
        code=code,
        code_hash=b64encode(sha256(code.encode()).digest()).decode(),
    )


@cache
def _code() -> str:
    """Return Vega and what it needs, with the page's own lines; nothing else can run in the page."""
    code: str = vl_convert.javascript_bundle((HERE / "page.js").read_text(encoding="utf-8"))
    return code


_TEMPLATE = jinja2.Environment(
    loader=jinja2.FileSystemLoader(HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True
).get_template("page.html")
