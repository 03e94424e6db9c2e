"""Files of an export by what they are: events of its window, corrections of earlier ones, and the index of both."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from airflow_provider_honeyhive.formats.content_index import IndexFile
from airflow_provider_honeyhive.formats.datafile import CorrectionFile, PartFile
from airflow_provider_honeyhive.models.layout import CORRECTIONS_FOLDER, INDEX_PARTITION

if TYPE_CHECKING:
    from collections.abc import Iterable


class Published(msgspec.Struct, frozen=True):
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
            index = IndexFile.of(file)
        else:
            events.append(file)
    return Published(events, corrections, index)
