"""The whole of an export: plan, read, write, prove, publish. Plain Python, no Airflow."""

from __future__ import annotations

from collections import Counter
from contextlib import nullcontext
from datetime import UTC, datetime
from threading import Semaphore
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive import __version__
from airflow_provider_honeyhive.display import get_logger
from airflow_provider_honeyhive.events.masking import Masker
from airflow_provider_honeyhive.exceptions import (
    DestinationAccessError,
    ExportWouldShrinkError,
    HoneyHiveError,
    IncompleteExportError,
    InvalidArgumentError,
    TooFewEventsError,
)
from airflow_provider_honeyhive.export.assembly import Assembly
from airflow_provider_honeyhive.export.claim import check_above
from airflow_provider_honeyhive.export.destination import Destination
from airflow_provider_honeyhive.export.extract_window import WindowExtraction, processor_pool
from airflow_provider_honeyhive.export.file_kinds import sort_out
from airflow_provider_honeyhive.export.fingerprint import fingerprint
from airflow_provider_honeyhive.export.lengths import check_lengths
from airflow_provider_honeyhive.export.open_file import FileKind
from airflow_provider_honeyhive.export.progress import Progress
from airflow_provider_honeyhive.export.publish import publish
from airflow_provider_honeyhive.export.published_log import log_published
from airflow_provider_honeyhive.export.shrink_check import check_shrink, keep_published
from airflow_provider_honeyhive.export.staging import Staging
from airflow_provider_honeyhive.export.unmatched import tell_unmatched
from airflow_provider_honeyhive.formats.columns import COLUMNS_OF
from airflow_provider_honeyhive.formats.content_index import records_of
from airflow_provider_honeyhive.formats.encoder import BlockEncoder, is_instant, serializer
from airflow_provider_honeyhive.formats.text import frame
from airflow_provider_honeyhive.manifest import PLAIN_SCHEMA_VERSION, SCHEMA_VERSION, Manifest
from airflow_provider_honeyhive.models.export_facts import AirflowFacts, ProjectName, ReplacedFacts, RequestFacts
from airflow_provider_honeyhive.models.layout import Layout, choose_layout, is_shards_folder
from airflow_provider_honeyhive.models.options import ExportOptions, check_lookback, check_partitions
from airflow_provider_honeyhive.models.window import format_time
from airflow_provider_honeyhive.reading.fetcher import RangeFetcher, ReadStats
from airflow_provider_honeyhive.storage.paths import as_path, open_store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Executor

    from airflow_provider_honeyhive.api.client import HoneyHiveClient
    from airflow_provider_honeyhive.export.assembly import ReadFile
    from airflow_provider_honeyhive.export.extract_sessions import SessionsExtraction
    from airflow_provider_honeyhive.export.lookback import CorrectionEncoder, Lookback
    from airflow_provider_honeyhive.formats.datafile import PartFile
    from airflow_provider_honeyhive.models.request import ExportRequest
    from airflow_provider_honeyhive.models.window import Window


log = get_logger(__name__)

#: Threads that send to an object store at the same time: its driver holds copies of what each of them sends.
SENDERS = 2


def export_events(
    client: HoneyHiveClient,
    request: ExportRequest,
    output_path: Any,
    options: ExportOptions | None = None,
    airflow: AirflowFacts | None = None,
    *,
    exports_folder: Any = None,
    progress: Progress | None = None,
) -> Manifest:
    """Export the events of the request's window to files, and publish them with a manifest.

    :param client: where to read from.
    :param request: what to read.
    :param output_path: a text or anything path-like; with a known suffix one object, else a folder of parts.
    :param options: how to write.
    :param airflow: the task that exports, for the manifest.
    :param exports_folder: the folder, at any depth, of the exports that the option ``lookback_windows`` compares with.
    :param progress: told how the reading is getting on; default: logs a line each half minute.
    :raises HoneyHiveError: see :mod:`~airflow_provider_honeyhive.exceptions`; nothing was published then,
        and an earlier export is as it was.
    """
    options = options or ExportOptions()
    folder, layout = choose_layout(as_path(output_path), options.file_format, options.compression)
    check_partitions(options.partition_by, layout, request.exclude_fields, request.redact)
    check_lookback(options.lookback_windows, layout)
    if options.lookback_windows:
        _check_can_look_back(folder, request, options, exports_folder)
    check_above(folder)
    run = _Export(
        client,
        request,
        layout,
        options,
        airflow,
        exports_folder=exports_folder,
        is_shard=_is_shard(folder),
        progress=progress,
    )
    store = open_store(folder)
    check_lengths(store, layout, options.partition_by, looks_back=bool(options.lookback_windows))
    return run.to(Destination(store, layout, run.fingerprint()))


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
        exports_folder: Any,
        is_shard: bool,
        progress: Progress | None,
    ) -> None:
        self._client = client
        self._request = request
        self._masker = Masker(request.rules)
        self._request_facts = RequestFacts(
            project=request.project,
            filters=[item.to_wire() for item in request.filters],
            projections=list(request.projections) if request.projections else None,
            evaluation_id=request.evaluation_id,
            exclude_fields=list(request.exclude_fields),
            redact=list(request.redact),
            redact_key_id=self._masker.key_id,
            include_content=request.include_content,
            sessions=request.sessions,
            api_host=client.settings.api_host,
        )
        self._layout = layout
        self._options = options
        self._airflow = airflow
        self._exports_folder = exports_folder
        self._is_shard = is_shard
        self._extraction: WindowExtraction | SessionsExtraction | None = None
        self._lookback: Lookback | None = None
        self._replaced: ReplacedFacts | None = None
        self._stats = ReadStats()
        self._fetcher = RangeFetcher(
            client, request, self._stats, options.page_size, options.concurrency, trust_total=options.trust_total
        )
        self._trusts_total = self._fetcher.trusts_total
        self._started = datetime.now(UTC)
        self._total: int | None = None
        self._endpoint: str | None = None
        self._slice_count = 0
        self._repeated_ids = 0
        self._session_count: int | None = None
        self._misfits: Counter[str] = Counter()
        self._unmatched: list[str] = []
        self._progress = progress or Progress()
        self._sending = Semaphore(SENDERS)

    def fingerprint(self) -> str:
        """Return what tells this export's staged files from those of other exports."""
        return fingerprint(self._request, self._request_facts, self._layout, self._options, self._airflow)

    def to(self, destination: Destination) -> Manifest:
        """Run the export."""
        options = self._options
        destination.claim(self._facts([]), replace=options.replace, on_shrink=options.on_shrink)
        destination.check_can_replace()
        if not destination.store.reads_cheaply:
            self._fetcher.leave_memory()
        try:
            manifest = self._publish(destination)
        except ExportWouldShrinkError as error:
            return keep_published(destination, error, options.on_shrink)
        log_published(manifest, self._progress.summary(), destination.manifest_url)
        return manifest

    def _publish(self, destination: Destination) -> Manifest:
        """Read, and publish what was read; nothing is left of it after a failure but what a retry goes on from."""
        options = self._options
        try:
            with processor_pool() as pool:
                encoder = self._make_encoder()
                staged = self._read(destination, encoder, pool)
                event_count = sum(file.contents.event_count for file in staged)
                if event_count < (options.min_events or 0):
                    raise TooFewEventsError(options.min_events or 0, event_count)
                if options.lookback_windows:
                    staged += self._read_again(destination, encoder, pool)
                self._look_for_unmatched(staged)
                # May take as long as reading, so whoever watches should know.
                log.info("Read %s events; putting the data files together", f"{event_count:,}")
                files = Assembly(self._file_kind(destination, pool)).run(staged, pool)
            self._misfits = sum((Counter(file.misfits) for file in files), Counter())
            count_kept = None if self._lookback is None else self._lookback.count_kept
            self._replaced = check_shrink(destination, files, self._facts([]), options.on_shrink, count_kept)
            return publish(destination, files, self._facts)
        except BaseException as error:
            goes_on = _retry_goes_on(error)
            try:
                if goes_on and self._extraction is not None:
                    self._extraction.put_down()
            finally:
                destination.abandon(error, keep_staged=goes_on)
            raise

    def _file_kind(self, place: Destination, pool: Executor) -> FileKind:
        return FileKind(
            place,
            None if self._layout.file_format == "parquet" else frame(self._layout),
            self._options.max_file_size,
            self._layout.compression,
            self._footer(),
            sending=nullcontext() if place.store.reads_cheaply else self._sending,
            compress=lambda job: pool.submit(job).result(),
        )

    def _make_encoder(self) -> BlockEncoder:
        return BlockEncoder(
            serializer(self._layout),
            self._masker.apply if self._request.rules.active else None,
            self._options.partition_by,
            records_of if self._options.lookback_windows else None,
            names_only=not self._request.include_content,
        )

    def _look_for_unmatched(self, staged: Sequence[ReadFile]) -> None:
        matched = [file.contents.matched for file in staged if file.contents.event_count]
        if matched:
            self._unmatched = self._request.rules.unmatched(set().union(*matched))
        # What one shard does not hold another one may: who combines them tells.
        if not self._is_shard:
            tell_unmatched(self._unmatched, self._options.on_unmatched)

    def _read(self, destination: Destination, encoder: BlockEncoder, pool: Executor) -> list[ReadFile]:
        reading = self._reading(self._request.window, destination, encoder, pool, self._progress)
        self._extraction = reading
        plan, staged = reading.run()
        self._total, self._endpoint, self._slice_count = plan.total, plan.endpoint, reading.slice_count
        self._repeated_ids = reading.repeated_ids
        self._session_count = reading.session_count
        return staged

    def _read_again(self, destination: Destination, encoder: BlockEncoder, pool: Executor) -> list[ReadFile]:
        # Here, as below: most exports need none of it, and are done sooner without.
        from airflow_provider_honeyhive.export.lookback import Lookback  # noqa: PLC0415

        def read(window: Window, place: Destination, encoder: CorrectionEncoder) -> list[ReadFile]:
            return self._reading(window, place, encoder, pool, Progress()).run()[1]

        earlier = open_store(as_path(self._exports_folder))
        self._lookback = Lookback(earlier, self._facts([]), self._options.lookback_windows, destination.replaced)
        return self._lookback.read_again(encoder, destination, read)

    def _reading(
        self,
        window: Window | None,
        destination: Destination,
        encoder: BlockEncoder | CorrectionEncoder,
        pool: Executor,
        progress: Progress,
    ) -> WindowExtraction | SessionsExtraction:
        common = {
            "client": self._client,
            "fetcher": self._fetcher,
            "staging": Staging(
                self._file_kind(destination, pool),
                encoder,
                map if is_instant(self._layout) else pool.map,
                self._options.concurrency,
            ),
            "options": self._options,
            "progress": progress,
        }
        if self._request.sessions is None:
            return WindowExtraction(window, **common)
        from airflow_provider_honeyhive.export.extract_sessions import SessionsExtraction  # noqa: PLC0415

        return SessionsExtraction(self._request.model_copy(update={"window": window}), **common)

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
        window, published = request.window, sort_out(files)
        return Manifest(
            schema_version=SCHEMA_VERSION if any(part.pieces for part in files) else PLAIN_SCHEMA_VERSION,
            project=request.project,
            start_time=format_time(window.start) if window else None,
            end_time=format_time(window.end) if window else None,
            event_count=sum(part.event_count for part in published.events),
            session_count=self._session_count,
            reported_total=self._total,
            total_trusted=self._trusts_total,
            duplicates_dropped=stats.duplicates_dropped,
            repeated_ids=self._repeated_ids,
            events_without_time=sum(part.events_without_time for part in published.events),
            misfits=dict(self._misfits),
            columns=list(COLUMNS_OF.get(self._layout.file_format, ())),
            unmatched_fields=self._unmatched,
            partition_by=list(self._options.partition_by),
            project_names=[ProjectName(name=name, id=one) for name, one in sorted(stats.project_names, key=str)],
            slice_count=self._slice_count,
            page_count=stats.page_count,
            bytes_read=stats.bytes_read,
            retries=client.retries,
            started_at=format_time(self._started),
            finished_at=format_time(datetime.now(UTC)),
            file_format=self._layout.file_format,
            compression=self._layout.compression,
            request=self._request_facts.model_copy(update={"endpoint": self._client_endpoint() or self._endpoint}),
            airflow=self._airflow,
            files=published.events,
            lookback=self._lookback.facts(published.corrections) if self._lookback else None,
            corrections=published.corrections,
            index=published.index,
            replaced=self._replaced,
        )


def _check_can_look_back(folder: Any, request: ExportRequest, options: ExportOptions, exports_folder: Any) -> None:
    for problem, advice in (
        (request.window is None, "allowed only for a window"),
        (exports_folder is None, "it needs exports_folder, the folder in which earlier exports are"),
        (_is_shard(folder), "the parts of one export cannot look back: leave it out"),
    ):
        if problem:
            raise InvalidArgumentError("lookback_windows", options.lookback_windows, advice)


def _is_shard(folder: Any) -> bool:
    return any(map(is_shards_folder, str(folder).split("/")))


def _retry_goes_on(error: BaseException) -> bool:
    """Return whether what is staged is of use to a retry: not where it is what turned out to be wrong."""
    if isinstance(error, IncompleteExportError | TooFewEventsError):
        return False
    if isinstance(error, DestinationAccessError):
        # Once the store allows it, clearing the task goes on from there.
        return True
    return error.retryable if isinstance(error, HoneyHiveError) else True
