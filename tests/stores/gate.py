"""Stands before a store's server, counts what is written, and refuses writes when a test says so."""

from __future__ import annotations

import threading
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Headers = list[tuple[str, str]]

WRITES = ("PUT", "POST", "DELETE", "PATCH")
#: Headers that belong to one connection, not to what goes through it.
OF_THE_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "content-length", "expect"}


class Gate:
    """A port on loopback that leads to another one.

    :ivar writes: requests so far that write.
    :ivar refuse_from: the first write, counted from 1, that is refused.
    :ivar refuse_until: the first write after that which is let through again.
    :ivar status: of a refusal.
    :ivar lose_until: the first write whose answer is not lost; those before are done all the same.
    :ivar requests: all so far, as method and target.
    :ivar uploaded: bytes so far in the bodies of requests.
    :ivar downloaded: bytes so far in the bodies of answers.
    :ivar deny: the status of a refusal by a request's method, target and headers, None where it may pass.
    :ivar alter: what the headers of an answer become, by the request's method and target.
    """

    def __init__(self) -> None:
        self.writes = 0
        self.refuse_from: float = float("inf")
        self.refuse_until: float = float("inf")
        self.status = 403
        self.lose_until: float = 0
        self.requests: list[tuple[str, str]] = []
        self.uploaded = 0
        self.downloaded = 0
        self.deny: Callable[[str, str, dict[str, str]], int | None] = lambda _method, _target, _headers: None
        self.alter: Callable[[str, str, Headers], Headers] = lambda _method, _target, headers: headers
        self._backend = 0
        self._lock = threading.Lock()
        self._server = _QuietServer(("127.0.0.1", 0), _handler_of(self))
        self.port: int = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"

    def open(self, backend: int) -> None:
        """Lead to a port from now on."""
        self._backend = backend
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()

    def refuse(self, first: float, until: float = float("inf"), status: int = 403) -> None:
        """Refuse writes from the ``first``-th from now on, up to the ``until``-th."""
        self.refuse_from, self.refuse_until, self.status = self.writes + first, self.writes + until, status

    def lose_answers(self, number: float) -> None:
        """Let this many writes pass from now on, and hang up instead of answering them."""
        self.lose_until = self.writes + number

    def let_all_through(self) -> None:
        """Refuse and lose nothing more."""
        self.refuse_from, self.lose_until = float("inf"), 0
        self.deny = lambda _method, _target, _headers: None

    def admits(self, method: str, target: str, size_bytes: int) -> bool:
        """Count a request and the bytes of its body, and return whether it may pass."""
        with self._lock:
            self.requests.append((method, target))
            self.uploaded += size_bytes
            if method not in WRITES:
                return True
            self.writes += 1
            return not self.refuse_from <= self.writes < self.refuse_until

    def pass_on(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[int, Headers, bytes]:
        """Return the server's answer."""
        connection = HTTPConnection("127.0.0.1", self._backend, timeout=120)
        try:
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            content = answer.read()
            with self._lock:
                self.downloaded += len(content)
            return answer.status, self.alter(method, target, answer.getheaders()), content
        finally:
            connection.close()


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *args: Any) -> None:
        """Say nothing: clients that are killed hang up."""


def _handler_of(gate: Gate) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _answer(self) -> None:
            body = self._body()
            if body is None:
                # Whoever sent it is gone, and no store takes half a body.
                self.close_connection = True
                return
            if not gate.admits(self.command, self.path, len(body)):
                self._send(gate.status, [], b"")
                return
            headers = {name: value for name, value in self.headers.items() if name.lower() not in OF_THE_CONNECTION}
            denied = gate.deny(self.command, self.path, headers)
            if denied is not None:
                self._send(denied, [], b"")
                return
            answer = gate.pass_on(self.command, self.path, headers, body)
            if self.command in WRITES and gate.writes <= gate.lose_until:
                self.close_connection = True
                return
            self._send(*answer)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_PATCH = _answer  # noqa: N815

        def _body(self) -> bytes | None:
            if "chunked" not in self.headers.get("Transfer-Encoding", ""):
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                return body if len(body) == length else None
            pieces = []
            while size := int(self.rfile.readline().split(b";")[0] or b"0", 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            return b"".join(pieces) if self.rfile.readline() else None

        def _send(self, status: int, headers: Headers, body: bytes) -> None:
            self.send_response_only(status)
            # What HEAD says of a length is that of the body it leaves out.
            length = str(len(body))
            for name, value in headers:
                if name.lower() == "content-length" and self.command == "HEAD":
                    length = value
                if name.lower() not in OF_THE_CONNECTION:
                    self.send_header(name, value)
            if status not in (204, 304):
                self.send_header("Content-Length", length)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            """Stay quiet."""

    return Handler
