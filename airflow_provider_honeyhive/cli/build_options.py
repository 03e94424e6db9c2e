"""What the commands share that build: which exports they read, where they write to, and what they print."""

from __future__ import annotations

import argparse
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive.cli.terminal import OK, Signals, as_option, telling
from airflow_provider_honeyhive.display import write_error, write_json, write_line
from airflow_provider_honeyhive.exceptions import ExportStoppedError, InvalidArgumentError
from airflow_provider_honeyhive.models.layout import check_folder
from airflow_provider_honeyhive.models.options import check_number
from airflow_provider_honeyhive.models.output_path import OutputPath
from airflow_provider_honeyhive.models.window import Window, both_given, parse_bound
from airflow_provider_honeyhive.storage.paths import path_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_honeyhive.build_manifest import BuildManifest
    from airflow_provider_honeyhive.builds.sources import Sources
    from airflow_provider_honeyhive.builds.stopping import BuildStop

#: What the command line calls the arguments that errors name.
_OPTIONS = {
    "export": "--exports",
    "exports_folder": "--exports",
    "start": "--start",
    "end": "--end",
    "start_time": "--start",
    "end_time": "--end",
    "last": "--last",
    "output_path": "--output",
    "memory_limit": "--memory-limit",
    "temp_folder": "--temp-folder",
    "measurements": "--measurement",
    "rows": "--rows",
    "where": "--where",
    "test_share": "--test-share",
    "tables": "--tables",
    "app_url": "--app-url",
}


def add_source_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which exports are read."""
    what = parser.add_argument_group("what to read")
    what.add_argument(
        "--exports",
        type=text,
        nargs="+",
        required=True,
        metavar="PATH",
        help="exports: their folders, objects or manifests; with --start and --end, or with --last, one folder that "
        "holds exports at any depth; local paths or URLs (required)",
    )
    what.add_argument(
        "--start",
        type=text,
        metavar="TIME",
        help="read the exports of a window: its start, inclusive (default: all PATHs)",
    )
    what.add_argument(
        "--end",
        type=text,
        metavar="TIME",
        help="end of the window, exclusive; with --last: when the last export ends at the latest (default: now)",
    )
    what.add_argument(
        "--last", type=int, metavar="N", help="read the last N exports of the folder (default: all PATHs)"
    )


def add_output_options(parser: argparse.ArgumentParser) -> Any:
    """Add the options that say where to, and what is printed; return the group of the first."""
    where = parser.add_argument_group("where to, and how")
    where.add_argument(
        "--output",
        type=text,
        required=True,
        metavar="PATH",
        help="a folder; {start}, {end}, {window_id} and {project} in it are filled with what is read (required)",
    )
    output = parser.add_argument_group("what to print")
    output.add_argument("--quiet", action="store_true", help="print no log (default: to stderr)")
    output.add_argument(
        "--json", action="store_true", help="print the result as one line of JSON (default: a line for people)"
    )
    return where


def add_memory_options(group: Any) -> None:
    """Add the options that bound what the build uses of the machine."""
    group.add_argument(
        "--memory-limit",
        type=text,
        default="1GB",
        metavar="SIZE",
        help="most memory for DuckDB, such as 500MB or 2GB; what needs more goes to disk (default: %(default)s)",
    )
    group.add_argument(
        "--temp-folder",
        type=text,
        metavar="PATH",
        help="local folder for that, and for exports from an object store (default: the system's)",
    )


def sources_of(args: argparse.Namespace) -> Sources:
    """Return the exports that the options name.

    :raises InvalidArgumentError: they do not fit each other, or there are no such exports.
    """
    from airflow_provider_honeyhive.builds.sources import export_sources, folder_sources  # noqa: PLC0415

    paths = [path_of(path, "--exports") for path in args.exports]
    if args.last is None and args.start is None and args.end is None:
        return export_sources(paths)
    if len(paths) > 1:
        raise InvalidArgumentError("--exports", args.exports, "give one folder with --start and --end, or with --last")
    if args.last is None:
        both_given(args.start, args.end, ("--start", "--end"))
        window = Window.parse(args.start, args.end, ("--start", "--end"))
        return folder_sources(paths[0], window.start, window.end)
    if args.start is not None:
        raise InvalidArgumentError("--start", args.start, "leave it out, or --last")
    check_number("--last", args.last, 1, None)
    return folder_sources(paths[0], end=None if args.end is None else parse_bound(args.end, "--end"), last=args.last)


def place_of(args: argparse.Namespace, project: str | None, window: Window | None) -> Any:
    """Return the folder to write to.

    :param project: that placeholders stand for.
    :param window: likewise.
    :raises InvalidArgumentError: it cannot be right.
    """
    # The windows of the last exports slide; what is built refuses the place of another window's build.
    filled = OutputPath.parse(args.output).fill(project, window, others_differ=True)
    return path_of(check_folder(filled, "a build has several files"), "--output")


@contextmanager
def building(args: argparse.Namespace) -> Iterator[None]:
    """Let the log go to stderr, and errors name options.

    :raises InvalidArgumentError: named as on the command line.
    """
    try:
        with telling(quiet=args.quiet):
            yield
    except InvalidArgumentError as error:
        raise as_option(error, _OPTIONS) from None


def run_build(
    args: argparse.Namespace, build: Callable[[BuildStop], BuildManifest], line: Callable[[BuildManifest], str]
) -> int:
    """Build, and print what was built; return the exit code where the build was stopped by a signal, else 0.

    :param build: called with what lets a signal end it.
    :param line: for people.
    :raises InvalidArgumentError: named as on the command line.
    """
    from airflow_provider_honeyhive.builds.stopping import BuildStop  # noqa: PLC0415 - the help needs none of it

    stop = BuildStop()
    with building(args), Signals(stop) as signals:
        try:
            built = build(stop)
        except ExportStoppedError:
            if signals.received is None:
                raise
            write_error(f"stopped by {signal.Signals(signals.received).name}; nothing was published")
            return 128 + signals.received
    write_result(args, built, line(built))
    return OK


def write_result(args: argparse.Namespace, built: BuildManifest, line: str) -> None:
    """Print what was built.

    :param line: for people.
    """
    if args.json:
        write_json(built.summary())
    else:
        write_line(line)


def source_words(built: BuildManifest) -> str:
    """Return what a build was made of, in words."""
    window = "all of time" if built.start_time is None else f"[{built.start_time}, {built.end_time})"
    count = len(built.sources)
    return f"{count:,} export{'' if count == 1 else 's'} of project {built.project}, window {window}"


def text(value: str) -> str:
    """Return an option's value, which must say something: an empty variable in a script would not."""
    if not value.strip():
        raise argparse.ArgumentTypeError("must not be empty")
    return value
