"""What tells the staged files of one export from those of others, which may be staged in the same folder."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from airflow_provider_honeyhive.formats.columns import COLUMN_NAMES

if TYPE_CHECKING:
    from airflow_provider_honeyhive.models.export_facts import AirflowFacts, RequestFacts
    from airflow_provider_honeyhive.models.layout import Layout
    from airflow_provider_honeyhive.models.options import ExportOptions
    from airflow_provider_honeyhive.models.request import ExportRequest
    from airflow_provider_honeyhive.models.window import Window


def fingerprint(
    request: ExportRequest,
    request_facts: RequestFacts,
    layout: Layout,
    options: ExportOptions,
    airflow: AirflowFacts | None,
) -> str:
    """Return a short digest of all that decides which events are read, by whom, and how they are staged.

    :param request: what to read.
    :param request_facts: the same, as the manifest has it.
    :param layout: the format and the names of the files.
    :param options: how to write.
    :param airflow: the task that exports.
    """
    facts = {
        "project": request.project,
        # To the microsecond, as earlier releases wrote it: a retry after an upgrade goes on from what they staged.
        **dict(zip(("start_time", "end_time"), _bounds(request.window), strict=True)),
        # The endpoint is found out on the way, and not always the same one.
        "request": request_facts.model_dump(exclude={"endpoint", "include_content"}),
    }
    owner = airflow.model_dump(exclude={"try_number"}) if airflow else None
    staged = [layout.file_format, layout.compression, layout.object_name]
    # Staged lines of CSV have these columns; those of a version with others must not be joined to them.
    staged += COLUMN_NAMES if layout.file_format == "csv" else ()
    # What is staged has no index otherwise.
    staged += ["indexed"] if options.lookback_windows else []
    # What earlier releases have staged is no file as it is published.
    staged += ["staged as files"]
    # What is staged with content must not be joined; with it, nothing has changed for earlier versions.
    staged += [] if request.include_content else ["without content"]
    text = json.dumps([facts, owner, staged, options.partition_by], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _bounds(window: Window | None) -> tuple[str | None, str | None]:
    if window is None:
        return None, None
    start, end = (time.replace(tzinfo=None).isoformat(timespec="microseconds") for time in (window.start, window.end))
    return f"{start}Z", f"{end}Z"
