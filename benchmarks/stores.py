"""Exports into object stores: what each takes, and how many bytes and requests go to the store."""

from __future__ import annotations

import math
import sys
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from benchmarks import object_stores
from benchmarks.cases import HUGE, KILO, USUAL, Case
from benchmarks.check import WrongResultError, check_ids, data_files
from benchmarks.dataset import Dataset, render
from benchmarks.running import ask, empty, errand_to, run_measured, serving, slices_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from benchmarks.commands import Errand
    from benchmarks.object_stores import ObjectStore

MB = 1_000_000
#: What the command writes a part of by default.
DEFAULT_PART = 128 * 1024**2
USUAL_EVENTS, HUGE_EVENTS, MANY_EVENTS = Dataset(25_000, USUAL), Dataset(300, HUGE), Dataset(5_000_000, KILO)
YEAR, MOMENT = Dataset(365, USUAL, spread="year"), Dataset(200_000, KILO, spread="moment")
#: Most events of a quick run.
FEW = 20_000


@dataclass(frozen=True)
class Shape:
    """One way to export.

    :param label: what the table calls it.
    :param options: of the command.
    :param part: bytes at which a part ends; None: one object.
    :param name: below the bucket.
    """

    label: str
    options: tuple[str, ...]
    concurrency: int = 4
    part: int | None = 5 * MB
    name: str = "out/"
    dataset: Dataset = USUAL_EVENTS
    stores: tuple[str, ...] = object_stores.NAMES

    def command(self, errand: Errand, url: str) -> list[str]:
        """Return the command that exports into a bucket."""
        window = ["--project", errand.project, "--start", errand.start, "--end", errand.end]
        part = [] if self.part is None else ["--max-file-size", str(self.part)]
        return [
            sys.executable,
            "-m",
            "airflow_provider_honeyhive",
            "export",
            *window,
            *("--output", f"{url}/{self.name}", "--concurrency", str(self.concurrency)),
            *part,
            *self.options,
        ]

    def quick(self) -> Shape:
        """Return a smaller one of the same kind."""
        part = self.part if self.part in (None, DEFAULT_PART) else MB
        dataset = replace(self.dataset, count=min(FEW, max(50, self.dataset.count // 5)))
        stores = self.stores if self.concurrency == 4 and self.name == "out/" and not self.options else ("s3",)
        return replace(self, part=part, dataset=dataset, stores=stores)


PARQUET = ("--format", "parquet")
SHAPES = (
    Shape("JSONL gzip", (), part=DEFAULT_PART),
    Shape("JSONL gzip, parts of 5 MB", (), concurrency=1),
    Shape("JSONL gzip, parts of 5 MB", ()),
    Shape("JSONL gzip, parts of 5 MB", (), concurrency=8),
    Shape("Parquet, parts of 5 MB", PARQUET),
    Shape("JSONL gzip, by type, parts of 5 MB", ("--partition-by", "event_type")),
    Shape("JSONL gzip, one object", (), part=None, name="events.jsonl.gz"),
    *(
        Shape(label, options, part=DEFAULT_PART, dataset=dataset, stores=("s3",))
        for label, options, dataset in (
            ("JSONL gzip, events of 1 MB", (), HUGE_EVENTS),
            ("Parquet, events of 1 MB", PARQUET, HUGE_EVENTS),
            ("JSONL gzip, a year with an event a day", (), YEAR),
            ("JSONL gzip, 200,000 events in one millisecond", (), MOMENT),
            ("JSONL gzip, 5,000,000 events of 1 kB", (), MANY_EVENTS),
        )
    ),
)


def measure(scratch: Path, *, quick: bool, names: Sequence[str] = object_stores.NAMES) -> dict[str, Any]:
    """Return what each shape took on each store.

    :param names: of the stores.
    """
    shapes = [shape.quick() if quick else shape for shape in SHAPES]
    runs = []
    for name in names:
        if missing := object_stores.missing(name):
            sys.stderr.write(f"left out: {name}: {missing} is not installed\n")
            continue
        for dataset in dict.fromkeys(shape.dataset for shape in shapes):
            wanted = [shape for shape in shapes if shape.dataset == dataset and name in shape.stores]
            if wanted:
                runs += _measure_some(name, dataset, wanted, scratch)
    return {"runs": runs}


def _measure_some(name: str, dataset: Dataset, shapes: list[Shape], scratch: Path) -> Iterator[dict[str, Any]]:
    with serving(dataset, Case("stores", "", (dataset,), ()), scratch) as api, object_stores.playing(name) as store:
        served = render(dataset, scratch / "data").event_ids()
        for shape in shapes:
            run = measure_run(shape, store, api, served, scratch)
            _say(run)
            yield run


def measure_run(
    shape: Shape, store: ObjectStore, api: dict[str, Any], served: set[bytes], scratch: Path
) -> dict[str, Any]:
    """Export once into a new bucket, and read back what is there."""
    meter = store.meter
    assert meter is not None  # noqa: S101 - for the type checker
    url = store.make_bucket()
    ask(api["url"] + "/reset", b"")
    with errand_to(shape.dataset, api, scratch) as errand, empty(scratch / "back") as back:
        meter.take()
        measured, error = run_measured(
            shape.command(errand, url), {**errand.environment, **store.environment}, errand.scratch
        )
        traffic = meter.take()
        store.read_back(url, back)
        return {
            "store": store.name,
            "label": shape.label,
            "concurrency": shape.concurrency,
            "parquet": shape.options == PARQUET,
            **measured,
            **written(back, shape.part),
            "uploaded": traffic.uploaded,
            "downloaded": traffic.downloaded,
            "requests": traffic.requests.total(),
            "methods": dict(traffic.requests.most_common()),
            "error": error or wrong(back, served),
        }


def written(directory: Path, part: int | None) -> dict[str, Any]:
    """Return what was published: bytes, files and slices, and by how many files there are more than promised.

    That is, in any folder: what its bytes need, and one for each slice.

    :param part: bytes at which a part ends; None: one object is all there may be.
    """
    files, slices = data_files(directory), slices_of(directory)
    counts = Counter(path.parent for path in files)
    sizes: Counter[Path] = Counter()
    for path in files:
        sizes[path.parent] += path.stat().st_size
    needed = {folder: math.ceil(size / part) if part else 1 for folder, size in sizes.items()}
    spare = slices if part else 0
    return {
        "published": sum(path.stat().st_size for path in directory.rglob("*") if path.is_file()),
        "files": len(files),
        "slices": slices,
        "files_too_many": max((counts[folder] - needed[folder] - spare for folder in counts), default=0),
    }


def wrong(directory: Path, served: set[bytes]) -> str | None:
    """Return what is wrong with an export that was read back, None where each event is there once."""
    try:
        check_ids(directory, served)
    except (WrongResultError, OSError, ValueError, EOFError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def allowed_requests(run: dict[str, Any]) -> float:
    """Return how many requests to the store were promised at most."""
    return float(12 + 6 * run["files"] + run["published"] / (8 * MB))


def _say(run: dict[str, Any]) -> None:
    size = max(1, run["published"])
    what = run["error"] or (
        f"{run['wall_s']:6.2f} s {run['peak_mb']:4.0f} MB up {run['uploaded'] / size:.2f} "
        f"down {run['downloaded'] / size:.2f} requests {run['requests']} of {allowed_requests(run):.0f} "
        f"files {run['files']} slices {run['slices']}"
    )
    sys.stderr.write(f"stores       {run['store']:5} {run['label']}, concurrency {run['concurrency']}: {what}\n")
