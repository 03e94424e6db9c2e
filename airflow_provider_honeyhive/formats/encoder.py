"""Events -> the bytes of a block for each partition; what is to stay behind is taken out first."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime
from hashlib import sha256
from itertools import starmap
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, unquote

import msgspec

from airflow_provider_honeyhive.events.raw import Scalar, head_decoder
from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.formats.compression import COMPRESS
from airflow_provider_honeyhive.formats.text import TEXT_FORMATS
from airflow_provider_honeyhive.models.content import is_name
from airflow_provider_honeyhive.models.layout import INDEX_PARTITION
from airflow_provider_honeyhive.models.stored import Count, Micros  # noqa: TC001 - pydantic needs them at run time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from airflow_provider_honeyhive.events.raw import RawEvent
    from airflow_provider_honeyhive.formats.rows import Serialize, Serialized
    from airflow_provider_honeyhive.models.layout import Layout


class Block(NamedTuple):
    """One block, or what a partition has of it, or all the blocks of a file.

    :param size_bytes: bytes it takes.
    :param event_count: events in it.
    :param without_time: events of it that have no usable ``start_time``.
    :param min_us: earliest ``start_time``, microseconds since 1970, None where no event has one.
    :param max_us: latest ``start_time``.
    :param partition: folders of the partition that the events belong to, empty where there are none; where it is
        :data:`~airflow_provider_honeyhive.models.layout.INDEX_PARTITION`, there are no events but records of them.
    :param misfits: values that did not fit their columns, by column.
    :param matched: numbers of the paths of what is to be taken out or replaced that led to something in these events,
        or in others that were encoded together with them.
    """

    size_bytes: Count
    event_count: Count
    without_time: Count
    min_us: Micros | None
    max_us: Micros | None
    partition: str = ""
    misfits: dict[str, Count] = {}
    matched: list[Count] = []


def sum_of(blocks: Sequence[Block]) -> Block:
    """Return what some blocks of one partition hold together."""
    misfits: Counter[str] = Counter()
    for block in blocks:
        misfits.update(block.misfits)
    return Block(
        sum(block.size_bytes for block in blocks),
        sum(block.event_count for block in blocks),
        sum(block.without_time for block in blocks),
        min((block.min_us for block in blocks if block.min_us is not None), default=None),
        max((block.max_us for block in blocks if block.max_us is not None), default=None),
        blocks[0].partition,
        dict(misfits),
        sorted({number for block in blocks for number in block.matched}),
    )


#: What Hive, and whoever reads its partitions, calls the folder of NULL.
NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"

#: Most bytes of a folder's name; most file systems take 255.
LONGEST_FOLDER = 200

_CUT_ESCAPE = re.compile("%.?$")


class _Head(msgspec.Struct):
    event_type: Scalar = None


_read_head = head_decoder(_Head)


def _event_date(raw: RawEvent, time: int | None) -> str | None:
    return None if time is None else datetime.fromtimestamp(time // 1_000_000, UTC).date().isoformat()


def _event_type(raw: RawEvent, time: int | None) -> str | None:
    found = _read_head(raw).event_type
    return found if isinstance(found, str) and found else None


#: One for each of :data:`~airflow_provider_honeyhive.models.layout.PARTITION_KEYS`.
_VALUES: dict[str, Callable[[RawEvent, int | None], str | None]] = {
    "event_date": _event_date,
    "event_type": _event_type,
}


class BlockEncoder:
    """Makes the bytes of blocks.

    :param serialize: of the file format.
    :param prepare: gives an event without what is not to be exported; called before anything is written, with a set
        that gets the numbers of the paths that led to something in the event.
    :param partition_by: keys of :data:`~airflow_provider_honeyhive.models.layout.PARTITION_KEYS`.
    :param index: makes records of events as they are written, like
        :func:`~airflow_provider_honeyhive.formats.content_index.records_of`; they follow each block. None: there is no
        index.
    :param names_only: folders show names alone; where a partition's value is another text, it is as if there was none.
    """

    def __init__(
        self,
        serialize: Serialize,
        prepare: Callable[[RawEvent, set[int]], RawEvent] | None = None,
        partition_by: Sequence[str] = (),
        index: Callable[..., bytes] | None = None,
        *,
        names_only: bool = False,
    ) -> None:
        self._serialize = serialize
        self._prepare = prepare
        self._keys = [(name, _VALUES[name]) for name in partition_by]
        self._index = index
        self._names_only = names_only

    def __call__(self, raw_events: Sequence[RawEvent], times: Sequence[int | None]) -> list[tuple[Any, Block]]:
        """Return what each partition gets of the events, with what is known of that, and then their records."""
        matched: set[int] = set()
        prepared = self._prepared(raw_events, matched)
        blocks = [
            self._block(partition, [prepared[at] for at in places], [times[at] for at in places], sorted(matched))
            for partition, places in self._by_partition(raw_events, times)
        ]
        if self._index is not None:
            records = self._index(prepared)
            blocks.append((records, Block(len(records), 0, 0, None, None, INDEX_PARTITION)))
        return blocks

    def records(self, raw_events: Sequence[RawEvent], *, as_spelled: bool = False) -> bytes:
        """Return the records that events have when they are written; nothing where there is no index.

        :param as_spelled: see :func:`~airflow_provider_honeyhive.formats.content_index.records_of`.
        """
        return b"" if self._index is None else self._index(self._prepared(raw_events, set()), as_spelled=as_spelled)

    def _prepared(self, raw_events: Sequence[RawEvent], matched: set[int]) -> Sequence[RawEvent]:
        return raw_events if self._prepare is None else [self._prepare(raw, matched) for raw in raw_events]

    def _by_partition(
        self, raw_events: Sequence[RawEvent], times: Sequence[int | None]
    ) -> Iterator[tuple[str, Sequence[int]]]:
        if not self._keys:
            yield "", range(len(raw_events))
            return
        found: dict[str, list[int]] = {}
        for at, (raw, time) in enumerate(zip(raw_events, times, strict=True)):
            values = [(name, key(raw, time)) for name, key in self._keys]
            if self._names_only:
                values = [(name, value if value is not None and is_name(value) else None) for name, value in values]
            found.setdefault("/".join(starmap(_folder, values)), []).append(at)
        yield from sorted(found.items())

    def _block(
        self, partition: str, raw_events: Sequence[RawEvent], times: Sequence[int | None], matched: list[int]
    ) -> tuple[Any, Block]:
        data, misfits = self._serialize(raw_events)
        known = [time for time in times if time is not None]
        return data, Block(
            len(data) if isinstance(data, bytes) else data.nbytes,
            len(raw_events),
            len(raw_events) - len(known),
            min(known, default=None),
            max(known, default=None),
            partition,
            dict(misfits),
            matched,
        )


def _folder(name: str, value: str | None) -> str:
    folder = f"{name}={NULL_PARTITION if value is None else _quoted(value)}"
    if value is None or (len(folder) <= LONGEST_FOLDER and _is_kept(value)):
        return folder
    # A whole character less, rather than a part of one; "!" is in no folder of a value that was kept.
    end = "!" + sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    begin = _CUT_ESCAPE.sub("", folder[len(name) + 1 : LONGEST_FOLDER - len(end)])
    return f"{name}={_quoted(unquote(begin, errors='ignore'))}{end}"


def _is_kept(value: str) -> bool:
    """Return whether a folder of the whole value is that of no other one: halves of surrogate pairs look alike."""
    return value != NULL_PARTITION and not any("\ud800" <= character <= "\udfff" for character in value)


def _quoted(value: str) -> str:
    return quote(value, safe=" ", errors="replace")


def serializer(layout: Layout) -> Serialize:
    """Return what makes the bytes of a block; for Parquet its rows.

    :raises InvalidArgumentError: pyarrow is needed and not installed.
    """
    if layout.file_format == "parquet":
        try:
            from airflow_provider_honeyhive.formats.parquet import to_record_batch  # noqa: PLC0415
        except ImportError:
            raise InvalidArgumentError(
                "file_format", "parquet", "it needs pyarrow: install airflow-provider-honeyhive[parquet]"
            ) from None

        return to_record_batch
    to_text, compress = TEXT_FORMATS[layout.file_format].serialize, COMPRESS[layout.compression]

    def serialize(raw_events: Sequence[RawEvent]) -> Serialized:
        text, misfits = to_text(raw_events)
        return compress(text), misfits

    return serialize


def is_instant(layout: Layout) -> bool:
    """Return whether a block is ready sooner than another thread would begin: nothing is taken apart or compressed."""
    return layout.file_format in ("jsonl", "json") and layout.compression == "none"
