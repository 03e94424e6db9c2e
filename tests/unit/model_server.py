"""A reference HoneyHive in memory, for property tests: small enough to be seen to be right."""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING

from airflow_provider_honeyhive.api.pages import Page
from airflow_provider_honeyhive.exceptions import HoneyHiveRequestError
from airflow_provider_honeyhive.models.window import EPOCH, MICROSECOND, SECOND_US, to_micros

if TYPE_CHECKING:
    from airflow_provider_honeyhive.api.endpoints import DateRange
    from airflow_provider_honeyhive.models.filters import EventFilter
    from airflow_provider_honeyhive.models.request import ExportRequest


#: Late events come until so many requests: with one for each there would be no end to some readings.
LAST_INSERT = 300
#: An export of sessions reads each of them up to three times: two events an answer in changing order takes it to 3,800.
MOST_REQUESTS = 20_000


@dataclass(frozen=True)
class Oddities:
    """How this server differs from a friendly one."""

    cap: int | None = None
    order: str = "desc"
    total: str = "total"
    past_end: str = "empty"
    truncate_bounds: bool = False
    exclusive_end: bool = False
    ignore_date_range: bool = False
    ignore_time_filters: bool = False
    inserts: int = 0
    deletes: int = 0
    max_limit: int = 1000
    cut_bytes: int | None = None
    #: Where the events without a time are in every range: ``first`` or ``last``.
    untimed_everywhere: str = "none"


def size_of(row: str) -> int:
    """Return how many bytes an event counts where answers are cut by bytes."""
    return 100 + zlib.crc32(row.encode()) % 900


@dataclass
class ModelClient:
    """Answers like HoneyHiveClient, from a dict of rows: event id -> time in microseconds."""

    events: dict[str, int | None]
    oddities: Oddities = field(default_factory=Oddities)
    seed: int = 0
    #: Where late events appear.
    span: tuple[int, int] = (0, 0)
    #: What rows show as their event ids, where these are not their names.
    ids: dict[str, str] = field(default_factory=dict)
    #: Rows that answers lack, by the number of the answer, from 1; their totals are right.
    losses: dict[int, int] = field(default_factory=dict)
    #: Numbers of answers without any events, and with a total of 0.
    empties: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        self.endpoint = SimpleNamespace(name="model", max_limit=self.oddities.max_limit, has_project_in_path=False)
        self.settings = SimpleNamespace(trust_total=True)
        self.requests: list[tuple[DateRange | None, int, int]] = []
        self.existed_throughout = set(self.events)
        self._random = random.Random(self.seed)

    def fetch_page(
        self,
        request: ExportRequest,
        date_range: DateRange | None = None,
        *,
        page: int = 1,
        limit: int = 1000,
        max_bytes: int | None = None,
        concurrency: object = None,
    ) -> Page:
        assert len(self.requests) < MOST_REQUESTS, "the reader does not come to an end"
        if self.requests:
            self._change()
        self.requests.append((date_range, page, limit))
        found = self._matching(request, date_range)
        if len(self.requests) in self.empties:
            found = []
        size = min(limit, self.oddities.cap or limit)
        shown = self._page(found, page, size)
        if page > 1 and found and not shown:
            if self.oddities.past_end == "error":
                raise HoneyHiveRequestError("page out of range", status_code=400)
            if self.oddities.past_end == "repeat":
                shown = found[-size:]
        for row in self._random.sample(shown, min(len(shown), self.losses.get(len(self.requests), 0))):
            shown.remove(row)
        totals = {"total": len(found), "page": len(shown), "absent": None, "low": len(found) // 2}
        return Page(
            raw_events=[id_.encode() for id_ in shown],
            ids=[self.ids.get(row, row) for row in shown],
            times=[self.events[id_] for id_ in shown],
            projects=frozenset(),
            total=totals[self.oddities.total],
            size_bytes=100 * len(shown) + 20,
            limit=limit,
        )

    def _page(self, found: list[str], number: int, size: int) -> list[str]:
        """Return a page of what was found; page numbers count the pages before it as they are shown."""
        start = 0
        for _ in range(number - 1):
            start += len(self._cut(found[start : start + size])) or size
        return self._cut(found[start : start + size])

    def _cut(self, rows: list[str]) -> list[str]:
        most = self.oddities.cut_bytes
        return [
            row for end, row in enumerate(rows) if not most or not end or sum(map(size_of, rows[: end + 1])) <= most
        ]

    def _matching(self, request: ExportRequest, date_range: DateRange | None) -> list[str]:
        found = list(self.events)
        if date_range is not None and not self.oddities.ignore_date_range:
            low, high = ((bound - EPOCH) // MICROSECOND for bound in (date_range.start, date_range.end))
            if self.oddities.truncate_bounds:
                low, high = low // SECOND_US * SECOND_US, high // SECOND_US * SECOND_US
            if self.oddities.exclusive_end:
                high -= 1
            found = [id_ for id_ in found if self._within(id_, low, high)]
        if not self.oddities.ignore_time_filters:
            for item in request.filters:
                found = [id_ for id_ in found if self._passes(id_, item)]
        return self._ordered(found)

    def _within(self, id_: str, low: int, high: int) -> bool:
        time = self.events[id_]
        return self._is_everywhere(time) if time is None else low <= time <= high

    def _is_everywhere(self, time: int | None) -> bool:
        return time is None and self.oddities.untimed_everywhere != "none"

    def _passes(self, id_: str, item: EventFilter) -> bool:
        time, bound = self.events[id_], to_micros(item.value)
        if time is None or bound is None:
            return self._is_everywhere(time)
        return time > bound if item.operator == "after" else time < bound

    def _ordered(self, ids: list[str]) -> list[str]:
        order = self.oddities.order
        if order in ("random", "ties_random"):
            self._random.shuffle(ids)
        if order != "random":
            ids.sort(key=lambda id_: self.events[id_] or 0, reverse=order != "asc")
        if self.oddities.untimed_everywhere != "none":
            first = self.oddities.untimed_everywhere == "first"
            ids.sort(key=lambda id_: (self.events[id_] is None) != first)
        return ids

    def _change(self) -> None:
        for _ in range(self.oddities.inserts if len(self.requests) < LAST_INSERT else 0):
            self.events[f"late-{len(self.requests)}-{self._random.random()}"] = self._random.randint(*self.span)
        for _ in range(min(self.oddities.deletes, len(self.events))):
            gone = self._random.choice(sorted(self.events))
            del self.events[gone]
            self.existed_throughout.discard(gone)
