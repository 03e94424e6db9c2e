"""Reads the sessions of a window side by side and stages their events; goes on from what an earlier try has staged.

First the roots of the window, whose ids are held; then the sessions, in groups by the time of their roots. A group is
to the checkpoints what a slice is where a window's own events are read.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive.display import get_logger
from airflow_provider_honeyhive.exceptions import IncompleteExportError, InvalidArgumentError
from airflow_provider_honeyhive.export.extract_window import Extraction, StoppedError
from airflow_provider_honeyhive.export.slice_queue import Grid
from airflow_provider_honeyhive.export.staging import SliceWriter
from airflow_provider_honeyhive.export.staging_records import ReadSessions
from airflow_provider_honeyhive.models.window import format_time
from airflow_provider_honeyhive.reading.cursor import Cursor
from airflow_provider_honeyhive.reading.fetcher import RangeFetcher
from airflow_provider_honeyhive.reading.proof import count_rows
from airflow_provider_honeyhive.reading.session_reader import SessionReader, Tally
from airflow_provider_honeyhive.reading.session_roots import group_bounds, read_roots, roots_request, share_out
from airflow_provider_honeyhive.reading.slice_reader import READ_ATTEMPTS
from airflow_provider_honeyhive.reading.stream import ProvedReader, read_again

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_honeyhive.export.assembly import ReadFile
    from airflow_provider_honeyhive.export.open_file import HeldFile
    from airflow_provider_honeyhive.export.staging_records import Plan, SliceCheckpoint, StagedFile
    from airflow_provider_honeyhive.models.request import ExportRequest
    from airflow_provider_honeyhive.reading.session_roots import Root


log = get_logger(__name__)


@dataclass(slots=True)
class _Group:
    """Sessions that one thread reads, one after the other.

    :param number: names it in the checkpoints.
    :param bounds: of the times of their roots, half open.
    :param files: what is staged of them: with what is held, all or nothing.
    :param held: what follows them on this machine.
    :param names: digests of the sessions' ids, once they have been read.
    """

    number: int
    bounds: tuple[int | None, int | None]
    roots: list[Root] = field(default_factory=list)
    files: list[StagedFile] = field(default_factory=list)
    held: list[HeldFile] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    names: list[str] = field(default_factory=list)
    done: bool = False

    @classmethod
    def of(cls, number: int, checkpoint: SliceCheckpoint) -> _Group:
        """Return a group as far as an earlier try has come with it."""
        cursor = checkpoint.load_cursor()
        group = cls(number, (checkpoint.start, checkpoint.end))
        if cursor is not None and cursor.done and checkpoint.sessions is not None:
            group.files, group.done = list(checkpoint.files), True
            group.tally = Tally(checkpoint.sessions.session_count, cursor.taken, checkpoint.sessions.reported)
            group.names = checkpoint.sessions.names
        return group


class SessionsExtraction(Extraction):
    """Reads the sessions of a window.

    :param request: its filters choose among the roots in its window.
    :param common: arguments of :class:`.Extraction`.
    :raises InvalidArgumentError: the request has no window.
    """

    def __init__(self, request: ExportRequest, **common: Any) -> None:
        super().__init__(**common)
        if request.window is None:
            raise InvalidArgumentError("sessions", request.sessions, "allowed only with a window of time")
        self._request = request
        self._window = request.window
        self._groups: list[_Group] = []
        self._waiting: deque[_Group] = deque()
        self._reader = SessionReader(self._fetcher, request, self._window)
        # Roots are small: their pages say nothing of the sizes of others.
        self._roots_fetcher = RangeFetcher(
            self._client,
            roots_request(request),
            self._fetcher.stats,
            self._options.page_size,
            concurrency=self._fetcher.concurrency,
            trust_total=self._fetcher.trusts_total,
        )
        self._roots_reported: int | None = None

    def _read_all(self) -> tuple[Plan, list[ReadFile]]:
        (plan,) = self._in_threads([self._begin])
        self._waiting.extend(group for group in self._groups if not group.done)
        self._progress.begin(None, sum(group.tally.event_count for group in self._groups))
        try:
            self._in_threads([self._work] * self._options.concurrency)
        finally:
            self._progress.end()
        log.info(
            "Read %s sessions; deleted meanwhile: %d; with their root elsewhere: %d",
            f"{self.session_count:,}",
            len(self._reader.gone),
            len(self._reader.elsewhere),
        )
        self._in_threads([self._prove])
        totals = [group.tally.reported for group in self._groups]
        total = None if None in totals else sum(total or 0 for total in totals)
        read: list[ReadFile] = []
        for group in self._groups:
            read += group.files
            read += group.held
        return plan.model_copy(update={"total": total}), read

    @property
    def slice_count(self) -> int:
        """Groups that the sessions were read in."""
        return len(self._groups)

    @property
    def session_count(self) -> int:
        """Sessions that were read, those of an earlier try included."""
        return sum(group.tally.session_count for group in self._groups)

    # ------------------------------------------------------------------------------- the plan

    def _begin(self) -> Plan:
        started = datetime.now(UTC)
        plan = self._checkpoints.read_plan((self._window.start_us, self._window.end_us))
        checkpoints = None if plan is None else self._checkpoints.go_on(plan, self._fits)
        if plan is not None and checkpoints is not None:
            log.info("Going on from what an earlier try has staged since %s", format_time(plan.started_at))
            self._groups = [_Group.of(number, checkpoint) for number, checkpoint in checkpoints.items()]
        if plan is None or not self._groups or not all(group.done for group in self._groups):
            roots = self._roots()
            if plan is None or not self._groups:
                if not self._checkpoints.is_empty:
                    self._destination.clear_staging()
                bounds = group_bounds(roots, self._window)
                plan = self._checkpoints.begin(started, None, self._endpoint(), list(bounds))
                self._groups = [_Group(number, each) for number, each in enumerate(bounds)]
            self._share_out(roots)
        return plan

    def _fits(self, number: int, checkpoint: SliceCheckpoint) -> bool:
        return self._staging.fits(checkpoint.files, is_first=not number)

    def _share_out(self, roots: list[Root]) -> None:
        """Give each group its sessions. Those that an earlier try has read stay read, whatever their roots say now."""
        read = {name for group in self._groups for name in group.names}
        left = [root for root in roots if _name(root) not in read]
        shares = share_out(left, [group.bounds for group in self._groups])
        waiting = [group for group in self._groups if not group.done]
        for group, share in zip(self._groups, shares, strict=True):
            # The root of a session may lie among those of a group that has been read without it.
            (waiting[0] if group.done else group).roots += share

    def _prove(self) -> None:
        """Check that as many roots are gone as sessions were left out because theirs is.

        :raises IncompleteExportError: fewer are.
        """
        gone = len(self._reader.gone)
        if gone and self._roots_reported is not None:
            now = count_rows(self._roots_fetcher, self._window.start_us, self._window.end_us)
            if now is not None and now > self._roots_reported - gone:
                raise IncompleteExportError(now, self._roots_reported - gone)

    def _roots(self) -> list[Root]:
        fetcher = self._roots_fetcher
        reader = ProvedReader.of(fetcher, self._window)
        roots = read_roots(reader)
        self._roots_reported = reader.reported
        self._fetcher.totals_hold, self._fetcher.trusts_total = fetcher.totals_hold, fetcher.trusts_total
        log.info(
            "Exporting project %s, window %s: %s sessions with their root in it, %s for each",
            self._fetcher.project,
            self._window,
            f"{len(roots):,}",
            "a request at least" if fetcher.totals_hold else "three requests at least",
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
        # Each of its sessions may fail as often, the last time because it turns out to be deleted.
        attempts = READ_ATTEMPTS * len(group.roots) + 1
        what = f"the sessions of group {group.number}"
        read_again(partial(self._stage, group), partial(self._start_over, group), what, attempts)
        if not group.held:
            self._record(group)

    def _waiting_here(self) -> list[Callable[[], None]]:
        return [partial(self._put_down, group) for group in self._groups if group.held]

    def _put_down(self, group: _Group) -> None:
        for number, held in enumerate(group.held, len(group.files)):
            group.files.append(self._staging.store(held, group.number, number, is_first=not group.number))
        group.held = []
        self._record(group)

    def _record(self, group: _Group) -> None:
        tally = group.tally
        cursor = Cursor(upper=None, taken=tally.event_count, done=True)
        names = [_name(root) for root in group.roots]
        sessions = ReadSessions(names=names, session_count=tally.session_count, reported=tally.reported)
        with self._checkpoints.lock:
            self._checkpoints.write(group.number, group.bounds, group.files, cursor, sessions=sessions)

    def _start_over(self, group: _Group) -> None:
        self._ids.forget(group.number)
        self._destination.discard(group.files)

    def _stage(self, group: _Group) -> None:
        cell = Grid.over(None, None).bounds
        writer = SliceWriter(self._staging, group.number, cell=cell, is_first=not group.number)
        group.files, group.tally = writer.files, Tally()
        with writer:
            for root in group.roots:
                for batch in self._reader.read(root, group.tally):
                    self._write(batch, writer, group.number)
                    if self._stop.is_set():
                        raise StoppedError
                    del batch  # its events, before the next answer comes
        group.held = writer.held
        group.done = True


def _name(root: Root) -> str:
    return sha256(root.session_id.encode(errors="surrogatepass")).hexdigest()[:16]
