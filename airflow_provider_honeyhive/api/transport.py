"""How requests go over the wire: one session with its key, redirects, bodies in bounds.

Knows nothing of endpoints and pages, and sends each request once.
"""

from __future__ import annotations

import mmap
import platform
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import HTTPAdapter

from airflow_provider_honeyhive import __version__
from airflow_provider_honeyhive.api.concurrency import ConcurrencyLimit
from airflow_provider_honeyhive.api.failures import NETWORK_ERRORS, api_error, connection_error, redirect_target
from airflow_provider_honeyhive.exceptions import (
    AnswerTooLargeError,
    HoneyHiveConnectionError,
    HoneyHiveRequestError,
)

if TYPE_CHECKING:
    from requests.structures import CaseInsensitiveDict

    from airflow_provider_honeyhive.api.settings import ClientSettings


MOST_CONNECTIONS = 64

#: Small enough for a processor's cache.
_CHUNK = 256 * 1024

#: What a server answers that has too much to do.
_TOO_MANY = (429, 503)

_REDIRECTS = (301, 302, 303, 307, 308)

_MOST_REDIRECTS = 3


class Transport:
    """One pooled session with bearer authentication; threads may share it.

    :param settings: where and how.
    :param user_agent: what to add to the ``User-Agent`` header, such as Airflow's version.
    """

    def __init__(self, settings: ClientSettings, user_agent: str = "") -> None:
        self._settings = settings
        self._stopped = threading.Event()
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

    def close(self) -> None:
        """Close the pooled connections."""
        self._session.close()

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
        """Seconds that one response may take, and that one request may take with all its attempts."""
        return self._settings.timeout * (self._settings.max_retries + 1)

    def post(
        self, path: str, body: dict[str, Any], max_bytes: int, limit: ConcurrencyLimit | None = None
    ) -> memoryview:
        """Return the body of the response, which has status 200.

        :param path: below the base URL.
        :param body: of the request, sent as JSON.
        :param max_bytes: a response of more bytes (decompressed) is refused.
        :param limit: waits for a place among the requests under way, and learns of 429 and 503; None: no limit.
        :raises AnswerTooLargeError: the response is larger.
        :raises HoneyHiveAPIError: the status is not 200.
        :raises HoneyHiveRequestError: redirected to another host, to no URL, or in a circle.
        :raises HoneyHiveConnectionError: no whole response came.
        """
        url = self._settings.api_url + path
        for _ in range(_MOST_REDIRECTS + 1):
            with (limit or ConcurrencyLimit(1)).one(lambda: self.is_stopped) as answered:
                status, headers, content = self._send(url, body, max_bytes)
                answered(status in _TOO_MANY)
            if status not in _REDIRECTS:
                break
            url = redirect_target(url, headers.get("Location", ""))
        else:
            raise HoneyHiveRequestError(f"{self._settings.api_host} redirects in a circle", status_code=status)
        if status != 200:
            # A server may echo the key; what it says goes into logs.
            key = self._settings.api_key.get_secret_value().encode()
            raise api_error(status, headers, content.tobytes().replace(key, b"***"), url)
        return content

    def _authorize(self, prepared: requests.PreparedRequest) -> requests.PreparedRequest:
        prepared.headers["Authorization"] = f"Bearer {self._settings.api_key.get_secret_value()}"
        return prepared

    def _send(self, url: str, body: dict[str, Any], max_bytes: int) -> tuple[int, CaseInsensitiveDict[str], memoryview]:
        settings = self._settings
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
        deadline = time.monotonic() + self.total_time
        announced = _announced(response)
        _refuse_beyond(max_bytes, announced)
        body = BodyBuffer(announced)
        for chunk in response.iter_content(_CHUNK):
            body.append(chunk)
            _refuse_beyond(max_bytes, body.size)
            if time.monotonic() > deadline:
                raise HoneyHiveConnectionError(
                    f"{self._settings.api_host} took more than {self.total_time:g} s for one answer", timed_out=True
                )
        return body.view()


def _announced(response: requests.Response) -> int:
    """Return the bytes that the response says it has; of a compressed one that is the least it can be."""
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isascii() and length.isdigit() else 0


def _refuse_beyond(max_bytes: int, size: int) -> None:
    if size > max_bytes:
        raise AnswerTooLargeError(f"the answer is larger than {max_bytes} bytes")


_FIRST_BYTES = 1024 * 1024

#: Linux's "use large pages", which spares most of the page faults of filling new memory; other systems lack it.
_LARGE_PAGES = getattr(mmap, "MADV_HUGEPAGE", None)


class BodyBuffer:
    """Bytes that are appended until they are whole.

    :param announced: how many there will be, where that is known; more are fine.
    """

    def __init__(self, announced: int = 0) -> None:
        self._memory = _new_memory(announced or _FIRST_BYTES)
        self.size = 0

    def append(self, chunk: bytes) -> None:
        """Add bytes at the end."""
        end = self.size + len(chunk)
        if end > len(self._memory):
            grown = _new_memory(max(end, 2 * len(self._memory)))
            grown[: self.size] = self._memory[: self.size]
            self._memory.close()
            self._memory = grown
        self._memory[self.size : end] = chunk
        self.size = end

    def view(self) -> memoryview:
        """Return the bytes without a copy; the memory lives as long as any view of it."""
        return memoryview(self._memory)[: self.size].toreadonly()


def _new_memory(size: int) -> mmap.mmap:
    # Private, because shared memory gets no large pages but where the system is told to give it some.
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if _LARGE_PAGES is not None:
        with suppress(OSError):  # a kernel may be built without them
            memory.madvise(_LARGE_PAGES)
    return memory
