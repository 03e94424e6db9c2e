"""The time behind a window that is read again: which, what it is compared with, and the reading itself.

Read again is what exports alike have in their manifests, and of which they have an index: what was never exported
cannot come late. What earlier runs have written is known from the destination alone.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeAlias

from airflow_provider_honeyhive.content_index import ExportedContent
from airflow_provider_honeyhive.corrections import CorrectionEncoder, Reason
from airflow_provider_honeyhive.earlier_exports import Export, find_exports
from airflow_provider_honeyhive.manifest import LookbackFacts
from airflow_provider_honeyhive.publishing import asked_alike
from airflow_provider_honeyhive.windows import Window, format_time, from_micros, to_micros

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from airflow_provider_honeyhive.encoding import Encoder
    from airflow_provider_honeyhive.manifest import CorrectionFile, Manifest
    from airflow_provider_honeyhive.publishing import Destination
    from airflow_provider_honeyhive.staging import StagedFile
    from airflow_provider_honeyhive.stores import Store

log = logging.getLogger(__name__)

#: From when to when, in microseconds since 1970.
Span: TypeAlias = tuple[int, int]
#: Reads a window, and stages what the encoder makes of it in a place.
Read: TypeAlias = "Callable[[Window, Destination, CorrectionEncoder], list[StagedFile]]"


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
        self._windows = windows
        self._end = window.start_us
        # There are no events before 1970.
        self._start = max(self._end - windows * (window.end_us - window.start_us), min(0, self._end))
        others = find_exports(store, lambda manifest: manifest != replaced and _of_one_task(manifest, wanted))
        found = [export for export in others if any(map(self._overlap, _reach(export)))]
        alike = [export for export in found if asked_alike(export.manifest.request, wanted.request)]
        indexed = [export for export in alike if export.manifest.lookback is not None]
        #: What is read again, the newest first.
        self._spans = self._overlaps((export.start, export.end) for export in indexed)[::-1]
        #: What was written about this time, in the order in which it was: the last word on an event counts.
        self._known = sorted(indexed, key=lambda export: export.manifest.finished_at)
        self._tell(found, alike)

    def read_again(self, encoder: Encoder, destination: Destination, read: Read) -> list[StagedFile]:
        """Read, and return the staged corrections.

        Nothing that an earlier try has staged is used: others may have published since then.

        :param encoder: makes the bytes of events, and their records.
        :param destination: where the run publishes to.
        :param read: reads a window.
        """
        if not self._spans:
            return []
        staged: list[StagedFile] = []
        with ExportedContent() as exported:
            for export in self._known:
                if (index := export.manifest.index) is not None:
                    name = export.path(index.path)
                    exported.add(self._store.chunks(name), index, self._store.url(name))
            exported.finish()
            for number, span in enumerate(self._spans):
                place = destination.aside(f"again-{number}")
                place.clear_staging()
                staged += read(_window(span), place, CorrectionEncoder(encoder, exported))
        return staged

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
                "it was exported without lookback, so it has no index" if export in alike else "it was asked otherwise",
            )
        log.info(
            "Looking back from %s to %s, comparing with %d exports; read again: %s",
            _text(self._end),
            _text(self._start),
            len(self._known),
            ", ".join(str(_window(span)) for span in self._spans) or "nothing, since nothing of it was exported alike",
        )


def _of_one_task(one: Manifest, other: Manifest) -> bool:
    """Return whether both are exports of the same task and project; other tasks' exports are none of its business."""
    tasks = [
        None if manifest.airflow is None else (manifest.airflow.dag_id, manifest.airflow.task_id)
        for manifest in (one, other)
    ]
    return tasks[0] == tasks[1] and one.project == other.project


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
