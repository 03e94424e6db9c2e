"""Reads the sessions of a window side by side and stages their events; goes on from what an earlier try has staged.

First the roots of the window, whose ids are held; then the sessions, in groups by the time of their roots. A group is
to the checkpoints what a slice is where a window's own events are read.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.export.checkpoint import Plan
from airflow_provider_honeyhive.export.extract_window import StoppedError
from airflow_provider_honeyhive.export.staging import SliceWriter
from airflow_provider_honeyhive.export.workers import Grid, run_in_threads
from airflow_provider_honeyhive.models.window import format_time
from airflow_provider_honeyhive.reading.counting import count_window
from airflow_provider_honeyhive.reading.cursor import Cursor, ReadAgainError
from airflow_provider_honeyhive.reading.fetcher import RangeFetcher
from airflow_provider_honeyhive.reading.session_reader import SessionReader, Tally
from airflow_provider_honeyhive.reading.session_roots import group_bounds, read_roots, roots_request, share_out

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from airflow_provider_honeyhive.api.client import HoneyHiveClient
    from airflow_provider_honeyhive.events.raw import RawEvent
    from airflow_provider_honeyhive.export.checkpoint import SliceCheckpoint
    from airflow_provider_honeyhive.export.destination import Destination
    from airflow_provider_honeyhive.export.progress import Progress
    from airflow_provider_honeyhive.export.staging import StagedFile
    from airflow_provider_honeyhive.formats.encoder import Block
    from airflow_provider_honeyhive.models.options import ExportOptions
    from airflow_provider_honeyhive.models.request import ExportRequest
    from airflow_provider_honeyhive.reading.session_roots import Root


log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(slots=True)
class _Group:
    """Sessions that one thread reads, one after the other.

    :param number: names it in the checkpoints.
    :param bounds: of the times of their roots, half open.
    :param files: what is staged of them: all or nothing.
    """

    number: int
    bounds: tuple[int | None, int | None]
    roots: list[Root] = field(default_factory=list)
    files: list[StagedFile] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    done: bool = False

    @classmethod
    def of(cls, number: int, record: SliceCheckpoint) -> _Group:
        """Return a group as far as an earlier try has come with it."""
        cursor = record.load_cursor()
        group = cls(number, (record.start, record.end))
        if cursor is not None and cursor.done:
            group.files, group.done = list(record.files), True
            group.tally = Tally(record.session_count, cursor.distinct, cursor.total)
        return group


class SessionsExtraction:
    """One try to read the sessions of a window.

    :param client: where to read from.
    :param fetcher: asks for pages.
    :param request: its filters choose among the roots in its window.
    :param destination: where to stage.
    :param encode: turns the events of a block, and their times, into members of a file.
    :param map_blocks: encodes blocks side by side, as an executor's ``map`` does, or one after the other.
    :param options: how to write.
    :param progress: counts.
    :raises InvalidArgumentError: the request has no window.
    """

    def __init__(
        self,
        client: HoneyHiveClient,
        fetcher: RangeFetcher,
        request: ExportRequest,
        destination: Destination,
        *,
        encode: Callable[[list[RawEvent], list[int | None]], list[tuple[bytes, Block]]],
        map_blocks: Callable[..., Iterable[list[tuple[bytes, Block]]]],
        options: ExportOptions,
        progress: Progress,
    ) -> None:
        if request.window is None:
            raise InvalidArgumentError("sessions", request.sessions, "allowed only with a window of time")
        self._client = client
        self._fetcher = fetcher
        self._request = request
        self._window = request.window
        self._destination = destination
        self._checkpoints = destination.checkpoints
        self._encode = encode
        self._map_blocks = map_blocks
        self._options = options
        self._progress = progress
        self._stop = threading.Event()
        self._groups: list[_Group] = []
        self._waiting: deque[_Group] = deque()
        self._reader = SessionReader(fetcher, request, self._window, totals_hold=False)

    def run(self) -> tuple[Plan, list[StagedFile]]:
        """Read everything, and return the plan with the staged files, those of the newest sessions first."""
        (plan,) = self._side_by_side([self._begin])
        self._waiting.extend(group for group in self._groups if not group.done)
        self._progress.begin(None, sum(group.tally.event_count for group in self._groups))
        try:
            self._side_by_side([self._work] * self._options.concurrency)
        finally:
            self._progress.end()
        log.info(
            "Read %s sessions; deleted meanwhile: %d; with their root elsewhere: %d",
            f"{self.session_count:,}",
            len(self._reader.gone),
            len(self._reader.elsewhere),
        )
        totals = [group.tally.reported for group in self._groups]
        total = None if None in totals else sum(total or 0 for total in totals)
        return plan.model_copy(update={"total": total}), [file for group in self._groups for file in group.files]

    @property
    def slice_count(self) -> int:
        """Groups that the sessions were read in."""
        return len(self._groups)

    @property
    def session_count(self) -> int:
        """Sessions that were read, those of an earlier try included."""
        return sum(group.tally.session_count for group in self._groups)

    def _side_by_side(self, jobs: Sequence[Callable[[], T]]) -> list[T]:
        # Not even a single request on the main thread: a signal must find it free to act.
        self._stop = threading.Event()
        return run_in_threads(jobs, self._stop, lambda: self._client.is_stopped, self._progress.show)

    # ------------------------------------------------------------------------------- the plan

    def _begin(self) -> Plan:
        started = datetime.now(UTC)
        plan = self._checkpoints.read_plan()
        records = None if plan is None else self._checkpoints.read(plan)
        if plan is not None and records is not None:
            log.info("Going on from what an earlier try has staged since %s", format_time(plan.started_at))
            self._groups = [_Group.of(number, record) for number, record in records.items()]
        if plan is None or not self._groups or not all(group.done for group in self._groups):
            roots = self._roots()
            if plan is None or not self._groups:
                self._destination.clear_staging()
                endpoint = self._client.endpoint.name if self._client.endpoint else None
                bounds = group_bounds(roots, self._window)
                plan = Plan(started_at=started, total=None, endpoint=endpoint, slices=list(bounds))
                self._checkpoints.write_plan(plan)
                self._groups = [_Group(number, each) for number, each in enumerate(bounds)]
            for group, its_roots in zip(
                self._groups, share_out(roots, [group.bounds for group in self._groups]), strict=True
            ):
                group.roots = its_roots
        return plan

    def _roots(self) -> list[Root]:
        fetcher = RangeFetcher(self._client, roots_request(self._request), self._fetcher.stats, self._options.page_size)
        count = count_window(fetcher, self._window)
        roots = read_roots(fetcher, self._window.start_us, self._window.end_us)
        # A number above one, beside an answer of one event, counts more than the answer.
        totals_hold = count is not None and count > 1
        self._reader = SessionReader(self._fetcher, self._request, self._window, totals_hold=totals_hold)
        log.info(
            "Exporting project %s, window %s: %s sessions with their root in it, %s for each",
            self._fetcher.project,
            self._window,
            f"{len(roots):,}",
            "a request at least" if totals_hold else "two requests at least",
        )
        return roots

    # ------------------------------------------------------------------------------- one group

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                group = self._waiting.popleft()
            except IndexError:
                return
            self._read(group)

    def _read(self, group: _Group) -> None:
        # Ends, because a session that cannot be read whole raises something else in the end.
        while not group.done:
            writer = SliceWriter(
                self._destination.store,
                partial(self._destination.staged_name, group.number),
                encode=self._encode,
                map_blocks=self._map_blocks,
                cell=Grid.over(None, None).bounds,
                max_file_size=self._options.max_file_size,
            )
            group.tally = Tally()
            try:
                with writer:
                    self._stage(group, writer)
            except ReadAgainError as error:
                log.warning("Reading the sessions of group %d again: %s", group.number, error)
                self._destination.discard(writer.files)
            else:
                group.files, group.done = writer.files, True
        cursor = Cursor(upper=None, distinct=group.tally.event_count, total=group.tally.reported, done=True)
        with self._checkpoints.lock:
            self._checkpoints.write(
                group.number, group.bounds, group.files, cursor, session_count=group.tally.session_count
            )

    def _stage(self, group: _Group, writer: SliceWriter) -> None:
        for root in group.roots:
            for batch in self._reader.read(root, group.tally):
                writer.write(batch)
                self._progress.add(len(batch.raw_events), sum(map(len, batch.raw_events)))
                if self._stop.is_set():
                    raise StoppedError
                del batch  # its events, before the next answer comes
