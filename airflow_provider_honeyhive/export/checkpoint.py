"""What an export has staged so far, kept beside the staged files, so that a retry goes on instead of beginning again.

It lives in the destination, since a retry may run on another worker. One plan, and one checkpoint for each slice,
replaced after each staged file: it names only files that are whole. Each process writes checkpoints of its own, and
only those of the one that wrote the plan last count: those of two that ran at once may hold the same events.
"""

from __future__ import annotations

import json
import re
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from airflow_provider_honeyhive.display import get_logger
from airflow_provider_honeyhive.formats.encoder import Block  # noqa: TC001 - pydantic needs it at run time
from airflow_provider_honeyhive.reading.cursor import Cursor

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from airflow_provider_honeyhive.reading.rows import RowKey
    from airflow_provider_honeyhive.storage.base import Store


log = get_logger(__name__)

#: Where nothing was staged for longer, all is read again: the events may have changed since.
LONGEST_AGE = timedelta(days=1)

_CHECKPOINT_NAME = re.compile(r"(\d{5,})-(\w+)\.json")


class StagedFile(BaseModel):
    """A whole file that is not published yet.

    :param path: relative to the destination's folder.
    :param sha256: of its bytes; None where the store reads cheaply, and what is published is hashed at the end.
    :param blocks: its blocks, in order; in checkpoints their key is ``members``.
    """

    model_config = ConfigDict(frozen=True, validate_by_name=True, validate_by_alias=True, serialize_by_alias=True)

    path: str
    sha256: str | None
    blocks: list[Block] = Field(validation_alias="members", serialization_alias="members")

    @property
    def size_bytes(self) -> int:
        """Bytes of the file."""
        return sum(block.size_bytes for block in self.blocks)

    @property
    def event_count(self) -> int:
        """Events in the file."""
        return sum(block.event_count for block in self.blocks)


class ReadSessions(BaseModel):
    """Whole sessions that are staged.

    :param names: short digests of their ids, and of the ids of those that turned out not to belong there.
    :param session_count: sessions.
    :param reported: events that the server reported for them; None where it did not for one of them.
    """

    model_config = ConfigDict(frozen=True)

    names: list[str]
    session_count: int
    reported: int | None


class SliceCheckpoint(BaseModel):
    """How far a slice has been staged.

    :param start: inclusive lower bound of the slice, microseconds since 1970.
    :param end: exclusive upper bound.
    :param files: staged files.
    :param cursor: where its reading stands, with the events of these files as known; None at its beginning.
    :param sessions: in the files, where whole ones are read.
    """

    model_config = ConfigDict(frozen=True)

    start: int | None
    end: int | None
    files: list[StagedFile] = []
    cursor: dict[str, Any] | None = None
    sessions: ReadSessions | None = None

    def load_cursor(self) -> Cursor | None:
        """Return where the reading stands."""
        return None if self.cursor is None else _load_cursor(self.cursor)


class Plan(BaseModel):
    """How a window was split at first, and what was known then.

    :param started_at: when the first try began.
    :param total: events the server reported for the window.
    :param endpoint: the endpoint that answered.
    :param slices: bounds of the first slices in microseconds since 1970, newest first.
    :param writer: whose checkpoints count.
    :param inherited: checkpoints that an earlier try left to it, by the numbers of their slices.
    """

    model_config = ConfigDict(frozen=True)

    started_at: datetime
    total: int | None
    endpoint: str | None
    slices: list[tuple[int | None, int | None]]
    writer: str
    inherited: dict[int, SliceCheckpoint] = {}


class Checkpoints:
    """The plan and the checkpoints of one export.

    :param store: the destination's folder.
    :param folder: name of the staging folder in it.
    :param writer: who writes them.
    """

    def __init__(self, store: Store, folder: str, writer: str) -> None:
        self._store = store
        self._folder = folder
        self._writer = writer
        #: Held while a slice is split: no checkpoint may show less of a slice before another shows the rest.
        self.lock = threading.Lock()

    def read_plan(self) -> Plan | None:
        """Return the plan of an earlier try, None where there is none to go on from."""
        newest = self._store.newest(self._folder)
        if newest is None or datetime.now(UTC) - newest > LONGEST_AGE:
            return None
        data = self._store.get(f"{self._folder}/plan.json")
        try:
            return None if data is None else Plan.model_validate_json(data)
        except ValidationError:
            return None

    def begin(
        self, started_at: datetime, total: int | None, endpoint: str | None, slices: list[tuple[int | None, int | None]]
    ) -> Plan:
        """Write a new plan for this try and its retries; see :class:`Plan`."""
        return self._write_plan(
            Plan(started_at=started_at, total=total, endpoint=endpoint, slices=slices, writer=self._writer)
        )

    def go_on(self, plan: Plan) -> dict[int, SliceCheckpoint] | None:
        """Return what is staged of each slice, by its number, and let only checkpoints of this process count from now.

        :param plan: of an earlier try, or of this one.
        :returns: None where that does not cover the window.
        """
        there = self._store.files(self._folder)
        checkpoints = {number: SliceCheckpoint(start=start, end=end) for number, (start, end) in enumerate(plan.slices)}
        checkpoints |= plan.inherited
        for name in there:
            match = _CHECKPOINT_NAME.fullmatch(name)
            if match and match[2] == plan.writer:
                with suppress(ValidationError):
                    data = self._store.get(f"{self._folder}/{name}") or b""
                    checkpoints[int(match[1])] = SliceCheckpoint.model_validate_json(data)
        whole = {number: _if_whole(number, checkpoint, there) for number, checkpoint in checkpoints.items()}
        covering = _side_by_side(whole, plan.slices)
        if covering is not None and plan.writer != self._writer:
            self._write_plan(plan.model_copy(update={"writer": self._writer, "inherited": covering}))
        return covering

    def _write_plan(self, plan: Plan) -> Plan:
        self._store.put(f"{self._folder}/plan.json", plan.model_dump_json().encode())
        return plan

    def write(
        self,
        number: int,
        bounds: tuple[int | None, int | None],
        files: Sequence[StagedFile] = (),
        cursor: Cursor | None = None,
        pending: Collection[RowKey] = (),
        *,
        sessions: ReadSessions | None = None,
    ) -> None:
        """Record how far a slice has been staged.

        :param number: of the slice.
        :param bounds: of the slice.
        :param files: whole files.
        :param cursor: where the reading stands.
        :param pending: rows that the cursor has taken, but that are not in these files.
        :param sessions: in the files, where whole ones are read.
        """
        facts = None if cursor is None else _dump_cursor(cursor, set(pending))
        checkpoint = SliceCheckpoint(
            start=bounds[0],
            end=bounds[1],
            files=list(files),
            cursor=facts,
            sessions=sessions,
        )
        name = f"{self._folder}/{number:05d}-{self._writer}.json"
        self._store.put(name, checkpoint.model_dump_json().encode())


def _if_whole(number: int, checkpoint: SliceCheckpoint, there: dict[str, int]) -> SliceCheckpoint:
    if all(there.get(file.path.rpartition("/")[2]) == file.size_bytes for file in checkpoint.files):
        return checkpoint
    log.warning("Some staged files of slice %d are gone or not whole: reading it again", number)
    return SliceCheckpoint(start=checkpoint.start, end=checkpoint.end)


def _side_by_side(
    checkpoints: dict[int, SliceCheckpoint], planned: Sequence[tuple[int | None, int | None]]
) -> dict[int, SliceCheckpoint] | None:
    """Return the checkpoints newest first, with no time in two of them; None where a time is in none.

    A slice that gave away its older part may have been recorded last before it did.
    """
    if planned == [(None, None)]:
        return checkpoints if len(checkpoints) == 1 else None
    order = sorted(checkpoints, key=lambda number: checkpoints[number].end or 0, reverse=True)
    for newer, older in pairwise(order):
        start, end = checkpoints[newer].start, checkpoints[older].end
        if start is None or end is None or start > end:
            return None
        checkpoints[newer] = checkpoints[newer].model_copy(update={"start": end})
    if checkpoints[order[0]].end != planned[0][1] or checkpoints[order[-1]].start != planned[-1][0]:
        return None
    return {number: checkpoints[number] for number in order}


def _dump_cursor(cursor: Cursor, pending: set[RowKey]) -> dict[str, Any]:
    known, elsewhere = _dump_keys(cursor.known - pending), _dump_keys(cursor.elsewhere)
    return {**vars(cursor), "known": known, "elsewhere": elsewhere, "taken": cursor.taken - len(pending)}


def _load_cursor(facts: dict[str, Any]) -> Cursor:
    return Cursor(**{**facts, "known": _load_keys(facts["known"]), "elsewhere": _load_keys(facts["elsewhere"])})


def _dump_keys(keys: Iterable[RowKey]) -> str:
    # As a JSON text of its own, because ids may hold what JSON can escape but UTF-8 cannot say.
    return json.dumps(
        [[id_.hex() if isinstance(id_, bytes) else id_, isinstance(id_, bytes), *rest] for id_, *rest in keys]
    )


def _load_keys(text: str) -> set[RowKey]:
    return {(bytes.fromhex(id_) if is_hash else id_, *rest) for id_, is_hash, *rest in json.loads(text)}
