"""The whole of an export: plan, read, write, prove, publish. Plain Python, no Airflow."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_honeyhive.asking import Asker, ReadStats
from airflow_provider_honeyhive.client import is_heavy
from airflow_provider_honeyhive.exceptions import (
    HoneyHiveError,
    IncompleteExportError,
    TooFewEventsError,
)
from airflow_provider_honeyhive.journal import Plan
from airflow_provider_honeyhive.layout import Layout, choose_layout
from airflow_provider_honeyhive.manifest import AirflowFacts, Manifest, PartFile, RequestFacts
from airflow_provider_honeyhive.options import ExportOptions
from airflow_provider_honeyhive.progress import Progress
from airflow_provider_honeyhive.publishing import Destination
from airflow_provider_honeyhive.reader import READINGS, ReadAgainError, SliceReader
from airflow_provider_honeyhive.slices import run_side_by_side
from airflow_provider_honeyhive.stores import as_path, open_store
from airflow_provider_honeyhive.windows import format_time
from airflow_provider_honeyhive.writers import JsonlWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_provider_honeyhive.client import HoneyHiveClient
    from airflow_provider_honeyhive.journal import Journal
    from airflow_provider_honeyhive.models import ExportRequest
    from airflow_provider_honeyhive.pages import Page
    from airflow_provider_honeyhive.windows import Window

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Fewer events than this for each reader are not worth another reader.
EVENTS_WORTH_A_SLICE = 5_000


class _StoppedError(Exception):
    """Another slice failed, so this one need not go on."""


def export_events(
    client: HoneyHiveClient,
    request: ExportRequest,
    output_path: Any,
    options: ExportOptions | None = None,
    airflow: AirflowFacts | None = None,
) -> Manifest:
    """Export the events of the request's window to files, and publish them with a manifest.

    :param client: where to read from.
    :param request: what to read.
    :param output_path: a text or anything path-like; with a known suffix one object, else a folder of parts.
    :param options: how to write.
    :param airflow: the task that exports, for the manifest.
    :raises HoneyHiveError: see :mod:`~airflow_provider_honeyhive.exceptions`; nothing was published then,
        and an earlier export is as it was.
    """
    folder, layout = choose_layout(
        as_path(output_path), options.file_format if options else None, options.compression if options else None
    )
    run = _Export(client, request, layout, options or ExportOptions(), airflow)
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
    ) -> None:
        self._client = client
        self._request = request
        self._layout = layout
        self._options = options
        self._airflow = airflow
        self._stats = ReadStats()
        self._asker = Asker(client, request, self._stats, options.page_size)
        self._started = datetime.now(UTC)
        self._stop = threading.Event()
        self._total: int | None = None
        self._endpoint: str | None = None
        self._progress = Progress()

    def fingerprint(self) -> str:
        """Return a short digest of all that decides which events are read, by whom."""
        facts = self._facts([]).model_dump(include={"project", "start_time", "end_time", "request"})
        del facts["request"]["endpoint"]  # found out on the way, and not always the same one
        owner = self._airflow.model_dump(exclude={"try_number"}) if self._airflow else None
        text = json.dumps([facts, owner, self._layout.suffix, self._layout.object_name], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to(self, destination: Destination) -> Manifest:
        """Run the export."""
        options = self._options
        destination.claim(self._facts([]), replace=options.replace)
        try:
            parts = self._read_all(destination)
            event_count = sum(part.event_count for part in parts)
            if event_count < (options.min_events or 0):
                raise TooFewEventsError(options.min_events or 0, event_count)
            manifest = destination.publish(parts, options.max_file_size, self._facts, replace=options.replace)
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

    def _read_all(self, destination: Destination) -> list[PartFile]:
        (plan,) = self._side_by_side([partial(self._plan, destination)])
        self._total, self._endpoint = plan.total, plan.endpoint
        self._progress = Progress(plan.total)
        # All of them before any reads: each must know which events without a time another one has taken.
        (slices,) = self._side_by_side([partial(self._take_up, plan, destination.journal)])
        jobs = [
            partial(self._read_slice, number, reader, parts, destination)
            for number, (reader, parts) in enumerate(slices)
        ]
        return [part for parts in self._side_by_side(jobs) for part in parts]

    def _side_by_side(self, jobs: Sequence[Callable[[], T]]) -> list[T]:
        # Not even a single request on the main thread: a signal must find it free to act.
        self._stop = threading.Event()
        return run_side_by_side(
            jobs, self._options.concurrency, self._stop, lambda: self._client.is_stopped, self._progress.log
        )

    def _plan(self, destination: Destination) -> Plan:
        """Return the plan of an earlier try, or a new one.

        A new one asks once, for a page of two events: it shows the endpoint, the project and the total.
        """
        plan = destination.journal.read_plan()
        if plan is not None:
            log.info("Going on from what an earlier try has staged since %s", format_time(plan.started_at))
            return plan
        destination.clear_staging()
        window = self._request.window
        total = None
        slices: list[tuple[int | None, int | None]] = [(None, None)]
        if window is not None:
            glance = self._glance(window)
            total = _usable_total(glance)
            wanted = self._options.concurrency if len(glance) == glance.limit else 1
            if total is not None:
                wanted = min(wanted, -(-total // EVENTS_WORTH_A_SLICE))
            # The newest slice first, as the events within each are.
            slices = [(part.start_us, part.end_us) for part in reversed(window.split(max(1, wanted)))]
        log.info(
            "Exporting project %s, window %s: %s events",
            self._request.project,
            window or "all of time",
            "an unknown number of" if total is None else f"{total:,}",
        )
        plan = Plan(started_at=self._started, total=total, endpoint=self._client_endpoint(), slices=slices)
        destination.journal.write_plan(plan)
        return plan

    def _take_up(self, plan: Plan, journal: Journal) -> list[tuple[SliceReader, list[PartFile]]]:
        slices = []
        for number, (start, end) in enumerate(plan.slices):
            parts, cursor = journal.read(number) or ([], None)
            slices.append((SliceReader(self._asker, start, end, cursor), parts))
            self._progress.add(sum(part.event_count for part in parts), 0)
        return slices

    def _glance(self, window: Window) -> Page:
        try:
            return self._asker.ask(window.start_us, window.end_us, limit=2)
        except HoneyHiveError as error:
            if not is_heavy(error):
                raise
            return self._asker.ask(window.start_us, window.end_us, limit=1)

    def _read_slice(
        self, number: int, reader: SliceReader, parts: list[PartFile], destination: Destination
    ) -> list[PartFile]:
        journal = destination.journal
        for reading in range(1, READINGS + 1):
            if reader.cursor.done:
                return parts
            writer = JsonlWriter(
                destination.store,
                lambda part: destination.staged_name(number, part),
                self._layout.compression,
                self._options.max_file_size,
                parts=parts,
                on_part=lambda pending: journal.write(number, writer.parts, reader.cursor, pending),  # noqa: B023 - used within this turn
            )
            try:
                with writer:
                    for batch in reader.read():
                        writer.write(batch)
                        self._progress.add(len(batch.raw_events), sum(map(len, batch.raw_events)))
                        if self._stop.is_set():
                            raise _StoppedError
                journal.write(number, writer.parts, reader.cursor)
            except ReadAgainError as error:
                log.warning("Reading slice %d again (%d of %d): %s", number, reading, READINGS, error)
                reader.start_over()
                journal.write(number, [], reader.cursor)
                destination.discard(writer.parts)
                parts, incomplete = [], error.incomplete
                continue
            return writer.parts
        raise incomplete

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
            project_names=sorted(stats.project_names, key=str),
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


def _usable_total(page: Page) -> int | None:
    """Return the number that the answer reports, where it can only be a total.

    Where it is the number of events in a full page, it may be just that.
    """
    if page.total is None or (page.total <= len(page) and len(page) >= page.limit):
        return None
    return page.total
