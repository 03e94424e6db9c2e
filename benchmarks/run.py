"""Measure our export side by side with what a user would do instead, and write the results.

    python benchmarks/run.py                     all cases, into benchmarks/ (takes most of an hour)
    python benchmarks/run.py --case 100k         one case, into build/bench/
    python benchmarks/run.py --quick             all cases with a tenth of the events, once each (some minutes)
    python benchmarks/run.py --case 100k --contender ours-gzip@4 --contender curl-gzip --runs 5

Runs of the contenders alternate, so that noise of the machine hits all alike; what each has written is checked.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from airflow_provider_honeyhive.api.endpoints import ENDPOINTS
from airflow_provider_honeyhive.reading.page_size import PageSizer
from benchmarks import builds, import_cost, new_fields, object_stores, overlap, profiling, report, start, stores
from benchmarks.cases import CASES, Case
from benchmarks.check import WrongResultError, check_count, check_ids
from benchmarks.commands import NAMES, contender
from benchmarks.dataset import render
from benchmarks.machine import commit, describe
from benchmarks.running import HERE, ROOT, ask, end_of, errand_to, run_measured, serving, slices_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.dataset import Dataset

BUILD = ROOT / "build" / "bench"


def main() -> int:
    """Measure, and write the report; 1 if something failed."""
    options = _options()
    cases = [_chosen(case, options) for case in CASES if not options.case or case.name in options.case]
    special = [name for name in SPECIAL if not options.case or name in options.case]
    partial = bool(options.case or options.quick or options.contender or options.store or options.runs)
    directory = BUILD if partial and not options.update else HERE
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "results.json"
    kept = json.loads(file.read_text()) if options.update else {}
    results: dict[str, Any] = {"cases": {}, **kept, "quick": options.quick, "machine": describe(options.scratch)}
    for case in cases:
        results["cases"][case.name] = {
            "title": case.full_title,
            "delays": asdict(case.delays),
            "measured_at": _now(),
            "commit": commit(),
            "runs": list(measure_case(case, options.scratch)),
        }
        file.write_text(json.dumps(results, indent=1) + "\n")
    for name in special:
        try:
            results[name] = {"commit": commit(), **SPECIAL[name](options)}
        except subprocess.CalledProcessError as error:
            results[name] = {"error": end_of(error.stderr)}
        file.write_text(json.dumps(results, indent=1) + "\n")
    report.write(results, directory)
    sys.stdout.write(report.summary(results) + f"The rest is in {directory}/RESULTS.md\n")
    runs = [run for case in [*results["cases"].values(), results.get("stores", {})] for run in case.get("runs", [])]
    failed = any(run["error"] for run in runs)
    return 1 if failed or any(results.get(name, {}).get("error") for name in SPECIAL) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [*(case.name for case in CASES), *SPECIAL]
    parser.add_argument("--case", action="append", choices=names, help="only this case; may be given again")
    parser.add_argument(
        "--contender",
        type=_contender,
        action="append",
        metavar="NAME",
        help=f"only this one in each case; may be given again: {', '.join(NAMES)}; ours also with @CONCURRENCY",
    )
    parser.add_argument("--runs", type=int, help="how often each is measured (default: 1 to 3, by case)")
    parser.add_argument(
        "--store", action="append", choices=object_stores.NAMES, help="only this object store; may be given again"
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the events, one run")
    parser.add_argument("--update", action="store_true", help="measure the cases anew in benchmarks/, keep the others")
    parser.add_argument(
        "--scratch",
        type=Path,
        default=BUILD,
        help="where the server's events and the results go (default: %(default)s)",
    )
    return parser.parse_args()


def _contender(name: str) -> str:
    try:
        contender(name)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return name


def _chosen(case: Case, options: argparse.Namespace) -> Case:
    case = case.quick() if options.quick else case
    if options.runs:
        case = replace(case, runs=options.runs, slow_runs=options.runs)
    return replace(case, contenders=tuple(options.contender)) if options.contender else case


def measure_case(case: Case, scratch: Path) -> Iterator[dict[str, Any]]:
    """Yield what each run of each contender took, and whether its result is right."""
    for dataset in case.datasets:
        with serving(dataset, case, scratch) as server:
            served = render(dataset, scratch / "data").event_ids()
            for number in range(max(case.runs, case.slow_runs)):
                for name in installed(case.contenders):
                    if number < (case.slow_runs if contender(name).slow else case.runs):
                        run = measure_run(name, dataset, server, served, scratch)
                        _say(case, run)
                        yield run


def installed(names: tuple[str, ...]) -> list[str]:
    """Return the contenders whose programs are on this machine, and say which are left out."""
    for name in names:
        if missing := contender(name).missing:
            sys.stderr.write(f"left out: {name}: {missing} is not installed\n")
    return [name for name in names if not contender(name).missing]


def measure_run(
    name: str, dataset: Dataset, server: dict[str, Any], served: set[bytes], scratch: Path
) -> dict[str, Any]:
    """Let one contender fetch everything once."""
    who = contender(name)
    with errand_to(dataset, server, scratch) as errand:
        environment = {**errand.environment, **dict(who.environment), "AIRFLOW_HOME": str(scratch / "airflow")}
        ask(server["url"] + "/reset", b"")
        # What the one before has left to be written must not be paid by this one.
        os.sync()
        measured, error = run_measured(who.command(errand), environment, errand.scratch)
        stats = json.loads(ask(server["url"] + "/stats"))
        if error is None:
            error = _wrong(errand.output, served, ours=who.ours)
        slices = slices_of(errand.output) if who.ours else 0
        size = sum(path.stat().st_size for path in errand.output.rglob("*") if path.is_file())
    return {
        "contender": name,
        "label": who.label,
        "concurrency": who.concurrency,
        "events": dataset.count,
        "event_size": dataset.size,
        "page_size": _page_size(dataset.size, who.concurrency) if who.ours else errand.page_size,
        "slices": slices,
        **measured,
        "written_mb": size / 1e6,
        "served": stats,
        "error": error,
    }


def _page_size(event_size: int, readers: int) -> int:
    """Return the events of a page that an export of ours aims for."""
    return max(1, min(ENDPOINTS["export"].max_limit, PageSizer(readers=readers).suiting(event_size)))


def measure_profile(options: argparse.Namespace) -> dict[str, Any]:
    """Return where the time of our export goes, compressed and not."""
    case = next(case for case in CASES if case.name == "100k")
    case = case.quick() if options.quick else case
    (dataset,) = case.datasets
    profiles = {}
    with serving(dataset, case, options.scratch) as server:
        for name in ("ours-gzip@4", "ours-none@4", "ours-gzip@1"):
            with errand_to(dataset, server, options.scratch) as errand:
                profiles[name] = profiling.measure(contender(name).command(errand), errand.environment)
    return {"title": case.full_title, "runs": profiles}


def measure_imports(options: argparse.Namespace) -> dict[str, Any]:
    """Return what the provider costs where DAG files are parsed."""
    return import_cost.measure(options.scratch, runs=3 if options.quick else 7)


def measure_fields(options: argparse.Namespace) -> dict[str, Any]:
    """Return what fields without a column cost in Parquet and CSV."""
    return {**new_fields.measure(*((1, 2_000) if options.quick else (7,))), "machine": describe(options.scratch)}


def measure_stores(options: argparse.Namespace) -> dict[str, Any]:
    """Return what exports into object stores take."""
    return stores.measure(options.scratch, quick=options.quick, names=options.store or object_stores.NAMES)


def measure_overlap(options: argparse.Namespace) -> dict[str, Any]:
    """Return how much is left to do when the last event has come."""
    return overlap.measure(options.scratch, quick=options.quick)


def measure_builds(case: str, options: argparse.Namespace) -> dict[str, Any]:
    """Return what is needed to build tables, a dataset and a report of exports."""
    return builds.measure(case, options.scratch, quick=options.quick)


def measure_start(options: argparse.Namespace) -> dict[str, Any]:
    """Return what it costs to start."""
    return start.measure(options.scratch, runs=5 if options.quick else 21)


#: Cases that are no race between contenders.
SPECIAL = {
    "stores": measure_stores,
    "overlap": measure_overlap,
    **{case: partial(measure_builds, case) for case in builds.SHAPES},
    "start": measure_start,
    "fields": measure_fields,
    "imports": measure_imports,
    "profile": measure_profile,
}


def _wrong(output: Path, served: set[bytes], *, ours: bool) -> str | None:
    try:
        if ours:
            check_ids(output, served)
        else:
            check_count(output, len(served))
    except (WrongResultError, OSError, ValueError, EOFError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _say(case: Case, run: dict[str, Any]) -> None:
    what = run["error"] or (
        f"{run['wall_s']:7.2f} s {run['user_s'] + run['system_s']:7.2f} s cpu {run['peak_mb']:6.0f} MB "
        f"{run['served']['requests']:5d} requests, {run['served']['peak_in_flight']} at once"
    )
    sys.stderr.write(f"{case.name:12} {run['events']:8,} {run['contender']:14} {what}\n")


if __name__ == "__main__":
    sys.exit(main())
