"""The ``sandbox`` command: serve a stand-in HoneyHive until interrupted."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import signal
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_provider_honeyhive.display import write_error, write_line
from airflow_provider_honeyhive.sandbox.behaviour import ALL_ENDPOINTS, Behaviour
from airflow_provider_honeyhive.sandbox.live import LiveTraffic, Traffic
from airflow_provider_honeyhive.sandbox.server import Sandbox

if TYPE_CHECKING:
    from airflow_provider_honeyhive.sandbox.live import Arrived
    from airflow_provider_honeyhive.sandbox.server import LoggedRequest


#: Below the options of the command's help: nothing.
EPILOG = ""

#: Requests of which the sandbox keeps what it was asked, so that its memory does not grow for days.
KEPT_REQUESTS = 1_000

_RATE = re.compile(r"(\d{1,6}(?:\.\d{1,6})?)/(s|min|hour)")
_SHARE = re.compile(r"(\d{1,3}(?:\.\d{1,6})?)%")
_SECONDS = {"s": 1, "min": 60, "hour": 3600}

#: Most events per second that arrive.
MOST_PER_SECOND = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to a parser."""
    server = parser.add_argument_group("the server")
    server.add_argument("--host", default="127.0.0.1", help="address to serve on (default: %(default)s)")
    server.add_argument("--port", type=int, default=0, help="port to serve on (default: any free one)")
    server.add_argument("--project", default="demo", help="name of the project (default: %(default)s)")
    server.add_argument("--key", default="hh_sandbox", help="API key that reads it (default: %(default)s)")
    server.add_argument(
        "--generation",
        choices=("today", "older"),
        default="today",
        help="how it takes keys and says no (default: %(default)s)",
    )
    server.add_argument(
        "--endpoints",
        type=_endpoints,
        default=ALL_ENDPOINTS,
        help=f"which exist, separated by commas (default: all of {', '.join(sorted(ALL_ENDPOINTS))})",
    )
    server.add_argument("--verbose", action="store_true", help="print a line for each request")
    first = parser.add_argument_group("the events that it begins with")
    first.add_argument("--events", type=_count, default=2000, help="events to generate (default: %(default)s)")
    first.add_argument("--seed", type=int, default=0, help="seed of the events (default: %(default)s)")
    first.add_argument("--start", type=_time, help="first time of the events, ISO 8601 (default: yesterday, UTC)")
    first.add_argument("--end", type=_time, help="end of their times, exclusive (default: a day after --start)")
    live = parser.add_argument_group("events that arrive while it serves")
    live.add_argument(
        "--live", type=_rate, metavar="N/min", help="how many: N/s, N/min or N/hour, such as 5/min (default: none)"
    )
    live.add_argument(
        "--late",
        type=_share,
        metavar="N%",
        help="how many of them begin minutes to hours ago, such as 2%% (default: 0%%)",
    )
    live.add_argument(
        "--feedback",
        type=_share,
        metavar="N%",
        help="for how many of them an event that is there gets feedback, such as 1%% (default: 0%%)",
    )


def run(args: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM; return the exit code."""
    for name in ("late", "feedback"):
        if getattr(args, name) is not None and args.live is None:
            write_error(f"error: --{name} needs --live, such as --live 5/min")
            return 2
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
        documented_event=False,
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sandbox.stop())

    def answered(request: LoggedRequest) -> None:
        if args.verbose:
            _print_request(request)
        del sandbox.requests[:-KEPT_REQUESTS]

    sandbox.on_request = answered
    with ExitStack() as stack:
        stack.enter_context(sandbox)
        window = f"{sandbox.start_time.isoformat()}/{sandbox.end_time.isoformat()}"
        write_line(
            f"HoneyHive sandbox url={sandbox.url} project={sandbox.project} key={sandbox.key} "
            f"project_id={sandbox.project_id} data_plane_key={sandbox.data_plane_key} "
            f"events={len(sandbox.events())} window={window}"
        )
        _print_uses(sandbox)
        if args.live is not None:
            traffic = Traffic(args.live, args.late or 0.0, args.feedback or 0.0)
            stack.enter_context(LiveTraffic(sandbox, traffic, seed=args.seed, report=_print_arrived))
        sandbox.serve_forever()
    return 0


def _print_uses(sandbox: Sandbox) -> None:
    """Print lines to paste into a shell."""
    connection = {
        "conn_type": "honeyhive",
        "host": sandbox.url,
        "password": sandbox.key,
        "extra": {"project": sandbox.project},
    }
    window = {"$gte": sandbox.start_time.isoformat(), "$lte": sandbox.end_time.isoformat()}
    body = {"project": sandbox.project, "filters": [], "dateRange": window, "limit": 1}
    lines = (
        "# For a DAG:",
        f"export AIRFLOW_CONN_HONEYHIVE_DEFAULT={shlex.quote(json.dumps(connection))}",
        "# For the command line of this package:",
        f"export HH_API_URL={shlex.quote(sandbox.url)} HH_API_KEY={shlex.quote(sandbox.key)}",
        "# One event:",
        f"curl -s {shlex.quote(sandbox.url + '/events/export')} "
        f"-H {shlex.quote(f'Authorization: Bearer {sandbox.key}')} "
        f"-H 'Content-Type: application/json' -d {shlex.quote(json.dumps(body))}",
    )
    # As they are: a display that hides keys would hide the sandbox's own.
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def _print_arrived(at: datetime, arrived: Arrived) -> None:
    write_line(
        f"{at:%H:%M:%S} arrived: events={arrived.events} sessions={arrived.sessions} late={arrived.late} "
        f"feedback={arrived.feedback}"
    )


def _print_request(request: LoggedRequest) -> None:
    write_line(f"{request.number} {request.method} {request.path} -> {request.status}, {request.event_count} events")


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError("not a number of events, such as 2000")
    return int(text)


def _rate(text: str) -> float:
    found = _RATE.fullmatch(text)
    per_second = float(found[1]) / _SECONDS[found[2]] if found else 0.0
    if not 0 < per_second <= MOST_PER_SECOND:
        raise argparse.ArgumentTypeError(
            f"not a rate: write a number above 0 with /s, /min or /hour, such as 5/min, at most {MOST_PER_SECOND}/s"
        )
    return per_second


def _share(text: str) -> float:
    found = _SHARE.fullmatch(text)
    if not found or float(found[1]) > 100:
        raise argparse.ArgumentTypeError("not a share: write a number from 0 to 100 with %, such as 2%")
    return float(found[1]) / 100


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
