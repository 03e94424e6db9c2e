"""What it takes to make tables, a dataset and a report of an export, beside the export itself."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.cases import SMALL, USUAL, Case
from benchmarks.commands import contender
from benchmarks.dataset import Dataset
from benchmarks.running import empty, errand_to, run_measured, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.commands import Contender

#: Events of a session.
PER_SESSION = 8
SAMPLED_EACH_S = 0.05
KILOBYTE = 1024


@dataclass(frozen=True)
class Shape:
    """An export, and what is built from it.

    :param exporter: one of our contenders.
    :param builds: commands of ours, one after the other.
    :param serialise: the server makes the JSON of each answer, as servers do.
    """

    exporter: str
    dataset: Dataset
    builds: tuple[str, ...] = ("tables", "dataset", "report")
    serialise: bool = True


#: By case.
SHAPES = {
    "builds": (
        Shape("ours-parquet", Dataset(1_000_000, USUAL, per_session=PER_SESSION)),
        Shape("ours-gzip", Dataset(1_000_000, USUAL, per_session=PER_SESSION)),
    ),
    "builds-10m": (
        Shape("ours-parquet", Dataset(10_000_000, SMALL, per_session=PER_SESSION), builds=("tables",), serialise=False),
    ),
}


def measure(case: str, scratch: Path, *, quick: bool) -> dict[str, Any]:
    """Return what each export of a case took, and each build of it."""
    runs = []
    for shape in SHAPES[case]:
        dataset = replace(shape.dataset, count=shape.dataset.count // 10) if quick else shape.dataset
        runs.append(_measure(shape, dataset, scratch))
    return {"runs": runs, "error": next((run["error"] for run in runs if run["error"]), None)}


def _measure(shape: Shape, dataset: Dataset, scratch: Path) -> dict[str, Any]:
    who = contender(shape.exporter)
    facts: dict[str, Any] = {"label": who.label, "events": dataset.count, "event_size": dataset.size, "builds": {}}
    with (
        empty(scratch / "builds") as built,
        empty(scratch / "exported") as exported,
        empty(scratch / "building") as temporary,
    ):
        facts["export"], facts["error"] = _export(who, shape, dataset, exported, scratch)
        for name in shape.builds:
            if facts["error"] is None:
                facts["builds"][name], facts["error"] = _build(name, exported, built, temporary, dataset.count)
    return facts


def _export(
    who: Contender, shape: Shape, dataset: Dataset, output: Path, scratch: Path
) -> tuple[dict[str, Any], str | None]:
    # The server has ended before anything is built.
    case = Case("builds", "", (dataset,), (), serialise=shape.serialise)
    with serving(dataset, case, scratch) as server, errand_to(dataset, server, scratch) as errand:
        return run_measured(who.command(replace(errand, output=output)), errand.environment, errand.scratch)


def _build(
    name: str, exported: Path, built: Path, temporary: Path, event_count: int
) -> tuple[dict[str, Any], str | None]:
    source = ["--tables", str(built / "tables")] if name == "report" else ["--exports", str(exported)]
    command = [sys.executable, "-m", "airflow_provider_honeyhive", name, *source, "--output", str(built / name)]
    memory: list[int] = []
    measured, error = run_measured(command, {}, temporary, lambda session: watching(session, memory))
    if error is not None:
        return measured, error
    manifest = json.loads((built / name / f"_{name}.json").read_text())
    found = sum(source["event_count"] for source in manifest["sources"])
    if found != event_count:
        error = f"the manifest of {name} speaks of {found} events, {event_count} were served"
    size = sum(path.stat().st_size for path in (built / name).rglob("*") if path.is_file())
    # Several processes at once are more than the largest of them.
    return {
        **measured,
        "peak_mb": max([measured["peak_mb"], *(kb * KILOBYTE / 1e6 for kb in memory)]),
        "written_mb": size / 1e6,
    }, error


@contextlib.contextmanager
def watching(session: int, memory: list[int]) -> Iterator[None]:
    """Note, again and again, how many kilobytes all processes of a session have, shared ones divided among them."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(SAMPLED_EACH_S):
            memory.append(sum(_proportional_kb(process) for process in _processes_of(session)))

    thread = threading.Thread(target=watch, name="memory")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _processes_of(session: int) -> Iterator[Path]:
    for process in Path("/proc").glob("[0-9]*"):
        # What has ended meanwhile has no file any more.
        with contextlib.suppress(OSError):
            if int((process / "stat").read_text().rpartition(")")[2].split()[3]) == session:
                yield process


def _proportional_kb(process: Path) -> int:
    with contextlib.suppress(OSError):
        for line in (process / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0
