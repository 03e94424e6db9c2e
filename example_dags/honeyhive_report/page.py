"""Tables and charts -> one HTML page that needs nothing but itself."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2
import vl_convert

from honeyhive_report import clock, figures, forms, lists
from honeyhive_report.tables import rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb

HERE = Path(__file__).parent

#: The numbers at the head of the page: columns of the table ``summary``.
HEADLINES = {
    "Events": ("events", forms.short_count),
    "Sessions": ("sessions", forms.short_count),
    "Model calls": ("model_calls", forms.short_count),
    "Cost": ("cost", forms.dollars),
    "Tokens": ("total_tokens", forms.short_count),
    "Failed": ("error_rate", forms.share),
    "Model latency, p50": ("model_p50_ms", forms.seconds),
    "Model latency, p95": ("model_p95_ms", forms.seconds),
}


@dataclass(frozen=True)
class Section:
    """A part of the page.

    :param absent: what it says where it has no chart at all.
    """

    title: str
    figures: Sequence[figures.Figure]
    lists: Sequence[lists.Lines]
    absent: str = ""


def render_page(connection: duckdb.DuckDBPyConnection, project: str | None) -> str:
    """Return the page.

    :param connection: what :func:`.tables.make_tables` made.
    :param project: name of the project.
    """
    time = clock.read_clock(connection)
    (summary,) = rows(connection, "SELECT * EXCLUDE (first_event, last_event) FROM summary")

    def section(title: str, plans: Sequence[figures.Plan], *listings: lists.Listing, absent: str = "") -> Section:
        drawn = [figures.draw(connection, plan, time) for plan in plans]
        return Section(title, drawn, [lists.fill(connection, listing) for listing in listings], absent)

    # Vega and what it needs, with the page's own lines; nothing else can run in the page.
    code = vl_convert.javascript_bundle((HERE / "page.js").read_text(encoding="utf-8"))
    return _TEMPLATE.render(
        project=project,
        window=f"{clock.text(time.start)} to {clock.text(time.end)} UTC" if time else "no events",
        headlines=[(name, forms.show(summary[column], form)) for name, (column, form) in HEADLINES.items()],
        sections=[
            section("Cost and tokens", figures.COST, lists.BY_MODEL),
            section("Latency", figures.LATENCY),
            section("Errors", figures.ERRORS, lists.BY_EVENT_TYPE),
            section(
                "Evaluators", figures.evaluator_plans(connection), lists.BY_EVALUATOR, absent="No event has a score."
            ),
            section("Sessions", figures.SESSIONS, lists.SESSION_SIZES, lists.SESSIONS),
        ],
        code=code,
        code_hash=b64encode(sha256(code.encode()).digest()).decode(),
    )


_TEMPLATE = jinja2.Environment(
    loader=jinja2.FileSystemLoader(HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True
).get_template("page.html")
