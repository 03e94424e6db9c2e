"""What an export has staged so far, kept beside the staged files, so that a retry goes on instead of beginning again.

It lives in the destination, since a retry may run on another worker. One plan, written once, and one record
for each slice, replaced after each staged file: a record names only files that are whole.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from airflow_provider_honeyhive.manifest import PartFile  # noqa: TC001 - pydantic needs it at run time
from airflow_provider_honeyhive.reader import Cursor

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable

    from airflow_provider_honeyhive.stores import Store

log = logging.getLogger(__name__)

#: What was staged longer ago is read again: the events may have changed since.
LONGEST_AGE = timedelta(days=1)


class Plan(BaseModel):
    """How a window was split, and what was known then.

    :param started_at: when the first try began.
    :param total: events the server reported for the window.
    :param endpoint: the endpoint that answered.
    :param slices: bounds of the slices in microseconds since 1970, newest first.
    """

    model_config = ConfigDict(frozen=True)

    started_at: datetime
    total: int | None
    endpoint: str | None
    slices: list[tuple[int | None, int | None]]


class Record(BaseModel):
    """How far a slice has been staged.

    :param parts: staged files.
    :param cursor: where its reading stands, with the events of these files as known.
    """

    model_config = ConfigDict(frozen=True)

    parts: list[PartFile]
    cursor: dict[str, Any]


class Journal:
    """The plan and the records of one export.

    :param store: the destination's folder.
    :param folder: name of the staging folder in it.
    """

    def __init__(self, store: Store, folder: str) -> None:
        self._store = store
        self._folder = folder

    def read_plan(self) -> Plan | None:
        """Return the plan of an earlier try, None where there is none to go on from."""
        data = self._store.get(f"{self._folder}/plan.json")
        try:
            plan = None if data is None else Plan.model_validate_json(data)
        except ValidationError:
            return None
        return plan if plan and datetime.now(UTC) - plan.started_at < LONGEST_AGE else None

    def write_plan(self, plan: Plan) -> None:
        """Keep the plan for retries."""
        self._store.put(f"{self._folder}/plan.json", plan.model_dump_json().encode())

    def read(self, number: int) -> tuple[list[PartFile], Cursor] | None:
        """Return what is staged of a slice, None where nothing is, or not all of what the record names."""
        data = self._store.get(self._record_name(number))
        if data is None:
            return None
        try:
            record = Record.model_validate_json(data)
        except ValidationError:
            return None
        there = self._store.files(self._folder)
        if any(there.get(part.path.rpartition("/")[2]) != part.size_bytes for part in record.parts):
            log.warning("Some staged files of slice %d are gone or not whole: reading it again", number)
            return None
        return record.parts, _load_cursor(record.cursor)

    def write(self, number: int, parts: list[PartFile], cursor: Cursor, pending: Collection[Hashable] = ()) -> None:
        """Record that these files are whole.

        :param cursor: where the reading stands.
        :param pending: ids of events that the cursor has taken, but that are not in these files yet.
        """
        record = Record(parts=parts, cursor=_dump_cursor(cursor, set(pending)))
        self._store.put(self._record_name(number), record.model_dump_json().encode())

    def _record_name(self, number: int) -> str:
        return f"{self._folder}/{number:05d}.json"


def _dump_cursor(cursor: Cursor, pending: set[Hashable]) -> dict[str, Any]:
    facts = asdict(cursor)
    # As a JSON text of its own, because ids may hold what JSON can escape but UTF-8 cannot say.
    facts["known"] = json.dumps(
        [
            [id_.hex() if isinstance(id_, bytes) else id_, isinstance(id_, bytes), time]
            for id_, time in cursor.known.items()
            if id_ not in pending
        ]
    )
    facts["distinct"] -= len(pending)
    return facts


def _load_cursor(facts: dict[str, Any]) -> Cursor:
    known = {bytes.fromhex(id_) if is_hash else id_: time for id_, is_hash, time in json.loads(facts["known"])}
    return Cursor(**{**facts, "known": known})
