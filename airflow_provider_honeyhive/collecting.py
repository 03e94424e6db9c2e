"""Reads a window into memory or a loop instead of files. Plain Python, no Airflow."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive.asking import Asker, ReadStats
from airflow_provider_honeyhive.exceptions import TooFewEventsError, TooLargeForXComError
from airflow_provider_honeyhive.pages import load_event
from airflow_provider_honeyhive.reader import READINGS, SliceReader
from airflow_provider_honeyhive.side_by_side import run_side_by_side
from airflow_provider_honeyhive.taking import Batch, ReadAgainError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_honeyhive.client import HoneyHiveClient
    from airflow_provider_honeyhive.models import ExportRequest

log = logging.getLogger(__name__)


def iter_batches(client: HoneyHiveClient, request: ExportRequest, page_size: int | None = None) -> Iterator[Batch]:
    """Yield the events of the request's window, once each, newest first, in constant memory.

    :raises IncompleteExportError: what was yielded is not whole; nothing that was yielded is wrong, but
        events may be missing, so the caller has to begin again.
    """
    reader = _reader_of(client, request, page_size)
    for reading in range(1, READINGS + 1):
        yielded = False
        try:
            for batch in reader.read():
                yielded = True
                yield batch
        except ReadAgainError as error:
            # What was yielded cannot be taken back.
            if yielded or reading == READINGS:
                raise error.incomplete from error
            reader.start_over()
        else:
            return


def _reader_of(client: HoneyHiveClient, request: ExportRequest, page_size: int | None) -> SliceReader:
    window = request.window
    return SliceReader(
        Asker(client, request, ReadStats(), page_size),
        window.start_us if window else None,
        window.end_us if window else None,
    )


def collect_events(
    client: HoneyHiveClient,
    request: ExportRequest,
    *,
    max_bytes: int,
    page_size: int | None = None,
    min_events: int | None = None,
) -> list[dict[str, Any]]:
    """Return the events of the request's window, newest first.

    :param max_bytes: most bytes of JSON that they may have.
    :param page_size: most events in one request; None: by the size of the answers.
    :param min_events: fewer events than this are an error.
    :raises TooLargeForXComError: they have more bytes.
    :raises TooFewEventsError: there are fewer.
    :raises HoneyHiveError: see :mod:`~airflow_provider_honeyhive.exceptions`.
    """
    reader = _reader_of(client, request, page_size)

    def collect() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        size = 0
        for batch in reader.read():
            raw_events = list(map(request.rules.apply, batch.raw_events))
            size += sum(map(len, raw_events))
            if size > max_bytes:
                raise TooLargeForXComError(size, max_bytes)
            found.extend(map(load_event, raw_events))
        return found

    def collect_whole() -> list[dict[str, Any]]:
        for _ in range(READINGS - 1):
            try:
                return collect()
            except ReadAgainError as error:
                log.warning("Reading again: %s", error)
                reader.start_over()
        try:
            return collect()
        except ReadAgainError as error:
            raise error.incomplete from error

    # In a thread, so that a signal finds the main thread free to act.
    (events,) = run_side_by_side([collect_whole], threading.Event(), lambda: client.is_stopped, lambda: None)
    if len(events) < (min_events or 0):
        raise TooFewEventsError(min_events or 0, len(events))
    return events
