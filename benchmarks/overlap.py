"""How much of an export to a store far away is left to do when the last event has come."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from benchmarks.cases import USUAL, Case
from benchmarks.dataset import Dataset, render
from benchmarks.object_stores import ObjectStore, s3_options
from benchmarks.running import HERE, ask, empty, errand_to, run_measured, serving
from benchmarks.stores import DEFAULT_PART, MB, Shape, written, wrong

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: A gigabyte as it is written without compression.
DATASET = Dataset(235_000, USUAL)
SHAPE = Shape("JSONL uncompressed", ("--compression", "none"), part=DEFAULT_PART, dataset=DATASET, stores=("s3",))
LATENCY_S, BYTES_A_SECOND = 0.03, 100 * MB


@dataclass(frozen=True)
class FarAway:
    """A store far away that is being played.

    :param url: of its server, which also says what it was asked.
    """

    url: str
    store: ObjectStore

    def stats(self) -> dict[str, Any]:
        """Return what it was asked since it began."""
        return dict(json.loads(ask(f"{self.url}/_stats")))


def measure(scratch: Path, *, quick: bool) -> dict[str, Any]:
    """Return what an export took, and how long after the last answer of the API its manifest was there."""
    shape = replace(SHAPE, dataset=replace(DATASET, count=DATASET.count // 10)) if quick else SHAPE
    dataset = shape.dataset
    served = render(dataset, scratch / "data").event_ids()
    with serving(dataset, Case("overlap", "", (dataset,), ()), scratch) as api, _far_away() as far:
        url = far.store.make_bucket()
        with errand_to(dataset, api, scratch) as errand, empty(scratch / "back") as back:
            begun, before = time.monotonic(), far.stats()
            environment = {**errand.environment, **far.store.environment}
            measured, error = run_measured(shape.command(errand, url), environment, errand.scratch)
            api_stats, after = json.loads(ask(api["url"] + "/stats")), far.stats()
            far.store.read_back(url, back)
            return {
                "label": f"{shape.label}, concurrency {shape.concurrency}",
                "events": dataset.count,
                **measured,
                **written(back, shape.part),
                **{name: after[name] - before[name] for name in ("uploaded", "downloaded", "requests")},
                "reading_s": api_stats["answered_at"] - begun,
                "tail_s": after["manifest_at"] - api_stats["answered_at"],
                "error": error or wrong(back, served),
            }


@contextlib.contextmanager
def _far_away() -> Iterator[FarAway]:
    command = [sys.executable, str(HERE / "far_store.py"), "--latency", str(LATENCY_S), "--rate", str(BYTES_A_SECOND)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own server
        try:
            url = json.loads(next(iter(process.stdout or ())))["url"]
            yield FarAway(url, ObjectStore("s3", "s3", s3_options(url, "key", "secret")))
        finally:
            process.terminate()
