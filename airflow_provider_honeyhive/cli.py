"""The command line: ``python -m airflow_provider_honeyhive {verify,sandbox}``. Imports no Airflow."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from airflow_provider_honeyhive import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

OK, FAILED = 0, 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0 done, 1 failed, 2 wrong usage."""
    from airflow_provider_honeyhive.sandbox import command as sandbox  # noqa: PLC0415

    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_honeyhive",
        description="Exports of HoneyHive events, outside Airflow.",
        epilog="Exit codes: 0 done, 1 failed, 2 wrong usage.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    verify = commands.add_parser("verify", help="check an export's files against its manifest")
    verify.add_argument("path", help="the export: its folder, its one object, or its manifest; a path or a URL")
    verify.set_defaults(run=_verify)
    stand_in = commands.add_parser("sandbox", help="serve a stand-in HoneyHive on loopback")
    sandbox.add_arguments(stand_in)
    stand_in.set_defaults(run=sandbox.run)
    options = parser.parse_args(arguments)
    code: int = options.run(options)
    return code


def _verify(options: argparse.Namespace) -> int:
    from airflow_provider_honeyhive.exceptions import HoneyHiveError  # noqa: PLC0415
    from airflow_provider_honeyhive.manifest import Manifest  # noqa: PLC0415

    try:
        manifest = Manifest.read(options.path)
        manifest.verify()
    except HoneyHiveError as error:
        sys.stderr.write(f"{error}\n")
        return FAILED
    sys.stdout.write(f"{manifest.event_count} events in {len(manifest.files)} files, all as the manifest says\n")
    return OK
