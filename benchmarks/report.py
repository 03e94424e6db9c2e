"""From measurements to ``RESULTS.md``: tables, the ratios that were promised, and a plot.

python benchmarks/report.py      writes RESULTS.md and results.svg anew from benchmarks/results.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import plot, profiling
from benchmarks.promises import PROMISES, excess
from benchmarks.series import Results
from benchmarks.store_tables import STORE_TABLES
from benchmarks.tables import origin, table

HERE = Path(__file__).resolve().parent

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
  page after page over one connection; with `igzip -1` behind it, which is ISA-L's compressor, it is the limit of what
  one connection can do. All loops ask for as many events a page as the larger pages of ours have (16 MB,
  at most 7500 events). Whoever compresses uses gzip level 1, except dlt, which has no setting for it (and is also shown
  uncompressed). The scripts are in `benchmarks/contenders/`; `HttpOperator` runs by its `execute()`, without a
  scheduler or database, and dlt keeps nested objects in one table (`max_table_nesting=0`).
- **Numbers** are medians, with the range in brackets. Contenders take turns, so that noise hits all alike. CPU is user
  and system time and peak memory the largest resident set, both from `wait4`, with child processes: of `curl | gzip`
  the larger one's memory. The floor of what can be seen is 9 MB.
- **Checked after each run**: of ours, that every event served is on disk exactly once, by its id; of the others, that
  their number is right. What failed is shown as failed.
"""


def write(measured: dict[str, Any], directory: Path) -> None:
    """Write ``RESULTS.md`` and ``results.svg``.

    :param measured: what ``results.json`` holds.
    """
    results = Results(measured)
    plot.draw(results, directory / "results.svg")
    parts = [HEAD]
    if measured.get("quick"):
        parts.append("**A quick run: a tenth of the events, once each. The ratios mean little.**\n\n")
    parts += ["## What was promised\n\n", table(["promise", "limit", "measured", ""], _promised(results)), METHOD]
    parts += ["\n", _machine(measured["machine"])]
    parts += [_case(results, name) for name in measured["cases"]]
    parts += [_requests_table(results)]
    parts += [tables(measured[name]) for name, tables in STORE_TABLES.items() if name in measured]
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
    return "## Machine and versions\n\n" + table(["what", "which"], [[name, fact] for name, fact in facts.items()])


def _case(results: Results, name: str) -> str:
    case = results.case(name)
    several = len({each.events for each in case}) > 1
    first = next((each for each in case if each.name.startswith("ours-gzip")), None)
    reference = None if first is None or several else first.median("wall_s")
    head = ["contender", *(["events"] if several else []), "wall, s", *([] if several else ["/ first"])]
    head += ["CPU, s", "CPU, s a GB", "peak MB", "MB/s", "requests", "at once", "runs"]
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
        cpu = each.median("cpu_s")
        cells += [each.range("cpu_s", 2), f"{cpu / each.megabytes * 1000:.1f}" if cpu and each.megabytes else ""]
        cells += [each.range("peak_mb", 0), f"{each.megabytes / wall:,.0f}" if wall else ""]
        cells += [each.range_served("requests"), str(each.most_served("peak_in_flight")), str(each.runs)]
        rows.append(cells)
    return f"## {results.title(name)}\n\n{origin(name, results.commit(name))}{table(head, rows)}"


def _requests_table(results: Results) -> str:
    rows = [
        [
            results.title(each.case),
            str(each.concurrency),
            f"{each.events / each.page_size:.1f}",
            "/".join(str(run["slices"]) for run in each.good_runs),
            each.range_served("requests"),
            f"{excess(each):.2f}",
        ]
        for each in results.ours()
        if each.name.startswith("ours-gzip") and each.events > each.page_size
    ]
    head = ["case", "readers", "events / page size", "slices", "requests", "requests / (events / page size + slices)"]
    return "## Requests\n\n" + table(head, rows)


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
        f"{head}{origin('fields', measured['commit'])}"
        f"{measured['events']:,} of the sandbox's events, as files in memory (`benchmarks/new_fields.py`): processor"
        " time of an event, and relative to events without such fields. On "
        + ", ".join(
            f"{name} {measured['machine'][name]}" for name in ("Processor", "Python", "msgspec", "pyarrow", "isal")
        )
        + ".\n\n"
        + table(["more fields", "Parquet with zstd, µs", "", "CSV with gzip, µs", ""], rows)
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
        f"## Parsing DAG files\n\n{origin('imports', imports['commit'])}"
        "Importing a module after what any DAG file imports from Airflow anyway; own files by"
        " `-X importtime`.\n\n"
        + table(head, rows)
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
        f"## Where the time goes\n\n{origin('profile', measured['commit'])}"
        f"{measured['title']}, sampled every 2 ms (`benchmarks/profiling.py`): the share of"
        " the processor time of all threads, and the seconds that threads spent there, waiting for the server or for"
        " the interpreter's lock included.\n\n"
        + table(["phase", *profiles], [*rows, ["**in all**", *totals]])
        + "The busiest lines of the first:\n\n"
        + table(["line", "CPU, s"], lines)
    )


def _share(profile: dict[str, Any], phase: str) -> str:
    spent = profile["phases"].get(phase, {"cpu_s": 0.0, "wall_s": 0.0})
    total = sum(each["cpu_s"] for each in profile["phases"].values())
    wall = "" if phase == profiling.IDLE else f", {spent['wall_s']:.2f} s"
    return f"{spent['cpu_s'] / total:.0%}{wall}"


if __name__ == "__main__":
    write(json.loads((HERE / "results.json").read_text()), HERE)
