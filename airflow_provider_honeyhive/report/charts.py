"""Rows -> charts: Vega-Lite specifications, made by Altair.

Colours are variables of the page's style sheet, which has one set for light and one for dark; rows name them by
``hue``. Amounts are written by :mod:`.forms`; only those at axes, which Vega chooses, in its own way (d3's).
"""

from __future__ import annotations

from collections import defaultdict
from math import floor, log10
from typing import TYPE_CHECKING, Any, TypeAlias

import altair as alt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_provider_honeyhive.report.clock import Clock

Row: TypeAlias = dict[str, Any]
Spec: TypeAlias = dict[str, Any]
#: What a number is written by.
Form: TypeAlias = "Callable[[float], str]"
#: How numbers stand at an axis, by the highest of its amounts.
AxisForm: TypeAlias = "Callable[[float], dict[str, Any]]"

#: The style sheet's colours of series.
HUES = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "bad"]
HEIGHT = 240
#: About how many ticks an axis has.
TICKS = 5
ROW_HEIGHT = 34
#: Numbers from here on are written with an exponent.
LARGEST_WRITTEN = 1e15

#: What all charts have in common.
CONFIG: dict[str, Any] = {
    "background": None,
    # As the page's own; measured before it is drawn, so "inherit" would not do.
    "font": "system-ui, sans-serif",
    "padding": 0,
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--muted)",
        "titleColor": "var(--muted)",
        "gridColor": "var(--line)",
        "domainColor": "var(--line)",
        "tickColor": "var(--line)",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "labelLimit": 130,
    },
}


def counts_axis(most: float) -> dict[str, Any]:
    """Write whole numbers: there is no half call."""
    return {"format": ",d", "tickCount": max(1, min(TICKS, int(most)))}


def dollars_axis(most: float) -> dict[str, Any]:
    """Write dollars, with cents and parts of them only where the steps between the ticks have any."""
    digits = -floor(log10(most / TICKS)) if most > 0 else 0
    return {"format": f"$,.{min(max(digits, 2), 20) if digits > 0 else 0}f"}


def shares_axis(_: float) -> dict[str, Any]:
    """Write percentages, with as many digits as tell one tick from the next."""
    return {"format": "~%"}


def numbers_axis(most: float) -> dict[str, Any]:
    """Write numbers, with as many digits as tell one tick from the next, and without prefixes."""
    return {"format": ",~r" if most < LARGEST_WRITTEN else "~e"}


def legend(values: Sequence[Row]) -> list[tuple[str, str]]:
    """Return the names of series and their colours, in the order of the rows."""
    found = ((value["series"], f"var(--hue-{value['hue']})") for value in values if "series" in value)
    return list(dict.fromkeys(found))


def bars_over_time(values: Sequence[Row], clock: Clock, *, unit: str, form: Form, axis: AxisForm) -> Spec:
    """Show amounts that add up, one bar for each step.

    :param values: with ``time``, ``series``, ``hue`` and ``amount``.
    :param unit: of the amounts.
    """
    piled = _piled([clock.place(value) for value in _written(values, form)])
    most = max(value["high"] for value in piled)
    return _finish(
        alt.Chart(_data(piled))
        .mark_rect(x2Offset=-1)
        .encode(
            _time_axis(clock),
            alt.X2("until"),
            alt.Y("high:Q", axis=_amounts_axis(axis(most))),
            alt.Y2("low"),
            _hue(),
            tooltip=[
                alt.Tooltip("at:N", title="UTC"),
                alt.Tooltip("series:N", title="of"),
                alt.Tooltip("shown:N", title=unit),
            ],
        )
    )


def lines_over_time(
    values: Sequence[Row], clock: Clock, *, unit: str, form: Form, axis: AxisForm, from_zero: bool, counted: str
) -> Spec:
    """Show amounts that do not add up: lines with a point in the middle of each step.

    :param values: with ``time``, ``series``, ``hue``, ``amount`` and ``count``.
    :param unit: of the amounts.
    :param from_zero: whether their axis begins at zero.
    :param counted: what ``count`` is the number of.
    """
    placed = [clock.place(value) for value in _written(values, form)]
    middles = [{**value, "time": (value["time"] + value["until"]) / 2} for value in placed]
    most = max(abs(value["amount"]) for value in values)
    return _finish(
        alt.Chart(_data(middles))
        .mark_line(point={"size": 36}, strokeWidth=2)
        .encode(
            _time_axis(clock),
            alt.Y(
                "amount:Q",
                axis=_amounts_axis(axis(most)),
                # Of nothing but zeros, zero is at the bottom.
                scale=alt.Scale(domain=[0, 1]) if from_zero and most == 0 else alt.Scale(zero=from_zero, nice=True),
            ),
            _hue(),
            tooltip=[
                alt.Tooltip("at:N", title="UTC"),
                alt.Tooltip("series:N", title="of"),
                alt.Tooltip("shown:N", title=unit),
                alt.Tooltip("count:Q", title=counted, format=",d"),
            ],
        )
    )


def bars(values: Sequence[Row], _: Clock | None, *, hue: str, unit: str, form: Form, counted: str) -> Spec:
    """Show one amount for each name, written behind its bar.

    :param values: with ``name``, ``amount`` and ``count``.
    :param hue: of all bars.
    :param unit: of the amounts.
    :param counted: what ``count`` is the number of.
    """
    # Room for the number behind the longest bar.
    most = max(value["amount"] for value in values) * 1.4 or 1
    base = alt.Chart(_data(_ranked(_written(values, form)))).encode(
        _names(),
        alt.X("amount:Q", axis=None, scale=alt.Scale(domain=[0, most], nice=False), stack=None),
        tooltip=[
            alt.Tooltip("name:N", title="of"),
            alt.Tooltip("shown:N", title=unit),
            alt.Tooltip("count:Q", title=counted, format=",d"),
        ],
    )
    numbers = base.mark_text(align="left", dx=6, fontSize=12, color="var(--text)")
    return _finish(
        base.mark_bar(color=f"var(--hue-{hue})", height={"band": 0.6}, cornerRadiusEnd=2)
        + numbers.encode(alt.Text("shown:N")),
        _height(values),
    )


def points(values: Sequence[Row], _: Clock | None, *, unit: str, form: Form) -> Spec:
    """Show several amounts for each name, as points on one line.

    :param values: with ``name``, ``series``, ``hue`` and ``amount``.
    :param unit: of the amounts.
    """
    base = alt.Chart(_data(_ranked(_written(values, form)))).encode(_names())
    most = max(value["amount"] for value in values)
    written = ",.3~r" if most < LARGEST_WRITTEN else "~e"
    # No label that is cut where the chart ends.
    axis = alt.Axis(title=unit, format=written, tickCount=TICKS, grid=False, labelBound=True)
    lines = base.mark_rule(color="var(--line)", strokeWidth=3).encode(
        alt.X("min(amount):Q", axis=axis, scale=alt.Scale(type="log", nice=False, padding=12)), alt.X2("max(amount)")
    )
    dots = base.mark_point(filled=True, size=90, opacity=1).encode(
        alt.X("amount:Q"),
        _hue(),
        tooltip=[
            alt.Tooltip("name:N", title="of"),
            alt.Tooltip("series:N", title="percentile"),
            alt.Tooltip("shown:N", title=unit),
        ],
    )
    return _finish(lines + dots, _height(values))


def _data(values: Sequence[Row]) -> Any:
    # Data without a type of its own stays in its chart: Altair moves other kinds away and names them by hashes.
    made: Any = alt.Data
    return made(values=list(values))


def _written(values: Sequence[Row], form: Form) -> list[Row]:
    """Return the rows with ``shown``, the amount as people read it."""
    return [{**value, "shown": form(value["amount"])} for value in values]


def _piled(values: Sequence[Row]) -> list[Row]:
    """Return the rows with ``low`` and ``high``, those of one time on top of each other in the order of the rows."""
    tops: defaultdict[float, float] = defaultdict(float)
    piled = []
    for value in values:
        low = tops[value["time"]]
        tops[value["time"]] = high = low + value["amount"]
        piled.append({**value, "low": low, "high": high})
    return piled


def _time_axis(clock: Clock) -> alt.X:
    axis = alt.Axis(title=None, format=clock.axis_format, grid=False, labelOverlap=True, tickCount=8)
    # As expressions: of plain numbers Vega-Lite makes calls of datetime(), which Vega's interpreter does not know so.
    first, last = alt.ExprRef(str(clock.start)), alt.ExprRef(str(clock.end))
    return alt.X("time:T", axis=axis, scale=alt.Scale(type="utc", domainMin=first, domainMax=last, nice=False))


def _amounts_axis(settings: dict[str, Any]) -> alt.Axis:
    given: dict[str, Any] = {"title": None, "tickCount": TICKS, **settings}
    return alt.Axis(**given)


def _ranked(values: Sequence[Row]) -> list[Row]:
    """Return the rows with ``rank``, the place of their name."""
    ranks = {name: rank for rank, name in enumerate(dict.fromkeys(value["name"] for value in values))}
    return [{**value, "rank": ranks[value["name"]]} for value in values]


def _names() -> alt.Y:
    axis = alt.Axis(title=None, ticks=False, domain=False, labelPadding=8, labelColor="var(--text)")
    # By rank: a list of names would become part of an expression, which not all characters may be in.
    return alt.Y("name:N", sort=alt.EncodingSortField("rank", op="min"), axis=axis)


def _hue() -> alt.Color:
    # By hue, not by name: Vega keeps lines by this text where "constructor" is taken. The page has legends of its own.
    hues = alt.Scale(domain=HUES, range=[f"var(--hue-{hue})" for hue in HUES])
    return alt.Color("hue:N", scale=hues, legend=None)


def _height(values: Sequence[Row]) -> int:
    return ROW_HEIGHT * len({value["name"] for value in values})


def _finish(chart: Any, height: int = HEIGHT) -> Spec:
    autosize = alt.AutoSizeParams(type="fit-x", contains="padding")
    spec = chart.properties(width="container", height=height, autosize=autosize).to_dict()
    # The page knows what it is, and names no address.
    del spec["$schema"]
    return {**spec, "config": CONFIG}
