"""The ``report`` command: a page about tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_honeyhive.cli.build_options import add_output_options, building, place_of, text, write_result
from airflow_provider_honeyhive.cli.collector import without_collector
from airflow_provider_honeyhive.cli.terminal import OK
from airflow_provider_honeyhive.models.layout import BUILDS
from airflow_provider_honeyhive.storage.paths import path_of

if TYPE_CHECKING:
    import argparse

#: Below the options of the command's help.
EPILOG = "{codes}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to a parser."""
    what = parser.add_argument_group("what to report on")
    what.add_argument(
        "--tables",
        type=text,
        required=True,
        metavar="PATH",
        help="the folder of tables, as the command tables has built them; a local path or a URL (required)",
    )
    what.add_argument(
        "--app-url",
        type=text,
        metavar="URL",
        help="base URL of HoneyHive's web app, to which the page links then (default: no links)",
    )
    add_output_options(parser)


def run(args: argparse.Namespace) -> int:
    """Write a page, and print where it is.

    :raises InvalidArgumentError: an option cannot be right; named as on the command line.
    :raises DestinationError: the tables cannot be read, or the page not be written.
    """
    with without_collector():
        from airflow_provider_honeyhive.build_manifest import BuildManifest  # noqa: PLC0415
        from airflow_provider_honeyhive.report.build import write_report  # noqa: PLC0415
    with building(args):
        tables = BuildManifest.read(path_of(args.tables, "--tables"))
        built = write_report(tables, place_of(args, tables.project, tables.window), app_url=args.app_url)
    write_result(args, built, f"Report: {built.url(str(BUILDS['report']))}")
    return OK
