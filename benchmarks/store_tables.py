"""The part of the report that is about object stores, about starting, and about what is built from exports."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.cases import SIZE_NAMES
from benchmarks.stores import MB, allowed_requests
from benchmarks.tables import origin, table

if TYPE_CHECKING:
    from collections.abc import Callable


def stores(measured: dict[str, Any]) -> str:
    """Return what exports into object stores took."""
    head = "## Object stores\n\n"
    if "error" in measured:
        return f"{head}**failed**: {measured['error']}\n\n"
    rows = []
    for run in measured["runs"]:
        cells = [run["store"], run["label"], str(run["concurrency"])]
        if run["error"] is not None:
            rows.append([*cells, f"**failed**: {' '.join(run['error'].split()).replace('|', chr(92) + '|')}"])
            continue
        size = run["published"]
        methods = ", ".join(f"{count} {method}" for method, count in run["methods"].items())
        cells += [f"{run['wall_s']:.2f}", f"{run['user_s'] + run['system_s']:.2f}", f"{run['peak_mb']:.0f}"]
        cells += [f"{size / MB:.1f}", f"{run['uploaded'] / size:.2f}", f"{run['downloaded'] / size:.2f}"]
        cells += [f"{run['requests']} ({methods})", f"{allowed_requests(run):.0f}", str(run["files"])]
        rows.append([*cells, str(run["slices"])])
    columns = ["store", "what", "readers", "wall, s", "CPU, s", "peak MB", "MB", "uploaded / size"]
    columns += ["downloaded / size", "requests", "allowed", "files", "slices"]
    return (
        f"{head}{origin('stores', measured['commit'])}"
        "25,000 events of 4.3 kB, 300 of 1 MB, or as it says, into S3 played by moto, Google Cloud Storage played by"
        " fake-gcs-server and Azure played by Azurite, each behind a proxy that counts requests and the bytes of their"
        " bodies. Server, store and proxy share the processors with the export, so the wall time says little. Allowed"
        " are 12 requests, 6 for each file and one for each 8 MB (on S3). Each export was read back from the store and"
        " had every event once.\n\n" + table(columns, rows)
    )


def overlap(measured: dict[str, Any]) -> str:
    """Return how much was left to do after the last answer."""
    head = "## A store far away\n\n"
    if measured.get("error"):
        return f"{head}**failed**: {measured['error']}\n\n"
    facts = {
        "events": f"{measured['events']:,}",
        "published, MB": f"{measured['published'] / MB:,.0f}",
        "files": str(measured["files"]),
        "wall, s": f"{measured['wall_s']:.2f}",
        "last answer after, s": f"{measured['reading_s']:.2f}",
        "from there to the manifest, s": f"{measured['tail_s']:.2f}",
        "CPU, s": f"{measured['user_s'] + measured['system_s']:.2f}",
        "peak MB": f"{measured['peak_mb']:.0f}",
        "requests to the store": str(measured["requests"]),
        "uploaded / size": f"{measured['uploaded'] / measured['published']:.2f}",
        "downloaded / size": f"{measured['downloaded'] / measured['published']:.2f}",
    }
    return (
        f"{head}{origin('overlap', measured['commit'])}"
        f"{measured['label']}, into an S3 that takes 30 ms for each request and passes 100 MB a second in each"
        " direction, all connections together (`benchmarks/far_store.py`, which keeps objects in memory: no other"
        " server in Python takes them in as fast). It and the server of events note the times.\n\n"
        + table(["what", "how much"], [[name, fact] for name, fact in facts.items()])
    )


def start(measured: dict[str, Any]) -> str:
    """Return what it costs to start."""
    head = "## Starting\n\n"
    if measured.get("error"):
        return f"{head}**failed**: {measured['error']}\n\n"
    rows = [
        [what, f"{median(spent) * 1000:.0f} ({min(spent) * 1000:.0f} to {max(spent) * 1000:.0f})"]
        for what, spent in (
            ("export of ten events", measured["cpu_s"]["export"]),
            ("`import requests, pydantic; from pydantic import BaseModel`", measured["cpu_s"]["imports"]),
        )
    ]
    return f"{head}{origin('start', measured['commit'])}In turn, {measured['runs']} times each.\n\n" + table(
        ["program", "CPU, ms"], rows
    )


def builds(measured: dict[str, Any]) -> str:
    """Return what tables, a dataset and a report of an export took."""
    return (
        "## What is built from exports\n\n"
        f"{_builds('builds', measured)}"
        "The commands `tables`, `dataset` and `report`, each a process of its own, on an export that lies on the local"
        " disk, in sessions of 8 events. Half of the events are model calls. The server makes the JSON of each answer,"
        " as servers do. Peak memory is that of all processes of a command together. Texts repeat after 64 MB, so most"
        " of these calls are equal to another one, and the dataset has few rows.\n\n"
    )


def many_builds(measured: dict[str, Any]) -> str:
    """Return what the tables of many events took."""
    return f"## Tables of many events\n\n{_builds('builds-10m', measured)}"


def _builds(case: str, measured: dict[str, Any]) -> str:
    rows = []
    for run in measured.get("runs", []):
        events = f"{run['events']:,} events of {SIZE_NAMES[run['event_size']]}"
        for name, took in {run["label"]: run["export"], **run["builds"]}.items():
            cells = [f"{took['wall_s']:.1f}", f"{took['user_s'] + took['system_s']:.1f}", f"{took['peak_mb']:,.0f}"]
            rows.append([events, name, *cells, f"{took['written_mb']:,.0f}" if "written_mb" in took else ""])
        if run["error"] is not None:
            rows.append([events, f"**failed**: {' '.join(run['error'].split()).replace('|', chr(92) + '|')}"])
    if not rows:
        return f"**failed**: {measured['error']}\n\n"
    head = ["events", "what", "wall, s", "CPU, s", "peak MB", "written, MB"]
    return origin(case, measured["commit"]) + table(head, rows)


#: By the names of what is measured.
STORE_TABLES: dict[str, Callable[[dict[str, Any]], str]] = {
    "stores": stores,
    "overlap": overlap,
    "builds": builds,
    "builds-10m": many_builds,
    "start": start,
}
