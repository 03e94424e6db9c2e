"""The ``tables`` command: Parquet tables of exports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_honeyhive.cli.build_options import (
    add_memory_options,
    add_output_options,
    add_source_options,
    building,
    place_of,
    source_words,
    sources_of,
    text,
    write_result,
)
from airflow_provider_honeyhive.cli.collector import without_collector
from airflow_provider_honeyhive.cli.terminal import OK

if TYPE_CHECKING:
    import argparse

#: Below the options of the command's help.
EPILOG = "{codes}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to a parser."""
    add_source_options(parser)
    where = add_output_options(parser)
    where.add_argument(
        "--measurement",
        type=text,
        action="append",
        default=[],
        metavar="NAME",
        help="a metric that is a measurement and no score; may be given again (default: those that are known)",
    )
    add_memory_options(where)


def run(args: argparse.Namespace) -> int:
    """Build tables, and print a line.

    :raises InvalidArgumentError: an option cannot be right; named as on the command line.
    :raises DestinationError: an export cannot be read, or the tables not be written.
    """
    with without_collector():
        from airflow_provider_honeyhive.tables.build import build_tables  # noqa: PLC0415
    with building(args):
        sources = sources_of(args)
        built = build_tables(
            sources,
            place_of(args, sources.project, sources.window),
            measurements=args.measurement,
            memory_limit=args.memory_limit,
            temp_folder=args.temp_folder,
        )
    rows: dict[str, int] = {}
    for file in built.files:
        rows[file.name] = rows.get(file.name, 0) + file.row_count
    counts = ", ".join(f"{name}: {number:,}" for name, number in rows.items())
    write_result(args, built, f"Built tables of {source_words(built)}, in {built.url()}: rows: {counts}")
    return OK
