"""HoneyHive as its API shows it: finds the endpoint that works, and gives one page of events for one request.

Turns every way a response can fail into the errors of :mod:`~airflow_provider_honeyhive.exceptions`, and sends again
what may pass then, as :mod:`.retries` says. Knows nothing of windows, seams and files.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct

from airflow_provider_honeyhive.api.endpoints import Endpoint, candidates
from airflow_provider_honeyhive.api.failures import is_missing_route, no_endpoint
from airflow_provider_honeyhive.api.keys import WHERE_IDS_ARE
from airflow_provider_honeyhive.api.pages import Page, decode_page
from airflow_provider_honeyhive.api.retries import retrying
from airflow_provider_honeyhive.api.transport import Transport
from airflow_provider_honeyhive.display import get_logger, hide
from airflow_provider_honeyhive.exceptions import (
    AnswerTooLargeError,
    ExportStoppedError,
    Fact,
    HoneyHiveError,
    HoneyHiveRefusedError,
    HoneyHiveRequestError,
    InvalidArgumentError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_honeyhive.api.concurrency import ConcurrencyLimit
    from airflow_provider_honeyhive.api.endpoints import DateRange
    from airflow_provider_honeyhive.api.settings import ClientSettings
    from airflow_provider_honeyhive.models.request import ExportRequest


log = get_logger(__name__)


class HoneyHiveClient:
    """Asks HoneyHive for pages of events. Threads may share it.

    :param settings: where and how.
    :param user_agent: what to add to the ``User-Agent`` header, such as Airflow's version.
    :param leaves_long_waits: raise at once where the server asks for a wait of more than a minute, for a caller who
        can wait without this thread. Otherwise it is waited for, up to five minutes.
    :param sleep: waits between attempts, in seconds; by default until :meth:`stop` at the longest.
    """

    def __init__(
        self,
        settings: ClientSettings,
        *,
        user_agent: str = "",
        leaves_long_waits: bool = False,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        self.settings = settings
        self.retries = 0
        # Whatever a server or a proxy says from now on may hold them.
        for secret in settings.secrets:
            hide(secret)
        self._transport = Transport(settings, user_agent)
        self._leaves_long_waits = leaves_long_waits
        self._sleep = sleep or self._transport.sleep
        self._lock = threading.Lock()
        self._endpoint: Endpoint | None = None

    def __enter__(self) -> HoneyHiveClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"HoneyHiveClient({self.settings.api_url})"

    def close(self) -> None:
        """Close the pooled connections."""
        self._transport.close()

    def stop(self) -> None:
        """Let whoever uses this client end soon; safe to call from a signal handler."""
        self._transport.stop()

    @property
    def is_stopped(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self._transport.is_stopped

    @property
    def endpoint(self) -> Endpoint | None:
        """The endpoint that answered, once one did."""
        return self._endpoint

    def fetch_page(
        self,
        request: ExportRequest,
        date_range: DateRange | None = None,
        *,
        page: int = 1,
        limit: int = 1000,
        max_bytes: int | None = None,
        concurrency: ConcurrencyLimit | None = None,
    ) -> Page:
        """Ask for one page of events, in as many attempts as the settings allow.

        :param request: project, filters, projections; its window is not looked at.
        :param date_range: inclusive bounds, or None for all of time.
        :param page: number of the page, from 1.
        :param limit: most events in the page, at most what the endpoint gives.
        :param max_bytes: a response of more bytes (decompressed) is refused as too large; None: as many as
            ``max_response_bytes`` of the settings allows, which is the most in any case.
        :param concurrency: of those who ask at the same time for the same export; None: no limit.
        :raises AnswerTooLargeError: the response is larger.
        :raises HoneyHiveAuthError: the key is refused.
        :raises HoneyHiveRefusedError: the key, the project or an id is refused, and the server does not say which.
        :raises HoneyHiveRequestError: the request is refused, or no endpoint answers at this URL.
        :raises HoneyHiveConnectionError: no whole response came, also at the last attempt.
        :raises HoneyHiveRateLimitError: still too many requests at the last attempt, or a wait that is left.
        :raises HoneyHiveServerError: the server still fails at the last attempt, or asks for a wait that is left.
        :raises HoneyHiveResponseError: the response is still not a page of events at the last attempt.
        """
        largest = self.settings.max_response_bytes
        wanted = _Wanted(request, date_range, page, limit, min(max_bytes or largest, largest), concurrency)
        return retrying(
            partial(self._fetch, wanted),
            max_retries=self.settings.max_retries,
            total_time=self._transport.total_time,
            may_shrink=limit > 1,
            leaves_long_waits=self._leaves_long_waits,
            sleep=self._sleep,
            on_retry=self._count_retry,
        )

    def _fetch(self, wanted: _Wanted) -> Page:
        if self.is_stopped:
            raise ExportStoppedError("the export was stopped")
        if self._endpoint is not None:
            if self._endpoint.needs_project and wanted.request.project is None:
                raise self._no_project()
            return self._fetch_from(self._endpoint, wanted)
        with self._lock:
            # Another thread may have found it while this one waited.
            if self._endpoint is None:
                return self._find_endpoint(wanted)
        return self._fetch(wanted)

    def _find_endpoint(self, wanted: _Wanted) -> Page:
        project = wanted.request.project
        missing: list[str] = []
        refusal: HoneyHiveRefusedError | None = None
        for endpoint in candidates(self.settings.endpoint, self.settings.key_kind):
            if endpoint.needs_project and project is None:
                continue
            try:
                page = self._fetch_from(endpoint, wanted)
            except HoneyHiveRequestError as error:
                if isinstance(error, HoneyHiveRefusedError) and endpoint.has_project_in_path:
                    # Perhaps there is no such path: the other one names the same project, so it cannot read another's.
                    refusal = error
                elif not is_missing_route(error):
                    raise
                missing.append(endpoint.url_path(project))
                continue
            self._endpoint = endpoint
            log.info("HoneyHive answers at %s%s", self.settings.api_url, endpoint.path)
            return page
        if refusal is not None:
            raise refusal
        if not missing:
            raise self._no_project()
        raise no_endpoint(self.settings.api_url, missing, self.settings.connection_name)

    def _no_project(self) -> InvalidArgumentError:
        kind = self.settings.key_kind
        return InvalidArgumentError(
            "project",
            None,
            f"a {kind.name} takes the project's id: set it here or as the connection's extra"
            if kind.takes_project_id
            else "the endpoint of this connection needs a project: give it here, or as its extra",
            *([Fact(f"Ids are in {WHERE_IDS_ARE}")] if kind.takes_project_id else []),
            *([Fact(f"The connection: {self.settings.connection_name}")] if self.settings.connection_name else []),
        )

    def _fetch_from(self, endpoint: Endpoint, wanted: _Wanted) -> Page:
        request = wanted.request
        limit = min(wanted.limit, endpoint.max_limit)
        body = endpoint.body(request, wanted.date_range, page=wanted.page, limit=limit)
        path = endpoint.url_path(request.project)
        try:
            return decode_page(
                self._transport.post(path, body, wanted.max_bytes, wanted.concurrency, quotes=request.include_content),
                limit,
            )
        except MemoryError:
            failure: HoneyHiveError = AnswerTooLargeError(
                "the worker has not enough memory for an answer: leave out large fields (projections, "
                "exclude_fields), lower concurrency, or give it more"
            )
        except HoneyHiveError as error:
            # It is kept while the next attempt is made, and its traceback would keep the body, and what was made of it.
            failure = error.with_traceback(None)
            failure.__context__ = None
        raise failure

    def _count_retry(self) -> None:
        with self._lock:
            self.retries += 1


class _Wanted(Struct, frozen=True):
    """A page, as it was asked for."""

    request: ExportRequest
    date_range: DateRange | None
    page: int
    limit: int
    max_bytes: int
    concurrency: ConcurrencyLimit | None
