"""Corrections: what came late or has changed since earlier runs exported it, in files of their own.

They are staged, put together and published like the events of the window itself; what tells them from those is the
folder: ``_corrections/reason=late/`` and ``_corrections/reason=changed/``, with the folders of partitions in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from airflow_provider_honeyhive.content_index import count_records
from airflow_provider_honeyhive.layout import CORRECTIONS_FOLDER, INDEX_PARTITION, REASON_KEY
from airflow_provider_honeyhive.manifest import CorrectionFile, IndexFile, PartFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_provider_honeyhive.content_index import ExportedContent
    from airflow_provider_honeyhive.encoding import Encoder
    from airflow_provider_honeyhive.pages import RawEvent
    from airflow_provider_honeyhive.staging import Member


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
    """

    def __init__(self, encoder: Encoder, exported: ExportedContent) -> None:
        self._encoder = encoder
        self._exported = exported

    def __call__(self, raw_events: Sequence[RawEvent], times: Sequence[int | None]) -> list[tuple[bytes, Member]]:
        """Return the bytes of each reason's events, with what is known of them."""
        places: dict[Reason, list[int]] = {reason: [] for reason in Reason}
        contents = self._exported.contents_of(self._encoder.records(raw_events))
        for at, (content, exported) in enumerate(contents):
            if content != exported:
                places[Reason.LATE if exported is None else Reason.CHANGED].append(at)
        return [
            (data, _moved(member, reason))
            for reason, found in places.items()
            if found
            for data, member in self._encoder([raw_events[at] for at in found], [times[at] for at in found])
        ]


def _moved(member: Member, reason: Reason) -> Member:
    if member.partition == INDEX_PARTITION:
        return member
    return member._replace(partition=f"{CORRECTIONS_FOLDER}/{REASON_KEY}={reason}/{member.partition}".rstrip("/"))


@dataclass(frozen=True, slots=True)
class Published:
    """The files of an export by what they are.

    :param events: of the window.
    :param corrections: of windows before it.
    :param index: of both, None where there is nothing in it.
    """

    events: list[PartFile]
    corrections: list[CorrectionFile]
    index: IndexFile | None


def sort_out(files: Iterable[PartFile]) -> Published:
    """Tell files apart by their names.

    :param files: under the names that they have when they are published.
    """
    events: list[PartFile] = []
    corrections: list[CorrectionFile] = []
    index = None
    for file in files:
        folder, _, rest = file.path.partition("/")
        if folder == CORRECTIONS_FOLDER:
            reason = rest.partition("/")[0].partition("=")[2]
            corrections.append(CorrectionFile(reason=reason, **file.model_dump()))
        elif folder.startswith(INDEX_PARTITION):
            count = count_records(file.size_bytes)
            index = IndexFile(path=file.path, record_count=count, size_bytes=file.size_bytes, sha256=file.sha256)
        else:
            events.append(file)
    return Published(events, corrections, index)
