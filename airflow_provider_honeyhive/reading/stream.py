"""Reads a window as batches, and reads again what is not whole: the one place that decides how often."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from airflow_provider_honeyhive.display import get_logger
from airflow_provider_honeyhive.reading.cursor import Batch, ReadAgainError
from airflow_provider_honeyhive.reading.fetcher import RangeFetcher, ReadStats
from airflow_provider_honeyhive.reading.proof import FEWER, Proof, count_rows
from airflow_provider_honeyhive.reading.slice_reader import READ_ATTEMPTS, SliceReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_honeyhive.api.client import HoneyHiveClient
    from airflow_provider_honeyhive.models.request import ExportRequest
    from airflow_provider_honeyhive.models.window import Window


log = get_logger(__name__)


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
    # What was yielded cannot be taken back.
    reader = ProvedReader.of(RangeFetcher(client, request, ReadStats(), page_size), request.window, by_content=True)

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
        raise error.incomplete from error


class ProvedReader:
    """Reads ``[start, end)``, or all of time, as one slice, and proves that it was read whole.

    :param fetcher: asks for ranges.
    :param start: microseconds since 1970, inclusive; None: from the beginning of time.
    :param end: microseconds since 1970, exclusive; None: until the end of time.
    :param by_content: as for :class:`.SliceReader`.
    """

    def __init__(self, fetcher: RangeFetcher, start: int | None, end: int | None, *, by_content: bool = False) -> None:
        self._fetcher = fetcher
        self._span = start, end
        self._reader = SliceReader(fetcher, start, end, by_content=by_content)
        self._proof: Proof | None = None
        #: What the server reported before the reading; None: no usable total.
        self.reported: int | None = None

    @classmethod
    def of(cls, fetcher: RangeFetcher, window: Window | None, *, by_content: bool = False) -> ProvedReader:
        """Return what reads a window; None: all of time."""
        span = (window.start_us, window.end_us) if window else (None, None)
        return cls(fetcher, *span, by_content=by_content)

    def read(self) -> Iterator[Batch]:
        """Yield the events once each, newest first where the server sorts.

        :raises ReadAgainError: what was yielded is not whole; call :meth:`start_over` and read again.
        """
        if self._proof is None:
            self.reported = count_rows(self._fetcher, *self._span)
            self._proof = Proof(self._fetcher, *self._span, self.reported)
        yield from self._reader.read()
        gap = self._proof.find_gap(self._reader.cursor.seen)
        if gap is not None:
            raise ReadAgainError(FEWER, gap)

    def start_over(self) -> None:
        """Forget what was read."""
        self._reader.start_over()
