"""The time behind a window that is read again: which, what it is compared with, and the reading itself.

Read again is what exports alike have in their manifests, and of which they have an index: what was never exported
cannot come late. What earlier runs have written is known from the destination alone.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from datetime import timedelta
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

from airflow_provider_honeyhive.display import get_logger
from airflow_provider_honeyhive.export.catalog import Export, find_exports
from airflow_provider_honeyhive.export.claim import asked_alike, same_project
from airflow_provider_honeyhive.formats.content_index import index_problems, packed_records
from airflow_provider_honeyhive.formats.exported_content import ExportedContent
from airflow_provider_honeyhive.models.export_facts import LookbackFacts
from airflow_provider_honeyhive.models.layout import CORRECTIONS_FOLDER, INDEX_PARTITION, REASON_KEY
from airflow_provider_honeyhive.models.window import Window, format_time, from_micros, parse_time, to_micros

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from airflow_provider_honeyhive.events.raw import RawEvent
    from airflow_provider_honeyhive.export.assembly import ReadFile
    from airflow_provider_honeyhive.export.destination import Destination
    from airflow_provider_honeyhive.formats.datafile import CorrectionFile
    from airflow_provider_honeyhive.formats.encoder import Block, BlockEncoder
    from airflow_provider_honeyhive.manifest import Manifest
    from airflow_provider_honeyhive.storage.base import Store


log = get_logger(__name__)


class Reason(StrEnum):
    """Why an event is exported again."""

    #: Its time had been exported, but not the event.
    LATE = "late"
    #: It had been exported, and said something else.
    CHANGED = "changed"


class CorrectionEncoder:
    """Makes the bytes of those events of a block that are to be corrected; of all others it makes nothing.

    :param encoder: makes the bytes of events.
    :param exported: what earlier runs have written.
    :param replaced: what the export has written that this one replaces; None: nothing that matters here.
    """

    def __init__(
        self, encoder: BlockEncoder, exported: ExportedContent, replaced: ExportedContent | None = None
    ) -> None:
        self._encoder = encoder
        self._exported = exported
        self._replaced = replaced
        #: Identities of events that the replaced export holds, and that need no correction any more.
        self.settled: set[bytes] = set()

    def __call__(self, raw_events: Sequence[RawEvent], times: Sequence[int | None]) -> list[tuple[bytes, Block]]:
        """Return the bytes of each reason's events, with what is known of them."""
        places: dict[Reason, list[int]] = {reason: [] for reason in Reason}
        records = self._encoder.records(raw_events)
        for at, (content, exported) in enumerate(self._exported.contents_of(records)):
            if content != exported:
                places[Reason.LATE if exported is None else Reason.CHANGED].append(at)
        places[Reason.CHANGED] = self._not_as_spelled(raw_events, places[Reason.CHANGED])
        if self._replaced is not None:
            self.settled.update(self._replaced.identities_in(records))
        return [
            (data, _moved(block, reason))
            for reason, found in places.items()
            if found
            for data, block in self._encoder([raw_events[at] for at in found], [times[at] for at in found])
        ]

    def _not_as_spelled(self, raw_events: Sequence[RawEvent], places: list[int]) -> list[int]:
        """Return the places of those events that are not what an index of an earlier release says, either."""
        records = self._encoder.records([raw_events[at] for at in places], as_spelled=True)
        found = zip(places, self._exported.contents_of(records), strict=True)
        return [at for at, (content, exported) in found if content != exported]


def _moved(block: Block, reason: Reason) -> Block:
    if block.partition == INDEX_PARTITION:
        return block
    return block._replace(partition=f"{CORRECTIONS_FOLDER}/{REASON_KEY}={reason}/{block.partition}".rstrip("/"))


#: Events that are looked for in other exports at once.
_AT_ONCE = 10_000

#: By how much the clocks of the API and of a store may differ.
CLOCKS_APART = timedelta(days=1)

#: From when to when, in microseconds since 1970.
Span: TypeAlias = tuple[int, int]

#: Reads a window, and stages what the encoder makes of it in a place.
Read: TypeAlias = "Callable[[Window, Destination, CorrectionEncoder], list[ReadFile]]"


class Lookback:
    """What one run reads again.

    :param store: the folder in which earlier exports are, at any depth.
    :param wanted: a manifest with the facts of the run's request.
    :param windows: how many times the window's length to look back.
    :param replaced: the manifest that this run replaces; its corrections go with it, so they do not count.
    :raises DestinationError: the store cannot be read.
    """

    def __init__(self, store: Store, wanted: Manifest, windows: int, replaced: Manifest | None) -> None:
        window = Window.parse(wanted.start_time, wanted.end_time)
        self._store = store
        self._replaced = replaced
        self._settled: set[bytes] = set()
        self._windows = windows
        self._end = window.start_us
        # There are no events before 1970.
        self._start = max(self._end - windows * (window.end_us - window.start_us), min(0, self._end))
        # What was exported before the time looked back at began holds nothing of it.
        since = from_micros(max(self._start, 0)) - CLOCKS_APART
        others = find_exports(store, lambda manifest: manifest != replaced and _of_one_task(manifest, wanted), since)
        found = [export for export in others if any(map(self._overlap, _reach(export)))]
        alike = [export for export in found if asked_alike(export.manifest.request, wanted.request)]
        indexed = [export for export in alike if export.manifest.lookback is not None]
        #: What is read again, the newest first.
        self._spans = self._overlaps((export.start, export.end) for export in indexed)[::-1]
        #: What was written about this time, in the order in which it was: the last word on an event counts.
        self._known = sorted(indexed, key=lambda export: parse_time(export.manifest.finished_at))
        self._tell(found, alike)

    def read_again(self, encoder: BlockEncoder, destination: Destination, read: Read) -> list[ReadFile]:
        """Read, and return the staged corrections.

        Nothing that an earlier try has staged is used: others may have published since then.

        :param encoder: makes the bytes of events, and their records.
        :param destination: where the run publishes to.
        :param read: reads a window.
        """
        if not self._spans:
            return []
        staged: list[ReadFile] = []
        with ExitStack() as stack:
            exported = stack.enter_context(self._contents(self._known))
            replaced = stack.enter_context(_contents_of(destination.store, self._replaced))
            for number, span in enumerate(self._spans):
                place = destination.aside(f"again-{number}")
                corrections = CorrectionEncoder(encoder, exported, replaced)
                staged += read(_window(span), place, corrections)
                self._settled |= corrections.settled
        return staged

    @contextmanager
    def _contents(self, exports: Iterable[Export]) -> Iterator[ExportedContent]:
        with ExportedContent() as exported:
            for export in exports:
                if (index := export.manifest.index) is not None:
                    name = export.path(index.path)
                    exported.add(self._store.chunks(name), index, self._store.url(name))
            exported.finish()
            yield exported

    def count_kept(self, records: Iterable[tuple[bytes, bytes]]) -> int:
        """Return how many of some events, which the replaced export holds, are still to be had.

        They are where they have just been read again, and are what other exports say; or where other exports say the
        same as the replaced one, or were published later: a newer word on an event takes the place of an older one.

        :param records: what stands for each event, and for what it says.
        """
        coming = iter(records)
        some = list(islice(coming, _AT_ONCE))
        if self._replaced is None or not some:
            return 0
        since = parse_time(self._replaced.finished_at)
        later = [export for export in self._known if parse_time(export.manifest.finished_at) > since]
        count = 0
        with self._contents(self._known) as known, self._contents(later) as newer:
            while some:
                packed = packed_records(some)
                count += sum(
                    identity in self._settled or elsewhere == content or newer_content is not None
                    for (identity, content), (_, elsewhere), (_, newer_content) in zip(
                        some, known.contents_of(packed), newer.contents_of(packed), strict=True
                    )
                )
                some = list(islice(coming, _AT_ONCE))
        return count

    def facts(self, corrections: Sequence[CorrectionFile]) -> LookbackFacts:
        """Return what the manifest says of it.

        :param corrections: what was found.
        """
        counts = {reason: sum(file.event_count for file in corrections if file.reason == reason) for reason in Reason}
        return LookbackFacts(
            windows=self._windows,
            start_time=_text(self._start),
            end_time=_text(self._end),
            read_again=[(_text(start), _text(end)) for start, end in self._spans],
            late_count=counts[Reason.LATE],
            changed_count=counts[Reason.CHANGED],
        )

    def _overlap(self, span: Span) -> bool:
        return span[0] < self._end and self._start < span[1]

    def _overlaps(self, spans: Iterable[Span]) -> list[Span]:
        """Return what of the time behind the window lies in any of the spans, in order, neighbours in one."""
        found: list[Span] = []
        for start, end in sorted(filter(self._overlap, spans)):
            low, high = max(start, self._start), min(end, self._end)
            if found and low <= found[-1][1]:
                found[-1] = found[-1][0], max(high, found[-1][1])
            else:
                found.append((low, high))
        return found

    def _tell(self, found: Iterable[Export], alike: Sequence[Export]) -> None:
        for export in found:
            span = max(export.start, self._start), min(export.end, self._end)
            if not self._overlap(span) or any(low <= span[0] and span[1] <= high for low, high in self._spans):
                continue
            log.warning(
                "What %s holds of %s is not looked at again: %s. Clear its task to export it anew",
                self._store.url(export.folder),
                _window(span),
                "it was exported without lookback_windows, so it has no index"
                if export in alike
                else "it was asked otherwise",
            )
        log.info(
            "Looking back from %s to %s, comparing with %d exports; read again: %s",
            _text(self._end),
            _text(self._start),
            len(self._known),
            ", ".join(str(_window(span)) for span in self._spans) or "nothing, since nothing of it was exported alike",
        )


@contextmanager
def _contents_of(store: Store, replaced: Manifest | None) -> Iterator[ExportedContent | None]:
    """Give what an export has written; None where it has no corrections, since no other events are read again.

    None where its index is damaged, too: to be exported anew is what mends it.
    """
    if replaced is None or replaced.index is None or not replaced.corrections:
        yield None
        return
    index = replaced.index
    folder, _, name = index.path.rpartition("/")
    if name not in store.files(folder) or any(index_problems(index, store.chunks(index.path))):
        yield None
        return
    with ExportedContent() as written:
        written.add(store.chunks(index.path), index, store.url(index.path))
        written.finish()
        yield written


def _of_one_task(one: Manifest, other: Manifest) -> bool:
    """Return whether both are exports of the same task and project; other tasks' exports are none of its business."""
    tasks = [
        None if manifest.airflow is None else (manifest.airflow.dag_id, manifest.airflow.task_id)
        for manifest in (one, other)
    ]
    return tasks[0] == tasks[1] and same_project(one, other)


def _reach(export: Export) -> Iterator[Span]:
    """Yield the times of whose events an export may have records."""
    yield export.start, export.end
    facts = export.manifest.lookback
    for start, end in facts.read_again if facts is not None else ():
        yield to_micros(start) or 0, to_micros(end) or 0


def _window(span: Span) -> Window:
    return Window(*map(from_micros, span))


def _text(micros: int) -> str:
    return format_time(from_micros(micros))
