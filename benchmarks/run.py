"""Measure our export side by side with what a user would do instead, and write the results.

    python benchmarks/run.py                     all cases, into benchmarks/ (takes over an hour)
    python benchmarks/run.py --case 100k         one case, into build/bench/
    python benchmarks/run.py --quick             all cases with a tenth of the events, once each
    python benchmarks/run.py --case 100k --contender ours-gzip@4 --contender curl-gzip --runs 5

Runs of the contenders alternate, so that noise of the machine hits all alike; what each has written is checked.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from airflow_provider_honeyhive.api.endpoints import ENDPOINTS
from airflow_provider_honeyhive.reading.page_size import PageSizer
from benchmarks import import_cost, new_fields, profiling, report
from benchmarks.cases import CASES, Case
from benchmarks.check import WrongResultError, check_count, check_ids
from benchmarks.commands import NAMES, Errand, contender
from benchmarks.dataset import Dataset, render
from benchmarks.machine import commit, describe

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
HERE, BUILD = ROOT / "benchmarks", ROOT / "build" / "bench"
TIMEOUT_S = 3600
SHOWN_OF_AN_ERROR = 300


def main() -> int:
    """Measure, and write the report; 1 if something failed."""
    options = _options()
    cases = [_chosen(case, options) for case in CASES if not options.case or case.name in options.case]
    special = [name for name in SPECIAL if not options.case or name in options.case]
    partial = bool(options.case or options.quick or options.contender or options.runs)
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
            results[name] = {"error": _end_of(error.stderr)}
    file.write_text(json.dumps(results, indent=1) + "\n")
    report.write(results, directory)
    sys.stdout.write(report.summary(results) + f"The rest is in {directory}/RESULTS.md\n")
    failed = any(run["error"] for case in results["cases"].values() for run in case["runs"])
    return 1 if failed or any("error" in results.get(name, {}) for name in SPECIAL) else 0


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
    parser.add_argument("--runs", type=int, help="how often each is measured (default: 3; 1 with --quick)")
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
                for name in case.contenders:
                    if number < (case.slow_runs if contender(name).slow else case.runs):
                        run = measure_run(name, dataset, server, served, scratch)
                        _say(case, run)
                        yield run


@contextlib.contextmanager
def serving(dataset: Dataset, case: Case, scratch: Path) -> Iterator[dict[str, Any]]:
    """Serve a data set; the value is what the server says about itself."""
    what = ["--events", str(dataset.count), "--size", str(dataset.size), "--seed", str(dataset.seed)]
    delays = case.delays
    slow = ["--latency", str(delays.answer), "--per-1000", str(delays.per_1000)]
    slow += ["--per-1000-skipped", str(delays.per_1000_skipped)]
    slow += ["--serialise"] if case.serialise else []
    command = [sys.executable, str(HERE / "server.py"), *what, *slow, "--data", str(scratch / "data")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own server
        try:
            yield json.loads(next(iter(process.stdout or ())))
        finally:
            process.terminate()


def measure_run(
    name: str, dataset: Dataset, server: dict[str, Any], served: set[bytes], scratch: Path
) -> dict[str, Any]:
    """Let one contender fetch everything once."""
    who = contender(name)
    with _errand(dataset, server, scratch) as errand:
        environment = {**errand.environment, **dict(who.environment), "AIRFLOW_HOME": str(scratch / "airflow")}
        _ask(server["url"] + "/reset", b"")
        # What the one before has left to be written must not be paid by this one.
        os.sync()
        measured, error = run_measured(who.command(errand), environment, errand.scratch)
        stats = json.loads(_ask(server["url"] + "/stats"))
        if error is None:
            error = _wrong(errand.output, served, ours=who.ours)
        slices = _slices(errand.output) if who.ours else 0
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


def _slices(output: Path) -> int:
    """Return in how many slices an export of ours read its window."""
    manifests = output.rglob("*manifest.json")
    return next((int(json.loads(path.read_text())["slice_count"]) for path in manifests), 0)


def _page_size(event_size: int, readers: int) -> int:
    """Return the events of a page that an export of ours aims for."""
    return max(1, min(ENDPOINTS["export"].max_limit, PageSizer(readers=readers).suiting(event_size)))


def run_measured(command: list[str], environment: dict[str, str], temporary: Path) -> tuple[dict[str, Any], str | None]:
    """Run a command to its end; return what it took, and what went wrong."""
    result, log = temporary / "measured.json", temporary / "log"
    launcher = [sys.executable, "-I", "-S", str(HERE / "measure.py"), str(result), *command]
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HH_", "AIRFLOW", "PYTHON"))}
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - commands of this folder
            launcher,
            stdout=output,
            stderr=output,
            cwd=ROOT,
            env={**kept, **environment, "TMPDIR": str(temporary)},
            start_new_session=True,
        )
        try:
            process.wait(TIMEOUT_S)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                return {}, f"took more than {TIMEOUT_S} s"
            raise
    measured = json.loads(result.read_text())
    if measured["exit_code"]:
        return measured, f"exit code {measured['exit_code']}: {_end_of(log.read_text(errors='replace'))}"
    return measured, None


def measure_profile(options: argparse.Namespace) -> dict[str, Any]:
    """Return where the time of our export goes, compressed and not."""
    case = next(case for case in CASES if case.name == "100k")
    case = case.quick() if options.quick else case
    (dataset,) = case.datasets
    profiles = {}
    with serving(dataset, case, options.scratch) as server:
        for name in ("ours-gzip@4", "ours-none@4", "ours-gzip@1"):
            with _errand(dataset, server, options.scratch) as errand:
                profiles[name] = profiling.measure(contender(name).command(errand), errand.environment)
    return {"title": case.full_title, "runs": profiles}


def measure_imports(options: argparse.Namespace) -> dict[str, Any]:
    """Return what the provider costs where DAG files are parsed."""
    return import_cost.measure(options.scratch, runs=1 if options.quick else 7)


def measure_fields(options: argparse.Namespace) -> dict[str, Any]:
    """Return what fields without a column cost in Parquet and CSV."""
    return {**new_fields.measure(*((1, 2_000) if options.quick else (7,))), "machine": describe(options.scratch)}


#: Cases that are no race between contenders.
SPECIAL = {"fields": measure_fields, "imports": measure_imports, "profile": measure_profile}


@contextlib.contextmanager
def _errand(dataset: Dataset, server: dict[str, Any], scratch: Path) -> Iterator[Errand]:
    with _empty(scratch / "output") as output, _empty(scratch / "temporary") as temporary:
        yield Errand(
            url=server["url"],
            project=server["project"],
            start=server["start"],
            end=server["end"],
            count=dataset.count,
            size=dataset.size,
            output=output,
            scratch=temporary,
        )


def _wrong(output: Path, served: set[bytes], *, ours: bool) -> str | None:
    try:
        if ours:
            check_ids(output, served)
        else:
            check_count(output, len(served))
    except (WrongResultError, OSError, ValueError, EOFError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def _end_of(text: str) -> str:
    return " ".join(text.split())[-SHOWN_OF_AN_ERROR:]


@contextlib.contextmanager
def _empty(directory: Path) -> Iterator[Path]:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _ask(url: str, body: bytes | None = None) -> bytes:
    with urllib.request.urlopen(url, body, timeout=60) as answer:  # noqa: S310 - our own server
        return answer.read()


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
