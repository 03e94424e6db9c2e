"""Runs the ``export`` command: the events of a window to files, without Airflow.

Apart from the command's options, because what an export needs takes longer to import than wrong usage takes to tell.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from airflow_provider_honeyhive.api.client import HoneyHiveClient
from airflow_provider_honeyhive.cli.connection import KEY_VARIABLES, find_settings
from airflow_provider_honeyhive.cli.terminal import Signals, reporting
from airflow_provider_honeyhive.display import hide, write_error, write_json, write_line
from airflow_provider_honeyhive.exceptions import ExportStoppedError, InvalidArgumentError
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.export.result import summarize
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.models.output_path import OutputPath
from airflow_provider_honeyhive.models.request import ExportRequest
from airflow_provider_honeyhive.models.window import Window
from airflow_provider_honeyhive.storage.paths import path_of

if TYPE_CHECKING:
    import argparse

    from airflow_provider_honeyhive.api.settings import ClientSettings
    from airflow_provider_honeyhive.manifest import Manifest


def run_export(args: argparse.Namespace) -> int:
    """Export; return the exit code where the export was stopped by a signal, else 0.

    :param args: the command's options.
    :raises InvalidArgumentError: an option cannot be right; named as the argument that it is.
    :raises HoneyHiveError: the export failed.
    """
    # In case it was typed in the wrong place.
    for variable in KEY_VARIABLES:
        hide(os.environ.get(variable))
    options = ExportOptions.of(args)
    output = OutputPath.parse(args.output)
    settings = find_settings(args.connection_uri, os.environ)
    request = _request(args, settings)
    path = path_of(output.fill(request.project, request.window), "--output")
    with HoneyHiveClient(settings) as client, Signals(client) as signals:
        try:
            with reporting(quiet=args.quiet) as progress:
                manifest = export_events(client, request, path, options, progress=progress)
        except (ExportStoppedError, KeyboardInterrupt):
            if signals.received is None:
                raise
            write_error(
                f"stopped by {signal.Signals(signals.received).name} before the export was done. What is staged "
                "stays, and the same command goes on from there"
            )
            return 128 + signals.received
    _write_result(manifest, as_json=args.json)
    return 0


def _request(args: argparse.Namespace, settings: ClientSettings) -> ExportRequest:
    project = args.project or settings.project
    if project is None:
        raise InvalidArgumentError("project", None, "give it, or a connection with the extra 'project'")
    return ExportRequest.parse(
        project=project,
        filters=args.filter,
        window=Window.parse(args.start, args.end),
        projections=args.projection,
        evaluation_id=args.evaluation_id,
        exclude_fields=args.exclude,
        redact=args.redact,
        redact_secret=settings.redact_secret or os.environ.get("HH_REDACT_SECRET"),
        include_content=args.include_content,
        sessions=args.sessions,
    )


def _write_result(manifest: Manifest, *, as_json: bool) -> None:
    summary = summarize(manifest)
    if as_json:
        write_json(summary)
        return
    write_line(
        f"Exported {manifest.event_count:,} events of project {manifest.project}, window [{manifest.start_time}, "
        f"{manifest.end_time}), to {summary['output_path']}: files: {len(manifest.files)}, "
        f"{manifest.size_bytes / 1e6:,.1f} MB"
    )
