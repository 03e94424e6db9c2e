"""Reads sessions whole: all events of each, wherever they lie in time.

The API has no way to ask for the events of several sessions at once, so each costs a request of its own. One is enough
where the server's numbers are totals and the answer holds as many events; else :class:`.ProvedReader` seeks and proves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_honeyhive.exceptions import HoneyHiveResponseError, IncompleteExportError
from airflow_provider_honeyhive.models.filters import EventFilter
from airflow_provider_honeyhive.models.window import SECOND_US
from airflow_provider_honeyhive.reading.cursor import Batch, Cursor, ReadAgainError, sort_newest_first
from airflow_provider_honeyhive.reading.rows import id_without_content, row_keys
from airflow_provider_honeyhive.reading.session_roots import head_of, read_roots, roots_request, session_request
from airflow_provider_honeyhive.reading.stream import ProvedReader, check_attempts
from airflow_provider_honeyhive.reading.unordered import goes_on_after

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_honeyhive.events.raw import RawEvent
    from airflow_provider_honeyhive.models.request import ExportRequest
    from airflow_provider_honeyhive.models.window import Window
    from airflow_provider_honeyhive.reading.fetcher import RangeFetcher
    from airflow_provider_honeyhive.reading.session_roots import Root


#: From 1970 to 2100, rather than no date range at all, which a server may take for one of its own choice.
WIDEST = (0, 4_102_444_800 * SECOND_US)

#: A session of no more bytes is given out when all of it has been read, so that reading it again disturbs no other.
HELD_BYTES = 4_000_000


@dataclass(slots=True)
class Tally:
    """What was read of some sessions.

    :param session_count: sessions.
    :param event_count: their events.
    :param reported: sum of the totals that the server reported for them; None: it did not for one of them.
    """

    session_count: int = 0
    event_count: int = 0
    reported: int | None = 0

    def add(self, event_count: int, total: int | None) -> None:
        """Count a session."""
        self.session_count += 1
        self.event_count += event_count
        self.reported = None if self.reported is None or total is None else self.reported + total


@dataclass(slots=True)
class _Reading:
    """How far the reading of a session has come.

    :param readings: how often it was tried.
    :param reader: where one answer did not do.
    :param total: what the server reported for it.
    """

    readings: int = 0
    reader: ProvedReader | None = None
    total: int | None = None


class SessionReader:
    """Reads sessions; any number of threads may do so, each other ones.

    :param fetcher: asks for events.
    :param request: what chose the sessions.
    :param window: where their roots lie.
    """

    def __init__(self, fetcher: RangeFetcher, request: ExportRequest, window: Window) -> None:
        self._fetcher = fetcher
        self._request = request
        self._window = window
        self._readings: dict[str, _Reading] = {}
        #: Sessions whose root was deleted meanwhile, and those that have their root elsewhere.
        self.gone: set[str] = set()
        self.elsewhere: set[str] = set()

    def read(self, root: Root, tally: Tally) -> Iterator[Batch]:
        """Yield all events of a session, newest first; none where it turns out not to belong here.

        :param root: of the session.
        :param tally: counts it.
        :raises ReadAgainError: what was yielded is not whole: throw it away and call again.
        :raises IncompleteExportError: it cannot be read whole, also when read again.
        :raises HoneyHiveResponseError: the server sends events of other sessions.
        """
        known_as = {root.event_id, id_without_content(root.event_id)}
        while not self._is_over(root):
            reading = self._readings.setdefault(root.session_id, _Reading())
            reading.readings += 1
            held: list[Batch] = []
            size = count = 0
            shown = yielded = False
            try:
                for batch in self._batches(root, reading):
                    shown = shown or not known_as.isdisjoint(batch.ids)
                    count += len(batch.raw_events)
                    size += sum(map(len, batch.raw_events))
                    held.append(batch)
                    del batch
                    if size > HELD_BYTES:
                        yielded = True
                        yield from held
                        held.clear()
                if not shown:
                    raise self._without_root(root, count)
            except ReadAgainError as error:
                if root.session_id not in self.gone:
                    check_attempts(error, reading.readings, "a session")
                if yielded:
                    raise
                continue
            del self._readings[root.session_id]
            tally.add(count, reading.total)
            yield from held
            return

    def _is_over(self, root: Root) -> bool:
        """Return whether a session is none of this window's."""
        if not root.is_certain and root.session_id not in self.elsewhere and not self._is_root(root):
            self.elsewhere.add(root.session_id)
        return root.session_id in self.gone or root.session_id in self.elsewhere

    def _is_root(self, root: Root) -> bool:
        asked = roots_request(session_request(self._request, root.session_id))
        return root.event_id in (
            each.event_id for each in read_roots(ProvedReader(self._fetcher.about(asked), *WIDEST))
        )

    # ------------------------------------------------------------------------------- one reading

    def _batches(self, root: Root, reading: _Reading) -> Iterator[Batch]:
        fetcher = self._fetcher.about(session_request(self._request, root.session_id))
        if reading.readings == 1 and fetcher.totals_hold:
            page = fetcher.fetch(*WIDEST)
            reading.total = page.total
            is_counted = page.total == len(page)
            # Some servers report no more than they give at once.
            fetcher.totals_hold = not (is_counted and fetcher.is_long(page) and goes_on_after(fetcher, page, *WIDEST))
            if is_counted and fetcher.totals_hold:
                _check_sessions(page.raw_events, root)
                yield sort_newest_first(Batch(page.raw_events, page.times, row_keys(page), Cursor(upper=None)))
                return
            del page
        if reading.reader is None:
            reading.reader = ProvedReader(fetcher, *WIDEST)
        else:
            reading.reader.start_over()
        for batch in reading.reader.read():
            _check_sessions(batch.raw_events, root)
            yield batch
            del batch  # its events, before the next answer comes
        if reading.total is None:
            reading.total = reading.reader.reported

    def _without_root(self, root: Root, count: int) -> ReadAgainError:
        """Find out why a session's events lack their root."""
        is_it = EventFilter(field="event_id", operator="is", value=root.event_id)
        fetcher = self._fetcher.about(roots_request(self._request, is_it))
        page = fetcher.fetch(self._window.start_us, self._window.end_us, limit=1)
        if not len(page) and not page.total:
            self.gone.add(root.session_id)
        reason = "the server does not give a session's root among its events"
        return ReadAgainError(reason, IncompleteExportError(None, count, reason))


def _check_sessions(raw_events: list[RawEvent], root: Root) -> None:
    if any(head_of(raw).session_id != root.session_id for raw in raw_events):
        raise HoneyHiveResponseError(
            "the server sends events of other sessions than the one asked for: it does not keep to the filter on "
            "session_id. Nothing was exported"
        )
