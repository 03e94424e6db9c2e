"""Where bytes of a server come in: sockets that keep to a budget, whatever the status and the framing of a response.

The bounds are below ``http.client``, so they hold for status lines, headers, bodies, trailers, responses of redirects
and of proxies alike, and nobody above needs to look at a clock.
"""

from __future__ import annotations

import http.client
import io
import threading
import time
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ConnectTimeoutError

from airflow_provider_honeyhive.exceptions import AnswerTooLargeError, HoneyHiveConnectionError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from urllib3 import HTTPConnectionPool, PoolManager


#: Most bytes before the body: status line and headers, those of interim responses (1xx) and of a proxy included.
LARGEST_HEAD = 256 * 1024

#: Bytes that are taken out of a socket at once where only a line is asked for.
_BUFFER = 64 * 1024


class Budget(msgspec.Struct, frozen=True):
    """What one response, with the redirects to it, may take.

    :param host: who sends it, as errors are to name it.
    :param seconds: from now until its last byte.
    :param body_bytes: most bytes of each body on the wire: compressed, and with the framing of chunks.
    """

    host: str
    seconds: float
    body_bytes: int
    _began: float = msgspec.field(default_factory=time.monotonic)

    def time_left(self) -> float:
        """Return the seconds that are left.

        :raises HoneyHiveConnectionError: none are.
        """
        left = self._began + self.seconds - time.monotonic()
        if left <= 0:
            raise self.too_slow()
        return left

    def too_slow(self) -> HoneyHiveConnectionError:
        """Return the error for a response that took all of its time."""
        return HoneyHiveConnectionError(f"{self.host} took more than {self.seconds:g} s for one answer", timed_out=True)


_budget: ContextVar[Budget] = ContextVar("budget of the response that is waited for")


@contextmanager
def within(budget: Budget) -> Iterator[None]:
    """Let the responses to requests that this thread sends meanwhile keep to a budget."""
    token = _budget.set(budget)
    try:
        yield
    finally:
        _budget.reset(token)


class BoundedAdapter(HTTPAdapter):
    """An adapter of requests whose connections keep to the budget that :func:`within` gives, also through proxies."""

    def __init__(self, *, pool_connections: int, pool_maxsize: int) -> None:
        self._lock = threading.Lock()
        super().__init__(pool_connections, pool_maxsize)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools of connections."""
        super().init_poolmanager(*args, **kwargs)
        _bound(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Return the pools of connections to a proxy."""
        with self._lock:  # Another thread must not find it before it is bounded.
            manager = super().proxy_manager_for(proxy, **kwargs)
            _bound(manager)
        return manager


def _bound(manager: PoolManager) -> None:
    manager.pool_classes_by_scheme = {scheme: _bounded(pool) for scheme, pool in manager.pool_classes_by_scheme.items()}


@cache
def _bounded(pool: type[HTTPConnectionPool]) -> type[HTTPConnectionPool]:
    """Return a kind of pool whose connections read bounded responses."""
    connection: Any = pool.ConnectionCls
    if issubclass(connection.response_class, BoundedResponse):
        return pool
    bounded = type(connection.__name__, (_BoundedConnection, connection), {"response_class": BoundedResponse})
    return type(pool.__name__, (pool,), {"ConnectionCls": bounded})


class _BoundedConnection:
    """What is changed of a connection of urllib3."""

    sock: Any

    def connect(self) -> None:
        """Connect, through a proxy and with TLS where they are asked for."""
        try:
            super().connect()  # type: ignore[misc]
        except TimeoutError:
            # Of CONNECT or the handshake: urllib3 would say that no response came to the request.
            raise ConnectTimeoutError(self, "no connection") from None

    @property
    def is_connected(self) -> bool:
        """Whether the connection can be used again: it is open, and nothing came that was not asked for."""
        # What TLS has decrypted is no longer seen in the socket below it.
        pending = getattr(self.sock, "pending", None)
        is_connected: bool = super().is_connected  # type: ignore[misc]
        return is_connected and not (pending and pending())


class _BoundedSocket(io.RawIOBase):
    """The bytes of one response, read out of a socket within a budget."""

    def __init__(self, sock: Any, budget: Budget) -> None:
        super().__init__()
        self._socket = sock
        self._bytes = sock.makefile("rb", buffering=0)
        self._budget = budget
        self._silence = sock.gettimeout()
        self._received = 0
        self._most = LARGEST_HEAD
        self._in_head = True

    def makefile(self, mode: str) -> io.BufferedReader:
        """Return what ``http.client`` reads from; it takes this for the socket."""
        return io.BufferedReader(self, _BUFFER)

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def expect_body(self) -> None:
        """Let the bytes of the body follow those of the head."""
        self._in_head = False
        self._most = self._received + self._budget.body_bytes

    def readinto(self, buffer: Any) -> int:
        """Read what has come, or comes next."""
        left = self._budget.time_left()
        is_last_wait = left < self._silence
        if is_last_wait:
            self._socket.settimeout(left)
        try:
            count: int = self._bytes.readinto(buffer)
        except TimeoutError:
            # A server that said nothing at all is told as such.
            if is_last_wait and self._received:
                raise self._budget.too_slow() from None
            raise
        self._received += count
        if self._received > self._most:
            raise self._too_much()
        return count

    def _too_much(self) -> HoneyHiveConnectionError | AnswerTooLargeError:
        if self._in_head:
            return HoneyHiveConnectionError(
                f"the answer of {self._budget.host} was garbled: it has more than {LARGEST_HEAD} bytes of headers"
            )
        return AnswerTooLargeError(f"the answer is larger than {self._budget.body_bytes} bytes on the wire")

    def close(self) -> None:
        """Leave the socket to its connection."""
        self._bytes.close()
        super().close()


class BoundedResponse(http.client.HTTPResponse):
    """A response that keeps to the budget that :func:`within` gives.

    :param sock: it comes from.
    """

    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        self._bounded = _BoundedSocket(sock, _budget.get())
        super().__init__(self._bounded, *args, **kwargs)  # type: ignore[arg-type]
        self._place: memoryview | None = None

    def begin(self) -> None:
        """Read the head."""
        super().begin()
        self._bounded.expect_body()
        # urllib3 logs, word for word, what a server sent for headers and is none.
        self.headers.defects.clear()
        if not self.headers.is_multipart():
            self.headers.set_payload("")

    @contextmanager
    def reading_into(self, place: memoryview) -> Iterator[None]:
        """Let :meth:`read1` put what it reads there, one piece behind the other, and return views of that."""
        self._place = place
        try:
            yield
        finally:
            self._place = None

    def read1(self, n: int = -1) -> Any:
        """Read what comes next."""
        if self._place is None:
            return super().read1(n)
        # No longer than the body, so that nobody below needs another view of it: an error would keep that.
        with self._place[: n if self.length is None else min(n, self.length)] as free:
            count = self.readinto(free)
        if not count:
            return b""
        piece, self._place = self._place[:count], self._place[count:]
        return piece
