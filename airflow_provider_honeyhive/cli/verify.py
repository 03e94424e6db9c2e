"""The ``verify`` command: options, output, exit code.

What is checked of all of them and of windows is in ``export/catalog``, of one export in ``manifest``
(``find_problems``), of one file of it in ``formats/datafile`` (``problems_of``), of one build in ``build_manifest``.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive.cli.terminal import AGAIN, FAILED, OK, tell_error
from airflow_provider_honeyhive.display import write_error, write_line
from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.storage.paths import path_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from airflow_provider_honeyhive.export.catalog import Verdict


#: Below the options of the command's help.
EPILOG = "{codes}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to a parser."""
    parser.add_argument(
        "paths",
        metavar="PATH",
        nargs="+",
        help="an export or a build: its folder, its one object, or its manifest; or a folder that holds some at any "
        "depth; a local path or a URL; gaps and overlaps are looked for among the exports of all paths",
    )
    parser.add_argument(
        "--allow-gaps",
        action="store_true",
        help="list gaps and overlaps between windows, but do not fail for them (default: they are failures)",
    )


def run(args: argparse.Namespace) -> int:
    """Verify, print a line for each export and build and one with totals, and return the exit code.

    One that is below several of the paths counts once.

    :raises InvalidArgumentError: there is no way to one of the paths.
    :raises DestinationError: a folder cannot be listed.
    """
    from airflow_provider_honeyhive.export.catalog import Timeline, skipped_links  # noqa: PLC0415
    from airflow_provider_honeyhive.manifest import Manifest  # noqa: PLC0415

    totals = {"exports": 0, "events": 0, "files": 0, "bytes": 0, "failed": 0, "gaps": 0, "overlaps": 0}
    code, timeline = OK, Timeline()
    places: set[tuple[str, str | None]] = set()
    paths = {text: path_of(text, "PATH") for text in args.paths}
    for link in dict.fromkeys(chain.from_iterable(map(skipped_links, paths.values()))):
        write_line(f"skipped {link}: a symbolic link is not followed")
    for verdict in _verdicts(paths):
        if verdict is None:
            code = FAILED
            continue
        if (place := (verdict.place, verdict.build)) in places:
            continue
        places.add(place)
        _print(verdict)
        kind = "exports" if verdict.build is None else "builds"
        totals[kind] = totals.get(kind, 0) + 1
        totals["failed"] += bool(verdict.problems)
        if verdict.problems and code != FAILED:
            code = AGAIN if verdict.unreachable else FAILED
        if isinstance(verdict.manifest, Manifest):
            totals["events"] += verdict.manifest.event_count
            totals["files"] += len(verdict.manifest.files)
            totals["bytes"] += verdict.manifest.size_bytes
            # A window that cannot be read is among the problems.
            with suppress(InvalidArgumentError):
                timeline.add(verdict.manifest, verdict.place)
    if not places:
        return code
    for seam in timeline.seams():
        totals[f"{seam.kind}s"] += 1
        (write_line if args.allow_gaps else write_error)(f"{seam.kind}: {seam.text}")
        if not args.allow_gaps:
            code = FAILED
    write_line(", ".join(f"{name}: {number}" for name, number in totals.items()))
    return code


def _verdicts(paths: dict[str, Any]) -> Iterator[Verdict | None]:
    """Yield what is found at each path; None where nothing is, which is told."""
    from airflow_provider_honeyhive.export.catalog import verify_exports  # noqa: PLC0415

    for text, path in paths.items():
        verdict = None
        for verdict in verify_exports(path):
            yield verdict
        if verdict is None:
            tell_error(f"there is no manifest at or below {text}")
            yield None


def _print(verdict: Verdict) -> None:
    if verdict.problems:
        write_line(f"FAILED {verdict.place}")
    elif verdict.build is not None:
        build: Any = verdict.manifest
        write_line(f"ok     {verdict.place}: {build.kind}, {len(build.files)} files of {build.event_count} events")
    elif verdict.manifest is not None:
        manifest: Any = verdict.manifest
        window = f"[{manifest.start_time}, {manifest.end_time})" if manifest.start_time else "all of time"
        corrections = sum(part.event_count for part in manifest.corrections)
        write_line(
            f"ok     {verdict.place}: {manifest.event_count} events in {len(manifest.files)} files, {window}"
            f"{f', and {corrections} corrections' if corrections else ''}"
        )
    for problem in verdict.problems:
        write_error(f"error: {verdict.place}: {problem}")
