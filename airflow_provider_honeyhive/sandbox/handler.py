"""The HTTP side: one request in, one answer out, or what a fault leaves of it."""

from __future__ import annotations

import gzip
import socket
import ssl
import struct
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive.sandbox.answers import JSON_TYPE, Answer, dump_json
from airflow_provider_honeyhive.sandbox.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    Respond = Callable[[str, str, dict[str, str], bytes], tuple[Answer, Fault]]

NO_FAULT = Fault()
#: SO_LINGER on, for zero seconds: closing sends RST instead of FIN.
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
DRIPS = 20
CHUNK_BYTES = 8192
#: A longer request is refused.
LARGEST_REQUEST = 16 * 1024 * 1024
#: What a client that goes away, or refuses our certificate, looks like from here.
CLIENT_GONE = (ConnectionError, TimeoutError, ssl.SSLError)


class Server(ThreadingHTTPServer):
    """Serves what answers requests, and can cut every connection it has.

    :param address: host and port.
    :param respond: gives the answer to a method, a path, headers and a body, and the fault to send it with.
    :param compresses: whether answers are compressed at the moment, for clients that accept it.
    :param tls: files of certificate and key; None: plain HTTP.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        address: tuple[str, int],
        respond: Respond,
        compresses: Callable[[], bool],
        tls: tuple[str, str] | None,
    ) -> None:
        super().__init__(address, Handler)
        self.respond = respond
        self.compresses = compresses
        self.connection_count = 0
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            # The handshake happens at the first read, in the connection's own thread.
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection, then serve it in a thread."""
        with self._open_lock:
            self._open.add(request)
            self.connection_count += 1
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget the connection and close it."""
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def cut_connections(self) -> None:
        """End all connections, idle ones too: threads that wait for a request then end."""
        with self._open_lock:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay quiet about clients that go away."""
        if not isinstance(sys.exception(), CLIENT_GONE):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """Speaks HTTP/1.1 for a sandbox."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version = "HoneyHiveSandbox"
    # Headers and body are two writes; they must not wait for each other's acknowledgement.
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        """Read the request, let the sandbox answer, send what the fault leaves of the answer."""
        refusal = self._refusal()
        if refusal is not None:
            # What comes next on the connection is a body that nobody reads.
            self.close_connection = True
            self._send(refusal, NO_FAULT)
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer, fault = self.server.respond(self.command, self.path, headers, body)
        self._send(answer, fault)

    # One behaviour for every method: the sandbox knows which it has.
    do_GET = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = do_POST  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Say nothing: the sandbox keeps its own log."""

    def _refusal(self) -> Answer | None:
        """Return the answer to a request whose body cannot be read, None for any other."""
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            return Answer(411, dump_json({"message": "Length Required"}))
        length = self.headers.get("Content-Length") or "0"
        if not length.isascii() or not length.isdigit():
            return Answer(400, dump_json({"message": "Content-Length is no number"}))
        # By its digits first, since Python makes no number of too many.
        if len(length.lstrip("0")) > len(str(LARGEST_REQUEST)) or int(length) > LARGEST_REQUEST:
            return Answer(413, dump_json({"message": "Payload Too Large"}))
        return None

    def _send(self, answer: Answer, fault: Fault) -> None:
        if fault.kind == "reset":
            self._reset()
            return
        body = answer.body[: len(answer.body) // 2] if fault.kind == "half_json" else answer.body
        headers = {**JSON_TYPE, **answer.headers}
        if self.server.compresses() and "gzip" in self.headers.get("Accept-Encoding", ""):
            body = gzip.compress(body, compresslevel=1)
            headers["Content-Encoding"] = "gzip"
        chunked = fault.kind == "chunked_cut"
        headers.update({"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": str(len(body))})
        cut = fault.kind in {"cut", "chunked_cut"}
        self.send_response(answer.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            sent = body[: int(len(body) * fault.cut_at)] if cut else body
            self._send_pieces(sent, fault.drip, _chunk if chunked else bytes)
        if cut:
            self.close_connection = True

    def _send_pieces(self, body: bytes, seconds: float, frame: Callable[[bytes], bytes]) -> None:
        if not seconds and frame is bytes:
            self.wfile.write(body)
            return
        size = max(1, -(-len(body) // DRIPS)) if seconds else CHUNK_BYTES
        for begin in range(0, len(body), size):
            time.sleep(seconds / DRIPS)
            self.wfile.write(frame(body[begin : begin + size]))

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        # The socket closes when its last reader does, and only then, before anyone says FIN.
        self.rfile.close()
        self.connection.close()


def _chunk(piece: bytes) -> bytes:
    return f"{len(piece):x}\r\n".encode() + piece + b"\r\n"
