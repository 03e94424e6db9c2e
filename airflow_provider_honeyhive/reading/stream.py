"""Reads a window into memory or a loop instead of files. Plain Python, no Airflow."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow_provider_honeyhive.reading.cursor import Batch, ReadAgainError
from airflow_provider_honeyhive.reading.fetcher import RangeFetcher, ReadStats
from airflow_provider_honeyhive.reading.pagination import READ_ATTEMPTS, SliceReader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_honeyhive.api.client import HoneyHiveClient
    from airflow_provider_honeyhive.models.request import ExportRequest


log = logging.getLogger(__name__)


def iter_batches(client: HoneyHiveClient, request: ExportRequest, page_size: int | None = None) -> Iterator[Batch]:
    """Yield the events of the request's window, once each, newest first, in constant memory.

    :raises IncompleteExportError: what was yielded is not whole; nothing that was yielded is wrong, but
        events may be missing, so the caller has to begin again.
    """
    reader = _reader_of(client, request, page_size)
    for reading in range(1, READ_ATTEMPTS + 1):
        yielded = False
        try:
            for batch in reader.read():
                yielded = True
                yield batch
        except ReadAgainError as error:
            # What was yielded cannot be taken back.
            if yielded or reading == READ_ATTEMPTS:
                raise error.incomplete from error
            reader.start_over()
        else:
            return


def _reader_of(client: HoneyHiveClient, request: ExportRequest, page_size: int | None) -> SliceReader:
    window = request.window
    return SliceReader(
        RangeFetcher(client, request, ReadStats(), page_size),
        window.start_us if window else None,
        window.end_us if window else None,
    )
