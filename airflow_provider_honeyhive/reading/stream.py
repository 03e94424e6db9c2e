"""Reads a window as batches, and reads again what is not whole: the one place that decides how often."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_honeyhive.reading.cursor import Batch, ReadAgainError
from airflow_provider_honeyhive.reading.fetcher import RangeFetcher, ReadStats
from airflow_provider_honeyhive.reading.slice_reader import READ_ATTEMPTS, SliceReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_honeyhive.api.client import HoneyHiveClient
    from airflow_provider_honeyhive.models.request import ExportRequest


log = logging.getLogger(__name__)


T = TypeVar("T")


def read_again(
    attempt: Callable[[], T], start_over: Callable[[], object], what: str, attempts: int = READ_ATTEMPTS
) -> T:
    """Return what ``attempt`` returns; where what it read is not whole, start over and call it again.

    :param attempt: reads; raises :class:`.ReadAgainError` where that is not whole.
    :param start_over: throws away what was read.
    :param what: is read, for the log.
    :param attempts: how often it is called at most.
    :raises IncompleteExportError: it is still not whole at the last attempt.
    """
    number = 1
    while True:
        try:
            return attempt()
        except ReadAgainError as error:
            check_attempts(error, number, what, attempts)
        start_over()
        number += 1


def check_attempts(error: ReadAgainError, number: int, what: str, attempts: int = READ_ATTEMPTS) -> None:
    """Log that something is read again.

    :param number: of the attempt that failed, from 1.
    :raises IncompleteExportError: it was the last one.
    """
    if number >= attempts:
        raise error.incomplete from error
    log.warning("Reading %s again (attempt %d of %d failed): %s", what, number, attempts, error)


def iter_batches(client: HoneyHiveClient, request: ExportRequest, page_size: int | None = None) -> Iterator[Batch]:
    """Yield the events of the request's window, once each, newest first, in constant memory.

    :raises IncompleteExportError: what was yielded is not whole; nothing that was yielded is wrong, but
        events may be missing, so the caller has to begin again.
    """
    reader = reader_of(client, request, page_size)

    def begin() -> tuple[Batch | None, Iterator[Batch]]:
        batches = reader.read()
        return next(batches, None), batches

    first, batches = read_again(begin, reader.start_over, "the window")
    if first is None:
        return
    yield first
    first = None  # its events, before the next answer comes
    try:
        yield from batches
    except ReadAgainError as error:
        # What was yielded cannot be taken back.
        raise error.incomplete from error


def reader_of(client: HoneyHiveClient, request: ExportRequest, page_size: int | None) -> SliceReader:
    """Return what reads the request's window as one slice.

    :param page_size: most events in one request; None: by the size of the answers.
    """
    window = request.window
    return SliceReader(
        RangeFetcher(client, request, ReadStats(), page_size),
        window.start_us if window else None,
        window.end_us if window else None,
    )
