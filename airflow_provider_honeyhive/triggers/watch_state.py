"""Which matching events are new: what a watcher has seen, and what it says of the rest. Plain Python, no Airflow.

Events come late and back-dated, so a watcher asks for the same stretch of time again and again and remembers
what it has seen there; what it remembers is small enough for Airflow's database.
"""

from __future__ import annotations

import base64
import json
import struct
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import AfterValidator

from airflow_provider_honeyhive.display import shown
from airflow_provider_honeyhive.exceptions import DestinationError, DestinationTakenError
from airflow_provider_honeyhive.models.stored import Count, Items, Micros, StoredFile, StoredModel, TimeText
from airflow_provider_honeyhive.models.window import MILLISECOND_US, SECOND_US, Window, format_time, from_micros

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping

    from airflow_provider_honeyhive.api.client import HoneyHiveClient
    from airflow_provider_honeyhive.models.request import ExportRequest


#: How many ids an announcement names, and how many characters of JSON they may be together, since they go
#: through Airflow's database. The rest is counted.
SHOWN_IDS, SHOWN_CHARACTERS = 100, 8_000

_DIGEST_SIZE = 8

#: Digest of an id, and its time in seconds after the state's ``since``.
_SEEN = struct.Struct(f">{_DIGEST_SIZE}sI")

#: Of an event seen, in Base64.
_SEEN_CHARACTERS = _SEEN.size * 4 // 3

#: By how much the clocks of two triggerers may differ.
CLOCKS_APART_US = 86_400 * SECOND_US


def _checked_seen(text: str) -> str:
    if len(base64.b64decode(text, validate=True)) % _SEEN.size:
        raise ValueError("allowed: whole digests and times")
    return text


class _Announcement(StoredModel):
    """What an announcement says, but for the filters; see :func:`announcement`."""

    batch: str
    project: str | None
    event_count: Count
    event_ids: Items[str]
    event_ids_left_off: Count
    oldest: TimeText
    newest: TimeText
    start_time: TimeText
    end_time: TimeText


class StoredWatch(StoredFile):
    """What is kept of a :class:`WatchState`.

    :param begin: see :class:`WatchState`; None, too, where an earlier release wrote it.
    :param seen: packed digests and times, in Base64.
    """

    KIND: ClassVar[str] = "watcher's state"

    since: Micros
    begin: Micros | None = None
    seen: Annotated[str, AfterValidator(_checked_seen)]
    pending: _Announcement | None


@dataclass(frozen=True, slots=True)
class WatchState:
    """What a watcher has to know to go on.

    :param since: microseconds since 1970; no older event is asked for any more.
    :param seen: digests of the ids of matching events from ``since`` on, and their times.
    :param pending: an announcement that Airflow may not have got.
    :param begin: microseconds since 1970: matching events from before are not new, and the next look only marks them as
        seen; None: that has been done.
    """

    since: int
    seen: Mapping[bytes, int] = field(default_factory=dict)
    pending: dict[str, Any] | None = None
    begin: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data: 16 characters for each event seen, and no filters, since these may be long."""
        # Whole seconds will do: the next look shows the exact times again.
        packed = b"".join(_SEEN.pack(digest, (time - self.since) // SECOND_US) for digest, time in self.seen.items())
        return {
            StoredWatch.VERSION_KEY: StoredWatch.VERSION,
            "since": self.since,
            "begin": self.begin,
            "seen": base64.b64encode(packed).decode(),
            "pending": self.pending and {key: value for key, value in self.pending.items() if key != "filters"},
        }

    @classmethod
    def from_json(cls, data: Any, filters: list[dict[str, Any]], *, where: str = "it", latest: int) -> Self:
        """Make it of what :meth:`to_json` returned.

        :param data: that was kept.
        :param filters: of the watcher.
        :param where: it was kept, for messages.
        :param latest: microseconds since 1970, until when it may reach: the watcher waits until then.
        :raises DestinationTakenError: it is something else, of a newer version, or reaches further.
        """
        try:
            stored = StoredWatch.check(data, where)
        except DestinationTakenError:
            raise
        except DestinationError as error:
            raise DestinationTakenError(f"{shown(error)}; remove it to begin again") from None
        since, packed = stored.since, base64.b64decode(stored.seen)
        seen = {digest: since + seconds * SECOND_US for digest, seconds in _SEEN.iter_unpack(packed)}
        if max((since, stored.begin or since, *seen.values())) > latest + CLOCKS_APART_US:
            raise DestinationTakenError(
                f"{where} is of a time to come, so the watcher would wait for it: remove it to begin again"
            )
        pending = None if stored.pending is None else {**stored.pending.model_dump(), "filters": filters}
        return cls(since, seen, pending, stored.begin)


def look(
    client: HoneyHiveClient, request: ExportRequest, state: WatchState, *, now: int, lookback: int, most_bytes: int
) -> WatchState:
    """Ask for the matching events from ``state.since`` to now, and return the new state.

    New events are in its ``pending``. What matches already when the watcher begins is not new.

    :param now: microseconds since 1970.
    :param lookback: microseconds before ``now`` in which late events are looked for from then on.
    :param most_bytes: how long the new state's JSON may be; more events than it has room for shorten the lookback.
    :raises HoneyHiveError: see :mod:`~airflow_provider_honeyhive.exceptions`.
    """
    if now <= state.since:
        return state
    window = Window(from_micros(state.since), from_micros(now))
    shown = _read(client, request.model_copy(update={"window": window}))
    since = max(state.since, now - lookback)
    return remembered(request, state, shown, now=now, since=since, most_bytes=most_bytes)


def remembered(
    request: ExportRequest,
    state: WatchState,
    shown: Mapping[Hashable, int | None],
    *,
    now: int,
    since: int,
    most_bytes: int,
) -> WatchState:
    """Return the state after a look.

    :param shown: ids of the matching events, and their times; None for one that has none.
    :param now: the time of the look, and of events without one.
    :param since: from when on events are to be remembered.
    :param most_bytes: see :func:`look`.
    """
    begin = state.begin
    fresh = {
        id_: now if time is None else time
        for id_, time in shown.items()
        if _digest(id_) not in state.seen and (begin is None or (time is not None and time >= begin))
    }
    seen = {**state.seen, **{_digest(id_): now if time is None else time for id_, time in shown.items()}}
    if begin is not None and now >= begin:
        begin = None
    pending = announcement(request, fresh) if fresh else None
    newest = max((since, *seen.values()))
    room = most_bytes - len(json.dumps(WatchState(newest, pending=pending, begin=begin).to_json()))
    since = _floor(seen.values(), since, max(0, room // _SEEN_CHARACTERS))
    return WatchState(since, {digest: time for digest, time in seen.items() if time >= since}, pending, begin)


def is_shortened(state: WatchState, *, now: int, lookback: int, before: WatchState) -> bool:
    """Return whether more events than can be remembered have shortened the lookback."""
    return state.since > max(before.since, now - lookback)


def announcement(request: ExportRequest, fresh: Mapping[Hashable, int]) -> dict[str, Any]:
    """Return what a watcher says of new events: facts and ids, no content.

    ``start_time`` and ``end_time`` are the smallest window that holds them, which together with ``project`` and
    ``filters`` makes an export of them. ``batch`` is the same for the same events.
    """
    by_time = sorted(fresh, key=lambda id_: (-fresh[id_], str(id_)))
    ids = [id_ if isinstance(id_, str) else _hex(id_) for id_ in by_time]
    shown = list(_shown(ids))
    oldest, newest = min(fresh.values()), max(fresh.values())
    return {
        "batch": blake2b(json.dumps(ids).encode(), digest_size=8).hexdigest(),
        "project": request.project,
        "filters": [item.to_wire() for item in request.filters],
        "event_count": len(ids),
        "event_ids": shown,
        "event_ids_left_off": len(ids) - len(shown),
        "oldest": format_time(from_micros(oldest)),
        "newest": format_time(from_micros(newest)),
        "start_time": format_time(from_micros(oldest // MILLISECOND_US * MILLISECOND_US)),
        "end_time": format_time(from_micros(newest // MILLISECOND_US * MILLISECOND_US + MILLISECOND_US)),
    }


def without_pending(state: WatchState) -> WatchState:
    """Return the state once Airflow has got the announcement."""
    return replace(state, pending=None)


def _read(client: HoneyHiveClient, request: ExportRequest) -> dict[Hashable, int | None]:
    """Return the ids of the request's events with their times."""
    # Here, and so in a thread: in the triggerer's event loop it would hold up all triggers.
    from airflow_provider_honeyhive.reading.counting import lean  # noqa: PLC0415
    from airflow_provider_honeyhive.reading.stream import iter_batches  # noqa: PLC0415

    return {
        id_: time
        for batch in iter_batches(client, lean(client, request))
        for id_, time in zip(batch.ids, batch.times, strict=True)
    }


def _floor(times: Iterable[int], since: int, capacity: int) -> int:
    """Return from when on ids are remembered, so that they are not more than ``capacity``."""
    newest_first = sorted((time for time in times if time >= since), reverse=True)
    return since if len(newest_first) <= capacity else newest_first[capacity] + 1


def _shown(ids: Iterable[str]) -> Iterable[str]:
    left = SHOWN_CHARACTERS
    for _, id_ in zip(range(SHOWN_IDS), ids, strict=False):
        left -= len(json.dumps(id_)) + len(", ")
        if left < 0:
            return
        yield id_


def _digest(id_: Hashable) -> bytes:
    return blake2b(f"{type(id_).__name__}:{id_!r}".encode(), digest_size=_DIGEST_SIZE).digest()


def _hex(id_: Hashable) -> str:
    return id_.hex() if isinstance(id_, bytes) else str(id_)
