"""Reads a window's slices side by side and stages their events; goes on from what an earlier try has staged."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from os import cpu_count
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_honeyhive.display import get_logger
from airflow_provider_honeyhive.exceptions import (
    DestinationError,
    ExportStoppedError,
    HoneyHiveConnectionError,
    HoneyHiveRateLimitError,
    HoneyHiveServerError,
)
from airflow_provider_honeyhive.export.repeated_ids import RepeatedIds
from airflow_provider_honeyhive.export.slice_queue import Grid, Slice, SliceQueue
from airflow_provider_honeyhive.export.staging import SliceWriter
from airflow_provider_honeyhive.export.threads import run_in_threads
from airflow_provider_honeyhive.models.window import format_time
from airflow_provider_honeyhive.reading.cursor import ReadAgainError
from airflow_provider_honeyhive.reading.proof import FEWER, Proof, count_rows
from airflow_provider_honeyhive.reading.slice_reader import SliceReader
from airflow_provider_honeyhive.reading.stream import check_attempts, read_again

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Executor

    from airflow_provider_honeyhive.api.client import HoneyHiveClient
    from airflow_provider_honeyhive.export.assembly import ReadFile
    from airflow_provider_honeyhive.export.progress import Progress
    from airflow_provider_honeyhive.export.staging import Staging
    from airflow_provider_honeyhive.export.staging_records import Plan, SliceCheckpoint
    from airflow_provider_honeyhive.models.options import ExportOptions
    from airflow_provider_honeyhive.models.window import Window
    from airflow_provider_honeyhive.reading.cursor import Batch, Cursor
    from airflow_provider_honeyhive.reading.fetcher import RangeFetcher
    from airflow_provider_honeyhive.reading.rows import RowKey


log = get_logger(__name__)

T = TypeVar("T")

#: Fewer events than this for each reader are not worth another reader from the start.
EVENTS_WORTH_A_SLICE = 5_000


@contextmanager
def processor_pool() -> Iterator[Executor]:
    """Give the threads that compress and copy: as many as there are processors."""
    pool = ThreadPoolExecutor(cpu_count() or 1, "honeyhive-processor")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


class Extraction(ABC):
    """One attempt to read events by several threads, and to stage them.

    :param client: where to read from.
    :param fetcher: asks for pages.
    :param staging: where and how to stage.
    :param options: how to read.
    :param progress: counts.
    """

    def __init__(
        self,
        client: HoneyHiveClient,
        fetcher: RangeFetcher,
        staging: Staging,
        options: ExportOptions,
        progress: Progress,
    ) -> None:
        self._client = client
        self._fetcher = fetcher
        self._staging = staging
        self._destination = staging.destination
        self._checkpoints = staging.destination.checkpoints
        self._options = options
        self._progress = progress
        self._stop = threading.Event()
        self._ids = RepeatedIds()
        #: Events that were read whose id another one of them has, too.
        self.repeated_ids = 0

    def run(self) -> tuple[Plan, list[ReadFile]]:
        """Read everything, and return the plan with what was read, the newest first."""
        with self._ids:
            done = self._read_all()
            (self.repeated_ids,) = self._in_threads([self._ids.count])
        return done

    @abstractmethod
    def _read_all(self) -> tuple[Plan, list[ReadFile]]: ...

    def _in_threads(self, jobs: Sequence[Callable[[], T]]) -> list[T]:
        # Not even a single request on the main thread: a signal must find it free to act.
        self._stop = threading.Event()
        return run_in_threads(jobs, self._stop, lambda: self._client.is_stopped, self._progress.show)

    def put_down(self) -> None:
        """Let a retry go on from what has been read and waits on this machine."""
        waiting = self._waiting_here()
        shares = [waiting[number :: self._options.concurrency] for number in range(self._options.concurrency)]
        jobs = [partial(_run_all, share) for share in shares if share]
        # What cannot be put down is read again.
        with suppress(DestinationError, ExportStoppedError):
            # A reader that gets its answer only now still finds that it is over.
            run_in_threads(jobs, threading.Event(), lambda: self._client.is_stopped, self._progress.show)

    @abstractmethod
    def _waiting_here(self) -> list[Callable[[], None]]:
        """Return what puts down each part that has been read and waits on this machine."""

    def _write(self, batch: Batch, writer: SliceWriter, number: int) -> None:
        writer.write(batch)
        self._ids.add(number, batch.ids)
        self._progress.add(len(batch.raw_events), sum(map(len, batch.raw_events)))

    def _endpoint(self) -> str | None:
        return self._client.endpoint.name if self._client.endpoint else None


class WindowExtraction(Extraction):
    """Reads the events of a window.

    :param window: what to read; None: all of time.
    :param common: arguments of :class:`Extraction`.
    """

    #: Here nothing is known of sessions.
    session_count = None

    def __init__(self, window: Window | None, **common: Any) -> None:
        super().__init__(**common)
        self._window = window
        self._span: tuple[int | None, int | None] = (window.start_us, window.end_us) if window else (None, None)
        self._grid = Grid.over(window, None)
        self._queue = SliceQueue([], self._grid, self._cut, self._page_size)
        self._next_number = 0
        #: Slices that were cut off another one, and have no checkpoint of their own.
        self._cut_off: list[Slice] = []

    def _read_all(self) -> tuple[Plan, list[ReadFile]]:
        ((plan, slices),) = self._in_threads([self._begin])
        self._grid = Grid.over(self._window, plan.total)
        self._queue = SliceQueue(slices, self._grid, self._cut, self._page_size)
        staged = sum(file.contents.event_count for piece in slices for file in piece.files)
        self._progress.begin(plan.total, staged)
        readers = 1 if self._window is None else self._options.concurrency
        proof = Proof(self._fetcher, *self._span, plan.total)
        try:
            self._in_threads([self._work] * readers)
            while any(self._in_threads([partial(self._begin_again, proof)])):
                self._in_threads([self._work] * readers)
        finally:
            self._progress.end()
        in_order = sorted(self._queue.slices, key=lambda piece: piece.end or 0, reverse=True)
        read: list[ReadFile] = []
        for piece in in_order:
            read += piece.files
            read += piece.held
        return plan, read

    @property
    def slice_count(self) -> int:
        """Slices that the window was read in."""
        return len(self._queue.slices)

    # ------------------------------------------------------------------------------- the plan

    def _begin(self) -> tuple[Plan, list[Slice]]:
        plan = self._checkpoints.read_plan(self._span)
        checkpoints = None if plan is None else self._checkpoints.go_on(plan, self._fits)
        if plan is None or checkpoints is None:
            if not self._checkpoints.is_empty:
                self._destination.clear_staging()
            plan = self._new_plan()
            checkpoints = self._checkpoints.go_on(plan) or {}
        else:
            log.info("Going on from what an earlier try has staged since %s", format_time(plan.started_at))
        self._next_number = max(checkpoints) + 1
        # All of them before any reads: each must know which events without a time another one has taken.
        slices = [
            Slice(
                number,
                checkpoint.end,
                SliceReader(
                    self._fetcher,
                    checkpoint.start,
                    checkpoint.end,
                    checkpoint.load_cursor(),
                    None if plan.total is None else plan.total / len(checkpoints),
                ),
                list(checkpoint.files),
            )
            for number, checkpoint in checkpoints.items()
        ]
        return plan, slices

    def _fits(self, number: int, checkpoint: SliceCheckpoint) -> bool:
        return self._staging.fits(checkpoint.files, is_first=checkpoint.end == self._span[1])

    def _new_plan(self) -> Plan:
        """Ask for the total, by a small page: that shows the endpoint and the project, too."""
        started, window = datetime.now(UTC), self._window
        total = count_rows(self._fetcher, *self._span)
        slices: list[tuple[int | None, int | None]] = [(None, None)]
        if window is not None:
            enough = self._options.concurrency if total is None else -(-total // EVENTS_WORTH_A_SLICE)
            # The newest slice first, as the events within each are.
            slices = list(Grid.over(window, total).split(window, max(1, min(enough, self._options.concurrency))))
        log.info(
            "Exporting project %s, window %s: %s events",
            self._fetcher.project,
            window or "all of time",
            "an unknown number of" if total is None else f"{total:,}",
        )
        return self._checkpoints.begin(started, total, self._endpoint(), slices)

    # ------------------------------------------------------------------------------- the proof

    def _begin_again(self, proof: Proof) -> bool:
        """Where fewer events were read than the server reports, let the slices that lack some be read again.

        :returns: whether there are any.
        :raises IncompleteExportError: they were read often enough.
        """
        slices = self._queue.slices
        gap = proof.find_gap(sum(piece.reader.cursor.taken for piece in slices))
        if gap is None:
            return False
        check_attempts(ReadAgainError(FEWER, gap), proof.readings, "the slices that lack events")
        # Each may hold what the server reports for it, and all less than it reports for the whole: then all are short.
        short = [piece for piece in slices if piece.reader.cursor.seen < self._count(piece)] or slices
        for piece in short:
            self._start_over(piece)
        self._queue.begin_again(short)
        return True

    def _count(self, piece: Slice) -> int:
        return count_rows(self._fetcher, *piece.bounds) or 0

    # ------------------------------------------------------------------------------- sharing

    def _page_size(self) -> int:
        return self._fetcher.limit

    def _cut(self, busy: Slice, time: int) -> Slice | None:
        with self._checkpoints.lock:
            start = busy.reader.state.start
            expected = busy.reader.state.give_away_below(time)
            if expected is None:
                return None
            piece = Slice(self._next_number, time, SliceReader(self._fetcher, start, time, expected=expected))
            self._next_number += 1
            self._cut_off.append(piece)
        return piece

    def _work(self) -> None:
        while (piece := self._queue.next(self._stop)) is not None:
            self._read(piece)
            self._queue.finished(piece)

    # ------------------------------------------------------------------------------- one slice

    def _read(self, piece: Slice) -> None:
        if not piece.reader.cursor.done:
            read_again(partial(self._stage, piece), partial(self._start_over, piece), f"slice {piece.number}")
            # Of a slice that waits on this machine, only what is in the store is recorded, by its writer.
            if piece.files and not piece.held:
                self._record(piece, piece.reader.cursor)

    def _waiting_here(self) -> list[Callable[[], None]]:
        return [partial(self._put_down, piece) for piece in self._queue.slices if piece.held]

    def _put_down(self, piece: Slice) -> None:
        for number, held in enumerate(piece.held, len(piece.files)):
            piece.files.append(self._staging.store(held, piece.number, number, is_first=self._is_first(piece)))
        piece.held = []
        self._record(piece, piece.reader.cursor)

    def _is_first(self, piece: Slice) -> bool:
        return piece.end == self._span[1]

    def _start_over(self, piece: Slice) -> None:
        piece.reader.start_over()
        self._ids.forget(piece.number)
        if not piece.files:  # what follows files may have needed no room
            self._staging.let_go(piece.held)
        discarded, piece.files, piece.held = piece.files, [], []
        if discarded:
            self._record(piece, piece.reader.cursor)
            self._destination.discard(discarded)

    def _stage(self, piece: Slice) -> None:
        writer = SliceWriter(
            self._staging,
            piece.number,
            cell=self._grid.bounds,
            files=piece.files,
            on_file=lambda position, pending: self._record(piece, position, pending),
            is_first=self._is_first(piece),
        )
        piece.files = writer.files
        with writer:
            try:
                for batch in piece.reader.read():
                    # Before anything of it is written: what is being written then may have been thrown away.
                    if self._stop.is_set():
                        raise StoppedError
                    self._queue.went_on()
                    self._write(batch, writer, piece.number)
                    del batch  # its events, before the next answer comes
            except INTERRUPTIONS:
                writer.put_down()
                raise
        piece.held = writer.held

    def _record(self, piece: Slice, cursor: Cursor, pending: Sequence[RowKey] = ()) -> None:
        with self._checkpoints.lock:
            # A slice may not be recorded without what it gave away, or that would be in no checkpoint.
            cut = [other for other in self._cut_off if other is not piece]
            bounds = {other.number: other.bounds for other in cut}
            if self._checkpoints.write(piece.number, piece.bounds, piece.files, cursor, pending, cut=bounds):
                self._cut_off = cut


def _run_all(jobs: Sequence[Callable[[], None]]) -> None:
    for job in jobs:
        job()


class StoppedError(Exception):
    """Another slice failed, so this one need not go on."""


#: What breaks off reading, and says nothing against what has been read.
INTERRUPTIONS = (
    HoneyHiveRateLimitError,
    HoneyHiveServerError,
    HoneyHiveConnectionError,
    ExportStoppedError,
    StoppedError,
)
