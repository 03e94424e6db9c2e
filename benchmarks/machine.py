"""What the numbers depend on: the machine, and the versions of all that ran."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from importlib import metadata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

UNKNOWN = "unknown"
PACKAGES = (
    "airflow-provider-honeyhive",
    "apache-airflow",
    "apache-airflow-providers-http",
    "honeyhive",
    "dlt",
    "requests",
    "msgspec",
    "isal",
    "zstandard",
    "pyarrow",
)


def describe(scratch: Path) -> dict[str, str]:
    """Return facts about the machine and versions, by name."""
    scratch.mkdir(parents=True, exist_ok=True)
    facts = {
        "Processor": f"{os.cpu_count()} x {_field('/proc/cpuinfo', 'model name')}",
        "Memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB",
        "Written to": _output("stat", "-f", "-c", "%T", str(scratch)),
        "Load before": f"{os.getloadavg()[0]:.1f} processes running in the last minute",
        "System": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "curl": _output("curl", "--version").split(" (")[0].removeprefix("curl "),
        "gzip": _output("gzip", "--version").splitlines()[0].removeprefix("gzip "),
        "igzip": _output("igzip", "--version").split()[-1] if shutil.which("igzip") else "not installed",
    }
    for package in PACKAGES:
        try:
            facts[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            facts[package] = "not installed"
    return facts


def commit() -> str:
    """Return which version of the project this is, whatever results have been written since."""
    others = (".", ":!benchmarks/results.*", ":!benchmarks/RESULTS.md")
    changed = _output("git", "status", "--porcelain", "--untracked-files=no", "--", *others) != UNKNOWN
    return _output("git", "describe", "--always") + ("-dirty" if changed else "")


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - commands from this file
    return done.stdout.strip() or UNKNOWN


def _field(path: str, name: str) -> str:
    with open(path, encoding="utf-8") as file:
        return next((line.partition(":")[2].strip() for line in file if line.startswith(name)), UNKNOWN)
