"""The whole of an export: plan, read, write, prove, publish. Plain Python, no Airflow."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive import __version__
from airflow_provider_honeyhive.asking import Asker, ReadStats
from airflow_provider_honeyhive.assembly import Assembly
from airflow_provider_honeyhive.encoding import Encoder
from airflow_provider_honeyhive.exceptions import (
    HoneyHiveError,
    IncompleteExportError,
    TooFewEventsError,
)
from airflow_provider_honeyhive.formats import encoder
from airflow_provider_honeyhive.layout import Layout, choose_layout
from airflow_provider_honeyhive.manifest import AirflowFacts, Manifest, PartFile, RequestFacts
from airflow_provider_honeyhive.options import ExportOptions, check_partitions
from airflow_provider_honeyhive.progress import Progress
from airflow_provider_honeyhive.publishing import Destination
from airflow_provider_honeyhive.reading import WindowReading, encoding_pool
from airflow_provider_honeyhive.stores import as_path, open_store
from airflow_provider_honeyhive.windows import format_time

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from airflow_provider_honeyhive.client import HoneyHiveClient
    from airflow_provider_honeyhive.models import ExportRequest
    from airflow_provider_honeyhive.staging import StagedFile

log = logging.getLogger(__name__)


def export_events(
    client: HoneyHiveClient,
    request: ExportRequest,
    output_path: Any,
    options: ExportOptions | None = None,
    airflow: AirflowFacts | None = None,
    *,
    progress: Progress | None = None,
) -> Manifest:
    """Export the events of the request's window to files, and publish them with a manifest.

    :param client: where to read from.
    :param request: what to read.
    :param output_path: a text or anything path-like; with a known suffix one object, else a folder of parts.
    :param options: how to write.
    :param airflow: the task that exports, for the manifest.
    :param progress: told how the reading is getting on; default: logs a line each half minute.
    :raises HoneyHiveError: see :mod:`~airflow_provider_honeyhive.exceptions`; nothing was published then,
        and an earlier export is as it was.
    """
    folder, layout = choose_layout(
        as_path(output_path), options.file_format if options else None, options.compression if options else None
    )
    options = options or ExportOptions()
    check_partitions(options.partition_by, layout, request.exclude_fields, request.redact)
    run = _Export(client, request, layout, options, airflow, progress=progress)
    return run.to(Destination(open_store(folder), layout, run.fingerprint()))


class _Export:
    """One run of an export; holds what its steps share."""

    def __init__(
        self,
        client: HoneyHiveClient,
        request: ExportRequest,
        layout: Layout,
        options: ExportOptions,
        airflow: AirflowFacts | None,
        *,
        progress: Progress | None,
    ) -> None:
        self._client = client
        self._request = request
        self._layout = layout
        self._options = options
        self._airflow = airflow
        self._stats = ReadStats()
        self._asker = Asker(client, request, self._stats, options.page_size, options.concurrency)
        client.in_flight.most = options.concurrency
        self._started = datetime.now(UTC)
        self._total: int | None = None
        self._endpoint: str | None = None
        self._slice_count = 0
        self._misfits: Counter[str] = Counter()
        self._progress = progress or Progress()

    def fingerprint(self) -> str:
        """Return a short digest of all that decides which events are read, by whom."""
        facts = self._facts([]).model_dump(include={"project", "start_time", "end_time", "request"})
        del facts["request"]["endpoint"]  # found out on the way, and not always the same one
        owner = self._airflow.model_dump(exclude={"try_number"}) if self._airflow else None
        layout = [self._layout.file_format, self._layout.compression, self._layout.object_name]
        text = json.dumps([facts, owner, layout, self._options.partition_by], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to(self, destination: Destination) -> Manifest:
        """Run the export."""
        options = self._options
        destination.claim(self._facts([]), replace=options.replace)
        try:
            with encoding_pool() as pool:
                staged = self._read(destination, pool)
                event_count = sum(file.event_count for file in staged)
                if event_count < (options.min_events or 0):
                    raise TooFewEventsError(options.min_events or 0, event_count)
                assembly = Assembly(
                    destination.store, destination.staging, self._layout, options.max_file_size, self._footer()
                )
                files = assembly.run(staged, pool)
            self._misfits = sum((Counter(file.misfits) for file in files), Counter())
            manifest = destination.publish(files, self._facts, replace=options.replace)
        except BaseException as error:
            destination.abandon(keep_staged=_retry_goes_on(error))
            raise
        log.info(
            "Published %s; files on disk: %d, %.1f MB; manifest: %s",
            self._progress.summary(),
            len(manifest.files),
            manifest.size_bytes / 1e6,
            destination.manifest_url,
        )
        return manifest

    def _read(self, destination: Destination, pool: Executor) -> list[StagedFile]:
        rules = self._request.rules
        encode = Encoder(
            encoder(self._layout, staged_cheaply=destination.store.reads_cheaply),
            rules.apply if rules.active else None,
            self._options.partition_by,
        )
        reading = WindowReading(
            self._client,
            self._asker,
            self._request.window,
            destination,
            encode=encode,
            # Plain text is ready sooner than another thread would begin.
            map_blocks=map if self._layout.compression == "none" and self._layout.file_format == "jsonl" else pool.map,
            options=self._options,
            progress=self._progress,
        )
        plan, staged = reading.run()
        self._total, self._endpoint, self._slice_count = plan.total, plan.endpoint, reading.slice_count
        return staged

    def _footer(self) -> dict[str, str]:
        window = self._request.window
        return {
            "honeyhive.project": self._request.project or "",
            "honeyhive.start_time": format_time(window.start) if window else "",
            "honeyhive.end_time": format_time(window.end) if window else "",
            "honeyhive.provider_version": __version__,
        }

    def _client_endpoint(self) -> str | None:
        return self._client.endpoint.name if self._client.endpoint else None

    def _facts(self, files: list[PartFile]) -> Manifest:
        request, client, stats = self._request, self._client, self._stats
        window = request.window
        return Manifest(
            project=request.project,
            start_time=format_time(window.start) if window else None,
            end_time=format_time(window.end) if window else None,
            event_count=sum(part.event_count for part in files),
            reported_total=self._total,
            duplicates_dropped=stats.duplicates_dropped,
            events_without_time=sum(part.events_without_time for part in files),
            misfits=dict(self._misfits),
            partition_by=list(self._options.partition_by),
            project_names=sorted(stats.project_names, key=str),
            slice_count=self._slice_count,
            page_count=stats.page_count,
            bytes_read=stats.bytes_read,
            retries=client.retries,
            started_at=format_time(self._started),
            finished_at=format_time(datetime.now(UTC)),
            file_format=self._layout.file_format,
            compression=self._layout.compression,
            request=RequestFacts(
                project=request.project,
                filters=[item.to_wire() for item in request.filters],
                projections=list(request.projections) if request.projections else None,
                evaluation_id=request.evaluation_id,
                exclude_fields=list(request.exclude_fields),
                redact=list(request.redact),
                redact_key_id=request.rules.key_id,
                endpoint=self._client_endpoint() or self._endpoint,
                api_host=client.settings.api_host,
            ),
            airflow=self._airflow,
            files=files,
        )


def _retry_goes_on(error: BaseException) -> bool:
    """Return whether what is staged is of use to a retry: not where it is what turned out to be wrong."""
    if isinstance(error, IncompleteExportError | TooFewEventsError):
        return False
    return error.retryable if isinstance(error, HoneyHiveError) else True
