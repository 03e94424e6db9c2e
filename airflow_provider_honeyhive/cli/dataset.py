"""The ``dataset`` command: training and evaluation files of exports."""

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
from airflow_provider_honeyhive.models.options import DATASET_ROWS

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
        "--rows",
        choices=DATASET_ROWS,
        default=DATASET_ROWS[0],
        help="a row for each model call, or for the last call of each session (default: %(default)s)",
    )
    where.add_argument(
        "--where", type=text, metavar="SQL", help="a condition that chooses them, such as 'cost < 1' (default: all)"
    )
    where.add_argument(
        "--test-share",
        type=float,
        default=0.1,
        metavar="SHARE",
        help="share of the sessions that go into the test split, from 0 to 1 (default: %(default)s)",
    )
    add_memory_options(where)


def run(args: argparse.Namespace) -> int:
    """Build training files, and print a line; return the exit code.

    :raises InvalidArgumentError: an option cannot be right; named as on the command line.
    :raises DestinationError: an export cannot be read, or the files not be written.
    """
    with without_collector():
        from airflow_provider_honeyhive.dataset.build import build_dataset  # noqa: PLC0415

    def build(stop: BuildStop) -> BuildManifest:
        sources = sources_of(args)
        return build_dataset(
            sources,
            place_of(args, sources.project, sources.window),
            rows=args.rows,
            where=args.where,
            test_share=args.test_share,
            memory_limit=args.memory_limit,
            temp_folder=args.temp_folder,
            stop=stop,
        )

    return run_build(args, build, _line)


def _line(built: BuildManifest) -> str:
    counts = ", ".join(f"{name}: {number:,}" for name, number in built.counts.items())
    return f"Built training files of {source_words(built)}, in {built.url()}: {counts}"
