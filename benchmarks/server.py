"""A loopback server that is hardly what a benchmark waits for: it sends pages out of its memory.

It speaks the dialect of ``POST /events/export`` (and ``/v1/events/export``): ``dateRange`` with ``$gte`` and ``$lte``,
both inclusive; newest first; ``limit`` up to 7500; ``page`` from 1; ``totalEvents``. ``GET /stats`` says what it
has served since ``POST /reset``. A page is one copy out of its memory of rendered events (see ``dataset.py``), so
the server takes little of the processor time that it shares with the client. On request it makes the JSON of each
answer from objects in its memory, as servers do, or is slow like a real one: for each answer, for each event in it,
and for each row that a page number makes it skip.

    python benchmarks/server.py --events 100000 --size 4300 --data DIRECTORY [--serialise] [--latency 0.15 ...]
"""

from __future__ import annotations

import argparse
import json
import mmap
import sys
import threading
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.dataset import PROJECT, SPREADS, START, Dataset, Rendered, render

PATHS = ("/events/export", "/v1/events/export")
DEFAULT_LIMIT, MAX_LIMIT = 1000, 7500
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WARM_CHUNK = 16 * 1024 * 1024


@dataclass(frozen=True)
class Delays:
    """How slow the server is, in seconds.

    :param answer: for each answer.
    :param per_1000: for 1000 events in it.
    :param per_1000_skipped: for 1000 events before it that a page number skips.
    """

    answer: float = 0.0
    per_1000: float = 0.0
    per_1000_skipped: float = 0.0

    def of(self, events: int, skipped: int) -> float:
        """Return the time one answer takes."""
        return self.answer + (self.per_1000 * events + self.per_1000_skipped * skipped) / 1000


@dataclass
class Stats:
    """What was served. ``bytes`` are those of the bodies, ``answered_at`` is when the last answer was complete.

    That is a reading of the clock that all processes of the machine share, in seconds.
    """

    requests: int = 0
    refused: int = 0
    events: int = 0
    bytes: int = 0
    in_flight: int = 0
    peak_in_flight: int = 0
    answered_at: float = 0.0


class Refusal(Exception):  # noqa: N818 - an answer, not a defect
    """The request is answered with 400."""


class BenchServer(ThreadingHTTPServer):
    """Serves one data set.

    :param serialise: make the JSON of each answer anew.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self, rendered: Rendered, delays: Delays | None = None, port: int = 0, *, serialise: bool = False
    ) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.rendered = rendered
        self.delays = delays or Delays()
        self.stats = Stats()
        self.lock = threading.Lock()
        with rendered.path.open("rb") as file:
            self.memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.events: list[Any] | None = None
        if serialise:
            self.events = [json.loads(self.memory[begin : end - 1]) for begin, end in pairwise(rendered.offsets)]

    @property
    def url(self) -> str:
        """Base URL, without a slash at its end."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def reset(self) -> None:
        """Count from zero again."""
        with self.lock:
            self.stats = Stats(in_flight=self.stats.in_flight)

    def warm(self) -> None:
        """Read the file once, so that it lies in the page cache."""
        with self.rendered.path.open("rb", buffering=0) as file:
            while file.read(WARM_CHUNK):
                pass


class _Handler(BaseHTTPRequestHandler):
    server: BenchServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        if self.path == "/stats":
            self._send_json(200, asdict(self.server.stats))
        else:
            self._send_json(404, {"message": "Not Found"})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/reset":
            self.server.reset()
            self._send_json(200, {})
        elif self.path not in PATHS:
            self._send_json(404, {"message": f"Cannot POST {self.path}", "statusCode": 404})
        else:
            self._answer(body)

    def _answer(self, body: bytes) -> None:
        server = self.server
        with server.lock:
            stats = server.stats
            stats.requests += 1
            stats.in_flight += 1
            stats.peak_in_flight = max(stats.peak_in_flight, stats.in_flight)
        try:
            first, last, total, skipped = select(server.rendered, json.loads(body))
            time.sleep(server.delays.of(last - first, skipped))
            page = memoryview(self._page(first, last, total))
        except (Refusal, ValueError) as error:
            with server.lock:
                stats.refused += 1
                stats.in_flight -= 1
            self._send_json(400, {"statusCode": 400, "message": str(error), "success": False})
            return
        try:
            self._send_head(200, len(page))
            self.wfile.write(page[:-1])
        finally:
            # Before the last byte: whoever has the whole answer may ask again, or for these numbers.
            with server.lock:
                stats.events += last - first
                stats.bytes += len(page)
                stats.in_flight -= 1
                stats.answered_at = time.monotonic()
        self.wfile.write(page[-1:])

    def _page(self, first: int, last: int, total: int) -> bytes:
        if self.server.events is None:
            offsets = self.server.rendered.offsets
            # Without the comma after the last event.
            begin, end = offsets[first], max(offsets[first], offsets[last] - 1)
            return b'{"events":[%b],"totalEvents":%d}' % (self.server.memory[begin:end], total)
        answer = {"events": self.server.events[first:last], "totalEvents": total}
        return json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode()

    def _send_json(self, status: int, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()
        self._send_head(status, len(body))
        self.wfile.write(body)

    def _send_head(self, status: int, size: int) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(size))
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def select(rendered: Rendered, query: dict[str, Any]) -> tuple[int, int, int, int]:
    """Return the first and last position of the page asked for, the total, and how many rows it skips.

    :raises Refusal: ``limit`` or ``page`` is out of range.
    """
    limit, page = int(query.get("limit", DEFAULT_LIMIT)), int(query.get("page", 1))
    if not 1 <= limit <= MAX_LIMIT:
        raise Refusal(f"limit: must be from 1 to {MAX_LIMIT}, got {limit}")
    if page < 1:
        raise Refusal(f"page: must be at least 1, got {page}")
    bounds = query.get("dateRange") or {}
    begin, end = rendered.span(_micros(bounds.get("$gte")), _micros(bounds.get("$lte")))
    skipped = min((page - 1) * limit, end - begin)
    return begin + skipped, min(begin + skipped + limit, end), end - begin, skipped


def _micros(text: str | None) -> int | None:
    if text is None:
        return None
    time = datetime.fromisoformat(text)
    return ((time if time.tzinfo else time.replace(tzinfo=UTC)) - EPOCH) // timedelta(microseconds=1)


def main() -> None:
    """Serve until stopped; the first line of output is JSON that says where, and what."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=4300, help="mean bytes of an event, from about 500")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--spread", choices=SPREADS, default="day", help="how their times lie (default: %(default)s)")
    parser.add_argument("--per-session", type=int, default=1, help="events of a session (default: %(default)s)")
    parser.add_argument("--data", type=Path, required=True, help="directory that keeps the rendered events")
    parser.add_argument("--port", type=int, default=0, help="default: any free one")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds for each answer")
    parser.add_argument("--per-1000", type=float, default=0.0, help="seconds for 1000 events in an answer")
    parser.add_argument("--per-1000-skipped", type=float, default=0.0, help="seconds for 1000 events skipped")
    parser.add_argument("--serialise", action="store_true", help="make the JSON of each answer anew")
    options = parser.parse_args()
    dataset = Dataset(options.events, options.size, options.seed, options.spread, options.per_session)
    rendered = render(dataset, options.data)
    delays = Delays(options.latency, options.per_1000, options.per_1000_skipped)
    with BenchServer(rendered, delays, options.port, serialise=options.serialise) as server:
        server.warm()
        facts = {"url": server.url, "project": PROJECT, "start": START.isoformat(), "end": dataset.end.isoformat()}
        sys.stdout.write(json.dumps({**facts, "bytes": rendered.offsets[-1]}) + "\n")
        sys.stdout.flush()
        server.serve_forever()


if __name__ == "__main__":
    main()
