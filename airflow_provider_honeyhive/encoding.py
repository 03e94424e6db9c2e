"""Events of a block -> its bytes, a member for each partition; what is to stay behind is taken out first."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from airflow_provider_honeyhive.layout import INDEX_PARTITION
from airflow_provider_honeyhive.pages import load_event
from airflow_provider_honeyhive.staging import Member

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from airflow_provider_honeyhive.formats import Encode
    from airflow_provider_honeyhive.pages import RawEvent

#: What Hive, and whoever reads its partitions, calls the folder of NULL.
NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"


class _Head(msgspec.Struct):
    event_type: Any = None


_head_decoder = msgspec.json.Decoder(_Head)


def _event_date(raw: RawEvent, time: int | None) -> str | None:
    return None if time is None else datetime.fromtimestamp(time // 1_000_000, UTC).date().isoformat()


def _event_type(raw: RawEvent, time: int | None) -> str | None:
    try:
        found = _head_decoder.decode(raw).event_type
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        found = load_event(bytes(raw)).get("event_type")
    return found if isinstance(found, str) and found else None


#: One for each of :data:`.layout.PARTITION_KEYS`.
_VALUES: dict[str, Callable[[RawEvent, int | None], str | None]] = {
    "event_date": _event_date,
    "event_type": _event_type,
}


class Encoder:
    """Makes the bytes of blocks.

    :param encode: of the file format.
    :param prepare: gives an event without what is not to be exported; called before anything is written.
    :param partition_by: keys of :data:`.layout.PARTITION_KEYS`.
    :param index: makes records of events as they are written; they follow each block. None: there is no index.
    """

    def __init__(
        self,
        encode: Encode,
        prepare: Callable[[RawEvent], RawEvent] | None = None,
        partition_by: Sequence[str] = (),
        index: Callable[[Sequence[RawEvent]], bytes] | None = None,
    ) -> None:
        self._encode = encode
        self._prepare = prepare
        self._keys = [(name, _VALUES[name]) for name in partition_by]
        self._index = index

    def __call__(self, raw_events: Sequence[RawEvent], times: Sequence[int | None]) -> list[tuple[bytes, Member]]:
        """Return the bytes of each partition's events, with what is known of them, and then their records."""
        prepared = self._prepared(raw_events)
        members = [
            self._member(partition, [prepared[at] for at in places], [times[at] for at in places])
            for partition, places in self._by_partition(raw_events, times)
        ]
        if self._index is not None:
            records = self._index(prepared)
            members.append((records, Member(len(records), 0, 0, None, None, INDEX_PARTITION)))
        return members

    def records(self, raw_events: Sequence[RawEvent]) -> bytes:
        """Return the records that events have when they are written; nothing where there is no index."""
        return b"" if self._index is None else self._index(self._prepared(raw_events))

    def _prepared(self, raw_events: Sequence[RawEvent]) -> Sequence[RawEvent]:
        return raw_events if self._prepare is None else list(map(self._prepare, raw_events))

    def _by_partition(
        self, raw_events: Sequence[RawEvent], times: Sequence[int | None]
    ) -> Iterator[tuple[str, Sequence[int]]]:
        if not self._keys:
            yield "", range(len(raw_events))
            return
        found: dict[str, list[int]] = {}
        for at, (raw, time) in enumerate(zip(raw_events, times, strict=True)):
            found.setdefault("/".join(_folder(name, key(raw, time)) for name, key in self._keys), []).append(at)
        yield from sorted(found.items())

    def _member(
        self, partition: str, raw_events: Sequence[RawEvent], times: Sequence[int | None]
    ) -> tuple[bytes, Member]:
        data, misfits = self._encode(raw_events)
        known = [time for time in times if time is not None]
        return data, Member(
            len(data),
            len(raw_events),
            len(raw_events) - len(known),
            min(known, default=None),
            max(known, default=None),
            partition,
            dict(misfits),
        )


def _folder(name: str, value: str | None) -> str:
    return f"{name}={NULL_PARTITION if value is None else quote(value, safe=' ')}"
