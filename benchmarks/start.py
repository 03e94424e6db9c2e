"""What it costs to start: the processor time of an export of ten events beside that of importing what it needs."""

from __future__ import annotations

import statistics
import sys
from typing import TYPE_CHECKING, Any

from benchmarks.cases import USUAL, Case
from benchmarks.check import check_ids
from benchmarks.commands import contender
from benchmarks.dataset import Dataset, render
from benchmarks.running import errand_to, run_measured, serving

if TYPE_CHECKING:
    from pathlib import Path

DATASET = Dataset(10, USUAL)
#: What any program does that asks an API and checks what it says.
IMPORTS = "import requests, pydantic; from pydantic import BaseModel"


def measure(scratch: Path, runs: int) -> dict[str, Any]:
    """Return the seconds of processor time that each took, in turn.

    :param runs: how often.
    :raises WrongResultError: an export did not have each event once.
    """
    spent: dict[str, list[float]] = {"export": [], "imports": []}
    wall: list[float] = []
    served = render(DATASET, scratch / "data").event_ids()
    with serving(DATASET, Case("start", "", (DATASET,), ()), scratch) as server:
        for _ in range(runs):
            with errand_to(DATASET, server, scratch) as errand:
                commands = {
                    "export": contender("ours-gzip").command(errand),
                    "imports": [sys.executable, "-c", IMPORTS],
                }
                for name, command in commands.items():
                    measured, error = run_measured(command, errand.environment, errand.scratch)
                    if error is not None:
                        return {"error": error}
                    spent[name].append(measured["user_s"] + measured["system_s"])
                    if name == "export":
                        wall.append(measured["wall_s"])
                check_ids(errand.output, served)
    return {"runs": runs, "wall_s": statistics.median(wall), "cpu_s": spent}
