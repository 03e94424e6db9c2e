"""The command line: ``python -m airflow_provider_honeyhive {export,verify,cleanup,sandbox}``. Imports no Airflow.

Results go to stdout, all else to stderr; what exit codes mean is in :mod:`.terminal`.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from typing import TYPE_CHECKING, NoReturn

from airflow_provider_honeyhive import __version__
from airflow_provider_honeyhive.cli import cleanup as cleanup_command
from airflow_provider_honeyhive.cli import export as export_command
from airflow_provider_honeyhive.cli import verify as verify_command
from airflow_provider_honeyhive.cli.terminal import INTERRUPTED, MEANINGS, OUTPUT_CLOSED, code_of
from airflow_provider_honeyhive.exceptions import HoneyHiveError
from airflow_provider_honeyhive.sandbox import command as sandbox_command

if TYPE_CHECKING:
    from collections.abc import Sequence


class _Parser(argparse.ArgumentParser):
    """A parser whose errors do not repeat a key."""

    def error(self, message: str) -> NoReturn:
        super().error(re.sub(r"honeyhive:\S+", "honeyhive:…", message))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    :param arguments: of the command line; default: the process's own.
    :raises SystemExit: wrong usage, or help was asked for.
    """
    parser = build_parser()
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        # Only names: what stands behind a mistyped option may be a key.
        names = [word.partition("=")[0] for word in unknown if word.startswith("-")]
        parser.error(f"unrecognized arguments: {' '.join(names) or len(unknown)}")
    try:
        code: int = options.run(options)
        sys.stdout.flush()
    except HoneyHiveError as error:
        sys.stderr.write(f"error: {error}\n")
        return code_of(error)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return INTERRUPTED
    except BrokenPipeError:
        # Python flushes once more at its end, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OUTPUT_CLOSED
    return code


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    codes = "Exit codes:\n" + "".join(f"  {code:>3}  {meaning}\n" for code, meaning in MEANINGS.items())
    parser = _Parser(
        prog="python -m airflow_provider_honeyhive",
        description="Exports of HoneyHive events, outside Airflow.",
        epilog=codes,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=__version__, help="print the version")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module, summary, epilog in (
        ("export", export_command, "export the events of a window to files", f"{export_command.KEY_HELP}\n{codes}"),
        ("verify", verify_command, "check exports against their manifests, and windows for gaps and overlaps", codes),
        ("cleanup", cleanup_command, "remove what exports that failed for good have left", codes),
        ("sandbox", sandbox_command, "serve a stand-in HoneyHive on loopback", None),
    ):
        command = commands.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser
