"""From measurements to ``RESULTS.md``: tables, the ratios that were promised, and a plot.

python benchmarks/report.py      writes RESULTS.md and results.svg anew from benchmarks/results.json
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import plot, profiling
from benchmarks.series import Results, Series

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).resolve().parent
#: Pages from which on the small ones at the beginning do not decide how many requests there are.
MANY_PAGES = 25

HEAD = """\
# Benchmarks

Our export (`python -m airflow_provider_honeyhive export`) and what a user would do instead, side by side: one machine,
one run, the same server, the same events. Written by `make bench`; do not edit by hand.

![wall time, memory, readers and growth](results.svg)

"""

METHOD = """\
## How it was measured

- **Server**: `benchmarks/server.py`, a process of its own on loopback, which copies pages out of its memory, a
  gigabyte a second and more, or, where said so, makes their JSON as other servers do. It counts requests, requests at
  once, events and bytes. The slow cases make it wait for each answer and for the events in it, and, where said so, for
  rows that a page number skips.
- **Events**: `benchmarks/dataset.py`. Texts with the word frequencies of a language in the shape of LLM traces;
  `gzip -1` makes 4.3 kB events 2.8 times smaller, its texts alone 2.3 times.
- **Contenders** are commands, each in its own process: start of the interpreter and imports included. `curl` fetches
  page after page over one connection. All loops ask for as many events a page as the larger pages of ours have (16 MB,
  at most 7500 events). Whoever compresses uses gzip level 1, except dlt, which has no setting for it (and is also shown
  uncompressed). The scripts are in `benchmarks/contenders/`; `HttpOperator` runs by its `execute()`, without a
  scheduler or database, and dlt keeps nested objects in one table (`max_table_nesting=0`).
- **Numbers** are medians, with the range in brackets. Contenders take turns, so that noise hits all alike. CPU is user
  and system time and peak memory the largest resident set, both from `wait4`, with child processes: of `curl | gzip`
  the larger one's memory. The floor of what can be seen is 9 MB.
- **Checked after each run**: of ours, that every event served is on disk exactly once, by its id; of the others, that
  their number is right. What failed is shown as failed.
"""


@dataclass(frozen=True)
class Promise:
    """Something that must hold.

    :param text: what.
    :param measure: the number, None where it was not measured.
    :param most: it must be at most this...
    :param least: ...or at least this.
    """

    text: str
    measure: Callable[[Results], float | None]
    most: float | None = None
    least: float | None = None

    def row(self, results: Results) -> list[str]:
        """Return the cells of its row."""
        limit = f"≤ {self.most:g}" if self.most is not None else f"≥ {self.least:g}"
        number = self.measure(results)
        if number is None:
            return [self.text, limit, "not measured", ""]
        holds = (self.most is None or number <= self.most) and (self.least is None or number >= self.least)
        return [self.text, limit, f"{number:.3g}", "pass" if holds else "**FAIL**"]


def _time_ratio(case: str, ours: str, theirs: str) -> Callable[[Results], float | None]:
    return lambda results: _ratio(results.median(case, ours, "wall_s"), results.median(case, theirs, "wall_s"))


def _ratio(one: float | None, other: float | None) -> float | None:
    return one / other if one is not None and other else None


def _peak(results: Results) -> float | None:
    lines = [each for each in results.ours() if each.event_size == 4300 and "parquet" not in each.name]
    return max((each.most("peak_mb") for each in lines if each.concurrency == 4), default=None)


def _peak_of(case: str, contender: str) -> Callable[[Results], float | None]:
    return lambda results: max((each.most("peak_mb") for each in results.of(case, contender)), default=None)


def _memory_growth(results: Results) -> float | None:
    return _ratio(results.median("1m", "ours-gzip", "peak_mb"), results.median("100k", "ours-gzip", "peak_mb"))


def _growth(contender: str) -> Callable[[Results], float | None]:
    def measure(results: Results) -> float | None:
        series = sorted(results.of("growth", contender), key=lambda each: each.events)
        return _ratio(series[-1].median("wall_s"), series[0].median("wall_s")) if len(series) > 1 else None

    return measure


def _fields_cost(file_format: str) -> Callable[[Results], float | None]:
    return lambda results: _ratio(*(results.fields_cost(name, file_format) for name in ("five unknown", "none")))


def _speed_up(results: Results) -> float | None:
    one, eight = (results.median("latency", f"ours-gzip@{readers}", "wall_s") for readers in (1, 8))
    return _ratio(one, eight)


def _requests(results: Results) -> float | None:
    return max((_excess(each) for each in results.ours() if each.events > MANY_PAGES * each.page_size), default=None)


def _excess(series: Series) -> float:
    """Return the requests, relative to a full page for all events and one more for each slice; of the worst run."""
    pages = series.events / series.page_size
    return max((run["served"]["requests"] / (pages + run["slices"]) for run in series.good_runs), default=0.0)


def _in_flight(results: Results) -> float | None:
    return max((max(0, each.most_served("peak_in_flight") - each.concurrency) for each in results.ours()), default=None)


PROMISES = (
    Promise("gzip: wall time / `curl \\| gzip -1`, 100k", _time_ratio("100k", "ours-gzip", "curl-gzip"), most=0.5),
    Promise("gzip: wall time / vendor's client, 100k", _time_ratio("100k", "ours-gzip", "vendor"), most=0.25),
    Promise("gzip: wall time / dlt, 100k", _time_ratio("100k", "ours-gzip", "dlt"), most=0.15),
    Promise(
        "uncompressed: wall time / `curl` to a file, server makes its JSON",
        _time_ratio("serialised", "ours-none", "curl"),
        most=2,
    ),
    Promise("...and where the server copies out of memory, 100k", _time_ratio("100k", "ours-none", "curl"), most=2),
    Promise("peak memory in MB, JSONL, events of 4.3 kB, concurrency 4, any number: largest of all", _peak, most=150),
    Promise("peak memory, 1M events / 100k events", _memory_growth, most=1.15),
    Promise("peak memory in MB, JSONL, events of 1 MB", _peak_of("1mb", "ours-gzip"), most=400),
    Promise("Parquet: wall time / gzip JSONL, 100k", _time_ratio("100k", "ours-parquet", "ours-gzip"), most=2),
    Promise("Parquet: peak memory in MB, 100k", _peak_of("100k", "ours-parquet"), most=300),
    Promise("...and with events of 1 MB", _peak_of("1mb", "ours-parquet"), most=600),
    Promise("Parquet: CPU time with five fields without a column / without them", _fields_cost("parquet"), most=1.15),
    Promise("CSV: CPU time with five fields without a column / without them", _fields_cost("csv"), most=1.15),
    Promise("slow server: wall time of 1 reader / 8 readers", _speed_up, least=6),
    Promise("slow server: wall time, 10 times the events", _growth("ours-gzip"), most=11),
    Promise("...and that of a page-number loop, for comparison", _growth("requests"), least=11),
    Promise("requests / (events / page size + slices): worst of all runs", _requests, most=1.1),
    Promise("most requests at once, beyond the concurrency asked for", _in_flight, most=0),
    Promise("runs of ours that failed or wrote anything but each event once", Results.our_failures, most=0),
)


def write(measured: dict[str, Any], directory: Path) -> None:
    """Write ``RESULTS.md`` and ``results.svg``.

    :param measured: what ``results.json`` holds.
    """
    results = Results(measured)
    plot.draw(results, directory / "results.svg")
    parts = [HEAD]
    if measured.get("quick"):
        parts.append("**A quick run: a tenth of the events, once each. The ratios mean little.**\n\n")
    parts += ["## What was promised\n\n", _table(["promise", "limit", "measured", ""], _promised(results)), METHOD]
    parts += ["\n", _machine(measured["machine"])]
    parts += [_case(results, name) for name in measured["cases"]]
    parts += [_requests_table(results)]
    if "fields" in measured:
        parts.append(_fields(measured["fields"]))
    if "imports" in measured:
        parts.append(_imports(measured["imports"]))
    if "profile" in measured:
        parts.append(_profiles(measured["profile"]))
    (directory / "RESULTS.md").write_text("".join(parts))


def summary(measured: dict[str, Any]) -> str:
    """Return the promises that can be judged, for a terminal."""
    rows = [promise.row(Results(measured)) for promise in PROMISES]
    return "".join(f"{row[3] or '-':8} {row[2]:>6} {row[1]:>7}  {row[0]}\n" for row in rows if row[3])


def _promised(results: Results) -> list[list[str]]:
    return [promise.row(results) for promise in PROMISES]


def _machine(facts: dict[str, str]) -> str:
    return "## Machine and versions\n\n" + _table(["what", "which"], [[name, fact] for name, fact in facts.items()])


def _case(results: Results, name: str) -> str:
    case = results.case(name)
    several = len({each.events for each in case}) > 1
    first = next((each for each in case if each.name.startswith("ours-gzip")), None)
    reference = None if first is None or several else first.median("wall_s")
    head = ["contender", *(["events"] if several else []), "wall, s", *([] if several else ["/ first"])]
    head += ["CPU, s", "peak MB", "MB/s", "requests", "at once", "runs"]
    rows = []
    for each in case:
        cells = [each.label, *([f"{each.events:,}"] if several else [])]
        if each.error is not None:
            rows.append([*cells, f"**failed**: {each.error}"])
            continue
        wall = each.median("wall_s")
        cells.append(each.range("wall_s", 2))
        if not several:
            cells.append(f"{wall / reference:.2f}" if wall and reference else "")
        cells += [each.range("cpu_s", 2), each.range("peak_mb", 0), f"{each.megabytes / wall:,.0f}" if wall else ""]
        cells += [each.range_served("requests"), str(each.most_served("peak_in_flight")), str(each.runs)]
        rows.append(cells)
    return f"## {results.title(name)}\n\n{_origin(name, results.commit(name))}{_table(head, rows)}"


def _origin(case: str, commit: str) -> str:
    return f"`python benchmarks/run.py --case {case}`, at commit {commit}\n\n"


def _requests_table(results: Results) -> str:
    rows = [
        [
            results.title(each.case),
            str(each.concurrency),
            f"{each.events / each.page_size:.1f}",
            "/".join(str(run["slices"]) for run in each.good_runs),
            each.range_served("requests"),
            f"{_excess(each):.2f}",
        ]
        for each in results.ours()
        if each.name.startswith("ours-gzip") and each.events > each.page_size
    ]
    head = ["case", "readers", "events / page size", "slices", "requests", "requests / (events / page size + slices)"]
    return "## Requests\n\n" + _table(head, rows)


def _fields(measured: dict[str, Any]) -> str:
    head = "## Fields that have no column\n\n"
    if "error" in measured:
        return f"{head}**failed**: {measured['error']}\n\n"
    least = measured["seconds"]["none"]
    rows = [
        [
            name,
            *(
                cell
                for file_format in ("parquet", "csv")
                for cell in (
                    f"{seconds[file_format] / measured['events'] * 1e6:.1f}",
                    f"{seconds[file_format] / least[file_format]:.2f}",
                )
            ),
        ]
        for name, seconds in measured["seconds"].items()
    ]
    return (
        f"{head}{_origin('fields', measured['commit'])}"
        f"{measured['events']:,} of the sandbox's events, as files in memory (`benchmarks/new_fields.py`): processor"
        " time of an event, and relative to events without such fields. On "
        + ", ".join(
            f"{name} {measured['machine'][name]}" for name in ("Processor", "Python", "msgspec", "pyarrow", "isal")
        )
        + ".\n\n"
        + _table(["more fields", "Parquet with zstd, µs", "", "CSV with gzip, µs", ""], rows)
    )


def _imports(imports: dict[str, Any]) -> str:
    if "error" in imports:
        return f"## Parsing DAG files\n\n**failed**: {imports['error']}\n\n"
    rows = [
        [
            f"`{module}`",
            f"{cost['base_s'] * 1000:,.0f}",
            f"{cost['own_s'] * 1000:.0f}",
            f"{cost['self_s'] * 1000:.0f}",
            ", ".join(cost["heavy"]) or "none",
        ]
        for module, cost in imports["modules"].items()
    ]
    head = ["module", "Airflow's base class, ms", "on top, ms", "of that our own files, ms", "heavy packages loaded"]
    parse = imports["parse"]
    return (
        f"## Parsing DAG files\n\n{_origin('imports', imports['commit'])}"
        "Importing a module after what any DAG file imports from Airflow anyway; own files by"
        " `-X importtime`.\n\n"
        + _table(head, rows)
        + f"Parsing {len(parse['dags'])} example DAGs in a fresh process, imports of the provider included, takes"
        f" {parse['examples_s'] * 1000:.0f} ms; one DAG with a single empty task"
        f" {parse['empty_s'] * 1000:.0f} ms.\n\n"
    )


def _profiles(measured: dict[str, Any]) -> str:
    if "error" in measured:
        return f"## Where the time goes\n\n**failed**: {measured['error']}\n\n"
    profiles = measured["runs"]
    phases = dict.fromkeys(phase for profile in profiles.values() for phase in profile["phases"])
    rows = [[phase, *(_share(profile, phase) for profile in profiles.values())] for phase in phases]
    totals = [f"{profile['wall_s']:.2f} s wall, {profile['cpu_s']:.2f} s CPU" for profile in profiles.values()]
    lines = [
        [f"`{line.replace('|', chr(92) + '|')}`", f"{seconds:.2f}"]
        for line, seconds in next(iter(profiles.values()))["lines"].items()
    ]
    return (
        f"## Where the time goes\n\n{_origin('profile', measured['commit'])}"
        f"{measured['title']}, sampled every 2 ms (`benchmarks/profiling.py`): the share of"
        " the processor time of all threads, and the seconds that threads spent there, waiting for the server or for"
        " the interpreter's lock included.\n\n"
        + _table(["phase", *profiles], [*rows, ["**in all**", *totals]])
        + "The busiest lines of the first:\n\n"
        + _table(["line", "CPU, s"], lines)
    )


def _share(profile: dict[str, Any], phase: str) -> str:
    spent = profile["phases"].get(phase, {"cpu_s": 0.0, "wall_s": 0.0})
    total = sum(each["cpu_s"] for each in profile["phases"].values())
    wall = "" if phase == profiling.IDLE else f", {spent['wall_s']:.2f} s"
    return f"{spent['cpu_s'] / total:.0%}{wall}"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join([*row, *[""] * (len(head) - len(row))]) + " |" for row in rows]
    return "\n".join(lines) + "\n\n"


if __name__ == "__main__":
    write(json.loads((HERE / "results.json").read_text()), HERE)
