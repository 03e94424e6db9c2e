"""The command line: ``python -m airflow_provider_honeyhive COMMAND``. Imports no Airflow.

Results go to stdout, all else to stderr; what exit codes mean is in :mod:`.terminal`.
"""

from __future__ import annotations

import argparse
import re
import sys
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

from airflow_provider_honeyhive import __version__
from airflow_provider_honeyhive.cli.collector import without_collector
from airflow_provider_honeyhive.cli.terminal import (
    INTERRUPTED,
    MEANINGS,
    OUTPUT_CLOSED,
    code_of,
    leave_output,
    tell_error,
)
from airflow_provider_honeyhive.display import shown, write_error
from airflow_provider_honeyhive.exceptions import HoneyHiveError

if TYPE_CHECKING:
    from collections.abc import Sequence


#: Command -> the module with its options, and what it does. A process imports that of its own command alone.
_COMMANDS = {
    "export": ("airflow_provider_honeyhive.cli.export", "export the events of a window to files"),
    "verify": (
        "airflow_provider_honeyhive.cli.verify",
        "check exports against their manifests, and windows for gaps and overlaps",
    ),
    "tables": ("airflow_provider_honeyhive.cli.tables", "build Parquet tables of exports"),
    "dataset": ("airflow_provider_honeyhive.cli.dataset", "build training and evaluation files of exports"),
    "report": ("airflow_provider_honeyhive.cli.report", "write a page about tables"),
    "cleanup": ("airflow_provider_honeyhive.cli.cleanup", "remove what exports that failed for good have left"),
    "sandbox": ("airflow_provider_honeyhive.sandbox.command", "serve a stand-in HoneyHive on loopback"),
}

_OPTION = re.compile(r"--[a-z]+(?:-[a-z]+)*|-[A-Za-z]")

#: A text in quotes, as argparse and our own checks repeat what was typed.
_QUOTED = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"")


class _Parser(argparse.ArgumentParser):
    """A parser whose errors name the option, and do not repeat what was typed: it may be a key, or a connection."""

    def error(self, message: str) -> NoReturn:
        # What was typed stands before what is allowed, which is in quotes, too.
        super().error(shown(_QUOTED.sub("(not shown)", message, count=1)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    :param arguments: of the command line; default: the process's own.
    :raises SystemExit: wrong usage, or help was asked for.
    """
    words = sys.argv[1:] if arguments is None else arguments
    # No option before the command has a value, so that the first word that is no option is the command.
    parser = build_parser(next((word for word in words if not word.startswith("-")), None))
    options, unknown = parser.parse_known_args(words)
    if unknown:
        # Only what is written as names of options are: all else may be a key.
        names = [name for name in (word.partition("=")[0] for word in unknown) if _OPTION.fullmatch(name)]
        parser.error(f"unrecognized arguments: {' '.join(names) or len(unknown)}")
    try:
        code: int = options.run(options)
    except HoneyHiveError as error:
        tell_error(error)
        return code_of(error)
    except KeyboardInterrupt:
        write_error("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        leave_output()
        return OUTPUT_CLOSED
    return code


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """Return the parser of all commands.

    :param command: the one whose options the parser needs to know; None: all of them.
    """
    codes = "Exit codes:\n" + "".join(f"  {code:>3}  {meaning}\n" for code, meaning in MEANINGS.items())
    parser = _Parser(
        prog="python -m airflow_provider_honeyhive",
        description="Exports of HoneyHive events, and what is built of them, outside Airflow.",
        epilog=codes,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=__version__, help="print the version")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module_name, summary) in _COMMANDS.items():
        one = commands.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        if command in (None, name):
            with without_collector():
                module = import_module(module_name)
            one.epilog = module.EPILOG.format(codes=codes)
            module.add_arguments(one)
            one.set_defaults(run=module.run)
    return parser
