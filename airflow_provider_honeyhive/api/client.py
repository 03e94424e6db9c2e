"""The one place that talks to HoneyHive.

One pooled ``requests`` session with bearer authentication; finds the endpoint that works; turns every way
an answer can fail into the errors of :mod:`~airflow_provider_honeyhive.exceptions`, and sends again what may
pass then as :mod:`~airflow_provider_honeyhive.trying_again` says. Knows nothing of windows, seams and files.
"""

from __future__ import annotations

import logging
import platform
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import requests
from requests.adapters import HTTPAdapter

from airflow_provider_honeyhive import __version__
from airflow_provider_honeyhive.api.endpoints import Endpoint, candidates
from airflow_provider_honeyhive.api.failures import (
    NETWORK_ERRORS,
    api_error,
    connection_error,
    is_missing_route,
    redirect_target,
)
from airflow_provider_honeyhive.api.pages import Page, decode_page
from airflow_provider_honeyhive.api.retries import retrying
from airflow_provider_honeyhive.api.transport import BodyBuffer, ConcurrencyLimit
from airflow_provider_honeyhive.exceptions import (
    AnswerTooLargeError,
    ExportStoppedError,
    HoneyHiveConnectionError,
    HoneyHiveRequestError,
    InvalidArgumentError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_honeyhive.api.endpoints import DateRange
    from airflow_provider_honeyhive.api.settings import ClientSettings
    from airflow_provider_honeyhive.models.request import ExportRequest


log = logging.getLogger(__name__)

T = TypeVar("T")

#: An answer of more bytes than this (decompressed) is refused: pages aim for 16 MB.
LARGEST_ANSWER = 1024**3

MOST_CONNECTIONS = 64

#: Small enough for a processor's cache.
_CHUNK = 256 * 1024

#: What a server answers that has too much to do.
_TOO_MANY = (429, 503)

_REDIRECTS = (301, 302, 303, 307, 308)

_MOST_REDIRECTS = 3


class HoneyHiveClient:
    """Asks HoneyHive for pages of events.

    :param settings: where and how.
    :param max_in_flight: most requests at once; fewer after the server answered 429 or 503.
    :param user_agent: what to add to the ``User-Agent`` header, such as Airflow's version.
    :param sleep: waits between tries, in seconds; by default until :meth:`stop` at the longest.
    """

    def __init__(
        self,
        settings: ClientSettings,
        *,
        max_in_flight: int = 8,
        user_agent: str = "",
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        self.settings = settings
        self.retries = 0
        #: Whether to raise at once where the server asks for a wait of more than a minute: for whoever can wait
        #: without this thread. Otherwise it is waited for, up to five minutes.
        self.leaves_long_waits = False
        self._stopped = threading.Event()
        self._sleep = sleep or self._stopped.wait
        self.in_flight = ConcurrencyLimit(max_in_flight)
        self._lock = threading.Lock()
        self._endpoint: Endpoint | None = None
        self._session = requests.Session()
        self._session.headers.update(
            {
                "User-Agent": f"airflow-provider-honeyhive/{__version__} requests/{requests.__version__} "
                f"python/{platform.python_version()} {user_agent}".strip(),
                "Accept": "application/json",
            }
        )
        # As "auth", so that no .netrc entry for the host can take the key's place.
        self._session.auth = self._authorize
        # Connections are made when they are needed: this only says how many are kept.
        adapter = HTTPAdapter(pool_connections=2, pool_maxsize=MOST_CONNECTIONS)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)
        if settings.proxy:
            self._session.proxies = {"http": settings.proxy, "https": settings.proxy}

    def __enter__(self) -> HoneyHiveClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"HoneyHiveClient({self.settings.api_url})"

    def close(self) -> None:
        """Close the pooled connections."""
        self._session.close()

    def stop(self) -> None:
        """Let whoever uses this client end soon; safe to call from a signal handler."""
        self._stopped.set()

    @property
    def is_stopped(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self._stopped.is_set()

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
    ) -> Page:
        """Ask for one page of events, trying again where that may help.

        :param request: project, filters, projections; its window is not looked at.
        :param date_range: inclusive bounds, or None for all of time.
        :param page: number of the page, from 1.
        :param limit: most events in the page, at most what the endpoint gives.
        :param max_bytes: an answer of more bytes (decompressed) is refused as too large; None: 1 GiB.
        :raises AnswerTooLargeError: the answer is larger.
        :raises HoneyHiveAuthError: the key is refused.
        :raises HoneyHiveRequestError: the request is refused, or no endpoint answers at this URL.
        :raises HoneyHiveConnectionError: no whole answer came, also after the last try.
        :raises HoneyHiveRateLimitError: still too many requests after the last try, or a wait that is left.
        :raises HoneyHiveServerError: the server still fails after the last try, or asks for a wait that is left.
        :raises HoneyHiveResponseError: the answer is still not a page of events after the last try.
        """
        asked = _Asked(request, date_range, page, limit, max_bytes or LARGEST_ANSWER)
        return self._retrying(lambda: self._ask(asked), may_shrink=limit > 1)

    # ---------------------------------------------------------------------------------- endpoints

    def _ask(self, asked: _Asked) -> Page:
        if self.is_stopped:
            raise ExportStoppedError("the export was stopped")
        if self._endpoint is not None:
            return self._ask_endpoint(self._endpoint, asked)
        with self._lock:
            # Another thread may have found it while this one waited.
            if self._endpoint is None:
                return self._find_endpoint(asked)
        return self._ask(asked)

    def _find_endpoint(self, asked: _Asked) -> Page:
        request = asked.request
        tried: list[str] = []
        for endpoint in candidates(self.settings.endpoint):
            if endpoint.needs_project and request.project is None:
                continue
            try:
                answer = self._ask_endpoint(endpoint, asked)
            except HoneyHiveRequestError as error:
                if not is_missing_route(error):
                    raise
                tried.append(endpoint.url_path(request.project))
                continue
            self._endpoint = endpoint
            log.info("HoneyHive answers at %s%s", self.settings.api_url, endpoint.path)
            return answer
        if not tried:
            raise InvalidArgumentError("project", None, "the endpoint of this connection needs a project")
        raise HoneyHiveRequestError(
            f"{self.settings.api_url} has none of the paths {', '.join(tried)}: check the connection's host "
            "(base URL of the HoneyHive API) and its extra 'endpoint'",
            status_code=404,
        )

    def _ask_endpoint(self, endpoint: Endpoint, asked: _Asked) -> Page:
        request = asked.request
        limit = min(asked.limit, endpoint.max_limit)
        body = endpoint.body(request, asked.date_range, page=asked.page, limit=limit)
        return decode_page(self._post(endpoint.url_path(request.project), body, asked.max_bytes), limit)

    # ---------------------------------------------------------------------------------- one request

    def _authorize(self, prepared: requests.PreparedRequest) -> requests.PreparedRequest:
        prepared.headers["Authorization"] = f"Bearer {self.settings.api_key.get_secret_value()}"
        return prepared

    def _post(self, path: str, body: dict[str, Any], max_bytes: int) -> memoryview:
        url = self.settings.api_url + path
        for _ in range(_MOST_REDIRECTS + 1):
            with self.in_flight.one(lambda: self.is_stopped) as answered:
                status, headers, answer = self._send(url, body, max_bytes)
                answered(status in _TOO_MANY)
            if status not in _REDIRECTS:
                break
            url = redirect_target(url, headers.get("Location", ""))
        else:
            raise HoneyHiveRequestError(f"{self.settings.api_host} redirects in a circle", status_code=status)
        if status != 200:
            # A server may echo the key; what it says goes into logs.
            key = self.settings.api_key.get_secret_value().encode()
            raise api_error(status, headers, answer.tobytes().replace(key, b"***"), url)
        return answer

    def _send(
        self, url: str, body: dict[str, Any], max_bytes: int
    ) -> tuple[int, requests.structures.CaseInsensitiveDict[str], memoryview]:
        settings = self.settings
        try:
            with self._session.post(
                url,
                json=body,
                timeout=(settings.connect_timeout, settings.timeout),
                verify=settings.verify,
                allow_redirects=False,
                stream=True,
            ) as response:
                return response.status_code, response.headers, self._read(response, max_bytes)
        except NETWORK_ERRORS as error:
            raise connection_error(error, settings) from None
        except ValueError:
            # requests looks at where a redirect leads even when it is not to follow it.
            raise HoneyHiveRequestError(
                f"{settings.api_host} redirects to what is no URL, and the key is not sent on: check the "
                "connection's host"
            ) from None

    def _read(self, response: requests.Response, max_bytes: int) -> memoryview:
        deadline = time.monotonic() + self._total_time
        announced = _announced(response)
        _refuse_beyond(max_bytes, announced)
        body = BodyBuffer(announced)
        for chunk in response.iter_content(_CHUNK):
            body.append(chunk)
            _refuse_beyond(max_bytes, body.size)
            if time.monotonic() > deadline:
                raise HoneyHiveConnectionError(
                    f"{self.settings.api_host} took more than {self._total_time:g} s for one answer", timed_out=True
                )
        return body.view()

    # ---------------------------------------------------------------------------------- trying again

    @property
    def _total_time(self) -> float:
        return self.settings.timeout * (self.settings.max_retries + 1)

    def _retrying(self, ask: Callable[[], T], *, may_shrink: bool) -> T:
        policy = retrying(
            max_retries=self.settings.max_retries,
            total_time=self._total_time,
            may_shrink=may_shrink,
            leaves_long_waits=self.leaves_long_waits,
            pause=self._sleep,
            on_retry=self._count_retry,
        )
        return policy(ask)

    def _count_retry(self) -> None:
        with self._lock:
            self.retries += 1


@dataclass(frozen=True, slots=True)
class _Asked:
    """A page as it was asked for."""

    request: ExportRequest
    date_range: DateRange | None
    page: int
    limit: int
    max_bytes: int


def _announced(response: requests.Response) -> int:
    """Return the bytes that the answer says it has; of a compressed one that is the least it can be."""
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isascii() and length.isdigit() else 0


def _refuse_beyond(max_bytes: int, size: int) -> None:
    if size > max_bytes:
        raise AnswerTooLargeError(f"the answer is larger than {max_bytes} bytes")
