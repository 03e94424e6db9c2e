"""Measurements by case, contender and number of events."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Series:
    """The runs of one contender on one data set."""

    case: str
    all_runs: tuple[dict[str, Any], ...]

    def __getattr__(self, name: str) -> Any:
        """Return what all runs have in common."""
        return self.all_runs[0][name]

    @property
    def name(self) -> str:
        """The contender."""
        return str(self.all_runs[0]["contender"])

    @property
    def good_runs(self) -> list[dict[str, Any]]:
        """Those that did not fail."""
        return [run for run in self.all_runs if run["error"] is None]

    @property
    def runs(self) -> int:
        """How many did not fail."""
        return len(self.good_runs)

    @property
    def error(self) -> str | None:
        """What went wrong, in any run."""
        text = next((run["error"] for run in self.all_runs if run["error"] is not None), None)
        return None if text is None else " ".join(text.split()).replace("|", "\\|")

    @property
    def megabytes(self) -> float:
        """Size of the events."""
        return max(run["served"]["bytes"] for run in self.all_runs) / 1e6

    def values(self, key: str) -> list[float]:
        """Return a number of each good run; ``cpu_s`` is user and system time."""
        if key == "cpu_s":
            return [run["user_s"] + run["system_s"] for run in self.good_runs]
        return [run[key] for run in self.good_runs]

    def median(self, key: str) -> float | None:
        """Return the median of a number, None where every run failed."""
        values = self.values(key)
        return statistics.median(values) if values else None

    def most(self, key: str) -> float:
        """Return the largest value of a number."""
        return max(self.values(key), default=0.0)

    def most_served(self, key: str) -> int:
        """Return the largest value of what the server counted."""
        return max((run["served"][key] for run in self.good_runs), default=0)

    def range(self, key: str, digits: int) -> str:
        """Return median and range as a text."""
        return _range(self.values(key), digits)

    def range_served(self, key: str) -> str:
        """Return median and range of what the server counted."""
        return _range([run["served"][key] for run in self.good_runs], 0)


def _range(values: list[float], digits: int) -> str:
    median, low, high = (f"{f(values):.{digits}f}" for f in (statistics.median, min, max))
    return median if low == high else f"{median} ({low} to {high})"


def _good(measured: dict[str, Any]) -> dict[str, Any]:
    """Return a measurement, or nothing where it failed."""
    return {} if measured.get("error") else measured


class Results:
    """What ``results.json`` holds."""

    def __init__(self, measured: dict[str, Any]) -> None:
        self._cases = measured["cases"]
        self._fields = measured.get("fields", {}).get("seconds", {})
        self.stores: list[dict[str, Any]] = [
            run for run in measured.get("stores", {}).get("runs", []) if run["error"] is None
        ]
        self.overlap: dict[str, Any] = _good(measured.get("overlap", {}))
        self.start: dict[str, Any] = _good(measured.get("start", {}))
        self.builds: list[dict[str, Any]] = [
            run
            for case in ("builds", "builds-10m")
            for run in measured.get(case, {}).get("runs", [])
            if run["error"] is None
        ]
        self._failed_elsewhere = sum(
            run["error"] is not None for run in measured.get("stores", {}).get("runs", [])
        ) + sum(not _good(measured[name]) for name in ("overlap", "start", "builds", "builds-10m") if name in measured)
        self._imports = measured.get("imports", {}).get("modules", {})

    def title(self, case: str) -> str:
        """Return what a case is called."""
        return str(self._cases[case]["title"])

    def commit(self, case: str) -> str:
        """Return the commit at which a case was measured."""
        return str(self._cases[case]["commit"])

    def fields_cost(self, name: str, file_format: str) -> float | None:
        """Return the seconds that events with more fields took, None where that was not measured."""
        seconds: float | None = self._fields.get(name, {}).get(file_format)
        return seconds

    def import_s(self, module: str) -> float | None:
        """Return the seconds that importing a module adds to Airflow's, None where that was not measured."""
        seconds: float | None = self._imports.get(module, {}).get("own_s")
        return seconds

    def case(self, name: str) -> list[Series]:
        """Return the series of a case, in the order in which they were measured."""
        grouped: dict[tuple[str, int], list[dict[str, Any]]] = {}
        for run in self._cases.get(name, {"runs": []})["runs"]:
            grouped.setdefault((run["contender"], run["events"]), []).append(run)
        return [Series(name, tuple(runs)) for runs in grouped.values()]

    def of(self, case: str, contender: str) -> list[Series]:
        """Return the series of one contender."""
        return [each for each in self.case(case) if each.name == contender]

    def ours(self) -> list[Series]:
        """Return all series of our export that have a good run."""
        return [each for name in self._cases for each in self.case(name) if each.name.startswith("ours") and each.runs]

    def median(self, case: str, contender: str, key: str) -> float | None:
        """Return the median of a number."""
        return next((each.median(key) for each in self.of(case, contender)), None)

    def our_failures(self) -> float:
        """Return how many runs of our export went wrong, those into stores and the short ones included."""
        runs = [run for case in self._cases.values() for run in case["runs"] if run["contender"].startswith("ours")]
        return self._failed_elsewhere + sum(run["error"] is not None for run in runs)
