"""What an export has staged so far, kept beside the staged files, so that a retry goes on instead of beginning again.

It lives in the destination, since a retry may run on another worker. One plan, and one checkpoint for each slice,
replaced after each staged file: it names only files that are whole. Each process writes checkpoints of its own, and
only those of the one that wrote the plan last count: those of two that ran at once may hold the same events.
"""

from __future__ import annotations

import re
import threading
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_honeyhive.display import get_logger
from airflow_provider_honeyhive.exceptions import DestinationError
from airflow_provider_honeyhive.export.staging_records import Plan, SliceCheckpoint
from airflow_provider_honeyhive.export.stored_cursor import StoredCursor
from airflow_provider_honeyhive.models.layout import LARGEST_FILE
from airflow_provider_honeyhive.models.stored import StoredFile

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from airflow_provider_honeyhive.export.staging_records import Bounds, ReadSessions, StagedFile
    from airflow_provider_honeyhive.reading.cursor import Cursor
    from airflow_provider_honeyhive.reading.rows import RowKey
    from airflow_provider_honeyhive.storage.base import Store


log = get_logger(__name__)

#: Where nothing was staged for longer, all is read again: the events may have changed since.
LONGEST_AGE = timedelta(days=1)

PLAN_NAME = "plan.json"

_CHECKPOINT_NAME = re.compile(r"([0-9]{5,9})-([0-9a-f]+)\.json")

_Stored = TypeVar("_Stored", bound=StoredFile)


class Checkpoints:
    """The plan and the checkpoints of one export.

    :param store: the destination's folder.
    :param folder: name of the staging folder in it.
    :param writer: who writes them.
    :param is_new: the folder is not there yet.
    """

    def __init__(self, store: Store, folder: str, writer: str, *, is_new: bool = False) -> None:
        self._store = store
        self._folder = folder
        self._writer = writer
        #: Held while a slice is split: no checkpoint may show less of a slice before another shows the rest.
        self.lock = threading.Lock()
        #: The files of the folder, as they were found; None: nobody has looked.
        self._there: Mapping[str, int] | None = {} if is_new else None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is staged."""
        return not self._listed()

    def _listed(self) -> Mapping[str, int]:
        if self._there is None:
            self._there = self._store.files(self._folder)
        return self._there

    def read_plan(self, span: Bounds) -> Plan | None:
        """Return the plan of an earlier try, None where there is none to go on from.

        :param span: start and end of the window, microseconds since 1970.
        """
        if PLAN_NAME not in self._listed():
            return None
        newest = self._store.newest(self._folder)
        # A time to come is no age: a clock was wrong, and nobody knows for how long.
        if newest is None or abs(datetime.now(UTC) - newest) > LONGEST_AGE:
            return None
        plan = self._load(Plan, PLAN_NAME, self._listed())
        return plan if plan is not None and plan.span == span else None

    def _load(self, kind: type[_Stored], name: str, there: Mapping[str, int]) -> _Stored | None:
        """Return what a file holds; None where it is gone, or holds what cannot be gone on from.

        :param there: names and sizes of the files in the folder: earlier releases wrote some that are too large to be
            read.
        """
        path = f"{self._folder}/{name}"
        if there.get(name, 0) > LARGEST_FILE:
            log.warning("What it tells of is read again, since it is too large: %s", self._store.url(path))
            return None
        data = self._store.get(path)
        if data is None:
            return None
        try:
            return kind.load(data, self._store.url(path))
        except DestinationError as error:
            log.warning("What it tells of is read again: %s", error)
            return None

    def begin(self, started_at: datetime, total: int | None, endpoint: str | None, slices: list[Bounds]) -> Plan:
        """Write a new plan for this try and its retries; see :class:`Plan`. Nothing else is staged then."""
        self._there = {}
        return self._write_plan(
            Plan(started_at=started_at, total=total, endpoint=endpoint, slices=slices, writer=self._writer)
        )

    def go_on(
        self, plan: Plan, fits: Callable[[int, SliceCheckpoint], bool] = lambda number, checkpoint: True
    ) -> dict[int, SliceCheckpoint] | None:
        """Return what is staged of each slice, by its number, and let only checkpoints of this process count from now.

        :param plan: of an earlier try, or of this one.
        :param fits: whether the files of a slice can be used; what cannot is read again.
        :returns: None where that does not cover the window.
        """
        there = self._listed()
        checkpoints = {number: SliceCheckpoint(start=start, end=end) for number, (start, end) in enumerate(plan.slices)}
        checkpoints |= plan.inherited
        cut: dict[int, Bounds] = {}
        for name in there:
            match = _CHECKPOINT_NAME.fullmatch(name)
            if match and match[2] == plan.writer and name == self._name(int(match[1]), plan.writer):
                checkpoint = self._load(SliceCheckpoint, name, there)
                if checkpoint is not None:
                    cut |= checkpoint.cut
                    checkpoints[int(match[1])] = checkpoint.model_copy(update={"cut": {}})
        for number, (start, end) in cut.items():
            checkpoints.setdefault(number, SliceCheckpoint(start=start, end=end))
        covering = _side_by_side(checkpoints, plan.span)
        if covering is not None:
            covering = {
                number: found
                if self._is_whole(number, found, there) and fits(number, found)
                else _left_out(number, found)
                for number, found in covering.items()
            }
        if covering is not None and plan.writer != self._writer:
            return self._inherit(plan, covering)
        return covering

    def _inherit(self, plan: Plan, covering: dict[int, SliceCheckpoint]) -> dict[int, SliceCheckpoint] | None:
        """Write the plan for this process with as much of what is staged as it has room for, and return that.

        :returns: None where it has room for nothing of it.
        """
        inherited = dict(covering)
        for number in sorted(covering, key=lambda one: len(covering[one].to_json()), reverse=True):
            made = plan.model_copy(update={"writer": self._writer, "inherited": inherited})
            if len(made.to_json()) <= LARGEST_FILE:
                return self._write_plan(made).inherited
            log.warning("Slice %d has too many known rows for the plan: reading it again", number)
            inherited[number] = _nothing_of(inherited[number])
        return None

    def _write_plan(self, plan: Plan) -> Plan:
        self._store.put(f"{self._folder}/{PLAN_NAME}", plan.to_json())
        return plan

    def _is_whole(self, number: int, checkpoint: SliceCheckpoint, there: Mapping[str, int]) -> bool:
        is_there = all(there.get(file.path.rpartition("/")[2]) == file.size_bytes for file in checkpoint.files)
        return is_there and checkpoint.is_sound(number, self._folder)

    @staticmethod
    def _name(number: int, writer: str) -> str:
        return f"{number:05d}-{writer}.json"

    def write(
        self,
        number: int,
        bounds: Bounds,
        files: Sequence[StagedFile] = (),
        cursor: Cursor | None = None,
        pending: Collection[RowKey] = (),
        *,
        sessions: ReadSessions | None = None,
        cut: Mapping[int, Bounds] | None = None,
    ) -> bool:
        """Record how far a slice has been staged; see :class:`SliceCheckpoint`.

        :param number: of the slice.
        :param bounds: of the slice.
        :param files: whole files.
        :param cursor: where the reading stands.
        :param pending: rows that the cursor has taken, but that are not in these files.
        :param sessions: in the files, where whole ones are read.
        :param cut: slices that were cut off some slice since.
        :returns: whether it was recorded: there is no room for any number of known rows.
        """
        stored = None if cursor is None else _stored(cursor, set(pending))
        checkpoint = SliceCheckpoint(
            start=bounds[0], end=bounds[1], files=list(files), cursor=stored, sessions=sessions, cut=dict(cut or {})
        )
        data = checkpoint.to_json()
        if len(data) > LARGEST_FILE:
            log.warning("Slice %d has too many known rows to note how far it has been staged", number)
            return False
        self._store.put(f"{self._folder}/{self._name(number, self._writer)}", data)
        return True


def _left_out(number: int, checkpoint: SliceCheckpoint) -> SliceCheckpoint:
    log.warning("Some staged files of slice %d are gone or not whole: reading it again", number)
    return _nothing_of(checkpoint)


def _nothing_of(checkpoint: SliceCheckpoint) -> SliceCheckpoint:
    return SliceCheckpoint(start=checkpoint.start, end=checkpoint.end)


def _side_by_side(checkpoints: dict[int, SliceCheckpoint], span: Bounds) -> dict[int, SliceCheckpoint] | None:
    """Return the checkpoints newest first, with no time in two of them; None where a time is in none.

    A slice that gave away its older part may have been recorded last before it did.
    """
    if span == (None, None):
        return checkpoints if [(one.start, one.end) for one in checkpoints.values()] == [span] else None
    order = sorted(checkpoints, key=lambda number: checkpoints[number].end or 0, reverse=True)
    for newer, older in pairwise(order):
        start, end = checkpoints[newer].start, checkpoints[older].end
        if start is None or end is None or start > end:
            return None
        checkpoints[newer] = checkpoints[newer].model_copy(update={"start": end})
    if (checkpoints[order[-1]].start, checkpoints[order[0]].end) != span:
        return None
    return {number: checkpoints[number] for number in order}


def _stored(cursor: Cursor, pending: set[RowKey]) -> StoredCursor:
    taken = {"known": cursor.known - pending, "taken": cursor.taken - len(pending)}
    return StoredCursor(**{**vars(cursor), **taken})
