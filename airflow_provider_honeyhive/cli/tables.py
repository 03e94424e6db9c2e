"""The ``tables`` command: Parquet tables of exports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_honeyhive.cli.build_options import (
    add_memory_options,
    add_output_options,
    add_source_options,
    place_of,
    run_build,
    source_words,
    sources_of,
    text,
)
from airflow_provider_honeyhive.cli.collector import without_collector

if TYPE_CHECKING:
    import argparse

    from airflow_provider_honeyhive.build_manifest import BuildManifest
    from airflow_provider_honeyhive.builds.stopping import BuildStop

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
    """Build tables, and print a line; return the exit code.

    :raises InvalidArgumentError: an option cannot be right; named as on the command line.
    :raises DestinationError: an export cannot be read, or the tables not be written.
    """
    with without_collector():
        from airflow_provider_honeyhive.tables.build import build_tables  # noqa: PLC0415

    def build(stop: BuildStop) -> BuildManifest:
        sources = sources_of(args)
        return build_tables(
            sources,
            place_of(args, sources.project, sources.window),
            measurements=args.measurement,
            memory_limit=args.memory_limit,
            temp_folder=args.temp_folder,
            stop=stop,
        )

    return run_build(args, build, _line)


def _line(built: BuildManifest) -> str:
    rows = dict.fromkeys((file.name for file in built.files), 0)
    for file in built.files:
        rows[file.name] += file.row_count
    counts = ", ".join(f"{name}: {number:,}" for name, number in rows.items())
    return f"Built tables of {source_words(built)}, in {built.url()}: rows: {counts}"
