"""Which sessions belong to a window: those whose root event lies in it, each once.

The root is the event of type ``session`` whose id is the session's; where a session has none, its earliest event of
that type.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec

from airflow_provider_honeyhive.events.raw import Scalar, head_decoder
from airflow_provider_honeyhive.exceptions import HoneyHiveResponseError
from airflow_provider_honeyhive.models.filters import EventFilter
from airflow_provider_honeyhive.models.request import ROOT_TYPE
from airflow_provider_honeyhive.reading.stream import ProvedReader, read_again

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_honeyhive.events.raw import RawEvent
    from airflow_provider_honeyhive.models.request import ExportRequest
    from airflow_provider_honeyhive.models.window import Window


#: A group is what one reader takes at a time and what a retry reads again; the number of sessions alone decides how
#: many are in it, so that the same sessions give the same files.
LEAST_IN_A_GROUP, MOST_GROUPS = 16, 500

#: What roots are recognised by, beside what always comes.
_ROOT_FIELDS = ("session_id", "event_type")


class Head(msgspec.Struct):
    """What tells to which session an event belongs."""

    event_id: Scalar = None
    session_id: Scalar = None
    event_type: Scalar = None


#: Gives what an event says of its session, whatever else its bytes hold.
head_of = head_decoder(Head)


@dataclass(frozen=True, slots=True)
class Root:
    """An event of type ``session``.

    :param time: its ``start_time`` in microseconds since 1970, None where it has none.
    """

    time: int | None
    session_id: str
    event_id: str | int

    @property
    def is_certain(self) -> bool:
        """Whether no other event can be the session's root."""
        return self.event_id == self.session_id

    @property
    def rank(self) -> tuple[bool, bool, int, str]:
        """The least among the events of a session is its root."""
        return not self.is_certain, self.time is None, self.time or 0, str(self.event_id)


def roots_request(request: ExportRequest, *more: EventFilter) -> ExportRequest:
    """Return a request for the roots of the sessions that a request means, with nothing in them but their names.

    :param more: further conditions.
    """
    is_root = EventFilter(field="event_type", operator="is", value=ROOT_TYPE)
    filters = (*(item for item in request.filters if item != is_root), is_root, *more)
    return request.model_copy(update={"filters": filters, "projections": _ROOT_FIELDS})


def session_request(request: ExportRequest, session_id: str) -> ExportRequest:
    """Return a request for all events of a session, whatever the conditions that chose it."""
    kept = request.projections
    return request.model_copy(
        update={
            "filters": (EventFilter(field="session_id", operator="is", value=session_id),),
            "evaluation_id": None,
            "projections": None if kept is None else (*kept, "session_id"),
        }
    )


def read_roots(reader: ProvedReader) -> list[Root]:
    """Return one root for each session that has any in what is read, newest first.

    :param reader: of :func:`roots_request`.
    :raises IncompleteExportError: they cannot all be read.
    :raises HoneyHiveResponseError: the server sends something else, or a root that does not name its session.
    """

    def read() -> dict[str, Root]:
        found: dict[str, Root] = {}
        for batch in reader.read():
            for raw, time in zip(batch.raw_events, batch.times, strict=True):
                root = _root(raw, time)
                found[root.session_id] = min(root, found.get(root.session_id, root), key=lambda each: each.rank)
        return found

    found = read_again(read, reader.start_over, "the sessions' roots")
    return sorted(found.values(), key=lambda root: (root.time is None, -(root.time or 0), root.session_id))


def _root(raw: RawEvent, time: int | None) -> Root:
    head = head_of(raw)
    if head.event_type != ROOT_TYPE:
        raise HoneyHiveResponseError(
            "the server sends events of other types than the one asked for: it does not keep to the filter on "
            "event_type, so sessions cannot be told apart. Nothing was exported"
        )
    if not isinstance(head.session_id, str) or not isinstance(head.event_id, str | int) or not head.session_id:
        raise HoneyHiveResponseError(
            f"an event of type {ROOT_TYPE!r} has no session_id or no event_id, so the events of its session cannot be "
            "asked for. Nothing was exported"
        )
    return Root(time, head.session_id, head.event_id)


def group_bounds(roots: Sequence[Root], window: Window) -> list[tuple[int, int]]:
    """Split a window into the times of groups of sessions, newest first; roots of one time stay together.

    :param roots: newest first.
    """
    most = max(LEAST_IN_A_GROUP, -(-len(roots) // MOST_GROUPS))
    edges, held = [window.end_us], 0
    times = [root.time for root in roots if root.time is not None]
    for newer, time in pairwise([window.end_us, *times]):
        if held >= most and time < newer:
            edges.append(newer)
            held = 0
        held += 1
    return [(low, high) for high, low in pairwise([*edges, window.start_us])]


def share_out(roots: Sequence[Root], bounds: Sequence[tuple[int | None, int | None]]) -> list[list[Root]]:
    """Return the roots of each group; those without a time are in the oldest one.

    :param roots: newest first.
    :param bounds: of the groups, newest first.
    """
    groups: list[list[Root]] = [[] for _ in bounds]
    at = 0
    for root in roots:
        while at < len(bounds) - 1 and (root.time is None or root.time < (bounds[at][0] or 0)):
            at += 1
        groups[at].append(root)
    return groups
