"""The ``sandbox`` command: serve a stand-in HoneyHive until interrupted."""

from __future__ import annotations

import argparse
import signal
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_provider_honeyhive.display import write_line
from airflow_provider_honeyhive.sandbox.behaviour import ALL_ENDPOINTS, Behaviour
from airflow_provider_honeyhive.sandbox.server import Sandbox

if TYPE_CHECKING:
    from airflow_provider_honeyhive.sandbox.server import LoggedRequest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to a parser."""
    parser.add_argument("--host", default="127.0.0.1", help="address to serve on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port to serve on (default: any free one)")
    parser.add_argument("--events", type=int, default=2000, help="events to generate (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the events (default: %(default)s)")
    parser.add_argument("--project", default="demo", help="name of the project (default: %(default)s)")
    parser.add_argument("--key", default="hh_sandbox", help="API key that reads it (default: %(default)s)")
    parser.add_argument(
        "--generation",
        choices=("today", "older"),
        default="today",
        help="how it takes keys and says no (default: %(default)s)",
    )
    parser.add_argument("--start", type=_time, help="first time of the events, ISO 8601 (default: yesterday, UTC)")
    parser.add_argument("--end", type=_time, help="end of their times, exclusive (default: a day after --start)")
    parser.add_argument(
        "--endpoints",
        type=_endpoints,
        default=ALL_ENDPOINTS,
        help=f"which exist, separated by commas (default: all of {', '.join(sorted(ALL_ENDPOINTS))})",
    )
    parser.add_argument("--verbose", action="store_true", help="print a line for each request")


def run(args: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM; return the exit code."""
    sandbox = Sandbox(
        count=args.events,
        seed=args.seed,
        start=args.start,
        end=args.end,
        project=args.project,
        key=args.key,
        host=args.host,
        port=args.port,
        behaviour=Behaviour(generation=args.generation, endpoints=args.endpoints),
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sandbox.stop())
    if args.verbose:
        sandbox.on_request = _print_request
    with sandbox:
        window = f"{sandbox.start_time.isoformat()}/{sandbox.end_time.isoformat()}"
        write_line(
            f"HoneyHive sandbox url={sandbox.url} project={sandbox.project} key={sandbox.key} "
            f"project_id={sandbox.project_id} data_plane_key={sandbox.data_plane_key} "
            f"events={len(sandbox.events())} window={window}"
        )
        sandbox.serve_forever()
    return 0


def _print_request(request: LoggedRequest) -> None:
    write_line(f"{request.number} {request.method} {request.path} -> {request.status}, {request.event_count} events")


def _time(text: str) -> datetime:
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError("not an ISO 8601 time") from None
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def _endpoints(text: str) -> frozenset[str]:
    names = frozenset(name.strip() for name in text.split(","))
    if names - ALL_ENDPOINTS:
        raise argparse.ArgumentTypeError(f"not all among {', '.join(sorted(ALL_ENDPOINTS))}")
    return names
