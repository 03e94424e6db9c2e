"""A server that plays answers byte by byte, so that it can break every rule of HTTP."""

from __future__ import annotations

import socket
import struct
import threading
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

#: Closing sends RST instead of FIN.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Answer:
    """What goes over the wire for one request.

    :param first: these bytes.
    :param again: then these, again and again.
    :param pause: seconds before each time.
    :param times: how often; 0: until the client goes, or the server stops.
    :param last: then these.
    :param then: ``keep`` waits for the next request, ``close`` and ``reset`` end the connection, ``hang`` says nothing
        more.
    """

    first: bytes
    again: bytes = b""
    pause: float = 0.0
    times: int = 0
    last: bytes = b""
    then: str = "keep"


@dataclass(frozen=True)
class Request:
    """One request, as it came."""

    method: str
    target: str
    head: bytes
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        """The headers, by names in lower case."""
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines) if name}


class HostileServer:
    """Answers each request as a function says, each connection in a thread of its own.

    :param answer: gives the answer to a request.
    :param tls: with which it serves https; None: http.
    """

    def __init__(self, answer: Callable[[Request], Answer], tls: ssl.SSLContext | None = None) -> None:
        self._answer = answer
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._stopped = threading.Event()
        self._open: set[socket.socket] = set()
        self.requests: list[Request] = []
        self.connections = 0
        self.sent = 0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        """Host and port."""
        host, port = self._listener.getsockname()
        return f"{host}:{port}"

    @property
    def url(self) -> str:
        """Base URL."""
        return f"{'https' if self._tls else 'http'}://{self.address}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for one in (self._listener, *self._open):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        self._listener.close()

    def _accept(self) -> None:
        while not self._stopped.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
            self.connections += 1
            self._open.add(connection)
            threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as received:
            try:
                while (request := _request(received)) is not None:
                    self.requests.append(request)
                    if not self._play(connection, self._answer(request)):
                        break
            except OSError:
                pass
            finally:
                self._open.discard(connection)

    def _play(self, connection: socket.socket, answer: Answer) -> bool:
        """Send an answer; return whether another request may follow."""
        self._send(connection, answer.first)
        for _ in range(answer.times) if answer.times else count():
            if not answer.again or (answer.pause and self._stopped.wait(answer.pause)):
                break
            self._send(connection, answer.again)
        self._send(connection, answer.last)
        if answer.then == "hang":
            self._stopped.wait()
        if answer.then == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        return answer.then == "keep"

    def _send(self, connection: socket.socket, data: bytes) -> None:
        connection.sendall(data)
        self.sent += len(data)


def _request(received: socket.SocketIO) -> Request | None:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = received.readline()
        if not line:
            return None
        head += line
    method, target, _ = head.decode("latin-1").split(" ", 2)
    request = Request(method, target, head, b"")
    body = received.read(int(request.headers.get("content-length", 0)))
    return Request(method, target, head, body)
