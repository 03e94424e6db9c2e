"""How requests go over the wire: with the key, the right proxy and certificates, and responses in bounds.

Knows nothing of endpoints and pages, and sends each request once. It has no session of requests: so there are no
cookies, no ``.netrc``, no redirects followed behind its back, and no environment but what is asked for here.
"""

from __future__ import annotations

import os
import platform
import threading
from typing import TYPE_CHECKING, Any

import requests
from requests.utils import get_environ_proxies

from airflow_provider_honeyhive import __version__
from airflow_provider_honeyhive.api.bodies import SpareMemory, read_body
from airflow_provider_honeyhive.api.concurrency import ConcurrencyLimit
from airflow_provider_honeyhive.api.connections import BoundedAdapter, Budget, within
from airflow_provider_honeyhive.api.failures import api_error, connection_error, redirect_target
from airflow_provider_honeyhive.exceptions import (
    AnswerTooLargeError,
    HoneyHiveConnectionError,
    HoneyHiveError,
    HoneyHiveRequestError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from requests.structures import CaseInsensitiveDict

    from airflow_provider_honeyhive.api.settings import ClientSettings


MOST_CONNECTIONS = 64

#: What a server answers that has too much to do.
_TOO_MANY = (429, 503)

_REDIRECTS = (301, 302, 303, 307, 308)

_MOST_REDIRECTS = 3

#: Bytes of the body of a response without events: it is an explanation at the best.
LARGEST_ERROR_BODY = 64 * 1024

#: On the wire a body may be longer than decompressed, in many small chunks say: so many times, and some bytes more.
WIRE_FACTOR, WIRE_MARGIN = 2, 1024 * 1024

#: What is asked for, and how responses that were asked so may be encoded. Codes within codes may swell without end.
_ENCODING = "gzip"
_ENCODINGS = ("", "identity", "gzip", "x-gzip")

#: Where requests, too, looks for certificates.
_BUNDLE_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


class Transport:
    """Pooled connections with bearer authentication; threads may share them.

    :param settings: where and how.
    :param user_agent: what to add to the ``User-Agent`` header, such as Airflow's version.
    """

    def __init__(self, settings: ClientSettings, user_agent: str = "") -> None:
        self._settings = settings
        self._stopped = threading.Event()
        self._headers = {
            "User-Agent": f"airflow-provider-honeyhive/{__version__} requests/{requests.__version__} "
            f"python/{platform.python_version()} {user_agent}".strip(),
            "Accept": "application/json",
            "Accept-Encoding": _ENCODING,
        }
        # Connections are made when they are needed: this only says how many are kept.
        self._adapter = BoundedAdapter(pool_connections=2, pool_maxsize=MOST_CONNECTIONS)
        self._spare = SpareMemory()

    def close(self) -> None:
        """Close the pooled connections."""
        self._adapter.close()

    def stop(self) -> None:
        """End waits soon; safe to call from a signal handler."""
        self._stopped.set()

    @property
    def is_stopped(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self._stopped.is_set()

    def sleep(self, seconds: float) -> None:
        """Wait, but not beyond :meth:`stop`."""
        self._stopped.wait(seconds)

    @property
    def total_time(self) -> float:
        """Seconds for one response with the redirects to it, and for one request with all its attempts."""
        return self._settings.timeout * (self._settings.max_retries + 1)

    def post(
        self,
        path: str,
        body: dict[str, Any],
        max_bytes: int,
        limit: ConcurrencyLimit | None = None,
        *,
        quotes: bool = True,
    ) -> memoryview:
        """Return the body of the response, which has status 200.

        :param path: below the base URL.
        :param body: of the request, sent as JSON.
        :param max_bytes: a response of more bytes (decompressed) is refused.
        :param limit: waits for a place among the requests under way, and learns of 429 and 503; None: no limit.
        :param quotes: errors have the server's words.
        :raises AnswerTooLargeError: the response is larger.
        :raises MemoryError: there is no memory for the response.
        :raises HoneyHiveAPIError: the status is not 200.
        :raises HoneyHiveRequestError: redirected to another host, to no URL, or in a circle.
        :raises HoneyHiveConnectionError: no whole response came.
        """
        url = self._settings.api_url + path
        with (limit or ConcurrencyLimit(1)).one(lambda: self.is_stopped) as answered:
            budget = Budget(self._settings.api_host, self.total_time, WIRE_FACTOR * max_bytes + WIRE_MARGIN)
            for _ in range(_MOST_REDIRECTS + 1):
                status, headers, content = self._send(url, body, max_bytes, budget)
                if status not in _REDIRECTS:
                    break
                url = redirect_target(url, headers.get("Location", ""))
            else:
                raise HoneyHiveRequestError(f"{self._settings.api_host} redirects in a circle", status_code=status)
            answered(status in _TOO_MANY)
        if status != 200:
            raise api_error(status, headers, content.tobytes(), url, self._settings, quotes=quotes)
        return content

    def _authorize(self, prepared: requests.PreparedRequest) -> requests.PreparedRequest:
        prepared.headers["Authorization"] = f"Bearer {self._settings.api_key.get_secret_value()}"
        return prepared

    def _send(
        self, url: str, body: dict[str, Any], max_bytes: int, budget: Budget
    ) -> tuple[int, CaseInsensitiveDict[str], memoryview]:
        settings = self._settings
        try:
            request = requests.Request("POST", url, headers=self._headers, json=body, auth=self._authorize).prepare()
            with within(budget):
                response = self._adapter.send(
                    request,
                    stream=True,
                    timeout=(settings.connect_timeout, settings.timeout),
                    verify=self._verify(),
                    proxies=self._proxies(url),
                )
            with response:
                return response.status_code, response.headers, self._read(response, max_bytes)
        except (HoneyHiveError, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001 - a garbled response may raise anything in the layers below
            raise connection_error(error, settings, self._verify()) from None

    def _read(self, response: requests.Response, max_bytes: int) -> memoryview:
        is_page = response.status_code == 200
        if response.status_code < 200:
            # Only 100 is waited past. On this connection, what follows would be taken for the next response.
            raise self._garbled(f"it begins with status {response.status_code}")
        if response.headers.get("Content-Encoding", "").strip().lower() not in _ENCODINGS:
            if is_page:
                raise self._garbled(f"it is encoded otherwise than by {_ENCODING}")
            return memoryview(b"")
        if not is_page:
            return read_body(response.raw, LARGEST_ERROR_BODY).view()[:LARGEST_ERROR_BODY]
        announced = response.raw.length_remaining or 0
        if announced <= max_bytes:
            body = read_body(response.raw, max_bytes, self._spare)
            if body.size <= max_bytes:
                return body.view()
            body.close()
        raise self._too_large(max_bytes)

    def _garbled(self, reason: str) -> HoneyHiveConnectionError:
        return HoneyHiveConnectionError(f"the answer of {self._settings.api_host} was garbled: {reason}")

    def _too_large(self, max_bytes: int) -> AnswerTooLargeError:
        text = f"the answer is larger than {max_bytes} bytes"
        if max_bytes < self._settings.max_response_bytes:
            return AnswerTooLargeError(text)
        return AnswerTooLargeError(
            f"{text}: leave out large fields (projections, exclude_fields), or set the connection's extra "
            "max_response_bytes higher where the worker has the memory"
        )

    def _verify(self) -> bool | str:
        """Return whether, or by what, certificates are verified."""
        if self._settings.verify is not True:
            return self._settings.verify
        return next(filter(None, map(os.environ.get, _BUNDLE_VARIABLES)), True)

    def _proxies(self, url: str) -> Mapping[str, str]:
        """Return the proxies for a URL: the connection's, else, beyond this machine, the environment's."""
        if self._settings.proxy:
            return {"all": self._settings.proxy.get_secret_value()}
        return {} if self._settings.is_loopback else get_environ_proxies(url)
