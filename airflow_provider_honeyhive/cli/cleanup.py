"""The ``cleanup`` command: removes what exports and builds that failed for good have left in a folder."""

from __future__ import annotations

import argparse
from datetime import timedelta

from airflow_provider_honeyhive.cli.terminal import OK
from airflow_provider_honeyhive.display import write_line
from airflow_provider_honeyhive.storage.paths import path_of

#: Below the options of the command's help.
EPILOG = "{codes}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to a parser."""
    parser.add_argument(
        "path", metavar="PATH", help="a folder that holds exports or builds at any depth; a local path or a URL"
    )
    parser.add_argument(
        "--older-than-days",
        type=_days,
        default=7,
        metavar="N",
        help="leave alone what has a file that was written in the last N days, 1 or more; take longer than any export "
        "with its retries (default: %(default)s)",
    )
    parser.add_argument(
        "--delete", action="store_true", help="remove what is listed (default: list what would be removed)"
    )


def run(args: argparse.Namespace) -> int:
    """Print a line for each leftover and one with their number; remove them where that is asked for.

    :raises InvalidArgumentError: there is no way to this path.
    :raises DestinationError: the folder cannot be listed, or a file not removed.
    """
    from airflow_provider_honeyhive.export.cleanup import find_leftovers, find_links, remove_leftover  # noqa: PLC0415

    path = path_of(args.path, "PATH")
    leftovers = find_leftovers(path, timedelta(days=args.older_than_days))
    for leftover in leftovers:
        if args.delete:
            remove_leftover(path, leftover)
        verb = "removed" if args.delete else "would remove"
        write_line(f"{verb} {leftover.name}, last written {leftover.newest:%Y-%m-%dT%H:%M:%SZ}")
    for link in find_links(path):
        write_line(f"skipped {link}: a symbolic link is not followed")
    write_line(f"leftovers: {len(leftovers)}")
    return OK


def _days(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("no number of days; allowed: 1 or more")
    return int(text)
