"""The plot of the results, in colours that can be read on light and on dark ground."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl

mpl.use("svg")

from matplotlib import pyplot as plt
from matplotlib.ticker import LogLocator

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from benchmarks.series import Results, Series

INK, OURS, THEIRS = "#808080", "#e07b00", "#4c8fd1"
SIZES = ("10k", "100k", "1m")
MEMORY = ("ours-gzip", "requests", "vendor", "dlt")
READERS = {
    "latency": ("-", "slow server, 0.55 kB events"),
    "latency-4k": ("--", "slow server, 4.3 kB events"),
    "concurrency": (":", "fast server, 4.3 kB events"),
}
STYLE = {
    "svg.hashsalt": "bench",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.facecolor": "none",
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}


def draw(results: Results, path: Path) -> None:
    """Draw what was measured; a panel of what was not stays empty."""
    with mpl.rc_context(STYLE):
        figure, ((time, memory), (readers, growth)) = plt.subplots(2, 2, figsize=(10, 7), layout="constrained")
        _bars(time, [each for each in results.case("100k") if each.runs])
        sizes = {name: [s for case in SIZES for s in results.of(case, name)] for name in MEMORY}
        _lines(memory, sizes, "peak_mb")
        memory.set(title="Peak memory, events of 4.3 kB", ylabel="MB")
        _readers(readers, results)
        _lines(growth, {name: results.of("growth", name) for name in ("ours-gzip", "requests")}, "wall_s")
        growth.set(title="Wall time, slow server that pays for skipped rows", ylabel="s")
        figure.savefig(path, transparent=True, metadata={"Date": None})
        plt.close(figure)


def _bars(axes: Axes, case: list[Series]) -> None:
    case = case[::-1]
    walls = [each.median("wall_s") or 0.0 for each in case]
    bars = axes.barh([each.name for each in case], walls, color=[_colour(each.name) for each in case])
    axes.bar_label(bars, [f" {wall:.1f}" for wall in walls])
    axes.set(title="Wall time, 100,000 events of 4.3 kB", xlabel="s")
    axes.margins(x=0.1)


def _lines(axes: Axes, lines: dict[str, list[Series]], key: str) -> None:
    for name, series in lines.items():
        points = [(each.events, each.median(key)) for each in series if each.runs]
        if points:
            axes.plot(*zip(*points, strict=True), marker="o", color=_colour(name))
            axes.annotate(name, points[-1], xytext=(0, 5), textcoords="offset points", ha="right")
    axes.set(xscale="log", yscale="log", xlabel="events")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter("{x:,.0f}")
        axis.set_minor_formatter("")
    axes.margins(y=0.15)


def _readers(axes: Axes, results: Results) -> None:
    for case, (dash, label) in READERS.items():
        series = [each for each in results.case(case) if each.name.startswith("ours-gzip@") and each.runs]
        if series:
            one = series[0].median("wall_s") or 1.0
            points = [(each.concurrency, one / (each.median("wall_s") or 1.0)) for each in series]
            axes.plot(*zip(*points, strict=True), dash, marker="o", color=OURS, label=label)
            axes.legend()
    axes.plot([1, 16], [1, 16], color=INK, linewidth=0.5)
    ticks = [1, 2, 4, 8, 16]
    axes.set(title="Speed relative to one reader", xlabel="readers", xscale="log", yscale="log", ylabel="times")
    axes.set_xticks(ticks, labels=map(str, ticks))
    axes.set_yticks(ticks, labels=map(str, ticks))
    axes.minorticks_off()


def _colour(name: str) -> str:
    return OURS if name.startswith("ours") else THEIRS
